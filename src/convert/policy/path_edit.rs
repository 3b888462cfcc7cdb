//! What a route makes of a path, and back.

use super::pattern::{Bound, Found, Pattern, head};

/// What a route does to a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathEdit {
    /// The text at the beginning is replaced, as VirtualServices do.
    Start {
        /// What is matched.
        from: String,
        /// What comes in its place; begins with `/`.
        to: String,
    },
    /// The whole path is replaced.
    Whole(String),
    /// It cannot be said what comes out.
    Opaque,
}

impl PathEdit {
    /// The paths that the edit turns into texts of the set, among those that the route takes.
    pub fn back(&self, wanted: &Pattern, bound: Bound) -> Found<Vec<Pattern>> {
        match self {
            Self::Start { from, to } => back(from, to, wanted, bound),
            Self::Whole(path) if wanted.holds(path) => Found::exactly(vec![Pattern::Any]),
            Self::Whole(_) => Found::exactly(Vec::new()),
            Self::Opaque => match bound {
                Bound::AtLeast => Found::nearly(vec![Pattern::Any]),
                Bound::AtMost => Found::nearly(Vec::new()),
            },
        }
    }

    /// Paths of which the server's sidecar makes something else before it judges them: `/api../x` with `/api` turned
    /// into `/` becomes `/../x`, and then `/x`.
    pub fn strays(&self) -> Vec<Pattern> {
        match self {
            Self::Start { from, to } if joins(from, to) => vec![
                Pattern::Exact(format!("{from}.")),
                Pattern::Exact(format!("{from}..")),
                Pattern::Prefix(format!("{from}./")),
                Pattern::Prefix(format!("{from}../")),
            ],
            _ => Vec::new(),
        }
    }
}

/// Whether what follows the matched text comes to stand behind a slash that it did not stand behind before.
fn joins(from: &str, to: &str) -> bool {
    to.ends_with('/') && !from.ends_with('/')
}

fn back(from: &str, to: &str, wanted: &Pattern, bound: Bound) -> Found<Vec<Pattern>> {
    let mut found = back_as_text(from, to, wanted, bound);
    // The sidecar may merge slashes (`pathNormalization`): then `//x` was judged as `/x`.
    if joins(from, to) {
        match bound {
            Bound::AtLeast => {
                let merged = back_as_text(&format!("{from}/"), to, wanted, bound);
                found.value.extend(merged.value);
                found.exact = false;
            }
            Bound::AtMost if matches!(wanted, Pattern::Any) => {}
            Bound::AtMost => {
                let doubled = format!("{from}/");
                found
                    .value
                    .retain(|pattern| !Pattern::Prefix(doubled.clone()).includes(pattern));
            }
        }
    }
    found.value.sort();
    found.value.dedup();
    found
}

fn back_as_text(from: &str, to: &str, wanted: &Pattern, bound: Bound) -> Found<Vec<Pattern>> {
    let all = || Pattern::Prefix(from.to_owned());
    match wanted {
        Pattern::Any => Found::exactly(vec![all()]),
        Pattern::Exact(value) => Found::exactly(
            value
                .strip_prefix(to)
                .map(|rest| Pattern::Exact(format!("{from}{rest}")))
                .into_iter()
                .collect(),
        ),
        Pattern::Prefix(value) if to.starts_with(value.as_str()) => Found::exactly(vec![all()]),
        Pattern::Prefix(value) => Found::exactly(
            value
                .strip_prefix(to)
                .map(|rest| Pattern::Prefix(format!("{from}{rest}")))
                .into_iter()
                .collect(),
        ),
        Pattern::Suffix(value) => back_suffix(from, to, value, bound),
        Pattern::Template(value) => back_template(from, to, value, bound),
    }
}

fn back_suffix(from: &str, to: &str, suffix: &str, bound: Bound) -> Found<Vec<Pattern>> {
    // The suffix may begin inside of what is put in.
    let mut found: Vec<Pattern> = suffix
        .char_indices()
        .skip(1)
        .chain([(suffix.len(), ' ')])
        .filter_map(|(at, _)| suffix.split_at_checked(at))
        .filter(|(inside, _)| to.ends_with(inside))
        .map(|(_, rest)| Pattern::Exact(format!("{from}{rest}")))
        .collect();
    let behind = Pattern::Suffix(suffix.to_owned());
    if from == "/" && !suffix.starts_with('/') {
        found.push(behind);
        return Found::exactly(found);
    }
    if bound == Bound::AtLeast {
        found.push(behind);
    }
    Found::nearly(found)
}

fn back_template(from: &str, to: &str, template: &str, bound: Bound) -> Found<Vec<Pattern>> {
    let whole = head(template)
        .strip_prefix(to)
        .and_then(|_| template.strip_prefix(to));
    // A placeholder must stay a segment of its own.
    let rest = whole.filter(|rest| !rest.starts_with('{') || from.ends_with('/'));
    match rest {
        Some(rest) if !from.contains('{') => Found::exactly(vec![Pattern::Template(format!("{from}{rest}"))]),
        _ if whole.is_none() && !to.starts_with(head(template)) => Found::exactly(Vec::new()),
        _ => match bound {
            Bound::AtLeast => Found::nearly(vec![Pattern::Prefix(from.to_owned())]),
            Bound::AtMost => Found::nearly(Vec::new()),
        },
    }
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
    const EDITS: [(&str, &str); 8] = [
        ("/api/", "/"),
        ("/api", "/"),
        ("/api", "/v1"),
        ("/api", "/v1/"),
        ("/", "/v1"),
        ("/", "/v1/"),
        ("/api/", "/v1/"),
        ("/a", "/admin"),
    ];

    /// As the server's sidecar does before it judges.
    fn normal(path: &str) -> String {
        let mut kept: Vec<&str> = Vec::new();
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        for (index, segment) in segments.iter().enumerate() {
            let last = index + 1 == segments.len();
            match *segment {
                "." | ".." => {
                    if *segment == ".." {
                        kept.pop();
                    }
                    if last {
                        kept.push("");
                    }
                }
                other => kept.push(other),
            }
        }
        format!("/{}", kept.join("/"))
    }

    #[test]
    fn going_back_through_a_rewrite_lies_on_its_side() {
        let tails = [
            "", "x", "/x", "admin", "/admin", "n", "a/x", "/a/x", "../admin", "./admin", "..", "v1/x", "dmin",
        ];
        for ((from, to), set) in EDITS.iter().flat_map(|edit| SETS.map(|set| (*edit, set))) {
            let edit = PathEdit::Start {
                from: from.to_owned(),
                to: to.to_owned(),
            };
            let wanted = Pattern::of_path(set);
            for tail in tails {
                let path = format!("{from}{tail}");
                if normal(&path) != path {
                    continue;
                }
                let seen = normal(&format!("{to}{tail}"));
                // Where slashes are merged, they are before the route, too.
                let merged = if path.contains("//") {
                    seen.clone()
                } else {
                    seen.replace("//", "/")
                };
                let stray = edit.strays().iter().any(|pattern| pattern.holds(&path));
                let held = |bound| {
                    edit.back(&wanted, bound)
                        .value
                        .iter()
                        .any(|pattern| pattern.holds(&path))
                };
                let fits = wanted.holds(&seen) || wanted.holds(&merged);
                assert!(!fits || stray || held(Bound::AtLeast), "{from} {to} {set} {path}");
                let fits = wanted.holds(&seen) && wanted.holds(&merged);
                assert!(fits || stray || !held(Bound::AtMost), "{from} {to} {set} {path}");
            }
        }
    }
}
