//! Tasks of the developers: `cargo xtask bed …`, `cargo xtask dist`.

mod bed;
mod cargo;
mod dist;

use clap::{Parser, Subcommand};

/// Tasks of the developers.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// A real cluster on this machine: Kubernetes, Istio, Envoy.
    #[command(subcommand)]
    Bed(bed::Command),
    /// `mesh-migrate` with mesh-proxy and mesh-agent inside, in target/dist.
    Dist,
}

fn main() -> miette::Result<()> {
    match Arguments::parse().task {
        Task::Bed(command) => bed::run(&command),
        Task::Dist => dist::run(),
    }
}
