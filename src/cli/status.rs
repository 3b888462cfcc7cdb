//! `mesh-migrate status`.

use super::args::{StatusArgs, StatusFormat};
use super::output::Terminal;
use super::{CliError, inputs, tell};
use crate::exit::Exit;
use crate::report::{Look, clean, counted};
use crate::rollout::journal::Direction;
use crate::rollout::status::{Progress, Status, StepState, status};
use crate::rollout::{Cluster, RolloutError};
use std::io;

/// Reads the journal and says where the plan stands.
pub fn run(args: &StatusArgs, terminal: &Terminal) -> Result<Exit, CliError> {
    let reading = inputs::cluster_options(args.cluster.context.as_ref(), &[]);
    let found = tell::runtime()?.block_on(async {
        let cluster = Cluster::connect(&reading).await?;
        let found = status(&cluster, &args.cluster.root_namespace).await?;
        Ok::<_, RolloutError>(found)
    })?;
    terminal.print(|out| match args.output {
        StatusFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, &found).map_err(io::Error::from)?;
            writeln!(out)
        }
        StatusFormat::Text => text(&found, terminal.look, out),
    })?;
    Ok(Exit::Good)
}

fn text(status: &Status, look: Look, out: &mut dyn io::Write) -> io::Result<()> {
    match &status.plan {
        None => writeln!(
            out,
            "context {}: nothing was ever applied (the namespace {} has no journal)",
            clean(&status.context),
            clean(&status.root_namespace)
        )?,
        Some(progress) => plan(&status.context, progress, look, out)?,
    }
    match &status.holder {
        None => writeln!(out, "at work: nobody"),
        Some(work) if work.expired => writeln!(
            out,
            "at work: nobody; {} ended without a word, its lease is over since {}",
            clean(&work.who),
            work.expires
        ),
        Some(work) => writeln!(out, "at work: {}, since {}", clean(&work.who), work.since),
    }
}

fn plan(context: &str, progress: &Progress, look: Look, out: &mut dyn io::Write) -> io::Result<()> {
    let head = format!(
        "context {}: {} of {} done",
        clean(context),
        progress.done,
        counted(progress.steps.len(), "step")
    );
    writeln!(out, "{}", look.strong(head))?;
    writeln!(
        out,
        "plan: {} (begun {}, last written {} by {})",
        clean(&progress.source),
        progress.started,
        progress.updated,
        clean(&progress.by)
    )?;
    for step in &progress.steps {
        let (mark, rest) = match step.state {
            StepState::Done => ("done   ", String::new()),
            StepState::Partial => ("partial", format!(" ({} of {} writes)", step.writes, step.of)),
            StepState::Planned => ("planned", String::new()),
        };
        writeln!(out, "  {mark} {}  {}{rest}", clean(&step.id), clean(&step.title))?;
    }
    if let Some(stop) = &progress.stopped {
        writeln!(
            out,
            "stopped at {} in {}: {}",
            stop.at,
            clean(&stop.step),
            clean(&stop.why)
        )?;
    }
    for wait in &progress.waiting {
        writeln!(out, "waiting: {}; {}", clean(&wait.check), clean(&wait.why))?;
    }
    let way = match progress.direction {
        Direction::Forward => "apply",
        Direction::Backward => "rollback (or apply, to go forward again)",
    };
    match &progress.next {
        None => writeln!(
            out,
            "next: nothing, the plan is done; undo it with: mesh-migrate rollback"
        ),
        Some(step) => writeln!(out, "next: {}, with: mesh-migrate {way}", clean(step)),
    }
}
