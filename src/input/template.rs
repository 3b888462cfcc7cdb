//! Templates that must be rendered before they mean anything: recognised, named, passed over.

use model::{Node, Value};

/// What one of the tools' instructions begins with: most texts hold none, and need no closer look.
const MARKS: [&str; 4] = ["{{", "{%", "<%", "#@"];

/// The tool whose template this text is, if a line of it is an instruction of that tool.
#[must_use]
pub fn of_text(text: &str) -> Option<&'static str> {
    if !MARKS.iter().any(|mark| text.contains(mark)) {
        return None;
    }
    for line in structure(text) {
        let line = line.trim_start();
        let comment = line.starts_with('#');
        if line.starts_with("{{") || (!comment && has_unquoted_action(line)) {
            return Some(
                if text.contains(".Values") || text.contains(".Release") || text.contains("include ") {
                    "Helm"
                } else {
                    "Go template"
                },
            );
        }
        if line.starts_with("{%") {
            return Some("Jinja");
        }
        if line.starts_with("<%") {
            return Some("ERB");
        }
        if line.starts_with("#@ ") || line.starts_with("#@data/") {
            return Some("ytt");
        }
    }
    None
}

/// The lines of a YAML text that are not inside of block scalars: what stands there is text, whichever tool it
/// is for. What `istioctl manifest generate` prints carries Go templates in that way.
fn structure(text: &str) -> impl Iterator<Item = &str> {
    let mut scalar: Option<usize> = None;
    text.lines().filter(move |line| {
        let indentation = line.len() - line.trim_start().len();
        if scalar.is_some_and(|of_key| line.trim().is_empty() || indentation > of_key) {
            return false;
        }
        scalar = begins_block_scalar(line).then_some(indentation);
        true
    })
}

/// Whether what follows this line, further indented, is one text: `key: |-` and its like.
fn begins_block_scalar(line: &str) -> bool {
    let Some((before, header)) = line.trim_end().rsplit_once(' ') else {
        return false;
    };
    let modifiers = header.strip_prefix(['|', '>']);
    let is_header = modifiers.is_some_and(|rest| {
        rest.bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+'))
    });
    is_header && (before.ends_with(':') || before.ends_with('-'))
}

/// `key: {{ … }}` and `- {{ … }}`: an action where YAML would read a mapping in a mapping.
fn has_unquoted_action(line: &str) -> bool {
    line.contains("}}") && [": {{", "- {{"].iter().any(|start| line.contains(start))
}

/// The tool whose placeholder stands in a value of the tree.
#[must_use]
pub fn of_value(node: &Node) -> Option<&'static str> {
    match &node.value {
        Value::Str(text) => placeholder(text),
        Value::Seq(items) => items.iter().find_map(of_value),
        Value::Map(entries) => entries
            .iter()
            .find_map(|e| placeholder(&e.key).or_else(|| of_value(&e.node))),
        _ => None,
    }
}

fn placeholder(text: &str) -> Option<&'static str> {
    if !text.bytes().any(|byte| matches!(byte, b'{' | b'$')) {
        return None;
    }
    if text.contains("{{") && text.contains("}}") {
        return Some("Go template");
    }
    let variable = |open: &str, close: char| {
        text.split(open).skip(1).any(|rest| {
            rest.split_once(close).is_some_and(|(name, _)| {
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            })
        })
    };
    if variable("${", '}') {
        return Some("shell variable");
    }
    variable("$(", ')').then_some("Kustomize variable")
}

/// What a document without `kind` or name is, where it can be told.
#[must_use]
pub fn fragment(node: &Node) -> Option<&'static str> {
    if node
        .items()
        .first()
        .is_some_and(|op| op.get("op").is_some() && op.get("path").is_some())
    {
        return Some("a JSON patch; build the Kustomize tree first");
    }
    if node.get("$patch").is_some() || node.at(&["metadata", "$patch"]).is_some() {
        return Some("a Kustomize patch; build the Kustomize tree first");
    }
    if node.get("resources").is_some() && (node.get("kind").is_none() || node.get("apiVersion").is_none()) {
        return Some("a Kustomize tree; build it first");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_told_from_manifests() {
        for (text, expected) in [
            ("{{- if .Values.enabled }}\nkind: Service\n", Some("Helm")),
            (
                "kind: Service\nmetadata:\n  name: {{ .Name }}\n",
                Some("Go template"),
            ),
            ("{% for x in y %}\nkind: Service\n", Some("Jinja")),
            ("#@ load(\"x\")\nkind: Service\n", Some("ytt")),
            ("# {{ in a comment }}\nkind: Service\n", None),
            (
                "data:\n  config: |-\n    {{- if .Values.x }}\n\n    a: {{ .y }}\n  other: x\n",
                None,
            ),
            (
                "data:\n  config: |\n    text\n  name: {{ .Name }}\n",
                Some("Go template"),
            ),
            ("paths: [\"/a/{*}\", \"{{x}}\"]\n", None),
        ] {
            assert_eq!(of_text(text), expected, "{text}");
        }
        assert_eq!(placeholder("a-${NAME}.svc"), Some("shell variable"));
        assert_eq!(placeholder("^/a$"), None);
        assert_eq!(placeholder("$(CLUSTER)"), Some("Kustomize variable"));
    }
}
