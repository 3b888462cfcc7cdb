//! `mesh-migrate rollback`.

use super::args::RollbackArgs;
use super::output::Terminal;
use super::{CliError, inputs, tell};
use crate::exit::Exit;
use crate::rollout::{self, Cluster, Interrupt, RollbackOptions, RolloutError};
use std::path::Path;
use std::sync::Arc;

/// Undoes what the journal says is in effect.
pub fn run(args: &RollbackArgs, terminal: &Terminal) -> Result<Exit, CliError> {
    let reading = inputs::cluster_options(args.cluster.context.as_ref(), &[]);
    let options = RollbackOptions {
        to: args.to.clone(),
        step_timeout: args.run.step_timeout,
        root_namespace: args.cluster.root_namespace.clone(),
    };
    let consent = tell::consent(args.run.yes, Path::new(""));
    let mut listener = tell::listener(args.run.output, terminal);
    tell::runtime()?.block_on(async {
        let interrupt = Interrupt::of_signals().map_err(RolloutError::Signals)?;
        let cluster = Arc::new(Cluster::connect(&reading).await?);
        rollout::rollback(cluster, &options, &mut *listener, consent, &interrupt).await
    })?;
    Ok(Exit::Good)
}
