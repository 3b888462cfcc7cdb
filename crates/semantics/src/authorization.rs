//! Whether AuthorizationPolicies let a request in, as the Envoy that istiod programs decides it: at a sidecar,
//! a gateway or a waypoint.
//!
//! Source: istio/istio:pilot/pkg/security/authz/model, pilot/pkg/security/authz/builder.

use model::security::{Action, AuthorizationPolicy, Condition, From, Operation, Rule, Source};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A request as far as policies look at it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// The identity of the peer without `spiffe://`; `None` for plaintext.
    pub principal: Option<String>,
    /// The address of the peer; `None` where the connection has none, as inside of a waypoint's tunnel.
    pub source_ip: Option<IpAddr>,
    /// The address of the original client, as proxies in front forward it.
    pub remote_ip: Option<IpAddr>,
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
    /// Further attributes by their key in `when`, such as `request.auth.claims[group]` or `connection.sni`.
    /// Several values of a claim are parted by spaces.
    pub attributes: BTreeMap<String, String>,
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
/// [`UnknownAttribute`] for keys of conditions that Istio does not have.
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
                if rule_holds(rule, access)? {
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

/// Whether a rule holds for a request. Service accounts must have their namespace, see [`completed`].
///
/// # Errors
/// As [`decide`].
pub fn rule_holds(rule: &Rule, access: &Access) -> Result<bool, UnknownAttribute> {
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
    let text = |wanted: &str| text_fits(wanted, principal);
    let token = |wanted: &str| text_fits(wanted, access.request_principal.as_deref());
    field(&source.principals, &source.not_principals, text)
        && field(&source.namespaces, &source.not_namespaces, |wanted| {
            namespace_fits(wanted, principal)
        })
        && field(&source.service_accounts, &source.not_service_accounts, |wanted| {
            account_fits(wanted, principal)
        })
        && field(&source.trust_domains, &source.not_trust_domains, |wanted| {
            domain_fits(wanted, principal)
        })
        && field(&source.request_principals, &source.not_request_principals, token)
        && field(&source.ip_blocks, &source.not_ip_blocks, |block| {
            block_holds(block, access.source_ip)
        })
        && field(&source.remote_ip_blocks, &source.not_remote_ip_blocks, |block| {
            block_holds(block, access.remote_ip)
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
        path_fits(wanted, &access.path)
    }) && field(&operation.ports, &operation.not_ports, |wanted| wanted == port)
}

fn condition_holds(condition: &Condition, access: &Access) -> Result<bool, UnknownAttribute> {
    let key = condition.key.as_str();
    let peer = access.principal.as_deref();
    let among = |fits: &dyn Fn(&str) -> bool| {
        Ok(field(&condition.values, &condition.not_values, |wanted| {
            fits(wanted)
        }))
    };
    if let Some(name) = header_of(key) {
        let value = access.headers.get(&name.to_lowercase());
        return among(&|wanted| text_fits(wanted, value.map(String::as_str)));
    }
    match key {
        "source.principal" => among(&|wanted| text_fits(wanted, peer)),
        "source.namespace" => among(&|wanted| namespace_fits(wanted, peer)),
        "source.serviceAccount" => among(&|wanted| account_fits(wanted, peer)),
        "source.trustDomain" => among(&|wanted| domain_fits(wanted, peer)),
        "source.ip" => among(&|block| block_holds(block, access.source_ip)),
        "remote.ip" => among(&|block| block_holds(block, access.remote_ip)),
        "destination.port" => {
            let port = access.port.to_string();
            among(&|wanted| wanted == port)
        }
        "destination.ip" => {
            let address = access.attributes.get(key).and_then(|text| text.parse().ok());
            among(&|block| block_holds(block, address))
        }
        "request.auth.principal" => among(&|wanted| text_fits(wanted, access.request_principal.as_deref())),
        _ if is_attribute(key) => {
            let value = access.attributes.get(key).map(String::as_str);
            among(&|wanted| {
                let words = value.into_iter().flat_map(str::split_whitespace);
                text_fits(wanted, value) || words.into_iter().any(|word| text_fits(wanted, Some(word)))
            })
        }
        _ => Err(UnknownAttribute(key.to_owned())),
    }
}

/// The name of the header in `request.headers[NAME]`.
#[must_use]
pub fn header_of(key: &str) -> Option<&str> {
    key.strip_prefix("request.headers[")?.strip_suffix(']')
}

fn is_attribute(key: &str) -> bool {
    key == "connection.sni"
        || key.starts_with("request.auth.")
        || key.starts_with("experimental.envoy.filters.")
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

/// The parts of `trust-domain/ns/NAMESPACE/sa/NAME`.
fn parts_of(principal: &str) -> Option<(&str, &str, &str)> {
    let (domain, rest) = principal.split_once("/ns/")?;
    let (namespace, account) = rest.split_once("/sa/")?;
    Some((domain, namespace, account))
}

fn namespace_fits(wanted: &str, principal: Option<&str>) -> bool {
    principal
        .and_then(parts_of)
        .is_some_and(|(_, namespace, _)| glob(wanted, namespace))
}

fn account_fits(wanted: &str, principal: Option<&str>) -> bool {
    principal
        .and_then(parts_of)
        .is_some_and(|(_, namespace, account)| {
            wanted
                .split_once('/')
                .is_some_and(|wanted| wanted == (namespace, account))
        })
}

fn domain_fits(wanted: &str, principal: Option<&str>) -> bool {
    principal
        .and_then(parts_of)
        .is_some_and(|(domain, _, _)| glob(wanted, domain))
}

/// Whether a text is the pattern, in which each `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(head) else {
        return false;
    };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let tail = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(at) = text.find(piece) else { return false };
        text = text.get(at + piece.len()..).unwrap_or_default();
    }
    text.ends_with(tail)
}

/// A path, or a template in which `{*}` is a segment and `{**}` is all that is left.
fn path_fits(wanted: &str, path: &str) -> bool {
    if !wanted.contains("{*}") && !wanted.contains("{**}") {
        return text_fits(wanted, Some(path));
    }
    template_fits(wanted, path)
}

/// Whether a path fits a template, in which `{*}` is a segment and `{**}` is all that is left.
#[must_use]
pub fn template_fits(template: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    for piece in template.split('/') {
        let segment = match (piece, segments.next()) {
            ("{**}", found) => return found.is_some(),
            (_, Some(segment)) => segment,
            (_, None) => return false,
        };
        let fits = if piece == "{*}" {
            !segment.is_empty()
        } else {
            piece == segment
        };
        if !fits {
            return false;
        }
    }
    segments.next().is_none()
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

/// A part of a rule: what it asks of the peer's identity, and what it asks of the request and its addresses.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Looks at nothing but the principal.
    pub peer: Rule,
    /// Looks at everything else.
    pub request: Rule,
}

/// A rule as alternatives: it holds if both halves of any of them do.
#[must_use]
pub fn parts(rule: &Rule) -> Vec<Part> {
    let is_peer = |condition: &&Condition| {
        matches!(
            condition.key.as_str(),
            "source.principal" | "source.namespace" | "source.serviceAccount" | "source.trustDomain"
        )
    };
    let peer_when: Vec<Condition> = rule.when.iter().filter(is_peer).cloned().collect();
    let request_when: Vec<Condition> = rule.when.iter().filter(|c| !is_peer(c)).cloned().collect();
    let part = |peer: Vec<From>, request: Vec<From>| Part {
        peer: Rule {
            from: peer,
            when: peer_when.clone(),
            to: Vec::new(),
        },
        request: Rule {
            from: request,
            when: request_when.clone(),
            to: rule.to.clone(),
        },
    };
    if rule.from.is_empty() {
        return vec![part(Vec::new(), Vec::new())];
    }
    let halves = rule.from.iter().map(|from| {
        let source = &from.source;
        let mut request = source.clone();
        let peer = Source {
            principals: std::mem::take(&mut request.principals),
            not_principals: std::mem::take(&mut request.not_principals),
            namespaces: std::mem::take(&mut request.namespaces),
            not_namespaces: std::mem::take(&mut request.not_namespaces),
            service_accounts: std::mem::take(&mut request.service_accounts),
            not_service_accounts: std::mem::take(&mut request.not_service_accounts),
            trust_domains: std::mem::take(&mut request.trust_domains),
            not_trust_domains: std::mem::take(&mut request.not_trust_domains),
            ..Source::default()
        };
        part(vec![From { source: peer }], vec![From { source: request }])
    });
    halves.collect()
}

/// The policy as it is read for connections that carry no HTTP: of an ALLOW the rules that look at HTTP are left
/// out, of others only the fields that do.
#[must_use]
pub fn on_tcp(policy: &AuthorizationPolicy) -> AuthorizationPolicy {
    let mut policy = policy.clone();
    let allow = policy.action() == Action::Allow;
    policy.rules.retain_mut(|rule| {
        let before = rule.clone();
        for from in &mut rule.from {
            from.source.request_principals.clear();
            from.source.not_request_principals.clear();
        }
        for operation in rule.to.iter_mut().map(|to| &mut to.operation) {
            for values in [
                &mut operation.hosts,
                &mut operation.not_hosts,
                &mut operation.methods,
                &mut operation.not_methods,
                &mut operation.paths,
                &mut operation.not_paths,
            ] {
                values.clear();
            }
        }
        rule.when
            .retain(|condition| !condition.key.starts_with("request."));
        !allow || *rule == before
    });
    policy
}

/// The trust domains of a mesh.
#[derive(Debug, Clone, Copy)]
pub struct TrustDomains<'a> {
    /// That of its identities.
    pub own: &'a str,
    /// Further ones that count as its own.
    pub aliases: &'a [String],
}

/// The policy with everything that Envoy is told in full: service accounts with their namespace, and principals in
/// each trust domain that counts as the mesh's own. ztunnel is told neither.
#[must_use]
pub fn completed(
    policy: &AuthorizationPolicy,
    namespace: &str,
    domains: &TrustDomains<'_>,
) -> AuthorizationPolicy {
    let mut policy = policy.clone();
    let accounts = |values: &mut Vec<String>| {
        for value in values.iter_mut().filter(|value| !value.contains('/')) {
            *value = format!("{namespace}/{value}");
        }
    };
    let principals = |values: &mut Vec<String>| {
        *values = values.iter().flat_map(|value| expanded(value, domains)).collect();
    };
    for rule in &mut policy.rules {
        for source in rule.from.iter_mut().map(|from| &mut from.source) {
            accounts(&mut source.service_accounts);
            accounts(&mut source.not_service_accounts);
            principals(&mut source.principals);
            principals(&mut source.not_principals);
        }
        for condition in &mut rule.when {
            match condition.key.as_str() {
                "source.principal" => {
                    principals(&mut condition.values);
                    principals(&mut condition.not_values);
                }
                "source.serviceAccount" => {
                    accounts(&mut condition.values);
                    accounts(&mut condition.not_values);
                }
                _ => {}
            }
        }
    }
    policy
}

fn expanded(value: &str, domains: &TrustDomains<'_>) -> Vec<String> {
    let Some((domain, _, _)) = parts_of(value) else {
        return vec![value.to_owned()];
    };
    let rest = value.get(domain.len()..).unwrap_or_default();
    let aliases = domains.aliases.iter().map(String::as_str);
    let mut own = vec![domains.own, "cluster.local"];
    own.extend(aliases);
    own.dedup();
    if own.contains(&domain) {
        own.iter().map(|domain| format!("{domain}{rest}")).collect()
    } else {
        vec![value.to_owned()]
    }
}

#[cfg(test)]
#[path = "authorization_tests.rs"]
mod tests;
