//! The conditions of an HTTPRoute, as data.

use crate::predicate::{PathMatch, RequestMatch, ValueMatch};
use model::Node;

/// The conjunctions of one rule of an HTTPRoute; a rule without `matches` has the API server's default,
/// `PathPrefix /`.
#[must_use]
pub fn rule_matches(rule: &Node) -> Vec<RequestMatch> {
    match rule.get("matches").map(Node::items) {
        None | Some([]) => vec![RequestMatch::any()],
        Some(matches) => matches.iter().map(request_match).collect(),
    }
}

fn request_match(wanted: &Node) -> RequestMatch {
    let text = |node: &Node, key: &str| {
        node.get(key)
            .and_then(Node::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let path = match wanted.get("path") {
        None => PathMatch::Any,
        Some(path) => match path.get("type").and_then(Node::as_str) {
            Some("Exact") => PathMatch::Exact(text(path, "value")),
            Some("RegularExpression") => PathMatch::Regex(text(path, "value")),
            _ => PathMatch::segment_prefix(path.get("value").and_then(Node::as_str).unwrap_or("/")),
        },
    };
    let values = |key: &str, fold: fn(&str) -> String| {
        let list = wanted.get(key).map_or(&[][..], Node::items);
        list.iter()
            .map(|item| {
                let value = text(item, "value");
                let wanted = match item.get("type").and_then(Node::as_str) {
                    Some("RegularExpression") => ValueMatch::Regex(value),
                    _ => ValueMatch::Exact(value),
                };
                (fold(&text(item, "name")), wanted)
            })
            .collect::<Vec<_>>()
    };
    RequestMatch {
        path,
        method: wanted.get("method").and_then(Node::as_str).map(str::to_owned),
        headers: values("headers", str::to_lowercase),
        query: values("queryParams", str::to_owned),
        without: Vec::new(),
    }
}
