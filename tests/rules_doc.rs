//! Keeps the list of facts in docs/rules.md fresh.

use rules::Subject;
use std::fmt::Write as _;
use std::path::Path;

const BEGIN: &str =
    "<!-- facts: written by the test rules_doc; UPDATE_DOCS=1 cargo test --test rules_doc -->\n";

fn words(doc: &[&str]) -> String {
    let text = doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
    text.replace('|', "\\|")
}

fn facts() -> String {
    let mut text = String::new();
    for subject in Subject::ALL {
        let schema = subject.schema();
        let _ = write!(
            text,
            "\n### `{}`\n\n{}\n\n| fact | type | |\n|---|---|---|\n",
            schema.name,
            words(schema.doc)
        );
        for field in schema.fields {
            let kind = field.kind.to_string().replace('|', "\\|");
            let _ = writeln!(
                text,
                "| `{}.{}` | `{kind}` | {} |",
                schema.name,
                field.name,
                words(field.doc)
            );
        }
    }
    text
}

#[test]
fn the_list_of_facts_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (head, _) = document.split_once(BEGIN).expect("the marker of the list");
    let expected = format!("{head}{BEGIN}{}", facts());
    if document != expected && std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(
        found == expected,
        "docs/rules.md is stale; run UPDATE_DOCS=1 cargo test --test rules_doc"
    );
}

#[test]
fn the_example_is_a_good_rule() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (_, rest) = document.split_once("```yaml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    rules::Rule::parse("rules/ACME1001-namespace-without-owner.yaml", example).unwrap();
}
