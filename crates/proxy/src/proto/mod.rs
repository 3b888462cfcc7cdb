//! The messages of the control plane by their numbers on the wire.
#![expect(
    missing_docs,
    reason = "the messages are documented in the protocols that they belong to"
)]

pub mod ca;
pub mod discovery;
pub mod security;
pub mod workload;
