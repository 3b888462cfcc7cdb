//! Whether one condition holds wherever another does.

use crate::overlap;
use crate::predicate::{PathMatch, RequestMatch, ValueMatch};

/// Whether every path that fulfils `narrow` fulfils `wide`. Says `false` where it cannot tell.
#[must_use]
pub fn path(narrow: &PathMatch, wide: &PathMatch) -> bool {
    use PathMatch::{
        Any, Exact, ExactIgnoringCase, Regex, SegmentPrefix, StringPrefix, StringPrefixIgnoringCase,
    };
    if narrow == wide {
        return true;
    }
    match (narrow, wide) {
        // Paths begin with `/` and hold no line feed.
        (_, Any) => true,
        (_, Regex(pattern)) if pattern == ".*" || pattern == "/.*" => true,
        (Exact(x), wide) => wide.matches(x),
        (StringPrefix(x), StringPrefix(y)) | (SegmentPrefix(x), StringPrefix(y)) => x.starts_with(y.as_str()),
        (SegmentPrefix(x), SegmentPrefix(_)) => wide.matches(x),
        (StringPrefix(x), SegmentPrefix(y)) => x
            .strip_prefix(y.as_str())
            .is_some_and(|rest| rest.starts_with('/')),
        (
            ExactIgnoringCase(x) | StringPrefixIgnoringCase(x) | StringPrefix(x) | SegmentPrefix(x),
            StringPrefixIgnoringCase(y),
        ) => x.to_ascii_lowercase().starts_with(&y.to_ascii_lowercase()),
        _ => false,
    }
}

/// Whether every value that fulfils `narrow` fulfils `wide`. Says `false` where it cannot tell.
#[must_use]
pub fn value(narrow: &ValueMatch, wide: &ValueMatch) -> bool {
    if narrow == wide {
        return true;
    }
    match (narrow, wide) {
        (_, ValueMatch::Presence) => true,
        (_, ValueMatch::Regex(pattern)) if pattern == ".*" => true,
        (ValueMatch::Exact(x), wide) => wide.matches(Some(x)),
        (ValueMatch::Prefix(x), ValueMatch::Prefix(y)) => x.starts_with(y.as_str()),
        _ => false,
    }
}

/// Whether every request that fulfils `narrow` fulfils `wide`. Says `false` where it cannot tell.
#[must_use]
pub fn request(narrow: &RequestMatch, wide: &RequestMatch) -> bool {
    let values = |narrow: &[(String, ValueMatch)], wide: &[(String, ValueMatch)]| {
        wide.iter()
            .all(|(name, y)| narrow.iter().any(|(other, x)| other == name && value(x, y)))
    };
    let without = wide.without.iter().all(|(name, unwanted)| {
        narrow.without.contains(&(name.clone(), unwanted.clone()))
            || narrow.headers.iter().any(|(other, x)| {
                // A value that is there, and is none of the unwanted.
                other == name && !matches!(unwanted, ValueMatch::Presence) && !overlap::value(x, unwanted)
            })
    });
    path(&narrow.path, &wide.path)
        && (wide.method.is_none() || narrow.method == wide.method)
        && values(&narrow.headers, &wide.headers)
        && values(&narrow.query, &wide.query)
        && without
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wider_paths_are_recognised() {
        let exact = |text: &str| PathMatch::Exact(text.into());
        let string = |text: &str| PathMatch::StringPrefix(text.into());
        let segment = |text: &str| PathMatch::segment_prefix(text);
        for (narrow, wide, expected) in [
            (exact("/a"), PathMatch::Any, true),
            (exact("/a"), string("/"), true),
            (exact("/a"), string("/b"), false),
            (string("/a/b"), string("/a"), true),
            (string("/a"), string("/a/b"), false),
            (string("/a/"), segment("/a"), true),
            (string("/ab"), segment("/a"), false),
            (segment("/a"), string("/a/"), false),
            (PathMatch::Any, PathMatch::Regex("/.*".into()), true),
            (
                PathMatch::Regex("/a".into()),
                PathMatch::Regex("/a.*".into()),
                false,
            ),
        ] {
            assert_eq!(path(&narrow, &wide), expected, "{narrow:?} {wide:?}");
        }
    }

    #[test]
    fn wider_values_are_recognised() {
        let exact = ValueMatch::Exact("ab".into());
        let prefix = ValueMatch::Prefix("a".into());
        assert!(value(&exact, &prefix));
        assert!(value(&prefix, &ValueMatch::Presence));
        assert!(value(&prefix, &ValueMatch::Regex(".*".into())));
        assert!(!value(&ValueMatch::Presence, &prefix));
    }
}
