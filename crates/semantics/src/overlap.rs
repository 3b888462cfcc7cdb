//! Whether two conjunctions of conditions can hold for one request.

use crate::predicate::{PathMatch, RequestMatch, ValueMatch, is_readable};

/// Whether some request may fulfil both. Says `true` where it cannot tell.
#[must_use]
pub fn overlap(a: &RequestMatch, b: &RequestMatch) -> bool {
    let methods = !matches!((&a.method, &b.method), (Some(x), Some(y)) if x != y);
    methods && paths(&a.path, &b.path) && values(&a.headers, &b.headers) && values(&a.query, &b.query)
}

fn values(a: &[(String, ValueMatch)], b: &[(String, ValueMatch)]) -> bool {
    a.iter().all(|(name, x)| {
        b.iter()
            .filter(|(other, _)| other == name)
            .all(|(_, y)| value(x, y))
    })
}

/// Whether some value may fulfil both. Says `true` where it cannot tell.
#[must_use]
pub fn value(a: &ValueMatch, b: &ValueMatch) -> bool {
    match (a, b) {
        (ValueMatch::Exact(x), other) | (other, ValueMatch::Exact(x)) => {
            other.matches(Some(x)) || unreadable(other)
        }
        (ValueMatch::Prefix(x), ValueMatch::Prefix(y)) => {
            x.starts_with(y.as_str()) || y.starts_with(x.as_str())
        }
        _ => true,
    }
}

fn unreadable(condition: &ValueMatch) -> bool {
    matches!(condition, ValueMatch::Regex(pattern) if !is_readable(pattern))
}

fn paths(a: &PathMatch, b: &PathMatch) -> bool {
    use PathMatch::{Exact, ExactIgnoringCase, Regex, SegmentPrefix, StringPrefix, StringPrefixIgnoringCase};
    match (a, b) {
        (Exact(x), other) | (other, Exact(x)) => {
            other.matches(x) || matches!(other, Regex(pattern) if !is_readable(pattern))
        }
        (StringPrefix(x), StringPrefix(y)) => x.starts_with(y.as_str()) || y.starts_with(x.as_str()),
        (SegmentPrefix(x), SegmentPrefix(y)) => a.matches(y) || b.matches(x),
        (StringPrefix(x), SegmentPrefix(y)) | (SegmentPrefix(y), StringPrefix(x)) => {
            y.starts_with(x.as_str()) || SegmentPrefix(y.clone()).matches(x.trim_end_matches('/'))
        }
        (
            ExactIgnoringCase(x) | StringPrefixIgnoringCase(x),
            ExactIgnoringCase(y) | StringPrefixIgnoringCase(y),
        ) => {
            let (x, y) = (x.to_ascii_lowercase(), y.to_ascii_lowercase());
            x.starts_with(&y) || y.starts_with(&x)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disjoint_conditions_are_recognised() {
        let path = |path| RequestMatch {
            path,
            ..RequestMatch::any()
        };
        let method = |m: &str| RequestMatch {
            method: Some(m.into()),
            ..RequestMatch::any()
        };
        let header = |v: ValueMatch| RequestMatch {
            headers: vec![("x".into(), v)],
            ..RequestMatch::any()
        };
        let exact = |p: &str| path(PathMatch::Exact(p.into()));
        let regex = |p: &str| path(PathMatch::Regex(p.into()));
        for (a, b, expected) in [
            (exact("/a"), exact("/b"), false),
            (exact("/a"), path(PathMatch::StringPrefix("/".into())), true),
            (exact("/v1/x"), regex("/v[0-9]+/.*"), true),
            (exact("/x"), regex("/v[0-9]+/.*"), false),
            (exact("/x"), regex("(["), true),
            (
                path(PathMatch::StringPrefix("/ab".into())),
                path(PathMatch::segment_prefix("/a")),
                false,
            ),
            (
                path(PathMatch::StringPrefix("/a/b".into())),
                path(PathMatch::segment_prefix("/a")),
                true,
            ),
            (method("GET"), method("POST"), false),
            (
                header(ValueMatch::Exact("a".into())),
                header(ValueMatch::Prefix("b".into())),
                false,
            ),
            (header(ValueMatch::Exact("a".into())), RequestMatch::any(), true),
        ] {
            assert_eq!(overlap(&a, &b), expected, "{a:?} {b:?}");
            assert_eq!(overlap(&b, &a), expected, "{b:?} {a:?}");
        }
    }
}
