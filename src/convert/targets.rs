//! Objects of the same kind as an old one, attached to targets instead of selecting pods.

use super::context::Context;
use super::names::FreeName;
use super::virtual_service::versions;
use super::waypoint::gateway::CLASS;
use super::{Before, Change};
use model::{Node, Object};
use serde_json::{Map, Value as Json, json};

/// `spec.targetRefs` of all kinds that have them.
pub const MAX_TARGETS: usize = 16;

/// Fields that say for what an object is; a copy has `targetRefs` in their place.
const SCOPE: [&str; 3] = ["selector", "targetRef", "targetRefs"];

/// What a copy is attached to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    /// A Service of the copy's namespace.
    Service(String),
    /// A waypoint of the copy's namespace, with everything behind it.
    Waypoint(String),
    /// All waypoints of the mesh; for copies in the root namespace.
    AllWaypoints,
}

impl To {
    fn to_json(&self) -> Json {
        let (group, kind, name) = match self {
            Self::Service(name) => ("", "Service", name.as_str()),
            Self::Waypoint(name) => ("gateway.networking.k8s.io", "Gateway", name.as_str()),
            Self::AllWaypoints => ("gateway.networking.k8s.io", "GatewayClass", CLASS),
        };
        json!({ "group": group, "kind": kind, "name": name })
    }
}

/// Targets of a namespace, and the Services that were made of their subsets, which can be called past them.
pub fn with_versions(context: &Context<'_>, namespace: &str, to: &[To]) -> Vec<To> {
    let versions_of = |to: &To| match to {
        To::Service(name) => context
            .mesh
            .service(namespace, name)
            .map_or(&[][..], |service| versions::of(context, service)),
        To::Waypoint(_) | To::AllWaypoints => &[],
    };
    let with_versions = |to: &To| {
        let versions = versions_of(to).iter().cloned().map(To::Service);
        std::iter::once(to.clone()).chain(versions).collect::<Vec<_>>()
    };
    to.iter().flat_map(with_versions).collect()
}

/// A `spec` that is attached to these targets, with its other fields in their order.
pub fn attached_spec(to: &[To], fields: Map<String, Json>) -> Json {
    let mut spec = Map::new();
    if !to.is_empty() {
        spec.insert("targetRefs".into(), to.iter().map(To::to_json).collect());
    }
    spec.extend(fields);
    Json::Object(spec)
}

/// `spec` as it was written.
pub fn spec<T>(object: &Object<T>) -> Json {
    object.raw.get("spec").map_or(Json::Null, Json::from)
}

/// The fields of an object's `spec`, in their order, without those that say for what it is.
pub fn unscoped_spec<T>(object: &Object<T>) -> Map<String, Json> {
    let fields = object.raw.get("spec").map_or(&[][..], Node::entries);
    let fields = fields.iter().filter(|field| !SCOPE.contains(&&*field.key));
    fields
        .map(|field| (field.key.to_string(), Json::from(&field.node)))
        .collect()
}

/// A new object of the same kind, beside what the old one would read there.
pub fn of_same_kind<T>(object: &Object<T>, name: FreeName, metadata: Json, spec: Json) -> Change {
    let api_version = object.raw.get("apiVersion").map_or(Json::Null, Json::from);
    let mut after = Map::new();
    after.insert("apiVersion".into(), api_version);
    after.insert("kind".into(), object.id.kind.name().into());
    after.insert("metadata".into(), metadata);
    after.insert("spec".into(), spec);
    Change {
        from: object.id.clone(),
        before: Some(Before::renamed(&object.raw)),
        after: (&Json::Object(after)).into(),
        id: name.id,
        instead_of: name.instead_of,
    }
}
