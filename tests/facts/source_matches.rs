//! Matches of a VirtualService on where a request comes from: a sidecar compares with itself, and so does a
//! waypoint, which is not where the request comes from.

use crate::until_routed;
use bed::{Bed, Namespace, Settings};
use serde_json::Value;

/// A VirtualService of `server` with a rule for each path that also matches on the source, and a default.
fn by_source(rules: &[(&str, &str)]) -> String {
    let rules: String = rules
        .iter()
        .map(|(path, source)| {
            format!(
                "  - match: [{{uri: {{exact: {path}}}, {source}}}]\n    \
                 headers: {{response: {{set: {{x-route: matched}}}}}}\n    \
                 route: [{{destination: {{host: server, port: {{number: 80}}}}}}]\n"
            )
        })
        .collect();
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: server}}\n\
         spec:\n  hosts: [server]\n  http:\n{rules}  - headers: {{response: {{set: {{x-route: default}}}}}}\n    \
         route: [{{destination: {{host: server, port: {{number: 80}}}}}}]\n"
    )
}

/// Which rule answered a request for this path.
fn routed(clients: &Namespace<'_>, host: &str, path: &str) -> Value {
    let answer = clients.get("client", &format!("http://{host}{path}"), &[]);
    answer.expect(200).unwrap().headers["x-route"].clone()
}

#[test]
fn a_sidecar_matches_its_own_labels_and_namespace() {
    let Some(bed) = Bed::shared() else { return };
    let mesh = bed.namespace("source-sidecar");
    mesh.server("client");
    mesh.server("server");
    mesh.apply(&by_source(&[
        ("/labels", "sourceLabels: {app: client}"),
        ("/other-labels", "sourceLabels: {app: server}"),
        ("/namespace", "sourceNamespace: $NAMESPACE"),
        ("/other-namespace", "sourceNamespace: elsewhere"),
    ]));
    until_routed(&mesh, "http://server/", &[], "default");
    let seen = ["/labels", "/other-labels", "/namespace", "/other-namespace"]
        .map(|path| routed(&mesh, "server", path));
    assert_eq!(
        seen,
        ["matched", "default", "matched", "default"].map(Value::from)
    );
}

/// A Service with a waypoint, and in a namespace of its own a gateway that sends requests through it.
fn through_a_waypoint<'a>(bed: &'a Bed, hint: &str) -> (Namespace<'a>, Namespace<'a>) {
    let mesh = bed.namespace_with(hint, Settings::OutsideOfMesh);
    let front = bed.namespace_with(&format!("{hint}-front"), Settings::OutsideOfMesh);
    std::thread::scope(|scope| {
        scope.spawn(|| front.server("client"));
        scope.spawn(|| mesh.server("server"));
        mesh.waypoint("waypoint");
    });
    front.gateway_to(&mesh, "server");
    (mesh, front)
}

#[test]
fn a_waypoint_matches_no_labels_and_its_own_namespace_for_everyone() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let (mesh, front) = through_a_waypoint(bed, "source");
    let gateway = "sourceLabels: {gateway.networking.k8s.io/gateway-name: front}";
    let waypoint = "sourceLabels: {gateway.networking.k8s.io/gateway-name: waypoint}";
    let namespace_of_gateway = format!("sourceNamespace: {}", front.name());
    mesh.apply(&by_source(&[
        ("/labels-of-gateway", gateway),
        ("/labels-of-waypoint", waypoint),
        ("/namespace-of-gateway", &namespace_of_gateway),
        ("/namespace-of-waypoint", "sourceNamespace: $NAMESPACE"),
    ]));
    until_routed(&front, "http://front-istio/", &[], "default");
    let seen = [
        "/labels-of-gateway",
        "/labels-of-waypoint",
        "/namespace-of-gateway",
        "/namespace-of-waypoint",
    ]
    .map(|path| routed(&front, "front-istio", path));
    assert_eq!(
        seen,
        ["default", "default", "default", "matched"].map(Value::from)
    );

    // Where no rule is left the object does not count at all: what would be 404 passes.
    let alone = by_source(&[("/labels-of-gateway", gateway)]);
    let alone = alone.split_once("  - headers: ").unwrap().0;
    mesh.apply(alone);
    bed::eventually(crate::SOON, || match routed(&front, "front-istio", "/") {
        Value::Null => Ok(()),
        other => Err(format!("still routed by {other}")),
    });
}
