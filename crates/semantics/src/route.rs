//! Which rule a request takes.

use crate::predicate::{PathMatch, Request, RequestMatch};
use std::cmp::Reverse;

/// Conditions in the order in which they are tried, each with what happens when it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTable<A> {
    entries: Vec<(RequestMatch, A)>,
}

impl<A> RouteTable<A> {
    /// The table of a VirtualService: the order of the text; a catch-all ends it.
    ///
    /// Source: istio/istio:pilot/pkg/networking/core/route/route.go (`BuildHTTPRoutesForVirtualService`).
    pub fn in_order(entries: impl IntoIterator<Item = (RequestMatch, A)>) -> Self {
        let mut kept = Vec::new();
        for (condition, action) in entries {
            let ends = condition.is_catch_all();
            kept.push((condition, action));
            if ends {
                break;
            }
        }
        Self { entries: kept }
    }

    /// The table of HTTPRoutes: the most specific condition first, as istiod sorts; equal ones in the order
    /// given.
    ///
    /// Source: istio/istio:pilot/pkg/config/kube/gateway/conversion.go (`sortHTTPRoutes`).
    pub fn by_specificity(entries: impl IntoIterator<Item = (RequestMatch, A)>) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_by_key(|(condition, _)| Reverse(Specificity::of(condition)));
        Self { entries }
    }

    /// What happens to a request; `None` is Envoy's 404.
    pub fn evaluate(&self, request: &Request) -> Option<&A> {
        self.entries
            .iter()
            .find(|(condition, _)| condition.matches(request))
            .map(|(_, action)| action)
    }

    /// The entries in the order in which they are tried.
    pub fn entries(&self) -> &[(RequestMatch, A)] {
        &self.entries
    }
}

/// How istiod ranks a condition of an HTTPRoute; the greater is tried first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Specificity {
    path_kind: u8,
    path_length: usize,
    has_method: bool,
    headers: usize,
    query_parameters: usize,
}

impl Specificity {
    /// The rank of a condition. Conditions that an HTTPRoute cannot hold rank as the regular expressions
    /// that they have to become.
    #[must_use]
    pub fn of(condition: &RequestMatch) -> Self {
        let (path_kind, path_length) = match &condition.path {
            PathMatch::Exact(value) => (3, value.len()),
            PathMatch::SegmentPrefix(value) => (2, value.len()),
            PathMatch::Any => (2, 0),
            PathMatch::Regex(value)
            | PathMatch::StringPrefix(value)
            | PathMatch::ExactIgnoringCase(value)
            | PathMatch::StringPrefixIgnoringCase(value) => (1, value.len()),
        };
        Self {
            path_kind,
            path_length,
            has_method: condition.method.is_some(),
            headers: condition.headers.len(),
            query_parameters: condition.query.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: PathMatch) -> RequestMatch {
        RequestMatch {
            path,
            ..RequestMatch::any()
        }
    }

    #[test]
    fn a_prefix_beats_every_regular_expression() {
        let rules = [
            (path(PathMatch::Regex("/v[0-9]+/.*".into())), "new"),
            (path(PathMatch::Any), "old"),
        ];
        let request = Request {
            path: "/v1/x".into(),
            ..Request::default()
        };
        assert_eq!(
            RouteTable::in_order(rules.clone()).evaluate(&request),
            Some(&"new")
        );
        assert_eq!(RouteTable::by_specificity(rules).evaluate(&request), Some(&"old"));
    }

    #[test]
    fn a_catch_all_ends_a_virtual_service() {
        let table = RouteTable::in_order([
            (path(PathMatch::Any), 1),
            (path(PathMatch::Exact("/a".into())), 2),
        ]);
        assert_eq!(table.entries().len(), 1);
    }
}
