//! Text for people: what stands in the way or what would change, then one line of counts.

use super::{Command, Look, Report, clean, counted, diff, wrapped};
use crate::convert::{Change, Disposition};
use crate::finding::{Finding, Severity};
use model::Origin;
use similar::ChangeTag;
use std::io::{self, Write};

/// More findings of one code than this are not listed on a terminal without `-v`.
const LONG_LIST: usize = 8;
const SEVERITIES: [Severity; 3] = [Severity::Blocker, Severity::Warning, Severity::Info];

pub fn render(report: &Report, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let mut text = Text { report, look, out };
    text.errors()?;
    text.gaps()?;
    if !look.quiet {
        text.changes()?;
    }
    text.findings()?;
    if !look.quiet {
        text.not_checked()?;
        text.passed()?;
    }
    text.summary()
}

struct Text<'a> {
    report: &'a Report,
    look: Look,
    out: &'a mut dyn Write,
}

impl Text<'_> {
    fn errors(&mut self) -> io::Result<()> {
        if self.report.errors.is_empty() {
            return Ok(());
        }
        let count = counted(self.report.errors.len(), "error");
        let heading = self
            .look
            .severity(Severity::Blocker, format!("Not readable: {count}"));
        writeln!(self.out, "{heading}\n")?;
        let all: Vec<&Finding> = self.report.errors.iter().collect();
        self.by_code(&all)
    }

    fn gaps(&mut self) -> io::Result<()> {
        if self.report.gaps.is_empty() {
            return Ok(());
        }
        let heading = self
            .look
            .severity(Severity::Warning, "Partial view: not everything could be read");
        writeln!(self.out, "{heading}\n")?;
        for gap in &self.report.gaps {
            writeln!(self.out, "  - {}", wrapped(&clean(gap), self.look.width, 4))?;
        }
        writeln!(self.out)
    }

    fn changes(&mut self) -> io::Result<()> {
        for change in &self.report.changes {
            self.change(change)?;
        }
        Ok(())
    }

    fn change(&mut self, change: &Change) -> io::Result<()> {
        let id = change.id.to_string();
        let from = format!("from {}", change.from);
        writeln!(
            self.out,
            "{}  {}",
            self.look.strong(clean(&id)),
            self.look.faint(clean(&from))
        )?;
        for line in diff::lines(change) {
            let text = match line.tag {
                Some(ChangeTag::Insert) => self.look.good(line.text),
                Some(ChangeTag::Delete) => self.look.bad(line.text),
                Some(ChangeTag::Equal) => line.text,
                None => self.look.place(line.text),
            };
            writeln!(self.out, "  {text}")?;
        }
        writeln!(self.out)
    }

    fn findings(&mut self) -> io::Result<()> {
        for severity in SEVERITIES {
            let some: Vec<&Finding> = self
                .report
                .findings
                .iter()
                .filter(|f| f.severity == severity)
                .collect();
            if some.is_empty() || (self.look.quiet && severity == Severity::Info) {
                continue;
            }
            let title = match severity {
                Severity::Blocker => "Blockers",
                Severity::Warning => "Warnings",
                Severity::Info => "For information",
            };
            let heading = self.look.severity(severity, format!("{title}: {}", some.len()));
            writeln!(self.out, "{heading}\n")?;
            self.by_code(&some)?;
        }
        Ok(())
    }

    /// One block per code, so that a rule that speaks of many objects is explained once.
    fn by_code(&mut self, findings: &[&Finding]) -> io::Result<()> {
        let mut blocks: Vec<(&str, Vec<&Finding>)> = Vec::new();
        let mut of_code: foldhash::HashMap<&str, usize> = foldhash::HashMap::default();
        for finding in findings {
            let index = *of_code.entry(&finding.code).or_insert_with(|| {
                blocks.push((&finding.code, Vec::new()));
                blocks.len() - 1
            });
            if let Some((_, block)) = blocks.get_mut(index) {
                block.push(*finding);
            }
        }
        for (code, some) in blocks {
            self.block(code, &some)?;
        }
        Ok(())
    }

    fn block(&mut self, code: &str, findings: &[&Finding]) -> io::Result<()> {
        let Some(first) = findings.first() else {
            return Ok(());
        };
        let label = format!("{}[{code}]", first.severity);
        let title = clean(self.report.title(code)).into_owned();
        writeln!(
            self.out,
            "{} {}",
            self.look.severity(first.severity, label),
            self.look.strong(title)
        )?;
        let shown = match self.look.width {
            Some(_) if !self.look.verbose && findings.len() > LONG_LIST + 1 => LONG_LIST,
            _ => findings.len(),
        };
        let same_fix = findings.iter().all(|f| f.fix == first.fix);
        for finding in findings.iter().take(shown) {
            self.finding(finding)?;
            if !same_fix {
                self.fix(&finding.fix, 4)?;
            }
        }
        if shown < findings.len() {
            let more = format!("… and {} more like these; -v lists them", findings.len() - shown);
            writeln!(self.out, "  {}", self.look.faint(more))?;
        }
        if same_fix {
            self.fix(&first.fix, 2)?;
        }
        writeln!(self.out)
    }

    fn finding(&mut self, finding: &Finding) -> io::Result<()> {
        let location = &finding.location;
        let place = location.to_string();
        write!(self.out, "  {}", self.look.place(clean(&place)))?;
        if let (Origin::File(_), Some(object)) = (&location.origin, &location.object) {
            write!(self.out, "  {}", clean(&object.to_string()))?;
        }
        writeln!(
            self.out,
            "\n    {}",
            wrapped(&clean(&finding.message), self.look.width, 4)
        )
    }

    fn fix(&mut self, fix: &str, indent: usize) -> io::Result<()> {
        if fix.is_empty() {
            return Ok(());
        }
        let margin = " ".repeat(indent);
        for (position, line) in fix.trim().lines().enumerate() {
            let label = if position == 0 { "fix: " } else { "     " };
            let line = wrapped(&clean(line), self.look.width, indent + 5);
            writeln!(self.out, "{margin}{}{line}", self.look.good(label))?;
        }
        Ok(())
    }

    fn not_checked(&mut self) -> io::Result<()> {
        let rules = &self.report.not_checked;
        if rules.is_empty() {
            return Ok(());
        }
        let heading = format!("Not checked: {}", counted(rules.len(), "rule"));
        if !self.look.verbose {
            return self.not_checked_in_short(&heading);
        }
        writeln!(self.out, "{}\n", self.look.strong(heading))?;
        for rule in rules {
            writeln!(self.out, "  {} {}", rule.code, clean(&rule.title))?;
            writeln!(
                self.out,
                "    missing: {}",
                wrapped(&clean(&rule.missing), self.look.width, 13)
            )?;
        }
        writeln!(self.out)
    }

    /// A line for each thing that is missing, with the codes of all rules that need it.
    fn not_checked_in_short(&mut self, heading: &str) -> io::Result<()> {
        let hint = "-v names the rules";
        writeln!(self.out, "{} ({hint})\n", self.look.strong(heading))?;
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
        for rule in &self.report.not_checked {
            let missing = rule.missing.trim_start_matches("nothing in the input tells; ");
            match groups.iter_mut().find(|(m, _)| *m == missing) {
                Some((_, codes)) => codes.push(&rule.code),
                None => groups.push((missing, vec![&rule.code])),
            }
        }
        for (missing, codes) in groups {
            let line = format!("{}: {}", clean(&codes.join(", ")), clean(missing));
            writeln!(self.out, "  {}", wrapped(&line, self.look.width, 4))?;
        }
        writeln!(self.out)
    }

    fn passed(&mut self) -> io::Result<()> {
        if !self.look.verbose || self.report.passed.is_empty() {
            return Ok(());
        }
        let heading = format!("Passed: {}", counted(self.report.passed.len(), "rule"));
        writeln!(self.out, "{}\n", self.look.strong(heading))?;
        for rule in &self.report.passed {
            writeln!(
                self.out,
                "  {} {}",
                self.look.good(&rule.code),
                clean(&rule.title)
            )?;
        }
        writeln!(self.out)
    }

    fn summary(&mut self) -> io::Result<()> {
        let line = wrapped(&summary(self.report), self.look.width, 2);
        let worst = self.report.all().map(|f| f.severity).max();
        let line = match worst {
            Some(severity) if severity > Severity::Info => self.look.severity(severity, line),
            _ => self.look.strong(line),
        };
        writeln!(self.out, "{line}")?;
        match next(self.report) {
            Some(next) if !self.look.quiet => writeln!(self.out, "{}", self.look.faint(next)),
            _ => Ok(()),
        }
    }
}

/// What to type next: the page of the first error or worst finding, or the next step if nothing is in the way.
fn next(report: &Report) -> Option<String> {
    match report.all().next() {
        Some(finding) if finding.severity > Severity::Info => {
            Some(format!("next: mesh-migrate explain {}", finding.code))
        }
        _ if report.command == Command::Precheck && report.gaps.is_empty() => {
            Some("next: mesh-migrate convert --dry-run, with the same input".to_owned())
        }
        Some(finding) => Some(format!(
            "more about a code: mesh-migrate explain {}",
            finding.code
        )),
        None => None,
    }
}

/// The closing line: what was asked about and how much was found.
pub fn summary(report: &Report) -> String {
    let mut parts = Vec::new();
    if !report.errors.is_empty() {
        parts.push(format!("{} in the input", counted(report.errors.len(), "error")));
    }
    match report.command {
        Command::Precheck => {
            parts.push(counted(report.count(Severity::Blocker), "blocker"));
            parts.push(counted(report.count(Severity::Warning), "warning"));
            parts.push(format!("{} for information", report.count(Severity::Info)));
            parts.push(format!("{} passed", counted(report.passed.len(), "rule")));
            if !report.not_checked.is_empty() {
                parts.push(format!("{} not checked", report.not_checked.len()));
            }
        }
        Command::Convert => {
            let of = |disposition| report.outcome_count(disposition);
            parts.push(format!(
                "{} converted to {}",
                of(Disposition::Converted),
                counted(report.changes.len(), "new object")
            ));
            parts.push(format!("{} kept", of(Disposition::Kept)));
            parts.push(format!("{} with nothing to do", of(Disposition::NothingToDo)));
            parts.push(format!("{} not ours", of(Disposition::NotOurs)));
        }
    }
    let partial = if report.gaps.is_empty() && report.errors.is_empty() {
        ""
    } else {
        " (a part only)"
    };
    format!("{}{partial}: {}", clean(&report.source), parts.join(", "))
}
