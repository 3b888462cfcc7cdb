//! The conditions of a VirtualService, as data.

use crate::predicate::{PathMatch, RequestMatch, ValueMatch};
use model::values::StringMatch;
use model::virtual_service::HttpMatchRequest;
use std::collections::BTreeMap;

/// A condition that [`RequestMatch`] cannot hold: it looks at the client, the authority or the scheme, or at
/// methods that cannot be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfModel;

/// Whether a match counts for sidecars: it names no gateways, or `mesh` among them.
///
/// Source: istio/istio:pilot/pkg/networking/core/route/route.go (`sourceMatchHTTP`).
#[must_use]
pub fn is_for_mesh(wanted: &HttpMatchRequest) -> bool {
    model::virtual_service::is_for_mesh(&wanted.gateways)
}

/// The conjunctions that one `match` of a VirtualService stands for: one, or one per method where a regular
/// expression lists methods. The dialled port is not looked at. Where `gateways` select, sidecars do not look at
/// the client's labels and namespace.
///
/// # Errors
/// [`OutOfModel`] for conditions on the client, `authority`, `scheme`, and methods that are matched by prefix or
/// by a regular expression that is no list.
pub fn request_matches(wanted: &HttpMatchRequest) -> Result<Vec<RequestMatch>, OutOfModel> {
    let by_client = !wanted.source_labels.is_empty() || wanted.source_namespace.is_some();
    if wanted.scheme.is_some() || wanted.authority.is_some() || (by_client && wanted.gateways.is_empty()) {
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
    let methods = methods(wanted.method.as_ref()).ok_or(OutOfModel)?;
    let one = RequestMatch {
        path,
        method: None,
        headers: values(&wanted.headers, str::to_lowercase),
        query: values(&wanted.query_params, str::to_owned),
        without: values(&wanted.without_headers, str::to_lowercase),
    };
    let of_method = |method| RequestMatch {
        method,
        ..one.clone()
    };
    Ok(methods.into_iter().map(of_method).collect())
}

/// The methods that fulfil a condition, `None` for all of them; nothing if they cannot be counted.
fn methods(wanted: Option<&StringMatch>) -> Option<Vec<Option<String>>> {
    match wanted {
        // Every request has a method, so asking for one asks for nothing.
        None | Some(StringMatch::Presence) => Some(vec![None]),
        Some(StringMatch::Exact(method)) => Some(vec![Some(method.clone())]),
        Some(StringMatch::Prefix(prefix)) => prefix.is_empty().then(|| vec![None]),
        Some(StringMatch::Regex(pattern)) if matches!(pattern.as_str(), "*" | ".*" | ".+") => {
            Some(vec![None])
        }
        Some(StringMatch::Regex(pattern)) => {
            let words = listed(pattern)?;
            Some(words.into_iter().map(|word| Some(word.to_owned())).collect())
        }
    }
}

/// The words of an expression that is only a list of them, as `GET|POST` or `^(GET|POST)$`.
fn listed(pattern: &str) -> Option<Vec<&str>> {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let pattern = pattern.strip_suffix('$').unwrap_or(pattern);
    let inner = pattern
        .strip_prefix("(?:")
        .or_else(|| pattern.strip_prefix('('))
        .and_then(|rest| rest.strip_suffix(')'))
        .unwrap_or(pattern);
    let mut words: Vec<&str> = Vec::new();
    for word in inner.split('|') {
        let is_word = !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-');
        if !is_word {
            return None;
        }
        if !words.contains(&word) {
            words.push(word);
        }
    }
    Some(words)
}

fn values(map: &BTreeMap<String, StringMatch>, fold: fn(&str) -> String) -> Vec<(String, ValueMatch)> {
    map.iter()
        .map(|(name, wanted)| (fold(name), value_match(wanted)))
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lists_of_methods_are_counted() {
        for (pattern, expected) in [
            ("GET|POST", Some(vec!["GET", "POST"])),
            ("^(GET|HEAD)$", Some(vec!["GET", "HEAD"])),
            ("(?:PUT)", Some(vec!["PUT"])),
            ("^GET|POST$", Some(vec!["GET", "POST"])),
            ("GET|GET", Some(vec!["GET"])),
            ("P.*", None),
            ("(GET)|(POST)", None),
            ("GET|", None),
        ] {
            assert_eq!(listed(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn where_gateways_select_the_client_does_not_count() {
        let mut wanted = HttpMatchRequest {
            source_namespace: Some("web".into()),
            ..HttpMatchRequest::default()
        };
        assert_eq!(request_matches(&wanted), Err(OutOfModel));
        wanted.gateways = vec!["mesh".into()];
        assert_eq!(request_matches(&wanted), Ok(vec![RequestMatch::any()]));
        assert!(is_for_mesh(&wanted));
        wanted.gateways = vec!["ingress".into()];
        assert!(!is_for_mesh(&wanted));
    }
}
