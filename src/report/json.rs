//! JSON, version 1: structs of their own, so that the program's types can change and this cannot.
//! The schema is `docs/schema/report-v1.json`.

use super::Report;
use crate::convert::Disposition;
use crate::finding::{Finding, Location, Severity};
use model::{ObjectRef, Origin};
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
struct ReportV1<'a> {
    version: u32,
    command: &'static str,
    source: &'a str,
    complete: bool,
    summary: Summary,
    errors: Vec<FindingV1<'a>>,
    gaps: &'a [String],
    findings: Vec<FindingV1<'a>>,
    passed: Vec<RuleV1<'a>>,
    not_checked: Vec<RuleV1<'a>>,
    changes: Vec<ChangeV1<'a>>,
    outcomes: Vec<OutcomeV1<'a>>,
}

#[derive(Serialize)]
struct Summary {
    errors: usize,
    blockers: usize,
    warnings: usize,
    infos: usize,
    converted: usize,
    kept: usize,
    nothing_to_do: usize,
    not_ours: usize,
    new_objects: usize,
}

#[derive(Serialize)]
struct FindingV1<'a> {
    code: &'a str,
    name: &'a str,
    severity: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    fix: &'a str,
    location: LocationV1<'a>,
}

#[derive(Serialize)]
struct LocationV1<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<ObjectV1<'a>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    field: String,
}

#[derive(Serialize)]
struct ObjectV1<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'a str,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    name: &'a str,
}

#[derive(Serialize)]
struct RuleV1<'a> {
    code: &'a str,
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<&'a str>,
}

#[derive(Serialize)]
struct ChangeV1<'a> {
    object: ObjectV1<'a>,
    from: ObjectV1<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<serde_json::Value>,
    after: serde_json::Value,
}

#[derive(Serialize)]
struct OutcomeV1<'a> {
    object: ObjectV1<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    outcome: &'static str,
}

pub fn render(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    super::write_json(&mirror(report), out)
}

fn mirror(report: &Report) -> ReportV1<'_> {
    ReportV1 {
        version: 1,
        command: report.command.name(),
        source: &report.source,
        complete: report.errors.is_empty() && report.gaps.is_empty(),
        summary: summary(report),
        errors: report.errors.iter().map(finding).collect(),
        gaps: &report.gaps,
        findings: report.findings.iter().map(finding).collect(),
        passed: report
            .passed
            .iter()
            .map(|r| rule(&r.code, &r.title, None))
            .collect(),
        not_checked: report
            .not_checked
            .iter()
            .map(|r| rule(&r.code, &r.title, Some(&r.missing)))
            .collect(),
        changes: report
            .changes
            .iter()
            .map(|change| ChangeV1 {
                object: object(&change.id),
                from: object(&change.from),
                before: change.before_json(),
                after: change.after.to_json(),
            })
            .collect(),
        outcomes: report
            .outcomes
            .iter()
            .map(|outcome| OutcomeV1 {
                object: object(&outcome.id),
                file: file(&outcome.origin),
                outcome: disposition(outcome.disposition),
            })
            .collect(),
    }
}

fn summary(report: &Report) -> Summary {
    Summary {
        errors: report.errors.len(),
        blockers: report.count(Severity::Blocker),
        warnings: report.count(Severity::Warning),
        infos: report.count(Severity::Info),
        converted: report.outcome_count(Disposition::Converted),
        kept: report.outcome_count(Disposition::Kept),
        nothing_to_do: report.outcome_count(Disposition::NothingToDo),
        not_ours: report.outcome_count(Disposition::NotOurs),
        new_objects: report.changes.len(),
    }
}

fn finding(finding: &Finding) -> FindingV1<'_> {
    FindingV1 {
        code: &finding.code,
        name: &finding.name,
        severity: finding.severity.as_str(),
        message: &finding.message,
        fix: &finding.fix,
        location: location(&finding.location),
    }
}

fn location(location: &Location) -> LocationV1<'_> {
    let known = location.mark.is_known();
    LocationV1 {
        file: file(&location.origin),
        line: known.then_some(location.mark.line),
        column: known.then_some(location.mark.column),
        object: location.object.as_ref().map(object),
        field: location.path.to_string(),
    }
}

fn object(id: &ObjectRef) -> ObjectV1<'_> {
    ObjectV1 {
        group: id.kind.group(),
        kind: id.kind.name(),
        namespace: id.namespace.as_deref(),
        name: &id.name,
    }
}

fn rule<'a>(code: &'a str, title: &'a str, missing: Option<&'a str>) -> RuleV1<'a> {
    RuleV1 { code, title, missing }
}

fn file(origin: &Origin) -> Option<&str> {
    match origin {
        Origin::File(path) => Some(path),
        Origin::Cluster => None,
    }
}

fn disposition(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::Converted => "converted",
        Disposition::Kept => "kept",
        Disposition::NothingToDo => "nothing-to-do",
        Disposition::NotOurs => "not-ours",
    }
}
