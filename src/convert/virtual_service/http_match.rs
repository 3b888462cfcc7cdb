//! The conditions of a VirtualService in the forms that an HTTPRoute has.

use super::place::Place;
use crate::code::Code;
use crate::convert::notes::Notes;
use model::FieldPath;
use model::values::StringMatch;
use model::virtual_service::{HttpMatchRequest, VirtualService};
use semantics::predicate::{PathMatch, RequestMatch, ValueMatch, escape};
use semantics::virtual_service::request_matches;
use serde_json::{Value as Json, json};

/// The verbs of `HTTPRouteMatch.method`.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];
/// `HTTPPathMatch.value`, `HTTPQueryParamMatch.value`.
const MAX_PATH: usize = 1024;
/// `HTTPHeaderMatch.value`.
const MAX_HEADER: usize = 4096;
/// `HTTPRouteMatch.headers`, `.queryParams`.
pub const MAX_VALUES: usize = 16;

type VsNotes<'a> = Notes<'a, VirtualService>;

/// A condition of a VirtualService.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// As it was written.
    pub meaning: RequestMatch,
    /// In the forms that an HTTPRoute has; matches the same requests. `without` holds what a header must be to
    /// fail, in these forms too and in the same order.
    pub condition: RequestMatch,
}

impl Match {
    /// Every request.
    pub fn any() -> Self {
        Self {
            meaning: RequestMatch::any(),
            condition: RequestMatch::any(),
        }
    }
}

/// Says of everything in a match that an HTTPRoute cannot express why it cannot, and gives the conditions in
/// the forms that it can, one per method where several are listed; `None` if something stood in the way.
pub fn convert(
    wanted: &HttpMatchRequest,
    place: Place<'_>,
    path: &FieldPath,
    notes: &mut VsNotes<'_>,
) -> Option<Vec<Match>> {
    name_unsupported(wanted, place, path, notes);
    if !place.is_mesh() && !wanted.without_headers.is_empty() {
        notes.keep(Code::MatchWithoutHeaders, &path.key("withoutHeaders"), "an HTTPRoute cannot ask for the absence of a header, and at a gateway it is not said by rules in front");
    }
    let meanings = request_matches(wanted).ok()?;
    let mut converted = Vec::new();
    for meaning in meanings {
        converted.push(Match {
            condition: to_condition(&meaning, path, notes)?,
            meaning,
        });
    }
    Some(converted)
}

fn to_condition(meaning: &RequestMatch, path: &FieldPath, notes: &mut VsNotes<'_>) -> Option<RequestMatch> {
    let mut condition = meaning.clone();
    condition.path = convert_path(condition.path, &path.key("uri"), notes)?;
    if let Some(method) = &condition.method
        && !METHODS.contains(&method.as_str())
    {
        let message = format!("the method `{method}` is none of the nine that an HTTPRoute can match");
        notes.keep(Code::MatchMethod, &path.key("method"), message);
        return None;
    }
    for (map, values, limit) in [
        ("headers", &mut condition.headers, MAX_HEADER),
        ("queryParams", &mut condition.query, MAX_PATH),
        ("withoutHeaders", &mut condition.without, MAX_HEADER),
    ] {
        let path = path.key(map);
        if values.len() > MAX_VALUES {
            notes.keep(
                Code::LimitExceeded,
                &path,
                format!("{} conditions in one match, an HTTPRoute takes 16", values.len()),
            );
            return None;
        }
        let mut names: Vec<&str> = values.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            notes.keep(
                Code::MatchHeaderName,
                &path,
                format!(
                    "`{}` is matched twice under spellings that differ in case",
                    twice[0]
                ),
            );
            return None;
        }
        for (name, value) in values.iter_mut() {
            if map == "withoutHeaders" && fits_absence(value) {
                notes.keep(Code::MatchWithoutHeaders, &path.key(name), format!("an absent `{name}` counts as an empty one here, which fits what must not be; an HTTPRoute cannot match an absent header"));
                return None;
            }
            convert_value(name, value, limit, &path.key(name), notes)?;
        }
    }
    Some(condition)
}

/// Whether what a header must not be is so for an absent one, or may be: it counts as empty, except where
/// presence is asked for.
fn fits_absence(unwanted: &ValueMatch) -> bool {
    !matches!(unwanted, ValueMatch::Presence)
        && semantics::overlap::value(&ValueMatch::Exact(String::new()), unwanted)
}

/// Conditions that have no form in an HTTPRoute, each with the reason.
fn name_unsupported(wanted: &HttpMatchRequest, place: Place<'_>, path: &FieldPath, notes: &mut VsNotes<'_>) {
    if wanted.scheme.is_some() {
        notes.keep(
            Code::MatchScheme,
            &path.key("scheme"),
            "an HTTPRoute cannot match the scheme",
        );
    }
    if wanted.authority.is_some() {
        notes.keep(
            Code::MatchAuthority,
            &path.key("authority"),
            if place.is_mesh() {
                "an HTTPRoute for a Service cannot match the authority: `hostnames` are ignored there"
            } else {
                "a match of an HTTPRoute cannot look at the authority; its `hostnames` are for all of its rules"
            },
        );
    }
    name_unsupported_method(wanted, path, notes);
    name_client(wanted, place, path, notes);
    if wanted.stat_prefix.is_some() {
        notes.tell(
            Code::StatisticsName,
            &path.key("statPrefix"),
            "`statPrefix` has no form in an HTTPRoute; only statistics change their name",
        );
    }
    if wanted.name.is_some() {
        notes.tell(
            Code::StatisticsName,
            &path.key("name"),
            "the name of a match has no form in an HTTPRoute; only statistics and logs change",
        );
    }
}

/// Conditions on the client: a waypoint knows no clients, a gateway compares with its own pods.
fn name_client(wanted: &HttpMatchRequest, place: Place<'_>, path: &FieldPath, notes: &mut VsNotes<'_>) {
    let labels = path.key("sourceLabels");
    let namespace = wanted.source_namespace.as_deref();
    if wanted.source_labels.is_empty() && namespace.is_none() {
        return;
    }
    match (place.is_mesh(), wanted.gateways.is_empty()) {
        (true, false) => notes.tell(
            Code::ClientNotLookedAt,
            &path.key("gateways"),
            "where a match names `mesh` among its gateways, sidecars do not look at the client's labels and namespace; neither does the route, while a waypoint would drop a match with labels",
        ),
        (false, false) => notes.tell(
            Code::ClientNotLookedAt,
            &path.key("gateways"),
            "where a match names the gateway, labels and namespace are not looked at; neither does the route",
        ),
        (false, true) => {
            let place = if namespace.is_some() { path.key("sourceNamespace") } else { labels };
            notes.keep(
                Code::IngressClient,
                &place,
                "a gateway compares `sourceLabels` and `sourceNamespace` with its own pods, a route with nothing",
            );
        }
        (true, true) => {
            if !wanted.source_labels.is_empty() {
                notes.keep(
                    Code::MatchSourceLabels,
                    &labels,
                    "a waypoint drops this match, so its requests fall to the next rule: routing by the client's labels has no form in ambient mode",
                );
            }
            if let Some(namespace) = namespace {
                let message = format!(
                    "a waypoint compares `{namespace}` with its own namespace, not with the client's: the rule would hold for every client or for none"
                );
                notes.keep(Code::MatchSourceNamespace, &path.key("sourceNamespace"), message);
            }
        }
    }
}

fn name_unsupported_method(wanted: &HttpMatchRequest, path: &FieldPath, notes: &mut VsNotes<'_>) {
    let only_method = HttpMatchRequest {
        method: wanted.method.clone(),
        ..HttpMatchRequest::default()
    };
    if request_matches(&only_method).is_ok() {
        return;
    }
    let message = match &wanted.method {
        Some(StringMatch::Prefix(prefix)) => format!(
            "methods that begin with `{prefix}` are not only those of the nine that an HTTPRoute can match"
        ),
        _ => {
            "an HTTPRoute matches methods only exactly, and this expression is no list of methods".to_owned()
        }
    };
    notes.keep(Code::MatchMethod, &path.key("method"), message);
}

fn convert_path(path: PathMatch, place: &FieldPath, notes: &mut VsNotes<'_>) -> Option<PathMatch> {
    let converted = match path {
        PathMatch::Exact(value) if is_clean(&value) => PathMatch::Exact(value),
        PathMatch::Exact(value) => PathMatch::Regex(escape(&value)),
        PathMatch::StringPrefix(prefix) => PathMatch::Regex(format!("{}.*", escape(&prefix))),
        PathMatch::ExactIgnoringCase(value) | PathMatch::StringPrefixIgnoringCase(value)
            if !value.is_ascii() =>
        {
            notes.keep(
                Code::MatchIgnoreCase,
                place,
                format!(
                    "`{value}` is not ASCII: a regular expression folds case differently than Envoy does"
                ),
            );
            return None;
        }
        PathMatch::ExactIgnoringCase(value) => PathMatch::Regex(format!("(?i){}", escape(&value))),
        PathMatch::StringPrefixIgnoringCase(value) => PathMatch::Regex(format!("(?i){}.*", escape(&value))),
        other @ (PathMatch::Any | PathMatch::SegmentPrefix(_) | PathMatch::Regex(_)) => other,
    };
    let too_long = matches!(&converted, PathMatch::Exact(value) | PathMatch::Regex(value) if value.len() > MAX_PATH || value.is_empty());
    if too_long {
        notes.keep(
            Code::LimitExceeded,
            place,
            "the value of a path match in an HTTPRoute has 1 to 1024 characters",
        );
        return None;
    }
    Some(converted)
}

/// Whether the API server takes a path as `Exact` or `PathPrefix` (CEL rules of `HTTPPathMatch`).
pub fn is_clean(path: &str) -> bool {
    let lower = path.to_lowercase();
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-/._~!$&'()*+,;=:@%".contains(&b);
    path.starts_with('/')
        && path.bytes().all(allowed)
        && !path.contains('%')
        && path.len() <= MAX_PATH
        && !["//", "/./", "/../", "%2f", "#"]
            .iter()
            .any(|part| lower.contains(part))
        && !path.ends_with("/..")
        && !path.ends_with("/.")
}

fn convert_value(
    name: &str,
    value: &mut ValueMatch,
    limit: usize,
    place: &FieldPath,
    notes: &mut VsNotes<'_>,
) -> Option<()> {
    if name.eq_ignore_ascii_case("host") || name.starts_with(':') {
        notes.keep(
            Code::MatchAuthority,
            place,
            format!("`{name}` is not a header that an HTTPRoute can match"),
        );
        return None;
    }
    if !is_token(name) {
        notes.keep(
            Code::MatchHeaderName,
            place,
            format!("`{name}` is not a header or parameter name that an HTTPRoute can hold"),
        );
        return None;
    }
    let converted = match value {
        ValueMatch::Exact(text) if text.is_empty() => {
            notes.keep(
                Code::MatchEmptyValue,
                place,
                format!("`{name}` is matched against an empty value, which an HTTPRoute cannot hold"),
            );
            return None;
        }
        ValueMatch::Exact(text) => ValueMatch::Exact(std::mem::take(text)),
        ValueMatch::Prefix(prefix) => ValueMatch::Regex(format!("{}.*", escape(prefix))),
        ValueMatch::Regex(pattern) => ValueMatch::Regex(std::mem::take(pattern)),
        ValueMatch::Presence => ValueMatch::Regex(".*".to_owned()),
    };
    let length = match &converted {
        ValueMatch::Exact(text) | ValueMatch::Regex(text) => text.len(),
        ValueMatch::Prefix(_) | ValueMatch::Presence => 0,
    };
    if length == 0 || length > limit {
        notes.keep(
            Code::LimitExceeded,
            place,
            format!("the value of `{name}` must have 1 to {limit} characters"),
        );
        return None;
    }
    *value = converted;
    Some(())
}

/// `HTTPHeaderName` of the Gateway API: a token of RFC 9110.
pub fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 256
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// A condition as `HTTPRouteMatch`.
pub fn to_json(condition: &RequestMatch) -> Json {
    let (kind, value) = match &condition.path {
        PathMatch::Exact(value) => ("Exact", value.as_str()),
        PathMatch::SegmentPrefix(value) => ("PathPrefix", value.as_str()),
        PathMatch::Regex(value) => ("RegularExpression", value.as_str()),
        PathMatch::Any => ("PathPrefix", "/"),
        other => {
            let pattern = super::order::pattern(other);
            return with_other_conditions(
                json!({ "type": "RegularExpression", "value": pattern }),
                condition,
            );
        }
    };
    with_other_conditions(json!({ "type": kind, "value": value }), condition)
}

fn with_other_conditions(path: Json, condition: &RequestMatch) -> Json {
    let mut object = json!({ "path": path });
    if let Some(method) = &condition.method {
        object["method"] = json!(method);
    }
    for (key, values) in [("headers", &condition.headers), ("queryParams", &condition.query)] {
        if !values.is_empty() {
            object[key] = values
                .iter()
                .map(|(name, value)| value_json(name, value))
                .collect();
        }
    }
    object
}

fn value_json(name: &str, value: &ValueMatch) -> Json {
    match value {
        ValueMatch::Exact(text) => json!({ "name": name, "type": "Exact", "value": text }),
        ValueMatch::Regex(text) => json!({ "name": name, "type": "RegularExpression", "value": text }),
        ValueMatch::Prefix(text) => {
            json!({ "name": name, "type": "RegularExpression", "value": format!("{}.*", escape(text)) })
        }
        ValueMatch::Presence => json!({ "name": name, "type": "RegularExpression", "value": ".*" }),
    }
}
