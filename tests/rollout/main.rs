//! Carrying a plan out against a real API server: whole runs, runs that are killed at every write, faults, foreign
//! edits, two operators, and the way back.
//!
//! Where etcd or kube-apiserver is missing, each test says so and passes; `cargo xtask bed up` gets them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test bed that does not come up is a failure"
)]

mod api;
#[path = "../live/bed.rs"]
mod bed;
#[allow(dead_code, reason = "shared with the tests of reading")]
#[path = "../live/client.rs"]
mod client;
mod controllers;
mod faults;
mod foreign;
mod kill;
mod mesh;
mod operators;
mod proxy;
mod whole;

use bed::{Bed, Programs};
use std::io::Write;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// The server, which ends with the process of the tests.
static BED: LazyLock<Option<Bed>> = LazyLock::new(|| {
    let programs = Programs::find()
        .map_err(|missing| {
            // Not by a macro: the test harness would swallow it.
            let _ = writeln!(std::io::stderr(), "skipped: the tests of the rollout; {missing}");
        })
        .ok()?;
    let bed = Bed::start(&programs);
    mesh::install(&bed);
    Some(bed)
});

/// One test at a time: there is one mesh, and a plan is compared with all of it.
static TURN: Mutex<()> = Mutex::new(());

/// The server with the mesh as it was before any migration; none where there is no server.
fn fresh() -> Option<(mesh::Mesh, MutexGuard<'static, ()>)> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let bed = BED.as_ref()?;
    Some((mesh::Mesh::fresh(bed), turn))
}
