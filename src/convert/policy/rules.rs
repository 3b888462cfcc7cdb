//! The rules of an AuthorizationPolicy: what they look at, and how they are written.

use model::security::{AuthorizationPolicy, Condition, Operation, Rule, Source};
use semantics::authorization::header_of;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeSet;

/// Whether a policy looks at tokens, and so depends on a RequestAuthentication at the same place.
pub fn uses_claims(policy: &AuthorizationPolicy) -> bool {
    policy.rules.iter().any(|rule| {
        rule.from.iter().any(|from| {
            !from.source.request_principals.is_empty() || !from.source.not_request_principals.is_empty()
        }) || rule
            .when
            .iter()
            .any(|condition| condition.key.starts_with("request.auth."))
    })
}

/// Which parts of a request a policy looks at that a route may have changed before.
#[derive(Debug, Default)]
pub struct Attributes {
    /// Paths.
    pub paths: bool,
    /// `:authority`.
    pub hosts: bool,
    /// Ports.
    pub ports: bool,
    /// Headers by lower-case name.
    pub headers: BTreeSet<String>,
}

impl Attributes {
    /// The attributes of a policy.
    pub fn of(policy: &AuthorizationPolicy) -> Self {
        let mut attributes = Self::default();
        for rule in &policy.rules {
            for operation in rule.to.iter().map(|to| &to.operation) {
                attributes.paths |= !operation.paths.is_empty() || !operation.not_paths.is_empty();
                attributes.hosts |= !operation.hosts.is_empty() || !operation.not_hosts.is_empty();
                attributes.ports |= !operation.ports.is_empty() || !operation.not_ports.is_empty();
            }
            for condition in &rule.when {
                attributes.ports |= condition.key == "destination.port";
                match header_of(&condition.key).map(str::to_lowercase) {
                    Some(name) if is_host(&name) => attributes.hosts = true,
                    Some(name) => drop(attributes.headers.insert(name)),
                    None => {}
                }
            }
        }
        attributes
    }
}

/// Whether a header is the authority by another name.
pub fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

/// A rule as it is written in a manifest.
pub fn to_json(rule: &Rule) -> Json {
    let mut written = Map::new();
    let from: Vec<Json> = rule
        .from
        .iter()
        .map(|from| json!({ "source": source(&from.source) }))
        .collect();
    let to: Vec<Json> = rule
        .to
        .iter()
        .map(|to| json!({ "operation": operation(&to.operation) }))
        .collect();
    let when: Vec<Json> = rule.when.iter().map(condition).collect();
    for (key, list) in [("from", from), ("to", to), ("when", when)] {
        if !list.is_empty() {
            written.insert(key.into(), Json::Array(list));
        }
    }
    Json::Object(written)
}

fn lists<'a>(fields: impl IntoIterator<Item = (&'static str, &'a Vec<String>)>) -> Map<String, Json> {
    let set = fields.into_iter().filter(|(_, values)| !values.is_empty());
    set.map(|(key, values)| (key.to_owned(), json!(values))).collect()
}

fn source(source: &Source) -> Map<String, Json> {
    lists([
        ("principals", &source.principals),
        ("notPrincipals", &source.not_principals),
        ("requestPrincipals", &source.request_principals),
        ("notRequestPrincipals", &source.not_request_principals),
        ("namespaces", &source.namespaces),
        ("notNamespaces", &source.not_namespaces),
        ("serviceAccounts", &source.service_accounts),
        ("notServiceAccounts", &source.not_service_accounts),
        ("trustDomains", &source.trust_domains),
        ("notTrustDomains", &source.not_trust_domains),
        ("ipBlocks", &source.ip_blocks),
        ("notIpBlocks", &source.not_ip_blocks),
        ("remoteIpBlocks", &source.remote_ip_blocks),
        ("notRemoteIpBlocks", &source.not_remote_ip_blocks),
    ])
}

fn operation(operation: &Operation) -> Map<String, Json> {
    lists([
        ("hosts", &operation.hosts),
        ("notHosts", &operation.not_hosts),
        ("ports", &operation.ports),
        ("notPorts", &operation.not_ports),
        ("methods", &operation.methods),
        ("notMethods", &operation.not_methods),
        ("paths", &operation.paths),
        ("notPaths", &operation.not_paths),
    ])
}

fn condition(condition: &Condition) -> Json {
    let mut written = Map::new();
    written.insert("key".into(), json!(condition.key));
    written.extend(lists([
        ("values", &condition.values),
        ("notValues", &condition.not_values),
    ]));
    Json::Object(written)
}

/// The rule with the namespace written out where service accounts are named without: in another namespace they would be
/// others.
pub fn with_namespace(rule: &Rule, namespace: &str) -> Rule {
    let mut rule = rule.clone();
    let complete = |values: &mut Vec<String>| {
        for value in values.iter_mut().filter(|value| !value.contains('/')) {
            *value = format!("{namespace}/{value}");
        }
    };
    for from in &mut rule.from {
        complete(&mut from.source.service_accounts);
        complete(&mut from.source.not_service_accounts);
    }
    for condition in rule.when.iter_mut().filter(|c| c.key == "source.serviceAccount") {
        complete(&mut condition.values);
        complete(&mut condition.not_values);
    }
    rule
}
