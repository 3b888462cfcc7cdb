//! The Lease `mesh-migrate`: at most one run is at work. The journal, which each run changes only if nobody else did,
//! is the second lock: a run that was suspended past its lease cannot write anything after another has begun.

use super::api::{Cluster, Fault};
use super::error::RolloutError;
use super::{MANAGED_BY, now};
use crate::plan::document::{FIELD_MANAGER, Target};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// For how long a lease is held without being renewed.
pub const DURATION: Duration = Duration::from_secs(30);
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(8);

/// Who holds the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// User, host and process.
    pub who: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// Until when without renewal, RFC 3339.
    pub expires: String,
    /// Whether that time is over.
    pub expired: bool,
}

/// A lease that is held and renewed, until it is dropped or released.
#[derive(Debug)]
pub struct Lease {
    held: Arc<Held>,
    renewal: JoinHandle<()>,
}

#[derive(Debug)]
struct Held {
    cluster: Arc<Cluster>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    object: Json,
    renewed: Instant,
    lost_to: Option<String>,
}

/// Who holds the lease, if anybody does.
///
/// # Errors
/// If it cannot be read.
pub async fn look(cluster: &Cluster, namespace: &str) -> Result<Option<Holder>, RolloutError> {
    let found = cluster.get(&target(namespace)).await;
    Ok(found.map_err(doing())?.as_ref().and_then(holder))
}

impl Lease {
    /// Takes the lease of a namespace, or says who has it.
    ///
    /// # Errors
    /// If someone has it, or it cannot be written.
    pub async fn acquire(cluster: Arc<Cluster>, namespace: &str, who: &str) -> Result<Self, RolloutError> {
        for _ in 0..5 {
            let found = cluster.get(&target(namespace)).await.map_err(doing())?;
            let answer = match &found {
                None => cluster.create(&lease(namespace, who, 0)).await,
                Some(object) => {
                    match holder(object).filter(|holder| !holder.expired) {
                        // The answer to an attempt of our own was lost: nobody else has this name.
                        Some(holder) if holder.who == who => return Ok(Self::hold(cluster, object.clone())),
                        Some(holder) => return Err(RolloutError::Held(holder)),
                        None => {}
                    }
                    let transitions = object["spec"]["leaseTransitions"].as_u64().unwrap_or_default() + 1;
                    let mut new = lease(namespace, who, transitions);
                    new["metadata"]["resourceVersion"] = object["metadata"]["resourceVersion"].clone();
                    cluster.replace(&new).await
                }
            };
            match answer {
                Ok(object) => return Ok(Self::hold(cluster, object)),
                // Someone was faster, or the answer to our own first attempt was lost: look again.
                Err(fault) if fault.is_conflict() || fault.is_not_found() => {}
                Err(fault) => return Err(doing()(fault)),
            }
        }
        Err(RolloutError::LeaseLost("others, again and again".to_owned()))
    }

    fn hold(cluster: Arc<Cluster>, object: Json) -> Self {
        let state = Mutex::new(State {
            object,
            renewed: Instant::now(),
            lost_to: None,
        });
        let held = Arc::new(Held { cluster, state });
        let renewing = Arc::clone(&held);
        let renewal = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEWAL).await;
                // What fails here is tried again, and noticed at the next write at the latest.
                let _ = renewing.renew(Duration::ZERO).await;
            }
        });
        Self { held, renewal }
    }

    /// Makes sure that the lease is still ours, before a write.
    ///
    /// # Errors
    /// If it is not, or cannot be renewed in time.
    pub async fn check(&self) -> Result<(), RolloutError> {
        self.held.renew(RENEWAL * 2).await
    }

    /// Gives the lease back.
    pub async fn release(self) {
        self.renewal.abort();
        let state = self.held.state.lock().await;
        if state.lost_to.is_some() {
            return;
        }
        let metadata = &state.object["metadata"];
        let text = |key: &str| metadata[key].as_str().unwrap_or_default();
        // Without it, the lease ends by itself a little later.
        let _ = self
            .held
            .cluster
            .delete(
                &target(text("namespace")),
                text("uid"),
                Some(text("resourceVersion")),
            )
            .await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Held {
    /// Renews the lease if that was done longer ago than this.
    async fn renew(&self, older_than: Duration) -> Result<(), RolloutError> {
        let mut state = self.state.lock().await;
        if let Some(who) = &state.lost_to {
            return Err(RolloutError::LeaseLost(who.clone()));
        }
        if state.renewed.elapsed() < older_than {
            return Ok(());
        }
        for _ in 0..5 {
            let begin = Instant::now();
            let mut new = state.object.clone();
            new["spec"]["renewTime"] = now().into();
            match self.cluster.replace(&new).await {
                Ok(object) => {
                    state.object = object;
                    state.renewed = begin;
                    return Ok(());
                }
                Err(fault) if fault.is_conflict() || fault.is_not_found() => {
                    self.look_again(&mut state).await?;
                    // The answer was lost, and the write was not.
                    if state.object["spec"]["renewTime"] == new["spec"]["renewTime"] {
                        state.renewed = begin;
                        return Ok(());
                    }
                }
                Err(fault) => return Err(doing()(fault)),
            }
        }
        Err(RolloutError::LeaseLost("others, again and again".to_owned()))
    }

    /// After a conflict: still ours if the holder is, such as when the answer to a renewal was lost.
    async fn look_again(&self, state: &mut State) -> Result<(), RolloutError> {
        let namespace = state.object["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let found = self.cluster.get(&target(&namespace)).await.map_err(doing())?;
        match found {
            Some(object) if object["spec"]["holderIdentity"] == state.object["spec"]["holderIdentity"] => {
                state.object = object;
                Ok(())
            }
            other => {
                let who = other
                    .as_ref()
                    .and_then(holder)
                    .map_or("nobody: it was deleted".to_owned(), |h| h.who);
                state.lost_to = Some(who.clone());
                Err(RolloutError::LeaseLost(who))
            }
        }
    }
}

fn target(namespace: &str) -> Target {
    Target {
        api_version: "coordination.k8s.io/v1".to_owned(),
        kind: "Lease".to_owned(),
        namespace: Some(namespace.to_owned()),
        name: FIELD_MANAGER.to_owned(),
    }
}

fn doing() -> impl FnOnce(Fault) -> RolloutError {
    RolloutError::doing("holding the lease `mesh-migrate`")
}

fn lease(namespace: &str, who: &str, transitions: u64) -> Json {
    let now = now();
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": FIELD_MANAGER,
            "namespace": namespace,
            "labels": {MANAGED_BY: FIELD_MANAGER},
        },
        "spec": {
            "holderIdentity": who,
            "leaseDurationSeconds": DURATION.as_secs(),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": transitions,
        },
    })
}

fn holder(object: &Json) -> Option<Holder> {
    let spec = &object["spec"];
    let who = spec["holderIdentity"].as_str().filter(|who| !who.is_empty())?;
    let seconds = spec["leaseDurationSeconds"].as_i64().unwrap_or_default();
    let renewed: Option<Timestamp> = spec["renewTime"].as_str().and_then(|time| time.parse().ok());
    let expires = renewed.and_then(|time| time.checked_add(SignedDuration::from_secs(seconds)).ok());
    Some(Holder {
        who: who.to_owned(),
        since: spec["acquireTime"]
            .as_str()
            .unwrap_or("an unknown time")
            .to_owned(),
        expires: expires.map_or("an unknown time".to_owned(), |time| {
            time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
        }),
        // A lease without times was not made by us; nobody renews it.
        expired: expires.is_none_or(|time| time < Timestamp::now()),
    })
}

/// The name of this run: user, host, process, and a number that no other has.
#[must_use]
pub fn identity() -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("USER")
        .or_else(|| variable("USERNAME"))
        .unwrap_or("someone".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or_else(|| variable("HOSTNAME"))
        .or_else(|| variable("COMPUTERNAME"))
        .unwrap_or("a host".to_owned());
    let since = Timestamp::now().as_microsecond();
    format!("{user}@{host}, process {} ({since:x})", std::process::id())
}
