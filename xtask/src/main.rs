//! Tasks of the developers: `cargo xtask bed …`.

mod bed;

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
}

fn main() -> miette::Result<()> {
    match Arguments::parse().task {
        Task::Bed(command) => bed::run(&command),
    }
}
