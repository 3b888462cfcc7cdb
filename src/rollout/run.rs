//! Forwards: from where the journal says we are to the end of the plan, or to a step of it.

use super::api::Cluster;
use super::error::RolloutError;
use super::event::{Consent, Event, Listener, Question};
use super::gate;
use super::interrupt::Interrupt;
use super::journal::{Direction, Journal, Pending, Record, Stop, Store, digest};
use super::lease::{self, Lease};
use super::write::{self, WriteError, is_of, op};
use super::{now, refusal};
use crate::input::cluster::{self as reading, ClusterError, ClusterOptions};
use crate::plan::document::{Phase, Plan, Step, Write};
use crate::plan::state;
use model::Coverage;
use std::sync::Arc;
use std::time::Duration;

/// How often the cluster is read before what cannot be read of it counts.
const READINGS: u32 = 5;
/// How often each request of such a reading is made: about a minute, for a run should outlast what a server recovers from.
const ATTEMPTS: u32 = 12;

/// How to carry a plan out.
#[derive(Debug, Clone)]
pub struct ApplyOptions {
    /// The last step to do; all if not given.
    pub until: Option<String>,
    /// Gaps, and steps without a proof, that someone takes on.
    pub accepted: Vec<String>,
    /// How long a gate may take.
    pub step_timeout: Option<Duration>,
    /// The namespace of the control plane, which holds the journal.
    pub root_namespace: String,
    /// How the cluster is read when it is compared with the plan.
    pub reading: ClusterOptions,
}

/// Where a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Steps that are in effect.
    pub done: usize,
    /// Steps of the plan.
    pub steps: usize,
    /// The step that comes next, if any.
    pub next: Option<String>,
}

/// A run of either direction: what it works with.
pub(super) struct Run<'a> {
    pub cluster: &'a Cluster,
    pub plan: &'a Plan,
    /// What earlier plans left of ours.
    pub base: Vec<Write>,
    pub store: Store<'a>,
    pub journal: Journal,
    pub lease: &'a Lease,
    pub listener: &'a mut dyn Listener,
    pub consent: Arc<dyn Consent>,
    pub interrupt: &'a Interrupt,
    pub step_timeout: Option<Duration>,
}

/// Why a step cannot go on: the run itself must end, or the step has failed.
pub(super) enum Trouble {
    Ends(RolloutError),
    Fails(String),
}

impl From<RolloutError> for Trouble {
    fn from(error: RolloutError) -> Self {
        Self::Ends(error)
    }
}

/// Carries a plan out, or goes on with it.
///
/// # Errors
/// If it is refused, stopped, or cannot go on; the journal says how far it came.
pub async fn apply(
    cluster: Arc<Cluster>,
    plan: &Plan,
    options: &ApplyOptions,
    listener: &mut dyn Listener,
    consent: Arc<dyn Consent>,
    interrupt: &Interrupt,
) -> Result<Ended, RolloutError> {
    let until = refusal::last_step(plan, options.until.as_deref())?;
    refusal::accepted(plan, &options.accepted, until)?;
    let who = lease::identity();
    let lease = Lease::acquire(Arc::clone(&cluster), &options.root_namespace, &who).await?;
    let result = tokio::select! {
        result = applied(&cluster, plan, options, until, &lease, &who, listener, consent, interrupt) => result,
        () = interrupt.insisted() => Err(RolloutError::Interrupted("in the middle of a write".to_owned())),
    };
    lease.release().await;
    result
}

#[expect(
    clippy::too_many_arguments,
    reason = "the parts of one run, taken apart only to be put together"
)]
async fn applied<'a>(
    cluster: &'a Arc<Cluster>,
    plan: &'a Plan,
    options: &ApplyOptions,
    until: usize,
    lease: &'a Lease,
    who: &str,
    listener: &'a mut dyn Listener,
    consent: Arc<dyn Consent>,
    interrupt: &'a Interrupt,
) -> Result<Ended, RolloutError> {
    let found = Store::open(cluster, &options.root_namespace, who).await?;
    let (before, base) = match found {
        None => (None, Vec::new()),
        Some((store, old)) if store.last().plan == digest(plan) => (Some(store), old.base),
        Some((store, old)) => {
            let base = base_after(store.last(), old)?;
            (Some(store), base)
        }
    };
    let journal = before.as_ref().map(|store| store.last().clone());
    let journal = journal.filter(|journal| journal.plan == digest(plan) && !journal.is_at_start());
    let resumed = journal.is_some();
    let done = journal.as_ref().map_or(0, |journal| journal.done);
    listener.hear(&Event::Begin {
        backward: false,
        resumed,
        done,
        steps: plan.steps.len(),
    });
    listener.hear(&Event::Comparing);
    let differences = differences(plan, &options.reading).await?;
    if !differences.is_empty() {
        return Err(RolloutError::Differs(differences));
    }
    if done < until {
        let what = format!("{} of {} steps", until - done, plan.steps.len());
        ask(
            &consent,
            Question::Begin {
                context: cluster.context.clone(),
                what,
            },
            "written",
        )
        .await?;
    }
    lease.check().await?;
    let (store, mut journal) = match (before, journal) {
        (Some(store), Some(journal)) => (store, journal),
        (before, _) => {
            let accepted = options.accepted.clone();
            let record = Record {
                plan: plan.clone(),
                base: base.clone(),
            };
            let store =
                Store::begin(cluster, &options.root_namespace, who, &record, accepted, before).await?;
            let journal = store.last().clone();
            (store, journal)
        }
    };
    journal.direction = Direction::Forward;
    journal.stopped = None;
    journal.waiting = None;
    if journal.pending == Some(Pending::Undo) {
        // It may have been undone: made again as if it was.
        journal.writes = journal.writes.saturating_sub(1);
        journal.pending = Some(Pending::Do);
    }
    for name in &options.accepted {
        if !journal.accepted.contains(name) {
            journal.accepted.push(name.clone());
        }
    }
    let step_timeout = options.step_timeout;
    let mut run = Run {
        cluster,
        plan,
        base,
        store,
        journal,
        lease,
        listener,
        consent,
        interrupt,
        step_timeout,
    };
    run.save().await?;
    run.forward(until, &options.reading).await
}

/// What a plan that is at its start or its end leaves to the next.
fn base_after(journal: &Journal, old: Record) -> Result<Vec<Write>, RolloutError> {
    let steps = old.plan.steps.len();
    if journal.is_at_start() {
        Ok(old.base)
    } else if journal.done == steps && journal.pending.is_none() {
        Ok(old.left())
    } else {
        Err(RolloutError::OtherPlan {
            source_of: old.plan.source,
            done: journal.done,
            steps,
        })
    }
}

/// Whether the server may answer later.
fn may_pass(error: &ClusterError) -> bool {
    matches!(
        error,
        ClusterError::Refused { .. } | ClusterError::Timeout { .. } | ClusterError::Connection { .. }
    )
}

/// What is otherwise in the cluster than the plan takes it to be.
async fn differences(plan: &Plan, options: &ClusterOptions) -> Result<Vec<String>, RolloutError> {
    let options = ClusterOptions {
        attempts: ATTEMPTS,
        ..options.clone()
    };
    let mut pause = Duration::from_millis(500);
    let mut attempt = 1;
    loop {
        let mesh = match reading::read(&options, &mut |_| ()).await {
            Ok(input) => input.mesh,
            Err(error) if attempt < READINGS && may_pass(&error) => {
                tokio::time::sleep(pause).await;
                pause *= 2;
                attempt += 1;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        // What could not be read would look like gone.
        let unreadable: Vec<String> = match &mesh.coverage {
            Coverage::Cluster(coverage) => coverage.unreadable.values().cloned().collect(),
            _ => Vec::new(),
        };
        if unreadable.is_empty() {
            return Ok(state::differences(&plan.state, &state::of(&mesh, &plan.steps)));
        }
        if attempt == READINGS {
            return Err(RolloutError::Partial(unreadable));
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
        attempt += 1;
    }
}

pub(super) async fn ask(
    consent: &Arc<dyn Consent>,
    question: Question,
    left: &'static str,
) -> Result<(), RolloutError> {
    let consent = Arc::clone(consent);
    let answer = tokio::task::spawn_blocking(move || consent.ask(&question)).await;
    match answer {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(RolloutError::Declined(left)),
        Ok(Err(reason)) => Err(RolloutError::NotAsked(reason)),
        Err(error) => Err(RolloutError::NotAsked(error.to_string())),
    }
}

impl Run<'_> {
    /// Writes the journal.
    pub async fn save(&mut self) -> Result<(), RolloutError> {
        self.store.save(&mut self.journal).await
    }

    pub fn tell(&mut self, event: Event) {
        self.listener.hear(&event);
    }

    pub fn ended(&self) -> Ended {
        Ended {
            done: self.journal.done,
            steps: self.plan.steps.len(),
            next: self.plan.steps.get(self.journal.done).map(|step| step.id.clone()),
        }
    }

    /// Stops here if someone wants that, or if the lease is gone.
    pub async fn may_go_on(&self) -> Result<(), RolloutError> {
        self.lease.check().await?;
        if !self.interrupt.is_wanted() {
            return Ok(());
        }
        let place = match self.plan.steps.get(self.journal.done) {
            Some(step) if self.journal.writes > 0 => {
                let writes = self.journal.writes;
                format!(
                    "{writes} of {} writes of `{}` are in effect",
                    step.writes.len(),
                    step.id
                )
            }
            _ => format!(
                "{} of {} steps are in effect",
                self.journal.done,
                self.plan.steps.len()
            ),
        };
        Err(RolloutError::Interrupted(place))
    }

    async fn forward(mut self, until: usize, reading: &ClusterOptions) -> Result<Ended, RolloutError> {
        let plan = self.plan;
        let first = self.journal.done;
        while self.journal.done < until {
            let index = self.journal.done;
            let Some(step) = plan.steps.get(index) else { break };
            self.may_go_on().await?;
            // The first step was compared just now, and one that is begun is undone by its own gates.
            if index > first && self.journal.writes == 0 {
                let differences = differences(plan, reading).await?;
                if !differences.is_empty() {
                    return Err(self
                        .stop(step, RolloutError::Differs(differences).to_string(), None)
                        .await);
                }
            }
            if step.asks && self.journal.writes == 0 && self.journal.pending.is_none() {
                let question = Question::Step {
                    step: step.id.clone(),
                    title: step.title.clone(),
                };
                ask(&self.consent, question, "written of this step").await?;
            }
            let (number, steps) = (index + 1, plan.steps.len());
            self.tell(Event::Step {
                number,
                steps,
                step: step.id.clone(),
                title: step.title.clone(),
                phase: step.phase,
            });
            match self.step(index, step).await {
                Ok(()) => {
                    self.journal.done += 1;
                    self.journal.writes = 0;
                    self.save().await?;
                    self.tell(Event::StepDone {
                        step: step.id.clone(),
                    });
                }
                Err(Trouble::Ends(error)) => return Err(error),
                Err(Trouble::Fails(why)) => return Err(self.fail(index, step, why).await),
            }
        }
        let ended = self.ended();
        self.tell(Event::Done {
            backward: false,
            done: ended.done,
            steps: ended.steps,
        });
        Ok(ended)
    }

    /// All of a step, or what is missing of it.
    async fn step(&mut self, index: usize, step: &Step) -> Result<(), Trouble> {
        let fresh = self.journal.writes == 0 && self.journal.pending.is_none();
        if fresh {
            for check in &step.requires {
                self.pass(step, check).await?;
            }
            self.note_reversible(index, step).await?;
        }
        // A run that was killed may have been waiting for these.
        if step.phase == Phase::Move {
            for place in 0..self.journal.writes {
                self.gates_after(step, place).await?;
            }
        }
        while self.journal.writes < step.writes.len() {
            self.may_go_on().await?;
            let place = self.journal.writes;
            self.write(index, step, place).await?;
            if step.phase == Phase::Move {
                self.gates_after(step, place).await?;
            }
        }
        for check in &step.checks {
            let by_write = step.phase == Phase::Move
                && gate::workload_of(check)
                    .is_some_and(|of| step.writes.iter().any(|write| is_of(write, of)));
            if !by_write {
                self.pass(step, check).await?;
            }
        }
        Ok(())
    }

    /// One write: what its undo needs, its intent, itself, and that it is made.
    async fn write(&mut self, index: usize, step: &Step, place: usize) -> Result<(), Trouble> {
        let Some(write) = step.writes.get(place) else {
            return Ok(());
        };
        let (number, object) = (place + 1, write.target().to_string());
        let saved = if self.journal.pending == Some(Pending::Do) && write::saves(write) {
            Some(self.store.kept(index, place).await?)
        } else if self.journal.pending == Some(Pending::Do) {
            None
        } else {
            let saved = write::to_save(self.cluster, write).await.map_err(trouble)?;
            if let Some(object) = &saved {
                self.store.keep(index, place, object).await?;
            }
            self.journal.pending = Some(Pending::Do);
            self.save().await?;
            saved
        };
        self.tell(Event::Write {
            step: step.id.clone(),
            number,
            writes: step.writes.len(),
            op: op(write),
            object: object.clone(),
        });
        let in_effect = self.base.iter().chain(self.journal.in_effect(self.plan));
        write::make(self.cluster, write, in_effect, saved.as_ref())
            .await
            .map_err(trouble)?;
        self.journal.pending = None;
        self.journal.writes += 1;
        self.save().await?;
        self.tell(Event::Written {
            step: step.id.clone(),
            number,
            object,
        });
        Ok(())
    }

    /// A step has failed: it is undone by itself.
    async fn fail(&mut self, index: usize, step: &Step, why: String) -> RolloutError {
        self.tell(Event::Failed {
            step: step.id.clone(),
            why: why.clone(),
        });
        self.journal.waiting = None;
        let undone = match self.unwind(index).await {
            Ok(0) => "nothing of it was written".to_owned(),
            Ok(_) => "what was written of it is undone".to_owned(),
            Err(error @ (RolloutError::LeaseLost(_) | RolloutError::JournalChanged(_))) => return error,
            Err(error) => {
                let left = self.journal.writes;
                return self
                    .stop(
                        step,
                        why,
                        Some(format!("{left} writes are still in effect: {error}")),
                    )
                    .await;
            }
        };
        self.stop(step, why, Some(undone)).await
    }

    async fn stop(&mut self, step: &Step, why: String, undone: Option<String>) -> RolloutError {
        self.journal.stopped = Some(Stop {
            step: step.id.clone(),
            why: why.clone(),
            at: now(),
        });
        if let Err(error) = self.save().await {
            return error;
        }
        RolloutError::Stopped {
            step: step.id.clone(),
            why,
            undone: undone.unwrap_or("nothing of it was written".to_owned()),
        }
    }
}

/// A foreign change fails the step. So does a refusal; a server that is away ends the run.
pub(super) fn trouble(error: WriteError) -> Trouble {
    match error {
        WriteError::Fault { fault, object } if fault.is_away() => {
            Trouble::Ends(RolloutError::doing(format!("writing {object}"))(fault))
        }
        error => Trouble::Fails(error.to_string()),
    }
}
