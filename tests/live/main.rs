//! Reading a real API server: everything that is needed and nothing else, with whole and partial permissions.
//!
//! Where etcd or kube-apiserver is missing, each test says so and passes; `cargo xtask bed up` gets them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test bed that does not come up is a failure"
)]

mod bed;
#[path = "../cases/mod.rs"]
mod cases;
mod client;
mod converted;
mod manifests;

use bed::{Bed, Programs};
use mesh_migrate::input::cluster::{self, ClusterError, ClusterOptions, RawCluster};
use mesh_migrate::input::{Input, snapshot};
use model::{Coverage, Kind, ObjectRef};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::LazyLock;

const MESH: &[&str] = &[
    "testdata/live/10-namespaces.yaml",
    "testdata/live/20-control-plane.yaml",
    "testdata/live/30-shop.yaml",
    "testdata/live/40-billing.yaml",
    "docs/rbac.yaml",
    "testdata/live/50-users.yaml",
];
const GATEWAY_API: &[&str] = &[
    "testdata/crds/gateway.networking.k8s.io_backendtlspolicies.yaml",
    "testdata/crds/gateway.networking.k8s.io_gatewayclasses.yaml",
    "testdata/crds/gateway.networking.k8s.io_gateways.yaml",
    "testdata/crds/gateway.networking.k8s.io_grpcroutes.yaml",
    "testdata/crds/gateway.networking.k8s.io_httproutes.yaml",
    "testdata/crds/gateway.networking.k8s.io_referencegrants.yaml",
    "testdata/crds/gateway.networking.k8s.io_tcproutes.yaml",
    "testdata/crds/gateway.networking.k8s.io_tlsroutes.yaml",
];

/// The programs, or a visible word that they are missing.
static PROGRAMS: LazyLock<Option<Programs>> = LazyLock::new(|| {
    Programs::find()
        .map_err(|missing| {
            // Not by a macro: the test harness would swallow it.
            let _ = writeln!(
                std::io::stderr(),
                "skipped: the tests against a real API server; {missing}"
            );
        })
        .ok()
});

/// The server with the sample mesh, which no test changes. It ends with the process of the tests.
static MESH_BED: LazyLock<Option<Bed>> = LazyLock::new(|| {
    let bed = Bed::start(PROGRAMS.as_ref()?);
    client::create(&bed.kubeconfig(), &["testdata/crds/istio.yaml"]);
    client::create(&bed.kubeconfig(), GATEWAY_API);
    for path in [
        "/apis/networking.istio.io/v1/virtualservices",
        "/apis/security.istio.io/v1/authorizationpolicies",
        "/apis/telemetry.istio.io/v1/telemetries",
        "/apis/extensions.istio.io/v1alpha1/trafficextensions",
        "/apis/gateway.networking.k8s.io/v1/gateways",
        "/apis/gateway.networking.k8s.io/v1/tlsroutes",
        "/apis/gateway.networking.k8s.io/v1/backendtlspolicies",
    ] {
        client::wait_for(&bed.kubeconfig(), path);
    }
    client::create(&bed.kubeconfig(), MESH);
    Some(bed)
});

fn options(bed: &Bed, context: &str) -> ClusterOptions {
    ClusterOptions {
        context: Some(context.to_owned()),
        kubeconfig: Some(bed.kubeconfig()),
        ..ClusterOptions::default()
    }
}

fn fetch(options: &ClusterOptions) -> RawCluster {
    cluster::fetch_blocking(options, &mut |_| ()).unwrap_or_else(|error| panic!("{error}: {}", error.help()))
}

fn ids(input: &Input) -> BTreeSet<ObjectRef> {
    input.mesh.ids().cloned().collect()
}

fn id(object: &Value) -> String {
    let part = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let [api, kind] = [&object["apiVersion"], &object["kind"]].map(part);
    let [namespace, name] = [&object["metadata"]["namespace"], &object["metadata"]["name"]].map(part);
    format!("{api} {namespace}/{kind}/{name}")
}

#[test]
fn everything_that_is_needed_is_read_and_nothing_else() {
    let Some(bed) = &*MESH_BED else { return };
    let mut heard = Vec::new();
    let input =
        cluster::read_blocking(&options(bed, "admin"), &mut |text| heard.push(text.to_owned())).unwrap();
    let found = ids(&input);
    let expected = MESH[..4].iter().flat_map(|file| client::objects(file));
    let mut count = 0;
    for object in expected.filter(|o| o["kind"] != "Secret" && o["metadata"]["name"] != "web-settings") {
        let text = |value: &Value| value.as_str().map(std::sync::Arc::<str>::from);
        let api = object["apiVersion"].as_str().unwrap();
        let wanted = ObjectRef {
            namespace: text(&object["metadata"]["namespace"]),
            kind: Kind::new(
                api.split_once('/').map_or("", |p| p.0),
                object["kind"].as_str().unwrap(),
            ),
            name: text(&object["metadata"]["name"]).unwrap(),
        };
        assert!(found.contains(&wanted), "{wanted} is missing");
        count += 1;
    }
    assert!(count > 20, "{count}");
    assert!(
        found
            .iter()
            .all(|id| id.kind.name() != "Secret" && &*id.name != "web-settings")
    );
    assert_eq!((input.errors, input.notes), (vec![], vec![]));
    assert_eq!(input.gaps, Vec::<String>::new());
    assert_eq!(input.description, "context `admin`");
    assert_eq!(input.mesh.settings.trust_domain, "shop.example");
    let Coverage::Cluster(coverage) = &input.mesh.coverage else {
        panic!("{:?}", input.mesh.coverage)
    };
    assert!(coverage.unreadable.is_empty(), "{:?}", coverage.unreadable);
    assert_eq!(coverage.server_version.as_deref(), Some("1.34"));
    assert!(coverage.not_installed.contains(&Kind::SailIstio));
    assert!(!coverage.not_installed.contains(&Kind::Telemetry));
    assert!(
        heard
            .iter()
            .any(|text| text.starts_with("reading virtualservices: ")),
        "{heard:?}"
    );
}

#[test]
fn pages_make_the_same_whole() {
    let Some(bed) = &*MESH_BED else { return };
    let small = ClusterOptions {
        page_limit: 2,
        ..options(bed, "admin")
    };
    let mut pages = 0;
    let paged = cluster::fetch_blocking(&small, &mut |text| {
        pages += usize::from(text.starts_with("reading customresourcedefinitions"));
    })
    .unwrap();
    assert!(pages > 10, "{pages} pages");
    let ids = |raw: &RawCluster| raw.objects.iter().map(id).collect::<Vec<_>>();
    assert_eq!(ids(&paged), ids(&fetch(&options(bed, "admin"))));
}

#[test]
fn the_published_role_is_enough() {
    let Some(bed) = &*MESH_BED else { return };
    let all = fetch(&options(bed, "admin"));
    let reader = fetch(&options(bed, "reader"));
    assert_eq!(reader.unreadable, all.unreadable);
    assert_eq!(reader.gaps(), Vec::<String>::new());
    assert_eq!(
        reader.objects.iter().map(id).collect::<Vec<_>>(),
        all.objects.iter().map(id).collect::<Vec<_>>()
    );
}

#[test]
fn a_user_with_few_permissions_gets_a_partial_view_that_says_so() {
    let Some(bed) = &*MESH_BED else { return };
    let input = cluster::read_blocking(&options(bed, "shop-dev"), &mut |_| ()).unwrap();
    assert!(input.mesh.is_empty());
    assert!(!input.mesh.coverage.is_complete(&Kind::VirtualService));
    insta::assert_snapshot!("gaps_everywhere", input.gaps.join("\n"));

    let shop = ClusterOptions {
        namespaces: vec!["shop".to_owned()],
        ..options(bed, "shop-dev")
    };
    let input = cluster::read_blocking(&shop, &mut |_| ()).unwrap();
    let names: Vec<String> = ids(&input).iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "shop/VirtualService/web",
            "shop/Service/web",
            "shop/Pod/web-0",
            "shop/Deployment/web"
        ]
    );
    insta::assert_snapshot!("gaps_in_shop", input.gaps.join("\n"));
}

#[test]
fn some_namespaces_are_read_with_the_settings_of_the_mesh() {
    let Some(bed) = &*MESH_BED else { return };
    let billing = ClusterOptions {
        namespaces: vec!["billing".to_owned()],
        ..options(bed, "admin")
    };
    let input = cluster::read_blocking(&billing, &mut |_| ()).unwrap();
    let names: BTreeSet<String> = ids(&input).iter().map(ToString::to_string).collect();
    for name in [
        "billing/PeerAuthentication/default",
        "istio-system/ConfigMap/istio",
        "istio-system/ConfigMap/istio-1-31",
        "kube-system/ConfigMap/cilium-config",
        "kube-system/DaemonSet/cilium",
        "Namespace/shop",
        "Node/node-1",
    ] {
        assert!(names.contains(name), "{name} is missing: {names:?}");
    }
    assert!(names.iter().all(|name| !name.starts_with("shop/")), "{names:?}");
    assert_eq!(
        input.gaps,
        ["only the namespace `billing` was asked for; what others hold is not known"]
    );
    assert!(!input.mesh.coverage.is_complete(&Kind::PeerAuthentication));
}

#[test]
fn a_cluster_without_istio_and_gateway_api_is_whole() {
    let Some(programs) = &*PROGRAMS else { return };
    let bed = Bed::start(programs);
    let input = cluster::read_blocking(&options(&bed, "admin"), &mut |_| ()).unwrap();
    let Coverage::Cluster(coverage) = &input.mesh.coverage else {
        panic!("{:?}", input.mesh.coverage)
    };
    for kind in [
        Kind::VirtualService,
        Kind::HttpRoute,
        Kind::GatewayClass,
        Kind::Telemetry,
    ] {
        assert!(coverage.not_installed.contains(&kind), "{kind}");
        assert!(input.mesh.coverage.is_complete(&kind), "{kind}");
    }
    assert!(!coverage.not_installed.contains(&Kind::Deployment));
    assert_eq!(input.gaps, Vec::<String>::new());
}

#[test]
fn what_fails_as_a_whole_says_what_to_do() {
    let Some(bed) = &*MESH_BED else { return };
    let cases: Vec<(&str, ClusterOptions)> = vec![
        (
            "no kubeconfig",
            ClusterOptions {
                kubeconfig: Some("/no/such/kubeconfig".into()),
                ..ClusterOptions::default()
            },
        ),
        (
            "broken kubeconfig",
            ClusterOptions {
                kubeconfig: Some("testdata/crds/NOTICE".into()),
                ..ClusterOptions::default()
            },
        ),
        ("unknown context", options(bed, "redaer")),
        ("refused", options(bed, "closed")),
        ("unknown host", options(bed, "nowhere")),
        ("untrusted", options(bed, "untrusted")),
        ("401", options(bed, "expired")),
        ("no plugin", options(bed, "plugin")),
        (
            "unknown namespace",
            ClusterOptions {
                namespaces: vec!["biling".to_owned()],
                ..options(bed, "admin")
            },
        ),
        (
            "a path for a namespace",
            ClusterOptions {
                namespaces: vec!["../pods".to_owned()],
                ..options(bed, "admin")
            },
        ),
    ];
    let told: Vec<String> = cases
        .iter()
        .map(|(name, options)| {
            let error: ClusterError = cluster::fetch_blocking(options, &mut |_| ()).unwrap_err();
            format!("{name}: {error}\n  help: {}", error.help())
        })
        .collect();
    insta::with_settings!({filters => vec![(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT")]}, {
        insta::assert_snapshot!("errors", told.join("\n"));
    });
}

#[test]
fn a_snapshot_is_the_live_reading_without_anything_secret() {
    let Some(bed) = &*MESH_BED else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mesh.tar.zst");
    let raw = fetch(&options(bed, "admin"));
    snapshot::write(&path, &raw).unwrap();
    assert_eq!(snapshot::load(&path).unwrap(), raw);

    let unpacked = zstd::decode_all(std::fs::File::open(&path).unwrap()).unwrap();
    let text = String::from_utf8_lossy(&unpacked);
    assert!(text.contains("DB_PASSWORD") && text.contains(cluster::REDACTED));
    // `c2VjcmV0` is how a Secret would begin: its values are base64.
    for secret in ["hunter2", "c2VjcmV0", "managedFields", "\"kind\": \"Secret\""] {
        assert!(!text.contains(secret), "{secret}");
    }

    let [live, saved] = [raw.into_input("x".to_owned()), snapshot::read(&path).unwrap()];
    assert_eq!(ids(&live), ids(&saved));
    assert_eq!(
        (live.errors, live.notes, live.gaps),
        (saved.errors, saved.notes, saved.gaps)
    );
    assert_eq!(
        format!("{:?}", live.mesh.coverage),
        format!("{:?}", saved.mesh.coverage)
    );
    assert!(
        saved
            .description
            .contains("mesh.tar.zst` of context `admin`, taken 20"),
        "{}",
        saved.description
    );
}
