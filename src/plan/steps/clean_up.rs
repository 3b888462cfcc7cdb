//! What nobody reads any more goes. Nothing needs this step, so it asks.

use super::admit::{copy_name, judges_identity};
use super::{Draft, Scope, target};
use crate::plan::document::{Check, Phase, Target, Write};
use model::security::Action;
use std::collections::BTreeSet;

/// One step for each namespace of which something goes.
pub fn steps(scope: &Scope<'_>) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for (namespace, own) in &scope.order.waves {
        let mut writes = policies(scope, namespace, own);
        let all_moved = scope
            .landscape
            .workloads
            .iter()
            .enumerate()
            .all(|(index, mover)| {
                mover.object.namespace() != namespace
                    || !mover.membership.candidate
                    || scope.moves_at.contains_key(&index)
            });
        if all_moved {
            writes.extend(injection(scope, namespace));
        }
        if writes.is_empty() {
            continue;
        }
        drafts.push(Draft {
            phase: Phase::CleanUp,
            about: namespace.clone(),
            title: format!("policies for sidecars, and injection, are taken away from {namespace}"),
            requires: Vec::new(),
            writes,
            checks: vec![Check::Settled { seconds: 1 }],
            undo: "everything is written again as it was",
        });
    }
    drafts
}

/// Policies that only pods with a sidecar read, where none is left.
fn policies(scope: &Scope<'_>, namespace: &str, own: &[usize]) -> Vec<Write> {
    let judged = scope.judged(namespace);
    let is_left =
        |index: usize| scope.mover(index).membership.candidate && !scope.moves_at.contains_key(&index);
    let (mut writes, mut seen) = (Vec::new(), BTreeSet::new());
    for &index in own.iter().filter(|index| judged.contains(index)) {
        let mover = scope.mover(index);
        if mover
            .policies
            .iter()
            .any(|policy| policy.spec.action() == Action::Allow)
        {
            writes.push(ours(
                namespace,
                &format!("{}-admit-waypoint", mover.object.name()),
            ));
        }
        for policy in &mover.policies {
            let mut readers = scope.landscape.selected.get(&policy.id).into_iter().flatten();
            if !seen.insert(policy.id.clone()) || readers.any(|&reader| is_left(reader)) {
                continue;
            }
            if judges_identity(&policy.spec) {
                writes.push(ours(policy.namespace(), &copy_name(policy)));
            }
            writes.push(Write::Delete {
                object: target(policy),
            });
        }
    }
    writes
}

fn ours(namespace: &str, name: &str) -> Write {
    Write::Delete {
        object: Target {
            api_version: "security.istio.io/v1".to_owned(),
            kind: "AuthorizationPolicy".to_owned(),
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
        },
    }
}

/// The label by which the namespace asks for sidecars.
fn injection(scope: &Scope<'_>, namespace: &str) -> Option<Write> {
    let object = scope.landscape.namespace(namespace)?;
    let labels = &object.meta.labels;
    let label = ["istio-injection", "istio.io/rev"]
        .into_iter()
        .find(|label| labels.contains_key(*label))?;
    Some(Write::Unlabel {
        object: target(object),
        label: label.to_owned(),
        value: labels.get(label)?.clone(),
    })
}
