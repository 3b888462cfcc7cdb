//! `mesh-migrate completions`.

use super::CliError;
use super::output::Terminal;
use crate::exit::Exit;
use clap_complete::Shell;

/// Prints the completions of a shell.
pub fn run(shell: Shell, terminal: &Terminal) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "mesh-migrate", &mut script);
    terminal.print(|out| out.write_all(&script))?;
    Ok(Exit::Good)
}
