//! Exit codes: a contract with pipelines, so their numbers never change.

use std::process::ExitCode;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Nothing to do, or nothing at or above `--fail-on`.
    Good = 0,
    /// Findings at or above `--fail-on`.
    Findings = 1,
    /// Wrong usage, or input that cannot be read.
    BadInput = 2,
    /// The cluster could not be reached, or refused to show a part of what a gate asks for.
    Cluster = 3,
    /// A step failed and was stopped safely.
    Stopped = 4,
}

/// The table of `--help`.
pub const HELP: &str = "\
Exit codes:
  0  nothing to do, or no finding at or above --fail-on
  1  findings at or above --fail-on
  2  wrong usage, or input that cannot be read (everything readable is still answered)
  3  the cluster could not be reached, or refused to show a part of itself
  4  a step failed and was stopped safely";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
