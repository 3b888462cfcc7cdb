//! Where the journal is: ConfigMaps in the root namespace. One says how far we are and is small; the plan and what
//! undo needs are beside it, compressed, each below the limit of an object.

use super::{Journal, Record, VERSION};
use crate::plan::Plan;
use crate::plan::document::{FIELD_MANAGER, Target};
use crate::rollout::api::Cluster;
use crate::rollout::error::RolloutError;
use crate::rollout::{MANAGED_BY, now};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// Name of the ConfigMap that says how far we are.
pub const JOURNAL: &str = "mesh-migrate-journal";
const PLAN: &str = "mesh-migrate-plan";
const SAVED: &str = "mesh-migrate-saved";
/// Says which part of the journal a ConfigMap is.
const PART: &str = "mesh-migrate.io/journal";
/// Bytes of a plan in one ConfigMap: base64 makes four of three, and an object may have a mebibyte.
const CHUNK: usize = 700 * 1024;
/// zstd's default is fast; plans are written once and kept for weeks.
const LEVEL: i32 = 9;
/// How large a plan may become when it is unpacked.
const MAX_PLAN: usize = 512 << 20;

/// The journal in the cluster, changed only by who read it last.
#[derive(Debug)]
pub struct Store<'a> {
    cluster: &'a Cluster,
    namespace: String,
    /// `resourceVersion` of the last reading or writing.
    version: String,
    by: String,
    last: Journal,
}

/// SHA-256 of a plan, in hexadecimal.
#[must_use]
pub fn digest(plan: &Plan) -> String {
    // A plan always has a form as JSON: its keys are texts.
    let bytes = serde_json::to_vec(plan).unwrap_or_default();
    Sha256::digest(&bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

impl<'a> Store<'a> {
    /// The journal of a namespace with its plan, if there is one.
    ///
    /// # Errors
    /// If it cannot be read, or not be understood.
    pub async fn open(
        cluster: &'a Cluster,
        namespace: &str,
        by: &str,
    ) -> Result<Option<(Self, Record)>, RolloutError> {
        let target = config_map(namespace, JOURNAL);
        let found = cluster
            .get(&target)
            .await
            .map_err(RolloutError::doing("reading the journal"))?;
        let Some(object) = found else { return Ok(None) };
        let bad = |reason: String| RolloutError::BadJournal {
            namespace: namespace.to_owned(),
            reason,
        };
        let last = decode(&object).map_err(bad)?;
        let store = Self {
            cluster,
            namespace: namespace.to_owned(),
            version: text(&object, "resourceVersion"),
            by: by.to_owned(),
            last,
        };
        let mut packed = Vec::new();
        for part in 0..store.last.parts {
            packed.extend(store.bytes(&plan_part(&store.last.plan, part)).await?);
        }
        let unpacked = zstd::bulk::decompress(
            &packed,
            MAX_PLAN.min(packed.len().saturating_mul(2000).max(1 << 20)),
        )
        .map_err(|error| bad(format!("the plan in it is damaged: {error}")))?;
        let record: Record = serde_json::from_slice(&unpacked)
            .map_err(|error| bad(format!("the plan in it is damaged: {error}")))?;
        if digest(&record.plan) != store.last.plan || !store.last.fits(&record.plan) {
            return Err(bad("it does not fit to the plan in it".to_owned()));
        }
        Ok(Some((store, record)))
    }

    /// Begins the journal of a plan; `before` is that of an earlier one, which is at its start or its end.
    ///
    /// # Errors
    /// If it cannot be written, or someone else was faster.
    pub async fn begin(
        cluster: &'a Cluster,
        namespace: &str,
        by: &str,
        record: &Record,
        accepted: Vec<String>,
        before: Option<Store<'a>>,
    ) -> Result<Self, RolloutError> {
        let mut journal = Journal::begin(digest(&record.plan), accepted, by);
        // As `digest`.
        let bytes = serde_json::to_vec(record).unwrap_or_default();
        let packed = zstd::bulk::compress(&bytes, LEVEL).map_err(|error| RolloutError::BadJournal {
            namespace: namespace.to_owned(),
            reason: format!("the plan cannot be compressed: {error}"),
        })?;
        let chunks: Vec<&[u8]> = packed.chunks(CHUNK).collect();
        journal.parts = chunks.len();
        let (version, last) = before.map_or((String::new(), journal.clone()), |store| {
            (store.version, store.last)
        });
        journal.revision = last.revision;
        let mut store = Self {
            cluster,
            namespace: namespace.to_owned(),
            version,
            by: by.to_owned(),
            last,
        };
        // The plan first: a journal without its plan could neither go on nor back.
        for (part, chunk) in chunks.iter().enumerate() {
            store
                .put_bytes(&plan_part(&journal.plan, part), "plan", chunk)
                .await?;
        }
        store.save(&mut journal).await?;
        store.sweep(journal.parts).await?;
        Ok(store)
    }

    /// Writes the journal, if nobody else did since we read or wrote it last.
    ///
    /// # Errors
    /// If somebody did, or it cannot be written.
    pub async fn save(&mut self, journal: &mut Journal) -> Result<(), RolloutError> {
        journal.revision += 1;
        journal.updated = now();
        journal.by.clone_from(&self.by);
        let target = config_map(&self.namespace, JOURNAL);
        // A 409 may be ours: the answer to an attempt that succeeded can be lost.
        for _ in 0..5 {
            let mut object = self.object(JOURNAL, "progress");
            object["data"] = json!({ "journal.json": encode(journal) });
            let answer = if self.version.is_empty() {
                self.cluster.create(&object).await
            } else {
                object["metadata"]["resourceVersion"] = self.version.clone().into();
                self.cluster.replace(&object).await
            };
            match answer {
                Ok(object) => {
                    self.version = text(&object, "resourceVersion");
                    self.last = journal.clone();
                    return Ok(());
                }
                Err(fault) if fault.is_conflict() => {}
                Err(fault) => return Err(RolloutError::doing("writing the journal")(fault)),
            }
            let found = self
                .cluster
                .get(&target)
                .await
                .map_err(RolloutError::doing("reading the journal"))?;
            let Some(object) = found else {
                return Err(RolloutError::JournalChanged("it was deleted".to_owned()));
            };
            match decode(&object) {
                Ok(found) if found == *journal => {
                    self.version = text(&object, "resourceVersion");
                    self.last = journal.clone();
                    return Ok(());
                }
                // Nothing but its metadata has changed, or the conflict was none.
                Ok(found) if found == self.last && !self.version.is_empty() => {
                    self.version = text(&object, "resourceVersion");
                }
                Ok(found) => {
                    return Err(RolloutError::JournalChanged(format!(
                        "by {} at {}",
                        found.by, found.updated
                    )));
                }
                Err(reason) => return Err(RolloutError::JournalChanged(reason)),
            }
        }
        Err(RolloutError::JournalChanged("again and again".to_owned()))
    }

    /// What the journal said last.
    #[must_use]
    pub fn last(&self) -> &Journal {
        &self.last
    }

    /// Keeps an object that a write is about to change in a way that only its copy can undo.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn keep(&self, step: usize, write: usize, object: &Json) -> Result<(), RolloutError> {
        let packed = zstd::bulk::compress(object.to_string().as_bytes(), LEVEL).unwrap_or_default();
        self.put_bytes(&saved(step, write), "saved", &packed).await
    }

    /// An object that was kept.
    ///
    /// # Errors
    /// If it is not there, or damaged.
    pub async fn kept(&self, step: usize, write: usize) -> Result<Json, RolloutError> {
        let name = saved(step, write);
        let packed = self.bytes(&name).await?;
        let bad = |reason: String| RolloutError::BadJournal {
            namespace: self.namespace.clone(),
            reason: format!("`{name}` is damaged: {reason}"),
        };
        let bytes = zstd::bulk::decompress(&packed, 64 << 20).map_err(|error| bad(error.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))
    }

    /// Removes what is of no plan any more: what earlier ones saved, and their parts.
    async fn sweep(&self, parts: usize) -> Result<(), RolloutError> {
        let keep: Vec<String> = (0..parts)
            .map(|part| plan_part(&self.last.plan, part))
            .chain([JOURNAL.to_owned()])
            .collect();
        let doing = || RolloutError::doing("clearing up after an earlier plan");
        let selector = format!("{MANAGED_BY}={FIELD_MANAGER},{PART}");
        let found = self
            .cluster
            .list("v1", "ConfigMap", Some(&self.namespace), &selector)
            .await
            .map_err(doing())?;
        for object in found {
            let name = text(&object, "name");
            if !keep.contains(&name) {
                let target = config_map(&self.namespace, &name);
                self.cluster
                    .delete(&target, &text(&object, "uid"), None)
                    .await
                    .map_err(doing())?;
            }
        }
        Ok(())
    }

    fn object(&self, name: &str, part: &str) -> Json {
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": {MANAGED_BY: FIELD_MANAGER, PART: part},
            },
        })
    }

    async fn put_bytes(&self, name: &str, part: &str, bytes: &[u8]) -> Result<(), RolloutError> {
        let mut object = self.object(name, part);
        object["binaryData"] = json!({ "zst": k8s_openapi::ByteString(bytes.to_vec()) });
        // By apply: whether it is there already, of a run that was killed here, makes no difference.
        let answer = self.cluster.apply(&object).await;
        answer
            .map(drop)
            .map_err(RolloutError::doing(format!("writing the ConfigMap `{name}`")))
    }

    async fn bytes(&self, name: &str) -> Result<Vec<u8>, RolloutError> {
        let found = self.cluster.get(&config_map(&self.namespace, name)).await;
        let found: Option<Json> = found.map_err(RolloutError::doing("reading the journal"))?;
        let bytes = found.and_then(|object| {
            serde_json::from_value::<k8s_openapi::ByteString>(object["binaryData"]["zst"].clone()).ok()
        });
        bytes
            .map(|bytes| bytes.0)
            .ok_or_else(|| RolloutError::BadJournal {
                namespace: self.namespace.clone(),
                reason: format!("the ConfigMap `{name}` is missing or damaged"),
            })
    }
}

fn config_map(namespace: &str, name: &str) -> Target {
    Target {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        namespace: Some(namespace.to_owned()),
        name: name.to_owned(),
    }
}

fn plan_part(digest: &str, part: usize) -> String {
    let short = digest.get(..12).unwrap_or(digest);
    format!("{PLAN}-{short}-{part}")
}

fn saved(step: usize, write: usize) -> String {
    format!("{SAVED}-{step}-{write}")
}

fn text(object: &Json, key: &str) -> String {
    object["metadata"][key].as_str().unwrap_or_default().to_owned()
}

fn encode(journal: &Journal) -> String {
    // As `digest`.
    serde_json::to_string_pretty(journal).unwrap_or_default()
}

fn decode(object: &Json) -> Result<Journal, String> {
    let text = object["data"]["journal.json"]
        .as_str()
        .ok_or("the key `journal.json` is missing")?;
    let form: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if form["version"] != VERSION {
        return Err(format!("its form is {}, not {VERSION}", form["version"]));
    }
    serde_json::from_value(form).map_err(|error| error.to_string())
}
