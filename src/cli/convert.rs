//! `mesh-migrate convert`.

use super::args::ConvertArgs;
use super::in_place::{self, Reading};
use super::output::{self, Terminal};
use super::precheck::load_rules;
use super::{CliError, inputs, write};
use crate::convert;
use crate::exit::Exit;
use crate::finding::Finding;
use crate::report::{Command, Report, counted};
use std::path::Path;

/// What is asked for, and what the mesh says of the rest.
fn options(args: &ConvertArgs, mesh: &model::Mesh) -> convert::Options {
    let found = convert::Options::of(mesh);
    convert::Options {
        istio: args.istio.unwrap_or(found.istio),
        gateway_api: args.gateway_api.unwrap_or(found.gateway_api),
        subsets: args.subsets,
        ingress: args.ingress,
        waypoint_per: args.waypoint_per,
        ..found
    }
}

/// Refuses arguments that leave open what is to be done.
fn check_usage(args: &ConvertArgs) -> Result<(), CliError> {
    let edits = args.in_place || args.check;
    if !args.dry_run && args.output_dir.is_none() && !edits {
        return Err(CliError::Usage {
            message: "`convert` needs to know what to do with the new objects".to_owned(),
            help: "use --dry-run to see them, --output-dir DIR to write them to files of their own, or --in-place to write \
                   them beside the old ones"
                .to_owned(),
        });
    }
    if edits && args.input.filename.is_empty() {
        return Err(CliError::Usage {
            message: "only files can be edited".to_owned(),
            help: "name files or folders with -f (--filename), or use --output-dir DIR".to_owned(),
        });
    }
    if edits && args.input.filename.iter().any(|path| path.as_os_str() == "-") {
        return Err(CliError::Usage {
            message: "standard input is no file that could be edited".to_owned(),
            help: "name files or folders with -f, or use --output-dir DIR".to_owned(),
        });
    }
    Ok(())
}

/// Reads, converts, reports, and writes if asked to.
pub fn run(args: &ConvertArgs, terminal: &Terminal) -> Result<Exit, CliError> {
    check_usage(args)?;
    let rules = load_rules(&[])?;
    let mut input = inputs::read(&args.input, terminal)?;
    let reading = (args.in_place || args.check).then(|| Reading::of(&mut input));
    // Nobody else asks for them, and of a large mesh there are many.
    input.documents = Vec::new();
    if args.assume_services {
        let assumed = convert::assumed_services(&input.mesh);
        input.mesh = input.mesh.with_services(assumed);
    }
    let mut conversion = convert::convert(&input.mesh, options(args, &input.mesh));
    if let Some(reading) = &reading {
        let remarks = in_place::beforehand(reading, &input.mesh, &conversion);
        conversion.findings.extend(remarks);
    }
    let (mesh, mut report) = inputs::report(Command::Convert, input, conversion.findings, &rules);
    report.changes = conversion.changes;
    report.outcomes = conversion.outcomes;
    inputs::only_namespaces(&mut report, &args.input.namespace, &rules);
    let is_changed = match (&reading, &args.output_dir) {
        (Some(reading), _) => edit(args, reading, &mut report, terminal)?,
        (None, Some(folder)) => {
            terminal.show(&report, &args.gate.output)?;
            write_files(folder, &report, terminal)?;
            false
        }
        (None, None) => {
            terminal.show(&report, &args.gate.output)?;
            false
        }
    };
    let mut exit = output::exit(&report, args.fail_on, inputs::is_refused(&mesh));
    if args.check && is_changed && exit == Exit::Good {
        exit = Exit::Findings;
    }
    // The program ends here; taking a large mesh apart piece by piece would only delay it.
    std::mem::forget((mesh, report));
    Ok(exit)
}

fn without_errors(report: &Report) -> Result<(), CliError> {
    if report.errors.is_empty() {
        return Ok(());
    }
    Err(CliError::Usage {
        message: "nothing was written, because the input has errors".to_owned(),
        help: "correct them, or leave those files out".to_owned(),
    })
}

/// New objects into files of their own.
fn write_files(folder: &Path, report: &Report, terminal: &Terminal) -> Result<(), CliError> {
    without_errors(report)?;
    let left_over = write::objects(folder, &report.changes)?;
    let files = counted(report.changes.len(), "file");
    terminal.remark(&format!("wrote {files} below `{}`", folder.display()));
    for path in left_over {
        terminal.remark(&format!(
            "`{}` is of an earlier run and was not made by this one; remove it if nothing uses it",
            path.display()
        ));
    }
    Ok(())
}

/// New objects into the files that the old ones stand in. Gives whether any file is to be another.
fn edit(
    args: &ConvertArgs,
    reading: &Reading,
    report: &mut Report,
    terminal: &Terminal,
) -> Result<bool, CliError> {
    let plan = if report.errors.is_empty() {
        in_place::plan(reading, &report.changes)?
    } else {
        in_place::Plan::default()
    };
    let refused = plan.refused();
    report.findings.extend(plan.findings);
    report.findings.sort_by(Finding::order);
    terminal.show(report, &args.gate.output)?;
    without_errors(report)?;
    if refused > 0 {
        return Err(CliError::Usage {
            message: format!(
                "nothing was written: {} of MM3405 above",
                counted(refused, "finding")
            ),
            help: "with --output-dir DIR all new objects get files of their own".to_owned(),
        });
    }
    if args.check {
        for file in &plan.files {
            terminal.remark(&format!("would change {}", file.words()));
        }
    } else {
        write::edits(&plan.files)?;
        for file in &plan.files {
            terminal.remark(&format!("wrote {}", file.words()));
        }
    }
    if plan.files.is_empty() {
        terminal.remark("no file changes");
    }
    Ok(!plan.files.is_empty())
}
