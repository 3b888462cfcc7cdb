//! CORS policies of a VirtualService as filters of an HTTPRoute: only where the two forms say the same.

use super::http_match::is_token;
use crate::code::Code;
use crate::convert::notes::Notes;
use crate::convert::options::{Istio, Options};
use model::FieldPath;
use model::values::StringMatch;
use model::virtual_service::{CorsPolicy, VirtualService};
use serde_json::{Value as Json, json};

type VsNotes<'a> = Notes<'a, VirtualService>;

/// From this release on istiod makes a policy of the filter that answers as one of a VirtualService does.
const AGREEING: Istio = Istio(30);
/// `HTTPCORSFilter.allowOrigins`, `.allowHeaders`, `.exposeHeaders`.
const MAX_ITEMS: usize = 64;
/// `HTTPCORSFilter.allowMethods`.
const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*",
];
/// What `maxAge` of the filter is if it is not set, in seconds; and what browsers take if there is no header.
const DEFAULT_MAX_AGE: u64 = 5;

/// The `cors` of a filter; `None` if something stood in the way.
pub fn filter(
    policy: &CorsPolicy,
    options: Options,
    path: &FieldPath,
    notes: &mut VsNotes<'_>,
) -> Option<Json> {
    let release = options.gateway_api;
    if !release.has(Some(5), Some(3)) {
        let message = format!(
            "HTTPRoutes of Gateway API {release} have no CORS filter; it came with 1.5, in the experimental channel with 1.3"
        );
        notes.keep(Code::CorsPolicy, path, message);
        return None;
    }
    if options.istio < AGREEING {
        let message = format!(
            "Istio {} makes another policy of the CORS filter of an HTTPRoute",
            options.istio
        );
        notes.keep(Code::CorsPolicy, path, message);
        return None;
    }
    if policy.unmatched_preflights.as_deref() != Some("IGNORE") {
        notes.keep(
            Code::CorsPolicy,
            &path.key("unmatchedPreflights"),
            "preflights whose origin fits nothing are forwarded to the destination; the CORS filter of an HTTPRoute answers them",
        );
    }
    let mut fields = serde_json::Map::new();
    let mut list = |key: &str, values: Vec<Json>| {
        if !values.is_empty() {
            fields.insert(key.to_owned(), Json::Array(values));
        }
    };
    list("allowOrigins", origins(policy, path, notes));
    list(
        "allowMethods",
        methods(&policy.allow_methods, &path.key("allowMethods"), notes),
    );
    for (key, names) in [
        ("allowHeaders", &policy.allow_headers),
        ("exposeHeaders", &policy.expose_headers),
    ] {
        list(key, headers(key, names, &path.key(key), notes));
    }
    if policy.allow_credentials == Some(true) {
        fields.insert("allowCredentials".into(), json!(true));
    }
    fields.insert("maxAge".into(), json!(max_age(policy, path, notes)));
    Some(Json::Object(fields))
}

fn max_age(policy: &CorsPolicy, path: &FieldPath, notes: &mut VsNotes<'_>) -> u64 {
    let Some(age) = policy.max_age else {
        notes.tell(
            Code::CorsMaxAge,
            path,
            "without `maxAge` there is no such header, which browsers take for 5 seconds; the filter cannot leave it out and says 5",
        );
        return DEFAULT_MAX_AGE;
    };
    // Istio writes whole seconds and cuts the rest off.
    let seconds = age.nanoseconds() / 1_000_000_000;
    if seconds == 0 || seconds > i32::MAX as u64 {
        notes.keep(
            Code::CorsPolicy,
            &path.key("maxAge"),
            "the CORS filter of an HTTPRoute takes 1 second and more",
        );
    }
    seconds
}

fn origins(policy: &CorsPolicy, path: &FieldPath, notes: &mut VsNotes<'_>) -> Vec<Json> {
    let (key, wanted): (_, Vec<StringMatch>) = if policy.allow_origins.is_empty() {
        let literal = policy.allow_origin.iter().cloned().map(StringMatch::Exact);
        ("allowOrigin", literal.collect())
    } else {
        ("allowOrigins", policy.allow_origins.clone())
    };
    let path = path.key(key);
    limit(wanted.len(), MAX_ITEMS, &path, notes);
    let mut origins: Vec<Json> = Vec::new();
    for (index, origin) in wanted.iter().enumerate() {
        match self::origin(origin) {
            Some(text) if !origins.contains(&json!(text)) => origins.push(json!(text)),
            Some(_) => {}
            None => notes.keep(
                Code::CorsPolicy,
                &path.index(index),
                "the CORS filter of an HTTPRoute takes origins as `https://host:port` and below a domain as `https://*.domain`; its `*` refuses `Origin: null`",
            ),
        }
    }
    origins
}

/// An origin as the filter says it, if istiod makes the same condition of it again.
///
/// Source: istio/istio:pilot/pkg/config/kube/gateway/conversion.go (`createCorsFilter`).
fn origin(wanted: &StringMatch) -> Option<String> {
    match wanted {
        StringMatch::Exact(text) => is_origin(text).then(|| text.clone()),
        StringMatch::Prefix(text) => {
            matches!(text.as_str(), "https://" | "http://").then(|| format!("{text}*"))
        }
        StringMatch::Regex(pattern) => below_domain(pattern),
        StringMatch::Presence => None,
    }
}

fn is_origin(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let Some(host) = host.filter(|_| text.len() <= 253) else {
        return false;
    };
    let (host, port) = host
        .split_once(':')
        .map_or((host, None), |(host, port)| (host, Some(port)));
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    host.split('.').all(is_label)
        && port.is_none_or(|port| (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit()))
}

/// `https://*.domain` of `https://.*\.domain`, which is what istiod makes of it.
fn below_domain(pattern: &str) -> Option<String> {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let pattern = pattern.strip_suffix('$').unwrap_or(pattern);
    let (scheme, domain) = pattern.split_once("://.*\\.")?;
    let literal = domain.replace("\\.", ".");
    // Unescaped dots would stand for any character.
    let dots = |text: &str| text.matches('.').count();
    let is_literal = dots(domain) == domain.matches("\\.").count();
    let whole = format!("{scheme}://{literal}");
    (is_literal && is_origin(&whole)).then(|| format!("{scheme}://*.{literal}"))
}

fn methods(names: &[String], path: &FieldPath, notes: &mut VsNotes<'_>) -> Vec<Json> {
    let mut methods = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let only = name != "*" || names.len() == 1;
        if METHODS.contains(&name.as_str()) && only {
            if !methods.contains(&json!(name)) {
                methods.push(json!(name));
            }
        } else {
            let message = format!("`{name}` is not one of the nine methods of an HTTPRoute, or `*` alone");
            notes.keep(Code::CorsPolicy, &path.index(index), message);
        }
    }
    methods
}

fn headers(key: &str, names: &[String], path: &FieldPath, notes: &mut VsNotes<'_>) -> Vec<Json> {
    limit(names.len(), MAX_ITEMS, path, notes);
    for (index, name) in names.iter().enumerate() {
        let only = name != "*" || names.len() == 1 || key == "exposeHeaders";
        if !is_token(name) || !only {
            let message = format!("`{name}` is not a header name, or `*` alone, as an HTTPRoute takes it");
            notes.keep(Code::CorsPolicy, &path.index(index), message);
        }
    }
    let mut unique: Vec<Json> = Vec::new();
    for name in names.iter().map(|name| json!(name)) {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    unique
}

fn limit(count: usize, most: usize, path: &FieldPath, notes: &mut VsNotes<'_>) {
    if count > most {
        let message = format!("{count} values, an HTTPRoute takes {most}");
        notes.keep(Code::LimitExceeded, path, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_taken_where_istiod_makes_the_same_of_them() {
        let exact = |text: &str| StringMatch::Exact(text.into());
        let regex = |text: &str| StringMatch::Regex(text.into());
        for (wanted, expected) in [
            (exact("https://shop.example"), Some("https://shop.example")),
            (exact("http://localhost:8080"), Some("http://localhost:8080")),
            (exact("*"), None),
            (exact("null"), None),
            (exact("https://*.example"), None),
            (regex(r"https://.*\.example\.com"), Some("https://*.example.com")),
            (regex(r"^https://.*\.example$"), Some("https://*.example")),
            (regex(r"https://.*.example"), None),
            (regex(r"https://.*\.example.com"), None),
            (regex(".*"), None),
            (StringMatch::Prefix("https://".into()), Some("https://*")),
            (StringMatch::Prefix("https://shop".into()), None),
        ] {
            assert_eq!(origin(&wanted).as_deref(), expected, "{wanted:?}");
        }
    }
}
