//! Pods are made anew without a sidecar, workload by workload.

use super::{Draft, Scope, identity, label_value, target};
use crate::plan::document::{Check, MOVED, Phase, Write};
use serde_json::json;

/// The workloads of a wave.
pub fn steps(scope: &Scope<'_>, wave: usize) -> Option<Draft> {
    let (namespace, own) = scope.order.waves.get(wave)?;
    let (mut writes, mut checks) = (Vec::new(), Vec::new());
    for &index in own {
        let target = target(scope.mover(index).object);
        let mut manifest = identity(&target);
        // All at once: a template that is changed once replaces its pods once.
        manifest["spec"]["template"]["metadata"]["labels"] = json!({
            "sidecar.istio.io/inject": "false",
            "istio.io/dataplane-mode": "ambient",
            MOVED: label_value(&target.name),
        });
        writes.push(Write::Set { manifest });
        checks.push(Check::Moved { workload: target });
    }
    let title = match own.len() {
        1 => format!("1 workload of {namespace} goes on without sidecars"),
        several => format!("{several} workloads of {namespace} go on without sidecars, one after the other"),
    };
    Some(Draft {
        phase: Phase::Move,
        about: namespace.clone(),
        title,
        requires: Vec::new(),
        writes,
        checks,
        undo: "the pods are made anew with sidecars",
    })
}
