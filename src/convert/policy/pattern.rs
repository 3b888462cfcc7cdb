//! Texts as policies match them, and what a route makes of them.
//!
//! A condition that no pattern says exactly is answered by one that says at least as much, or at most as much: see
//! [`Bound`]. Source: istio/istio:pilot/pkg/security/authz/matcher.

use semantics::authorization::template_fits;
use semantics::predicate::{PathMatch, ValueMatch};

/// On which side of the truth an answer may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Everything that the policy matches, perhaps more: for policies that refuse, ask or log.
    AtLeast,
    /// Nothing that the policy does not match, perhaps less: for policies that allow.
    AtMost,
}

impl Bound {
    /// The side for what is excluded.
    pub fn opposite(self) -> Self {
        match self {
            Self::AtLeast => Self::AtMost,
            Self::AtMost => Self::AtLeast,
        }
    }
}

/// An answer, and whether it is the truth itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// The answer.
    pub value: T,
    /// Whether it says neither more nor less.
    pub exact: bool,
}

impl<T> Found<T> {
    /// The truth.
    pub fn exactly(value: T) -> Self {
        Self { value, exact: true }
    }

    /// Not quite the truth.
    pub fn nearly(value: T) -> Self {
        Self { value, exact: false }
    }
}

/// A set of texts that a policy can name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// Every text.
    Any,
    /// One.
    Exact(String),
    /// Those that begin so.
    Prefix(String),
    /// Those that end so.
    Suffix(String),
    /// A path with `{*}` for a segment and `{**}` for the rest.
    Template(String),
}

impl Pattern {
    /// The pattern of a value in `paths` or `notPaths`.
    pub fn of_path(text: &str) -> Self {
        if text.contains("{*}") || text.contains("{**}") {
            return Self::Template(text.to_owned());
        }
        match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(""), _) => Self::Any,
            (Some(suffix), _) => Self::Suffix(suffix.to_owned()),
            (None, Some(prefix)) => Self::Prefix(prefix.to_owned()),
            (None, None) => Self::Exact(text.to_owned()),
        }
    }

    /// The value that says this; `None` for every text, and where a policy would read it otherwise.
    pub fn text(&self) -> Option<String> {
        let text = match self {
            Self::Any => return None,
            Self::Exact(value) | Self::Template(value) => value.clone(),
            Self::Prefix(value) => format!("{value}*"),
            Self::Suffix(value) => format!("*{value}"),
        };
        (Self::of_path(&text) == *self && !text.is_empty()).then_some(text)
    }

    /// Whether a text is in the set.
    pub fn holds(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(value) => text == value,
            Self::Prefix(value) => text.starts_with(value.as_str()),
            Self::Suffix(value) => text.ends_with(value.as_str()),
            Self::Template(value) => template_fits(value, text),
        }
    }

    /// Whether all texts of the other set are in this one; `false` where that is not certain.
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::Exact(value)) => self.holds(value),
            (Self::Prefix(x), Self::Prefix(y)) => y.starts_with(x.as_str()),
            (Self::Prefix(x), Self::Template(y)) => head(y).starts_with(x.as_str()),
            (Self::Suffix(x), Self::Suffix(y)) => y.ends_with(x.as_str()),
            _ => self == other,
        }
    }

    /// The texts in both sets, as one pattern.
    pub fn and(&self, other: &Self, bound: Bound) -> Found<Option<Self>> {
        if self.includes(other) {
            return Found::exactly(Some(other.clone()));
        }
        if other.includes(self) {
            return Found::exactly(Some(self.clone()));
        }
        let apart = match (self, other) {
            (Self::Exact(_), _) | (_, Self::Exact(_)) => true,
            (Self::Prefix(_), Self::Prefix(_)) | (Self::Suffix(_), Self::Suffix(_)) => true,
            (Self::Prefix(prefix), Self::Template(template))
            | (Self::Template(template), Self::Prefix(prefix)) => !prefix.starts_with(head(template)),
            _ => false,
        };
        match bound {
            _ if apart => Found::exactly(None),
            Bound::AtLeast => Found::nearly(Some(self.clone())),
            Bound::AtMost => Found::nearly(None),
        }
    }
}

/// The literal beginning of a template.
pub(super) fn head(template: &str) -> &str {
    template.split('{').next().unwrap_or_default()
}

/// The paths that fulfil a route's condition, as alternatives.
pub fn of_route(condition: &PathMatch, bound: Bound) -> Found<Vec<Pattern>> {
    let exactly = |pattern| Found::exactly(vec![pattern]);
    match condition {
        PathMatch::Any => exactly(Pattern::Any),
        PathMatch::Exact(value) => exactly(Pattern::Exact(value.clone())),
        PathMatch::StringPrefix(value) => exactly(Pattern::Prefix(value.clone())),
        PathMatch::SegmentPrefix(value) => Found::exactly(vec![
            Pattern::Exact(value.clone()),
            Pattern::Prefix(format!("{value}/")),
        ]),
        PathMatch::ExactIgnoringCase(value) => blind(value, Pattern::Exact(value.clone()), bound),
        PathMatch::StringPrefixIgnoringCase(value) => blind(value, Pattern::Prefix(value.clone()), bound),
        PathMatch::Regex(regex) => of_regex(regex, bound),
    }
}

/// Policies mind case: only the spelling itself is certain to be in the set.
fn blind(value: &str, spelled: Pattern, bound: Bound) -> Found<Vec<Pattern>> {
    let upto = value
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(value.len());
    match bound {
        _ if upto == value.len() => Found::exactly(vec![spelled]),
        Bound::AtMost => Found::nearly(vec![spelled]),
        Bound::AtLeast => Found::nearly(vec![prefix(value.get(..upto).unwrap_or_default())]),
    }
}

fn prefix(value: &str) -> Pattern {
    if value.is_empty() || value == "/" {
        Pattern::Any
    } else {
        Pattern::Prefix(value.to_owned())
    }
}

/// The set of a regular expression that is a literal text with nothing, or `.*`, behind it.
fn of_regex(regex: &str, bound: Bound) -> Found<Vec<Pattern>> {
    let mut literal = String::new();
    let mut rest = regex.chars().peekable();
    while let Some(&c) = rest.peek() {
        let plain =
            c.is_alphanumeric() || matches!(c, '/' | '_' | '-' | '~' | '=' | ',' | ';' | ':' | '@' | '%');
        if !plain {
            break;
        }
        literal.push(c);
        rest.next();
    }
    let rest: String = rest.collect();
    match rest.as_str() {
        "" => return Found::exactly(vec![Pattern::Exact(literal)]),
        ".*" => return Found::exactly(vec![prefix(&literal)]),
        _ => {}
    }
    // A quantifier belongs to the character before it.
    if rest.starts_with(['?', '*', '{', '+']) {
        literal.pop();
    }
    match bound {
        // One alternative at the top takes the literal away.
        Bound::AtLeast if rest.contains('|') => Found::nearly(vec![Pattern::Any]),
        Bound::AtLeast => Found::nearly(vec![prefix(&literal)]),
        Bound::AtMost => Found::nearly(Vec::new()),
    }
}

/// The values of a policy's condition on a header that say what a route asks of it; `None` if there are none.
pub fn header_values(wanted: &ValueMatch) -> Option<String> {
    let text = match wanted {
        ValueMatch::Exact(value) => Pattern::Exact(value.clone()).text(),
        ValueMatch::Prefix(value) if value.is_empty() => return Some("*".to_owned()),
        ValueMatch::Prefix(value) => Pattern::Prefix(value.clone()).text(),
        ValueMatch::Presence => return Some("*".to_owned()),
        ValueMatch::Regex(regex) if regex == ".*" => return Some("*".to_owned()),
        ValueMatch::Regex(_) => None,
    };
    // Braces mean something in paths only.
    text.filter(|text| !text.contains('{'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETS: [&str; 12] = [
        "*",
        "/admin",
        "/admin*",
        "/a*",
        "*n",
        "*/x",
        "*admin",
        "/v1/*",
        "/v1/{*}/x",
        "/{**}",
        "/v1",
        "/v1/admin",
    ];

    #[test]
    fn patterns_are_read_as_they_are_written() {
        for text in ["/a", "/a*", "*a", "/a/{*}", "/{**}"] {
            assert_eq!(Pattern::of_path(text).text().as_deref(), Some(text));
        }
        assert_eq!(Pattern::Exact("*a".into()).text(), None);
        assert_eq!(Pattern::Prefix("*".into()).text(), None);
    }

    #[test]
    fn conjunctions_lie_on_their_side() {
        let paths = [
            "/", "/admin", "/adminx", "/v1", "/v1/x", "/v1/a/x", "/xadmin", "/n",
        ];
        for (x, y) in SETS.iter().flat_map(|x| SETS.map(|y| (*x, y))) {
            let (x, y) = (Pattern::of_path(x), Pattern::of_path(y));
            for path in paths {
                let both = x.holds(path) && y.holds(path);
                let least = x.and(&y, Bound::AtLeast);
                let most = x.and(&y, Bound::AtMost);
                let held =
                    |found: &Found<Option<Pattern>>| found.value.as_ref().is_some_and(|p| p.holds(path));
                assert!(!both || held(&least), "{x:?} {y:?} {path}");
                assert!(both || !held(&most), "{x:?} {y:?} {path}");
                assert!(!most.exact || held(&most) == both, "{x:?} {y:?} {path}");
            }
        }
    }

    #[test]
    fn simple_regular_expressions_are_patterns() {
        let exact = |regex: &str| of_regex(regex, Bound::AtMost);
        assert_eq!(
            exact("/a/.*"),
            Found::exactly(vec![Pattern::Prefix("/a/".into())])
        );
        assert_eq!(exact(".*"), Found::exactly(vec![Pattern::Any]));
        assert_eq!(exact("/a"), Found::exactly(vec![Pattern::Exact("/a".into())]));
        assert_eq!(exact("/v[0-9]"), Found::nearly(Vec::new()));
        let least = |regex: &str| of_regex(regex, Bound::AtLeast).value;
        assert_eq!(least("/ab?c"), vec![Pattern::Prefix("/a".into())]);
        assert_eq!(least("/a|/b"), vec![Pattern::Any]);
    }
}
