//! What everything else relies on, on the bed: a real Kubernetes, istiod and Envoy.

#![expect(
    clippy::unwrap_used,
    reason = "a bed that does not do what it is told is a failure"
)]

mod precheck;
mod sample;
mod sidecars;
mod waypoint;

/// A policy that the server's sidecar enforces: nobody reads `/admin/…`.
const NO_ADMIN: &str = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: no-admin}\n\
    spec:\n  selector: {matchLabels: {app: server}}\n  action: DENY\n  \
    rules: [{to: [{operation: {paths: [/admin/*]}}]}]\n";
