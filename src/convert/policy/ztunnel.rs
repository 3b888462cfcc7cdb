//! What ztunnel makes of a policy that stays with it, and a copy that says there what the policy says at a sidecar.
//!
//! ztunnel compares trust domains as they are written, does not look at `trustDomains`, and gets no policy whose selector
//! is empty. Source: istio/istio:pilot/pkg/serviceregistry/ambient/authorization.go, istio/ztunnel:src/rbac.rs.

use super::attach::Draft;
use super::rules::to_json;
use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use crate::convert::targets;
use model::security::{Action, AuthorizationPolicy, Rule};
use model::settings::MeshSettings;
use model::{FieldPath, Object};
use serde_json::Value as Json;

/// Whether a waypoint has to judge a policy: it looks at layer 7, or at what ztunnel does not look at.
pub fn needs_waypoint(policy: &AuthorizationPolicy) -> bool {
    semantics::ztunnel::needs_waypoint(policy) || is_read_loosely(policy)
}

/// Whether ztunnel passes over parts of the sources: `trustDomains`, and namespaces with `*` in the middle.
pub fn is_read_loosely(policy: &AuthorizationPolicy) -> bool {
    let has_inner = |value: &String| value.trim_matches('*').contains('*');
    policy.rules.iter().any(|rule| {
        let sources = rule.from.iter().map(|from| &from.source);
        let mut sources = sources.map(|source| {
            !source.trust_domains.is_empty()
                || !source.not_trust_domains.is_empty()
                || source
                    .namespaces
                    .iter()
                    .chain(&source.not_namespaces)
                    .any(has_inner)
        });
        let mut conditions = rule
            .when
            .iter()
            .filter(|condition| condition.key == "source.namespace");
        sources.any(|loosely| loosely)
            || conditions.any(|condition| {
                condition
                    .values
                    .iter()
                    .chain(&condition.not_values)
                    .any(has_inner)
            })
    })
}

/// A copy for ztunnel, where the policy itself would say something else there.
pub fn copy(
    context: &Context<'_>,
    object: &Object<AuthorizationPolicy>,
    notes: &mut Notes<'_, AuthorizationPolicy>,
) -> Option<Draft> {
    let policy = &object.spec;
    if !matches!(policy.action(), Action::Allow | Action::Deny)
        || object.meta.annotations.contains_key(super::DRY_RUN)
    {
        return None;
    }
    let settings = &context.mesh.settings;
    let spec = FieldPath::spec();
    if excludes_by_domain(policy, settings) {
        notes.tell(
            Code::PrincipalsNotExcluded,
            &spec.key("rules"),
            format!(
                "ztunnel compares principals as they are written: those excluded here are of the trust domain `{}`, so nobody is excluded; a copy cannot mend that",
                settings.trust_domain
            ),
        );
    }
    let mut fields = targets::unscoped_spec(object);
    let rules: Vec<Rule> = policy
        .rules
        .iter()
        .map(|rule| written_out(rule, settings))
        .collect();
    let is_renamed = rules != policy.rules;
    if is_renamed {
        notes.tell(
            Code::PrincipalsWrittenOut,
            &spec.key("rules"),
            format!(
                "ztunnel compares principals as they are written, a sidecar takes its own trust domain and its aliases for one; a copy names {}",
                domains(settings).collect::<Vec<_>>().join(", ")
            ),
        );
        fields.insert("rules".into(), Json::Array(rules.iter().map(to_json).collect()));
    }
    let selector = policy.selector.as_ref();
    let is_empty = selector.is_some_and(|selector| selector.match_labels.is_empty());
    if is_empty {
        notes.tell(
            Code::EmptySelector,
            &spec.key("selector"),
            "at sidecars an empty selector is every pod, at ztunnel it is none; a copy has no selector",
        );
    } else if let (true, Some(selector)) = (is_renamed, object.raw.at(&["spec", "selector"])) {
        let mut scoped = serde_json::Map::new();
        scoped.insert("selector".into(), Json::from(selector));
        scoped.extend(fields);
        fields = scoped;
    }
    (is_renamed || is_empty).then(|| Draft {
        namespace: object.namespace().to_owned(),
        to: Vec::new(),
        fields,
    })
}

fn domains(settings: &MeshSettings) -> impl Iterator<Item = &str> {
    std::iter::once(&settings.trust_domain)
        .chain(&settings.trust_domain_aliases)
        .map(String::as_str)
}

/// The rest of a whole principal of our own trust domain, behind the domain.
fn of_ours<'v>(value: &'v str, settings: &MeshSettings) -> Option<&'v str> {
    let (domain, rest) = value.split_once('/')?;
    let ours = domain == "cluster.local" || domains(settings).any(|known| known == domain);
    let is_whole = matches!(rest.split('/').collect::<Vec<_>>().as_slice(), ["ns", _, "sa", _]);
    (ours && is_whole).then_some(rest)
}

fn write_out(values: &mut Vec<String>, settings: &MeshSettings) {
    let mut found: Vec<String> = Vec::new();
    for value in values.iter() {
        match of_ours(value, settings) {
            Some(rest) => found.extend(domains(settings).map(|domain| format!("{domain}/{rest}"))),
            None => found.push(value.clone()),
        }
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|value| seen.insert(value.clone()));
    if found.iter().any(|value| !values.contains(value)) {
        *values = found;
    }
}

fn written_out(rule: &Rule, settings: &MeshSettings) -> Rule {
    let mut rule = rule.clone();
    for from in &mut rule.from {
        write_out(&mut from.source.principals, settings);
    }
    for condition in rule
        .when
        .iter_mut()
        .filter(|condition| condition.key == "source.principal")
    {
        write_out(&mut condition.values, settings);
    }
    rule
}

/// Whether an ALLOW excludes principals under a name that ztunnel does not know: it would let them in.
fn excludes_by_domain(policy: &AuthorizationPolicy, settings: &MeshSettings) -> bool {
    let misses = |values: &Vec<String>| {
        let mut written = values.clone();
        write_out(&mut written, settings);
        written != *values
    };
    policy.action() == Action::Allow
        && policy.rules.iter().any(|rule| {
            let mut conditions = rule
                .when
                .iter()
                .filter(|condition| condition.key == "source.principal");
            rule.from.iter().any(|from| misses(&from.source.not_principals))
                || conditions.any(|condition| misses(&condition.not_values))
        })
}
