//! Making one write. Each may have been made already, by a run that was killed before it could say so.

use super::MANAGED_BY;
use super::address::resolved;
use super::api::{Cluster, Fault, Patch};
use super::ownership::{is_ours, meta, same, union};
use crate::plan::document::{FIELD_MANAGER, Target, Write};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// How often an object that changes under our hands is read anew.
const ATTEMPTS: usize = 8;

/// Why a write is not made, or not undone.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Someone else has changed the object, or made it, or removed it.
    #[error("{object}: {what}; it is not overwritten")]
    Foreign {
        /// The object.
        object: String,
        /// What was found.
        what: String,
    },
    /// The API server refused.
    #[error("{object}: {fault}")]
    Fault {
        /// The object.
        object: String,
        /// The answer.
        fault: Fault,
    },
}

impl WriteError {
    pub(super) fn foreign(target: &Target, what: impl Into<String>) -> Self {
        Self::Foreign {
            object: target.to_string(),
            what: what.into(),
        }
    }

    /// For `map_err`.
    pub(super) fn of(target: &Target) -> impl Fn(Fault) -> Self + '_ {
        |fault| Self::Fault {
            object: target.to_string(),
            fault,
        }
    }
}

/// What undo needs of an object that a write removes, or removes a label from: the object as it is. None for writes
/// whose undo needs nothing.
pub(super) async fn to_save(cluster: &Cluster, write: &Write) -> Result<Option<Json>, WriteError> {
    let target = write.target();
    let (Write::Unlabel { .. } | Write::Delete { .. }) = write else {
        return Ok(None);
    };
    let found = cluster.get(&target).await.map_err(WriteError::of(&target))?;
    let object = found.ok_or_else(|| WriteError::foreign(&target, "it is gone"))?;
    if let Write::Unlabel { label, value, .. } = write
        && object["metadata"]["labels"][label] != value.as_str()
    {
        let found = &object["metadata"]["labels"][label];
        return Err(WriteError::foreign(
            &target,
            format!("the label `{label}` is {found}, not `{value}`"),
        ));
    }
    Ok(Some(object))
}

/// Makes a write after those in effect. `saved` is what [`to_save`] gave.
pub(super) async fn make<'a>(
    cluster: &Cluster,
    write: &'a Write,
    in_effect: impl Iterator<Item = &'a Write>,
    saved: Option<&Json>,
) -> Result<(), WriteError> {
    let target = write.target();
    match write {
        Write::Create { .. } => {
            let manifest = union(in_effect.chain([write]), &target);
            let manifest = resolved(cluster, &target, manifest).await?;
            create(cluster, &target, &manifest).await
        }
        Write::Set { .. } => {
            let manifest = union(in_effect.chain([write]), &target);
            let manifest = resolved(cluster, &target, manifest).await?;
            set(cluster, &target, &manifest).await
        }
        Write::Unlabel { label, value, .. } => unlabel(cluster, &target, label, value).await,
        Write::Delete { .. } => delete(cluster, &target, saved).await,
    }
}

async fn create(cluster: &Cluster, target: &Target, manifest: &Json) -> Result<(), WriteError> {
    let of = WriteError::of(target);
    if let Some(object) = cluster.get(target).await.map_err(&of)?
        && !is_ours(&object)
    {
        return Err(WriteError::foreign(
            target,
            format!("it exists already and lacks our label `{MANAGED_BY}: {FIELD_MANAGER}`"),
        ));
    }
    apply(cluster, target, manifest).await
}

async fn set(cluster: &Cluster, target: &Target, manifest: &Json) -> Result<(), WriteError> {
    let mut manifest = manifest.clone();
    for _ in 0..ATTEMPTS {
        let found = cluster.get(target).await.map_err(WriteError::of(target))?;
        let Some(object) = found else {
            return Err(WriteError::foreign(target, "it is gone"));
        };
        // Without an identity, an apply would create what someone deletes at this moment.
        manifest["metadata"]["uid"] = object["metadata"]["uid"].clone();
        match apply(cluster, target, &manifest).await {
            Err(WriteError::Fault { fault, .. }) if fault.is_conflict() => pause().await,
            result => return result,
        }
    }
    Err(WriteError::foreign(target, "it changes too fast"))
}

/// Applies, and tells a field of someone else apart from other conflicts.
pub(super) async fn apply(cluster: &Cluster, target: &Target, manifest: &Json) -> Result<(), WriteError> {
    match cluster.apply(manifest).await {
        Ok(_) => Ok(()),
        Err(Fault::Status(status)) if Fault::Status(status.clone()).is_foreign_field() => {
            let causes = status.details.map(|details| details.causes).unwrap_or_default();
            let fields: Vec<String> = causes
                .iter()
                .map(|cause| format!("`{}` ({})", cause.field, cause.message))
                .collect();
            Err(WriteError::foreign(
                target,
                format!("someone else has set {}", fields.join(", ")),
            ))
        }
        Err(fault) => Err(WriteError::of(target)(fault)),
    }
}

async fn unlabel(cluster: &Cluster, target: &Target, label: &str, value: &str) -> Result<(), WriteError> {
    let of = WriteError::of(target);
    for _ in 0..ATTEMPTS {
        let found = cluster.get(target).await.map_err(&of)?;
        let object = found.ok_or_else(|| WriteError::foreign(target, "it is gone"))?;
        let now = &object["metadata"]["labels"][label];
        if now.is_null() {
            // By the run before this one: its saving shows that the label was there.
            return Ok(());
        }
        if now != value {
            return Err(WriteError::foreign(
                target,
                format!("the label `{label}` is {now}, not `{value}`"),
            ));
        }
        let path = format!("/metadata/labels/{}", pointer(label));
        let patch = json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": meta(&object, "resourceVersion")},
            {"op": "test", "path": path, "value": value},
            {"op": "remove", "path": path},
        ]);
        match cluster.patch(target, Patch::Json, &patch).await {
            Ok(_) => return Ok(()),
            Err(fault) if fault.is_failed_test() => pause().await,
            Err(fault) => return Err(of(fault)),
        }
    }
    Err(WriteError::foreign(target, "it changes too fast"))
}

async fn delete(cluster: &Cluster, target: &Target, saved: Option<&Json>) -> Result<(), WriteError> {
    let of = WriteError::of(target);
    for _ in 0..ATTEMPTS {
        let Some(object) = cluster.get(target).await.map_err(&of)? else {
            return Ok(());
        };
        if let Some(saved) = saved
            && !alike(saved, &object)
        {
            return Err(WriteError::foreign(target, "it was changed since it was saved"));
        }
        if !meta(&object, "deletionTimestamp").is_empty() {
            return Ok(());
        }
        let version = Some(meta(&object, "resourceVersion"));
        match cluster.delete(target, meta(&object, "uid"), version).await {
            Ok(()) => return Ok(()),
            Err(fault) if fault.is_conflict() => pause().await,
            Err(fault) => return Err(of(fault)),
        }
    }
    Err(WriteError::foreign(target, "it changes too fast"))
}

/// Whether two objects have the same content, whoever created them and whatever their status is.
pub(super) fn alike(a: &Json, b: &Json) -> bool {
    let content = |object: &Json| {
        let mut object = object.clone();
        if let Some(map) = object.as_object_mut() {
            map.shift_remove("status");
        }
        if let Some(metadata) = object["metadata"].as_object_mut() {
            for key in [
                "uid",
                "resourceVersion",
                "generation",
                "creationTimestamp",
                "managedFields",
                "deletionTimestamp",
                "deletionGracePeriodSeconds",
            ] {
                metadata.shift_remove(key);
            }
        }
        object
    };
    content(a) == content(b)
}

/// A key as part of a JSON pointer (RFC 6901).
pub(super) fn pointer(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A little time for whoever changes the object, too.
pub(super) async fn pause() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// Whether a write restarts pods: the gate of its undo is that they are there again.
pub(super) fn restarts(write: &Write) -> bool {
    let target = write.target();
    let workload =
        target.group() == "apps" && matches!(&*target.kind, "Deployment" | "StatefulSet" | "DaemonSet");
    match write {
        Write::Set { manifest } => workload && manifest.pointer("/spec/template").is_some(),
        _ => false,
    }
}

/// Whether the undo of a write needs a copy of its object.
pub(super) fn saves(write: &Write) -> bool {
    matches!(write, Write::Unlabel { .. } | Write::Delete { .. })
}

/// What a write is, in a word.
#[must_use]
pub fn op(write: &Write) -> &'static str {
    match write {
        Write::Create { .. } => "create",
        Write::Set { .. } => "set",
        Write::Unlabel { .. } => "unlabel",
        Write::Delete { .. } => "delete",
    }
}

/// Whether this workload is the one that a write restarts.
pub(super) fn is_of(write: &Write, workload: &Target) -> bool {
    same(&write.target(), workload)
}
