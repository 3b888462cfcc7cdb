//! Writes the first inputs of each target into `corpus/<target>`, from the messages themselves.

use mesh_fuzz::manifests::texts;
use mesh_fuzz::{pod, policy, service};
use prost::Message;
use proxy::proto::discovery::{Any, DeltaResponse, Resource};
use proxy::proto::{security, workload};
use proxy::zds::{Request, Response, WorkloadInfo, encode_hello};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, seeds) in [
        ("zds", zds()),
        ("connect", connect()),
        ("dns", dns()),
        ("cni_stdin", cni_stdin()),
        ("xds", xds()),
        ("yaml", manifests(&["bad", "convert", "samples"], &[b""])?),
        ("convert", manifests(&["convert", "samples"], &[b"\0", b"\x0f"])?),
        ("in_place", manifests(&["in-place", "convert"], &[b""])?),
    ] {
        let folder = root.join(target);
        fs::create_dir_all(&folder)?;
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    fs::write(root.join("manifests.dict"), dictionary()?)
}

/// The manifests of the tests, each behind each of some first bytes.
fn manifests(folders: &[&str], first: &[&[u8]]) -> io::Result<Vec<Vec<u8>>> {
    let texts = texts(folders)?;
    let behind = |first: &&[u8]| {
        let seeds = texts.iter().map(|text| [first, text.as_slice()].concat());
        seeds.collect::<Vec<_>>()
    };
    Ok(first.iter().flat_map(behind).collect())
}

/// Words of the manifests and marks of YAML, for `-dict`.
fn dictionary() -> io::Result<String> {
    let marks = [
        "\\x0a---\\x0a",
        "\\x0a...\\x0a",
        "\\x0d\\x0a",
        "\\x0d",
        "\\x0a- ",
        ": ",
        "? ",
        "&a ",
        "*a",
        "<<: *a",
        "|-\\x0a",
        ">+\\x0a",
        "|2\\x0a",
        "!!str ",
        "{}",
        "[]",
        "\\xef\\xbb\\xbf",
        "\\xe2\\x80\\xa8",
        "{{ .Values.x }}",
        "apiVersion: v1\\x0akind: List\\x0aitems:\\x0a- ",
    ];
    let mut words: BTreeSet<String> = marks.map(str::to_owned).into();
    for text in texts(&["convert"])? {
        let text = String::from_utf8_lossy(&text);
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-./*_:".contains(c);
        let all = text
            .split(|c| !is_part(c))
            .filter(|word| (3..64).contains(&word.len()));
        words.extend(all.map(str::to_owned));
    }
    Ok(words.iter().map(|word| format!("\"{word}\"\n")).collect())
}

/// One byte of mode, then packets: length, number of descriptors, bytes.
fn zds() -> Vec<Vec<u8>> {
    let info = || WorkloadInfo {
        name: "web-1".into(),
        namespace: "shop".into(),
        service_account: "web".into(),
    };
    let requests = [
        Request::Keep { uid: "0a".into() }.encode(),
        Request::Add {
            uid: "0b".into(),
            info: info(),
        }
        .encode(),
        Request::SnapshotSent.encode(),
        Request::Delete { uid: "0b".into() }.encode(),
    ];
    let answers = [
        encode_hello(),
        Response::default().encode(),
        Response {
            error: "failed to start proxy".into(),
        }
        .encode(),
    ];
    let packets = |mode: u8, packets: &[Vec<u8>], descriptors: u8| {
        let mut input = vec![mode];
        for packet in packets {
            input.extend([u8::try_from(packet.len()).unwrap_or(u8::MAX), descriptors]);
            input.extend(packet);
        }
        input
    };
    let mut seeds: Vec<_> = requests
        .iter()
        .map(|packet| packets(0, std::slice::from_ref(packet), 0))
        .collect();
    seeds.push(packets(1, &requests, 1));
    seeds.push(packets(1, &requests, 0));
    seeds.push(packets(2, &answers, 0));
    seeds
}

/// An authority, and headers by line.
fn connect() -> Vec<Vec<u8>> {
    let whole = "10.0.0.2:8080\n\
        forwarded: for=\"10.0.0.1:5555\";host=web.shop.svc.cluster.local\n\
        baggage: k8s.cluster.name=Kubernetes,k8s.namespace.name=shop,k8s.deployment.name=client,service.name=client,\
        service.version=v1,cloud.region=r,cloud.availability_zone=z\n\
        traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\n\
        x-forwarded-network: network-2";
    [
        whole,
        "[fd00::1]:80",
        "web.shop.svc.cluster.local:80",
        "web:0\nbaggage: a=b;c=d,k8s.pod.name=%20x\nforwarded: host",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

fn dns() -> Vec<Vec<u8>> {
    let names = [
        "web",
        "web.shop.svc.cluster.local",
        "a.b.example.com.shop.svc.cluster.local",
    ];
    let question = |name: &str, kind: u8| {
        let mut message = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(u8::try_from(label.len()).unwrap_or_default());
            message.extend(label.bytes());
        }
        message.extend([0, 0, kind, 0, 1]);
        message
    };
    let mut with_edns = question("web.shop", 1);
    with_edns[11] = 1;
    with_edns.extend([0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
    let mut seeds: Vec<_> = names
        .iter()
        .flat_map(|name| [question(name, 1), question(name, 28)])
        .collect();
    seeds.push(with_edns);
    seeds
}

/// Variables by line, an empty line, then standard input.
fn cni_stdin() -> Vec<Vec<u8>> {
    let environment = "CNI_COMMAND=ADD\nCNI_CONTAINERID=c1\nCNI_IFNAME=eth0\nCNI_NETNS=/var/run/netns/x\n\
        CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1;\
        K8S_POD_UID=9f4e5c2a-0000-4000-8000-000000000001\n\n";
    let configuration = r#"{"cniVersion":"1.1.0","name":"k8s-pod-network","type":"istio-cni","ambient_enabled":true,
        "cni_agent_run_dir":"/var/run/istio-cni","exclude_namespaces":["kube-system"],"pod_namespace":"istio-system",
        "prevResult":{"cniVersion":"1.1.0","interfaces":[{"name":"eth0","sandbox":"/x"}],
        "ips":[{"interface":0,"address":"10.0.0.2/24","gateway":"10.0.0.1"},{"address":"fd00::2/64"}],"dns":{}},
        "cni.dev/valid-attachments":[{"containerID":"c1","ifname":"eth0"}]}"#;
    let old = r#"{"cniVersion":"0.3.1","name":"n","plugins":[{"type":"ptp"},{"type":"istio-cni"}]}"#;
    [
        format!("{environment}{configuration}"),
        format!("{environment}{old}"),
        configuration.to_owned(),
    ]
    .map(String::into_bytes)
    .into()
}

fn xds() -> Vec<Vec<u8>> {
    let response = |type_url: &str, resources: Vec<(&str, Vec<u8>)>, removed: &[&str]| {
        let resources = resources.into_iter().map(|(name, value)| Resource {
            version: "1".into(),
            name: name.into(),
            resource: Some(Any {
                type_url: type_url.into(),
                value: value.into(),
            }),
        });
        DeltaResponse {
            resources: resources.collect(),
            type_url: type_url.into(),
            nonce: "n".into(),
            removed_resources: removed.iter().map(|&name| name.into()).collect(),
            ..DeltaResponse::default()
        }
        .encode_to_vec()
    };
    let mut waypoint = pod("waypoint", 3);
    waypoint.waypoint = Some(workload::GatewayAddress {
        destination: Some(workload::GatewayDestination::Address(workload::NetworkAddress {
            network: String::new(),
            address: vec![10, 0, 0, 2].into(),
            length: None,
        })),
        hbone_mtls_port: 15008,
    });
    let address = |kind| workload::Address { kind: Some(kind) }.encode_to_vec();
    vec![
        response(
            workload::TYPE_URL,
            vec![
                (
                    "Kubernetes//Pod/shop/waypoint",
                    address(workload::AddressType::Workload(waypoint)),
                ),
                (
                    "shop/web.shop.svc.cluster.local",
                    address(workload::AddressType::Service(service())),
                ),
            ],
            &["Kubernetes//Pod/shop/server"],
        ),
        response(
            security::TYPE_URL,
            vec![("shop/deny", policy().encode_to_vec())],
            &[],
        ),
        response(security::TYPE_URL, vec![], &["shop/deny"]),
    ]
}
