//! Policies for waypoints: the copies that `convert` makes, attached to Services.

use super::{Draft, Scope};
use crate::plan::document::{Phase, Write};
use crate::plan::landscape::Copy;
use std::collections::BTreeSet;

/// The copies for the Services of a namespace that get a waypoint.
pub fn steps(scope: &Scope<'_>, namespace: &str) -> Option<Draft> {
    let writes: Vec<Write> = copies(scope, namespace)
        .map(|copy| Write::Create {
            manifest: copy.manifest.clone(),
        })
        .collect();
    if writes.is_empty() {
        return None;
    }
    Some(Draft {
        phase: Phase::Policies,
        about: namespace.to_owned(),
        title: format!("policies of {namespace} are attached to its Services, for the waypoint"),
        requires: Vec::new(),
        writes,
        checks: Vec::new(),
        undo: "the copies are deleted",
    })
}

/// The copies that are attached to a Service which gets a waypoint.
pub fn copies<'a>(scope: &'a Scope<'_>, namespace: &'a str) -> impl Iterator<Item = &'a Copy> {
    let services: BTreeSet<&str> = scope
        .prepared
        .get(namespace)
        .into_iter()
        .flatten()
        .map(|&server| scope.landscape.servers[server].service.name())
        .collect();
    scope
        .landscape
        .copies
        .values()
        .flatten()
        .filter(move |copy| copy.id.namespace.as_deref() == Some(namespace))
        .filter(move |copy| {
            copy.targets
                .iter()
                .any(|target| services.contains(target.as_str()))
        })
}
