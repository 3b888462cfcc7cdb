//! Backwards: the writes in effect are undone from the last one on.

use super::api::Cluster;
use super::error::RolloutError;
use super::event::{Consent, Event, Listener, Question};
use super::gate;
use super::interrupt::Interrupt;
use super::journal::{Direction, Pending, Record, Store};
use super::lease::{self, Lease};
use super::refusal;
use super::run::{Ended, Run, Trouble, ask, trouble};
use super::undo::undo;
use super::write::{op, restarts, saves};
use crate::plan::document::{Check, Plan, Step};
use std::sync::Arc;
use std::time::Duration;

/// How to undo a plan.
#[derive(Debug, Clone)]
pub struct RollbackOptions {
    /// The last step that stays in effect; none if not given.
    pub to: Option<String>,
    /// How long a gate may take.
    pub step_timeout: Option<Duration>,
    /// The namespace of the control plane, which holds the journal.
    pub root_namespace: String,
}

/// Undoes the plan that the journal holds, back to its start or to a step.
///
/// # Errors
/// If there is none, or something cannot be undone; the journal says how far it came.
pub async fn rollback(
    cluster: Arc<Cluster>,
    options: &RollbackOptions,
    listener: &mut dyn Listener,
    consent: Arc<dyn Consent>,
    interrupt: &Interrupt,
) -> Result<Ended, RolloutError> {
    let who = lease::identity();
    let lease = Lease::acquire(Arc::clone(&cluster), &options.root_namespace, &who).await?;
    let result = tokio::select! {
        result = rolled_back(&cluster, options, &lease, &who, listener, consent, interrupt) => result,
        () = interrupt.insisted() => Err(RolloutError::Interrupted("in the middle of a write".to_owned())),
    };
    lease.release().await;
    result
}

async fn rolled_back(
    cluster: &Cluster,
    options: &RollbackOptions,
    lease: &Lease,
    who: &str,
    listener: &mut dyn Listener,
    consent: Arc<dyn Consent>,
    interrupt: &Interrupt,
) -> Result<Ended, RolloutError> {
    let Some((store, Record { plan, base })) = Store::open(cluster, &options.root_namespace, who).await?
    else {
        return Err(RolloutError::NoJournal(options.root_namespace.clone()));
    };
    let keep = match &options.to {
        None => 0,
        Some(name) => refusal::step(&plan, name)? + 1,
    };
    let journal = store.last().clone();
    listener.hear(&Event::Begin {
        backward: true,
        resumed: journal.direction == Direction::Backward,
        done: journal.done,
        steps: plan.steps.len(),
    });
    let begun = journal.writes > 0 || journal.pending.is_some();
    if journal.done > keep || (journal.done == keep && begun) {
        let count = (journal.done + usize::from(begun)).saturating_sub(keep);
        let question = Question::Begin {
            context: cluster.context.clone(),
            what: format!("the undoing of {count} of {} steps", plan.steps.len()),
        };
        ask(&consent, question, "undone").await?;
    }
    let mut run = Run {
        cluster,
        plan: &plan,
        base,
        store,
        journal,
        lease,
        listener,
        consent,
        interrupt,
        step_timeout: options.step_timeout,
    };
    run.unwind(keep).await?;
    run.journal.stopped = None;
    run.save().await?;
    let ended = run.ended();
    run.tell(Event::Done {
        backward: true,
        done: ended.done,
        steps: ended.steps,
    });
    Ok(ended)
}

impl Run<'_> {
    /// Undoes everything but the first `keep` steps. Gives how many writes were undone.
    pub(super) async fn unwind(&mut self, keep: usize) -> Result<usize, RolloutError> {
        let plan: &Plan = self.plan;
        let mut undone = 0;
        if self.journal.done < keep {
            return Ok(undone);
        }
        self.journal.direction = Direction::Backward;
        self.journal.waiting = None;
        if self.journal.pending == Some(Pending::Do) {
            // It may have been made: undone as if it was.
            self.journal.writes += 1;
            self.journal.pending = Some(Pending::Undo);
        }
        self.save().await?;
        loop {
            let index = self.journal.done;
            if let Some(step) = plan.steps.get(index) {
                let begun = self.journal.writes > 0;
                while self.journal.writes > 0 {
                    self.may_go_on().await?;
                    self.undo_last(index, step).await?;
                    undone += 1;
                }
                self.gates_of_undo(index, step).await?;
                if begun {
                    self.tell(Event::StepUndone {
                        step: step.id.clone(),
                    });
                }
            }
            if index == keep {
                return Ok(undone);
            }
            self.journal.done = index - 1;
            self.journal.writes = plan.steps.get(index - 1).map_or(0, |step| step.writes.len());
            self.save().await?;
        }
    }

    /// Undoes the last write in effect, and waits for the pods that this restarts.
    async fn undo_last(&mut self, index: usize, step: &Step) -> Result<(), RolloutError> {
        let place = self.journal.writes.saturating_sub(1);
        let Some(write) = step.writes.get(place) else {
            self.journal.writes = 0;
            return Ok(());
        };
        let (number, object) = (place + 1, write.target().to_string());
        if self.journal.pending != Some(Pending::Undo) {
            self.journal.pending = Some(Pending::Undo);
            self.save().await?;
        }
        self.tell(Event::Undo {
            step: step.id.clone(),
            number,
            op: op(write),
            object: object.clone(),
        });
        let saved = if saves(write) {
            Some(self.store.kept(index, place).await?)
        } else {
            None
        };
        let stay = self.count().saturating_sub(1);
        let rest = self
            .base
            .iter()
            .chain(self.journal.in_effect(self.plan).take(stay));
        let note = match undo(self.cluster, write, rest, saved.as_ref()).await {
            Ok(note) => note,
            Err(error) => return Err(stuck(step, trouble(error))),
        };
        if let Some(text) = note {
            self.tell(Event::Note { text });
        } else if restarts(write) {
            let check = Check::RolledOut {
                workload: write.target(),
            };
            self.pass(step, &check)
                .await
                .map_err(|trouble| stuck(step, trouble))?;
        }
        self.journal.pending = None;
        self.journal.writes -= 1;
        self.save().await?;
        self.tell(Event::Undone {
            step: step.id.clone(),
            number,
            object,
        });
        Ok(())
    }

    /// How many writes are in effect.
    fn count(&self) -> usize {
        let whole = self
            .plan
            .steps
            .iter()
            .take(self.journal.done)
            .map(|step| step.writes.len());
        whole.sum::<usize>() + self.journal.writes
    }

    /// What was waited for when the step was done must not be so any more, where it was not so before.
    async fn gates_of_undo(&mut self, index: usize, step: &Step) -> Result<(), RolloutError> {
        let Some(places) = self.journal.reversible.get(&index).cloned() else {
            return Ok(());
        };
        for check in places.iter().filter_map(|place| step.checks.get(*place)) {
            if let Some(reverse) = gate::reverse(check) {
                self.pass(step, &reverse)
                    .await
                    .map_err(|trouble| stuck(step, trouble))?;
            }
        }
        self.journal.reversible.remove(&index);
        self.save().await
    }
}

fn stuck(step: &Step, trouble: Trouble) -> RolloutError {
    match trouble {
        Trouble::Ends(error) => error,
        Trouble::Fails(why) => RolloutError::Stuck {
            step: step.id.clone(),
            why,
        },
    }
}
