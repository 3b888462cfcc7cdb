//! Policies: from the pods that a selector selects to the Services that a waypoint serves.

mod attach;
pub mod authorization_policy;
pub mod reach;
pub mod request_authentication;
mod rules;
