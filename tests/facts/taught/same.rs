//! Whether the waypoint treats a taught sidecar's request as any other of its clients': it is compared with a
//! request that an ingress gateway sends through the waypoint, in the way that Istio itself has for it.

use super::{LOGGED, SOON, Scene, refused_by_waypoint};
use bed::{Answer, Bed, eventually};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a gateway may take until it is ready.
const READY: Duration = Duration::from_secs(60);

const FRONT: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
    metadata: {name: front, annotations: {networking.istio.io/service-type: ClusterIP}}\n\
    spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}\n\
    ---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: front}\n\
    spec: {parentRefs: [{name: front}], rules: [{backendRefs: [{name: server, port: 80}]}]}\n";

/// What a line of the waypoint's log says of the way of a request: what was found out about it, the server, the
/// cluster, the address that was dialled, and the route.
fn way(scene: &Scene<'_>, path: &str) -> Vec<String> {
    let log = scene
        .servers
        .kubectl(&["logs", "deployment/waypoint", "--tail=-1"])
        .unwrap();
    let line = log.lines().rfind(|line| line.contains(path)).unwrap();
    let fields: Vec<_> = line.split_whitespace().rev().map(str::to_owned).collect();
    // From the end: route, name of TLS, client's address, dialled address, own address, cluster, server.
    [0, 1, 3, 4, 5, 6]
        .iter()
        .map(|&field| fields[field].clone())
        .collect()
}

fn headers(answer: &Answer) -> BTreeSet<&str> {
    let seen = answer.body["headers"].as_object().unwrap();
    seen.keys().map(String::as_str).collect()
}

#[test]
fn a_waypoint_treats_a_taught_sidecar_as_it_treats_a_gateway() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "same");
    scene.servers.apply(FRONT);
    scene
        .servers
        .kubectl(&["label", "service", "server", "istio.io/ingress-use-waypoint=true"])
        .unwrap();
    scene.teach();
    let front = |path: &str| {
        let url = format!("http://front-istio.{}{path}", scene.servers.name());
        scene.clients.get("client", &url, &[])
    };
    eventually(READY, || refused_by_waypoint(front("/admin/x")));
    let gateway = front("/of-gateway").expect(200).unwrap();
    let sidecar = scene.get("/of-sidecar").expect(200).unwrap();
    std::thread::sleep(LOGGED);
    assert_eq!(way(&scene, "/of-gateway"), way(&scene, "/of-sidecar"));
    let added: Vec<_> = headers(&gateway)
        .symmetric_difference(&headers(&sidecar))
        .copied()
        .collect();
    // These two are what a gateway says of its client.
    assert_eq!(added, ["x-envoy-external-address", "x-forwarded-for"]);
}

#[test]
fn policies_see_the_address_of_the_client_and_servers_no_identity() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "address");
    let forged = ["x-forwarded-client-cert: URI=spiffe://cluster.local/ns/admin/sa/admin"];
    let identity = format!("spiffe://cluster.local/ns/{}/sa/client", scene.clients.name());
    let answer = scene.get_with("/ab", &forged).expect(200).unwrap();
    assert_eq!(answer.saw("identity"), identity);
    scene.teach();
    // What the waypoint says of itself to the server's sidecar is not passed on, nor what the client forges.
    let answer = scene.get_with("/ab", &forged).expect(200).unwrap();
    assert_eq!(answer.saw_header("x-forwarded-client-cert"), "");
    let client = scene
        .clients
        .kubectl(&["get", "pods", "--output=jsonpath={.items[0].status.podIP}"])
        .unwrap();
    scene.servers.apply(&format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: not-from-there}}\nspec:\n  \
         targetRefs: [{{kind: Service, group: \"\", name: server}}]\n  action: DENY\n  rules:\n  \
         - from: [{{source: {{ipBlocks: [{client}/32]}}}}]\n    to: [{{operation: {{paths: [/ab]}}}}]\n"
    ));
    eventually(SOON, || refused_by_waypoint(scene.get("/ab")));
    scene.get("/ac").expect(200).unwrap();
}
