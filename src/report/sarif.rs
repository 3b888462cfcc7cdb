//! SARIF 2.1.0, for code scanning.

use super::{Page, Report};
use crate::finding::{Finding, Severity};
use model::Origin;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

pub fn render(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    super::write_json(&log(report), out)
}

fn log(report: &Report) -> Value {
    let used: BTreeSet<&str> = report.all().map(|f| &*f.code).collect();
    let codes: Vec<&str> = used.into_iter().collect();
    let rules: Vec<Value> = codes
        .iter()
        .map(|code| report.page(code).map_or_else(|| json!({ "id": code }), rule))
        .collect();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let results: Vec<Value> = report
        .all()
        .map(|finding| result(finding, &codes, &fingerprint(finding, &mut seen)))
        .collect();
    let notifications: Vec<Value> = report
        .gaps
        .iter()
        .map(|gap| json!({ "level": "warning", "message": { "text": gap } }))
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "mesh-migrate",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules,
            }},
            "invocations": [{
                "executionSuccessful": report.errors.is_empty(),
                "toolExecutionNotifications": notifications,
            }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(page: &Page) -> Value {
    let mut markdown = format!(
        "**Why:** {}\n\n**Fix:** {}\n\n*Source:* {}",
        page.why.trim(),
        page.fix.trim(),
        page.source
    );
    if !page.docs.is_empty() {
        markdown.push_str("\n\n");
        markdown.push_str(&page.docs);
    }
    json!({
        "id": page.id,
        "name": page.name,
        "shortDescription": { "text": page.title },
        "fullDescription": { "text": page.why.trim() },
        "help": { "text": page.fix.trim(), "markdown": markdown },
        "defaultConfiguration": { "level": level(page.severity) },
    })
}

fn result(finding: &Finding, codes: &[&str], fingerprint: &str) -> Value {
    let mut text = finding.message.clone();
    if !finding.fix.is_empty() {
        text = format!("{text}\nfix: {}", finding.fix);
    }
    let mut location = serde_json::Map::new();
    if let Origin::File(path) = &finding.location.origin {
        let mut physical = json!({ "artifactLocation": { "uri": uri(path) } });
        let mark = finding.location.mark;
        if mark.is_known() {
            physical["region"] = json!({ "startLine": mark.line, "startColumn": mark.column });
        }
        location.insert("physicalLocation".to_owned(), physical);
    }
    if let Some(object) = &finding.location.object {
        let field = finding.location.path.to_string();
        let name = if field.is_empty() {
            object.to_string()
        } else {
            format!("{object}:{field}")
        };
        let logical = json!([{ "name": &*object.name, "fullyQualifiedName": name, "kind": "resource" }]);
        location.insert("logicalLocations".to_owned(), logical);
    }
    json!({
        "ruleId": finding.code,
        "ruleIndex": codes.binary_search(&&*finding.code).unwrap_or_default(),
        "level": level(finding.severity),
        "message": { "text": text },
        "locations": [location],
        "partialFingerprints": { "place/v1": fingerprint },
    })
}

/// What stays the same when lines move: the code, and the field of the object or the file. Equal ones are
/// numbered.
fn fingerprint(finding: &Finding, seen: &mut HashMap<String, usize>) -> String {
    let location = &finding.location;
    let place = match (&location.object, &location.origin) {
        (Some(object), _) => format!("{object}:{}", location.path),
        (None, Origin::File(path)) => path.replace('\\', "/"),
        (None, Origin::Cluster) => "cluster".to_owned(),
    };
    let fingerprint = format!("{}@{place}", finding.code);
    let count = seen.entry(fingerprint.clone()).or_default();
    *count += 1;
    format!("{fingerprint}#{count}")
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Blocker => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

/// A path as a reference of RFC 3986: relative as it is, absolute with the scheme `file`.
fn uri(path: &str) -> String {
    let path = path.replace('\\', "/");
    let drive = path.as_bytes().get(1) == Some(&b':') && path.starts_with(|c: char| c.is_ascii_alphabetic());
    let (start, rest) = match path.strip_prefix('/') {
        Some(rest) => ("file:///", rest),
        None if drive => ("file:///", path.as_str()),
        None => ("", path.trim_start_matches("./")),
    };
    let mut uri = start.to_owned();
    for (position, byte) in rest.bytes().enumerate() {
        match byte {
            b':' if drive && position == 1 => uri.push(':'),
            b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn paths_become_references() {
        for (path, expected) in [
            ("./shop/a b.yaml", "shop/a%20b.yaml"),
            ("../shop/ä%.yaml", "../shop/%C3%A4%25.yaml"),
            ("ab:c.yaml", "ab%3Ac.yaml"),
            ("/srv/mesh.yaml", "file:///srv/mesh.yaml"),
            ("C:\\mesh\\a.yaml", "file:///C:/mesh/a.yaml"),
            ("<stdin>", "%3Cstdin%3E"),
        ] {
            assert_eq!(uri(path), expected);
        }
    }
}
