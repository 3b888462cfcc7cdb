use super::*;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Container, PodSpec, ServiceAccount};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role as RbacRole, RoleBinding,
};
use serde_json::Value;

fn plain() -> Settings {
    Settings {
        namespace: "istio-system".parse().unwrap(),
        revision: None,
        istiod: None,
        cluster_id: None,
        cluster_domain: None,
        network: None,
        pull_secret: None,
        cni_net_dir: "/etc/cni/net.d".parse().unwrap(),
        cni_bin_dir: "/opt/cni/bin".parse().unwrap(),
        cni_conf_name: None,
        dns_capture: true,
        log_level: None,
    }
}

/// Everything given, with names that YAML would take for something else.
fn odd() -> Settings {
    Settings {
        namespace: "true".parse().unwrap(),
        revision: Some("1-31".parse().unwrap()),
        cluster_id: Some("0x1f".parse().unwrap()),
        cluster_domain: Some("mesh.example".parse().unwrap()),
        network: Some("1e3".parse().unwrap()),
        pull_secret: Some("null".parse().unwrap()),
        cni_net_dir: "/etc/kubernetes/cni/net.d".parse().unwrap(),
        cni_bin_dir: "/home/kubernetes/bin".parse().unwrap(),
        cni_conf_name: Some("10-containerd-net.conflist".parse().unwrap()),
        dns_capture: false,
        log_level: Some(LogLevel::Debug),
        ..plain()
    }
}

fn text(role: Role, settings: &Settings) -> String {
    let image = format!("registry.example.com/mesh/{}:0.1.0", role.name());
    manifest(role, &image.parse().unwrap(), settings)
}

/// The objects, by an independent reader of YAML.
fn objects(text: &str) -> Vec<Value> {
    let documents = serde_yaml::Deserializer::from_str(text);
    documents
        .map(|document| serde::Deserialize::deserialize(document).unwrap())
        .collect()
}

/// An object as its type, which must hold every field of it: a name that is spelled wrongly would vanish.
fn typed<T: serde::de::DeserializeOwned + serde::Serialize>(object: &Value) -> T {
    let typed: T = serde_json::from_value(object.clone()).unwrap();
    let mut back = serde_json::to_value(&typed).unwrap();
    // Types leave empty defaults out or in; what matters is that nothing of ours is lost.
    assert_eq!(missing(object, &mut back), Vec::<String>::new());
    typed
}

fn missing(wanted: &Value, found: &mut Value) -> Vec<String> {
    match wanted {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| match found.get_mut(key) {
                Some(found) => missing(value, found),
                None => vec![key.clone()],
            })
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(at, item)| missing(item, &mut found[at]))
            .collect(),
        scalar if scalar == found => Vec::new(),
        scalar => vec![format!("{scalar} became {found}")],
    }
}

fn daemon_set(text: &str) -> DaemonSet {
    let objects = objects(text);
    typed(
        objects
            .iter()
            .find(|object| object["kind"] == "DaemonSet")
            .unwrap(),
    )
}

fn pod(set: &DaemonSet) -> (&PodSpec, &Container) {
    let pod = set.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    (pod, &pod.containers[0])
}

#[test]
fn golden() {
    for (name, settings) in [("plain", plain()), ("odd", odd())] {
        for role in Role::ALL {
            insta::assert_snapshot!(format!("{}_{name}", role.name()), text(role, &settings));
        }
    }
}

#[test]
fn every_object_is_of_its_type_with_all_fields() {
    for settings in [plain(), odd()] {
        let texts: String = Role::ALL
            .iter()
            .map(|role| text(*role, &settings) + "---\n")
            .collect();
        let mut kinds = Vec::new();
        for object in objects(&texts).iter().filter(|object| !object.is_null()) {
            let kind = object["kind"].as_str().unwrap();
            kinds.push(kind.to_owned());
            let namespace = &object["metadata"]["namespace"];
            assert_eq!(namespace.is_null(), kind.starts_with("Cluster"));
            assert!(namespace.is_null() || namespace == settings.namespace.as_ref());
            match kind {
                "ServiceAccount" => drop(typed::<ServiceAccount>(object)),
                "ClusterRole" => drop(typed::<ClusterRole>(object)),
                "ClusterRoleBinding" => drop(typed::<ClusterRoleBinding>(object)),
                "Role" => drop(typed::<RbacRole>(object)),
                "RoleBinding" => drop(typed::<RoleBinding>(object)),
                "DaemonSet" => drop(typed::<DaemonSet>(object)),
                other => panic!("{other}"),
            }
        }
        let proxy = ["ServiceAccount", "DaemonSet"];
        let agent = [
            "ServiceAccount",
            "ClusterRole",
            "ClusterRoleBinding",
            "Role",
            "RoleBinding",
            "DaemonSet",
        ];
        assert_eq!(kinds, [&proxy[..], &agent].concat());
    }
}

#[test]
fn what_the_containers_may_is_what_is_written_here_and_nothing_else() {
    for (role, capabilities) in [
        (Role::Proxy, &["SYS_ADMIN", "NET_ADMIN"][..]),
        (
            Role::Agent,
            &["SYS_ADMIN", "SYS_CHROOT", "SYS_PTRACE", "NET_ADMIN", "NET_RAW"],
        ),
    ] {
        let set = daemon_set(&text(role, &plain()));
        let (_, container) = pod(&set);
        let security = container.security_context.as_ref().unwrap();
        let caps = security.capabilities.as_ref().unwrap();
        assert_eq!(caps.add.as_deref().unwrap(), capabilities);
        assert_eq!(caps.drop.as_deref().unwrap(), ["ALL"]);
        assert_eq!(security.privileged, Some(false));
        assert_eq!(security.allow_privilege_escalation, Some(false));
        assert_eq!(security.read_only_root_filesystem, Some(true));
    }
    let texts = text(Role::Agent, &plain());
    let objects = objects(&texts);
    let rules = |kind: &str| {
        let object = objects.iter().find(|object| object["kind"] == kind).unwrap();
        let rules: Vec<PolicyRule> = serde_json::from_value(object["rules"].clone()).unwrap();
        let flat = rules.into_iter().flat_map(|rule| {
            let resource = rule.resources.unwrap().join(",");
            rule.verbs
                .into_iter()
                .map(move |verb| format!("{verb} {resource}"))
        });
        flat.collect::<Vec<_>>()
    };
    assert_eq!(
        rules("ClusterRole"),
        [
            "list pods",
            "watch pods",
            "get pods",
            "list namespaces",
            "watch namespaces",
            "get namespaces",
            "patch pods/status"
        ]
    );
    assert_eq!(rules("Role"), ["get daemonsets"]);
}

/// Each capability, verb and host path has its reason on its line.
#[test]
fn every_permission_is_explained() {
    for role in Role::ALL {
        let text = text(role, &plain());
        let mut explained = 0;
        let mut inside = None;
        for line in text.lines() {
            let indent = line.len() - line.trim_start().len();
            let item = line.trim_start().starts_with("- ");
            match line.trim() {
                "verbs:" | "add:" | "volumes:" => inside = Some(indent),
                _ if inside.is_some_and(|at| indent < at || (indent == at && !item)) => inside = None,
                _ if inside == Some(indent) && item => {
                    assert!(line.contains(" # "), "{line}");
                    explained += 1;
                }
                _ => {}
            }
            if ["hostNetwork:", "hostPID:", "runAsUser:"]
                .iter()
                .any(|key| line.contains(key))
            {
                assert!(line.contains(" # "), "{line}");
            }
        }
        assert_eq!(explained, if role == Role::Proxy { 2 + 3 } else { 5 + 8 + 5 });
    }
}

#[test]
fn applying_over_a_stock_ztunnel_replaces_it() {
    let set = daemon_set(&text(Role::Proxy, &plain()));
    let selector = set.spec.as_ref().unwrap().selector.match_labels.as_ref().unwrap();
    assert_eq!(
        selector
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect::<Vec<_>>(),
        ["app=ztunnel"]
    );
    let (spec, container) = pod(&set);
    assert_eq!(set.metadata.name.as_deref(), Some("ztunnel"));
    assert_eq!(spec.service_account_name.as_deref(), Some("ztunnel"));
    assert_eq!(container.name, "istio-proxy");
}

#[test]
fn the_proxy_finds_istiod_by_revision_and_address() {
    let revision = |name: &str| Some(name.parse().unwrap());
    for (settings, expected) in [
        (plain(), "istiod.istio-system.svc:15012"),
        (
            Settings {
                revision: revision("1-31"),
                ..plain()
            },
            "istiod-1-31.istio-system.svc:15012",
        ),
        (
            Settings {
                revision: revision("default"),
                ..plain()
            },
            "istiod.istio-system.svc:15012",
        ),
        (
            Settings {
                istiod: Some("10.1.2.3:15012".parse().unwrap()),
                ..odd()
            },
            "10.1.2.3:15012",
        ),
    ] {
        let set = daemon_set(&text(Role::Proxy, &settings));
        let env = pod(&set).1.env.as_ref().unwrap();
        let value = |name: &str| {
            env.iter()
                .find(|e| e.name == name)
                .unwrap()
                .value
                .as_deref()
                .unwrap()
        };
        assert_eq!((value("XDS_ADDRESS"), value("CA_ADDRESS")), (expected, expected));
    }
}

/// The proxy itself reads the environment that its manifest gives it.
#[test]
fn the_proxy_reads_its_environment() {
    let read = |settings: &Settings| {
        let set = daemon_set(&text(Role::Proxy, settings));
        let env = pod(&set).1.env.clone().unwrap();
        let find = |name: &str| {
            let found = env.iter().find(|variable| variable.name == name)?;
            Some(found.value.clone().unwrap_or_else(|| "192.0.2.1".to_owned()))
        };
        let names: Vec<_> = env.iter().map(|variable| variable.name.clone()).collect();
        proxy::config::Config::read(&proxy::config::Environment(&find), &names).unwrap()
    };
    let config = read(&plain());
    assert_eq!(
        (config.xds.host.as_str(), config.ca.port),
        ("istiod.istio-system.svc", 15012)
    );
    assert_eq!(
        (config.cluster_id.as_str(), config.drain.as_secs(), config.dns),
        ("Kubernetes", 25, true)
    );
    assert!(
        ![
            &config.node,
            &config.pod_name,
            &config.pod_namespace,
            &config.service_account
        ]
        .contains(&&String::new())
    );
    let config = read(&odd());
    assert_eq!((config.cluster_id.as_str(), &*config.network), ("0x1f", "1e3"));
    assert_eq!(
        (config.cluster_domain.as_str(), config.dns, config.log.as_str()),
        ("mesh.example", false, "debug")
    );
}
