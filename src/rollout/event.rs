//! What is told while a plan is carried out, and what is asked.

use crate::plan::document::Phase;
use serde::Serialize;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Event {
    /// The plan is about to be carried out, or undone.
    Begin {
        /// Whether it is being undone.
        backward: bool,
        /// Whether an earlier run is gone on with.
        resumed: bool,
        /// Steps that are in effect.
        done: usize,
        /// Steps of the plan.
        steps: usize,
    },
    /// The cluster is compared with the state that the plan was made from.
    Comparing,
    /// A step begins, or is gone on with.
    Step {
        /// Its place, from 1.
        number: usize,
        /// Steps of the plan.
        steps: usize,
        /// Its id.
        step: String,
        /// What it does.
        title: String,
        /// What it is for.
        phase: Phase,
    },
    /// The intent of a write is in the journal; it is made next.
    Write {
        /// The step.
        step: String,
        /// Its place in the step, from 1.
        number: usize,
        /// Writes of the step.
        writes: usize,
        /// `create`, `set`, `unlabel` or `delete`.
        op: &'static str,
        /// The object.
        object: String,
    },
    /// A write is made, and the journal says so.
    Written {
        /// The step.
        step: String,
        /// Its place in the step, from 1.
        number: usize,
        /// The object.
        object: String,
    },
    /// A gate does not open yet. Told when it is first looked at and whenever the reason changes.
    Waiting {
        /// The step.
        step: String,
        /// What is waited for.
        check: String,
        /// Why it is not so yet.
        why: String,
        /// Seconds until it is given up.
        left: u64,
    },
    /// What was waited for is so.
    Passed {
        /// The step.
        step: String,
        /// What was waited for.
        check: String,
    },
    /// A step is in effect.
    StepDone {
        /// The step.
        step: String,
    },
    /// A step has failed and is undone next.
    Failed {
        /// The step.
        step: String,
        /// Why.
        why: String,
    },
    /// A write is undone next.
    Undo {
        /// The step.
        step: String,
        /// Its place in the step, from 1.
        number: usize,
        /// `create`, `set`, `unlabel` or `delete`: what is undone.
        op: &'static str,
        /// The object.
        object: String,
    },
    /// A write is undone.
    Undone {
        /// The step.
        step: String,
        /// Its place in the step, from 1.
        number: usize,
        /// The object.
        object: String,
    },
    /// A step is undone as a whole.
    StepUndone {
        /// The step.
        step: String,
    },
    /// Something that a person should know.
    Note {
        /// What.
        text: String,
    },
    /// The run is at its end, and good.
    Done {
        /// Whether it went backward.
        backward: bool,
        /// Steps that are in effect.
        done: usize,
        /// Steps of the plan.
        steps: usize,
    },
}

/// Who is told.
pub trait Listener {
    /// Hears what happened.
    fn hear(&mut self, event: &Event);
}

impl<F: FnMut(&Event)> Listener for F {
    fn hear(&mut self, event: &Event) {
        self(event);
    }
}

/// What a person is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Before the first write.
    Begin {
        /// The context.
        context: String,
        /// What is about to be done, in words.
        what: String,
    },
    /// Before a step that asks.
    Step {
        /// Its id, which is the answer.
        step: String,
        /// What it does.
        title: String,
    },
}

/// Who is asked. Called on a thread of its own, which may wait.
pub trait Consent: Send + Sync {
    /// Whether to go on; `Err` says why nobody can be asked.
    ///
    /// # Errors
    /// If nobody is there to answer.
    fn ask(&self, question: &Question) -> Result<bool, String>;
}

/// The consent of someone who gave it beforehand.
#[derive(Debug, Clone, Copy)]
pub struct Always;

impl Consent for Always {
    fn ask(&self, _: &Question) -> Result<bool, String> {
        Ok(true)
    }
}
