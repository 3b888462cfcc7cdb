//! What a rule of a VirtualService does with a request, in the forms that an HTTPRoute has.

use super::backend::{self, Backends};
use super::header_edits::{self, header_filters};
use super::path_change::PathChange;
use super::place::Place;
use super::{cors, mirror, redirect, retries};
use crate::code::Code;
use crate::convert::notes::Notes;
use model::FieldPath;
use model::virtual_service::{HttpRoute, VirtualService};
use serde_json::{Value as Json, json};

type VsNotes<'a> = Notes<'a, VirtualService>;
/// Fields of an object.
pub type Fields = serde_json::Map<String, Json>;

/// `HTTPRouteRule.backendRefs` and `.filters`.
const MAX_ITEMS: usize = 16;

/// What an HTTPRoute rule holds beside its name and matches.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Action {
    /// Header modifiers.
    pub headers: Vec<Json>,
    /// `cors`.
    pub cors: Option<Json>,
    /// `requestRedirect`.
    pub redirect: Option<Fields>,
    /// `urlRewrite`.
    pub rewrite: Fields,
    /// Filters of type `RequestMirror`.
    pub mirrors: Vec<Json>,
    /// Backends; none for a redirect.
    pub backend_refs: Vec<Json>,
    /// `timeouts`.
    pub timeouts: Fields,
    /// `retry`.
    pub retry: Option<Fields>,
}

impl Action {
    /// The same with another path.
    #[must_use]
    pub fn with(&self, change: &PathChange) -> Self {
        let path = match change {
            PathChange::None => return self.clone(),
            PathChange::Full(path) => json!({ "type": "ReplaceFullPath", "replaceFullPath": path }),
            PathChange::Prefix { value, .. } => {
                json!({ "type": "ReplacePrefixMatch", "replacePrefixMatch": value })
            }
        };
        let mut changed = self.clone();
        let fields = changed.redirect.as_mut().unwrap_or(&mut changed.rewrite);
        fields.insert("path".into(), path);
        changed
    }

    /// Filters of the rule.
    #[must_use]
    pub fn filters(&self) -> Vec<Json> {
        let mut filters = self.headers.clone();
        if let Some(fields) = &self.redirect {
            filters.push(json!({ "type": "RequestRedirect", "requestRedirect": fields }));
        }
        if !self.rewrite.is_empty() {
            filters.push(json!({ "type": "URLRewrite", "urlRewrite": self.rewrite }));
        }
        if let Some(fields) = &self.cors {
            filters.push(json!({ "type": "CORS", "cors": fields }));
        }
        filters.extend(self.mirrors.iter().cloned());
        filters
    }
}

/// Converts what a rule does for requests that were dialled at one port, except for what it makes of the path;
/// `None` if something stood in the way.
pub fn convert(
    rule: &HttpRoute,
    path: &FieldPath,
    backends: &Backends<'_>,
    notes: &mut VsNotes<'_>,
) -> Option<Action> {
    name_unsupported(rule, backends.place, path, notes);
    let options = backends.context.options;
    let mut action = Action::default();
    if let Some(headers) = &rule.headers {
        action.headers = header_filters(headers, options, &path.key("headers"), notes);
    }
    if let Some(policy) = &rule.cors_policy {
        action.cors = cors::filter(policy, options, &path.key("corsPolicy"), notes);
    }
    match (&rule.redirect, rule.route.is_empty()) {
        (Some(redirect), true) => {
            action.redirect = Some(redirect::fields(redirect, backends, &path.key("redirect"), notes));
            name_without_effect(rule, path, notes);
        }
        (Some(_), false) => notes.keep(
            Code::InvalidRule,
            path,
            "the rule has both `redirect` and `route`, which Istio refuses",
        ),
        (None, true) if rule.direct_response.is_none() => {
            notes.keep(
                Code::InvalidRule,
                path,
                "the rule has neither `route` nor `redirect`",
            );
        }
        (None, _) => send_on(&mut action, rule, path, backends, notes),
    }
    if action.filters().len() + 1 > MAX_ITEMS {
        notes.keep(Code::LimitExceeded, path, "the rule needs more than 16 filters");
    }
    (!notes.is_kept()).then_some(action)
}

/// A rule that sends requests to destinations.
fn send_on(
    action: &mut Action,
    rule: &HttpRoute,
    path: &FieldPath,
    backends: &Backends<'_>,
    notes: &mut VsNotes<'_>,
) {
    action.backend_refs = route(rule, path, backends, notes);
    if let Some(host) = authority(rule, path, notes) {
        action.rewrite.insert("hostname".into(), json!(host));
    }
    if rule
        .rewrite
        .as_ref()
        .is_some_and(|r| r.uri_regex_rewrite.is_some())
    {
        notes.keep(
            Code::RewriteByRegex,
            &path.key("rewrite").key("uriRegexRewrite"),
            "an HTTPRoute cannot substitute by regular expression",
        );
    }
    action.mirrors = mirror::filters(rule, path, backends, notes);
    retries::convert(action, rule, backends.context, path, notes);
}

fn name_unsupported(rule: &HttpRoute, place: Place<'_>, path: &FieldPath, notes: &mut VsNotes<'_>) {
    if rule.fault.is_some() {
        notes.keep(
            Code::FaultInjection,
            &path.key("fault"),
            "an HTTPRoute cannot inject faults",
        );
    }
    if let Some(response) = &rule.direct_response {
        let body = response.0.get("body");
        let text = |key: &str| body.and_then(|body| body.get(key)).and_then(model::Node::as_str);
        // Bytes are written in base64.
        let length = text("string")
            .map_or(0, str::len)
            .max(text("bytes").map_or(0, |bytes| bytes.trim_end_matches('=').len() * 3 / 4));
        if length > 4096 && place.is_mesh() {
            let message = format!(
                "the body has {length} bytes; at a waypoint Envoy refuses the whole configuration beyond 4096"
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
}

/// A redirect is answered by the proxy, so whatever is about destinations has no effect.
fn name_without_effect(rule: &HttpRoute, path: &FieldPath, notes: &mut VsNotes<'_>) {
    if rule.rewrite.is_some() {
        notes.keep(
            Code::InvalidRule,
            path,
            "the rule has both `redirect` and `rewrite`, which Istio refuses",
        );
    }
    for (key, is_set) in [
        ("timeout", rule.timeout.is_some()),
        ("retries", rule.retries.is_some()),
        ("mirror", rule.mirror.is_some()),
        ("mirrors", !rule.mirrors.is_empty()),
    ] {
        if is_set {
            let message = format!("`{key}` never had an effect beside `redirect` and is left out");
            notes.tell(Code::NoEffect, &path.key(key), message);
        }
    }
}

/// The host name that the destination sees, if it is not the client's.
fn authority(rule: &HttpRoute, path: &FieldPath, notes: &mut VsNotes<'_>) -> Option<String> {
    let rewritten = rule
        .rewrite
        .as_ref()
        .and_then(|rewrite| rewrite.authority.as_deref())
        .filter(|authority| !authority.is_empty())
        .map(|authority| (authority, path.key("rewrite").key("authority")));
    let by_header = rule
        .headers
        .as_ref()
        .and_then(|headers| header_edits::authority(headers))
        .map(|authority| (authority, path.key("headers").key("request")));
    let (authority, place) = rewritten
        .or(by_header)
        .or_else(|| authority_of_destination(rule, path, notes))?;
    if !backend::is_precise_hostname(authority) {
        notes.keep(
            Code::RewriteAuthority,
            &place,
            format!("`{authority}` is not a plain host name in small letters without a port"),
        );
        return None;
    }
    Some(authority.to_owned())
}

/// A header edit of a destination counts where the rule says nothing.
fn authority_of_destination<'a>(
    rule: &'a HttpRoute,
    path: &FieldPath,
    notes: &mut VsNotes<'_>,
) -> Option<(&'a str, FieldPath)> {
    let several = rule.route.len() > 1;
    let live: Vec<_> = rule
        .route
        .iter()
        .enumerate()
        .filter(|(_, route)| !several || route.weight.unwrap_or(0) != 0)
        .collect();
    let (index, authority) = live.iter().find_map(|(index, route)| {
        let headers = route.headers.as_ref()?;
        Some((*index, header_edits::authority(headers)?))
    })?;
    let place = path.key("route").index(index).key("headers").key("request");
    if live.len() > 1 {
        notes.keep(
            Code::HeaderEdit,
            &place,
            "the host name is edited for one of several destinations; an HTTPRoute rewrites it for all",
        );
        return None;
    }
    Some((authority, place))
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
            let options = backends.context.options;
            let filters = header_filters(headers, options, &path.key("headers"), notes);
            if !filters.is_empty() {
                backend["filters"] = Json::Array(filters);
            }
        }
        refs.push(backend);
    }
    refs
}
