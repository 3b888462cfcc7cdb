//! What else than HTTP/1.1 a taught sidecar carries to the waypoint.

use super::{LOGGED, SOON, Scene, refused_by_waypoint};
use bed::taught::{Inner, Taught};
use bed::{Bed, eventually, steadily};
use std::time::Duration;

/// One line that the client sends to the raw port of a host; what came back.
fn line(scene: &Scene<'_>, target: &str) -> Result<String, String> {
    let text = scene
        .clients
        .exec("client", &["tcp", target, "hello"])
        .map_err(|error| error.to_string())?;
    if text.contains(r#""echo":"hello""#) {
        Ok(text)
    } else {
        Err(text)
    }
}

#[test]
fn http_2_goes_to_the_server_as_http_2() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "http2");
    scene
        .servers
        .kubectl(&[
            "patch",
            "service",
            "server",
            "--patch",
            r#"{"spec":{"ports":[{"name":"http2","port":81,"targetPort":8080}]}}"#,
        ])
        .unwrap();
    let object = Taught {
        port: 81,
        inner: Inner::Http2,
        ..scene.object()
    };
    let url = |path: &str| format!("http://{}:81{path}", scene.host);
    scene.clients.apply(&object.envoy_filter());
    eventually(SOON, || {
        refused_by_waypoint(scene.clients.get("client", &url("/admin/x"), &[]))
    });
    let answer = scene.clients.get("client", &url("/ab"), &[]).expect(200).unwrap();
    assert_eq!(answer.saw("protocol"), "HTTP/2.0");
    std::thread::sleep(LOGGED);
    assert_eq!(scene.logged("waypoint", "GET /ab HTTP/2"), 1);
}

#[test]
fn grpc_and_websockets_pass_the_waypoint() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "grpc");
    scene.teach();
    let object = Taught {
        name: "taught-grpc",
        port: 9090,
        inner: Inner::Http2,
        ..scene.object()
    };
    scene.clients.apply(&object.envoy_filter());
    let call = |arguments: &[&str], answered: &str| {
        let said = scene.clients.exec("client", arguments);
        match said.map_err(|error| error.to_string())? {
            text if text.contains(answered) => Ok(()),
            other => Err(other),
        }
    };
    let grpc = format!("{}:9090", scene.host);
    eventually(SOON, || {
        call(&["grpc", &grpc], r#""grpc_status":0"#)?;
        std::thread::sleep(LOGGED);
        match scene.logged("waypoint", "inbound-vip|9090|http|") {
            0 => Err("not by the waypoint".to_owned()),
            _ => Ok(()),
        }
    });
    let socket = scene.url("/ws").replace("http:", "ws:");
    call(&["ws", &socket], r#""status":101"#).unwrap();
    std::thread::sleep(LOGGED);
    assert_eq!(scene.logged("waypoint", "\"GET /ws HTTP/1.1\" 101"), 1);
}

#[test]
fn bytes_pass_the_waypoint_which_knows_the_client_and_denies_by_path_all_of_them() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "tcp");
    let target = format!("{}:9000", scene.host);
    let refused = || match line(&scene, &target) {
        Ok(text) => Err(text),
        Err(_) => Ok(()),
    };
    line(&scene, &target).expect("a stock sidecar goes past the waypoint");
    let object = Taught {
        port: 9000,
        ..scene.object()
    };
    scene.clients.apply(&object.envoy_filter());
    // Where there is no HTTP, the path drops out of the DENY, and nothing is left that could not match.
    eventually(SOON, refused);
    scene
        .servers
        .kubectl(&["delete", "authorizationpolicy", "no-admin"])
        .unwrap();
    eventually(SOON, || line(&scene, &target));
    std::thread::sleep(LOGGED);
    assert!(scene.logged("waypoint", "inbound-vip|9000|tcp|") > 0);
    scene.servers.apply(&format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: no-tcp}}\nspec:\n  \
         targetRefs: [{{kind: Service, group: \"\", name: server}}]\n  action: DENY\n  rules:\n  \
         - from: [{{source: {{principals: [cluster.local/ns/{}/sa/client]}}}}]\n    \
         to: [{{operation: {{ports: [\"9000\"]}}}}]\n",
        scene.clients.name()
    ));
    eventually(SOON, refused);
    scene.get("/ab").expect(200).unwrap();
}

/// A headless Service, and a DENY that the waypoint says it took.
const HEADLESS: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: headless}\nspec:\n  clusterIP: None\n  \
    selector: {app: server}\n  ports: [{name: http, port: 8080}]\n---\n\
    apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: no-headless}\nspec:\n  \
    targetRefs: [{kind: Service, group: \"\", name: headless}]\n  action: DENY\n  \
    rules: [{to: [{operation: {paths: [/admin/*]}}]}]\n";

/// The same, of all that passes the waypoint.
const NO_ADMIN_AT_ALL: &str = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
    metadata: {name: no-admin-at-all}\nspec:\n  \
    targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: waypoint}]\n  action: DENY\n  \
    rules: [{to: [{operation: {paths: [/admin/*]}}]}]\n";

#[test]
fn a_headless_service_has_no_policy_of_its_own_at_the_waypoint() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "headless");
    scene.servers.apply(HEADLESS);
    eventually(SOON, || scene.servers.accepted_by_waypoint("no-headless"));
    let host = format!("headless.{}.svc.cluster.local", scene.servers.name());
    let get = |path: &str| {
        scene
            .clients
            .get("client", &format!("http://{host}:8080{path}"), &[])
    };
    eventually(SOON, || get("/admin/x").expect(200));
    // It has no address but those of its pods.
    let pod = scene
        .servers
        .kubectl(&[
            "get",
            "pods",
            "--selector=app=server",
            "--output=jsonpath={.items[0].status.podIP}",
        ])
        .unwrap();
    let object = Taught {
        host: &host,
        port: 8080,
        vip: pod.parse().unwrap(),
        ..scene.object()
    };
    scene.clients.apply(&object.envoy_filter());
    eventually(SOON, || get("/ab").expect(503));
    // A waypoint for workloads takes it, but not by the policies of a Service.
    scene
        .servers
        .kubectl(&[
            "label",
            "--overwrite",
            "gateway",
            "waypoint",
            "istio.io/waypoint-for=all",
        ])
        .unwrap();
    eventually(SOON, || get("/ab").expect(200));
    scene.servers.accepted_by_waypoint("no-headless").unwrap();
    steadily(Duration::from_secs(2), || get("/admin/x").expect(200).map(drop));
    scene.servers.apply(NO_ADMIN_AT_ALL);
    eventually(SOON, || refused_by_waypoint(get("/admin/x")));
}
