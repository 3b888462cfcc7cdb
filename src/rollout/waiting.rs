//! Waiting at gates, in either direction.

use super::error::RolloutError;
use super::event::Event;
use super::gate::{self, Gate, Seen};
use super::journal::Wait;
use super::now;
use super::run::{Run, Trouble};
use super::write::is_of;
use crate::plan::document::{Check, Step};
use std::time::{Duration, Instant};

/// The first and the longest pause between two looks at a gate.
const POLL: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

impl Run<'_> {
    /// The gates of one workload's write.
    pub(super) async fn gates_after(&mut self, step: &Step, place: usize) -> Result<(), Trouble> {
        let Some(write) = step.writes.get(place) else {
            return Ok(());
        };
        let checks = step
            .checks
            .iter()
            .filter(|check| gate::workload_of(check).is_some_and(|workload| is_of(write, workload)));
        for check in checks {
            self.pass(step, check).await?;
        }
        Ok(())
    }

    /// Which checks of a step do not hold before it: those must not hold again when it is undone.
    pub(super) async fn note_reversible(&mut self, index: usize, step: &Step) -> Result<(), Trouble> {
        let mut reversible = Vec::new();
        for (place, check) in step.checks.iter().enumerate() {
            let holds = match gate::reverse(check) {
                None => false,
                Some(Check::Settled { .. }) => true,
                Some(reverse) => {
                    let seen = Gate::new(&reverse).look(self.cluster).await;
                    seen.map_err(RolloutError::doing("looking at the state before the step"))? == Seen::Holds
                }
            };
            if holds {
                reversible.push(place);
            }
        }
        if !reversible.is_empty() {
            self.journal.reversible.insert(index, reversible);
        }
        Ok(())
    }

    /// Waits until a gate opens.
    pub(super) async fn pass(&mut self, step: &Step, check: &Check) -> Result<(), Trouble> {
        let words = check.in_words();
        let limit = gate::limit(check, step.phase, self.step_timeout);
        let mut gate = Gate::new(check);
        let (mut pause, mut told, mut noted) = (POLL.0, String::new(), false);
        let begin = Instant::now();
        loop {
            let why = match gate.look(self.cluster).await {
                Ok(Seen::Holds) => break,
                Ok(Seen::Not(why)) => why,
                Err(fault) => return Err(RolloutError::doing(format!("waiting until {words}"))(fault).into()),
            };
            if gate.waited() >= limit {
                let after = limit.as_secs();
                return Err(Trouble::Fails(format!("not so within {after} s: {words}; {why}")));
            }
            if why != told {
                told.clone_from(&why);
                let left = limit.saturating_sub(gate.waited()).as_secs();
                self.tell(Event::Waiting {
                    step: step.id.clone(),
                    check: words.clone(),
                    why,
                    left,
                });
            }
            // For `status`: only waits that last are worth a write.
            if !noted && begin.elapsed() > Duration::from_secs(2) {
                noted = true;
                self.note_wait(Some(Wait {
                    step: step.id.clone(),
                    check: words.clone(),
                    since: now(),
                }))
                .await?;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.interrupt.wanted() => self.may_go_on().await?,
            }
            pause = (pause * 2).min(POLL.1);
        }
        if noted {
            self.note_wait(None).await?;
        }
        self.tell(Event::Passed {
            step: step.id.clone(),
            check: words,
        });
        Ok(())
    }

    async fn note_wait(&mut self, wait: Option<Wait>) -> Result<(), RolloutError> {
        self.journal.waiting = wait;
        self.save().await
    }
}
