//! `mesh-migrate apply`.

use super::args::ApplyArgs;
use super::output::Terminal;
use super::{CliError, inputs, tell};
use crate::exit::Exit;
use crate::rollout::{self, ApplyOptions, Cluster, Interrupt, RolloutError};
use std::sync::Arc;

/// Reads the plan and carries it out.
pub fn run(args: &ApplyArgs, terminal: &Terminal) -> Result<Exit, CliError> {
    let plan = rollout::file::read(&args.plan)?;
    let reading = inputs::cluster_options(args.cluster.context.as_ref(), &[]);
    let options = ApplyOptions {
        until: args.until.clone(),
        accepted: args.accept_gap.clone(),
        step_timeout: args.run.step_timeout,
        root_namespace: args.cluster.root_namespace.clone(),
        reading: reading.clone(),
    };
    let consent = tell::consent(args.run.yes, &args.plan);
    let mut listener = tell::listener(args.run.output, terminal);
    let ended = tell::runtime()?.block_on(async {
        let interrupt = Interrupt::of_signals().map_err(RolloutError::Signals)?;
        let cluster = Arc::new(Cluster::connect(&reading).await?);
        rollout::apply(cluster, &plan, &options, &mut *listener, consent, &interrupt).await
    })?;
    drop(listener);
    if let (Some(next), false) = (ended.next, args.run.output == super::args::Telling::Jsonl) {
        terminal.remark(&format!(
            "next is `{next}`: go on with the same command, or undo with: mesh-migrate rollback"
        ));
    }
    Ok(Exit::Good)
}
