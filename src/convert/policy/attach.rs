//! Copies of policies that are attached to Services instead of selecting pods.

use crate::convert::Change;
use crate::convert::context::Context;
use crate::convert::virtual_service::versions;
use model::Object;
use serde_json::{Map, Value as Json, json};

/// `spec.targetRefs` of AuthorizationPolicy and RequestAuthentication.
const MAX_TARGETS: usize = 16;

/// Fields that say for what an object is; a copy has `targetRefs` in their place.
const SCOPE: [&str; 3] = ["selector", "targetRef", "targetRefs"];

/// The fields of an object's `spec`, in their order, without those that say for what it is.
pub fn unscoped_spec<T>(object: &Object<T>) -> Map<String, Json> {
    let Json::Object(mut spec) = spec(object) else {
        return Map::new();
    };
    spec.retain(|key, _| !SCOPE.contains(&key.as_str()));
    spec
}

/// Copies of an object: for each group its own fields, attached to its Services, in as many objects as the
/// limit on targets asks for. Annotations named in `annotations` go along.
pub fn copies<T>(
    context: &Context<'_>,
    object: &Object<T>,
    annotations: &[&str],
    groups: Vec<(Map<String, Json>, Vec<&str>)>,
) -> Vec<Change> {
    let groups: Vec<_> = groups
        .into_iter()
        .map(|(fields, services)| (fields, with_versions(context, object.namespace(), services)))
        .collect();
    let parts: Vec<_> = groups
        .iter()
        .flat_map(|(fields, services)| {
            services
                .chunks(MAX_TARGETS)
                .map(move |services| (fields, services))
        })
        .collect();
    let several = parts.len() > 1;
    parts
        .into_iter()
        .enumerate()
        .map(|(index, (fields, services))| {
            let base = format!("{}-waypoint", object.name());
            let name = if several {
                format!("{base}-{}", index + 1)
            } else {
                base
            };
            copy(context, object, annotations, &name, fields, services)
        })
        .collect()
}

/// Services with those that were made of their subsets, which can be called past them.
fn with_versions<'s>(context: &'s Context<'_>, namespace: &str, services: Vec<&'s str>) -> Vec<&'s str> {
    let versions_of = |name: &str| {
        let service = context.mesh.service(namespace, name);
        service.map_or(&[][..], |service| versions::of(context, service))
    };
    services
        .into_iter()
        .flat_map(|name| std::iter::once(name).chain(versions_of(name).iter().map(String::as_str)))
        .collect()
}

fn copy<T>(
    context: &Context<'_>,
    object: &Object<T>,
    annotations: &[&str],
    name: &str,
    fields: &Map<String, Json>,
    services: &[&str],
) -> Change {
    let id = context.free_name(object.namespace(), &object.id.kind, name, &object.id);
    let mut metadata = crate::convert::metadata(&id, &object.id);
    for key in annotations {
        if let Some(value) = object.meta.annotations.get(*key) {
            metadata["annotations"][*key] = json!(value);
        }
    }
    let refs = services
        .iter()
        .map(|name| json!({ "group": "", "kind": "Service", "name": name }));
    let mut new = Map::new();
    new.insert("targetRefs".into(), refs.collect());
    new.extend(fields.clone());
    let api_version = object.raw.get("apiVersion").map_or(Json::Null, Json::from);
    let kind = object.id.kind.name();
    let wrap =
        |spec: Json| json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec });
    Change {
        from: object.id.clone(),
        before: Some((&wrap(spec(object))).into()),
        after: (&wrap(Json::Object(new))).into(),
        id,
    }
}

fn spec<T>(object: &Object<T>) -> Json {
    object.raw.get("spec").map_or(Json::Null, Json::from)
}
