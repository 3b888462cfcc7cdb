//! Whose fields are whose: what we apply to an object, and `managedFields` (the API server's record of owners).

use super::MANAGED_BY;
use crate::plan::document::{FIELD_MANAGER, Target, Write};
use crate::plan::state::merge;
use serde_json::{Map, Value as Json, json};

/// Whether two names are of the same object, whatever the version they are asked for in.
pub(super) fn same(a: &Target, b: &Target) -> bool {
    (a.group(), &a.kind, &a.namespace, &a.name) == (b.group(), &b.kind, &b.namespace, &b.name)
}

/// All that we have on an object after these writes; the manifest names nothing but the object if that is nothing.
pub(super) fn union<'a>(writes: impl Iterator<Item = &'a Write>, target: &Target) -> Json {
    let mut union = bare(target);
    for write in writes.filter(|write| same(&write.target(), target)) {
        match write {
            Write::Create { manifest } => {
                merge(&mut union, manifest);
                merge(
                    &mut union,
                    &json!({"metadata": {"labels": {MANAGED_BY: FIELD_MANAGER}}}),
                );
            }
            Write::Set { manifest } => merge(&mut union, manifest),
            Write::Unlabel { .. } => {}
            Write::Delete { .. } => union = bare(target),
        }
    }
    union
}

/// A manifest that names an object and no fields.
pub(super) fn bare(target: &Target) -> Json {
    let mut metadata = Map::new();
    metadata.insert("name".to_owned(), target.name.clone().into());
    if let Some(namespace) = &target.namespace {
        metadata.insert("namespace".to_owned(), namespace.clone().into());
    }
    json!({"apiVersion": target.api_version, "kind": target.kind, "metadata": metadata})
}

/// Whether an object carries our label.
pub(super) fn is_ours(object: &Json) -> bool {
    object["metadata"]["labels"][MANAGED_BY] == FIELD_MANAGER
}

/// A text of an object's metadata; empty if there is none.
pub(super) fn meta<'a>(object: &'a Json, key: &str) -> &'a str {
    object["metadata"][key].as_str().unwrap_or_default()
}

/// The entries of `managedFields`.
pub(super) fn entries(object: &Json) -> Vec<Json> {
    object["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

fn is_our_entry(entry: &Json, operation: &str) -> bool {
    entry["manager"] == FIELD_MANAGER && entry["operation"] == operation && entry["subresource"].is_null()
}

/// The fields that we applied and that are still ours, as `fieldsV1`; none if there are none.
pub(super) fn applied(object: &Json) -> Option<Json> {
    let entry = entries(object)
        .into_iter()
        .find(|entry| is_our_entry(entry, "Apply"))?;
    Some(entry["fieldsV1"].clone())
}

/// The part of a manifest that is still ours: fields that someone else has taken since are theirs.
pub(super) fn still_ours(manifest: &Json, fields: &Json) -> Json {
    let mut kept = kept(manifest, fields).unwrap_or_else(|| json!({}));
    for key in ["apiVersion", "kind"] {
        kept[key] = manifest[key].clone();
    }
    for key in ["name", "namespace"] {
        if let Some(value) = manifest["metadata"].get(key) {
            kept["metadata"][key] = value.clone();
        }
    }
    kept
}

fn kept(value: &Json, fields: &Json) -> Option<Json> {
    let (Json::Object(map), Json::Object(owned)) = (value, fields) else {
        return Some(value.clone());
    };
    // A leaf has no fields; a list's are of its elements.
    if !owned.keys().any(|key| key.starts_with("f:")) {
        return Some(value.clone());
    }
    let kept: Map<String, Json> = map
        .iter()
        .filter_map(|(key, value)| {
            let owned = owned.get(&format!("f:{key}"))?;
            Some((key.clone(), kept(value, owned)?))
        })
        .collect();
    (!kept.is_empty()).then_some(kept.into())
}

/// The owners of a label: their entries without other fields.
pub(super) fn owners_of_label(object: &Json, label: &str) -> Vec<Json> {
    let field = format!("f:{label}");
    let owns = |entry: &Json| {
        let labels = entry.pointer("/fieldsV1/f:metadata/f:labels");
        labels.is_some_and(|labels| labels.get(&field).is_some())
    };
    entries(object).into_iter().filter(owns).collect()
}

/// `managedFields` in which a label that we wrote back belongs to its old owners again, and to nobody else.
pub(super) fn give_label_back(object: &Json, label: &str, owners: &[Json]) -> Vec<Json> {
    let field = format!("f:{label}");
    let mut entries = entries(object);
    for entry in &mut entries {
        if is_our_entry(entry, "Update")
            && let Some(labels) = entry.pointer_mut("/fieldsV1/f:metadata/f:labels")
            && let Some(labels) = labels.as_object_mut()
        {
            labels.shift_remove(&field);
        }
    }
    entries.retain(|entry| !is_our_entry(entry, "Update") || has_fields(&entry["fieldsV1"]));
    for owner in owners {
        let same = |entry: &&mut Json| {
            ["manager", "operation", "subresource", "apiVersion"]
                .iter()
                .all(|key| entry.get(*key) == owner.get(*key))
        };
        let lost = json!({"fieldsV1": {"f:metadata": {"f:labels": {field.as_str(): {}}}}});
        match entries.iter_mut().find(same) {
            Some(entry) => merge(entry, &lost),
            None => {
                let mut entry = owner.clone();
                entry["fieldsV1"] = lost["fieldsV1"].clone();
                entries.push(entry);
            }
        }
    }
    entries
}

fn has_fields(fields: &Json) -> bool {
    match fields {
        // `f:labels` with nothing, or only the mark of the map itself, owns no field of an object.
        Json::Object(map) => map
            .iter()
            .any(|(key, value)| key != "." && (leaf(key, value) || has_fields(value))),
        _ => false,
    }
}

fn leaf(key: &str, value: &Json) -> bool {
    let map = matches!(key, "f:metadata" | "f:labels");
    !map && value.as_object().is_some_and(Map::is_empty)
}

#[cfg(test)]
#[path = "ownership_tests.rs"]
mod tests;
