//! Carrying a plan out: writes, waits, records, undoes. Nothing here prints; what happens is told to a [`Listener`].
//!
//! ```text
//! plan ──▶ lease ──▶ compare ──▶ for each step: gate, intent → write → done, gate ──▶ journal says so
//!                                        └── a gate fails: the same backwards, then stop
//! ```
//!
//! The writes of a plan are a stack. The journal says how many of them are in effect and which one is under way, so
//! whoever comes next can go on in either direction.

mod address;
pub mod api;
pub mod error;
pub mod event;
pub mod file;
pub mod gate;
pub mod interrupt;
pub mod journal;
pub mod lease;
mod ownership;
mod refusal;
mod run;
pub mod status;
mod undo;
mod unwind;
mod waiting;
mod write;

pub use api::Cluster;
pub use error::RolloutError;
pub use event::{Consent, Event, Listener, Question};
pub use interrupt::Interrupt;
pub use run::{ApplyOptions, Ended, apply};
pub use unwind::{RollbackOptions, rollback};

/// The namespace of the control plane, unless another is named.
pub const ROOT_NAMESPACE: &str = "istio-system";
pub use crate::convert::MANAGED_BY;

/// The time, RFC 3339 in UTC with microseconds, as Leases want it.
#[must_use]
pub fn now() -> String {
    k8s_openapi::jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S.%6fZ")
        .to_string()
}
