//! The tests that need the bed.

use super::tools::{eprint_step, source};
use miette::{IntoDiagnostic, Result, miette};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

/// More failures than these are no accident.
const WORTH_ANOTHER_LOOK: usize = 6;

/// Runs them; a missing bed fails them, where elsewhere they are skipped. A test that failed beside others may
/// pass alone: a control plane on two cores can be late. That is said, and is not a failure.
pub fn run(arguments: &[String]) -> Result<()> {
    let (passed, failed) = attempt(arguments, "--test-threads=3")?;
    if passed {
        return Ok(());
    }
    if failed.is_empty() || failed.len() > WORTH_ANOTHER_LOOK {
        return Err(miette!("tests on the bed failed"));
    }
    eprint_step(&format!("once more, alone: {}", failed.join(", ")));
    let mut exactly = failed.clone();
    exactly.push("--exact".to_owned());
    let (passed, _) = attempt(&exactly, "--test-threads=1")?;
    if !passed {
        return Err(miette!("tests on the bed failed twice"));
    }
    eprint_step(&format!("passed only alone: {}", failed.join(", ")));
    Ok(())
}

/// Whether all passed, and the names of those that did not; shows what the runner prints.
#[expect(clippy::print_stdout, reason = "the answer of a developers' task")]
fn attempt(arguments: &[String], threads: &str) -> Result<(bool, Vec<String>)> {
    let mut runner = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "test",
            "--locked",
            "--no-fail-fast",
            "--test",
            "cluster",
            "--test",
            "facts",
            "--",
            threads,
        ])
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
