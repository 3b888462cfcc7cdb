//! Before pods move: old policies are for sidecars alone, and moved pods let nobody in but their waypoint.

use super::admit::{WITH_SIDECAR, allow, judges_identity, narrowed};
use super::{Draft, Scope, label_value};
use crate::plan::document::{Check, MOVED, Phase};
use crate::plan::landscape::WorkloadIndex;
use std::collections::{BTreeMap, BTreeSet};

/// The workloads of a wave whose requests are judged at a waypoint.
pub fn steps(scope: &Scope<'_>, wave: usize) -> Option<Draft> {
    let (namespace, own) = scope.order.waves.get(wave)?;
    let judged = scope.judged(namespace);
    let own: Vec<WorkloadIndex> = own
        .iter()
        .copied()
        .filter(|index| judged.contains(index))
        .collect();
    let principal = scope.principal(namespace);
    let mut writes = Vec::new();
    for &index in &own {
        let name = scope.mover(index).object.name();
        let labels = BTreeMap::from([(MOVED.to_owned(), label_value(name))]);
        writes.push(allow(namespace, &format!("{name}-guard"), &labels, &principal));
    }
    let mut seen = BTreeSet::new();
    for policy in own.iter().flat_map(|&index| &scope.mover(index).policies) {
        let has = policy
            .spec
            .selector
            .as_ref()
            .and_then(|s| s.match_labels.get(WITH_SIDECAR.0));
        if seen.insert(&policy.id) && !judges_identity(&policy.spec) && has.is_none() {
            writes.push(narrowed(policy, WITH_SIDECAR));
        }
    }
    if writes.is_empty() {
        return None;
    }
    Some(Draft {
        phase: Phase::Guard,
        about: namespace.clone(),
        title: format!(
            "policies of {namespace} keep to sidecars; moved pods will let nobody in but the waypoint"
        ),
        requires: Vec::new(),
        writes,
        checks: vec![Check::Settled { seconds: 5 }],
        undo: "the policies get their selectors back",
    })
}
