//! Annotations of GitHub Actions: workflow commands on standard output.

use super::{Report, counted};
use crate::finding::{Finding, Severity};
use model::Origin;
use std::io::{self, Write};

pub fn render(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    for finding in report.all() {
        annotation(report, finding, out)?;
    }
    for gap in &report.gaps {
        writeln!(out, "::warning title=partial view::{}", data(gap))?;
    }
    let new = counted(report.changes.len(), "new object");
    match report.command {
        super::Command::Convert => writeln!(out, "::notice title=mesh-migrate::{new}"),
        super::Command::Precheck => Ok(()),
    }
}

fn annotation(report: &Report, finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    let level = match finding.severity {
        Severity::Blocker => "error",
        Severity::Warning => "warning",
        Severity::Info => "notice",
    };
    write!(out, "::{level} ")?;
    if let Origin::File(path) = &finding.location.origin {
        write!(out, "file={},", property(path.trim_start_matches("./")))?;
        let mark = finding.location.mark;
        if mark.is_known() {
            write!(out, "line={},col={},", mark.line, mark.column)?;
        }
    }
    let title = format!("{} {}", finding.code, report.title(&finding.code));
    let mut message = match &finding.location.object {
        Some(object) => format!("{object}: {}", finding.message),
        None => finding.message.clone(),
    };
    if !finding.fix.is_empty() {
        message = format!("{message}\nfix: {}", finding.fix);
    }
    writeln!(out, "title={}::{}", property(title.trim()), data(&message))
}

fn data(text: &str) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    super::clean(&text).into_owned()
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::{data, property};

    #[test]
    fn a_message_cannot_become_a_command() {
        assert_eq!(data("100%\n::error::x"), "100%25%0A::error::x");
        assert_eq!(property("a,line=3:b"), "a%2Cline=3%3Ab");
    }
}
