//! Runs the rules over the facts of a mesh.

pub(crate) mod facts;

use crate::finding::Finding;
use facts::{MeshOfFacts, SubjectFacts, SubjectSet};
use model::Mesh;
use rayon::prelude::*;
use rules::expression::{Context, Variables};
use rules::{Facts, Rule, RuleError, RuleSet};
use std::collections::BTreeSet;
use std::path::PathBuf;

include!(concat!(env!("OUT_DIR"), "/rules.rs"));

/// The minor versions of the istiods in the input, as far as they say them: the 31 of 1.31.
#[must_use]
pub fn istio_minors(mesh: &Mesh) -> Vec<u32> {
    let minors = facts::istio_minors(mesh);
    minors
        .filter_map(|minor| u32::try_from(minor).ok())
        .filter(|minor| *minor > 0)
        .collect()
}

/// The program's own rules, and those in the user's folders.
///
/// # Errors
/// Every rule file that is wrong, with its place.
pub fn load_rules(folders: &[PathBuf]) -> Result<RuleSet, Vec<RuleError>> {
    RuleSet::load(RULES, folders)
}

/// A rule that could not be judged, because what it asks about was not in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotChecked {
    /// Code of the rule.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// What was missing, in words.
    pub missing: String,
}

/// A rule that was judged and has nothing to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Code of the rule.
    pub code: String,
    /// Its title.
    pub title: String,
}

/// The whole answer.
#[derive(Debug, Default)]
pub struct Precheck {
    /// What stands in the way.
    pub findings: Vec<Finding>,
    /// Rules that found nothing.
    pub passed: Vec<Passed>,
    /// Rules that could not be judged.
    pub not_checked: Vec<NotChecked>,
}

/// What a rule says about one subject.
enum Verdict {
    /// Nothing.
    Quiet,
    /// The input does not tell.
    Unknown,
    /// The rule could not be evaluated, for this reason.
    Failed(String),
    /// A finding.
    Fires(Box<Finding>),
}

/// Judges every rule. A function of the mesh and the rules.
#[must_use]
pub fn precheck(mesh: &Mesh, rules: &RuleSet) -> Precheck {
    let MeshOfFacts { mesh: facts, sets } = facts::find(mesh);
    let mut precheck = Precheck::default();
    for set in &sets {
        let about: Vec<&Rule> = rules.about(set.subject).map(|(_, rule)| rule).collect();
        if about.is_empty() {
            continue;
        }
        let verdicts: Vec<Vec<Verdict>> = set
            .subjects
            .par_iter()
            .map(|subject| judge(subject, &facts, &about))
            .collect();
        let mut by_rule: Vec<Vec<Verdict>> = about.iter().map(|_| Vec::new()).collect();
        for row in verdicts {
            for (column, verdict) in by_rule.iter_mut().zip(row) {
                column.push(verdict);
            }
        }
        for (rule, verdicts) in about.iter().zip(by_rule) {
            precheck.conclude(rule, set, verdicts);
        }
    }
    precheck.findings.sort_by(Finding::order);
    precheck.passed.sort_by(|a, b| a.code.cmp(&b.code));
    precheck.not_checked.sort_by(|a, b| a.code.cmp(&b.code));
    precheck
}

impl Precheck {
    /// Findings, "could not be judged" and "passed" of one rule: passed only if every subject was judged and
    /// there are no others that were not seen.
    fn conclude(&mut self, rule: &Rule, set: &SubjectSet, verdicts: Vec<Verdict>) {
        let mut missing: BTreeSet<String> = BTreeSet::new();
        let found = self.findings.len();
        for verdict in verdicts {
            match verdict {
                Verdict::Quiet => {}
                Verdict::Unknown => {
                    missing.insert(rule.missing.clone());
                }
                Verdict::Failed(reason) => {
                    missing.insert(format!("the rule itself failed: {reason}"));
                }
                Verdict::Fires(finding) => self.findings.push(*finding),
            }
        }
        if let Some(gap) = &set.gap {
            missing.insert(format!("{gap}; {}", rule.missing));
        }
        if !missing.is_empty() {
            self.not_checked.push(NotChecked {
                code: rule.id.clone(),
                name: rule.name.clone(),
                title: rule.title.clone(),
                missing: missing.into_iter().collect::<Vec<_>>().join("; "),
            });
        } else if self.findings.len() == found {
            self.passed.push(Passed {
                code: rule.id.clone(),
                title: rule.title.clone(),
            });
        }
    }
}

/// What each rule says about a subject.
fn judge(subject: &SubjectFacts, mesh: &dyn Facts, rules: &[&Rule]) -> Vec<Verdict> {
    let variables = Variables::new(mesh, &*subject.facts);
    match variables.context() {
        Ok(context) => rules
            .iter()
            .map(|rule| judge_rule(subject, &context, rule))
            .collect(),
        Err(reason) => rules.iter().map(|_| Verdict::Failed(reason.clone())).collect(),
    }
}

fn judge_rule(subject: &SubjectFacts, context: &Context<'_, '_>, rule: &Rule) -> Verdict {
    let place = subject.place_of(rule.at.as_deref());
    let evaluate = || -> Result<Verdict, String> {
        if let Some(checkable) = &rule.checkable
            && !checkable.is_true(context)?
        {
            return Ok(Verdict::Unknown);
        }
        if !rule.condition.is_true(context)? {
            return Ok(Verdict::Quiet);
        }
        Ok(Verdict::Fires(Box::new(Finding {
            code: rule.id.clone().into(),
            name: rule.name.clone().into(),
            severity: rule.severity,
            location: place.clone(),
            message: rule.evidence.text_of(context)?,
            fix: rule.fix.clone().into(),
        })))
    };
    evaluate().unwrap_or_else(|reason| Verdict::Failed(format!("{reason} (at {place})")))
}

pub use facts::Membership;

/// The part of every workload of a mesh in it, in the order of `mesh.workloads`.
#[must_use]
pub fn memberships(mesh: &Mesh) -> Vec<Membership> {
    facts::memberships(mesh)
}

/// The workloads of which pods with a sidecar that does not speak HBONE run, as `namespace` and `Kind/name`.
#[must_use]
pub fn without_hbone(mesh: &Mesh) -> BTreeSet<(String, String)> {
    facts::without_hbone(mesh)
}
