//! Gates: what must be seen in the cluster before a run goes on. Everything is asked for again and again; nothing
//! depends on a watch that could be lost.

mod policy;
mod proxy;
mod waypoint;
mod witness;
mod workload;

use super::api::{Cluster, Fault};
use crate::plan::document::{Check, Phase, Target};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// What was seen of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It holds.
    Holds,
    /// It does not hold yet, and why.
    Not(String),
}

impl Seen {
    fn when(holds: bool, why: impl FnOnce() -> String) -> Self {
        if holds { Self::Holds } else { Self::Not(why()) }
    }
}

/// A check while it is waited for.
#[derive(Debug)]
pub struct Gate<'a> {
    check: &'a Check,
    begin: Instant,
    /// Pods whose Envoy has been seen to have what it should: it does not lose that again.
    settled: BTreeSet<String>,
}

impl<'a> Gate<'a> {
    /// A gate that is waited for from now on.
    #[must_use]
    pub fn new(check: &'a Check) -> Self {
        Self {
            check,
            begin: Instant::now(),
            settled: BTreeSet::new(),
        }
    }

    /// Looks at the cluster once.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn look(&mut self, cluster: &Cluster) -> Result<Seen, Fault> {
        match self.check {
            Check::DaemonSetReady { namespace, name } => {
                let target = workload("DaemonSet", namespace, name);
                workload::rolled_out(cluster, &target).await
            }
            Check::WaypointReady { namespace, name } => waypoint::ready(cluster, namespace, name).await,
            Check::AcceptedByWaypoint { policy, targets } => {
                policy::accepted(cluster, policy, *targets).await
            }
            Check::RolledOut { workload } => workload::rolled_out(cluster, workload).await,
            Check::Moved { workload } => workload::moved(cluster, workload).await,
            Check::HasSidecars { workload, hbone } => workload::has_sidecars(cluster, workload, *hbone).await,
            Check::ProxyHolds {
                namespace,
                labels,
                present,
                absent,
            } => {
                let texts = proxy::Texts { present, absent };
                proxy::hold(cluster, namespace.as_deref(), labels, texts, &mut self.settled).await
            }
            Check::Witness(witness) => witness::holds(cluster, witness).await,
            Check::Settled { seconds } => {
                let left = Duration::from_secs((*seconds).into()).saturating_sub(self.begin.elapsed());
                Ok(Seen::when(left.is_zero(), || {
                    "the time that the control plane needs is not over".to_owned()
                }))
            }
        }
    }

    /// How long it has been waited for.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.begin.elapsed()
    }
}

/// The label of a waypoint's pods (GEP-1762).
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// How long a witness may take: long enough to look twice.
const WITNESS: Duration = Duration::from_secs(4);

/// How long a check may take: pods that start need longer than configuration that travels.
#[must_use]
pub fn limit(check: &Check, phase: Phase, asked: Option<Duration>) -> Duration {
    let minutes = if phase == Phase::Move { 10 } else { 3 };
    let limit = asked.unwrap_or(Duration::from_secs(minutes * 60));
    match check {
        // It needs no more than its time, and no less.
        Check::Settled { seconds } => limit.max(Duration::from_secs(u64::from(*seconds) + 5)),
        // What a witness meets for a moment, others meet, too.
        Check::Witness(_) => WITNESS,
        _ => limit,
    }
}

/// The workload that a check is about.
#[must_use]
pub fn workload_of(check: &Check) -> Option<&Target> {
    match check {
        Check::RolledOut { workload } | Check::Moved { workload } | Check::HasSidecars { workload, .. } => {
            Some(workload)
        }
        _ => None,
    }
}

/// What must hold when a step is undone that waited for this: none if it left no trace that can be waited for.
#[must_use]
pub fn reverse(check: &Check) -> Option<Check> {
    match check {
        // Nobody passes a waypoint that no Service uses, and istiod takes a minute to tell it so.
        Check::ProxyHolds { labels, .. } if labels.contains_key(GATEWAY_NAME) => None,
        Check::ProxyHolds {
            namespace,
            labels,
            present,
            absent,
        } => Some(Check::ProxyHolds {
            namespace: namespace.clone(),
            labels: labels.clone(),
            present: absent.clone(),
            absent: present.clone(),
        }),
        Check::Settled { .. } | Check::Witness(_) => Some(check.clone()),
        _ => None,
    }
}

/// How many complaints are told in full.
const NAMED: usize = 3;

/// The first complaints, and how many more there are.
fn listed(complaints: &[String]) -> String {
    let first = complaints.iter().take(NAMED).map(String::as_str);
    let text = first.collect::<Vec<_>>().join("; ");
    match complaints.len().saturating_sub(NAMED) {
        0 => text,
        more => format!("{text}; and {more} more"),
    }
}

/// A workload of `apps/v1` by its names.
fn workload(kind: &str, namespace: &str, name: &str) -> Target {
    Target {
        api_version: "apps/v1".to_owned(),
        kind: kind.to_owned(),
        namespace: Some(namespace.to_owned()),
        name: name.to_owned(),
    }
}
