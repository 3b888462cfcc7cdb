//! HTTPRoutes from rules: their order, their number, their form.

use super::http_action::Action;
use super::http_match;
use super::order::{Entry, Ties};
use crate::convert::Change;
use crate::convert::context::Context;
use crate::convert::names::FreeName;
use model::virtual_service::VirtualService;
use model::{Kind, Object, ObjectRef};
use semantics::predicate::RequestMatch;
use serde_json::{Value as Json, json};
use std::borrow::Cow;

/// `HTTPRoute.spec.rules`, `HTTPRouteRule.matches`, and all matches of a route.
const MAX_RULES: usize = 16;
const MAX_RULE_MATCHES: usize = 64;
const MAX_ROUTE_MATCHES: usize = 128;

/// A rule of an HTTPRoute.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: Option<String>,
    /// Alternatives.
    pub matches: Vec<RequestMatch>,
    /// What follows.
    pub action: Action,
}

/// What decides between conditions of the same rank, if these are the rules.
pub fn ties(rules: &[&[Entry]]) -> Ties {
    let matches: usize = rules.iter().map(|rule| rule.len()).sum();
    let is_one_route = rules.len() <= MAX_RULES
        && matches <= MAX_ROUTE_MATCHES
        && rules.iter().all(|rule| rule.len() <= MAX_RULE_MATCHES);
    if is_one_route {
        Ties::InOrder
    } else {
        Ties::Unknown
    }
}

/// `HTTPRoute.spec.parentRefs`.
pub const MAX_PARENTS: usize = 32;

/// The routes that hold the rules: one, or several where the API's limits ask for it. Host names count for gateways as
/// parents only.
pub fn routes(
    context: &Context<'_>,
    object: &Object<VirtualService>,
    parents: &[Json],
    hostnames: &[String],
    base: &str,
    rules: &[Rule],
) -> Vec<Change> {
    let split = rules.iter().flat_map(|rule| {
        let parts = rule.matches.chunks(MAX_RULE_MATCHES).enumerate();
        parts.map(|(part, matches)| match matches.len() == rule.matches.len() {
            true => Cow::Borrowed(rule),
            false => Cow::Owned(Rule {
                name: rule.name.clone().filter(|_| part == 0),
                matches: matches.to_vec(),
                action: rule.action.clone(),
            }),
        })
    });
    let mut groups: Vec<Vec<Cow<'_, Rule>>> = Vec::new();
    for rule in split {
        match groups.last_mut() {
            Some(group)
                if group.len() < MAX_RULES
                    && group.iter().map(|r| r.matches.len()).sum::<usize>() + rule.matches.len()
                        <= MAX_ROUTE_MATCHES =>
            {
                group.push(rule);
            }
            _ => groups.push(vec![rule]),
        }
    }
    let several = groups.len() > 1;
    groups
        .into_iter()
        .enumerate()
        .map(|(index, group)| {
            let name = if several {
                format!("{base}-part{}", index + 1)
            } else {
                base.to_owned()
            };
            let FreeName { id, instead_of } =
                context.free_name(object.namespace(), &Kind::HttpRoute, &name, &object.id);
            Change {
                after: (&route_json(object, &id, (parents, hostnames), &group)).into(),
                id,
                instead_of,
                from: object.id.clone(),
                before: None,
            }
        })
        .collect()
}

fn route_json(
    object: &Object<VirtualService>,
    id: &ObjectRef,
    (parents, hostnames): (&[Json], &[String]),
    rules: &[Cow<'_, Rule>],
) -> Json {
    let mut spec = serde_json::Map::new();
    spec.insert("parentRefs".into(), json!(parents));
    if !hostnames.is_empty() {
        spec.insert("hostnames".into(), json!(hostnames));
    }
    spec.insert("rules".into(), rules.iter().map(|rule| rule_json(rule)).collect());
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": crate::convert::metadata(id, &object.id),
        "spec": spec,
    })
}

fn rule_json(rule: &Rule) -> Json {
    let mut fields = serde_json::Map::new();
    if let Some(name) = &rule.name {
        fields.insert("name".into(), json!(name));
    }
    if !matches!(rule.matches.as_slice(), [only] if *only == RequestMatch::any()) {
        fields.insert(
            "matches".into(),
            rule.matches.iter().map(http_match::to_json).collect(),
        );
    }
    let filters = rule.action.filters();
    if !filters.is_empty() {
        fields.insert("filters".into(), json!(filters));
    }
    if !rule.action.backend_refs.is_empty() {
        fields.insert("backendRefs".into(), json!(rule.action.backend_refs));
    }
    if !rule.action.timeouts.is_empty() {
        fields.insert("timeouts".into(), json!(rule.action.timeouts));
    }
    if let Some(retry) = &rule.action.retry {
        fields.insert("retry".into(), json!(retry));
    }
    Json::Object(fields)
}
