//! A stock waypoint between two node proxies.

use crate::{SOON, no_answer, pod_address};
use bed::{Bed, Namespace, Settings, eventually};

const NO_ADMIN: &str = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: no-admin}\n\
    spec:\n  targetRefs: [{kind: Service, group: \"\", name: server}]\n  action: DENY\n  \
    rules: [{to: [{operation: {paths: [/admin/*]}}]}]\n";

/// A server behind a waypoint that lets nobody read `/admin/…`.
fn protected<'a>(bed: &'a Bed, hint: &str) -> Namespace<'a> {
    let mesh = bed.namespace_with(hint, Settings::Ambient);
    mesh.server("client");
    mesh.server("server");
    mesh.waypoint("waypoint");
    mesh.apply(NO_ADMIN);
    eventually(SOON, || mesh.accepted_by_waypoint("no-admin"));
    eventually(SOON, || {
        mesh.get("client", "http://server/admin/x", &[]).expect(403)
    });
    mesh
}

#[test]
fn a_service_is_reached_through_its_waypoint_and_a_pod_past_it() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = protected(bed, "through");
    let refused = mesh.get("client", "http://server/admin/x", &[]);
    assert_eq!(refused.body, "RBAC: access denied", "by whom?");
    mesh.get("client", "http://server/ab", &[]).expect(200).unwrap();
    let past = format!("http://{}:8080/admin/x", pod_address(&mesh, "server"));
    mesh.get("client", &past, &[]).expect(200).unwrap();
}

#[test]
fn the_server_sees_the_waypoint_and_the_waypoint_the_client() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = protected(bed, "identities");
    let own = mesh.name();
    // At the server's node proxy: only the waypoint may come.
    mesh.apply(&format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: only-waypoint}}\n\
         spec:\n  selector: {{matchLabels: {{app: server}}}}\n  \
         rules: [{{from: [{{source: {{principals: [cluster.local/ns/{own}/sa/waypoint]}}}}]}}]\n"
    ));
    let past = format!("http://{}:8080/ab", pod_address(&mesh, "server"));
    eventually(SOON, || no_answer(mesh.get("client", &past, &[])));
    mesh.get("client", "http://server/ab", &[]).expect(200).unwrap();
    // At the waypoint: not this client.
    mesh.apply(&format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: not-client}}\n\
         spec:\n  targetRefs: [{{kind: Service, group: \"\", name: server}}]\n  action: DENY\n  \
         rules: [{{from: [{{source: {{principals: [cluster.local/ns/{own}/sa/client]}}}}]}}]\n"
    ));
    mesh.server("other");
    eventually(SOON, || mesh.get("client", "http://server/ab", &[]).expect(403));
    mesh.get("other", "http://server/ab", &[]).expect(200).unwrap();
}

#[test]
fn a_pod_is_reached_through_a_waypoint_for_workloads() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = bed.namespace_with("workloads", Settings::Ambient);
    mesh.server("client");
    mesh.server("server");
    mesh.waypoint_for("waypoint", "workload");
    mesh.apply(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: no-admin}\n\
         spec:\n  targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: waypoint}]\n  \
         action: DENY\n  rules: [{to: [{operation: {paths: [/admin/*]}}]}]\n",
    );
    let pod = pod_address(&mesh, "server");
    eventually(SOON, || {
        mesh.get("client", &format!("http://{pod}:8080/admin/x"), &[])
            .expect(403)
    });
    mesh.get("client", &format!("http://{pod}:8080/ab"), &[])
        .expect(200)
        .unwrap();
    // What is sent to the Service is not the waypoint's concern.
    mesh.get("client", "http://server/admin/x", &[])
        .expect(200)
        .unwrap();
}

#[test]
fn without_a_pod_of_the_waypoint_nothing_passes() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = protected(bed, "no-waypoint");
    mesh.kubectl(&["scale", "deployment/waypoint", "--replicas=0"])
        .unwrap();
    eventually(SOON, || {
        no_answer(mesh.get("client", "http://server/admin/x", &[]))
    });
    bed::steadily(std::time::Duration::from_secs(5), || {
        no_answer(mesh.get("client", "http://server/admin/x", &[]))
    });
    mesh.kubectl(&["scale", "deployment/waypoint", "--replicas=1"])
        .unwrap();
    eventually(SOON, || mesh.get("client", "http://server/ab", &[]).expect(200));
    mesh.get("client", "http://server/admin/x", &[])
        .expect(403)
        .unwrap();
}
