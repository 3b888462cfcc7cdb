//! A sidecar routes by the name that a request gives, a waypoint by the address that was dialled (H18).

use crate::until_routed;
use bed::{Bed, Namespace, Settings};

fn two_servers<'a>(bed: &'a Bed, hint: &str) -> Namespace<'a> {
    let mesh = bed.namespace(hint);
    mesh.server("client");
    for name in ["one", "two"] {
        mesh.server(name);
        mesh.apply(&format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}}}\n\
             spec:\n  hosts: [{name}]\n  http:\n  - headers: {{response: {{set: {{x-route: {name}}}}}}}\n    \
             route: [{{destination: {{host: {name}, port: {{number: 80}}}}}}]\n"
        ));
    }
    mesh
}

#[test]
fn a_sidecar_routes_by_host_whatever_was_dialled() {
    let Some(bed) = Bed::shared() else { return };
    let mesh = two_servers(bed, "by-host");
    for name in ["one", "two"] {
        until_routed(&mesh, &format!("http://{name}/"), &[], name);
    }
    let answer = mesh
        .get("client", "http://one/", &["Host: two"])
        .expect(200)
        .unwrap();
    assert_eq!(
        (&answer.headers["x-route"], answer.saw("service_account")),
        (&"two".into(), "two")
    );
}

#[test]
fn a_waypoint_routes_by_the_address_dialled_whatever_the_host() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = two_servers(bed, "by-address");
    mesh.waypoint("waypoint");
    mesh.gateway_through_waypoint("one");
    until_routed(&mesh, "http://front-istio/", &[], "one");
    // A client without a sidecar, which would route by the name itself.
    let outside = bed.namespace_with("by-address-outside", Settings::OutsideOfMesh);
    outside.server("client");
    let host = format!("two.{}.svc.cluster.local", mesh.name());
    let url = format!("http://front-istio.{}/", mesh.name());
    let answer = outside
        .get("client", &url, &[&format!("Host: {host}")])
        .expect(200)
        .unwrap();
    assert_eq!(answer.saw("host"), host);
    assert_eq!(
        (&answer.headers["x-route"], answer.saw("service_account")),
        (&"one".into(), "one")
    );
}
