//! Random meshes: a few namespaces with workloads that call each other under policies of every kind.

use mesh_migrate::input::files::{Text, read_texts};
use model::Mesh;
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

/// The documents of a mesh.
pub type Documents = Vec<Json>;

const NAMESPACES: [&str; 3] = ["a", "b", "c"];

/// Reads documents as the program does.
pub fn mesh(documents: &[Json]) -> Mesh {
    let input = read_texts(&[Text {
        name: "mesh.yaml".into(),
        content: yaml(documents),
    }]);
    assert!(input.errors.is_empty(), "{:?}", input.errors);
    input.mesh
}

/// Documents as a person would save them.
pub fn yaml(documents: &[Json]) -> String {
    let texts: Vec<String> = documents.iter().map(model::yaml::to_text).collect();
    texts.join("---\n")
}

/// A mesh.
pub fn documents() -> impl Strategy<Value = Documents> {
    (
        prop::collection::vec(workload(), 2..6),
        prop::collection::vec(policy(), 0..5),
        modes(),
        prop::collection::vec(namespace_label(), 3),
        prop::option::weighted(0.3, 0..6usize),
        prop::option::weighted(0.2, 0..5usize),
    )
        .prop_map(|(workloads, policies, modes, labels, tokens, gateway)| {
            let mut documents: Documents = NAMESPACES
                .iter()
                .zip(labels)
                .map(|(name, labels)| {
                    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } })
                })
                .collect();
            for (index, workload) in workloads.iter().enumerate() {
                documents.extend(workload.documents(index));
            }
            documents.extend(modes);
            let place = |index: usize| workloads[index % workloads.len()].namespace;
            for (index, (on, spec)) in policies.into_iter().enumerate() {
                documents.push(attached("AuthorizationPolicy", &format!("p{index}"), on, named(spec, place), place));
            }
            if let Some(on) = tokens {
                let spec = json!({ "jwtRules": [{ "issuer": "issuer", "jwks": "{}" }] });
                let on = On::Workload(on);
                documents.push(attached("RequestAuthentication", "tokens", on, spec, place));
            }
            if let Some(to) = gateway {
                documents.extend(ingress(to, place(to)));
            }
            documents
        })
}

/// Labels of a namespace: in the mesh by sidecars, by ambient mode, or not at all.
fn namespace_label() -> impl Strategy<Value = Json> {
    prop_oneof![
        18 => Just(json!({ "istio-injection": "enabled" })),
        1 => Just(json!({ "istio.io/dataplane-mode": "ambient" })),
        1 => Just(json!({})),
    ]
}

#[derive(Debug, Clone)]
struct Workload {
    namespace: &'static str,
    kind: &'static str,
    own_account: bool,
    injected: Option<&'static str>,
    services: Vec<Service>,
    tier: bool,
}

#[derive(Debug, Clone)]
struct Service {
    headless: bool,
    by_tier: bool,
    ports: Json,
}

fn workload() -> impl Strategy<Value = Workload> {
    (
        prop::sample::select(&NAMESPACES[..]),
        prop_oneof![12 => Just("Deployment"), 1 => Just("StatefulSet"), 1 => Just("DaemonSet"), 1 => Just("Job")],
        prop::bool::weighted(0.8),
        prop::option::weighted(0.05, prop::sample::select(&["true", "false"][..])),
        prop_oneof![1 => Just(Vec::new()), 6 => prop::collection::vec(service(), 1..3)],
        prop::bool::weighted(0.3),
    )
        .prop_map(|(namespace, kind, own_account, injected, services, tier)| Workload {
            namespace,
            kind,
            own_account,
            injected,
            services,
            tier,
        })
}

fn service() -> impl Strategy<Value = Service> {
    let ports = prop_oneof![
        4 => Just(json!([{ "name": "http", "port": 80, "targetPort": 8080 }])),
        1 => Just(json!([{ "name": "http", "port": 8080 }])),
        1 => Just(json!([{ "name": "http", "port": 80, "targetPort": 8080 }, { "name": "tcp-db", "port": 9000 }])),
        1 => Just(json!([{ "name": "http", "port": 80, "targetPort": "web" }, { "name": "grpc", "port": 9090 }])),
    ];
    (prop::bool::weighted(0.08), prop::bool::weighted(0.15), ports).prop_map(|(headless, by_tier, ports)| {
        Service {
            headless,
            by_tier,
            ports,
        }
    })
}

impl Workload {
    fn documents(&self, index: usize) -> Documents {
        let name = format!("w{index}");
        let mut labels = json!({ "app": name });
        if self.tier {
            labels["tier"] = json!("back");
        }
        if let Some(injected) = self.injected {
            labels["sidecar.istio.io/inject"] = json!(injected);
        }
        let mut pod = json!({
            "containers": [{ "name": "app", "image": "app", "ports": [{ "name": "web", "containerPort": 8080 }] }],
        });
        if self.own_account {
            pod["serviceAccountName"] = json!(name);
        }
        let version = if self.kind == "Job" { "batch/v1" } else { "apps/v1" };
        let mut workload = json!({
            "apiVersion": version, "kind": self.kind, "metadata": { "name": name, "namespace": self.namespace },
            "spec": { "template": { "metadata": { "labels": labels }, "spec": pod } },
        });
        if self.kind != "Job" {
            workload["spec"]["selector"] = json!({ "matchLabels": { "app": name } });
        }
        let mut documents = vec![workload];
        for (number, service) in self.services.iter().enumerate() {
            let selector = if service.by_tier {
                json!({ "tier": "back" })
            } else {
                json!({ "app": name })
            };
            let mut spec = json!({ "selector": selector, "ports": service.ports });
            if service.headless {
                spec["clusterIP"] = json!("None");
            }
            documents.push(json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": { "name": format!("s{index}-{number}"), "namespace": self.namespace }, "spec": spec,
            }));
        }
        documents
    }
}

/// Whom a policy is for.
#[derive(Debug, Clone)]
enum On {
    Workload(usize),
    Namespace(usize),
    Mesh,
}

fn attached(kind: &str, name: &str, on: On, mut spec: Json, place: impl Fn(usize) -> &'static str) -> Json {
    let namespace = match on {
        On::Workload(index) => {
            let app = format!("w{}", index % 5);
            spec["selector"] = json!({ "matchLabels": { "app": app } });
            place(index % 5)
        }
        On::Namespace(index) => place(index),
        On::Mesh => "istio-system",
    };
    json!({
        "apiVersion": "security.istio.io/v1", "kind": kind,
        "metadata": { "name": name, "namespace": namespace }, "spec": spec,
    })
}

/// The policy with the namespaces of the workloads that it names.
fn named(spec: Json, place: impl Fn(usize) -> &'static str) -> Json {
    let mut text = spec.to_string();
    for index in 0..6 {
        text = text.replace(&format!("/@{index}/"), &format!("/{}/", place(index)));
    }
    serde_json::from_str(&text).unwrap_or(spec)
}

/// A mesh in which every policy matters: each lets one workload in, for one thing, and nobody comes in the clear.
pub fn protected() -> impl Strategy<Value = Documents> {
    let guarded = (
        prop::sample::select(&NAMESPACES[..]),
        1..5usize,
        prop::sample::select(&["GET", "POST"][..]),
    );
    prop::collection::vec(guarded, 2..6).prop_map(|workloads| {
        let mut documents: Documents = NAMESPACES
            .iter()
            .map(|name| {
                let labels = json!({ "istio-injection": "enabled" });
                json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } })
            })
            .collect();
        documents.push(peers("istio-system", json!({ "mtls": { "mode": "STRICT" } })));
        let ports = json!([{ "name": "http", "port": 80, "targetPort": 8080 }]);
        let service = Service { headless: false, by_tier: false, ports };
        for (index, (namespace, caller, method)) in workloads.iter().enumerate() {
            let workload = Workload {
                namespace,
                kind: "Deployment",
                own_account: true,
                injected: None,
                services: vec![service.clone()],
                tier: false,
            };
            documents.extend(workload.documents(index));
            let caller = (index + caller) % workloads.len();
            let principal = format!("cluster.local/ns/{}/sa/w{caller}", workloads[caller].0);
            let rule = json!({
                "from": [{ "source": { "principals": [principal] } }], "to": [{ "operation": { "methods": [method] } }],
            });
            let on = On::Workload(index);
            documents.push(attached("AuthorizationPolicy", &format!("p{index}"), on, json!({ "rules": [rule] }), |_| namespace));
        }
        documents
    })
}

fn policy() -> impl Strategy<Value = (On, Json)> {
    let on = prop_oneof![
        30 => (0..5usize).prop_map(On::Workload),
        2 => (0..5usize).prop_map(On::Namespace),
        1 => Just(On::Mesh),
    ];
    let action = prop_oneof![5 => Just("ALLOW"), 4 => Just("DENY"), 1 => Just("CUSTOM"), 1 => Just("AUDIT")];
    (
        on,
        action,
        prop::collection::vec((sources(), operations(), conditions()), 1..3),
    )
        .prop_map(|(on, action, rules)| {
            let rules: Vec<Json> = rules
                .into_iter()
                .map(|(from, to, when)| {
                    let mut rule = Map::new();
                    // A provider may not be asked by identity.
                    if action != "CUSTOM" {
                        rule.extend(from.map(|from| ("from".to_owned(), json!([{ "source": from }]))));
                    }
                    rule.extend(to.map(|to| ("to".to_owned(), json!([{ "operation": to }]))));
                    rule.extend(when.map(|when| ("when".to_owned(), json!([when]))));
                    Json::Object(rule)
                })
                .collect();
            let mut spec = json!({ "action": action, "rules": rules });
            if action == "CUSTOM" {
                spec["provider"] = json!({ "name": "provider" });
            }
            (on, spec)
        })
}

fn sources() -> impl Strategy<Value = Option<Json>> {
    let principal =
        |range: std::ops::Range<u8>| range.prop_map(|index| format!("cluster.local/ns/@{index}/sa/w{index}"));
    let source = prop_oneof![
        4 => principal(0..5).prop_map(|name| json!({ "principals": [name] })),
        1 => principal(0..5).prop_map(|name| json!({ "notPrincipals": [name] })),
        2 => prop::sample::select(&NAMESPACES[..]).prop_map(|name| json!({ "namespaces": [name] })),
        1 => prop::sample::select(&NAMESPACES[..]).prop_map(|name| json!({ "notNamespaces": [name] })),
        1 => Just(json!({ "requestPrincipals": ["*"] })),
        1 => Just(json!({ "principals": ["*"] })),
        1 => Just(json!({ "ipBlocks": ["10.1.0.0/16"] })),
    ];
    prop::option::weighted(0.5, source)
}

fn operations() -> impl Strategy<Value = Option<Json>> {
    let operation = prop_oneof![
        3 => prop::sample::select(&["GET", "POST"][..]).prop_map(|method| json!({ "methods": [method] })),
        3 => prop::sample::select(&["/a", "/a*", "*.x"][..]).prop_map(|path| json!({ "paths": [path] })),
        1 => Just(json!({ "notPaths": ["/public*"] })),
        1 => Just(json!({ "ports": ["8080"] })),
        1 => Just(json!({ "ports": ["8080"], "methods": ["GET"] })),
        1 => Just(json!({ "hosts": ["shop.example"] })),
    ];
    prop::option::weighted(0.6, operation)
}

fn conditions() -> impl Strategy<Value = Option<Json>> {
    let condition = prop_oneof![
        Just(json!({ "key": "request.headers[x-a]", "values": ["1"] })),
        Just(json!({ "key": "request.headers[x-a]", "notValues": ["1"] })),
        Just(json!({ "key": "source.namespace", "values": ["a"] })),
    ];
    prop::option::weighted(0.15, condition)
}

/// Modes of mutual TLS: for the mesh, and at times for a namespace or a workload.
fn modes() -> impl Strategy<Value = Documents> {
    let mesh = prop_oneof![8 => Just(Some("STRICT")), 1 => Just(Some("PERMISSIVE")), 1 => Just(None)];
    let namespace = prop::option::weighted(0.1, prop::sample::select(&["STRICT", "PERMISSIVE"][..]));
    let port = prop::option::weighted(
        0.15,
        (0..5u8, prop::sample::select(&["STRICT", "PERMISSIVE"][..])),
    );
    (mesh, namespace, port).prop_map(|(mesh, namespace, port)| {
        let mut documents = Documents::new();
        documents.extend(mesh.map(|mode| peers("istio-system", json!({ "mtls": { "mode": mode } }))));
        documents.extend(namespace.map(|mode| peers("a", json!({ "mtls": { "mode": mode } }))));
        documents.extend(port.map(|(index, mode)| {
            let selector = json!({ "matchLabels": { "app": format!("w{index}") } });
            peers(
                "b",
                json!({ "selector": selector, "portLevelMtls": { "8080": { "mode": mode } } }),
            )
        }));
        documents
    })
}

fn peers(namespace: &str, spec: Json) -> Json {
    json!({
        "apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication",
        "metadata": { "name": "default", "namespace": namespace }, "spec": spec,
    })
}

/// A gateway, and a route from it to a Service of a workload.
fn ingress(workload: usize, namespace: &str) -> [Json; 2] {
    let gateway = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "istio-ingressgateway", "namespace": "istio-system" },
        "spec": { "template": {
            "metadata": { "labels": { "istio": "ingressgateway" } },
            "spec": { "serviceAccountName": "istio-ingressgateway", "containers": [{ "name": "istio-proxy" }] },
        } },
    });
    let host = format!("s{workload}-0.{namespace}.svc.cluster.local");
    let route = json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": { "name": "public", "namespace": "istio-system" },
        "spec": {
            "hosts": ["shop.example"], "gateways": ["istio-system/public"],
            "http": [{ "route": [{ "destination": { "host": host } }] }],
        },
    });
    [gateway, route]
}
