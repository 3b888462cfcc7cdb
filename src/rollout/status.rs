//! Where a plan stands: the journal, the lease, and what the gates of the step that is under way see now.

use super::api::Cluster;
use super::error::RolloutError;
use super::gate::{self, Gate, Seen};
use super::journal::{Direction, Journal, Stop, Store};
use super::lease::{self, Holder};
use super::write::is_of;
use crate::plan::document::{Check, Phase, Plan, Step};
use serde::Serialize;

/// Where a plan stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Name of the context.
    pub context: String,
    /// The namespace of the control plane.
    pub root_namespace: String,
    /// Who is at work.
    pub holder: Option<Work>,
    /// The plan; none if nothing was ever applied.
    pub plan: Option<Progress>,
}

/// A run that is at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Work {
    /// User, host and process.
    pub who: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// When its lease ends unless it is renewed, RFC 3339.
    pub expires: String,
    /// Whether that time is over: the run is dead.
    pub expired: bool,
}

/// How far a plan is carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// What it was made from.
    pub source: String,
    /// SHA-256, in hexadecimal.
    pub digest: String,
    /// When it was begun, RFC 3339.
    pub started: String,
    /// When the journal was last written, RFC 3339.
    pub updated: String,
    /// Who wrote it.
    pub by: String,
    /// Where the last run was going.
    pub direction: Direction,
    /// Steps in effect.
    pub done: usize,
    /// All steps.
    pub steps: Vec<StepStatus>,
    /// The step that comes next.
    pub next: Option<String>,
    /// What does not hold yet of the step that is under way, and why.
    pub waiting: Vec<Waiting>,
    /// What stopped the last run.
    pub stopped: Option<Stop>,
    /// Gaps and steps that someone took on.
    pub accepted: Vec<String>,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Its id.
    pub id: String,
    /// What it does.
    pub title: String,
    /// What it is for.
    pub phase: Phase,
    /// How far.
    pub state: StepState,
    /// Writes in effect.
    pub writes: usize,
    /// All its writes.
    pub of: usize,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// In effect.
    Done,
    /// Begun.
    Partial,
    /// Not begun.
    Planned,
}

/// Something that is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// What for.
    pub check: String,
    /// Why it is not so yet.
    pub why: String,
}

/// Reads where a plan stands.
///
/// # Errors
/// If the cluster or the journal cannot be read.
pub async fn status(cluster: &Cluster, root_namespace: &str) -> Result<Status, RolloutError> {
    let holder = lease::look(cluster, root_namespace).await?;
    let plan = match Store::open(cluster, root_namespace, "").await? {
        Some((store, record)) => Some(progress(cluster, store.last(), &record.plan).await?),
        None => None,
    };
    Ok(Status {
        context: cluster.context.clone(),
        root_namespace: root_namespace.to_owned(),
        holder: holder.map(
            |Holder {
                 who,
                 since,
                 expires,
                 expired,
             }| Work {
                who,
                since,
                expires,
                expired,
            },
        ),
        plan,
    })
}

async fn progress(cluster: &Cluster, journal: &Journal, plan: &Plan) -> Result<Progress, RolloutError> {
    let begun = journal.writes > 0 || journal.pending.is_some();
    let steps = plan.steps.iter().enumerate().map(|(index, step)| {
        let of = step.writes.len();
        let (state, writes) = match index.cmp(&journal.done) {
            std::cmp::Ordering::Less => (StepState::Done, of),
            std::cmp::Ordering::Equal if begun => (StepState::Partial, journal.writes),
            _ => (StepState::Planned, 0),
        };
        StepStatus {
            id: step.id.clone(),
            title: step.title.clone(),
            phase: step.phase,
            state,
            writes,
            of,
        }
    });
    let steps = steps.collect();
    let current = plan.steps.get(journal.done);
    let waiting = match current {
        Some(step) => waiting(cluster, step, journal.writes, begun).await?,
        None => Vec::new(),
    };
    Ok(Progress {
        source: plan.source.clone(),
        digest: journal.plan.clone(),
        started: journal.started.clone(),
        updated: journal.updated.clone(),
        by: journal.by.clone(),
        direction: journal.direction,
        done: journal.done,
        steps,
        next: current.map(|step| step.id.clone()),
        waiting,
        stopped: journal.stopped.clone(),
        accepted: journal.accepted.clone(),
    })
}

/// What does not hold yet: of what the step requires before it begins, then of its checks.
async fn waiting(
    cluster: &Cluster,
    step: &Step,
    writes: usize,
    begun: bool,
) -> Result<Vec<Waiting>, RolloutError> {
    let checks: Vec<&Check> = if !begun {
        step.requires.iter().collect()
    } else if step.phase == Phase::Move {
        let made = &step.writes[..writes.min(step.writes.len())];
        let of_made =
            |check: &&Check| gate::workload_of(check).is_some_and(|of| made.iter().any(|w| is_of(w, of)));
        step.checks.iter().filter(of_made).collect()
    } else if writes == step.writes.len() {
        step.checks.iter().collect()
    } else {
        Vec::new()
    };
    let mut waiting = Vec::new();
    for check in checks
        .into_iter()
        .filter(|check| !matches!(check, Check::Settled { .. }))
    {
        let seen = Gate::new(check).look(cluster).await;
        if let Seen::Not(why) = seen.map_err(RolloutError::doing("looking at what is waited for"))? {
            let check = check.in_words();
            waiting.push(Waiting { check, why });
        }
    }
    Ok(waiting)
}
