//! `mesh-migrate convert`.

use super::args::ConvertArgs;
use super::output::{self, Terminal};
use super::precheck::load_rules;
use super::{CliError, inputs, write};
use crate::convert;
use crate::exit::Exit;
use crate::report::{Command, counted};

/// What is asked for, and what the mesh says of the rest.
fn options(args: &ConvertArgs, mesh: &model::Mesh) -> convert::Options {
    let found = convert::Options::of(mesh);
    convert::Options {
        istio: args.istio.unwrap_or(found.istio),
        gateway_api: args.gateway_api.unwrap_or(found.gateway_api),
    }
}

/// Reads, converts, reports, and writes if asked to.
pub fn run(args: &ConvertArgs, terminal: &Terminal) -> Result<Exit, CliError> {
    if !args.dry_run && args.output_dir.is_none() {
        return Err(CliError::Usage {
            message: "`convert` needs to know what to do with the new objects".to_owned(),
            help: "use --dry-run to see them, or --output-dir DIR to write them to files".to_owned(),
        });
    }
    let rules = load_rules(&[])?;
    let mut input = inputs::read(&args.input, terminal)?;
    if args.assume_services {
        let assumed = convert::assumed_services(&input.mesh);
        input.mesh = input.mesh.with_services(assumed);
    }
    let conversion = convert::convert(&input.mesh, options(args, &input.mesh));
    let (mesh, mut report) = inputs::report(Command::Convert, input, conversion.findings, &rules);
    report.changes = conversion.changes;
    report.outcomes = conversion.outcomes;
    inputs::only_namespaces(&mut report, &args.input.namespace, &rules);
    terminal.show(&report, &args.gate.output)?;
    if let Some(folder) = &args.output_dir {
        if !report.errors.is_empty() {
            return Err(CliError::Usage {
                message: "nothing was written, because the input has errors".to_owned(),
                help: "correct them, or leave those files out".to_owned(),
            });
        }
        let left_over = write::objects(folder, &report.changes)?;
        let files = counted(report.changes.len(), "file");
        terminal.remark(&format!("wrote {files} below `{}`", folder.display()));
        for path in left_over {
            terminal.remark(&format!(
                "`{}` is of an earlier run and was not made by this one; remove it if nothing uses it",
                path.display()
            ));
        }
    }
    let exit = output::exit(&report, args.fail_on, inputs::is_refused(&mesh));
    // The program ends here; taking a large mesh apart piece by piece would only delay it.
    std::mem::forget((mesh, report));
    Ok(exit)
}
