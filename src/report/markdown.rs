//! A comment on a pull request: a table of findings, and diffs that fold.

use super::text::summary;
use super::{Report, clean, counted, diff};
use crate::convert::Change;
use crate::finding::Finding;
use std::io::{self, Write};

/// Room for findings and diffs: GitHub takes comments of up to 65,536 characters.
const ROOM: usize = 50_000;

pub fn render(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut room = ROOM;
    let (command, summary) = (report.command.name(), inline(&summary(report), Place::Line));
    writeln!(out, "### mesh-migrate {command}\n\n{summary}\n")?;
    if !report.errors.is_empty() {
        writeln!(out, "#### Not readable\n")?;
        table(&report.errors, &mut room, out)?;
    }
    if !report.gaps.is_empty() {
        writeln!(out, "#### Partial view\n")?;
        for gap in &report.gaps {
            writeln!(out, "- {}", inline(gap, Place::Line))?;
        }
        writeln!(out)?;
    }
    if !report.findings.is_empty() {
        writeln!(out, "#### Findings\n")?;
        table(&report.findings, &mut room, out)?;
    }
    if !report.changes.is_empty() {
        writeln!(out, "#### New objects\n")?;
        let diffs = report.changes.iter().map(folded);
        fitting(diffs, "new object", &mut room, out)?;
    }
    not_checked(report, out)
}

fn not_checked(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    if report.not_checked.is_empty() {
        return Ok(());
    }
    let count = counted(report.not_checked.len(), "rule");
    writeln!(out, "<details><summary>Not checked: {count}</summary>\n")?;
    writeln!(out, "| Rule | Title | Missing |\n| --- | --- | --- |")?;
    for rule in &report.not_checked {
        let (title, missing) = (cell(&rule.title), cell(&rule.missing));
        writeln!(out, "| {} | {title} | {missing} |", rule.code)?;
    }
    writeln!(out, "\n</details>")
}

fn table(findings: &[Finding], room: &mut usize, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "| Severity | Code | Object | Place | What | Fix |\n| --- | --- | --- | --- | --- | --- |"
    )?;
    fitting(findings.iter().map(row), "finding", room, out)?;
    writeln!(out)
}

fn row(finding: &Finding) -> String {
    let object = finding
        .location
        .object
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    format!(
        "| {} | {} | {} | {} | {} | {} |\n",
        finding.severity,
        finding.code,
        cell(&object),
        cell(&finding.location.to_string()),
        cell(&finding.message),
        cell(&finding.fix),
    )
}

/// Writes parts while there is room, then how many there are that had none.
fn fitting(
    mut parts: impl ExactSizeIterator<Item = String>,
    noun: &str,
    room: &mut usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    while let Some(part) = parts.next() {
        if part.len() > *room {
            // What comes next is less important, however short it is.
            *room = 0;
            let left = counted(parts.len() + 1, noun);
            return writeln!(out, "\n… and {left} more than fit into a comment");
        }
        *room -= part.len();
        out.write_all(part.as_bytes())?;
    }
    Ok(())
}

fn folded(change: &Change) -> String {
    let (id, from) = (html(&change.id.to_string()), html(&change.from.to_string()));
    let lines = diff::lines(change);
    // A fence must be longer than any run of backticks inside of it.
    let longest = lines
        .iter()
        .map(|line| longest_run(&line.text))
        .max()
        .unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let mut text = format!("<details><summary>{id} from {from}</summary>\n\n{fence}diff\n");
    for line in lines {
        text.push_str(&line.text);
        text.push('\n');
    }
    text.push_str(&fence);
    text.push_str("\n\n</details>\n\n");
    text
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Text between HTML tags.
fn html(text: &str) -> String {
    clean(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Where text stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Line,
    Cell,
}

fn cell(text: &str) -> String {
    inline(text, Place::Cell)
}

/// Text that is neither markup nor HTML nor a mention; code in backticks stays code.
fn inline(text: &str, place: Place) -> String {
    let lines = text.trim().lines().map(|line| {
        let line = clean(line);
        let parts: Vec<&str> = line.split('`').collect();
        let paired = parts.len() % 2 == 1 && parts.iter().skip(1).step_by(2).all(|p| !p.trim().is_empty());
        let mut inline = String::with_capacity(line.len() + 8);
        for (position, part) in parts.iter().enumerate() {
            match (position % 2, paired) {
                (1, true) => code(part, place, &mut inline),
                (_, true) => escape(part, &mut inline),
                (_, false) => {
                    if position > 0 {
                        inline.push_str("\\`");
                    }
                    escape(part, &mut inline);
                }
            }
        }
        inline
    });
    lines.collect::<Vec<_>>().join("<br>")
}

/// In code only the border of a cell means something.
fn code(text: &str, place: Place, inline: &mut String) {
    inline.push('`');
    match place {
        Place::Cell => inline.push_str(&text.replace('|', "\\|")),
        Place::Line => inline.push_str(text),
    }
    inline.push('`');
}

fn escape(text: &str, inline: &mut String) {
    for character in text.chars() {
        match character {
            '&' => inline.push_str("&amp;"),
            '<' => inline.push_str("&lt;"),
            '>' => inline.push_str("&gt;"),
            // An entity would still be a mention; an empty comment is not.
            '@' => inline.push_str("@<!-- -->"),
            '|' | '\\' | '*' | '_' | '~' | '[' | ']' => inline.extend(['\\', character]),
            other => inline.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, cell, fitting, inline};

    #[test]
    fn text_of_the_input_is_not_markup() {
        for (text, expected) in [
            ("a | b", "a \\| b"),
            ("<img src=x> &lt;", "&lt;img src=x&gt; &amp;lt;"),
            (
                "![x](https://a.b) *c* _d_",
                "!\\[x\\](https://a.b) \\*c\\* \\_d\\_",
            ),
            ("ask @team", "ask @<!-- -->team"),
            ("the key `a|<b>_c_` stands", "the key `a\\|<b>_c_` stands"),
            ("a lone ` and <b>", "a lone \\` and &lt;b&gt;"),
            ("``<b>``", "\\`\\`&lt;b&gt;\\`\\`"),
            ("two\nlines\u{1b}", "two<br>lines\\\\u{1b}"),
        ] {
            assert_eq!(cell(text), expected, "{text:?}");
        }
        assert_eq!(inline("`a|b`", Place::Line), "`a|b`");
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let parts = ["aaaa\n", "bbbbbb\n", "c\n"];
        let mut out = Vec::new();
        let mut room = 10;
        fitting(parts.iter().map(ToString::to_string), "row", &mut room, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "aaaa\n\n… and 2 rows more than fit into a comment\n");
        assert_eq!(room, 0);
    }
}
