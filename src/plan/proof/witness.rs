//! Requests at the boundaries of rules: for each value one that fits and one near it that does not.

use super::objects::Policy;
use model::security::{Condition, Operation, Rule, Source};
use semantics::authorization::{Part, header_of};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a client asks, and from which address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The host, unless it is the Service's own name.
    pub host: Option<String>,
    /// Headers by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// `issuer/subject` of a valid token.
    pub token: Option<String>,
    /// Further attributes; those of `request.auth` are the token's.
    pub attributes: BTreeMap<String, String>,
    /// The client's address.
    pub source: IpAddr,
    /// The address that is forwarded, if it is another one.
    pub remote: Option<IpAddr>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            host: None,
            headers: BTreeMap::new(),
            token: None,
            attributes: BTreeMap::new(),
            // An address for documentation (RFC 5737), which policies hardly name.
            source: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)),
            remote: None,
        }
    }
}

/// A part of a request that rules look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Method,
    Path,
    Host,
    Header(String),
    Token,
    Attribute(String),
    Source,
    Remote,
}

/// A part with a value, or without.
type Setting = (Field, Option<String>);

/// What a rule asks for: a way to fulfil it, and other values for its parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    fits: Vec<Setting>,
    others: Vec<Setting>,
}

/// More requests than this for one Service are not made of every pair of rules' values.
const PAIRED: usize = 256;

/// The witnesses for the rules of some policies. Tokens are of the given issuers where a rule leaves it open.
pub fn requests(policies: &[&Policy], issuers: &BTreeSet<&str>) -> Vec<Request> {
    let issuer = issuers.first().copied().unwrap_or("issuer");
    let shapes: BTreeSet<Shape> = policies
        .iter()
        .flat_map(|policy| &policy.rules.parts)
        .flat_map(|part| shapes(part, issuer))
        .collect();
    let mut found = BTreeSet::from([Request::default()]);
    let others: usize = shapes.iter().map(|shape| shape.others.len()).sum();
    let paired = others * shapes.len() <= PAIRED;
    for shape in &shapes {
        let base = with(&Request::default(), &shape.fits);
        found.extend(
            shape
                .others
                .iter()
                .map(|other| with(&base, std::slice::from_ref(other))),
        );
        for second in shapes.iter().filter(|second| *second != shape) {
            let both = with(&base, &second.fits);
            if paired {
                let varied = second
                    .others
                    .iter()
                    .map(|other| with(&both, std::slice::from_ref(other)));
                found.extend(varied);
            }
            found.insert(both);
        }
        found.insert(base);
    }
    found.into_iter().collect()
}

fn with(request: &Request, settings: &[Setting]) -> Request {
    let mut request = request.clone();
    for (field, value) in settings {
        set(&mut request, field, value.as_ref());
    }
    request
}

fn set(request: &mut Request, field: &Field, value: Option<&String>) {
    let put = |map: &mut BTreeMap<String, String>, key: &String| match value {
        Some(value) => {
            map.insert(key.clone(), value.clone());
        }
        None => {
            map.remove(key);
        }
    };
    let text = value.cloned().unwrap_or_default();
    match field {
        Field::Method => request.method = text,
        Field::Path => request.path = text,
        Field::Host => request.host = value.cloned(),
        Field::Header(name) => put(&mut request.headers, name),
        Field::Token => request.token = value.cloned(),
        Field::Attribute(key) => put(&mut request.attributes, key),
        Field::Source => request.source = text.parse().unwrap_or(request.source),
        Field::Remote => request.remote = text.parse().ok(),
    }
}

/// One shape for each alternative of a rule.
fn shapes(part: &Part, issuer: &str) -> Vec<Shape> {
    let Rule { from, to, when } = &part.request;
    let count = from.len().max(to.len()).max(1);
    let one = |index: usize| {
        let mut shape = Shape {
            fits: Vec::new(),
            others: Vec::new(),
        };
        if let Some(from) = from.get(index % from.len().max(1)) {
            source(&mut shape, &from.source, issuer);
        }
        if let Some(to) = to.get(index % to.len().max(1)) {
            operation(&mut shape, &to.operation);
        }
        for condition in when {
            of_condition(&mut shape, condition, issuer);
        }
        shape
    };
    (0..count).map(one).collect()
}

fn source(shape: &mut Shape, source: &Source, issuer: &str) {
    let token = |pattern: &str| token_like(pattern, issuer);
    shape.take(
        &Field::Token,
        &source.request_principals,
        &source.not_request_principals,
        true,
        token,
    );
    shape.take(
        &Field::Source,
        &source.ip_blocks,
        &source.not_ip_blocks,
        false,
        addresses,
    );
    shape.take(
        &Field::Remote,
        &source.remote_ip_blocks,
        &source.not_remote_ip_blocks,
        true,
        addresses,
    );
}

fn operation(shape: &mut Shape, operation: &Operation) {
    shape.take(
        &Field::Method,
        &operation.methods,
        &operation.not_methods,
        false,
        |pattern| {
            let mut values = texts(pattern, "GET");
            values.extend(["GET", "POST", "OPTIONS"].map(str::to_owned));
            values
        },
    );
    shape.take(&Field::Path, &operation.paths, &operation.not_paths, false, paths);
    shape.take(
        &Field::Host,
        &operation.hosts,
        &operation.not_hosts,
        true,
        |pattern| texts(pattern, "host.example"),
    );
}

fn of_condition(shape: &mut Shape, condition: &Condition, issuer: &str) {
    let (values, excluded) = (&condition.values, &condition.not_values);
    let plain = |pattern: &str| texts(pattern, "any");
    match condition.key.as_str() {
        "source.ip" => shape.take(&Field::Source, values, excluded, false, addresses),
        "remote.ip" => shape.take(&Field::Remote, values, excluded, true, addresses),
        "request.auth.principal" => {
            let token = |pattern: &str| token_like(pattern, issuer);
            shape.take(&Field::Token, values, excluded, true, token);
        }
        // Ports are those of the Service: the proof asks at each of them.
        "destination.port" | "destination.ip" => {}
        key => {
            let field = match header_of(key) {
                Some(name) => Field::Header(name.to_lowercase()),
                None => Field::Attribute(key.to_owned()),
            };
            if key.starts_with("request.auth.") && !shape.fits.iter().any(|(known, _)| *known == Field::Token)
            {
                shape.fits.push((Field::Token, Some(format!("{issuer}/subject"))));
            }
            shape.take(&field, values, excluded, true, plain);
        }
    }
}

impl Shape {
    /// Takes what fits the first value as the way to fulfil the field, and all candidates for all values besides.
    fn take(
        &mut self,
        field: &Field,
        values: &[String],
        excluded: &[String],
        may_lack: bool,
        candidates: impl Fn(&str) -> Vec<String>,
    ) {
        if let Some(first) = values
            .first()
            .and_then(|value| candidates(value).into_iter().next())
        {
            self.fits.push((field.clone(), Some(first)));
        } else if !excluded.is_empty() && may_lack {
            self.fits.push((field.clone(), None));
        }
        if values.is_empty() && excluded.is_empty() {
            return;
        }
        let all = values.iter().chain(excluded).flat_map(|value| candidates(value));
        let lacking = may_lack.then_some(None);
        self.others
            .extend(all.map(Some).chain(lacking).map(|value| (field.clone(), value)));
    }
}

/// Texts that fit a pattern, the plainest first, and texts near it that do not.
fn texts(pattern: &str, any: &str) -> Vec<String> {
    let shortened = |text: &str| {
        let mut text = text.to_owned();
        text.pop();
        text
    };
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        _ if pattern == "*" => vec![any.to_owned()],
        (Some(suffix), _) => vec![format!("z{suffix}"), suffix.to_owned(), format!("z{suffix}z")],
        (_, Some(prefix)) => vec![format!("{prefix}z"), prefix.to_owned(), shortened(prefix)],
        _ => vec![pattern.to_owned(), format!("{pattern}z"), shortened(pattern)],
    }
}

fn paths(pattern: &str) -> Vec<String> {
    if pattern.contains("{*}") || pattern.contains("{**}") {
        let filled = |one: &str, rest: &str| pattern.replace("{**}", rest).replace("{*}", one);
        return vec![
            filled("a", "b/c"),
            filled("a", "b"),
            filled("a/b", "b"),
            filled("", ""),
        ];
    }
    let mut found = texts(pattern, "/any");
    found.retain(|path| !path.is_empty());
    found
}

/// Tokens that fit a pattern, and one of somebody else.
fn token_like(pattern: &str, issuer: &str) -> Vec<String> {
    let filled = match pattern.rsplit_once('/') {
        _ if pattern == "*" => format!("{issuer}/subject"),
        Some((of, subject)) => {
            let of = if of.contains('*') { issuer } else { of };
            let subject = subject.replace('*', "subject");
            format!("{of}/{subject}")
        }
        None => pattern.replace('*', &format!("{issuer}/subject")),
    };
    let somebody = filled
        .rsplit_once('/')
        .map(|(of, _)| format!("{of}/somebody-else"));
    std::iter::once(filled).chain(somebody).collect()
}

/// The first address of a block, and the last one before it.
fn addresses(block: &str) -> Vec<String> {
    let network = block.split_once('/').map_or(block, |(network, _)| network);
    let Ok(address) = network.parse::<IpAddr>() else {
        return Vec::new();
    };
    let before = match address {
        IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from(u32::from(address).wrapping_sub(1))),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address).wrapping_sub(1))),
    };
    vec![address.to_string(), before.to_string()]
}
