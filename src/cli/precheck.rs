//! `mesh-migrate precheck`.

use super::args::PrecheckArgs;
use super::output::{self, Terminal};
use super::{CliError, inputs};
use crate::exit::Exit;
use crate::precheck;
use crate::report::Command;
use rules::RuleSet;
use std::path::PathBuf;

/// Reads, judges, reports.
pub fn run(args: &PrecheckArgs, terminal: &Terminal) -> Result<Exit, CliError> {
    let rules = load_rules(&args.rules)?;
    let input = inputs::read(&args.input, terminal)?;
    let judged = precheck::precheck(&input.mesh, &rules);
    let (mesh, mut report) = inputs::report(Command::Precheck, input, judged.findings, &rules);
    report.passed = judged.passed;
    report.not_checked = judged.not_checked;
    inputs::only_namespaces(&mut report, &args.input.namespace, &rules);
    terminal.show(&report, &args.gate.output)?;
    let exit = output::exit(&report, args.fail_on, inputs::is_refused(&mesh));
    // The program ends here; taking a large mesh apart piece by piece would only delay it.
    std::mem::forget((mesh, report));
    Ok(exit)
}

/// The program's rules and those in folders of the user.
pub fn load_rules(folders: &[PathBuf]) -> Result<RuleSet, CliError> {
    precheck::load_rules(folders)
        .map_err(|errors| CliError::Rules(errors.iter().map(ToString::to_string).collect()))
}
