//! Whether the waypoint treats a taught sidecar's request as any other of its clients': it is compared with a
//! request that an ingress gateway sends through the waypoint, in the way that Istio itself has for it.

use super::{LOGGED, SOON, Scene, refused_by_waypoint};
use bed::{Answer, Bed, eventually, steadily};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a gateway may take until it is ready.
const READY: Duration = Duration::from_secs(60);

const FRONT: &str = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
    metadata: {name: front, annotations: {networking.istio.io/service-type: ClusterIP}}\n\
    spec: {gatewayClassName: istio, listeners: [{name: http, port: 80, protocol: HTTP}]}\n\
    ---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: front}\n\
    spec: {parentRefs: [{name: front}], rules: [{backendRefs: [{name: server, port: 80}]}]}\n";

/// What the waypoint's log says of the way of a request, from the end of its line: the route, the name asked of TLS,
/// the address that was dialled, the waypoint's own address, the cluster, and the server. Left out is the client.
fn way(scene: &Scene<'_>, path: &str) -> Vec<String> {
    let log = scene
        .servers
        .kubectl(&["logs", "deployment/waypoint", "--tail=-1"])
        .unwrap();
    let line = log.lines().rfind(|line| line.contains(path)).unwrap();
    let fields: Vec<_> = line.split_whitespace().rev().map(str::to_owned).collect();
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
fn the_server_learns_no_identity_not_even_a_forged_one() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "forged");
    let forged = ["x-forwarded-client-cert: URI=spiffe://cluster.local/ns/admin/sa/admin"];
    let identity = format!("spiffe://cluster.local/ns/{}/sa/client", scene.clients.name());
    let answer = scene.get_with("/ab", &forged).expect(200).unwrap();
    assert_eq!(answer.saw("identity"), identity);
    scene.teach();
    let answer = scene.get_with("/ab", &forged).expect(200).unwrap();
    assert_eq!(answer.saw_header("x-forwarded-client-cert"), "");
}

#[test]
fn an_annotation_of_the_gateway_names_the_client_to_servers_without_sidecars_alone() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "xfcc");
    scene.teach();
    let annotation = r#"{"spec":{"infrastructure":{"annotations":
        {"ambient.istio.io/xfcc-include-client-identity":"true"}}}}"#;
    let no_sidecar = r#"{"spec":{"template":{"metadata":{"labels":{"sidecar.istio.io/inject":"false"}}}}}"#;
    let servers = &scene.servers;
    let patch = |what: &str, patch: &str| {
        servers
            .kubectl(&["patch", what, "--type=merge", "--patch", patch])
            .unwrap();
    };
    patch("gateway/waypoint", annotation);
    let of_pods = "--output=jsonpath={.spec.template.metadata.annotations}";
    eventually(SOON, || {
        let found = servers
            .kubectl(&["get", "deployment", "waypoint", of_pods])
            .unwrap();
        found.contains("xfcc-include").then_some(()).ok_or(found)
    });
    servers.wait_ready("deployment/waypoint");
    scene.get("/admin/x").expect(403).unwrap();
    assert_eq!(scene.get("/ab").expect(200).unwrap().saw("identity"), "");
    patch("deployment/server", no_sidecar);
    servers.wait_ready("deployment/server");
    let identity = format!("spiffe://cluster.local/ns/{}/sa/client", scene.clients.name());
    eventually(SOON, || match scene.get("/ab").expect(200)? {
        answer if answer.saw("identity") == identity => Ok(()),
        answer => Err(format!("{answer:?}")),
    });
}

/// A DENY of one path for the sources of these addresses.
fn not_from(path: &str, source: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {path}}}\nspec:\n  \
         targetRefs: [{{kind: Service, group: \"\", name: server}}]\n  action: DENY\n  rules:\n  \
         - from: [{{source: {{{source}}}}}]\n    to: [{{operation: {{paths: [/{path}]}}}}]\n---\n"
    )
}

#[test]
fn of_addresses_a_waypoint_believes_the_forwarded_one_alone() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "address");
    scene.teach();
    let pods = ["get", "pods", "--output=jsonpath={.items[0].status.podIP}"];
    let client = scene.clients.kubectl(&pods).unwrap();
    scene.servers.apply(
        &[
            not_from("peer", "ipBlocks: [0.0.0.0/0]"),
            not_from("client", &format!("remoteIpBlocks: [{client}/32]")),
            not_from("forged", "remoteIpBlocks: [192.0.2.7/32]"),
        ]
        .concat(),
    );
    eventually(SOON, || refused_by_waypoint(scene.get("/client")));
    let forged = ["x-forwarded-for: 192.0.2.7"];
    eventually(SOON, || refused_by_waypoint(scene.get_with("/forged", &forged)));
    scene.get("/forged").expect(200).unwrap();
    scene.get_with("/client", &forged).expect(200).unwrap();
    // The connection inside of the tunnel has no address of IP: not even a block of all addresses matches.
    eventually(SOON, || scene.servers.accepted_by_waypoint("peer"));
    steadily(Duration::from_secs(2), || {
        scene.get("/peer").expect(200).map(drop)
    });
}
