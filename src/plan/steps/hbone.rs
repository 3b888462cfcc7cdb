//! Sidecars that do not speak HBONE are restarted: waypoints reach servers by it, and taught clients use it.

use super::{Draft, Scope, is_controller, target};
use crate::plan::document::{Check, Phase, Write};
use crate::plan::restart;
use crate::precheck;
use serde_json::json;
use std::collections::BTreeMap;

/// The annotation whose change restarts the pods.
const RESTARTED: &str = "mesh-migrate.io/restarted-for";

/// A step for each namespace that has such sidecars; nothing is known of them in files.
pub fn steps(scope: &Scope<'_>) -> Vec<Draft> {
    if scope.moves_at.is_empty() {
        return Vec::new();
    }
    let old = precheck::without_hbone(scope.landscape.mesh);
    let mut namespaces: BTreeMap<&str, (Vec<Write>, Vec<Check>)> = BTreeMap::new();
    for (index, mover) in scope.landscape.workloads.iter().enumerate() {
        let object = mover.object;
        let key = (
            object.namespace().to_owned(),
            format!("{}/{}", object.id.kind, object.name()),
        );
        if !mover.membership.candidate || !is_controller(&object.id.kind) || !old.contains(&key) {
            continue;
        }
        // What stays for the sake of its pods is not restarted for this either.
        if !scope.moves_at.contains_key(&index)
            && restart::noticed(scope.landscape, object, !mover.servers.is_empty()).is_some()
        {
            continue;
        }
        let target = target(object);
        let mut manifest = super::identity(&target);
        manifest["spec"]["template"]["metadata"]["annotations"] = json!({ RESTARTED: "hbone" });
        let (writes, checks) = namespaces.entry(object.namespace()).or_default();
        writes.push(Write::Set { manifest });
        checks.push(Check::HasSidecars {
            workload: target,
            hbone: true,
        });
    }
    namespaces
        .into_iter()
        .map(|(namespace, (writes, checks))| Draft {
            phase: Phase::Hbone,
            about: namespace.to_owned(),
            title: format!("sidecars in {namespace} that do not speak HBONE yet are restarted"),
            requires: Vec::new(),
            writes,
            checks,
            undo: "the pods are restarted once more",
        })
        .collect()
}
