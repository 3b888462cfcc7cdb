//! Arguments in, exit code out.

use std::process::ExitCode;

// Reading a large mesh is millions of small allocations on all cores at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    mesh_migrate::cli::run().into()
}
