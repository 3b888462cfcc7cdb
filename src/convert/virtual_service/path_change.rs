//! What a rule makes of the path, which depends on how the path was matched.

use super::http_match::is_clean;
use crate::code::Code;
use crate::convert::notes::Notes;
use crate::convert::options::{Istio, Options};
use model::FieldPath;
use model::values::StringMatch;
use model::virtual_service::{HttpMatchRequest, HttpRoute, VirtualService};

/// A new path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathChange {
    /// None.
    None,
    /// The whole path is replaced.
    Full(String),
    /// The matched segments are replaced; `None` stands for the root, which every path begins with.
    Prefix {
        /// What `PathPrefix` has to match, without a trailing slash.
        segments: Option<String>,
        /// What `replacePrefixMatch` says.
        value: String,
    },
}

/// `redirect.prefixRewrite` came with this release.
const PREFIX_REDIRECT: Istio = Istio(31);
/// `HTTPPathModifier`.
const MAX_PATH: usize = 1024;

/// How a path was matched.
#[derive(Debug, Clone, Copy)]
enum Matched<'a> {
    /// As a whole: exactly, or by a regular expression.
    Whole,
    /// By the prefix `/`, as everything is that is not matched otherwise.
    Everything,
    /// By a prefix as a string.
    Prefix(&'a str),
    /// By a prefix whose spelling may differ from the path's, or is empty.
    Loosely,
}

impl<'a> Matched<'a> {
    fn of(wanted: Option<&'a HttpMatchRequest>) -> Self {
        let ignores_case = wanted.is_some_and(|wanted| wanted.ignore_uri_case.unwrap_or(false));
        match wanted.and_then(|wanted| wanted.uri.as_ref()) {
            None | Some(StringMatch::Presence) => Self::Everything,
            Some(StringMatch::Exact(_) | StringMatch::Regex(_)) => Self::Whole,
            Some(StringMatch::Prefix(prefix)) if prefix == "/" => Self::Everything,
            Some(StringMatch::Prefix(prefix)) if ignores_case || prefix.is_empty() => Self::Loosely,
            Some(StringMatch::Prefix(prefix)) => Self::Prefix(prefix),
        }
    }
}

/// What the rule makes of paths that one of its matches fits; `None` if an HTTPRoute cannot.
pub fn of(
    rule: &HttpRoute,
    wanted: Option<&HttpMatchRequest>,
    options: Options,
    path: &FieldPath,
    notes: &mut Notes<'_, VirtualService>,
) -> Option<PathChange> {
    let matched = Matched::of(wanted);
    if let Some(redirect) = &rule.redirect {
        let Some(value) = redirect
            .prefix_rewrite
            .as_deref()
            .filter(|value| !value.is_empty())
        else {
            return Some(PathChange::None);
        };
        let place = path.key("redirect").key("prefixRewrite");
        if options.istio < PREFIX_REDIRECT {
            let message = format!(
                "Istio {} does not have the field and would not replace the prefix",
                options.istio
            );
            notes.keep(Code::Redirect, &place, message);
            return None;
        }
        let change = of_redirect(value, matched);
        if change.is_none() {
            let message = format!(
                "`{value}` replaces a prefix that is matched as a string; an HTTPRoute replaces segments, and would make other paths of it"
            );
            notes.keep(Code::Redirect, &place, message);
        }
        return change;
    }
    let Some(uri) = rule
        .rewrite
        .as_ref()
        .and_then(|rewrite| rewrite.uri.as_deref())
        .filter(|uri| !uri.is_empty())
    else {
        return Some(PathChange::None);
    };
    let change = of_rewrite(uri, matched);
    if change.is_none() {
        let place = path.key("rewrite").key("uri");
        let message = match matched {
            Matched::Whole => format!(
                "`{uri}` has a backslash, which is a back-reference in the form that istiod makes of an HTTPRoute, or more than 1024 characters"
            ),
            _ => format!(
                "`{uri}` replaces a prefix that is matched as a string; an HTTPRoute replaces segments, and would make other paths of `//` and of longer words"
            ),
        };
        notes.keep(Code::RewriteOfPrefix, &place, message);
    }
    change
}

fn of_rewrite(uri: &str, matched: Matched<'_>) -> Option<PathChange> {
    match matched {
        Matched::Whole => {
            (!uri.contains('\\') && uri.len() <= MAX_PATH).then(|| PathChange::Full(uri.to_owned()))
        }
        Matched::Everything if uri == "/" => Some(PathChange::None),
        Matched::Prefix(prefix) if uri == prefix => Some(PathChange::None),
        Matched::Prefix(prefix) => between_slashes(prefix, uri, "/"),
        // istiod takes a value's last slash away and puts none between it and the rest, so `/v1/` in place of `/`
        // would make `/v1x` of `/x`.
        Matched::Everything | Matched::Loosely => None,
    }
}

fn of_redirect(value: &str, matched: Matched<'_>) -> Option<PathChange> {
    if value.contains(['?', '#']) {
        return None;
    }
    match matched {
        Matched::Whole => (value.len() <= MAX_PATH).then(|| PathChange::Full(value.to_owned())),
        Matched::Everything if value == "/" => Some(PathChange::None),
        Matched::Everything => is_between_slashes(value).then(|| PathChange::Prefix {
            segments: None,
            value: value.to_owned(),
        }),
        Matched::Prefix(prefix) if value == prefix => Some(PathChange::None),
        // An empty value would mean that the path stays.
        Matched::Prefix(prefix) if value != "/" => between_slashes(prefix, value, ""),
        Matched::Prefix(_) | Matched::Loosely => None,
    }
}

fn is_between_slashes(text: &str) -> bool {
    text.len() <= MAX_PATH && text.starts_with('/') && text.ends_with('/') && !text.contains("//")
}

/// Where both end with a slash, replacing text and replacing segments come to the same, except for the one path
/// that has no slash at its end.
fn between_slashes(prefix: &str, value: &str, root: &str) -> Option<PathChange> {
    let segments = prefix.strip_suffix('/').filter(|segments| is_clean(segments))?;
    let value = value.strip_suffix('/').filter(|_| is_between_slashes(value))?;
    let value = if value.is_empty() { root } else { value };
    Some(PathChange::Prefix {
        segments: Some(segments.to_owned()),
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_replaced_only_where_both_apis_make_the_same_path() {
        let prefix = |segments: &str, value: &str| {
            Some(PathChange::Prefix {
                segments: Some(segments.into()),
                value: value.into(),
            })
        };
        for (matched, uri, expected) in [
            (Matched::Prefix("/api/"), "/", prefix("/api", "/")),
            (Matched::Prefix("/api/"), "/v1/", prefix("/api", "/v1")),
            (Matched::Prefix("/api"), "/", None),
            (Matched::Prefix("/api"), "/v1", None),
            (Matched::Prefix("/api/"), "/v1", None),
            (Matched::Prefix("/api/"), "//", None),
            (Matched::Prefix("/api"), "/api", Some(PathChange::None)),
            (Matched::Everything, "/", Some(PathChange::None)),
            (Matched::Everything, "/v1/", None),
            (Matched::Whole, "/new", Some(PathChange::Full("/new".into()))),
            (Matched::Whole, r"/\1", None),
            (Matched::Loosely, "/", None),
        ] {
            assert_eq!(of_rewrite(uri, matched), expected, "{matched:?} {uri}");
        }
        assert_eq!(
            of_redirect("/v1/", Matched::Prefix("/api/")),
            prefix("/api", "/v1")
        );
        assert_eq!(of_redirect("/", Matched::Prefix("/api/")), None);
    }
}
