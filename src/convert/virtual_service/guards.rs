//! Conditions that an HTTPRoute cannot have, made of those that it can: what must *not* be is caught by rules
//! before, which do what the rules behind would have done with it.
//!
//! A request that a rule does not match goes on to the rules behind it. Copies of these, narrowed to requests
//! that the rule does not match, may therefore stand before it without any effect; and once they catch all of
//! them, the rule itself may match them too.

use super::http_match::MAX_VALUES;
use super::order::Entry;
use semantics::implication;
use semantics::overlap;
use semantics::predicate::{PathMatch, RequestMatch, ValueMatch};
use std::collections::BTreeMap;

/// Why a condition cannot be resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Requests that the rule at this place does not match are matched by no rule, and so answered with 404.
    NoAnswer(usize),
    /// The conditions of two rules cannot be joined into one.
    NotJoined(usize),
    /// There would be too many rules.
    TooMany(usize),
}

impl Trouble {
    /// The rule that causes it.
    #[must_use]
    pub fn rule(self) -> usize {
        match self {
            Self::NoAnswer(rule) | Self::NotJoined(rule) | Self::TooMany(rule) => rule,
        }
    }
}

/// More rules than this are not worth it.
const MAX_ENTRIES: usize = 400;

/// Gives a list that decides alike and in which no condition asks for absence, and none matches more than was
/// meant.
///
/// # Errors
/// [`Trouble`] if there is no such list.
pub fn resolve(entries: &[Entry]) -> Result<Vec<Entry>, Trouble> {
    let mut behind: Vec<Entry> = Vec::new();
    for (index, entry) in entries.iter().enumerate().rev() {
        let earlier = &entries[..index];
        // It goes on to say which path it leaves to the guards before it.
        let mut resolved = entry.clone();
        let without = std::mem::take(&mut resolved.meaning.without);
        let forms = std::mem::take(&mut resolved.condition.without);
        let mut guards = Vec::new();
        if let Some(path) = &resolved.unless_path {
            let path = PathMatch::Exact(path.clone());
            let mut region = Region::of(&resolved);
            region.meaning.path = path.clone();
            region.condition.path = path;
            guards.extend(region.guards(earlier, &behind, entry.rule)?);
        }
        for ((name, meaning), (_, form)) in without.iter().zip(&forms) {
            let mut region = Region::of(&resolved);
            match region.demand(name, meaning, form) {
                Joined::Yes => guards.extend(region.guards(earlier, &behind, entry.rule)?),
                Joined::Never => {}
                Joined::Unknown => return Err(Trouble::NotJoined(entry.rule)),
            }
        }
        let ends = resolved.meaning.is_catch_all();
        guards.push(resolved);
        if !ends {
            guards.append(&mut behind);
        }
        behind = guards;
        if behind.len() > MAX_ENTRIES {
            return Err(Trouble::TooMany(entry.rule));
        }
    }
    Ok(behind)
}

/// What comes of joining two conditions on one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joined {
    /// One condition for both.
    Yes,
    /// No request fulfils both.
    Never,
    /// An HTTPRoute takes one condition per name, and there is none for both.
    Unknown,
}

/// Requests that a rule must not see.
struct Region {
    meaning: RequestMatch,
    condition: RequestMatch,
    /// The header that makes the difference.
    key: Option<String>,
}

impl Region {
    fn of(entry: &Entry) -> Self {
        Self {
            meaning: entry.meaning.clone(),
            condition: entry.condition.clone(),
            key: None,
        }
    }

    /// Narrows the region to requests with a header.
    fn demand(&mut self, name: &str, meaning: &ValueMatch, form: &ValueMatch) -> Joined {
        self.key = Some(name.to_owned());
        let (meanings, forms) = (&mut self.meaning.headers, &mut self.condition.headers);
        join(meanings, forms, name, (meaning, form))
    }

    /// The rules that catch the region.
    fn guards(&self, earlier: &[Entry], behind: &[Entry], rule: usize) -> Result<Vec<Entry>, Trouble> {
        // Requests that an earlier rule takes do not come here.
        if earlier
            .iter()
            .any(|entry| implication::request(&self.meaning, &as_written(entry)))
        {
            return Ok(Vec::new());
        }
        let mut guards = BTreeMap::new();
        let overlaps = |entry: &Entry| overlap::overlap(&self.meaning, &as_written(entry));
        for (place, entry) in behind.iter().enumerate().filter(|(_, entry)| overlaps(entry)) {
            guards.insert(place, self.narrowed(entry).ok_or(Trouble::NotJoined(rule))?);
            if implication::request(&self.meaning, &entry.meaning) {
                self.widen(&mut guards, behind).ok_or(Trouble::NotJoined(rule))?;
                return Ok(guards.into_values().collect());
            }
        }
        Err(Trouble::NoAnswer(rule))
    }

    /// A guard that takes more than the region must not take what rules before its own one would have taken: they are
    /// guards, too, for all requests with the header.
    fn widen(&self, guards: &mut BTreeMap<usize, Entry>, behind: &[Entry]) -> Option<()> {
        for (place, entry) in behind.iter().enumerate().rev() {
            let Some(guard) = guards.get(&place).cloned() else {
                continue;
            };
            if implication::request(&guard.meaning, &self.meaning) {
                continue;
            }
            let between = behind.iter().enumerate().take(place);
            let counts = |other: &Entry| {
                other.action != entry.action && overlap::overlap(&guard.meaning, &other.meaning)
            };
            for (place, other) in between.filter(|(_, other)| counts(other)) {
                guards.insert(place, self.with_header(other)?);
            }
        }
        Some(())
    }

    /// A rule for all of its requests with the header that makes the difference.
    fn with_header(&self, entry: &Entry) -> Option<Entry> {
        let key = self.key.as_ref()?;
        let mut guard = entry.clone();
        let mut pairs = self.meaning.headers.iter().zip(&self.condition.headers);
        let ((_, meaning), (_, form)) = pairs.find(|((name, _), _)| name == key)?;
        let (meanings, forms) = (&mut guard.meaning.headers, &mut guard.condition.headers);
        let joined = join(meanings, forms, key, (meaning, form));
        (joined == Joined::Yes && guard.meaning.headers.len() <= MAX_VALUES).then_some(guard)
    }

    /// A rule for requests of the region that another rule takes; it may take further ones of these.
    fn narrowed(&self, entry: &Entry) -> Option<Entry> {
        let mut guard = entry.clone();
        if !guard.is_pinned && implication::path(&self.meaning.path, &guard.meaning.path) {
            guard.meaning.path = self.meaning.path.clone();
            guard.condition.path = self.condition.path.clone();
        }
        if guard.meaning.method.is_none() {
            guard.meaning.method.clone_from(&self.meaning.method);
            guard.condition.method.clone_from(&self.meaning.method);
        }
        for ((name, meaning), (_, form)) in self.meaning.headers.iter().zip(&self.condition.headers) {
            let (meanings, forms) = (&mut guard.meaning.headers, &mut guard.condition.headers);
            let joined = join(meanings, forms, name, (meaning, form));
            if joined != Joined::Yes && self.key.as_ref() == Some(name) {
                return None;
            }
        }
        for ((name, meaning), (_, form)) in self.meaning.query.iter().zip(&self.condition.query) {
            let (meanings, forms) = (&mut guard.meaning.query, &mut guard.condition.query);
            join(meanings, forms, name, (meaning, form));
        }
        let fits = guard.meaning.headers.len() <= MAX_VALUES && guard.meaning.query.len() <= MAX_VALUES;
        fits.then_some(guard)
    }
}

/// An entry with exactly the paths that it was written for: guards before it take the other one.
fn as_written(entry: &Entry) -> RequestMatch {
    let mut meaning = entry.meaning.clone();
    if let Some(path) = &entry.unless_path {
        meaning.path = PathMatch::StringPrefix(format!("{path}/"));
    }
    meaning
}

type Values = Vec<(String, ValueMatch)>;

/// Adds a condition on a name to others, in both forms.
fn join(meanings: &mut Values, forms: &mut Values, name: &str, added: (&ValueMatch, &ValueMatch)) -> Joined {
    let (meaning, form) = added;
    let Some(place) = meanings.iter().position(|(other, _)| other == name) else {
        meanings.push((name.to_owned(), meaning.clone()));
        forms.push((name.to_owned(), form.clone()));
        return Joined::Yes;
    };
    let Some((_, known)) = meanings.get(place) else {
        return Joined::Unknown;
    };
    if implication::value(known, meaning) {
        return Joined::Yes;
    }
    if !overlap::value(known, meaning) {
        return Joined::Never;
    }
    if !implication::value(meaning, known) {
        return Joined::Unknown;
    }
    if let (Some(known), Some(known_form)) = (meanings.get_mut(place), forms.get_mut(place)) {
        known.1 = meaning.clone();
        known_form.1 = form.clone();
    }
    Joined::Yes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(meaning: RequestMatch, rule: usize) -> Entry {
        Entry::new(meaning, rule, rule)
    }

    fn header(value: &str) -> Values {
        vec![("x".to_owned(), ValueMatch::Exact(value.to_owned()))]
    }

    fn without(value: &str) -> RequestMatch {
        RequestMatch {
            without: header(value),
            ..RequestMatch::any()
        }
    }

    #[test]
    fn a_header_that_must_not_be_is_caught_before() {
        let list = [entry(without("a"), 0), entry(RequestMatch::any(), 1)];
        let resolved = resolve(&list).unwrap_or_default();
        let actions: Vec<usize> = resolved.iter().map(|entry| entry.action).collect();
        assert_eq!(actions, [1, 0]);
        assert_eq!(
            resolved.first().map(|guard| guard.meaning.headers.clone()),
            Some(header("a"))
        );
    }

    #[test]
    fn what_an_earlier_rule_takes_needs_no_guard() {
        let taken = RequestMatch {
            headers: header("a"),
            ..RequestMatch::any()
        };
        let list = [entry(taken, 0), entry(without("a"), 1)];
        assert_eq!(resolve(&list).map(|resolved| resolved.len()), Ok(2));
    }

    fn at(path: PathMatch) -> RequestMatch {
        RequestMatch {
            path,
            ..RequestMatch::any()
        }
    }

    #[test]
    fn a_guard_that_takes_more_leaves_to_rules_between_what_they_take() {
        let mut first = at(PathMatch::Regex("/[ab]".into()));
        first.without = header("a");
        let list = [
            entry(first, 0),
            entry(at(PathMatch::Exact("/a/".into())), 1),
            entry(at(PathMatch::Regex("/a.*".into())), 2),
            entry(RequestMatch::any(), 3),
        ];
        let actions: Vec<usize> = resolve(&list)
            .unwrap_or_default()
            .iter()
            .map(|entry| entry.action)
            .collect();
        assert_eq!(actions, [1, 2, 3, 0, 1, 2, 3]);
    }

    #[test]
    fn without_a_rule_behind_there_is_no_answer_to_copy() {
        assert_eq!(resolve(&[entry(without("a"), 7)]), Err(Trouble::NoAnswer(7)));
    }
}
