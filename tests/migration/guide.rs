//! The official guide (istio.io, "Migrate from Sidecar to Ambient"), step by step, with what it says of waypoints and
//! bypasses where it leaves a choice: written out in `guide/*.yaml`.

use crate::mesh::Mesh;
use crate::streams::NAMESPACES;
use bed::eventually;
use std::time::Duration;

const WAYPOINTS: &str = include_str!("guide/waypoints.yaml");
const POLICIES: &str = include_str!("guide/policies.yaml");
const GUARD: &str = include_str!("guide/guard.yaml");

/// What someone who follows a page takes to look at what a command did, and to read on.
const READING: Duration = Duration::from_secs(8);

/// What is told to use the waypoint: the guide shows both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// All of a namespace.
    Namespaces,
    /// The Services that have policies or routes of layer 7.
    Services,
}

/// What the guide deletes in a namespace after the restart.
const REPLACED: [(&str, &[&str]); 3] = [
    (
        "market",
        &[
            "authorizationpolicy/web-no-admin",
            "authorizationpolicy/web-no-debug",
            "virtualservice/web",
            "destinationrule/web",
        ],
    ),
    ("stock", &["authorizationpolicy/catalog"]),
    (
        "pay",
        &[
            "authorizationpolicy/accounts",
            "authorizationpolicy/vault",
            "authorizationpolicy/orders",
            "requestauthentication/buyers",
        ],
    ),
];

/// The Services with policies or routes of layer 7.
const PROTECTED: [(&str, &[&str]); 3] = [
    ("market", &["web"]),
    ("stock", &["catalog"]),
    ("pay", &["accounts", "vault", "orders"]),
];

fn of<'a>(table: &[(&str, &'a [&'a str])], namespace: &str) -> &'a [&'a str] {
    let found = table.iter().find(|(name, _)| *name == namespace);
    found.map_or(&[], |(_, names)| names)
}

/// From the restart for HBONE to the guard. The components of ambient mode are there already.
pub fn follow(mesh: &Mesh<'_>, bound: Bound) {
    mesh.phase("HBONE: Deployments restarted");
    for namespace in NAMESPACES {
        mesh.restart(namespace, "deployment");
    }
    std::thread::sleep(READING);
    mesh.phase("waypoints deployed, not used yet");
    mesh.apply(WAYPOINTS);
    for namespace in NAMESPACES {
        ready(mesh, namespace);
    }
    std::thread::sleep(READING);
    mesh.phase("policies and routes rewritten");
    mesh.apply(POLICIES);
    std::thread::sleep(READING);
    for namespace in NAMESPACES {
        enable(mesh, namespace, bound);
    }
    mesh.phase("StatefulSets and DaemonSets restarted (not in the guide)");
    for namespace in NAMESPACES {
        if !mesh.workloads(namespace, "statefulset,daemonset").is_empty() {
            mesh.restart(namespace, "statefulset,daemonset");
        }
    }
    std::thread::sleep(READING);
    mesh.phase("guard against bypasses");
    mesh.apply(GUARD);
    std::thread::sleep(READING);
    mesh.wait_gone();
    mesh.phase("afterwards");
    std::thread::sleep(2 * READING);
}

/// "Enable ambient mode", steps 1 to 6, of one namespace.
fn enable(mesh: &Mesh<'_>, namespace: &str, bound: Bound) {
    let begin = |step: &str| mesh.phase(&format!("{namespace}: {step}"));
    let label = |arguments: &[&str]| {
        mesh.kubectl(&[&["label"], arguments].concat());
        std::thread::sleep(READING);
    };
    begin("waypoint used");
    match bound {
        Bound::Namespaces => label(&["namespace", namespace, "istio.io/use-waypoint=waypoint"]),
        Bound::Services => {
            let services = of(&PROTECTED, namespace);
            let which = ["--namespace", namespace, "service"];
            label(&[&which[..], services, &["istio.io/use-waypoint=waypoint"]].concat());
        }
    }
    ready(mesh, namespace);
    begin("ambient mode enabled");
    label(&["namespace", namespace, "istio.io/dataplane-mode=ambient"]);
    begin("injection off");
    label(&["namespace", namespace, "istio-injection-"]);
    begin("Deployments restarted");
    mesh.kubectl(&["--namespace", namespace, "rollout", "restart", "deployment"]);
    mesh.wait_ready_in(namespace, "deployment");
    begin("old policies deleted");
    mesh.kubectl(&[&["--namespace", namespace, "delete"], of(&REPLACED, namespace)].concat());
    std::thread::sleep(READING);
    begin("validated");
    std::thread::sleep(READING);
}

fn ready(mesh: &Mesh<'_>, namespace: &str) {
    eventually(Duration::from_secs(180), || {
        let gateway = "--output=jsonpath={.status.conditions[?(@.type=='Programmed')].status}";
        match mesh.kubectl(&["--namespace", namespace, "get", "gateway", "waypoint", gateway]) {
            status if status == "True" => Ok(()),
            status => Err(format!("{namespace}: {status}")),
        }
    });
    mesh.wait_ready_in(namespace, "deployment");
}
