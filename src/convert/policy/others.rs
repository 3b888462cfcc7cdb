//! What needs a waypoint beside routes and policies for pods: where one is in the path, policies that ztunnel could decide
//! have to be at the waypoint, too, for ztunnel sees the waypoint as the client.

use crate::convert::context::Context;
use crate::convert::kinds::{is_targeted, selector};
use crate::convert::waypoint::targets_of;
use model::security::WorkloadSelector;
use model::{Kind, ObjectRef};
use std::collections::HashSet;

/// The selectors of extensions and Telemetry that are attached to Services, each with its namespace.
pub fn selectors<'a>(context: &Context<'a>) -> Vec<(&'a str, WorkloadSelector)> {
    let objects = context.mesh.others.iter();
    let attached = objects.filter(|object| match object.id.kind {
        Kind::WasmPlugin | Kind::TrafficExtension => !is_targeted(object),
        // Without a selector it is read as it is, where there is a waypoint.
        Kind::Telemetry => !is_targeted(object) && !selector(object).match_labels.is_empty(),
        _ => false,
    });
    attached
        .map(|object| (object.namespace(), selector(object)))
        .collect()
}

/// The Services to which something is attached in the input.
pub fn targeted(context: &Context<'_>) -> HashSet<ObjectRef> {
    let mesh = context.mesh;
    let policies = mesh.authorization_policies.iter();
    let policies = policies.map(|object| (&object.id, &object.raw));
    let tokens = mesh.request_authentications.iter();
    let tokens = tokens.map(|object| (&object.id, &object.raw));
    let others = mesh.others.iter().map(|object| (&object.id, &object.raw));
    policies
        .chain(tokens)
        .chain(others)
        .flat_map(|(id, raw)| targets_of(id, raw))
        .collect()
}
