//! Keeps the field ledger whole and honest: against the CRDs, against the pages made from it, and against what
//! `convert` does in its cases.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

mod ledger {
    pub mod behaviour;
    pub mod docs;
    pub mod lookup;
    pub mod schema;
}

use std::path::Path;

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
