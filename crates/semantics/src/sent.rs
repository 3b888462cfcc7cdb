//! The policies that istiod sends to ztunnel for an AuthorizationPolicy.
//!
//! Source: istio/istio `pilot/pkg/serviceregistry/ambient/authorization.go`; measured in `tests/facts`.

use crate::layer_4::{self, Block, Clause, Match, ServiceAccount, Text, Values};
use model::security::{Action, AuthorizationPolicy, Condition, Operation, Rule, Source};
use std::net::IpAddr;

/// What ztunnel gets of a policy in `namespace`; `None` for what is not sent: policies with targets, CUSTOM, AUDIT.
/// Whom the policy is for is left to the caller, so its scope is always [`layer_4::Scope::Selector`].
#[must_use]
pub fn sent(namespace: &str, name: &str, policy: &AuthorizationPolicy) -> Option<layer_4::Policy> {
    let action = match policy.action() {
        Action::Allow => layer_4::Action::Allow,
        Action::Deny => layer_4::Action::Deny,
        Action::Audit | Action::Custom => return None,
    };
    if policy.is_targeted() {
        return None;
    }
    let rules = policy.rules.iter().filter_map(|rule| {
        let clauses = clauses(rule, namespace);
        let loses_layer_7 = clauses.iter().flatten().any(|(_, layer_7)| *layer_7);
        (action == layer_4::Action::Deny || !loses_layer_7).then(|| layer_4::Rule {
            clauses: clauses
                .into_iter()
                .map(|clause| Clause {
                    matches: clause.into_iter().map(|(found, _)| found).collect(),
                })
                .collect(),
        })
    });
    Some(layer_4::Policy {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        scope: layer_4::Scope::Selector,
        action,
        rules: rules.collect(),
        dry_run: false,
    })
}

/// Matches, each with whether it has lost an attribute of layer 7.
type Matches = Vec<(Match, bool)>;

fn clauses(rule: &Rule, namespace: &str) -> Vec<Matches> {
    let to = rule.to.iter().map(|to| operation(&to.operation));
    let from = rule.from.iter().map(|from| source(&from.source, namespace));
    let mut clauses: Vec<Matches> = vec![to.collect(), from.collect()];
    clauses.extend(rule.when.iter().map(|condition| vec![when(condition)]));
    clauses
}

fn operation(operation: &Operation) -> (Match, bool) {
    let layer_7 = [
        &operation.hosts,
        &operation.not_hosts,
        &operation.methods,
        &operation.not_methods,
        &operation.paths,
        &operation.not_paths,
    ];
    let found = Match {
        destination_ports: read(&operation.ports, &operation.not_ports, port),
        ..Match::default()
    };
    (found, layer_7.iter().any(|values| !values.is_empty()))
}

fn source(source: &Source, namespace: &str) -> (Match, bool) {
    let layer_7 = [
        &source.request_principals,
        &source.not_request_principals,
        &source.remote_ip_blocks,
        &source.not_remote_ip_blocks,
    ];
    let account = |value: &str| {
        let (namespace, name) = value.split_once('/').unwrap_or((namespace, value));
        Some(ServiceAccount {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    };
    let found = Match {
        namespaces: read(&source.namespaces, &source.not_namespaces, text),
        principals: read(&source.principals, &source.not_principals, text),
        service_accounts: read(&source.service_accounts, &source.not_service_accounts, account),
        source_ips: read(&source.ip_blocks, &source.not_ip_blocks, block),
        ..Match::default()
    };
    (found, layer_7.iter().any(|values| !values.is_empty()))
}

fn when(condition: &Condition) -> (Match, bool) {
    let (any, none) = (&condition.values, &condition.not_values);
    let mut found = Match::default();
    match condition.key.as_str() {
        "source.ip" => found.source_ips = read(any, none, block),
        "source.namespace" => found.namespaces = read(any, none, text),
        "source.principal" => found.principals = read(any, none, text),
        "destination.ip" => found.destination_ips = read(any, none, block),
        "destination.port" => found.destination_ports = read(any, none, port),
        _ => return (found, true),
    }
    (found, false)
}

/// Values that cannot be read are left out one by one.
fn read<T>(any: &[String], none: &[String], parse: impl Fn(&str) -> Option<T>) -> Values<T> {
    Values {
        any: any.iter().filter_map(|value| parse(value)).collect(),
        none: none.iter().filter_map(|value| parse(value)).collect(),
    }
}

fn text(value: &str) -> Option<Text> {
    Some(match (value.strip_prefix('*'), value.strip_suffix('*')) {
        _ if value == "*" => Text::Present,
        (Some(suffix), _) => Text::Suffix(suffix.to_owned()),
        (_, Some(prefix)) => Text::Prefix(prefix.to_owned()),
        _ => Text::Exact(value.to_owned()),
    })
}

fn port(value: &str) -> Option<u16> {
    value.parse().ok()
}

fn block(value: &str) -> Option<Block> {
    let (address, length) = value.split_once('/').map_or((value, None), |(a, l)| (a, Some(l)));
    let address: IpAddr = address.parse().ok()?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    Block::new(address, length.map_or(Some(whole), |length| length.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer_4::{Connection, Peer, Verdict, decide};
    use model::decode::{Decode, Decoder};

    /// What becomes of a connection from `td/ns/a/sa/x` to port 80 under one policy.
    fn outcome(policy: &str) -> Option<bool> {
        let node = model::yaml::parse(model::yaml::documents(policy)[0])
            .unwrap()
            .unwrap();
        let policy = AuthorizationPolicy::decode(&node, &mut Decoder::default()).unwrap();
        let policy = sent("a", "p", &policy)?;
        let connection = Connection {
            peer: Some(Peer {
                principal: "td/ns/a/sa/x",
                namespace: "a",
                service_account: "x",
            }),
            source: "10.0.0.1".parse().unwrap(),
            destination: "10.0.0.2".parse().unwrap(),
            port: 80,
        };
        Some(decide(std::iter::once(&policy), &connection) == Verdict::Allowed)
    }

    #[test]
    fn policies_mean_at_ztunnel_what_istiod_makes_of_them() {
        for (policy, allowed) in [
            ("rules: [{}]", Some(true)),
            ("action: ALLOW", Some(false)),
            // The four outcomes of a layer-7 policy: refused, let in, refused too much, not sent.
            ("rules: [{to: [{operation: {methods: [GET]}}]}]", Some(false)),
            (
                "{action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}",
                Some(true),
            ),
            (
                "{action: DENY, rules: [{to: [{operation: {methods: [GET], ports: ['80']}}]}]}",
                Some(false),
            ),
            ("{action: CUSTOM, provider: {name: p}, rules: [{}]}", None),
            ("targetRefs: [{kind: Service, name: s}]", None),
            // One lost clause takes the whole DENY away.
            (
                "{action: DENY, rules: [{from: [{source: {namespaces: [a]}}], to: [{operation: {methods: [GET]}}]}]}",
                Some(true),
            ),
            (
                "{action: DENY, rules: [{from: [{source: {namespaces: [a]}}]}]}",
                Some(false),
            ),
            (
                "{action: DENY, rules: [{when: [{key: 'request.headers[x]', values: [y]}]}]}",
                Some(true),
            ),
            ("rules: [{from: [{source: {serviceAccounts: [x]}}]}]", Some(true)),
            (
                "rules: [{from: [{source: {serviceAccounts: [b/x]}}]}]",
                Some(false),
            ),
            (
                "rules: [{from: [{source: {ipBlocks: [10.0.0.0/8, nonsense]}}]}]",
                Some(true),
            ),
            (
                "rules: [{when: [{key: source.principal, values: ['*/sa/x']}]}]",
                Some(true),
            ),
            ("rules: [{from: [{source: {notPrincipals: ['*']}}]}]", Some(false)),
        ] {
            assert_eq!(outcome(policy), allowed, "{policy}");
        }
    }
}
