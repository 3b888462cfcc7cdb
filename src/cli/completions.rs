//! `mesh-migrate completions`.

use super::CliError;
use crate::exit::Exit;
use clap_complete::Shell;
use std::io::{self, Write as _};

/// Prints the completions of a shell.
pub fn run(shell: Shell) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "mesh-migrate", &mut script);
    io::stdout()
        .lock()
        .write_all(&script)
        .map_err(|source| CliError::Output {
            target: "standard output".to_owned(),
            source,
        })?;
    Ok(Exit::Good)
}
