//! Requests that take a way because no way before it took them.

use super::pattern::{self, Bound, Found, Pattern};
use super::translate::{Reader, header};
use super::ways::{Condition as When, Way};
use model::security::{Condition, Operation};
use semantics::overlap::overlap;
use semantics::predicate::PathMatch;

/// How many alternatives one rule may become.
const MOST: usize = 24;

/// A conjunction of things that must not be so.
#[derive(Debug, Clone, Default)]
pub(super) struct Not {
    paths: Vec<Pattern>,
    methods: Vec<String>,
    ports: Vec<u16>,
    /// Conditions on headers that must hold instead.
    pub(super) when: Vec<Condition>,
}

impl Reader<'_, '_> {
    /// What must not be so for a request to come past the ways before, as alternatives.
    pub(super) fn nots(&self, way: &Way<'_>, earlier: &[&Way<'_>]) -> Found<Vec<Not>> {
        let mut found = Found::exactly(vec![Not::default()]);
        for before in earlier
            .iter()
            .filter(|before| may_meet(&before.condition, &way.condition))
        {
            let parts = self.not(&before.condition, &way.condition);
            let product: Vec<Not> = parts
                .value
                .iter()
                .flat_map(|part| found.value.iter().map(|not| both(not, part)))
                .collect();
            found.exact &= parts.exact;
            if parts.exact && parts.value.is_empty() {
                // All of its requests take the way before.
                return Found::exactly(Vec::new());
            }
            if product.len() > MOST {
                found.exact = false;
                if self.bound == Bound::AtMost {
                    found.value.clear();
                }
            } else {
                found.value = product;
            }
        }
        found
    }

    /// One alternative for each part of a condition that may fail.
    fn not(&self, condition: &When, way: &When) -> Found<Vec<Not>> {
        let mut parts = Vec::new();
        let mut exact = condition.complete && condition.known.query.is_empty();
        if condition.known.path != PathMatch::Any && condition.known.path != way.known.path {
            let taken = pattern::of_route(&condition.known.path, self.bound.opposite());
            exact &= taken.exact;
            let named = taken.value.iter().all(|pattern| pattern.text().is_some());
            exact &= named;
            if named {
                parts.push(Not {
                    paths: taken.value,
                    ..Not::default()
                });
            }
        }
        if let Some(method) = condition
            .known
            .method
            .as_ref()
            .filter(|_| way.known.method.is_none())
        {
            parts.push(Not {
                methods: vec![method.clone()],
                ..Not::default()
            });
        }
        if let Some(ports) = &condition.ports
            && Some(ports) != way.ports.as_ref()
        {
            parts.push(Not {
                ports: ports.clone(),
                ..Not::default()
            });
        }
        let absent = condition
            .known
            .headers
            .iter()
            .filter(|asked| !way.known.headers.contains(asked));
        let present = condition
            .without
            .iter()
            .filter(|asked| !way.without.contains(asked));
        for (is_wanted, (name, wanted)) in absent.map(|h| (true, h)).chain(present.map(|h| (false, h))) {
            match pattern::header_values(wanted) {
                Some(value) => {
                    let (values, not_values) = if is_wanted {
                        (Vec::new(), vec![value])
                    } else {
                        (vec![value], Vec::new())
                    };
                    parts.push(Not {
                        when: vec![header(name, values, not_values)],
                        ..Not::default()
                    });
                }
                None => exact = false,
            }
        }
        match self.bound {
            // More may be asked than can be said: then even a request that fits may come past.
            Bound::AtLeast if !exact => Found::nearly(vec![Not::default()]),
            _ => Found { value: parts, exact },
        }
    }
}

/// Whether some request may fulfil both; `true` where it is not certain.
fn may_meet(a: &When, b: &When) -> bool {
    let ports = match (&a.ports, &b.ports) {
        (Some(a), Some(b)) => a.iter().any(|port| b.contains(port)),
        _ => true,
    };
    ports && overlap(&a.known, &b.known)
}

fn both(x: &Not, y: &Not) -> Not {
    let mut both = x.clone();
    both.paths.extend(y.paths.iter().cloned());
    both.methods.extend(y.methods.iter().cloned());
    both.ports.extend(&y.ports);
    for condition in &y.when {
        if !both.when.contains(condition) {
            both.when.push(condition.clone());
        }
    }
    both
}

/// An operation without what must not be; `None` if nothing is left.
pub(super) fn without(operation: &Operation, not: &Not) -> Option<Operation> {
    let mut operation = operation.clone();
    let excluded = |pattern: &Pattern| not.paths.iter().any(|not| not.includes(pattern));
    if !operation.paths.is_empty() {
        operation.paths.retain(|path| !excluded(&Pattern::of_path(path)));
        if operation.paths.is_empty() {
            return None;
        }
    }
    let wanted: Vec<Pattern> = operation
        .paths
        .iter()
        .map(|path| Pattern::of_path(path))
        .collect();
    // What cannot be wanted need not be excluded.
    let matters = |not: &&Pattern| {
        wanted.is_empty()
            || wanted.iter().any(|wanted| {
                let both = wanted.and(not, Bound::AtLeast);
                both.value.is_some()
            })
    };
    let texts = not.paths.iter().filter(matters).filter_map(Pattern::text);
    for text in texts {
        if !operation.not_paths.contains(&text) {
            operation.not_paths.push(text);
        }
    }
    if operation.methods.is_empty() {
        operation.not_methods.extend(not.methods.iter().cloned());
    } else {
        operation
            .methods
            .retain(|method| method.contains('*') || !not.methods.contains(method));
        if operation.methods.is_empty() {
            return None;
        }
        if operation.methods.iter().any(|method| method.contains('*')) {
            operation.not_methods.extend(not.methods.iter().cloned());
        }
    }
    if operation.ports.is_empty() {
        operation
            .not_ports
            .extend(not.ports.iter().map(ToString::to_string));
    } else {
        let excluded: Vec<String> = not.ports.iter().map(ToString::to_string).collect();
        operation.ports.retain(|port| !excluded.contains(port));
        if operation.ports.is_empty() {
            return None;
        }
    }
    Some(operation)
}
