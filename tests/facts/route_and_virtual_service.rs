//! An HTTPRoute whose parent is a Service, beside a VirtualService for the same host (H5), and what of an
//! HTTPRoute is honoured there.

use crate::{SOON, until_routed};
use bed::{Bed, Namespace, eventually, steadily};
use std::time::Duration;

const URL: &str = "http://server/";

fn virtual_service(marker: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: server}}\n\
         spec:\n  hosts: [server]\n  http:\n  - headers: {{response: {{set: {{x-route: {marker}}}}}}}\n    \
         route: [{{destination: {{host: server, port: {{number: 80}}}}}}]\n"
    )
}

fn http_route(marker: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: server}}\n\
         spec:\n  parentRefs: [{{group: \"\", kind: Service, name: server}}]\n  rules:\n  - filters:\n    \
         - type: ResponseHeaderModifier\n      responseHeaderModifier: {{set: [{{name: x-route, value: {marker}}}]}}\n    \
         backendRefs: [{{name: server, port: 80}}]\n"
    )
}

fn client_and_server<'a>(bed: &'a Bed, hint: &str) -> Namespace<'a> {
    let mesh = bed.namespace(hint);
    mesh.server("client");
    mesh.server("server");
    mesh
}

/// The API server's times are of whole seconds.
fn a_second_later() {
    std::thread::sleep(Duration::from_millis(1500));
}

/// Of two objects for the same host, the one that routes.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Winner {
    Route,
    VirtualService,
}

impl Winner {
    /// The object; it alone also routes this other host, by which it is known to have arrived.
    fn manifest(self, other: &str) -> String {
        match self {
            Self::Route => http_route("route").replace(
                "name: server}]\n  rules",
                &format!("name: server}}, {{group: \"\", kind: Service, name: {other}}}]\n  rules"),
            ),
            Self::VirtualService => {
                virtual_service("vs").replace("hosts: [server]", &format!("hosts: [server, {other}]"))
            }
        }
    }

    const fn marker(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::VirtualService => "vs",
        }
    }
}

/// Writes both, the first a second before the second. Who routes clients of the objects' own namespace, and of
/// another.
fn winners(mesh: &Namespace<'_>, other: &Namespace<'_>, order: [Winner; 2]) -> [Winner; 2] {
    let url = |host: &str| format!("http://{host}.{}/", mesh.name());
    for (object, own_host) in order.into_iter().zip(["second", "third"]) {
        mesh.apply(&object.manifest(own_host));
        for clients in [mesh, other] {
            until_routed(clients, &url(own_host), &[], object.marker());
        }
        a_second_later();
    }
    let won = [mesh, other].map(|clients| {
        let routed_by = || clients.get("client", &url("server"), &[]).headers["x-route"].clone();
        let once = routed_by();
        steadily(Duration::from_secs(1), || {
            let now = routed_by();
            (now == once).then_some(()).ok_or(format!("{once}, then {now}"))
        });
        order.into_iter().find(|object| once == object.marker()).unwrap()
    });
    mesh.kubectl(&["delete", "httproute/server", "virtualservice/server"])
        .unwrap();
    for clients in [mesh, other] {
        eventually(SOON, || {
            let answer = clients.get("client", &url("server"), &[]).expect(200)?;
            (answer.headers["x-route"] == serde_json::Value::Null)
                .then_some(())
                .ok_or_else(|| "still routed".to_owned())
        });
    }
    won
}

#[test]
fn at_a_sidecar_a_route_wins_in_its_own_namespace_and_the_older_object_elsewhere() {
    let Some(bed) = Bed::shared() else { return };
    let other = bed.namespace("both-other");
    let mesh = std::thread::scope(|scope| {
        scope.spawn(|| other.server("client"));
        client_and_server(bed, "both")
    });
    for name in ["second", "third"] {
        mesh.apply(&format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
             spec: {{selector: {{app: server}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}\n"
        ));
    }
    let older_virtual_service = winners(&mesh, &other, [Winner::VirtualService, Winner::Route]);
    assert_eq!(older_virtual_service, [Winner::Route, Winner::VirtualService]);
    let older_route = winners(&mesh, &other, [Winner::Route, Winner::VirtualService]);
    assert_eq!(older_route, [Winner::Route, Winner::Route]);
}

#[test]
fn a_header_match_on_host_is_honoured_at_a_sidecar() {
    let Some(bed) = Bed::shared() else { return };
    let mesh = client_and_server(bed, "host-header");
    let with_match = http_route("matched").replace(
        "  rules:\n  - filters",
        "  rules:\n  - matches: [{headers: [{name: host, value: server}]}]\n    filters",
    );
    let with_default = format!("{with_match}  - backendRefs: [{{name: server, port: 80}}]\n");
    mesh.apply(&with_default);
    until_routed(&mesh, URL, &[], "matched");
    let other = mesh.get("client", URL, &[&format!("Host: server.{}", mesh.name())]);
    assert_eq!(other.status, Some(200));
    assert_eq!(
        other.headers["x-route"],
        serde_json::Value::Null,
        "another name of the Service"
    );
}

/// Both know `/both`, and each knows a path of its own.
const JOINED: &str = "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: server}
spec:
  hosts: [server]
  http:
  - match: [{uri: {exact: /both}}, {uri: {exact: /vs}}]
    headers: {response: {set: {x-route: vs}}}
    route: [{destination: {host: server, port: {number: 80}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: server}
spec:
  parentRefs: [{group: '', kind: Service, name: server}]
  rules:
  - matches: [{path: {type: Exact, value: /both}}, {path: {type: Exact, value: /route}}]
    filters:
    - type: ResponseHeaderModifier
      responseHeaderModifier: {set: [{name: x-route, value: route}]}
    backendRefs: [{name: server, port: 80}]
";

#[test]
fn at_a_waypoint_route_and_virtual_service_are_joined_the_route_first() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = behind_a_waypoint(bed, "joined");
    let (virtual_service, route) = JOINED.split_once("---\n").unwrap();
    for [first, second] in [[virtual_service, route], [route, virtual_service]] {
        mesh.apply(first);
        a_second_later();
        mesh.apply(second);
        until_routed(&mesh, "http://front-istio/vs", &[], "vs");
        until_routed(&mesh, "http://front-istio/route", &[], "route");
        let both = mesh
            .get("client", "http://front-istio/both", &[])
            .expect(200)
            .unwrap();
        assert_eq!(both.headers["x-route"], "route", "{first}");
        mesh.kubectl(&["delete", "httproute/server", "virtualservice/server"])
            .unwrap();
    }
}

#[test]
fn a_header_match_on_host_is_honoured_at_a_waypoint() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = behind_a_waypoint(bed, "host-waypoint");
    let with_match = http_route("matched").replace(
        "  rules:\n  - filters",
        "  rules:\n  - matches: [{headers: [{name: host, value: one.test}]}]\n    filters",
    );
    mesh.apply(&format!(
        "{with_match}  - backendRefs: [{{name: server, port: 80}}]\n"
    ));
    let url = "http://front-istio/";
    until_routed(&mesh, url, &["Host: one.test"], "matched");
    let other = mesh.get("client", url, &["Host: two.test"]).expect(200).unwrap();
    assert_eq!(other.headers["x-route"], serde_json::Value::Null);
}

fn behind_a_waypoint<'a>(bed: &'a Bed, hint: &str) -> Namespace<'a> {
    let mesh = client_and_server(bed, hint);
    mesh.waypoint("waypoint");
    mesh.gateway_through_waypoint("server");
    mesh
}
