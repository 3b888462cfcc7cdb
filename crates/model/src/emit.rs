//! Plain values to YAML that every reader of Kubernetes takes the same way.
//!
//! `serde_yaml` leaves `y`, `yes` and `on` unquoted, as YAML 1.2 allows; the API machinery reads YAML 1.1 and
//! would make booleans of them. So strings are quoted here unless both readings agree.

use crate::scalar::is_text;
use serde_json::Value as Json;

/// Longer keys need a mark of their own: YAML 1.2.2 §8.2.2 limits the others to 1024 characters.
const MAX_KEY: usize = 1000;

/// A value as block YAML, ending in a line feed.
#[must_use]
pub fn to_text(value: &Json) -> String {
    let mut text = String::new();
    match value {
        Json::Object(fields) if !fields.is_empty() => mapping(fields, 0, &mut text),
        Json::Array(items) if !items.is_empty() => sequence(items, 0, &mut text),
        scalar => line(scalar, &mut text),
    }
    text
}

fn mapping(fields: &serde_json::Map<String, Json>, indent: usize, text: &mut String) {
    for (position, (key, value)) in fields.iter().enumerate() {
        if position > 0 {
            spaces(indent, text);
        }
        let start = text.len();
        string(key, text);
        if text.len() - start > MAX_KEY {
            text.insert_str(start, "? ");
            text.push('\n');
            spaces(indent, text);
        }
        text.push(':');
        match value {
            Json::Object(inner) if !inner.is_empty() => {
                text.push('\n');
                spaces(indent + 2, text);
                mapping(inner, indent + 2, text);
            }
            // Lists stand under their key without further indentation, as kubectl writes them.
            Json::Array(items) if !items.is_empty() => {
                text.push('\n');
                spaces(indent, text);
                sequence(items, indent, text);
            }
            Json::String(lines) if is_block(lines) => block(lines, indent + 2, text),
            scalar => {
                text.push(' ');
                line(scalar, text);
            }
        }
    }
}

fn sequence(items: &[Json], indent: usize, text: &mut String) {
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            spaces(indent, text);
        }
        text.push_str("- ");
        match item {
            Json::Object(inner) if !inner.is_empty() => mapping(inner, indent + 2, text),
            Json::Array(inner) if !inner.is_empty() => sequence(inner, indent + 2, text),
            scalar => line(scalar, text),
        }
    }
}

fn spaces(count: usize, text: &mut String) {
    text.extend(std::iter::repeat_n(' ', count));
}

/// A value that fits behind its key, and the end of the line.
fn line(value: &Json, text: &mut String) {
    match value {
        Json::String(value) => string(value, text),
        other => text.push_str(&other.to_string()),
    }
    text.push('\n');
}

/// A string, plain where no reader could take it for something else, else in double quotes: a JSON string is
/// also a YAML one.
fn string(value: &str, text: &mut String) {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b"-_./+*()[]?\\^$~ ".contains(&b);
    let starts_safely = value
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'/');
    let is_plain = starts_safely && !value.ends_with(' ') && value.bytes().all(safe) && is_text(value);
    if is_plain {
        text.push_str(value);
    } else {
        quoted(value, text);
    }
}

fn quoted(value: &str, text: &mut String) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                // Everything outside of the printable set of YAML lies in the basic plane here.
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

/// Whether a text reads better as a literal block, and survives it unchanged.
fn is_block(text: &str) -> bool {
    text.contains('\n')
        && text.ends_with('\n')
        && !text.ends_with("\n\n")
        && !text.starts_with([' ', '\n'])
        && text.chars().all(|c| {
            c == '\n' || !(c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}'))
        })
}

fn block(lines: &str, indent: usize, text: &mut String) {
    text.push_str(" |\n");
    for line in lines.lines() {
        if !line.is_empty() {
            spaces(indent, text);
            text.push_str(line);
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;
    use proptest::prelude::*;
    use serde_json::json;

    fn reread(text: &str) -> Json {
        Json::from(&yaml::parse(yaml::documents(text)[0]).unwrap().unwrap())
    }

    #[test]
    fn words_that_yaml_1_1_reads_as_something_else_are_quoted() {
        for word in [
            "y", "no", "On", "null", "~", "1e3", "0x1F", "010", "", " a", "a ", "a: b", "- a", "#", "é", "*",
        ] {
            assert!(to_text(&json!({ "k": word })).contains('"'), "{word:?}");
        }
        assert_eq!(
            to_text(&json!({ "k": ["/v[0-9]+/.*", { "a": {}, "b": [] }] })),
            "k:\n- /v[0-9]+/.*\n- a: {}\n  b: []\n"
        );
    }

    #[test]
    fn a_long_key_can_be_read() {
        let key = "k".repeat(1500);
        for value in [
            json!("x"),
            json!([{ "a": [1] }]),
            json!({ "b": { "c": "x\ny\n" } }),
            json!("x\n"),
        ] {
            let document = json!({ "a": { key.clone(): value, "z": 1 } });
            assert_eq!(reread(&to_text(&document)), document);
            assert_eq!(
                serde_yaml::from_str::<Json>(&to_text(&document)).unwrap(),
                document
            );
        }
    }

    fn value() -> impl Strategy<Value = Json> {
        let text = prop_oneof![
            "[a-z/*{}\\[\\],:#&!|>'\"%@`. \\n\\t-]{0,12}",
            "\\PC{0,6}",
            "(y|yes|no|on|~|null|[0-9._+-]{1,5})"
        ];
        let leaf = prop_oneof![
            any::<bool>().prop_map(Json::from),
            any::<i32>().prop_map(Json::from),
            text.clone().prop_map(Json::from)
        ];
        leaf.prop_recursive(4, 32, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::btree_map(text.clone(), inner, 0..4)
                    .prop_map(|m| Json::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(value in value()) {
            let document = json!({ "value": value });
            let text = to_text(&document);
            prop_assert_eq!(&reread(&text), &document, "{}", text);
            // A reader of its own kind: YAML 1.2.
            prop_assert_eq!(serde_yaml::from_str::<Json>(&text).unwrap(), document, "{}", text);
        }
    }
}
