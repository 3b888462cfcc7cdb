//! A rule as a waypoint has to read it, which judges before it routes: what the policy asked of the request behind the
//! route, asked of the request before it.

use super::exclude::without;
use super::path_edit::PathEdit;
use super::pattern::{self, Bound, Found, Pattern};
use super::ports::only_ports;
use super::reach::{Reach, Target};
use super::rules::is_host;
use super::ways::{Condition as When, HeaderEdit, Way};
use crate::code::Code;
use model::FieldPath;
use model::security::{Condition, Operation, Rule, To};
use semantics::authorization::header_of;
use std::collections::BTreeSet;

/// What stands in the way of reading rules at a waypoint.
pub type Obstacle = (Code, FieldPath, String);

/// Reads the rules of one policy for one target.
pub struct Reader<'r, 'a> {
    /// Pods and ports.
    pub reach: &'r Reach<'a>,
    /// The Service that is dialled.
    pub target: &'r Target<'a>,
    /// On which side the answer may lie.
    pub bound: Bound,
}

impl<'a> Reader<'_, 'a> {
    /// A rule without regard to routes, which change nothing that it looks at; only ports are counted anew.
    ///
    /// # Errors
    /// The first attribute that a waypoint does not see as a sidecar does.
    pub fn plain(
        &self,
        rule: &Rule,
        path: &FieldPath,
        ways: &[&Way<'a>],
    ) -> Result<Found<Option<Rule>>, Obstacle> {
        let mut exact = true;
        let mut rule = rule.clone();
        let alternatives = std::mem::take(&mut rule.to);
        let any = alternatives.is_empty();
        for (index, mut to) in alternatives.into_iter().enumerate() {
            let place = path.key("to").index(index).key("operation");
            let possible = self.ports(&mut to.operation, &place, ways)?;
            exact &= possible.exact;
            if possible.value {
                rule.to.push(to);
            }
        }
        if !any && rule.to.is_empty() {
            return Ok(Found { value: None, exact });
        }
        drop_empty(&mut rule);
        let possible = self.destination(&mut rule, path, ways)?;
        exact &= possible.exact;
        Ok(Found {
            value: possible.value.then_some(rule),
            exact,
        })
    }

    /// A rule for the requests that take a way, and none of those before it that are `earlier`.
    ///
    /// # Errors
    /// What the way does to the request so that nothing can be said.
    pub fn through(
        &self,
        rule: &Rule,
        path: &FieldPath,
        way: &Way<'a>,
        earlier: &[&Way<'a>],
    ) -> Result<Found<Vec<Rule>>, Obstacle> {
        let mut exact = way.condition.complete;
        let mut base = rule.clone();
        base.to.clear();
        let any = [To::default()];
        let alternatives = if rule.to.is_empty() { &any[..] } else { &rule.to };
        let mut operations = Vec::new();
        for (index, to) in alternatives.iter().enumerate() {
            let place = path.key("to").index(index).key("operation");
            let found = self.operation(&to.operation, &place, way)?;
            exact &= found.exact;
            operations.extend(found.value);
        }
        let possible = self.destination(&mut base, path, &[way])?;
        let seen = self.conditions(&mut base, way)?;
        let asked = self.asked_headers(&mut base, &way.condition);
        exact &= possible.exact & asked.exact;
        if !possible.value || !seen || !asked.value || operations.is_empty() {
            return Ok(Found {
                value: Vec::new(),
                exact,
            });
        }
        let nots = self.nots(way, earlier);
        exact &= nots.exact;
        let mut rules = Vec::new();
        for not in nots.value {
            let mut rule = base.clone();
            rule.when.extend(not.when.iter().cloned());
            rule.to = operations
                .iter()
                .filter_map(|operation| without(operation, &not))
                .map(|operation| To { operation })
                .collect();
            if !rule.to.is_empty() {
                drop_empty(&mut rule);
                rules.push(rule);
            }
        }
        Ok(Found { value: rules, exact })
    }

    /// An operation in terms of the request before the way; several where a path has several origins.
    fn operation(
        &self,
        wanted: &Operation,
        place: &FieldPath,
        way: &Way<'a>,
    ) -> Result<Found<Vec<Operation>>, Obstacle> {
        let mut operation = wanted.clone();
        let nothing = Found::exactly(Vec::new());
        let possible = self.ports(&mut operation, place, &[way])?;
        let mut exact = possible.exact;
        if !possible.value || !only_ports(&mut operation, way.condition.ports.as_deref(), self.target) {
            return Ok(Found {
                value: Vec::new(),
                exact,
            });
        }
        if !hosts(&mut operation, way) {
            return Ok(nothing);
        }
        if let Some(method) = &way.condition.known.method {
            let fits = |wanted: &String| Pattern::of_path(wanted).holds(method);
            if operation.not_methods.iter().any(fits) {
                return Ok(nothing);
            }
            if !operation.methods.is_empty() && !operation.methods.iter().any(fits) {
                return Ok(nothing);
            }
            operation.methods = vec![method.clone()];
            operation.not_methods.clear();
        }
        let paths = self.paths(&operation.paths, way);
        exact &= paths.exact;
        let strays = match &way.edits.path {
            Some(edit) if !wanted.paths.is_empty() || !wanted.not_paths.is_empty() => edit.strays(),
            _ => Vec::new(),
        };
        let not = self.not_paths(&operation.not_paths, way);
        exact &= not.exact && (strays.is_empty() || self.bound == Bound::AtMost);
        let mut found = Vec::new();
        let mut not_paths = not.value;
        if self.bound == Bound::AtMost {
            not_paths.extend(strays.iter().filter_map(Pattern::text));
        } else if !strays.is_empty() {
            let mut operation = operation.clone();
            operation.paths = strays.iter().filter_map(Pattern::text).collect();
            operation.not_paths.clear();
            found.push(operation);
        }
        operation.not_paths = not_paths;
        if let Some(paths) = paths.value {
            operation.paths = paths;
            found.insert(0, operation);
        }
        Ok(Found { value: found, exact })
    }

    /// The paths of requests that take a way and have one of the wanted paths behind it; an empty list is every path,
    /// `None` no path.
    fn paths(&self, wanted: &[String], way: &Way<'_>) -> Found<Option<Vec<String>>> {
        let taken = pattern::of_route(&way.condition.known.path, self.bound);
        let mut exact = taken.exact;
        let mut found = BTreeSet::new();
        let any = ["*".to_owned()];
        let wanted = if wanted.is_empty() { &any[..] } else { wanted };
        for wanted in wanted.iter().map(|text| Pattern::of_path(text)) {
            let before = match &way.edits.path {
                Some(edit) if wanted != Pattern::Any => edit.back(&wanted, self.bound),
                _ => Found::exactly(vec![wanted]),
            };
            exact &= before.exact;
            for (x, y) in before
                .value
                .iter()
                .flat_map(|x| taken.value.iter().map(move |y| (x, y)))
            {
                let both = x.and(y, self.bound);
                exact &= both.exact;
                found.extend(both.value);
            }
        }
        if found.is_empty() {
            return Found { value: None, exact };
        }
        if found.contains(&Pattern::Any) {
            return Found {
                value: Some(Vec::new()),
                exact,
            };
        }
        let texts = smallest(found);
        let written: Vec<String> = texts.iter().filter_map(Pattern::text).collect();
        if written.len() == texts.len() {
            return Found {
                value: Some(written),
                exact,
            };
        }
        // Some path looks like a pattern, so it cannot be named.
        let value = match self.bound {
            Bound::AtLeast => Some(Vec::new()),
            Bound::AtMost => Some(written).filter(|written| !written.is_empty()),
        };
        Found::nearly(value)
    }

    fn not_paths(&self, excluded: &[String], way: &Way<'_>) -> Found<Vec<String>> {
        let Some(edit) = &way.edits.path else {
            return Found::exactly(excluded.to_vec());
        };
        let mut exact = true;
        let mut found = BTreeSet::new();
        for excluded in excluded.iter().map(|text| Pattern::of_path(text)) {
            let before = match edit {
                PathEdit::Opaque => Found::nearly(Vec::new()),
                edit => edit.back(&excluded, self.bound.opposite()),
            };
            exact &= before.exact;
            found.extend(before.value);
        }
        let value = found
            .iter()
            .map(|pattern| pattern.text().unwrap_or_else(|| "*".to_owned()));
        Found {
            value: value.collect(),
            exact,
        }
    }

    /// The conditions of a rule in terms of the request before the way; whether they can hold.
    fn conditions(&self, rule: &mut Rule, way: &Way<'_>) -> Result<bool, Obstacle> {
        let mut possible = true;
        rule.when.retain(|condition| {
            let Some(name) = header_of(&condition.key).map(str::to_lowercase) else {
                return true;
            };
            let edit = if is_host(&name) {
                way.edits.host.as_ref()
            } else {
                way.edits.headers.get(&name)
            };
            let fits = |text: &str, value: &str| Pattern::of_path(text).holds(value);
            match edit {
                None | Some(HeaderEdit::Opaque) => true,
                Some(HeaderEdit::Removed) => {
                    possible &= condition.values.is_empty();
                    false
                }
                Some(HeaderEdit::Set(value)) => {
                    possible &=
                        condition.values.is_empty() || condition.values.iter().any(|v| fits(v, value));
                    possible &= !condition.not_values.iter().any(|v| fits(v, value));
                    false
                }
            }
        });
        Ok(possible)
    }

    /// What the way asks of headers, as conditions of the rule.
    fn asked_headers(&self, rule: &mut Rule, asked: &When) -> Found<bool> {
        let mut exact = asked.known.query.is_empty();
        let mut possible = exact || self.bound == Bound::AtLeast;
        for (name, wanted) in &asked.known.headers {
            match pattern::header_values(wanted) {
                Some(value) => rule.when.push(header(name, vec![value], Vec::new())),
                None => {
                    exact = false;
                    possible &= self.bound == Bound::AtLeast;
                }
            }
        }
        for (name, unwanted) in &asked.without {
            match pattern::header_values(unwanted) {
                Some(value) => rule.when.push(header(name, Vec::new(), vec![value])),
                None => {
                    exact = false;
                    possible &= self.bound == Bound::AtLeast;
                }
            }
        }
        Found {
            value: possible,
            exact,
        }
    }
}

/// What the operation asks of the authority, where the route sets it; whether that can hold.
fn hosts(operation: &mut Operation, way: &Way<'_>) -> bool {
    let Some(HeaderEdit::Set(host)) = &way.edits.host else {
        return true;
    };
    let host = host.to_lowercase();
    let fits = |wanted: &String| Pattern::of_path(&wanted.to_lowercase()).holds(&host);
    let possible = operation.hosts.is_empty() || operation.hosts.iter().any(fits);
    let excluded = operation.not_hosts.iter().any(fits);
    operation.hosts.clear();
    operation.not_hosts.clear();
    possible && !excluded
}

pub(super) fn header(name: &str, values: Vec<String>, not_values: Vec<String>) -> Condition {
    Condition {
        key: format!("request.headers[{name}]"),
        values,
        not_values,
    }
}

/// Istio refuses an empty operation; one alternative that always holds makes the whole clause hold.
fn drop_empty(rule: &mut Rule) {
    if rule.to.iter().any(|to| to.operation == Operation::default()) {
        rule.to.clear();
    }
}

/// The patterns that no other one includes.
fn smallest(patterns: BTreeSet<Pattern>) -> Vec<Pattern> {
    let all: Vec<Pattern> = patterns.into_iter().collect();
    all.iter()
        .filter(|pattern| {
            !all.iter()
                .any(|other| other != *pattern && other.includes(pattern))
        })
        .cloned()
        .collect()
}
