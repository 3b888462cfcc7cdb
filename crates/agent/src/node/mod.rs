//! The node agent.

pub mod annotate;
pub mod controller;
pub mod heal;
pub mod health;
pub mod http;
pub mod hub;
pub mod plugin;
pub mod probes;
mod run;
pub mod watch;
pub mod worker;

pub use run::{AgentError, Options, run, stays};

use std::panic::resume_unwind;
use tokio::task::JoinError;

/// The result of a task that nobody cancels: if it panicked, so does whoever waits for it.
fn joined<T>(outcome: Result<T, JoinError>) -> T {
    match outcome {
        Ok(value) => value,
        Err(error) => resume_unwind(error.into_panic()),
    }
}
