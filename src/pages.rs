//! One page for every code that a report can show: messages of the program and rules, its own and the user's.

use crate::code::Code;
use crate::finding::Severity;
use rules::RuleSet;

/// What `explain` prints and SARIF carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The code, such as `MM1101`.
    pub id: String,
    /// Words with hyphens.
    pub name: String,
    /// One sentence without a full stop.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// Why it matters.
    pub why: String,
    /// What to do.
    pub fix: String,
    /// Where the knowledge comes from.
    pub source: String,
    /// Where to read more; empty for messages.
    pub docs: String,
}

/// All pages, ordered by code.
#[must_use]
pub fn pages(rules: &RuleSet) -> Vec<Page> {
    let messages = Code::pages().iter().map(|page| Page {
        id: page.id.to_owned(),
        name: page.name.to_owned(),
        title: page.title.to_owned(),
        severity: page.severity,
        why: page.why.to_owned(),
        fix: page.fix.to_owned(),
        source: page.source.to_owned(),
        docs: String::new(),
    });
    let rules = rules.rules().iter().map(|rule| Page {
        id: rule.id.clone(),
        name: rule.name.clone(),
        title: rule.title.clone(),
        severity: rule.severity,
        why: rule.why.clone(),
        fix: rule.fix.clone(),
        source: rule.source.clone(),
        docs: rule.docs.clone(),
    });
    let mut pages: Vec<Page> = messages.chain(rules).collect();
    pages.sort_by(|a, b| a.id.cmp(&b.id));
    pages
}
