//! Questions that browsers ask before they ask: the client's sidecar answered them, a waypoint judges them first.

use super::pattern::header_values;
use super::reach::Target;
use model::security::{Condition, Operation, Rule, To};
use model::values::StringMatch;
use semantics::predicate::ValueMatch;

/// The origins to which the routes of a Service answer themselves, as values of a condition; `None` if they are not the
/// same on all ways, or have no form in a policy.
pub fn origins(target: &Target<'_>) -> Option<Vec<String>> {
    let mut routed = target.ways.list.iter().filter(|way| way.router.is_some());
    let first = routed.next()?.cors.as_ref()?;
    if !target.ways.ordered || routed.any(|way| way.cors.as_ref() != Some(first)) {
        return None;
    }
    let mut found: Vec<String> = Vec::new();
    for origin in &first.allow_origins {
        let wanted = match origin {
            StringMatch::Exact(exact) if exact == "*" => ValueMatch::Presence,
            StringMatch::Exact(exact) => ValueMatch::Exact(exact.clone()),
            StringMatch::Prefix(prefix) => ValueMatch::Prefix(prefix.clone()),
            // What a regular expression asks for cannot be said: those preflights are judged.
            StringMatch::Regex(_) | StringMatch::Presence => continue,
        };
        found.extend(header_values(&wanted));
    }
    // Beside the newer field, Istio does not look at the older one.
    if first.allow_origins.is_empty() {
        found.extend(first.allow_origin.iter().cloned());
    }
    (!found.is_empty()).then_some(found)
}

/// Whether some way of a Service answers preflights.
pub fn are_answered(target: &Target<'_>) -> bool {
    target.ways.list.iter().any(|way| way.cors.is_some())
}

fn asks_for_method(values: &[&str], not_values: &[&str]) -> Condition {
    condition("access-control-request-method", values, not_values)
}

fn condition(header: &str, values: &[&str], not_values: &[&str]) -> Condition {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    Condition {
        key: format!("request.headers[{header}]"),
        values: owned(values),
        not_values: owned(not_values),
    }
}

/// A rule that lets in what the waypoint then answers.
pub fn let_in(origins: &[String]) -> Rule {
    let origins: Vec<&str> = origins.iter().map(String::as_str).collect();
    Rule {
        to: vec![To {
            operation: Operation {
                methods: vec!["OPTIONS".to_owned()],
                ..Operation::default()
            },
        }],
        when: vec![asks_for_method(&["*"], &[]), condition("origin", &origins, &[])],
        ..Rule::default()
    }
}

/// A rule that refuses, for everything but what the waypoint answers.
pub fn leave_out(rule: &Rule, origins: &[String]) -> Vec<Rule> {
    let origins: Vec<&str> = origins.iter().map(String::as_str).collect();
    let mut by_method = rule.clone();
    if by_method.to.is_empty() {
        by_method.to.push(To::default());
    }
    by_method.to.retain_mut(|to| {
        let operation = &mut to.operation;
        let asked = !operation.methods.is_empty();
        operation.methods.retain(|method| method != "OPTIONS");
        let open = operation.methods.iter().all(|method| method.contains('*'));
        if open && !operation.not_methods.iter().any(|method| method == "OPTIONS") {
            operation.not_methods.push("OPTIONS".to_owned());
        }
        !asked || !operation.methods.is_empty()
    });
    let with = |condition: Condition| {
        let mut rule = rule.clone();
        rule.when.push(condition);
        rule
    };
    let mut rules = vec![
        with(asks_for_method(&[], &["*"])),
        with(condition("origin", &[], &origins)),
    ];
    if !by_method.to.is_empty() {
        rules.insert(0, by_method);
    }
    rules
}
