//! The conditions of a VirtualService, as data.

use crate::predicate::{PathMatch, RequestMatch, ValueMatch};
use model::values::StringMatch;
use model::virtual_service::HttpMatchRequest;

/// A condition that [`RequestMatch`] cannot hold: it looks at the client, the authority, the scheme, or at
/// what is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfModel;

/// The conjunction that one `match` of a VirtualService stands for.
///
/// # Errors
/// [`OutOfModel`] for conditions on the client, `authority`, `scheme`, `withoutHeaders`, and methods that
/// are not matched exactly.
pub fn request_match(wanted: &HttpMatchRequest) -> Result<RequestMatch, OutOfModel> {
    let out_of_model = wanted.scheme.is_some()
        || wanted.authority.is_some()
        || !wanted.source_labels.is_empty()
        || !wanted.without_headers.is_empty()
        || wanted.source_namespace.is_some();
    if out_of_model {
        return Err(OutOfModel);
    }
    let ignore_case = wanted.ignore_uri_case.unwrap_or(false);
    let path = match &wanted.uri {
        None | Some(StringMatch::Presence) => PathMatch::Any,
        Some(StringMatch::Exact(value)) if ignore_case => PathMatch::ExactIgnoringCase(value.clone()),
        Some(StringMatch::Exact(value)) => PathMatch::Exact(value.clone()),
        Some(StringMatch::Prefix(value)) if value.is_empty() || value == "/" => PathMatch::Any,
        Some(StringMatch::Prefix(value)) if ignore_case => PathMatch::StringPrefixIgnoringCase(value.clone()),
        Some(StringMatch::Prefix(value)) => PathMatch::StringPrefix(value.clone()),
        Some(StringMatch::Regex(pattern)) => PathMatch::Regex(pattern.clone()),
    };
    let method = match &wanted.method {
        None => None,
        Some(StringMatch::Exact(method)) => Some(method.clone()),
        Some(_) => return Err(OutOfModel),
    };
    let values = |map: &std::collections::BTreeMap<String, StringMatch>, fold: fn(&str) -> String| {
        map.iter()
            .map(|(name, wanted)| (fold(name), value_match(wanted)))
            .collect::<Vec<_>>()
    };
    Ok(RequestMatch {
        path,
        method,
        headers: values(&wanted.headers, str::to_lowercase),
        query: values(&wanted.query_params, str::to_owned),
    })
}

fn value_match(wanted: &StringMatch) -> ValueMatch {
    match wanted {
        StringMatch::Exact(value) => ValueMatch::Exact(value.clone()),
        StringMatch::Prefix(value) => ValueMatch::Prefix(value.clone()),
        StringMatch::Regex(pattern) if pattern == "*" => ValueMatch::Presence,
        StringMatch::Regex(pattern) => ValueMatch::Regex(pattern.clone()),
        StringMatch::Presence => ValueMatch::Presence,
    }
}
