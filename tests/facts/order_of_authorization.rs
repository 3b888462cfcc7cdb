//! Sidecars authorize after the client has routed, waypoints before they route (H17).

use crate::{SOON, until_routed};
use bed::{Answer, Bed, Namespace, Settings, eventually, settled};
use std::time::Duration;

/// How long answers must stay the same: connections take up what is new one after the other.
const CALM: Duration = Duration::from_secs(2);

/// Everything to `/old` is sent on as `/new`.
const REWRITE: &str = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: server}\n\
    spec:\n  hosts: [server]\n  http:\n  - match: [{uri: {exact: /old}}]\n    rewrite: {uri: /new}\n    \
    headers: {response: {set: {x-route: rewritten}}}\n    \
    route: [{destination: {host: server, port: {number: 80}}}]\n  \
    - route: [{destination: {host: server, port: {number: 80}}}]\n";

const AT_SIDECAR: &str = "selector: {matchLabels: {app: server}}";
const AT_WAYPOINT: &str = "targetRefs: [{kind: Service, group: \"\", name: server}]";

fn deny(path: &str, whom: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: deny}}\n\
         spec:\n  {whom}\n  action: DENY\n  \
         rules: [{{to: [{{operation: {{paths: [{path}, /refused]}}}}]}}]\n"
    )
}

/// Waits until a DENY for this path is in force, known by a path that it refuses too, and then for the status
/// that a request for `/old` gets from then on.
fn under_a_deny(mesh: &Namespace<'_>, host: &str, path: &str, whom: &str, status: u16) -> Answer {
    let get = |path: &str| mesh.get("client", &format!("http://{host}{path}"), &[]);
    mesh.apply(&deny(path, whom));
    settled(SOON, CALM, || get("/refused").expect(403).map(drop));
    settled(SOON, CALM, || get("/old").expect(status).map(drop));
    let answer = get("/old");
    // The next policy is known by the same path.
    mesh.kubectl(&["delete", "authorizationpolicy", "deny"]).unwrap();
    settled(SOON, CALM, || get("/refused").expect(200).map(drop));
    answer
}

#[test]
fn a_sidecar_judges_the_path_that_the_client_was_routed_to() {
    let Some(bed) = Bed::shared() else { return };
    let mesh = bed.namespace("judge-sidecar");
    mesh.server("client");
    mesh.server("server");
    mesh.apply(REWRITE);
    until_routed(&mesh, "http://server/old", &[], "rewritten");
    under_a_deny(&mesh, "server", "/old", AT_SIDECAR, 200);
    under_a_deny(&mesh, "server", "/new", AT_SIDECAR, 403);
}

#[test]
fn a_waypoint_judges_the_path_that_the_client_asked_for() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = bed.namespace("judge-waypoint");
    mesh.server("client");
    mesh.server("server");
    mesh.waypoint("waypoint");
    mesh.gateway_through_waypoint("server");
    mesh.apply(REWRITE);
    until_routed(&mesh, "http://front-istio/old", &[], "rewritten");
    under_a_deny(&mesh, "front-istio", "/old", AT_WAYPOINT, 403);
    let passed = under_a_deny(&mesh, "front-istio", "/new", AT_WAYPOINT, 200);
    assert_eq!(
        passed.saw("path"),
        "/new",
        "what is denied by name is reached through the rewrite"
    );
}

#[test]
fn a_waypoint_ignores_a_policy_of_the_whole_namespace() {
    let Some(bed) = Bed::shared_ambient() else { return };
    // Neither server nor gateway may be what refuses: the one has no sidecar, the other lies elsewhere.
    let mesh = bed.namespace_with("namespace-wide", Settings::OutsideOfMesh);
    let front = bed.namespace_with("front", Settings::OutsideOfMesh);
    front.server("client");
    mesh.server("server");
    mesh.waypoint("waypoint");
    front.gateway_to(&mesh, "server");
    let url = "http://front-istio/refused";
    mesh.apply(&deny("/old", AT_WAYPOINT));
    eventually(SOON, || front.get("client", url, &[]).expect(403));
    let without_target = deny("/old", "").replace("name: deny", "name: namespace-wide");
    mesh.apply(&without_target);
    mesh.kubectl(&["delete", "authorizationpolicy", "deny"]).unwrap();
    settled(SOON, Duration::from_secs(3), || {
        front.get("client", url, &[]).expect(200).map(drop)
    });
}
