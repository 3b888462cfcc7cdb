//! A waypoint of istiod's, run by a stock Envoy, and who passes it.

use bed::{Bed, Namespace, eventually};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// A policy that a waypoint enforces: nobody reads `/admin/…` of the Service.
const NO_ADMIN: &str = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: no-admin}\n\
    spec:\n  targetRefs: [{kind: Service, group: \"\", name: server}]\n  action: DENY\n  \
    rules: [{to: [{operation: {paths: [/admin/*]}}]}]\n";

fn protected(mesh: &Namespace<'_>) {
    mesh.server("server");
    mesh.waypoint("waypoint");
    mesh.apply(NO_ADMIN);
    eventually(SOON, || mesh.accepted_by_waypoint("no-admin"));
}

#[test]
fn a_sidecar_client_bypasses_a_waypoint_of_stock_istio() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = bed.namespace("bypass");
    mesh.server("client");
    protected(&mesh);
    bed::steadily(Duration::from_secs(3), || {
        mesh.get("client", "http://server/admin/x", &[])
            .expect(200)
            .map(drop)
    });
}
