//! Waypoints: one for the Services of a namespace.

use super::{Draft, Scope, created};
use crate::convert::waypoint::gateway;
use crate::plan::document::{Check, Phase};
use crate::plan::landscape::Landscape;
use model::Object;
use model::traffic::Gateway;

/// The name of the waypoint that a namespace has, or gets.
pub fn name(landscape: &Landscape<'_>, namespace: &str) -> String {
    existing(landscape, namespace).map_or_else(|| "waypoint".to_owned(), |gateway| gateway.name().to_owned())
}

/// A waypoint for Services that the namespace has already.
fn existing<'a>(landscape: &Landscape<'a>, namespace: &str) -> Option<&'a Object<Gateway>> {
    landscape
        .mesh
        .gateways
        .iter()
        .find(|gateway| gateway.namespace() == namespace && gateway::serves_services(gateway))
}

/// The waypoint of a namespace.
pub fn steps(scope: &Scope<'_>, namespace: &str) -> Option<Draft> {
    let name = scope.waypoint(namespace);
    let is_there = existing(scope.landscape, namespace).is_some();
    let title = if is_there {
        format!("the waypoint {name} of {namespace} is ready")
    } else {
        format!("{namespace} gets a waypoint; nothing uses it yet")
    };
    let write = created(
        "gateway.networking.k8s.io/v1",
        "Gateway",
        namespace,
        name,
        &gateway::spec(),
    );
    Some(Draft {
        phase: Phase::Waypoint,
        about: namespace.to_owned(),
        title,
        requires: Vec::new(),
        writes: if is_there { Vec::new() } else { vec![write] },
        checks: vec![Check::WaypointReady {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }],
        undo: "the waypoint is deleted",
    })
}
