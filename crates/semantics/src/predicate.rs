//! Conditions on the parts of a request.

use regex::Regex;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

/// A request as far as routes look at it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// The method, in capitals.
    pub method: String,
    /// The path without its query; begins with `/`.
    pub path: String,
    /// Headers by lower-case name; repeated ones joined with `,`.
    pub headers: BTreeMap<String, String>,
    /// Query parameters.
    pub query: BTreeMap<String, String>,
}

/// A condition on a path. Case counts unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathMatch {
    /// Every path.
    Any,
    /// This path.
    Exact(String),
    /// Paths that begin with this text, as Istio's `prefix` does.
    StringPrefix(String),
    /// Paths that begin with these segments, as the Gateway API's `PathPrefix` does. Held without its
    /// trailing slash.
    SegmentPrefix(String),
    /// As `Exact`, blind to case in ASCII.
    ExactIgnoringCase(String),
    /// As `StringPrefix`, blind to case in ASCII.
    StringPrefixIgnoringCase(String),
    /// RE2 over the whole path.
    Regex(String),
}

impl PathMatch {
    /// `PathPrefix` with its trailing slash removed, as istiod does before it compares and sorts.
    #[must_use]
    pub fn segment_prefix(value: &str) -> Self {
        match value.strip_suffix('/').unwrap_or(value) {
            "" => Self::Any,
            trimmed => Self::SegmentPrefix(trimmed.to_owned()),
        }
    }

    /// Whether a path fulfils the condition. A regular expression that cannot be read fulfils nothing.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(value) => path == value,
            Self::StringPrefix(prefix) => path.starts_with(prefix.as_str()),
            Self::SegmentPrefix(prefix) => path
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Self::ExactIgnoringCase(value) => path.eq_ignore_ascii_case(value),
            Self::StringPrefixIgnoringCase(prefix) => path
                .get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix)),
            Self::Regex(pattern) => matches_whole(pattern, path),
        }
    }

    /// Whether every path fulfils the condition, as istiod's test for a catch-all sees it.
    #[must_use]
    pub fn is_catch_all(&self) -> bool {
        match self {
            Self::Any => true,
            Self::StringPrefix(prefix) | Self::StringPrefixIgnoringCase(prefix) => {
                prefix == "/" || prefix.is_empty()
            }
            Self::Regex(pattern) => pattern == ".*",
            _ => false,
        }
    }
}

/// A condition on a header or query parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueMatch {
    /// This value.
    Exact(String),
    /// Values that begin with this text.
    Prefix(String),
    /// RE2 over the whole value.
    Regex(String),
    /// Any value, as long as there is one.
    Presence,
}

impl ValueMatch {
    /// Whether a value, or its absence, fulfils the condition.
    #[must_use]
    pub fn matches(&self, value: Option<&str>) -> bool {
        let Some(value) = value else { return false };
        match self {
            Self::Exact(wanted) => value == wanted,
            Self::Prefix(prefix) => value.starts_with(prefix.as_str()),
            Self::Regex(pattern) => matches_whole(pattern, value),
            Self::Presence => true,
        }
    }

    /// Whether a header fulfils the inverted condition, as `withoutHeaders` of a VirtualService has it: for
    /// presence the header must be absent, for all others an absent header counts as an empty one.
    ///
    /// Source: istio/istio:pilot/pkg/networking/core/route/route.go (`TranslateRouteMatch`).
    #[must_use]
    pub fn excludes(&self, value: Option<&str>) -> bool {
        match self {
            Self::Presence => value.is_none(),
            _ => !self.matches(Some(value.unwrap_or_default())),
        }
    }
}

/// A conjunction of conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestMatch {
    /// The path.
    pub path: PathMatch,
    /// The method, if it counts.
    pub method: Option<String>,
    /// Headers by lower-case name.
    pub headers: Vec<(String, ValueMatch)>,
    /// Query parameters by name.
    pub query: Vec<(String, ValueMatch)>,
    /// Headers by lower-case name that must not be so ([`ValueMatch::excludes`]). Only a VirtualService has
    /// these.
    pub without: Vec<(String, ValueMatch)>,
}

impl RequestMatch {
    /// The conjunction that every request fulfils.
    #[must_use]
    pub fn any() -> Self {
        Self {
            path: PathMatch::Any,
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
            without: Vec::new(),
        }
    }

    /// Whether a request fulfils all conditions.
    #[must_use]
    pub fn matches(&self, request: &Request) -> bool {
        self.method
            .as_ref()
            .is_none_or(|method| *method == request.method)
            && self
                .headers
                .iter()
                .all(|(name, wanted)| wanted.matches(request.headers.get(name).map(String::as_str)))
            && self
                .query
                .iter()
                .all(|(name, wanted)| wanted.matches(request.query.get(name).map(String::as_str)))
            && self
                .without
                .iter()
                .all(|(name, unwanted)| unwanted.excludes(request.headers.get(name).map(String::as_str)))
            && self.path.matches(&request.path)
    }

    /// Whether istiod takes this for a catch-all, which ends a VirtualService. A method is a condition on the
    /// header `:method`, so it keeps a match from being one.
    #[must_use]
    pub fn is_catch_all(&self) -> bool {
        self.path.is_catch_all()
            && self.method.is_none()
            && self.headers.is_empty()
            && self.query.is_empty()
            && self.without.is_empty()
    }
}

/// Whether an RE2 expression matches a whole text; `.` does not match a line feed.
pub(crate) fn matches_whole(pattern: &str, text: &str) -> bool {
    with_compiled(pattern, |regex| regex.is_some_and(|regex| regex.is_match(text)))
}

/// Whether an expression can be read.
pub(crate) fn is_readable(pattern: &str) -> bool {
    with_compiled(pattern, |regex| regex.is_some())
}

/// Expressions are compiled once, as the same few are tried against many values.
fn with_compiled<R>(pattern: &str, look: impl FnOnce(Option<&Regex>) -> R) -> R {
    const MOST: usize = 512;
    thread_local! {
        static COMPILED: RefCell<HashMap<String, Option<Regex>>> = RefCell::new(HashMap::new());
    }
    COMPILED.with_borrow_mut(|compiled| {
        if compiled.len() > MOST {
            compiled.clear();
        }
        if !compiled.contains_key(pattern) {
            compiled.insert(pattern.to_owned(), Regex::new(&format!("^(?:{pattern})$")).ok());
        }
        look(compiled.get(pattern).and_then(Option::as_ref))
    })
}

/// A regular expression for a literal text: everything outside of `[A-Za-z0-9/_-]` is escaped.
#[must_use]
pub fn escape(literal: &str) -> String {
    let mut pattern = String::with_capacity(literal.len() + 8);
    for c in literal.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !matches!(c, '/' | '_' | '-') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_match_as_envoy_matches_them() {
        let string = PathMatch::StringPrefix("/api".into());
        let segment = PathMatch::segment_prefix("/api/");
        let regex = PathMatch::Regex(format!("{}.*", escape("/api")));
        for (path, by_string, by_segment) in [
            ("/api", true, true),
            ("/api/x", true, true),
            ("/apix", true, false),
            ("/ap", false, false),
            ("/API", false, false),
        ] {
            assert_eq!(string.matches(path), by_string, "{path}");
            assert_eq!(regex.matches(path), by_string, "{path}");
            assert_eq!(segment.matches(path), by_segment, "{path}");
        }
        assert!(!PathMatch::Regex("/a".into()).matches("/ab"));
        assert!(PathMatch::StringPrefixIgnoringCase("/A".into()).matches("/ab"));
        assert_eq!(PathMatch::segment_prefix("/"), PathMatch::Any);
    }

    #[test]
    fn an_absent_value_fulfils_no_condition() {
        assert!(!ValueMatch::Presence.matches(None));
        assert!(!ValueMatch::Regex(".*".into()).matches(None));
        assert!(ValueMatch::Regex(".*".into()).matches(Some("")));
    }

    #[test]
    fn an_absent_header_counts_as_empty_where_it_must_not_match() {
        let exact = ValueMatch::Exact("a".into());
        let empty = ValueMatch::Exact(String::new());
        for (condition, value, expected) in [
            (&ValueMatch::Presence, None, true),
            (&ValueMatch::Presence, Some(""), false),
            (&exact, None, true),
            (&exact, Some("a"), false),
            (&exact, Some("b"), true),
            (&empty, None, false),
        ] {
            assert_eq!(condition.excludes(value), expected, "{condition:?} {value:?}");
        }
    }
}
