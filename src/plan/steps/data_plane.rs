//! The node proxies and the CNI agent: they are there, or ours are rolled out.

use super::{Draft, Scope};
use crate::plan::document::{Check, Phase};
use model::Kind;

/// The first step.
pub fn steps(scope: &Scope<'_>) -> Vec<Draft> {
    if scope.moves_at.is_empty() {
        return Vec::new();
    }
    let writes = scope.options.payload.clone();
    let title = if writes.is_empty() {
        "the node proxies and the CNI agent of ambient mode run on every node"
    } else {
        "mesh-proxy and mesh-agent are rolled out to every node"
    };
    let mut checks: Vec<Check> = writes
        .iter()
        .map(super::super::document::Write::target)
        .filter(|target| target.kind == "DaemonSet")
        .map(|target| Check::DaemonSetReady {
            namespace: target.namespace.unwrap_or_default(),
            name: target.name,
        })
        .collect();
    if writes.is_empty() {
        checks = ["ztunnel", "istio-cni-node"].map(|app| stock(scope, app)).into();
    }
    vec![Draft {
        phase: Phase::DataPlane,
        about: "nodes".to_owned(),
        title: title.to_owned(),
        requires: Vec::new(),
        writes,
        checks,
        undo: "what was rolled out is removed",
    }]
}

/// Istio's DaemonSet of this label, wherever it is installed.
fn stock(scope: &Scope<'_>, app: &str) -> Check {
    let found = scope
        .landscape
        .workloads
        .iter()
        .map(|mover| mover.object)
        .find(|object| {
            let labels = &object.spec.template.metadata.labels;
            let is_app = labels
                .get("app")
                .or_else(|| labels.get("k8s-app"))
                .is_some_and(|value| value == app);
            object.id.kind == Kind::DaemonSet && (is_app || object.name() == app)
        });
    Check::DaemonSetReady {
        namespace: found
            .map_or(&*scope.landscape.mesh.settings.root_namespace, |object| {
                object.namespace()
            })
            .to_owned(),
        name: found.map_or(app, |object| object.name()).to_owned(),
    }
}
