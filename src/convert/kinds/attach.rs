//! Copies of extensions and Telemetry that are attached to Services or to all waypoints instead of selecting pods.

use crate::convert::Change;
use crate::convert::context::Context;
use model::Object;
use model::security::WorkloadSelector;
use serde_json::{Map, Value as Json, json};

/// `spec.targetRefs` of all kinds that have them.
const MAX_TARGETS: usize = 16;

/// Fields that say for what an object is; a copy has `targetRefs` in their place.
const SCOPE: [&str; 3] = ["selector", "targetRef", "targetRefs"];

/// A reference to a Service of the object's own namespace.
pub fn service(name: &str) -> Json {
    json!({ "group": "", "kind": "Service", "name": name })
}

/// A reference to all waypoints, which counts in the root namespace.
pub fn every_waypoint() -> Json {
    json!({ "group": "gateway.networking.k8s.io", "kind": "GatewayClass", "name": "istio-waypoint" })
}

/// The fields of `spec` without those that say for what the object is.
pub fn unscoped(object: &Object<()>) -> Map<String, Json> {
    match spec(object) {
        Json::Object(mut fields) => {
            fields.retain(|key, _| !SCOPE.contains(&key.as_str()));
            fields
        }
        _ => Map::new(),
    }
}

/// What a selector selects; without one, everything in the namespace.
pub fn selector(object: &Object<()>) -> WorkloadSelector {
    let labels = super::field(object, &["selector", "matchLabels"]);
    let pairs = labels.map_or(&[][..], model::Node::entries).iter();
    WorkloadSelector {
        match_labels: pairs
            .filter_map(|entry| Some((entry.key.to_string(), entry.node.scalar_text()?)))
            .collect(),
    }
}

/// Copies of an object: for each group its own fields and what they are attached to, in as many objects as the limit on
/// targets asks for.
pub fn copies(
    context: &Context<'_>,
    object: &Object<()>,
    groups: Vec<(Map<String, Json>, Vec<Json>)>,
) -> Vec<Change> {
    let parts: Vec<_> = groups
        .iter()
        .flat_map(|(fields, refs)| refs.chunks(MAX_TARGETS).map(move |refs| (fields, refs)))
        .collect();
    let several = parts.len() > 1;
    let name = |index: usize| match several {
        true => format!("{}-waypoint-{}", object.name(), index + 1),
        false => format!("{}-waypoint", object.name()),
    };
    parts
        .into_iter()
        .enumerate()
        .map(|(index, (fields, refs))| {
            let mut new = Map::new();
            new.insert("targetRefs".into(), refs.iter().cloned().collect());
            new.extend(fields.clone());
            written(
                context,
                object,
                object.namespace(),
                &name(index),
                Json::Object(new),
            )
        })
        .collect()
}

/// A new object of the same kind.
pub fn written<T>(
    context: &Context<'_>,
    object: &Object<T>,
    namespace: &str,
    name: &str,
    new: Json,
) -> Change {
    let id = context.free_name(namespace, &object.id.kind, name, &object.id);
    let metadata = crate::convert::metadata(&id, &object.id);
    let api_version = object.raw.get("apiVersion").map_or(Json::Null, Json::from);
    let kind = object.id.kind.name();
    let wrap =
        |spec: Json| json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec });
    Change {
        from: object.id.clone(),
        before: Some((&wrap(spec(object))).into()),
        after: (&wrap(new)).into(),
        id,
    }
}

/// `spec` as it was written.
pub fn spec<T>(object: &Object<T>) -> Json {
    object.raw.get("spec").map_or(Json::Null, Json::from)
}
