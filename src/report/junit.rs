//! JUnit XML: a test case per rule that passed or was skipped, and per finding.

use super::Report;
use super::clean::is_unsafe;
use crate::finding::{Finding, Severity};
use std::fmt::Write as _;
use std::io::{self, Write};

pub fn render(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let failed = report
        .findings
        .iter()
        .filter(|f| f.severity > Severity::Info)
        .count();
    let tests = report.errors.len() + report.findings.len() + report.passed.len() + report.not_checked.len();
    let (errors, skipped) = (report.errors.len(), report.not_checked.len());
    let counts = format!(r#"tests="{tests}" failures="{failed}" errors="{errors}""#);
    let name = format!("mesh-migrate {}", report.command.name());
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    writeln!(out, r#"<testsuites name="{name}" {counts}>"#)?;
    writeln!(out, r#"  <testsuite name="{name}" {counts} skipped="{skipped}">"#)?;
    for finding in &report.errors {
        case(report, finding, Some("error"), out)?;
    }
    for finding in &report.findings {
        case(
            report,
            finding,
            (finding.severity > Severity::Info).then_some("failure"),
            out,
        )?;
    }
    for rule in &report.not_checked {
        let (code, title, missing) = (xml(&rule.code), xml(&rule.title), xml(&rule.missing));
        writeln!(out, r#"    <testcase classname="{code}" name="{title}">"#)?;
        writeln!(out, r#"      <skipped>{missing}</skipped>"#)?;
        writeln!(out, "    </testcase>")?;
    }
    for rule in &report.passed {
        writeln!(
            out,
            r#"    <testcase classname="{}" name="{}"/>"#,
            xml(&rule.code),
            xml(&rule.title)
        )?;
    }
    writeln!(out, "  </testsuite>\n</testsuites>")
}

fn case(report: &Report, finding: &Finding, element: Option<&str>, out: &mut dyn Write) -> io::Result<()> {
    let place = finding.location.to_string();
    let name = match &finding.location.object {
        Some(object) => object.to_string(),
        None => place.clone(),
    };
    writeln!(
        out,
        r#"    <testcase classname="{}" name="{}">"#,
        xml(&finding.code),
        xml(&name)
    )?;
    let message = xml(&finding.message);
    let mut text = format!(
        "{place}: {}[{}]: {}",
        finding.severity,
        finding.code,
        report.title(&finding.code)
    );
    let _ = write!(text, "\n{}", finding.message);
    if !finding.fix.is_empty() {
        let _ = write!(text, "\nfix: {}", finding.fix);
    }
    let text = xml(&text);
    match element {
        Some(element) => {
            let kind = finding.severity;
            writeln!(
                out,
                r#"      <{element} message="{message}" type="{kind}">{text}</{element}>"#
            )?;
        }
        None => writeln!(out, "      <system-out>{text}</system-out>")?,
    }
    writeln!(out, "    </testcase>")
}

/// Text in XML; characters that XML cannot hold at all are spelled out.
fn xml(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\n' => xml.push_str("&#10;"),
            c if is_unsafe(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => xml.extend(c.escape_default()),
            c => xml.push(c),
        }
    }
    xml
}

#[cfg(test)]
mod tests {
    use super::xml;

    #[test]
    fn any_text_is_text_in_xml() {
        for (text, expected) in [
            ("a < b && \"c\"", "a &lt; b &amp;&amp; &quot;c&quot;"),
            ("]]>", "]]&gt;"),
            ("two\nlines", "two&#10;lines"),
            (
                "\u{0}\u{1b}[31m\u{9b}\u{202e}\u{ffff}",
                "\\u{0}\\u{1b}[31m\\u{9b}\\u{202e}\\u{ffff}",
            ),
        ] {
            assert_eq!(xml(text), expected);
        }
    }
}
