//! A new object as a unified diff.

use super::clean;
use crate::convert::Change;
use similar::{ChangeTag, TextDiff};

/// A line of a diff.
pub struct Line {
    /// What happened to it; none for the line that says where a part begins.
    pub tag: Option<ChangeTag>,
    /// The line with its sign, without its end.
    pub text: String,
}

/// The lines of the diff: a new object whole, of a changed one what is near a change.
pub fn lines(change: &Change) -> Vec<Line> {
    let Some(before) = change.before_text() else {
        return change.after.text().lines().map(added).collect();
    };
    let diff = TextDiff::from_lines(before.as_str(), change.after.text());
    let mut lines = Vec::new();
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        let text = hunk.header().to_string();
        lines.push(Line { tag: None, text });
        lines.extend(hunk.iter_changes().map(|line| Line {
            tag: Some(line.tag()),
            text: format!("{}{}", line.tag(), clean(line.value().trim_end_matches('\n'))),
        }));
    }
    lines
}

fn added(line: &str) -> Line {
    Line {
        tag: Some(ChangeTag::Insert),
        text: format!("+{}", clean(line)),
    }
}
