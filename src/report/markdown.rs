//! A comment on a pull request: a table of findings, and diffs that fold.

use super::text::summary;
use super::{Report, clean, counted, diff};
use crate::convert::Change;
use crate::finding::Finding;
use std::io::{self, Write};

pub fn render(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "### mesh-migrate {}\n\n{}\n",
        report.command.name(),
        cell(&summary(report))
    )?;
    if !report.errors.is_empty() {
        writeln!(out, "#### Not readable\n")?;
        table(report.errors.iter(), out)?;
    }
    if !report.gaps.is_empty() {
        writeln!(out, "#### Partial view\n")?;
        for gap in &report.gaps {
            writeln!(out, "- {}", cell(gap))?;
        }
        writeln!(out)?;
    }
    if !report.findings.is_empty() {
        writeln!(out, "#### Findings\n")?;
        table(report.findings.iter(), out)?;
    }
    if !report.changes.is_empty() {
        writeln!(out, "#### New objects\n")?;
        for change in &report.changes {
            folded(change, out)?;
        }
    }
    if !report.not_checked.is_empty() {
        let count = counted(report.not_checked.len(), "rule");
        writeln!(out, "<details><summary>Not checked: {count}</summary>\n")?;
        writeln!(out, "| Rule | Title | Missing |\n| --- | --- | --- |")?;
        for rule in &report.not_checked {
            writeln!(
                out,
                "| {} | {} | {} |",
                rule.code,
                cell(&rule.title),
                cell(&rule.missing)
            )?;
        }
        writeln!(out, "\n</details>")?;
    }
    Ok(())
}

fn table<'a>(findings: impl Iterator<Item = &'a Finding>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "| Severity | Code | Object | Place | What | Fix |\n| --- | --- | --- | --- | --- | --- |"
    )?;
    for finding in findings {
        let object = finding
            .location
            .object
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            finding.severity,
            finding.code,
            cell(&object),
            cell(&finding.location.to_string()),
            cell(&finding.message),
            cell(&finding.fix),
        )?;
    }
    writeln!(out)
}

fn folded(change: &Change, out: &mut dyn Write) -> io::Result<()> {
    let (id, from) = (change.id.to_string(), change.from.to_string());
    writeln!(
        out,
        "<details><summary>{} from {}</summary>\n",
        cell(&id),
        cell(&from)
    )?;
    let lines = diff::lines(change);
    // A fence must be longer than any run of backticks inside of it.
    let longest = lines
        .iter()
        .map(|line| longest_run(&line.text))
        .max()
        .unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    writeln!(out, "{fence}diff")?;
    for line in lines {
        writeln!(out, "{}", line.text)?;
    }
    writeln!(out, "{fence}\n\n</details>\n")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Text in a cell of a table, which is also safe as HTML; code in backticks stays code.
fn cell(text: &str) -> String {
    let text = text.trim().replace('\n', "<br>");
    let mut cell = String::with_capacity(text.len());
    for (position, part) in text.split("<br>").enumerate() {
        if position > 0 {
            cell.push_str("<br>");
        }
        for character in clean(part).chars() {
            match character {
                '|' => cell.push_str("\\|"),
                '<' => cell.push_str("&lt;"),
                '>' => cell.push_str("&gt;"),
                '@' => cell.push_str("&#64;"),
                other => cell.push(other),
            }
        }
    }
    cell
}
