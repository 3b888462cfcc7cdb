//! What `convert` makes, judged by a real istiod, waypoint and sidecars.

#![expect(
    clippy::unwrap_used,
    reason = "a bed that does not do what it is told is a failure"
)]

mod alike;
#[path = "../cases/mod.rs"]
mod cases;
mod ingress;
mod judged;
mod request;
mod status;
