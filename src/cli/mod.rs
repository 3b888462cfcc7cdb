//! The command line: clap types, and one thin file per subcommand.

mod apply;
pub mod args;
mod completions;
mod convert;
mod error;
mod explain;
mod explain_field;
mod in_place;
mod inputs;
mod output;
mod payload;
mod plan;
mod precheck;
mod rollback;
mod snapshot;
mod status;
mod tell;
mod write;

use crate::exit::Exit;
use args::{Cli, Command};
use clap::{CommandFactory as _, Parser as _};
pub use error::CliError;
use output::Terminal;

/// Runs the program with the arguments of the process.
#[must_use]
pub fn run() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() {
                Exit::BadInput
            } else {
                Exit::Good
            };
            // Nobody is left to tell if even this cannot be printed.
            let _ = error.print();
            return code;
        }
    };
    let terminal = Terminal::new(&cli.look);
    let result = match cli.command {
        Command::Precheck(args) => precheck::run(&args, &terminal),
        Command::Convert(args) => convert::run(&args, &terminal),
        Command::Plan(args) => plan::run(&args, &terminal),
        Command::Snapshot(args) => snapshot::run(&args, &terminal),
        Command::Apply(args) => apply::run(&args, &terminal),
        Command::Status(args) => status::run(&args, &terminal),
        Command::Rollback(args) => rollback::run(&args, &terminal),
        Command::Payload(command) => payload::run(&command, &terminal),
        Command::Explain(args) => explain::run(&args, &terminal),
        Command::Completions(args) => completions::run(args.shell, &terminal),
    };
    match result {
        Ok(exit) => exit,
        Err(error) => {
            terminal.complain(&error);
            error.exit()
        }
    }
}

/// The whole command line, for completions and tests.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}
