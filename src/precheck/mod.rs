//! Runs the rules over the facts of a mesh.

use crate::finding::Finding;

/// A rule that could not be judged, because what it asks about was not in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotChecked {
    /// Code of the rule.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// What was missing, in words.
    pub missing: String,
}

/// A rule that was judged and has nothing to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Code of the rule.
    pub code: String,
    /// Its title.
    pub title: String,
}

/// The whole answer.
#[derive(Debug, Default)]
pub struct Precheck {
    /// What stands in the way.
    pub findings: Vec<Finding>,
    /// Rules that found nothing.
    pub passed: Vec<Passed>,
    /// Rules that could not be judged.
    pub not_checked: Vec<NotChecked>,
}
