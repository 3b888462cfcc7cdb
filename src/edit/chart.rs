//! Charts of Helm: what a template holds that a conversion would have looked at, and where a rendered object is from.

use std::collections::BTreeSet;

/// Kinds of Istio that have something to do with a conversion.
const KINDS: &[&str] = &[
    "VirtualService",
    "AuthorizationPolicy",
    "RequestAuthentication",
    "PeerAuthentication",
    "DestinationRule",
    "ServiceEntry",
    "Sidecar",
    "EnvoyFilter",
    "WasmPlugin",
    "Telemetry",
];

/// An object of a template that would have been converted or told about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Templated {
    /// Its kind.
    pub kind: &'static str,
    /// The line with its kind, from 1.
    pub line: u32,
    /// The values that its document takes, as `.Values.web.hosts`.
    pub values: Vec<String>,
}

/// The objects of a template that matter, by the lines that say their kinds.
#[must_use]
pub fn objects(template: &str) -> Vec<Templated> {
    let mut found = Vec::new();
    let mut document = String::new();
    let mut kinds: Vec<(&'static str, u32)> = Vec::new();
    let lines = (1u32..).zip(template.lines());
    for (number, line) in lines.chain([(0, "---")]) {
        if line.starts_with("---") {
            let values = values(&document);
            found.extend(kinds.drain(..).map(|(kind, line)| Templated {
                kind,
                line,
                values: values.clone(),
            }));
            document.clear();
            continue;
        }
        let kind = line
            .trim()
            .strip_prefix("kind:")
            .map(|kind| kind.trim().trim_matches(['"', '\'']));
        // A kind further in is a reference, or a template of pods.
        if let Some(kind) = kind.filter(|_| line.starts_with("kind:"))
            && let Some(known) = KINDS.iter().find(|known| **known == kind)
        {
            kinds.push((known, number));
        }
        document.push_str(line);
        document.push('\n');
    }
    found
}

/// All `.Values.…` of a text, each once.
fn values(text: &str) -> Vec<String> {
    let names: BTreeSet<String> = text
        .split(".Values.")
        .skip(1)
        .map(|rest| {
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))
                .unwrap_or(rest.len());
            format!(".Values.{}", rest[..end].trim_end_matches('.'))
        })
        .filter(|name| name.len() > ".Values.".len())
        .collect();
    names.into_iter().collect()
}

/// The template that a document was rendered from, as Helm notes it above: `shop/templates/web.yaml`.
#[must_use]
pub fn source(document: &str) -> Option<&str> {
    document
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with('#') || line.starts_with("---"))
        .find_map(|line| line.strip_prefix("# Source: "))
        .map(str::trim)
        .filter(|source| source.contains("/templates/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_templates_are_found_with_their_values() {
        let template = "{{- if .Values.web.enabled }}\nkind: VirtualService\nspec:\n  hosts: {{ .Values.web.hosts | toYaml }}\n\
            {{- end }}\n---\nkind: Service\n---\nkind: \"AuthorizationPolicy\"\nspec: {targetRefs: [{kind: Sidecar}]}\n";
        let found = objects(template);
        let shown: Vec<_> = found
            .iter()
            .map(|o| (o.kind, o.line, o.values.join(" ")))
            .collect();
        assert_eq!(
            shown,
            [
                (
                    "VirtualService",
                    2,
                    ".Values.web.enabled .Values.web.hosts".to_owned()
                ),
                ("AuthorizationPolicy", 9, String::new()),
            ]
        );
    }

    #[test]
    fn helm_notes_where_a_document_is_from() {
        let document = "---\n# Source: shop/templates/web.yaml\nkind: VirtualService\n";
        assert_eq!(source(document), Some("shop/templates/web.yaml"));
        assert_eq!(
            source("kind: VirtualService\n# Source: shop/templates/web.yaml\n"),
            None
        );
        assert_eq!(source("# Source: the wiki\nkind: VirtualService\n"), None);
    }
}
