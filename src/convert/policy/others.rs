//! What needs a waypoint beside routes and policies for pods: where one is in the path, policies that ztunnel could decide
//! have to be at the waypoint, too, for ztunnel sees the waypoint as the client.

use crate::convert::context::Context;
use crate::convert::is_copy;
use crate::convert::kinds::{is_targeted, selector};
use crate::convert::waypoint::targets_of;
use model::security::WorkloadSelector;
use model::{Kind, Object, ObjectRef};
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

/// The Services to which users attached something.
pub fn targeted(context: &Context<'_>) -> HashSet<ObjectRef> {
    fn of<T>(objects: &[Object<T>]) -> impl Iterator<Item = ObjectRef> {
        // Copies do not count for themselves: they are there as long as what they were made from needs them.
        let written = objects.iter().filter(|object| !is_copy(*object));
        written.flat_map(|object| targets_of(&object.id, &object.raw))
    }
    let mesh = context.mesh;
    of(&mesh.authorization_policies)
        .chain(of(&mesh.request_authentications))
        .chain(of(&mesh.others))
        .collect()
}
