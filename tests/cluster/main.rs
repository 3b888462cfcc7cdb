//! What everything else relies on, on the bed: a real Kubernetes, istiod and Envoy.

#![expect(
    clippy::unwrap_used,
    reason = "a bed that does not do what it is told is a failure"
)]

mod precheck;
mod sidecars;
mod waypoint;
