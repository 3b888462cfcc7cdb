//! Undoing one write, which may not have been made, or may have been undone already. What others have done to the
//! object since stays.

use super::address::resolved;
use super::api::{Cluster, Patch};
use super::ownership::{
    applied, bare, entries, give_label_back, is_ours, meta, owners_of_label, still_ours, union,
};
use super::write::{WriteError, alike, apply, pause, pointer};
use crate::plan::document::{FIELD_MANAGER, Target, Write};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// How often an object that changes under our hands is read anew.
const ATTEMPTS: usize = 8;
/// How long an object may take to go away.
const GONE_WITHIN: u32 = 30;

/// Undoes a write after those that stay in effect. `saved` is what was kept before it was made. Gives what a person
/// should know, if anything.
pub(super) async fn undo<'a>(
    cluster: &Cluster,
    write: &'a Write,
    in_effect: impl Iterator<Item = &'a Write>,
    saved: Option<&Json>,
) -> Result<Option<String>, WriteError> {
    let target = write.target();
    match (write, saved) {
        (Write::Create { .. }, _) => remove(cluster, &target).await,
        (Write::Set { .. }, _) => {
            let rest = resolved(cluster, &target, union(in_effect, &target)).await?;
            give_up(cluster, &target, &rest).await
        }
        (Write::Unlabel { label, value, .. }, Some(saved)) => {
            label_again(cluster, &target, label, value, saved).await
        }
        (Write::Delete { .. }, Some(saved)) => create_again(cluster, &target, saved).await,
        // Nothing was kept, so the write was not begun.
        (Write::Unlabel { .. } | Write::Delete { .. }, None) => Ok(None),
    }
}

/// Deletes what we created, unless someone took our label off.
async fn remove(cluster: &Cluster, target: &Target) -> Result<Option<String>, WriteError> {
    let of = WriteError::of(target);
    for second in 0..GONE_WITHIN {
        let Some(object) = cluster.get(target).await.map_err(&of)? else {
            return Ok(None);
        };
        if !is_ours(&object) {
            return Ok(Some(format!("{target} has lost our label and stays")));
        }
        if meta(&object, "deletionTimestamp").is_empty() {
            match cluster.delete(target, meta(&object, "uid"), None).await {
                Err(fault) if !fault.is_conflict() => return Err(of(fault)),
                _ => pause().await,
            }
        } else {
            tokio::time::sleep(Duration::from_millis(if second < 5 { 200 } else { 1000 })).await;
        }
    }
    Ok(Some(format!(
        "{target} is being deleted and waits for its finalizers"
    )))
}

/// Applies what is left of ours: what we no longer name goes, unless someone else has it, too.
async fn give_up(cluster: &Cluster, target: &Target, rest: &Json) -> Result<Option<String>, WriteError> {
    let of = WriteError::of(target);
    for _ in 0..ATTEMPTS {
        let Some(object) = cluster.get(target).await.map_err(&of)? else {
            return Ok(Some(format!("{target} is gone; there is nothing to undo")));
        };
        let Some(fields) = applied(&object) else {
            return Ok(None);
        };
        let mut manifest = still_ours(rest, &fields);
        manifest["metadata"]["uid"] = object["metadata"]["uid"].clone();
        match apply(cluster, target, &manifest).await {
            Ok(()) => return Ok(None),
            Err(WriteError::Fault { fault, .. }) if fault.is_conflict() => pause().await,
            // Someone takes over fields at this moment: what is still ours is looked up anew.
            Err(WriteError::Foreign { .. }) => pause().await,
            Err(error) => return Err(error),
        }
    }
    Err(WriteError::foreign(target, "it changes too fast"))
}

/// Writes a label back and gives it to the owners that it had.
async fn label_again(
    cluster: &Cluster,
    target: &Target,
    label: &str,
    value: &str,
    saved: &Json,
) -> Result<Option<String>, WriteError> {
    let of = WriteError::of(target);
    let owners = owners_of_label(saved, label);
    for _ in 0..ATTEMPTS {
        let Some(object) = cluster.get(target).await.map_err(&of)? else {
            return Ok(Some(format!("{target} is gone; there is nothing to undo")));
        };
        if meta(&object, "uid") != meta(saved, "uid") {
            return Ok(Some(format!(
                "{target} is another object by now and stays as it is"
            )));
        }
        let now = &object["metadata"]["labels"][label];
        let version = meta(&object, "resourceVersion");
        let test = json!({"op": "test", "path": "/metadata/resourceVersion", "value": version});
        let patch = if now.is_null() {
            add_label(&object, test, label, value)
        } else if now == value
            && owners_of_label(&object, label)
                .iter()
                .any(|owner| owner["manager"] == FIELD_MANAGER)
        {
            let fields = give_label_back(&object, label, &owners);
            json!([test, {"op": "replace", "path": "/metadata/managedFields", "value": fields}])
        } else if now == value {
            return Ok(None);
        } else {
            return Ok(Some(format!(
                "{target} has the label `{label}: {now}` of someone else, which stays"
            )));
        };
        match cluster.patch(target, Patch::Json, &patch).await {
            Ok(_) => {}
            Err(fault) if fault.is_failed_test() => pause().await,
            Err(fault) => return Err(of(fault)),
        }
    }
    Err(WriteError::foreign(target, "it changes too fast"))
}

fn add_label(object: &Json, test: Json, label: &str, value: &str) -> Json {
    if object["metadata"]["labels"].is_object() {
        let path = format!("/metadata/labels/{}", pointer(label));
        json!([test, {"op": "add", "path": path, "value": value}])
    } else {
        json!([test, {"op": "add", "path": "/metadata/labels", "value": {label: value}}])
    }
}

/// Creates an object as it was and gives its fields to the owners that they had.
async fn create_again(
    cluster: &Cluster,
    target: &Target,
    saved: &Json,
) -> Result<Option<String>, WriteError> {
    let of = WriteError::of(target);
    let owners: Vec<Json> = entries(saved)
        .into_iter()
        // The status is written anew by whoever has it.
        .filter(|entry| entry["subresource"].is_null())
        .collect();
    for _ in 0..GONE_WITHIN {
        let Some(object) = cluster.get(target).await.map_err(&of)? else {
            match cluster.create(&as_new(target, saved)).await {
                Ok(_) => continue,
                Err(fault) if fault.is_conflict() => {
                    pause().await;
                    continue;
                }
                Err(fault) => return Err(of(fault)),
            }
        };
        if meta(&object, "uid") == meta(saved, "uid") {
            if meta(&object, "deletionTimestamp").is_empty() {
                // It was not deleted yet.
                return Ok(None);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        }
        if is_owned_by(&object, &owners) {
            return Ok(None);
        }
        if !is_just_created(&object) || !alike(&as_new(target, saved), &as_new(target, &object)) {
            return Ok(Some(format!(
                "{target} was created by someone else, and stays as it is"
            )));
        }
        let patch = json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": meta(&object, "resourceVersion")},
            {"op": "replace", "path": "/metadata/managedFields", "value": owners},
        ]);
        match cluster.patch(target, Patch::Json, &patch).await {
            Ok(_) => return Ok(None),
            Err(fault) if fault.is_failed_test() => pause().await,
            Err(fault) => return Err(of(fault)),
        }
    }
    Err(WriteError::foreign(
        target,
        "it does not go away, or changes too fast",
    ))
}

/// An object without what the server gives to each by itself.
fn as_new(target: &Target, object: &Json) -> Json {
    let mut new = bare(target);
    if let (Some(new), Some(old)) = (new.as_object_mut(), object.as_object()) {
        for (key, value) in old {
            if !matches!(key.as_str(), "metadata" | "status") {
                new.insert(key.clone(), value.clone());
            }
        }
    }
    for key in ["labels", "annotations", "ownerReferences", "finalizers"] {
        if let Some(value) = object["metadata"].get(key) {
            new["metadata"][key] = value.clone();
        }
    }
    new
}

/// Whether the only owner (of anything but the status) is our own creation.
fn is_just_created(object: &Json) -> bool {
    entries(object)
        .iter()
        .filter(|entry| entry["subresource"].is_null())
        .all(|entry| entry["manager"] == FIELD_MANAGER && entry["operation"] == "Update")
}

fn is_owned_by(object: &Json, owners: &[Json]) -> bool {
    let names = |entries: &[Json]| {
        let mut names: Vec<String> = entries
            .iter()
            .filter(|entry| entry["subresource"].is_null())
            .map(|entry| format!("{} {}", entry["manager"], entry["operation"]))
            .collect();
        names.sort();
        names
    };
    names(&entries(object)) == names(owners)
}
