//! Copies of extensions and Telemetry that are attached to Services or to all waypoints instead of selecting pods.

use crate::convert::Change;
use crate::convert::context::Context;
use crate::convert::targets::{self, MAX_TARGETS, To};
use model::Object;
use model::security::WorkloadSelector;
use serde_json::{Map, Value as Json};

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
    groups: Vec<(Map<String, Json>, Vec<To>)>,
) -> Vec<Change> {
    let with_versions = |(fields, to): (_, Vec<To>)| {
        let to = targets::with_versions(context, object.namespace(), &to);
        (fields, to)
    };
    let groups: Vec<_> = groups.into_iter().map(with_versions).collect();
    let parts: Vec<_> = groups
        .iter()
        .flat_map(|(fields, to)| to.chunks(MAX_TARGETS).map(move |to| (fields, to)))
        .collect();
    let several = parts.len() > 1;
    let name = |index: usize| match several {
        true => format!("{}-waypoint-{}", object.name(), index + 1),
        false => format!("{}-waypoint", object.name()),
    };
    parts
        .into_iter()
        .enumerate()
        .map(|(index, (fields, to))| {
            let new = targets::attached_spec(to, fields.clone());
            written(context, object, object.namespace(), &name(index), new)
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
    let name = context.free_name(namespace, &object.id.kind, name, &object.id);
    let metadata = crate::convert::metadata(&name.id, &object.id);
    targets::of_same_kind(object, name, metadata, new)
}
