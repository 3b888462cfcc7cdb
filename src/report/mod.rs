//! Every output format. A renderer gets a finished [`Report`] and a writer; it sees neither the cluster, nor
//! the clock, nor the terminal.

use crate::convert::{Change, Outcome};
use crate::finding::Finding;
use crate::precheck::{NotChecked, Passed};

/// Which question a report answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// What stands in the way?
    Precheck,
    /// What would the configuration become?
    Convert,
}

/// An answer, ready to be shown.
#[derive(Debug)]
pub struct Report {
    /// The question.
    pub command: Command,
    /// What was read, in words.
    pub source: String,
    /// What could not be read; with any of these, the answer is about a part of the input.
    pub errors: Vec<Finding>,
    /// Why the view of a cluster is partial, one sentence each.
    pub gaps: Vec<String>,
    /// Findings, the worst first.
    pub findings: Vec<Finding>,
    /// Rules that found nothing.
    pub passed: Vec<Passed>,
    /// Rules that could not be judged.
    pub not_checked: Vec<NotChecked>,
    /// New objects.
    pub changes: Vec<Change>,
    /// Every object of the input and what became of it.
    pub outcomes: Vec<Outcome>,
}
