//! What the control plane and Envoy really do where documentation is silent or wrong: one test for each fact,
//! named by it. `docs/facts.md` lists them with their outcomes.

#![expect(
    clippy::unwrap_used,
    reason = "a bed that does not do what it is told is a failure"
)]

mod dialled_address;
mod empty_selector;
mod order_of_authorization;
mod prefix_rewrite;
mod route_and_virtual_service;
mod source_matches;
mod status;
mod taught;

use bed::{Answer, Namespace, eventually};
use std::time::Duration;

/// How long a control plane may take until proxies do what was asked.
pub const SOON: Duration = Duration::from_secs(45);

/// Manifests, and how it is known that proxies have them: the request's answer carries the header `x-route`
/// with this value.
pub fn until_routed(mesh: &Namespace<'_>, url: &str, headers: &[&str], marker: &str) -> Answer {
    eventually(SOON, || match mesh.get("client", url, headers) {
        answer if answer.headers["x-route"] == marker => Ok(answer),
        answer => Err(format!("not yet routed by `{marker}`: {answer:?}")),
    })
}
