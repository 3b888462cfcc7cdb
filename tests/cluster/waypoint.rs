//! A waypoint of istiod's, run by a stock Envoy, and who passes it.

use bed::taught::{Inner, Taught};
use bed::{Answer, Bed, Namespace, eventually};
use std::net::SocketAddr;
use std::time::Duration;

const READY: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(30);

/// A policy that a waypoint enforces: nobody reads `/admin/…` of the Service.
const NO_ADMIN: &str = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: no-admin}\n\
    spec:\n  targetRefs: [{kind: Service, group: \"\", name: server}]\n  action: DENY\n  \
    rules: [{to: [{operation: {paths: [/admin/*]}}]}]\n";

/// An ingress gateway for the Service.
const FRONT: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
    metadata: {name: front, annotations: {networking.istio.io/service-type: ClusterIP}}\n\
    spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}\n\
    ---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: front}\n\
    spec: {parentRefs: [{name: front}], rules: [{backendRefs: [{name: server, port: 80}]}]}\n";

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

#[test]
fn a_waypoint_enforces_layer_7_for_what_a_gateway_sends_through_it() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = bed.namespace("layer7");
    mesh.server("client");
    protected(&mesh);
    mesh.apply(FRONT);
    eventually(READY, || mesh.object("deployment", "front-istio"));
    mesh.wait_ready("deployment/front-istio");
    eventually(SOON, || {
        mesh.get("client", "http://front-istio/ab", &[]).expect(200)
    });
    // Gateways pass waypoints only where they are told to.
    mesh.get("client", "http://front-istio/admin/x", &[])
        .expect(200)
        .unwrap();
    mesh.kubectl(&["label", "service", "server", "istio.io/ingress-use-waypoint=true"])
        .unwrap();
    eventually(SOON, || {
        refused_by_waypoint(mesh.get("client", "http://front-istio/admin/x", &[]))
    });
    mesh.get("client", "http://front-istio/ab", &[])
        .expect(200)
        .unwrap();
}

/// Has the sidecars of this namespace pass the waypoint on their way to the protected Service.
fn teach(clients: &Namespace<'_>, servers: &Namespace<'_>) {
    let host = format!("server.{}.svc.cluster.local", servers.name());
    clients.apply(
        &Taught {
            name: "taught",
            clients: clients.name(),
            selector: &[],
            host: &host,
            port: 80,
            subsets: &[],
            vip: servers.address_of("server"),
            waypoints: &[SocketAddr::new(servers.address_of("waypoint"), 15008)],
            inner: Inner::AsIs,
            priority: 0,
        }
        .envoy_filter(),
    );
}

/// A DENY at the waypoint of all that one client asks under `/ab`.
fn not_from(clients: &Namespace<'_>) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: not-from-client}}\n\
         spec:\n  targetRefs: [{{kind: Service, group: \"\", name: server}}]\n  action: DENY\n  rules:\n  \
         - from: [{{source: {{principals: [cluster.local/ns/{}/sa/client]}}}}]\n    \
         to: [{{operation: {{paths: [/ab]}}}}]\n",
        clients.name()
    )
}

fn refused_by_waypoint(answer: Answer) -> Result<(), String> {
    let answer = answer.expect(403)?;
    match answer.body.as_str() {
        Some("RBAC: access denied") => Ok(()),
        _ => Err(format!("refused by something else: {answer:?}")),
    }
}

#[test]
fn a_taught_sidecar_passes_the_waypoint_with_its_own_identity() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let clients = bed.namespace("taught");
    let servers = bed.namespace("protected");
    clients.server("client");
    clients.server("other");
    protected(&servers);
    let url = |path: &str| format!("http://server.{}{path}", servers.name());
    clients
        .get("client", &url("/admin/x"), &[])
        .expect(200)
        .expect("a stock sidecar goes past the waypoint");

    teach(&clients, &servers);
    for from in ["client", "other"] {
        eventually(SOON, || {
            refused_by_waypoint(clients.get(from, &url("/admin/x"), &[]))
        });
        clients.get(from, &url("/ab"), &[]).expect(200).unwrap();
    }
    // Only the waypoint takes policies with targetRefs, and only a certificate of the client's tells it who asks.
    servers.apply(&not_from(&clients));
    eventually(SOON, || {
        refused_by_waypoint(clients.get("client", &url("/ab"), &[]))
    });
    clients.get("client", &url("/ac"), &[]).expect(200).unwrap();
    clients.get("other", &url("/ab"), &[]).expect(200).unwrap();

    clients.kubectl(&["delete", "envoyfilter", "taught"]).unwrap();
    eventually(SOON, || clients.get("client", &url("/admin/x"), &[]).expect(200));
    clients.get("client", &url("/ab"), &[]).expect(200).unwrap();
}
