//! `mesh-migrate precheck`.

use super::args::PrecheckArgs;
use super::output::{self, Terminal};
use super::{CliError, inputs};
use crate::exit::Exit;
use crate::finding::Finding;
use crate::pages::pages;
use crate::precheck;
use crate::report::{Command, Report};
use rules::RuleSet;
use std::path::PathBuf;

/// Reads, judges, reports.
pub fn run(args: &PrecheckArgs, terminal: &Terminal) -> Result<Exit, CliError> {
    let rules = load_rules(&args.rules)?;
    let input = inputs::read(&args.input, terminal)?;
    let judged = precheck::precheck(&input.mesh, &rules);
    let mut findings = input.notes;
    findings.extend(judged.findings);
    findings.sort_by_cached_key(Finding::sort_key);
    let mut report = Report {
        command: Command::Precheck,
        source: input.description,
        errors: input.errors,
        gaps: input.gaps,
        findings,
        passed: judged.passed,
        not_checked: judged.not_checked,
        changes: Vec::new(),
        outcomes: Vec::new(),
        pages: pages(&rules),
    };
    inputs::only_namespaces(&mut report, &args.input.namespace, &rules);
    terminal.show(&report, &args.gate.output)?;
    Ok(output::exit(
        &report,
        args.fail_on,
        inputs::is_refused(&input.mesh),
    ))
}

/// The program's rules and those in folders of the user.
pub fn load_rules(folders: &[PathBuf]) -> Result<RuleSet, CliError> {
    precheck::load_rules(folders)
        .map_err(|errors| CliError::Rules(errors.iter().map(ToString::to_string).collect()))
}
