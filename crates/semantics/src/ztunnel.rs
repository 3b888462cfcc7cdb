//! What ztunnel makes of an AuthorizationPolicy that selects workloads.
//!
//! istiod sends ztunnel a policy as rules of clauses of matches. A clause is one of several matches, an empty
//! clause is true, and a match without any field is passed over, so that a clause of nothing but such matches
//! is false. Attributes of layer 7 have no place in a match. Source: istio/istio
//! `pilot/pkg/serviceregistry/ambient/authorization.go` (`handleRule`), istio/ztunnel `src/rbac.rs`, the same
//! from Istio 1.22 to 1.31; istio/istio#61126.

use model::FieldPath;
use model::security::{Action, AuthorizationPolicy, Condition, Operation, Rule, Source};
use std::net::IpAddr;

/// Conditions on these attributes reach ztunnel; all others are layer 7.
const LAYER_4_KEYS: [&str; 5] = [
    "source.ip",
    "source.namespace",
    "source.principal",
    "destination.ip",
    "destination.port",
];

/// What becomes of a policy as a whole, the worst that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effect {
    /// It says the same.
    #[default]
    Same,
    /// A DENY of which no rule ever matches: it fails open.
    Dropped,
    /// Some of its rules or alternatives never match.
    Narrowed,
    /// Some of its rules match more than at a sidecar.
    Widened,
    /// An ALLOW of which no rule is left: everything is refused.
    DeniesAll,
    /// It is not sent at all: CUSTOM, AUDIT, or a dry run.
    Ignored,
}

impl Effect {
    /// The word for rules and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Dropped => "dropped",
            Self::Narrowed => "narrowed",
            Self::Widened => "widened",
            Self::DeniesAll => "deniesAll",
            Self::Ignored => "ignored",
        }
    }
}

/// A policy as ztunnel reads it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// What becomes of the whole.
    pub effect: Effect,
    /// Fields on layer 7.
    pub layer_7: Vec<FieldPath>,
    /// Rules, and alternatives in rules, that never match.
    pub dropped: Vec<FieldPath>,
    /// Operations, sources and conditions that match more.
    pub widened: Vec<FieldPath>,
}

/// Whether ztunnel alone cannot enforce a policy: it asks a provider, logs, or looks at layer 7.
#[must_use]
pub fn needs_waypoint(policy: &AuthorizationPolicy) -> bool {
    let looks_at_layer_7 = |rule: &Rule| {
        let clauses = clauses(rule, &FieldPath::root());
        clauses.iter().flatten().any(|part| !part.layer_7.is_empty())
    };
    matches!(policy.action(), Action::Custom | Action::Audit) || policy.rules.iter().any(looks_at_layer_7)
}

/// Reads a policy with ztunnel's eyes. Policies with `targetRefs` are for waypoints; do not ask about them.
#[must_use]
pub fn read(policy: &AuthorizationPolicy, dry_run: bool) -> Reading {
    let mut reading = Reading::default();
    let mut dead_rules = 0;
    for (index, rule) in policy.rules.iter().enumerate() {
        let path = FieldPath::spec().key("rules").index(index);
        let clauses = clauses(rule, &path);
        for part in clauses.iter().flatten() {
            reading.layer_7.extend(part.layer_7.iter().cloned());
        }
        let layer_7 = clauses.iter().flatten().any(|part| !part.layer_7.is_empty());
        let dead = if policy.action() == Action::Allow && layer_7 {
            reading.dropped.push(path);
            true
        } else {
            read_clauses(&clauses, &mut reading)
        };
        dead_rules += usize::from(dead);
    }
    reading.effect = effect(policy, dry_run, dead_rules, &reading);
    reading
}

fn effect(policy: &AuthorizationPolicy, dry_run: bool, dead_rules: usize, reading: &Reading) -> Effect {
    let all_dead = dead_rules > 0 && dead_rules == policy.rules.len();
    match policy.action() {
        Action::Custom | Action::Audit => Effect::Ignored,
        _ if dry_run => Effect::Ignored,
        Action::Allow if all_dead => Effect::DeniesAll,
        Action::Deny if all_dead => Effect::Dropped,
        _ if !reading.dropped.is_empty() => Effect::Narrowed,
        _ if !reading.widened.is_empty() => Effect::Widened,
        _ => Effect::Same,
    }
}

/// Notes what is lost of a rule's clauses; true if the rule never matches.
fn read_clauses(clauses: &[Vec<Part>], reading: &mut Reading) -> bool {
    let mut dead = false;
    for clause in clauses {
        let lost: Vec<_> = clause.iter().filter(|part| part.is_empty()).collect();
        dead |= !clause.is_empty() && lost.len() == clause.len();
        reading.dropped.extend(lost.iter().map(|part| part.path.clone()));
    }
    if !dead {
        let widened = clauses.iter().flatten().filter(|part| part.is_widened());
        reading.widened.extend(widened.map(|part| part.path.clone()));
    }
    dead
}

/// One alternative of a clause, with what reaches ztunnel of it.
struct Part {
    path: FieldPath,
    /// How many fields reach ztunnel.
    sent: usize,
    /// How many do not.
    lost: usize,
    /// Those on layer 7.
    layer_7: Vec<FieldPath>,
}

impl Part {
    fn new(path: FieldPath) -> Self {
        Self {
            path,
            sent: 0,
            lost: 0,
            layer_7: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.sent == 0 && self.lost > 0
    }

    fn is_widened(&self) -> bool {
        self.sent > 0 && self.lost > 0
    }

    fn layer_4(&mut self, values: &[String], is_readable: impl Fn(&str) -> bool) {
        if values.is_empty() {
            return;
        }
        // A value that istiod cannot read is left out; without any value left the field is gone.
        if values.iter().any(|value| is_readable(value)) {
            self.sent += 1;
        } else {
            self.lost += 1;
        }
    }

    fn layer_7(&mut self, field: &str, values: &[String]) {
        if !values.is_empty() {
            self.lost += 1;
            self.layer_7.push(self.path.key(field));
        }
    }

    fn unsupported(&mut self, values: &[String]) {
        self.lost += usize::from(!values.is_empty());
    }
}

/// The clauses of a rule: `to`, `from`, and each condition by itself.
fn clauses(rule: &Rule, path: &FieldPath) -> Vec<Vec<Part>> {
    let operations = rule.to.iter().enumerate().map(|(index, to)| {
        let path = path.key("to").index(index).key("operation");
        operation(&to.operation, path)
    });
    let sources = rule.from.iter().enumerate().map(|(index, from)| {
        let path = path.key("from").index(index).key("source");
        source(&from.source, path)
    });
    let mut clauses = vec![operations.collect(), sources.collect()];
    clauses.extend(rule.when.iter().enumerate().map(|(index, condition)| {
        let path = path.key("when").index(index);
        vec![when(condition, path)]
    }));
    clauses
}

fn operation(operation: &Operation, path: FieldPath) -> Part {
    let mut part = Part::new(path);
    part.layer_4(&operation.ports, is_port);
    part.layer_4(&operation.not_ports, is_port);
    part.layer_7("hosts", &operation.hosts);
    part.layer_7("notHosts", &operation.not_hosts);
    part.layer_7("methods", &operation.methods);
    part.layer_7("notMethods", &operation.not_methods);
    part.layer_7("paths", &operation.paths);
    part.layer_7("notPaths", &operation.not_paths);
    part
}

fn source(source: &Source, path: FieldPath) -> Part {
    let mut part = Part::new(path);
    for values in [
        &source.principals,
        &source.not_principals,
        &source.namespaces,
        &source.not_namespaces,
        &source.service_accounts,
        &source.not_service_accounts,
    ] {
        part.layer_4(values, |_| true);
    }
    part.layer_4(&source.ip_blocks, is_address);
    part.layer_4(&source.not_ip_blocks, is_address);
    part.layer_7("requestPrincipals", &source.request_principals);
    part.layer_7("notRequestPrincipals", &source.not_request_principals);
    part.layer_7("remoteIpBlocks", &source.remote_ip_blocks);
    part.layer_7("notRemoteIpBlocks", &source.not_remote_ip_blocks);
    part.unsupported(&source.trust_domains);
    part.unsupported(&source.not_trust_domains);
    part
}

fn when(condition: &Condition, path: FieldPath) -> Part {
    let mut part = Part::new(path);
    if !LAYER_4_KEYS.contains(&condition.key.as_str()) {
        part.lost = 1;
        part.layer_7.push(part.path.key("key"));
        return part;
    }
    let is_readable = match condition.key.as_str() {
        "source.ip" | "destination.ip" => is_address,
        "destination.port" => is_port,
        _ => |_: &str| true,
    };
    part.layer_4(&condition.values, is_readable);
    part.layer_4(&condition.not_values, is_readable);
    part
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

fn is_address(text: &str) -> bool {
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    address.parse::<IpAddr>().is_ok() && length.is_none_or(|l| l.parse::<u8>().is_ok_and(|l| l <= 128))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::decode::{Decode, Decoder};
    use model::yaml;

    fn reading(text: &str) -> Reading {
        let chunk = yaml::documents(text)[0];
        let node = yaml::parse(chunk).unwrap().unwrap();
        let mut decoder = Decoder::default();
        let policy = AuthorizationPolicy::decode(&node, &mut decoder).unwrap();
        assert!(
            decoder.problems.is_empty() && decoder.unknown.is_empty(),
            "{text}"
        );
        read(&policy, false)
    }

    fn words(paths: &[FieldPath]) -> String {
        paths
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn policies_read_as_ztunnel_reads_them() {
        for (text, effect, dropped, widened) in [
            // An attribute on layer 7 anywhere takes the whole rule out of an ALLOW.
            (
                "rules: [{to: [{operation: {methods: [GET]}}]}]",
                Effect::DeniesAll,
                "spec.rules[0]",
                "",
            ),
            (
                "rules: [{to: [{operation: {ports: ['80'], paths: [/a]}}]}, {from: [{source: {namespaces: [a]}}]}]",
                Effect::Narrowed,
                "spec.rules[0]",
                "",
            ),
            (
                "rules: [{when: [{key: 'request.headers[a]', values: [b]}]}]",
                Effect::DeniesAll,
                "spec.rules[0]",
                "",
            ),
            // A clause with nothing but layer 7 makes the whole rule of a DENY unmatchable.
            (
                "{action: DENY, rules: [{to: [{operation: {paths: [/admin]}}], from: [{source: {principals: [a]}}]}]}",
                Effect::Dropped,
                "spec.rules[0].to[0].operation",
                "",
            ),
            (
                "{action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]}",
                Effect::Dropped,
                "spec.rules[0].from[0].source",
                "",
            ),
            (
                "{action: DENY, rules: [{to: [{operation: {ports: ['80']}}], when: [{key: remote.ip, values: [10.0.0.0/8]}]}]}",
                Effect::Dropped,
                "spec.rules[0].when[0]",
                "",
            ),
            // Within one operation or source, what is left matches more.
            (
                "{action: DENY, rules: [{to: [{operation: {ports: ['80'], methods: [GET]}}]}]}",
                Effect::Widened,
                "",
                "spec.rules[0].to[0].operation",
            ),
            (
                "{action: DENY, rules: [{from: [{source: {principals: [a], remoteIpBlocks: [10.0.0.0/8]}}]}]}",
                Effect::Widened,
                "",
                "spec.rules[0].from[0].source",
            ),
            // One of several alternatives is lost alone.
            (
                "{action: DENY, rules: [{to: [{operation: {ports: ['80']}}, {operation: {methods: [GET]}}]}]}",
                Effect::Narrowed,
                "spec.rules[0].to[1].operation",
                "",
            ),
            // Empty rules match everything, no rules never match; both as at a sidecar.
            ("rules: [{}]", Effect::Same, "", ""),
            ("{action: DENY, rules: [{}]}", Effect::Same, "", ""),
            ("{}", Effect::Same, "", ""),
            // Trust domains are not sent.
            (
                "rules: [{from: [{source: {trustDomains: [td], namespaces: [a]}}]}]",
                Effect::Widened,
                "",
                "spec.rules[0].from[0].source",
            ),
            (
                "{action: DENY, rules: [{from: [{source: {trustDomains: [td]}}]}]}",
                Effect::Dropped,
                "spec.rules[0].from[0].source",
                "",
            ),
            (
                "{action: CUSTOM, provider: {name: opa}, rules: [{}]}",
                Effect::Ignored,
                "",
                "",
            ),
            ("{action: AUDIT, rules: [{}]}", Effect::Ignored, "", ""),
            // Values that istiod cannot read are left out.
            (
                "{action: DENY, rules: [{to: [{operation: {ports: [http]}}]}]}",
                Effect::Dropped,
                "spec.rules[0].to[0].operation",
                "",
            ),
            (
                "{action: DENY, rules: [{from: [{source: {ipBlocks: [10.0.0.0/8, x]}}]}]}",
                Effect::Same,
                "",
                "",
            ),
        ] {
            let found = reading(text);
            assert_eq!(
                (found.effect, words(&found.dropped), words(&found.widened)),
                (effect, dropped.to_owned(), widened.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_dry_run_has_no_effect_and_layer_7_is_named_by_field() {
        let policy = AuthorizationPolicy::default();
        assert_eq!(read(&policy, true).effect, Effect::Ignored);
        let found = reading(
            "rules: [{to: [{operation: {hosts: [a], notPaths: [/b]}}], when: [{key: request.auth.claims, values: [x]}]}]",
        );
        assert_eq!(
            words(&found.layer_7),
            "spec.rules[0].to[0].operation.hosts spec.rules[0].to[0].operation.notPaths spec.rules[0].when[0].key"
        );
    }
}
