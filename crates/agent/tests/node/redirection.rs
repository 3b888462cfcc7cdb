//! The rules in real network namespaces, with real connections.

use crate::bed::{Bed, Dial, ELSEWHERE, NODE, NODE_V6, POD, POD_V6, Seen, available, listen, meet};
use mesh_agent::pod::{BYPASS_INBOUND, DNS_CAPTURE, Labels, PodUid};
use mesh_agent::rules::host::ProbeTargets;
use mesh_agent::rules::{Backend, Firewall, PROXY_MARK, PodRules, ProbeAddresses, RuleSettings};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Command;
use std::time::Duration;

fn firewalls() -> [Firewall; 2] {
    [Firewall::new(Backend::Nft), Firewall::new(Backend::Iptables)]
}

fn rules(annotations: &[(&str, &str)]) -> PodRules {
    let settings = RuleSettings {
        probes: ProbeAddresses::default(),
        dns_capture: true,
    };
    let annotations: Labels = annotations
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    PodRules::of(settings, &annotations).0
}

fn redirected(from: &str, to: &str) -> Seen {
    Seen {
        from: from.parse().unwrap(),
        original: Some(to.parse().unwrap()),
    }
}

fn direct(from: &str) -> Seen {
    Seen {
        from: from.parse().unwrap(),
        original: None,
    }
}

/// The proxy's listeners in the pod, for both families as far as the pod has them.
struct Proxy {
    outbound: TcpListener,
    inbound: TcpListener,
}

impl Proxy {
    fn listen(bed: &Bed, address: &str) -> Self {
        Self {
            outbound: listen(&bed.pod, address, 15001),
            inbound: listen(&bed.pod, address, 15006),
        }
    }
}

#[test]
fn outbound_connections_reach_the_proxy_with_their_destination() {
    if !available() {
        return;
    }
    for firewall in firewalls() {
        let bed = Bed::new();
        firewall.install(&bed.pod, &rules(&[])).unwrap();
        let proxy = Proxy::listen(&bed, "0.0.0.0");
        let client = Dial::default().to(&bed.pod, ELSEWHERE, 80).unwrap();
        assert_eq!(
            meet(&proxy.outbound, client),
            redirected(POD, "192.0.2.9:80"),
            "{firewall:?}"
        );

        let proxy = Proxy::listen(&bed, "::1");
        let client = Dial::default().to(&bed.pod, NODE_V6, 80).unwrap();
        assert_eq!(
            meet(&proxy.outbound, client),
            redirected(POD_V6, "[fd00:123::1]:80"),
            "{firewall:?}"
        );
    }
}

#[test]
fn the_proxys_own_connections_and_those_within_the_pod_are_left_alone() {
    if !available() {
        return;
    }
    for firewall in firewalls() {
        let bed = Bed::new();
        firewall.install(&bed.pod, &rules(&[])).unwrap();
        let _proxy = Proxy::listen(&bed, "0.0.0.0");
        let app = listen(&bed.pod, "0.0.0.0", 8080);
        let elsewhere = listen(&bed.node, ELSEWHERE, 80);
        let marked = Dial {
            mark: PROXY_MARK,
            from: None,
        };
        assert_eq!(
            meet(&elsewhere, marked.to(&bed.pod, ELSEWHERE, 80).unwrap()),
            direct(POD),
            "{firewall:?}"
        );
        let loopback = Dial::default().to(&bed.pod, "127.0.0.1", 8080).unwrap();
        assert_eq!(meet(&app, loopback), direct("127.0.0.1"), "{firewall:?}");
        let own_address = Dial::default().to(&bed.pod, POD, 8080).unwrap();
        assert_eq!(meet(&app, own_address), direct(POD), "{firewall:?}");
    }
}

#[test]
fn inbound_connections_reach_the_proxy_but_for_hbone() {
    if !available() {
        return;
    }
    for firewall in firewalls() {
        let bed = Bed::new();
        firewall.install(&bed.pod, &rules(&[])).unwrap();
        let proxy = Proxy::listen(&bed, "0.0.0.0");
        let hbone = listen(&bed.pod, "0.0.0.0", 15008);
        let client = Dial::default().to(&bed.node, POD, 8080).unwrap();
        assert_eq!(
            meet(&proxy.inbound, client),
            redirected(NODE, "10.123.0.2:8080"),
            "{firewall:?}"
        );
        let client = Dial::default().to(&bed.node, POD, 15008).unwrap();
        assert_eq!(meet(&hbone, client), direct(NODE), "{firewall:?}");

        let inbound = listen(&bed.pod, POD_V6, 15006);
        let client = Dial::default().to(&bed.node, POD_V6, 8080).unwrap();
        assert_eq!(
            meet(&inbound, client),
            redirected(NODE_V6, "[fd00:123::2]:8080"),
            "{firewall:?}"
        );
    }
}

/// Where the proxy keeps the client's address towards the application, the application's answers must come back to the proxy.
#[test]
fn connections_under_a_borrowed_address_find_back_to_the_proxy() {
    if !available() {
        return;
    }
    for firewall in firewalls() {
        let bed = Bed::new();
        let app = listen(&bed.pod, "0.0.0.0", 8080);
        let borrowed = Dial {
            mark: PROXY_MARK,
            from: Some(ELSEWHERE),
        };
        assert!(
            borrowed.to(&bed.pod, POD, 8080).is_err(),
            "without rules the answers are lost"
        );
        firewall.install(&bed.pod, &rules(&[])).unwrap();
        let _proxy = Proxy::listen(&bed, "0.0.0.0");
        assert_eq!(
            meet(&app, borrowed.to(&bed.pod, POD, 8080).unwrap()),
            direct(ELSEWHERE),
            "{firewall:?}"
        );
    }
}

/// istio/istio#52208 and others: where the datapath loses the address of probes, another one may be chosen.
#[test]
fn issue_52208_probes_of_the_kubelet_reach_the_application_from_the_chosen_address() {
    if !available() {
        return;
    }
    let chosen = ProbeAddresses {
        v4: [169, 254, 8, 1].into(),
        ..ProbeAddresses::default()
    };
    for firewall in firewalls() {
        for probes in [ProbeAddresses::default(), chosen] {
            let bed = Bed::new();
            firewall
                .install(&bed.pod, &PodRules { probes, ..rules(&[]) })
                .unwrap();
            let proxy = Proxy::listen(&bed, "0.0.0.0");
            let app = listen(&bed.pod, "0.0.0.0", 8080);
            let uid = PodUid::new("6ab1e2a4-0c4f-4e2c-9d5e-0123456789ab").unwrap();
            let mut targets = ProbeTargets::default();
            targets.add(&uid, &[POD.parse().unwrap(), POD_V6.parse().unwrap()]);
            for _ in 0..2 {
                firewall.install_host(&bed.node, probes, &targets, 0).unwrap();
            }
            let probe = Dial::default().to(&bed.node, POD, 8080).unwrap();
            assert_eq!(meet(&app, probe), direct(&probes.v4.to_string()), "{firewall:?}");

            targets.remove(&uid);
            firewall.install_host(&bed.node, probes, &targets, 0).unwrap();
            let client = Dial::default().to(&bed.node, POD, 8080).unwrap();
            assert_eq!(
                meet(&proxy.inbound, client),
                redirected(NODE, "10.123.0.2:8080"),
                "{firewall:?}"
            );
            firewall.remove_host(&bed.node).unwrap();
            firewall.remove_host(&bed.node).unwrap();
        }
    }
}

#[test]
fn dns_goes_to_the_proxy_unless_the_pod_says_otherwise() {
    if !available() {
        return;
    }
    for firewall in firewalls() {
        let bed = Bed::new();
        let bind = |netns: &mesh_agent::netns::Netns, address: &str| {
            let address: SocketAddr = address.parse().unwrap();
            let socket = netns.run(|| UdpSocket::bind(address)).unwrap().unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
            socket
        };
        let proxy = bind(&bed.pod, "127.0.0.1:15053");
        let server = bind(&bed.node, &format!("{ELSEWHERE}:53"));
        for (annotations, answers) in [(&[][..], &proxy), (&[(DNS_CAPTURE, "false")], &server)] {
            firewall.install(&bed.pod, &rules(annotations)).unwrap();
            let client = bind(&bed.pod, "0.0.0.0:0");
            client.send_to(b"query", (ELSEWHERE, 53)).unwrap();
            let mut buffer = [0; 16];
            let (_, from) = answers.recv_from(&mut buffer).unwrap();
            answers.send_to(b"answer", from).unwrap();
            let (length, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!(
                (length, from.to_string()),
                (6, format!("{ELSEWHERE}:53")),
                "{firewall:?}"
            );
        }
    }
}

#[test]
fn a_pod_that_bypasses_inbound_capture_is_reached_directly() {
    if !available() {
        return;
    }
    for firewall in firewalls() {
        let bed = Bed::new();
        firewall
            .install(&bed.pod, &rules(&[(BYPASS_INBOUND, "true")]))
            .unwrap();
        let proxy = Proxy::listen(&bed, "0.0.0.0");
        let app = listen(&bed.pod, "0.0.0.0", 8080);
        assert_eq!(
            meet(&app, Dial::default().to(&bed.node, POD, 8080).unwrap()),
            direct(NODE),
            "{firewall:?}"
        );
        let client = Dial::default().to(&bed.pod, ELSEWHERE, 80).unwrap();
        assert_eq!(
            meet(&proxy.outbound, client),
            redirected(POD, "192.0.2.9:80"),
            "{firewall:?}"
        );
    }
}

#[test]
fn rules_are_put_in_place_again_changed_taken_over_and_removed_without_a_trace() {
    if !available() {
        return;
    }
    let bed = Bed::new();
    let [nft, iptables] = firewalls();
    let detected = bed.pod.run(|| Firewall::detect(None)).unwrap().unwrap();
    assert_eq!(detected.backend(), Backend::Nft);
    let state = || {
        let nft = bed.pod_prints("nft", &["list", "tables"]);
        let iptables = bed.pod_prints("iptables-save", &[]);
        let jumps = iptables.matches("-j ISTIO_").count();
        let routes = bed.pod_prints("ip", &["rule"]).matches("lookup 100").count();
        (nft.matches("istio-ambient").count(), jumps, routes)
    };
    assert_eq!(state(), (0, 0, 0), "finding out what works leaves nothing behind");
    for _ in 0..2 {
        iptables.install(&bed.pod, &rules(&[])).unwrap();
        assert_eq!(state(), (0, 6, 1));
    }
    iptables
        .install(&bed.pod, &rules(&[(DNS_CAPTURE, "false")]))
        .unwrap();
    assert_eq!(state(), (0, 4, 1), "the raw table is no longer needed");
    for _ in 0..2 {
        nft.install(&bed.pod, &rules(&[])).unwrap();
        assert_eq!(state(), (3, 0, 1), "taken over from the other program");
    }
    for _ in 0..2 {
        nft.remove(&bed.pod).unwrap();
        assert_eq!(state(), (0, 0, 0));
    }
    iptables.install(&bed.pod, &rules(&[])).unwrap();
    for _ in 0..2 {
        iptables.remove(&bed.pod).unwrap();
        assert_eq!(state(), (0, 0, 0));
    }
    assert!(bed.pod_path().exists());
}

/// A stock agent chooses between two variants of iptables, and neither shows the rules of the other.
#[test]
fn rules_of_a_stock_agent_are_taken_over_whichever_variant_it_used() {
    if !available() {
        return;
    }
    for variant in [
        "iptables-nft",
        "iptables-legacy",
        "ip6tables-nft",
        "ip6tables-legacy",
    ] {
        for firewall in firewalls() {
            let bed = Bed::new();
            let save = format!("{variant}-save");
            for rule in [
                "-N ISTIO_OUTPUT",
                "-A ISTIO_OUTPUT -p tcp -j REDIRECT --to-ports 15001",
                "-A OUTPUT -j ISTIO_OUTPUT",
            ] {
                let words = ["-t", "nat"]
                    .into_iter()
                    .chain(rule.split(' '))
                    .collect::<Vec<_>>();
                bed.pod_prints(variant, &words);
            }
            assert!(
                bed.pod_prints(&save, &[]).contains("-A OUTPUT -j ISTIO_OUTPUT"),
                "{variant}"
            );
            firewall.install(&bed.pod, &rules(&[])).unwrap();
            if firewall.backend() == Backend::Nft {
                assert!(!bed.pod_prints(&save, &[]).contains("ISTIO"), "{variant}");
            }
            firewall.remove(&bed.pod).unwrap();
            assert!(
                !bed.pod_prints(&save, &[]).contains("ISTIO"),
                "{variant} {firewall:?}"
            );
        }
    }
}

/// Where the agent's image has no program for rules, those of the node are used.
#[test]
fn programs_of_another_mount_namespace_run_in_the_pods_network_namespace() {
    if !available() {
        return;
    }
    let bed = Bed::new();
    let program = env!("CARGO_BIN_EXE_mesh-agent");
    let script = "mount -t tmpfs other /mnt && echo here > /mnt/other && exec sleep 60";
    let mut other = Command::new("unshare")
        .args(["-m", "sh", "-c", script])
        .spawn()
        .unwrap();
    let file = format!("/proc/{}/root/mnt/other", other.id());
    while std::fs::read(&file).ok().as_deref() != Some(b"here\n") {
        assert!(other.try_wait().unwrap().is_none(), "no mount namespace");
        std::thread::sleep(Duration::from_millis(5));
    }
    let mounts = format!("/proc/{}/ns/mnt", other.id());
    let both = [
        "enter",
        &mounts,
        "sh",
        "-c",
        "cat /mnt/other && ip -brief address",
    ];
    let printed = bed.pod_prints(program, &both);
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(
        printed.starts_with("here\n") && printed.contains(POD),
        "{printed}"
    );
    let status = |arguments: &[&str]| Command::new(program).args(arguments).status().unwrap();
    assert!(!status(&["enter", "/nothing", "true"]).success());
    assert!(!status(&["enter", "/proc/self/ns/net", "true"]).success());
}
