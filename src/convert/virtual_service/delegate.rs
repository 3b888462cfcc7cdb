//! How istiod joins a rule that delegates with the rules of its delegate.
//!
//! Source: istio/istio:pilot/pkg/model/virtualservice.go (`MergeHTTPRoutes`).

use crate::convert::context::Context;
use model::Object;
use model::values::StringMatch;
use model::virtual_service::{Destination, HttpMatchRequest, HttpRoute, VirtualService};
use std::collections::{BTreeMap, HashSet};

/// What comes of a rule of a delegate.
#[derive(Debug)]
pub enum Merged {
    /// The rule with what it takes from the root.
    Rule(Box<HttpRoute>),
    /// One of its matches fits no match of the root: the whole rule is left out.
    Conflict,
}

/// The two objects whose rules are joined.
struct Namespaces<'a> {
    root: &'a str,
    delegate: &'a str,
}

/// Joins one rule of a delegate with the rule that delegates to it.
#[must_use]
pub fn merge(
    context: &Context<'_>,
    root: &Object<VirtualService>,
    rule: &HttpRoute,
    delegate: &Object<VirtualService>,
    theirs: &HttpRoute,
) -> Merged {
    let namespaces = Namespaces {
        root: root.namespace(),
        delegate: delegate.namespace(),
    };
    let Some(matches) = merge_matches(&rule.matches, &theirs.matches, &namespaces) else {
        return Merged::Conflict;
    };
    let mut merged = HttpRoute {
        name: joined(rule.name.as_deref(), theirs.name.as_deref()),
        matches,
        ..theirs.clone()
    };
    if namespaces.root != namespaces.delegate {
        write_hosts_out(&mut merged, context, namespaces.delegate);
    }
    // Whole blocks, and only those that the delegate does not have. Its destinations and its redirect are its own.
    let own = &mut merged;
    take(&mut own.rewrite, &rule.rewrite);
    take(&mut own.direct_response, &rule.direct_response);
    take(&mut own.timeout, &rule.timeout);
    take(&mut own.retries, &rule.retries);
    take(&mut own.fault, &rule.fault);
    take(&mut own.mirror, &rule.mirror);
    take(&mut own.mirror_percent, &rule.mirror_percent);
    take(&mut own.mirror_percentage, &rule.mirror_percentage);
    take(&mut own.cors_policy, &rule.cors_policy);
    take(&mut own.headers, &rule.headers);
    if own.mirrors.is_empty() {
        own.mirrors.clone_from(&rule.mirrors);
    }
    Merged::Rule(Box::new(merged))
}

fn take<T: Clone>(own: &mut Option<T>, inherited: &Option<T>) {
    if own.is_none() {
        own.clone_from(inherited);
    }
}

fn joined(root: Option<&str>, delegate: Option<&str>) -> Option<String> {
    let names: Vec<&str> = [root, delegate]
        .into_iter()
        .flatten()
        .filter(|name| !name.is_empty())
        .collect();
    (!names.is_empty()).then(|| names.join("-"))
}

/// Short names count in the namespace of the object that holds them.
fn write_hosts_out(rule: &mut HttpRoute, context: &Context<'_>, namespace: &str) {
    let qualify =
        |destination: &mut Destination| destination.host = context.qualify(&destination.host, namespace);
    for route in &mut rule.route {
        qualify(&mut route.destination);
    }
    if let Some(mirror) = &mut rule.mirror {
        qualify(mirror);
    }
    for mirror in &mut rule.mirrors {
        qualify(&mut mirror.destination);
    }
}

/// Every pair that does not conflict; `None` if a match of the delegate fits no match of the root.
fn merge_matches(
    root: &[HttpMatchRequest],
    delegate: &[HttpMatchRequest],
    namespaces: &Namespaces<'_>,
) -> Option<Vec<HttpMatchRequest>> {
    if root.is_empty() {
        return Some(delegate.to_vec());
    }
    if delegate.is_empty() {
        return Some(root.to_vec());
    }
    let mut merged = Vec::new();
    for theirs in delegate {
        let before = merged.len();
        let fitting = root.iter().filter(|ours| !conflict(ours, theirs, namespaces));
        merged.extend(fitting.map(|ours| merge_match(ours, theirs)));
        if merged.len() == before {
            return None;
        }
    }
    Some(merged)
}

fn merge_match(root: &HttpMatchRequest, delegate: &HttpMatchRequest) -> HttpMatchRequest {
    let text = |own: &Option<String>, inherited: &Option<String>| {
        own.clone()
            .filter(|text| !text.is_empty())
            .or_else(|| inherited.clone())
    };
    HttpMatchRequest {
        name: joined(root.name.as_deref(), delegate.name.as_deref()),
        uri: delegate.uri.clone().or_else(|| root.uri.clone()),
        scheme: delegate.scheme.clone().or_else(|| root.scheme.clone()),
        method: delegate.method.clone().or_else(|| root.method.clone()),
        authority: delegate.authority.clone().or_else(|| root.authority.clone()),
        headers: united(&root.headers, &delegate.headers),
        port: delegate.port.or(root.port),
        source_labels: united(&root.source_labels, &delegate.source_labels),
        gateways: if delegate.gateways.is_empty() {
            root.gateways.clone()
        } else {
            delegate.gateways.clone()
        },
        query_params: united(&root.query_params, &delegate.query_params),
        ignore_uri_case: delegate.ignore_uri_case,
        without_headers: united(&root.without_headers, &delegate.without_headers),
        source_namespace: text(&delegate.source_namespace, &root.source_namespace),
        stat_prefix: text(&delegate.stat_prefix, &root.stat_prefix),
    }
}

fn united<V: Clone>(root: &BTreeMap<String, V>, delegate: &BTreeMap<String, V>) -> BTreeMap<String, V> {
    let both = root.iter().chain(delegate);
    both.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn conflict(root: &HttpMatchRequest, delegate: &HttpMatchRequest, namespaces: &Namespaces<'_>) -> bool {
    let parts = [
        (&root.uri, &delegate.uri),
        (&root.scheme, &delegate.scheme),
        (&root.method, &delegate.method),
        (&root.authority, &delegate.authority),
    ];
    let maps = [
        (&root.headers, &delegate.headers),
        (&root.without_headers, &delegate.without_headers),
        (&root.query_params, &delegate.query_params),
    ];
    let in_maps = maps.iter().any(|(root, delegate)| {
        delegate
            .iter()
            .any(|(name, theirs)| root.get(name).is_some_and(|ours| strings_conflict(ours, theirs)))
    });
    let namespace = |wanted: &HttpMatchRequest| wanted.source_namespace.clone().unwrap_or_default();
    let labels = delegate
        .source_labels
        .iter()
        .any(|(name, theirs)| root.source_labels.get(name).is_some_and(|ours| ours != theirs));
    parts
        .iter()
        .any(|parts| matches!(parts, (Some(ours), Some(theirs)) if strings_conflict(ours, theirs)))
        || in_maps
        || root.ignore_uri_case.unwrap_or(false) != delegate.ignore_uri_case.unwrap_or(false)
        || matches!((root.port, delegate.port), (Some(ours), Some(theirs)) if ours != theirs)
        || (!namespace(root).is_empty() && namespace(root) != namespace(delegate))
        || labels
        || gateways_conflict(&root.gateways, &delegate.gateways, namespaces)
}

/// Where both set a field, the delegate's must lie within the root's; expressions never do.
fn strings_conflict(root: &StringMatch, delegate: &StringMatch) -> bool {
    use StringMatch::{Exact, Prefix};
    match (root, delegate) {
        (Exact(ours), Exact(theirs)) if !ours.is_empty() => ours != theirs,
        (Prefix(ours), Exact(theirs) | Prefix(theirs)) if !ours.is_empty() && !theirs.is_empty() => {
            !theirs.starts_with(ours.as_str())
        }
        _ => true,
    }
}

fn gateways_conflict(root: &[String], delegate: &[String], namespaces: &Namespaces<'_>) -> bool {
    if root.is_empty() || delegate.is_empty() {
        return false;
    }
    let whole = |name: &String, namespace: &str| {
        if name == "mesh" || name.contains('/') {
            name.clone()
        } else {
            format!("{namespace}/{name}")
        }
    };
    let ours: HashSet<String> = root.iter().map(|name| whole(name, namespaces.root)).collect();
    root.len() < delegate.len()
        || delegate
            .iter()
            .any(|name| !ours.contains(&whole(name, namespaces.delegate)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAME: Namespaces<'static> = Namespaces {
        root: "shop",
        delegate: "shop",
    };

    fn uri(wanted: StringMatch) -> HttpMatchRequest {
        HttpMatchRequest {
            uri: Some(wanted),
            ..HttpMatchRequest::default()
        }
    }

    fn prefix(text: &str) -> HttpMatchRequest {
        uri(StringMatch::Prefix(text.into()))
    }

    #[test]
    fn conditions_of_a_delegate_lie_within_those_of_its_root() {
        let exact = |text: &str| uri(StringMatch::Exact(text.into()));
        let regex = |text: &str| uri(StringMatch::Regex(text.into()));
        let any = HttpMatchRequest::default();
        for (root, delegate, expected) in [
            (prefix("/a"), prefix("/a/b"), false),
            (prefix("/a/b"), prefix("/a"), true),
            (prefix("/a"), exact("/ab"), false),
            (exact("/a"), prefix("/a"), true),
            (exact("/a"), exact("/a"), false),
            (prefix("/a"), regex("/a.*"), true),
            (regex("/a.*"), regex("/a.*"), true),
            (regex("/a.*"), any.clone(), false),
            (any.clone(), regex("/a.*"), false),
        ] {
            assert_eq!(
                conflict(&root, &delegate, &SAME),
                expected,
                "{root:?} {delegate:?}"
            );
        }
    }

    #[test]
    fn a_client_s_namespace_must_be_named_by_both() {
        let named = HttpMatchRequest {
            source_namespace: Some("web".into()),
            ..HttpMatchRequest::default()
        };
        let any = HttpMatchRequest::default();
        assert!(conflict(&named, &any, &SAME));
        assert!(!conflict(&any, &named, &SAME));
        assert!(!conflict(&named, &named, &SAME));
    }

    #[test]
    fn one_match_that_fits_nothing_drops_the_rule() {
        let root = [prefix("/a"), prefix("/b")];
        let fitting = merge_matches(&root, &[prefix("/a/x"), HttpMatchRequest::default()], &SAME);
        assert_eq!(fitting.map(|matches| matches.len()), Some(3));
        assert_eq!(merge_matches(&root, &[prefix("/a/x"), prefix("/c")], &SAME), None);
    }
}
