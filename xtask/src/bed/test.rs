//! The tests that need the bed.

use super::tools::eprint_step;
use crate::cargo::source;
use clap::{Args, ValueEnum};
use miette::{IntoDiagnostic, Result, miette};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

/// More failures than these are no accident.
const WORTH_ANOTHER_LOOK: usize = 6;

/// What is run.
#[derive(Args)]
pub struct Test {
    /// Only these suites.
    #[arg(long, value_enum)]
    suite: Vec<Suite>,
    /// Given to the tests: a filter, or flags of the test runner.
    arguments: Vec<String>,
}

/// Tests that belong together: a folder or a file below `tests`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Suite {
    /// What everything else relies on.
    Cluster,
    /// What pages claim about Istio.
    Facts,
    /// What `convert` makes.
    Conversion,
    /// mesh-proxy and its agent.
    DataPlane,
    /// What callers notice when parts of the data plane end.
    Disruption,
    /// The sample mesh moved under load.
    Migration,
    /// The page for newcomers.
    FirstMigration,
    /// Images in a registry.
    Registry,
}

impl Suite {
    const fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Facts => "facts",
            Self::Conversion => "conversion",
            Self::DataPlane => "data_plane",
            Self::Disruption => "disruption",
            Self::Migration => "migration",
            Self::FirstMigration => "first_migration",
            Self::Registry => "registry",
        }
    }
}

/// Runs them; a missing bed fails them, where elsewhere they are skipped. A test that failed beside others may
/// pass alone: a control plane on two cores can be late. That is said, and is not a failure.
pub fn run(test: &Test) -> Result<()> {
    let suites: Vec<_> = match &test.suite[..] {
        [] => Suite::value_variants().iter().map(|suite| suite.name()).collect(),
        some => some.iter().map(|suite| suite.name()).collect(),
    };
    let (passed, failed) = attempt(&suites, &test.arguments, "--test-threads=3")?;
    if passed {
        return Ok(());
    }
    if failed.is_empty() || failed.len() > WORTH_ANOTHER_LOOK {
        return Err(miette!("tests on the bed failed"));
    }
    eprint_step(&format!("once more, alone: {}", failed.join(", ")));
    let mut exactly = failed.clone();
    exactly.push("--exact".to_owned());
    let (passed, _) = attempt(&suites, &exactly, "--test-threads=1")?;
    if !passed {
        return Err(miette!("tests on the bed failed twice"));
    }
    eprint_step(&format!("passed only alone: {}", failed.join(", ")));
    Ok(())
}

/// Whether all passed, and the names of those that did not; shows what the runner prints.
#[expect(clippy::print_stdout, reason = "the answer of a developers' task")]
fn attempt(suites: &[&str], arguments: &[String], threads: &str) -> Result<(bool, Vec<String>)> {
    let mut runner = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["test", "--locked", "--no-fail-fast"])
        .args(suites.iter().flat_map(|suite| ["--test", suite]))
        .args(["--", threads])
        .args(arguments)
        .current_dir(source())
        .env(bed::REQUIRED, "1")
        .stdout(Stdio::piped())
        .spawn()
        .into_diagnostic()?;
    let mut failed = Vec::new();
    if let Some(output) = runner.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line.into_diagnostic()?;
            println!("{line}");
            let name = line
                .strip_prefix("test ")
                .and_then(|rest| rest.strip_suffix(" ... FAILED"));
            failed.extend(name.map(str::to_owned));
        }
    }
    let status = runner.wait().into_diagnostic()?;
    Ok((status.success(), failed))
}
