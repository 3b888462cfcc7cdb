//! What a rule of a VirtualService does with a request, in the forms that an HTTPRoute has.

use super::backend::{self, Backends};
use super::header_edits::header_filters;
use crate::code::Code;
use crate::convert::notes::Notes;
use model::FieldPath;
use model::values::{Duration, StringMatch};
use model::virtual_service::{Destination, HttpRedirect, HttpRewrite, HttpRoute, Percent, VirtualService};
use serde_json::{Value as Json, json};

type VsNotes<'a> = Notes<'a, VirtualService>;

/// `HTTPRouteRule.backendRefs`, `.filters`, and `set`, `add`, `remove` of a header modifier.
const MAX_ITEMS: usize = 16;

/// What an HTTPRoute rule holds beside its name and matches.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Action {
    /// Filters of the rule.
    pub filters: Vec<Json>,
    /// Backends; none for a redirect.
    pub backend_refs: Vec<Json>,
    /// `timeouts.request`.
    pub timeout: Option<String>,
}

/// Converts what a rule does for requests that were dialled at `port`; `None` if something stood in the way.
pub fn convert(
    rule: &HttpRoute,
    path: &FieldPath,
    backends: &Backends<'_>,
    notes: &mut VsNotes<'_>,
) -> Option<Action> {
    name_unsupported(rule, path, notes);
    let mut action = Action {
        timeout: timeout(rule, path, notes),
        ..Action::default()
    };
    if let Some(headers) = &rule.headers {
        action
            .filters
            .extend(header_filters(headers, &path.key("headers"), notes));
    }
    match (&rule.redirect, rule.route.is_empty()) {
        (Some(redirect), true) => {
            action
                .filters
                .extend(redirect_filter(redirect, &path.key("redirect"), notes));
        }
        (Some(_), false) => notes.keep(
            Code::InvalidRule,
            path,
            "the rule has both `redirect` and `route`, which Istio refuses",
        ),
        (None, true) if rule.direct_response.is_none() && rule.delegate.is_none() => {
            notes.keep(
                Code::InvalidRule,
                path,
                "the rule has neither `route` nor `redirect`",
            );
        }
        (None, _) => action.backend_refs = route(rule, path, backends, notes),
    }
    if let Some(rewrite) = &rule.rewrite {
        action.filters.extend(rewrite_filter(rewrite, rule, path, notes));
    }
    action.filters.extend(mirror_filters(rule, path, backends, notes));
    if action.filters.len() > MAX_ITEMS {
        notes.keep(Code::LimitExceeded, path, "the rule needs more than 16 filters");
    }
    (!notes.is_kept()).then_some(action)
}

fn name_unsupported(rule: &HttpRoute, path: &FieldPath, notes: &mut VsNotes<'_>) {
    if rule.fault.is_some() {
        notes.keep(
            Code::FaultInjection,
            &path.key("fault"),
            "an HTTPRoute cannot inject faults",
        );
    }
    if rule.cors_policy.is_some() {
        notes.keep(
            Code::CorsPolicy,
            &path.key("corsPolicy"),
            "the CORS filter of an HTTPRoute answers preflights that this policy forwards, refuses `Origin: null`, and is not in the standard channel before 1.5",
        );
    }
    if let Some(response) = &rule.direct_response {
        let body = response
            .0
            .at(&["body", "string"])
            .and_then(model::Node::as_str)
            .map_or(0, str::len);
        if body > 4096 {
            let message = format!(
                "the body has {body} bytes; at a waypoint Envoy refuses the whole configuration beyond 4096"
            );
            notes.keep(Code::DirectResponseTooLong, &path.key("directResponse"), message);
        } else {
            notes.keep(
                Code::DirectResponse,
                &path.key("directResponse"),
                "an HTTPRoute cannot answer by itself",
            );
        }
    }
    if rule.delegate.is_some() {
        notes.keep(
            Code::Delegate,
            &path.key("delegate"),
            "the rule goes on in another VirtualService; joining them is not yet done",
        );
    }
    if let Some(retries) = &rule.retries {
        let none = retries
            .0
            .get("attempts")
            .is_some_and(|n| n.value == model::Value::Int(0));
        let message = if none {
            "retries are switched off; an HTTPRoute of the standard channel cannot say that, and without it requests are tried three times"
        } else {
            "a retry policy is only in the experimental channel of HTTPRoute"
        };
        notes.keep(Code::Retries, &path.key("retries"), message);
    }
}

fn timeout(rule: &HttpRoute, path: &FieldPath, notes: &mut VsNotes<'_>) -> Option<String> {
    let timeout = rule.timeout.filter(|t| !t.is_zero())?;
    let text = gateway_duration(timeout);
    if text.is_none() {
        notes.keep(
            Code::Timeout,
            &path.key("timeout"),
            format!("{timeout} cannot be written as whole milliseconds in the form of the Gateway API"),
        );
    }
    text
}

/// A time span in the form of GEP-2257: up to four parts of h, m, s and ms with up to five digits each.
fn gateway_duration(duration: Duration) -> Option<String> {
    let nanoseconds = duration.nanoseconds();
    if !nanoseconds.is_multiple_of(1_000_000) {
        return None;
    }
    let milliseconds = nanoseconds / 1_000_000;
    let parts = [
        (milliseconds / 3_600_000, "h"),
        (milliseconds / 60_000 % 60, "m"),
        (milliseconds / 1000 % 60, "s"),
        (milliseconds % 1000, "ms"),
    ];
    let text: String = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n}{unit}"))
        .collect();
    (parts[0].0 <= 99_999).then_some(text)
}

fn route(rule: &HttpRoute, path: &FieldPath, backends: &Backends<'_>, notes: &mut VsNotes<'_>) -> Vec<Json> {
    let path = path.key("route");
    if rule.route.len() > MAX_ITEMS {
        notes.keep(
            Code::LimitExceeded,
            &path,
            format!("{} destinations, an HTTPRoute takes 16", rule.route.len()),
        );
    }
    let several = rule.route.len() > 1;
    if several && rule.route.iter().all(|route| route.weight.unwrap_or(0) == 0) {
        notes.keep(
            Code::WeightsWithoutSum,
            &path,
            "several destinations, and all weights are 0 or absent",
        );
    }
    let mut refs = Vec::new();
    for (index, route) in rule.route.iter().enumerate() {
        let path = path.index(index);
        let Some(mut backend) = backends.resolve(&route.destination, &path.key("destination"), notes) else {
            continue;
        };
        if several {
            let weight = route.weight.unwrap_or(0);
            if !(0..=1_000_000).contains(&weight) {
                notes.keep(
                    Code::LimitExceeded,
                    &path.key("weight"),
                    format!("the weight {weight} is outside of 0 to 1000000"),
                );
            }
            backend["weight"] = json!(weight);
        }
        if let Some(headers) = &route.headers {
            let filters = header_filters(headers, &path.key("headers"), notes);
            if !filters.is_empty() {
                backend["filters"] = Json::Array(filters);
            }
        }
        refs.push(backend);
    }
    refs
}

fn redirect_filter(redirect: &HttpRedirect, path: &FieldPath, notes: &mut VsNotes<'_>) -> Option<Json> {
    let mut fields = serde_json::Map::new();
    if redirect.prefix_rewrite.is_some() {
        notes.keep(
            Code::Redirect,
            &path.key("prefixRewrite"),
            "the prefix is replaced as a string; an HTTPRoute replaces segments",
        );
    }
    match redirect.scheme.as_deref() {
        None | Some("") => {}
        Some(scheme @ ("http" | "https")) => {
            fields.insert("scheme".into(), json!(scheme));
        }
        Some(scheme) => notes.keep(
            Code::Redirect,
            &path.key("scheme"),
            format!("the scheme `{scheme}` is neither http nor https"),
        ),
    }
    if let Some(authority) = redirect.authority.as_deref().filter(|a| !a.is_empty()) {
        if is_precise_hostname(authority) {
            fields.insert("hostname".into(), json!(authority));
        } else {
            notes.keep(
                Code::Redirect,
                &path.key("authority"),
                format!("`{authority}` is not a plain host name in small letters without a port"),
            );
        }
    }
    if let Some(uri) = redirect.uri.as_deref().filter(|u| !u.is_empty()) {
        if uri.len() > 1024 {
            notes.keep(
                Code::LimitExceeded,
                &path.key("uri"),
                "the path has more than 1024 characters",
            );
        }
        fields.insert(
            "path".into(),
            json!({ "type": "ReplaceFullPath", "replaceFullPath": uri }),
        );
    }
    redirect_port(redirect, path, &mut fields, notes);
    match redirect.redirect_code.unwrap_or(0) {
        // Istio's default is 301, the Gateway API's is 302.
        0 => fields.insert("statusCode".into(), json!(301)),
        code @ (301 | 302) => fields.insert("statusCode".into(), json!(code)),
        code => {
            notes.keep(
                Code::Redirect,
                &path.key("redirectCode"),
                format!("the status {code} is not in the standard channel before 1.5"),
            );
            None
        }
    };
    Some(json!({ "type": "RequestRedirect", "requestRedirect": fields }))
}

/// An HTTPRoute without port and scheme writes the listener's port into the location, Istio does not. Port
/// 80 is left out for http, and so says "none".
fn redirect_port(
    redirect: &HttpRedirect,
    path: &FieldPath,
    fields: &mut serde_json::Map<String, Json>,
    notes: &mut VsNotes<'_>,
) {
    let has_scheme = fields.contains_key("scheme");
    if let Some(port) = redirect.port {
        fields.insert("port".into(), json!(port.0));
        return;
    }
    match redirect.derive_port.as_deref() {
        None | Some("" | "FROM_PROTOCOL_DEFAULT") if has_scheme => {}
        None | Some("" | "FROM_PROTOCOL_DEFAULT") => {
            fields.insert("port".into(), json!(80));
        }
        Some("FROM_REQUEST_PORT") if !has_scheme => {}
        Some(other) => notes.keep(
            Code::Redirect,
            &path.key("derivePort"),
            format!("`{other}` together with these fields has no form in an HTTPRoute"),
        ),
    }
}

fn rewrite_filter(
    rewrite: &HttpRewrite,
    rule: &HttpRoute,
    path: &FieldPath,
    notes: &mut VsNotes<'_>,
) -> Option<Json> {
    let rule_path = path;
    let path = path.key("rewrite");
    if rewrite.uri_regex_rewrite.is_some() {
        notes.keep(
            Code::RewriteByRegex,
            &path.key("uriRegexRewrite"),
            "an HTTPRoute cannot substitute by regular expression",
        );
    }
    let mut fields = serde_json::Map::new();
    if let Some(authority) = rewrite.authority.as_deref().filter(|a| !a.is_empty()) {
        if is_precise_hostname(authority) {
            fields.insert("hostname".into(), json!(authority));
        } else {
            notes.keep(
                Code::RewriteAuthority,
                &path.key("authority"),
                format!("`{authority}` is not a plain host name in small letters without a port"),
            );
        }
    }
    if let Some(uri) = rewrite.uri.as_deref().filter(|u| !u.is_empty()) {
        let by_prefix = rule.matches.is_empty()
            || rule
                .matches
                .iter()
                .any(|m| !matches!(m.uri, Some(StringMatch::Exact(_) | StringMatch::Regex(_))));
        if by_prefix {
            let place = if rule.matches.is_empty() {
                rule_path.key("rewrite")
            } else {
                path.key("uri")
            };
            let message = format!(
                "`{uri}` replaces a prefix that is matched as a string; an HTTPRoute replaces segments, and would make other paths of `//` and of longer words"
            );
            notes.keep(Code::RewriteOfPrefix, &place, message);
        } else if uri.contains('\\') || uri.len() > 1024 {
            notes.keep(Code::RewriteOfPrefix, &path.key("uri"), "a backslash is a back-reference in the form that istiod makes of an HTTPRoute, and 1024 characters are the limit");
        } else {
            fields.insert(
                "path".into(),
                json!({ "type": "ReplaceFullPath", "replaceFullPath": uri }),
            );
        }
    }
    (!fields.is_empty()).then(|| json!({ "type": "URLRewrite", "urlRewrite": fields }))
}

fn mirror_filters(
    rule: &HttpRoute,
    path: &FieldPath,
    backends: &Backends<'_>,
    notes: &mut VsNotes<'_>,
) -> Vec<Json> {
    let whole = rule.mirror_percent.map(|value| Percent {
        value: f64::from(value),
    });
    let single = rule.mirror.as_deref().into_iter().map(|destination| {
        (
            path.key("mirror"),
            destination,
            rule.mirror_percentage.as_ref().or(whole.as_ref()),
        )
    });
    let several = rule.mirrors.iter().enumerate().map(|(index, mirror)| {
        (
            path.key("mirrors").index(index).key("destination"),
            &mirror.destination,
            mirror.percentage.as_ref(),
        )
    });
    let mut filters = Vec::new();
    for (place, destination, percentage) in single.chain(several) {
        filters.extend(mirror_filter(destination, percentage, &place, backends, notes));
    }
    filters
}

fn mirror_filter(
    destination: &Destination,
    percentage: Option<&Percent>,
    place: &FieldPath,
    backends: &Backends<'_>,
    notes: &mut VsNotes<'_>,
) -> Option<Json> {
    let per_million = percentage.map_or(1_000_000.0, |p| (p.value * 10_000.0).trunc());
    if !(0.0..=1_000_000.0).contains(&per_million) {
        notes.keep(
            Code::Mirror,
            place,
            "the share of requests to copy is outside of 0 to 100",
        );
        return None;
    }
    let backend = backends.resolve(destination, place, notes)?;
    let share = per_million as u32;
    let mut mirror = json!({ "backendRef": backend });
    match share {
        0 => return None,
        1_000_000 => {}
        share if share.is_multiple_of(10_000) => mirror["percent"] = json!(share / 10_000),
        share => mirror["fraction"] = json!({ "numerator": share, "denominator": 1_000_000 }),
    }
    notes.tell(Code::MirrorPolicies, place, "copies now reach their target with the waypoint's identity and past the target's own layer-7 policies");
    Some(json!({ "type": "RequestMirror", "requestMirror": mirror }))
}

/// `PreciseHostname` of the Gateway API.
fn is_precise_hostname(name: &str) -> bool {
    name.len() <= 253
        && name.parse::<std::net::IpAddr>().is_err()
        && name.split('.').all(backend::is_dns_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_take_the_form_of_the_gateway_api() {
        for (text, expected) in [
            ("1.5s", Some("1s500ms")),
            ("90s", Some("1m30s")),
            ("1h", Some("1h")),
            ("250ms", Some("250ms")),
            ("100us", None),
            ("360000000s", None),
        ] {
            let duration = Duration::parse(text).unwrap_or_default();
            assert_eq!(gateway_duration(duration).as_deref(), expected, "{text}");
        }
    }
}
