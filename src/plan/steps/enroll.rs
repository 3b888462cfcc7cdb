//! A namespace whose workloads have moved says so itself, for pods to come.

use super::{Draft, Scope, labelled};
use crate::plan::document::{Check, Phase};
use serde_json::json;

/// The namespace of a wave, if no pod would be enrolled that was not meant.
pub fn steps(scope: &Scope<'_>, wave: usize) -> Option<Draft> {
    let (namespace, _) = scope.order.waves.get(wave)?;
    let has_others = scope.landscape.workloads.iter().any(|mover| {
        mover.object.namespace() == namespace && !mover.membership.candidate && !mover.membership.meshed
    });
    let object = scope.landscape.namespace(namespace)?;
    if has_others || object.meta.labels.contains_key("istio.io/dataplane-mode") {
        return None;
    }
    Some(Draft {
        phase: Phase::Enroll,
        about: namespace.clone(),
        title: format!("{namespace} is labelled for ambient mode"),
        requires: Vec::new(),
        writes: vec![labelled(object, &json!({ "istio.io/dataplane-mode": "ambient" }))],
        checks: vec![Check::Settled { seconds: 1 }],
        undo: "the label is taken off",
    })
}
