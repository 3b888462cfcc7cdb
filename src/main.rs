//! Arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    mesh_migrate::cli::run().into()
}
