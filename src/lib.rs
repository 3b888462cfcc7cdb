//! `mesh-migrate` moves an Istio mesh from sidecars to ambient mode without a maintenance window.
//!
//! ```text
//! input ──▶ model::Mesh ──▶ precheck, convert ──▶ report
//! ```
//!
//! Reading the world happens in [`input`]; what is between is a function of the mesh; only [`report`] and
//! [`cli`] print.

pub mod cli;
pub mod code;
pub mod convert;
pub mod edit;
pub mod exit;
pub mod finding;
pub mod input;
pub mod ledger;
pub mod pages;
pub mod payload;
pub mod plan;
pub mod precheck;
pub mod progress;
pub mod report;
pub mod rollout;
