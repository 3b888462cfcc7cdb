//! The journal: how far a plan is carried out, in the cluster itself.

mod store;

pub use store::{JOURNAL, Store, digest};

use crate::plan::Plan;
use crate::plan::document::{Target, Write};
use crate::rollout::ownership;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The form of the journal.
pub const VERSION: u32 = 1;

/// How far a plan is carried out. The writes in effect are those of the first `done` steps and the first `writes` of
/// the step after them; one more may be under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Journal {
    /// [`VERSION`].
    pub version: u32,
    /// SHA-256 of the plan, in hexadecimal.
    pub plan: String,
    /// How many ConfigMaps hold the plan.
    pub parts: usize,
    /// Which way it goes.
    pub direction: Direction,
    /// Steps that are in effect as a whole.
    pub done: usize,
    /// Writes of the next step that are in effect.
    pub writes: usize,
    /// A write that may or may not have been made yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// For steps by their place: checks of theirs that did not hold before. After the step is undone, they must not
    /// hold again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reversible: BTreeMap<usize, Vec<usize>>,
    /// What was accepted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<String>,
    /// When it was begun.
    pub started: String,
    /// When it was last written.
    pub updated: String,
    /// Who wrote it last.
    pub by: String,
    /// Grows with each writing.
    pub revision: u64,
    /// What stopped the last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stop>,
    /// What is waited for, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Wait>,
}

/// What is carried out, and what was there before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The plan.
    pub plan: Plan,
    /// What plans before it left of ours on each object, as if it were set: it stays ours, and stays on the way back.
    #[serde(default)]
    pub base: Vec<Write>,
}

impl Record {
    /// What the next plan finds of ours once all of this one is in effect.
    #[must_use]
    pub fn left(&self) -> Vec<Write> {
        let writes = || {
            self.base
                .iter()
                .chain(self.plan.steps.iter().flat_map(|step| &step.writes))
        };
        let targets: BTreeMap<String, Target> = writes()
            .map(Write::target)
            .map(|target| (format!("{} {target}", target.group()), target))
            .collect();
        let unions = targets
            .values()
            .map(|target| (ownership::union(writes(), target), target));
        unions
            .filter(|(union, target)| *union != ownership::bare(target))
            .map(|(manifest, _)| Write::Set { manifest })
            .collect()
    }
}

/// Which way a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Towards the end of the plan.
    Forward,
    /// Towards its beginning.
    Backward,
}

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pending {
    /// The write after those in effect is being made.
    Do,
    /// The last of the writes in effect is being undone.
    Undo,
}

/// Why a run stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stop {
    /// The step.
    pub step: String,
    /// What failed.
    pub why: String,
    /// When.
    pub at: String,
}

/// What a run waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wait {
    /// The step.
    pub step: String,
    /// What for.
    pub check: String,
    /// Since when.
    pub since: String,
}

impl Journal {
    /// The journal of a plan of which nothing is done yet.
    #[must_use]
    pub fn begin(digest: String, accepted: Vec<String>, by: &str) -> Self {
        let now = super::now();
        Self {
            version: VERSION,
            plan: digest,
            parts: 0,
            direction: Direction::Forward,
            done: 0,
            writes: 0,
            pending: None,
            reversible: BTreeMap::new(),
            accepted,
            started: now.clone(),
            updated: now,
            by: by.to_owned(),
            revision: 0,
            stopped: None,
            waiting: None,
        }
    }

    /// Whether nothing of the plan is in effect.
    #[must_use]
    pub fn is_at_start(&self) -> bool {
        self.done == 0 && self.writes == 0 && self.pending.is_none() && self.reversible.is_empty()
    }

    /// Whether these places are in the plan.
    #[must_use]
    pub fn fits(&self, plan: &Plan) -> bool {
        let writes = plan.steps.get(self.done).map_or(0, |step| step.writes.len());
        let room = match self.pending {
            Some(Pending::Do) => self.writes < writes,
            Some(Pending::Undo) => self.writes > 0,
            None => true,
        };
        self.done <= plan.steps.len() && self.writes <= writes && room
    }

    /// The writes in effect, in order, without one that is under way.
    pub fn in_effect<'a>(&self, plan: &'a Plan) -> impl Iterator<Item = &'a Write> + use<'a> {
        let (done, writes) = (self.done, self.writes);
        let whole = plan.steps.iter().take(done).flat_map(|step| &step.writes);
        let part = plan
            .steps
            .get(done)
            .into_iter()
            .flat_map(move |step| step.writes.iter().take(writes));
        whole.chain(part)
    }
}
