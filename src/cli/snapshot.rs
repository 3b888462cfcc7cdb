//! `mesh-migrate snapshot`.

use super::args::SnapshotArgs;
use super::output::Terminal;
use super::{CliError, inputs};
use crate::exit::Exit;
use crate::input::{cluster, snapshot};
use crate::progress::Progress;

/// Reads a cluster and saves what was read.
pub fn run(args: &SnapshotArgs, terminal: &Terminal) -> Result<Exit, CliError> {
    let options = inputs::cluster_options(args.context.as_ref(), &args.namespace);
    let mut progress = Progress::start("connecting", terminal.progress);
    let raw = cluster::fetch_blocking(&options, &mut |text| progress.say(text))?;
    progress.done();
    snapshot::write(&args.output, &raw)?;
    if !terminal.look.quiet {
        terminal.print(|out| {
            writeln!(
                out,
                "saved context `{}` to `{}`",
                raw.context,
                args.output.display()
            )
        })?;
    }
    for gap in raw.gaps() {
        terminal.remark(&format!("partial: {gap}"));
    }
    Ok(if raw.unreadable.is_empty() {
        Exit::Good
    } else {
        Exit::Cluster
    })
}
