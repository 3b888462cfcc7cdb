//! A new object as a unified diff.

use super::clean;
use crate::convert::Change;
use similar::{ChangeTag, TextDiff};

/// A line of a diff with its sign.
pub struct Line {
    /// What happened to it.
    pub tag: ChangeTag,
    /// The line without its end.
    pub text: String,
}

/// The lines of the diff; of a change in place only what is near a change.
pub fn lines(change: &Change) -> Vec<Line> {
    let before = change
        .before
        .as_ref()
        .map(model::yaml::to_text)
        .unwrap_or_default();
    let after = model::yaml::to_text(&change.after);
    let diff = TextDiff::from_lines(before.as_str(), after.as_str());
    diff.grouped_ops(3)
        .iter()
        .flatten()
        .flat_map(|op| diff.iter_changes(op))
        .map(|line| Line {
            tag: line.tag(),
            text: clean(line.value().trim_end_matches('\n')).into_owned(),
        })
        .collect()
}

/// The sign in the first column.
pub fn sign(tag: ChangeTag) -> char {
    match tag {
        ChangeTag::Delete => '-',
        ChangeTag::Insert => '+',
        ChangeTag::Equal => ' ',
    }
}
