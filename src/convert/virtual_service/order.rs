//! Keeps the order of a VirtualService's rules in an HTTPRoute, which istiod sorts by specificity.

use semantics::overlap::overlap;
use semantics::predicate::{PathMatch, RequestMatch, escape};
use semantics::route::Specificity;

/// The longest value of a path match (`HTTPPathMatch.value`, Gateway API).
const MAX_PATH_VALUE: usize = 1024;
/// An expression that matches the empty text: raises a pattern's rank without changing what it matches.
const PADDING: &str = "(?:)";

/// A condition with what follows from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The condition as it was written, which says best what it can overlap with.
    pub meaning: RequestMatch,
    /// The condition in an HTTPRoute's form.
    pub condition: RequestMatch,
    /// The number of the action.
    pub action: usize,
    /// The number of the rule that it comes from.
    pub rule: usize,
    /// Whether the action counts on the path being a `PathPrefix`, which then must not become anything else.
    pub is_pinned: bool,
    /// A path that the condition matches although it was not meant.
    pub unless_path: Option<String>,
}

impl Entry {
    /// A condition that is in an HTTPRoute's form already.
    #[must_use]
    pub fn new(meaning: RequestMatch, action: usize, rule: usize) -> Self {
        Self {
            condition: meaning.clone(),
            meaning,
            action,
            rule,
            is_pinned: false,
            unless_path: None,
        }
    }
}

/// How the order was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrangement {
    /// The sort order is the written order.
    AsWritten,
    /// Some paths had to become regular expressions, of falling lengths.
    Padded,
}

/// The order cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unorderable;

/// What decides between two conditions of the same rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ties {
    /// Their order in one route.
    InOrder,
    /// Creation times of several routes, which nobody knows beforehand: there must be no ties.
    Unknown,
}

/// Comparing every pair of more conditions than this costs more than it is worth.
const MAX_ENTRIES: usize = 1000;

/// Changes conditions, without changing what they match, until the order in which istiod will try them is
/// the order given, as far as it makes a difference.
///
/// # Errors
/// [`Unorderable`] if a pattern would become longer than the API allows, or there are too many of them.
pub fn keep_order(entries: &mut [Entry], ties: Ties) -> Result<Arrangement, Unorderable> {
    if entries.len() > MAX_ENTRIES {
        return Err(Unorderable);
    }
    if is_kept(entries, ties) {
        return Ok(Arrangement::AsWritten);
    }
    lower(entries, ties)?;
    pad(entries, ties)?;
    if is_kept(entries, ties) {
        Ok(Arrangement::Padded)
    } else {
        Err(Unorderable)
    }
}

/// Makes regular expressions of paths that istiod would try too early: these come after all others. What is
/// lowered may in turn be too late for what comes behind it, so later entries are looked at after earlier ones.
fn lower(entries: &mut [Entry], ties: Ties) -> Result<(), Unorderable> {
    for index in 0..entries.len() {
        let (before, after) = entries.split_at_mut(index + 1);
        let Some(earlier) = before.last() else { continue };
        for later in after {
            let is_lowest = matches!(later.condition.path, PathMatch::Regex(_));
            if is_lowest || is_free(earlier, later, ties) {
                continue;
            }
            if later.is_pinned {
                return Err(Unorderable);
            }
            later.condition.path = PathMatch::Regex(pattern(&later.condition.path));
        }
    }
    Ok(())
}

/// Makes regular expressions longer than those that come behind them.
fn pad(entries: &mut [Entry], ties: Ties) -> Result<(), Unorderable> {
    for index in (0..entries.len()).rev() {
        let (before, after) = entries.split_at_mut(index + 1);
        let Some(earlier) = before.last_mut() else {
            continue;
        };
        for later in after.iter() {
            if !is_free(earlier, later, ties) {
                pad_beyond(&mut earlier.condition.path, length(&later.condition.path));
            }
        }
        if length(&earlier.condition.path) > MAX_PATH_VALUE {
            return Err(Unorderable);
        }
    }
    Ok(())
}

/// Whether every pair of conditions that can hold together and lead to different actions is tried in the
/// order given.
#[must_use]
pub fn is_kept(entries: &[Entry], ties: Ties) -> bool {
    entries.iter().enumerate().all(|(index, earlier)| {
        entries[index + 1..]
            .iter()
            .all(|later| is_free(earlier, later, ties))
    })
}

/// Whether two conditions are tried in the order given, or in any order to the same effect.
fn is_free(earlier: &Entry, later: &Entry, ties: Ties) -> bool {
    earlier.action == later.action
        || is_before(&earlier.condition, &later.condition, ties)
        || !overlap(&earlier.meaning, &later.meaning)
}

fn is_before(earlier: &RequestMatch, later: &RequestMatch, ties: Ties) -> bool {
    let (earlier, later) = (Specificity::of(earlier), Specificity::of(later));
    earlier > later || (earlier == later && ties == Ties::InOrder)
}

/// A regular expression that matches the same paths.
pub fn pattern(path: &PathMatch) -> String {
    match path {
        PathMatch::Any => "/.*".to_owned(),
        PathMatch::Exact(value) => escape(value),
        PathMatch::SegmentPrefix(value) => format!("{}(/.*)?", escape(value)),
        PathMatch::StringPrefix(value) => format!("{}.*", escape(value)),
        PathMatch::ExactIgnoringCase(value) => format!("(?i){}", escape(value)),
        PathMatch::StringPrefixIgnoringCase(value) => format!("(?i){}.*", escape(value)),
        PathMatch::Regex(value) => value.clone(),
    }
}

fn length(path: &PathMatch) -> usize {
    match path {
        PathMatch::Regex(value) => value.len(),
        _ => 0,
    }
}

fn pad_beyond(path: &mut PathMatch, other: usize) {
    if let PathMatch::Regex(value) = path {
        while value.len() <= other {
            value.push_str(PADDING);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: PathMatch, action: usize) -> Entry {
        let condition = RequestMatch {
            path,
            ..RequestMatch::any()
        };
        Entry::new(condition, action, action)
    }

    #[test]
    fn a_default_behind_a_regular_expression_stays_behind_it() {
        let mut entries = [
            entry(PathMatch::Regex("/v[0-9]+/.*".into()), 0),
            entry(PathMatch::Any, 1),
        ];
        assert_eq!(keep_order(&mut entries, Ties::InOrder), Ok(Arrangement::Padded));
        assert_eq!(entries[1].condition.path, PathMatch::Regex("/.*".into()));
    }

    #[test]
    fn only_what_comes_too_early_becomes_an_expression() {
        let mut entries = [
            entry(PathMatch::Exact("/health".into()), 0),
            entry(PathMatch::Regex("/v[0-9]+/.*".into()), 1),
            entry(PathMatch::Any, 2),
        ];
        assert_eq!(keep_order(&mut entries, Ties::InOrder), Ok(Arrangement::Padded));
        assert_eq!(entries[0].condition.path, PathMatch::Exact("/health".into()));
    }

    #[test]
    fn a_pinned_prefix_behind_an_expression_cannot_be_ordered() {
        let mut pinned = entry(PathMatch::SegmentPrefix("/a".into()), 1);
        pinned.is_pinned = true;
        let mut entries = [entry(PathMatch::Regex("/.*".into()), 0), pinned];
        assert_eq!(keep_order(&mut entries, Ties::InOrder), Err(Unorderable));
    }

    #[test]
    fn an_order_that_makes_no_difference_is_left_alone() {
        let mut entries = [entry(PathMatch::Any, 0), entry(PathMatch::Exact("/a".into()), 0)];
        assert_eq!(
            keep_order(&mut entries, Ties::InOrder),
            Ok(Arrangement::AsWritten)
        );
    }

    #[test]
    fn a_short_pattern_before_a_long_one_is_padded() {
        let mut entries = [
            entry(PathMatch::Regex("/a.*".into()), 0),
            entry(PathMatch::Regex("/a/very/long/.*".into()), 1),
        ];
        assert_eq!(keep_order(&mut entries, Ties::InOrder), Ok(Arrangement::Padded));
        assert!(is_kept(&entries, Ties::InOrder));
    }
}
