//! Whether AuthorizationPolicies let a request in, as the Envoy that istiod programs decides it: at a sidecar,
//! a gateway or a waypoint.
//!
//! Source: istio/istio:pilot/pkg/security/authz/model, pilot/pkg/security/authz/builder.

use model::security::{Action, AuthorizationPolicy, Condition, Operation, Rule, Source};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A request as far as policies look at it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// The identity of the peer without `spiffe://`; `None` for plaintext.
    pub principal: Option<String>,
    /// The address of the peer.
    pub source_ip: Option<IpAddr>,
    /// The port that the judge compares: of the pod at a sidecar, of the Service at a waypoint.
    pub port: u16,
    /// `:authority`.
    pub host: String,
    /// The method.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// Headers by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// `issuer/subject` of a verified token.
    pub request_principal: Option<String>,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It gets in.
    Allowed,
    /// It is refused.
    Denied,
    /// An external provider decides, and after it the DENY and ALLOW policies.
    AskedFirst,
}

/// An attribute that this evaluator does not know, so that nothing can be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownAttribute(pub String);

/// Decides in Istio's order: CUSTOM, DENY, ALLOW. Without an ALLOW policy everything else gets in.
///
/// # Errors
/// [`UnknownAttribute`] for keys of conditions outside of `source.*`, `destination.port` and
/// `request.headers[…]`.
pub fn decide<'a>(
    policies: impl IntoIterator<Item = &'a AuthorizationPolicy> + Clone,
    access: &Access,
) -> Result<Decision, UnknownAttribute> {
    let any = |action: Action| -> Result<bool, UnknownAttribute> {
        for policy in policies
            .clone()
            .into_iter()
            .filter(|policy| policy.action() == action)
        {
            for rule in &policy.rules {
                if holds(rule, access)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    };
    if any(Action::Deny)? {
        return Ok(Decision::Denied);
    }
    let has_allow = policies
        .clone()
        .into_iter()
        .any(|policy| policy.action() == Action::Allow);
    if has_allow && !any(Action::Allow)? {
        return Ok(Decision::Denied);
    }
    Ok(if any(Action::Custom)? {
        Decision::AskedFirst
    } else {
        Decision::Allowed
    })
}

fn holds(rule: &Rule, access: &Access) -> Result<bool, UnknownAttribute> {
    let from = rule.from.is_empty() || rule.from.iter().any(|from| source_holds(&from.source, access));
    let to = rule.to.is_empty() || rule.to.iter().any(|to| operation_holds(&to.operation, access));
    let mut when = true;
    for condition in &rule.when {
        when &= condition_holds(condition, access)?;
    }
    Ok(from && to && when)
}

/// A field holds if one of its values fits and none of its excluded values does.
fn field(values: &[String], excluded: &[String], fits: impl Fn(&str) -> bool) -> bool {
    (values.is_empty() || values.iter().any(|value| fits(value))) && !excluded.iter().any(|value| fits(value))
}

fn source_holds(source: &Source, access: &Access) -> bool {
    let principal = access.principal.as_deref();
    let namespace = principal.and_then(namespace_of);
    field(&source.principals, &source.not_principals, |wanted| {
        text_fits(wanted, principal)
    }) && field(&source.namespaces, &source.not_namespaces, |wanted| {
        text_fits(wanted, namespace)
    }) && field(
        &source.request_principals,
        &source.not_request_principals,
        |wanted| text_fits(wanted, access.request_principal.as_deref()),
    ) && field(&source.ip_blocks, &source.not_ip_blocks, |block| {
        block_holds(block, access.source_ip)
    })
}

fn operation_holds(operation: &Operation, access: &Access) -> bool {
    let host = access.host.to_lowercase();
    let port = access.port.to_string();
    field(&operation.hosts, &operation.not_hosts, |wanted| {
        text_fits(&wanted.to_lowercase(), Some(&host))
    }) && field(&operation.methods, &operation.not_methods, |wanted| {
        text_fits(wanted, Some(&access.method))
    }) && field(&operation.paths, &operation.not_paths, |wanted| {
        text_fits(wanted, Some(&access.path))
    }) && field(&operation.ports, &operation.not_ports, |wanted| wanted == port)
}

fn condition_holds(condition: &Condition, access: &Access) -> Result<bool, UnknownAttribute> {
    let key = condition.key.as_str();
    let header = key
        .strip_prefix("request.headers[")
        .and_then(|rest| rest.strip_suffix(']'));
    let value = match (key, header) {
        (_, Some(name)) => access.headers.get(&name.to_lowercase()).cloned(),
        ("source.principal", _) => access.principal.clone(),
        ("source.namespace", _) => access
            .principal
            .as_deref()
            .and_then(namespace_of)
            .map(str::to_owned),
        ("destination.port", _) => Some(access.port.to_string()),
        ("source.ip", _) => {
            return Ok(field(&condition.values, &condition.not_values, |block| {
                block_holds(block, access.source_ip)
            }));
        }
        _ => return Err(UnknownAttribute(key.to_owned())),
    };
    Ok(field(&condition.values, &condition.not_values, |wanted| {
        text_fits(wanted, value.as_deref())
    }))
}

/// `*` asks for presence, `x*` for a prefix, `*x` for a suffix, everything else for the value itself.
fn text_fits(wanted: &str, value: Option<&str>) -> bool {
    let Some(value) = value else { return false };
    match (wanted.strip_prefix('*'), wanted.strip_suffix('*')) {
        _ if wanted == "*" => !value.is_empty(),
        (Some(suffix), _) => value.ends_with(suffix),
        (_, Some(prefix)) => value.starts_with(prefix),
        _ => value == wanted,
    }
}

/// The namespace in `trust-domain/ns/NAMESPACE/sa/NAME`.
fn namespace_of(principal: &str) -> Option<&str> {
    principal.split_once("/ns/")?.1.split('/').next()
}

fn block_holds(block: &str, address: Option<IpAddr>) -> bool {
    let Some(address) = address else { return false };
    let (network, length) = block
        .split_once('/')
        .map_or((block, None), |(network, length)| (network, Some(length)));
    let Ok(network) = network.parse::<IpAddr>() else {
        return false;
    };
    let (network, address, width) = match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (u128::from(u32::from(network)), u128::from(u32::from(address)), 32)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => (network.into(), address.into(), 128),
        _ => return false,
    };
    let length: u32 = match length.map(str::parse) {
        None => width,
        Some(Ok(length)) if length <= width => length,
        Some(_) => return false,
    };
    length == 0 || (network ^ address) >> (width - length) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::decode::{Decode, Decoder};

    fn policy(yaml: &str) -> AuthorizationPolicy {
        let node = model::yaml::parse(model::yaml::documents(yaml)[0])
            .unwrap()
            .unwrap();
        AuthorizationPolicy::decode(&node, &mut Decoder::default()).unwrap()
    }

    #[test]
    fn decisions_follow_the_documented_order() {
        let allow_get = policy("rules: [{to: [{operation: {methods: [GET]}}]}]");
        let deny_admin = policy("{action: DENY, rules: [{to: [{operation: {paths: [/admin*]}}]}]}");
        let nothing = policy("action: ALLOW");
        let ask = policy("{action: CUSTOM, provider: {name: p}, rules: [{}]}");
        let get = |path: &str| Access {
            method: "GET".into(),
            path: path.into(),
            ..Access::default()
        };
        let post = Access {
            method: "POST".into(),
            path: "/x".into(),
            ..Access::default()
        };
        for (policies, access, expected) in [
            (vec![], &post, Decision::Allowed),
            (vec![&allow_get], &post, Decision::Denied),
            (vec![&allow_get], &get("/x"), Decision::Allowed),
            (vec![&allow_get, &deny_admin], &get("/admin/x"), Decision::Denied),
            (vec![&deny_admin], &post, Decision::Allowed),
            (vec![&nothing], &get("/x"), Decision::Denied),
            (vec![&ask], &post, Decision::AskedFirst),
            (vec![&ask, &deny_admin], &get("/admin"), Decision::Denied),
        ] {
            assert_eq!(decide(policies, access), Ok(expected), "{access:?}");
        }
    }

    #[test]
    fn excluded_values_hold_for_what_is_absent() {
        let require_token =
            policy("{action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]}");
        let without = Access::default();
        let with = Access {
            request_principal: Some("issuer/subject".into()),
            ..Access::default()
        };
        assert_eq!(decide([&require_token], &without), Ok(Decision::Denied));
        assert_eq!(decide([&require_token], &with), Ok(Decision::Allowed));
    }

    #[test]
    fn address_blocks_are_compared_by_prefix() {
        for (block, address, expected) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("::/0", "fe80::1", true),
            ("10.0.0.0/33", "10.0.0.1", false),
            ("10.0.0.0/8", "fe80::1", false),
        ] {
            assert_eq!(
                block_holds(block, address.parse().ok()),
                expected,
                "{block} {address}"
            );
        }
    }
}
