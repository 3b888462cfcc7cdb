//! Every output format. A renderer gets a finished [`Report`] and a writer; it sees neither the cluster, nor
//! the clock, nor the terminal.

mod clean;
mod concise;
mod diff;
mod github;
mod json;
mod junit;
mod look;
mod markdown;
pub mod plan;
mod sarif;
mod text;

pub use clean::clean;
pub use look::{Look, wrapped};
pub use text::summary;

use crate::convert::{Change, Disposition, Outcome};
use crate::finding::{Finding, Severity};
use crate::pages::Page;
use crate::precheck::{NotChecked, Passed};
use clap::ValueEnum;
use std::io::{self, Write};

/// Which question a report answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// What stands in the way?
    Precheck,
    /// What would the configuration become?
    Convert,
}

impl Command {
    /// The subcommand.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Precheck => "precheck",
            Self::Convert => "convert",
        }
    }
}

/// An answer, ready to be shown.
#[derive(Debug)]
pub struct Report {
    /// The question.
    pub command: Command,
    /// What was read, in words.
    pub source: String,
    /// What could not be read; with any of these, the answer is about a part of the input.
    pub errors: Vec<Finding>,
    /// Why the view of a cluster is partial, one sentence each.
    pub gaps: Vec<String>,
    /// Findings, the worst first.
    pub findings: Vec<Finding>,
    /// Rules that found nothing.
    pub passed: Vec<Passed>,
    /// Rules that could not be judged.
    pub not_checked: Vec<NotChecked>,
    /// New objects.
    pub changes: Vec<Change>,
    /// Every object of the input and what became of it.
    pub outcomes: Vec<Outcome>,
    /// The pages of all codes.
    pub pages: Vec<Page>,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: grouped findings, diffs
    Text,
    /// One line per finding, for grep
    Concise,
    /// Everything, with a published schema (docs/schema/report-v1.json)
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// JUnit XML, for test reports of CI servers
    Junit,
    /// Annotations of GitHub Actions
    Github,
    /// A comment on a pull request
    Markdown,
}

impl Report {
    /// How many findings there are of a severity, without errors of the input.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|f| f.severity == severity).count()
    }

    /// How many objects ended in a way.
    #[must_use]
    pub fn outcome_count(&self, disposition: Disposition) -> usize {
        self.outcomes
            .iter()
            .filter(|o| o.disposition == disposition)
            .count()
    }

    /// Errors and findings: all that has a place.
    fn all(&self) -> impl Iterator<Item = &Finding> {
        self.errors.iter().chain(&self.findings)
    }

    /// The title of a code.
    fn title(&self, code: &str) -> &str {
        self.page(code).map_or("", |page| &page.title)
    }

    fn page(&self, code: &str) -> Option<&Page> {
        self.pages.iter().find(|page| page.id == code)
    }
}

/// Writes a report in a format.
///
/// # Errors
/// What the writer says.
pub fn render(report: &Report, format: Format, look: Look, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Text => text::render(report, look, out),
        Format::Concise => concise::render(report, out),
        Format::Json => json::render(report, out),
        Format::Sarif => sarif::render(report, out),
        Format::Junit => junit::render(report, out),
        Format::Github => github::render(report, out),
        Format::Markdown => markdown::render(report, out),
    }
}

/// `1 object`, `2 objects`.
pub fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

/// Pretty JSON that is safe to look at.
fn write_json(value: &impl serde::Serialize, out: &mut dyn Write) -> io::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    writeln!(out, "{}", clean::clean_json(&text))
}
