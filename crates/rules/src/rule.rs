//! Rule files: one YAML file each, checked against the facts.

use crate::build::parse_placed;
use crate::check::{Checked, Scope, similar};
use crate::expression::Expression;
use crate::facts::{MeshFacts, Subject};
use crate::page::Severity;
use crate::place::Spanned;
use model::{Mark, record, words};
use std::fmt;

words! {
    /// Who can take a finding out of the way.
    pub enum ResolvedBy {
        /// `convert` writes the remedy.
        Convert = "convert",
        /// The migration's plan: its order, labels and restarts.
        Plan = "plan",
        /// A person, or another repository.
        You = "you",
        /// Nobody in stock Istio: stay on sidecars, or leave it out.
        Nobody = "nobody",
    }
}

record! { strict;
    /// A rule as it stands in its file.
    pub struct RuleText {
        /// Letters and digits, such as `MM1101`.
        pub id: Spanned = "id",
        /// Words with hyphens.
        pub name: Spanned = "name",
        /// One sentence without a full stop.
        pub title: Spanned = "title",
        /// How bad it is.
        pub severity: Option<Severity> = "severity",
        /// Who can take it out of the way.
        pub resolved_by: Option<ResolvedBy> = "resolved-by",
        /// The subject.
        pub applies_to: Spanned = "applies-to",
        /// Whether the input says enough to judge; absent is always.
        pub checkable: Option<Spanned> = "checkable",
        /// What to give where it does not.
        pub missing: Spanned = "missing",
        /// Whether this is a finding.
        pub condition: Spanned = "condition",
        /// The finding in one sentence without a full stop.
        pub evidence: Spanned = "evidence",
        /// The fact whose place is the finding's.
        pub at: Option<Spanned> = "at",
        /// Why it matters.
        pub why: Spanned = "why",
        /// What to do, with the literal setting.
        pub fix: Spanned = "fix",
        /// Where the knowledge comes from.
        pub source: Spanned = "source",
        /// Where to read more.
        pub docs: Spanned = "docs",
    }
}

/// What is wrong with a rule file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub struct RuleError {
    /// The file.
    pub file: String,
    /// Where in it.
    pub mark: Mark,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if self.mark.is_known() {
            write!(f, "{}:{}:", self.mark.line, self.mark.column)?;
        }
        write!(f, " {}", self.message)
    }
}

/// A rule that was checked.
#[derive(Debug)]
pub struct Rule {
    /// Letters and digits, such as `MM1101`.
    pub id: String,
    /// Words with hyphens.
    pub name: String,
    /// One sentence without a full stop.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// Who can take it out of the way.
    pub resolved_by: ResolvedBy,
    /// The subject.
    pub applies_to: Subject,
    /// Whether the input says enough to judge.
    pub checkable: Option<Expression>,
    /// What to give where it does not.
    pub missing: String,
    /// Whether this is a finding.
    pub condition: Expression,
    /// The finding in one sentence.
    pub evidence: Expression,
    /// The fact whose place is the finding's.
    pub at: Option<String>,
    /// Why it matters.
    pub why: String,
    /// What to do, with the literal setting.
    pub fix: String,
    /// Where the knowledge comes from.
    pub source: String,
    /// Where to read more.
    pub docs: String,
    /// The file it was read from.
    pub file: String,
}

impl Rule {
    /// Reads and checks a rule.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, RuleError> {
        Self::read(file, text).map_err(|(mark, message)| RuleError {
            file: file.to_owned(),
            mark,
            message,
        })
    }

    fn read(file: &str, text: &str) -> Result<Self, (Mark, String)> {
        let rule: RuleText = parse_placed(text)?;
        let top = Mark { line: 1, column: 1 };
        for (field, value) in [
            ("id", &rule.id),
            ("name", &rule.name),
            ("title", &rule.title),
            ("applies-to", &rule.applies_to),
            ("condition", &rule.condition),
            ("evidence", &rule.evidence),
            ("missing", &rule.missing),
            ("why", &rule.why),
            ("fix", &rule.fix),
            ("source", &rule.source),
            ("docs", &rule.docs),
        ] {
            if value.text.trim().is_empty() {
                let mark = if value.mark.is_known() { value.mark } else { top };
                return Err((mark, format!("`{field}` is missing")));
            }
        }
        check_names(file, &rule)?;
        let severity = rule.severity.ok_or((top, "`severity` is missing".to_owned()))?;
        let resolved_by = rule
            .resolved_by
            .ok_or((top, "`resolved-by` is missing".to_owned()))?;
        let applies_to = subject(&rule.applies_to)?;
        let mut schemas = vec![applies_to.schema()];
        if applies_to != Subject::MeshFacts {
            schemas.push(MeshFacts::SCHEMA);
        }
        let scope = Scope::of(&schemas);
        let compile = |source: &Spanned, wanted: Checked| Expression::compile(source, text, &scope, &wanted);
        Ok(Self {
            severity,
            resolved_by,
            applies_to,
            checkable: rule
                .checkable
                .as_ref()
                .map(|source| compile(source, Checked::Bool))
                .transpose()?,
            condition: compile(&rule.condition, Checked::Bool)?,
            evidence: compile(&rule.evidence, Checked::String)?,
            at: rule.at.map(|at| known_fact(at, applies_to)).transpose()?,
            id: rule.id.text,
            name: rule.name.text,
            title: rule.title.text,
            missing: trimmed(&rule.missing),
            why: trimmed(&rule.why),
            fix: trimmed(&rule.fix),
            source: trimmed(&rule.source),
            docs: trimmed(&rule.docs),
            file: file.to_owned(),
        })
    }
}

fn trimmed(text: &Spanned) -> String {
    text.text.trim().to_owned()
}

fn check_names(file: &str, rule: &RuleText) -> Result<(), (Mark, String)> {
    let id = rule.id.text.as_str();
    let letters = id.bytes().take_while(u8::is_ascii_uppercase).count();
    let digits = id.len() - letters;
    if !(2..=8).contains(&letters)
        || !(3..=6).contains(&digits)
        || !id.bytes().skip(letters).all(|b| b.is_ascii_digit())
    {
        return Err((
            rule.id.mark,
            format!("`id` must be capital letters and a number, such as `ACME1001`, not `{id}`"),
        ));
    }
    let name = rule.name.text.as_str();
    if !name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        return Err((
            rule.name.mark,
            format!("`name` must be words with hyphens, not `{name}`"),
        ));
    }
    let stem = file.rsplit(['/', '\\']).next().unwrap_or(file);
    if stem != format!("{id}-{name}.yaml") {
        return Err((
            rule.id.mark,
            format!("the file must be called `{id}-{name}.yaml`"),
        ));
    }
    if rule.title.text.ends_with('.') {
        return Err((
            rule.title.mark,
            "`title` must not end with a full stop".to_owned(),
        ));
    }
    Ok(())
}

fn subject(source: &Spanned) -> Result<Subject, (Mark, String)> {
    Subject::from_name(&source.text).ok_or_else(|| {
        let known = Subject::ALL.iter().map(|s| s.name());
        (
            source.mark,
            format!(
                "there is no subject `{}`{}",
                source.text,
                similar(&source.text, known, "Subjects")
            ),
        )
    })
}

fn known_fact(at: Spanned, subject: Subject) -> Result<String, (Mark, String)> {
    let schema = subject.schema();
    if schema.field(&at.text).is_some() {
        return Ok(at.text);
    }
    let known = schema.fields.iter().map(|f| f.name);
    Err((
        at.mark,
        format!(
            "`{}` has no fact `{}`{}",
            schema.name,
            at.text,
            similar(&at.text, known, schema.name)
        ),
    ))
}
