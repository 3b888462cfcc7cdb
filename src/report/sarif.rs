//! SARIF 2.1.0, for code scanning.

use super::{Page, Report};
use crate::finding::{Finding, Severity};
use model::Origin;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{self, Write};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

pub fn render(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &log(report))?;
    writeln!(out)
}

fn log(report: &Report) -> Value {
    let used: BTreeSet<&str> = report.all().map(|f| &*f.code).collect();
    let codes: Vec<&str> = used.into_iter().collect();
    let rules: Vec<Value> = codes
        .iter()
        .map(|code| report.page(code).map_or_else(|| json!({ "id": code }), rule))
        .collect();
    let results: Vec<Value> = report.all().map(|finding| result(finding, &codes)).collect();
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

fn result(finding: &Finding, codes: &[&str]) -> Value {
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
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Blocker => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

/// A path as a relative (or absolute) reference of RFC 3986.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.trim_start_matches("./").bytes() {
        match byte {
            b'\\' => uri.push('/'),
            b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
