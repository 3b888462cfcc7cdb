//! Who speaks mutual TLS to whom, by what crosses the wires.

use crate::{SOON, STRICT, no_answer, pod_address};
use bed::{Bed, Capture, Namespace, Settings, eventually};

/// Something that each request says, to look for on the wires.
const MARKER: &str = "seen-by-nobody-else";

/// A client in one namespace, a server in the other.
struct Scene<'a> {
    clients: Namespace<'a>,
    servers: Namespace<'a>,
}

impl<'a> Scene<'a> {
    fn new(bed: &'a Bed, client: Settings, server: Settings) -> Self {
        let scene = Self {
            clients: bed.namespace_with("from", client),
            servers: bed.namespace_with("to", server),
        };
        scene.clients.server("client");
        scene.servers.server("server");
        scene
    }

    fn url(&self) -> String {
        format!("http://server.{}/", self.servers.name())
    }

    /// What crosses the wires during several requests, all answered.
    fn capture(&self) -> Capture {
        let header = format!("x-marker: {MARKER}");
        let url = self.url();
        eventually(SOON, || self.clients.get("client", &url, &[]).expect(200));
        self.clients.bed().capture(|| {
            for _ in 0..3 {
                self.clients.get("client", &url, &[&header]).expect(200).unwrap();
            }
        })
    }
}

#[track_caller]
fn assert_encrypted(scene: &Scene<'_>, capture: &Capture) {
    let client = pod_address(&scene.clients, "client");
    let server = pod_address(&scene.servers, "server");
    let to = |port| format!("src host {client} and dst host {server} and dst port {port}");
    assert!(!capture.contains(MARKER), "plaintext crossed the bridge");
    assert_eq!(
        capture.count(&to(8080)),
        0,
        "the client spoke to the server's own port"
    );
    assert!(
        capture.count(&to(15008)) > 0,
        "the client did not speak HBONE to the server"
    );
}

#[test]
fn without_a_mesh_the_capture_sees_plaintext() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, Settings::OutsideOfMesh, Settings::OutsideOfMesh);
    let capture = scene.capture();
    assert!(capture.contains(MARKER), "the capture is blind");
}

#[test]
fn ambient_speaks_hbone_to_ambient() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, Settings::Ambient, Settings::Ambient);
    scene.servers.apply(STRICT);
    assert_encrypted(&scene, &scene.capture());
}

#[test]
fn ambient_speaks_hbone_to_a_sidecar_which_sees_the_client() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, Settings::Ambient, Settings::Sidecar);
    scene.servers.apply(STRICT);
    scene.servers.apply(&allow_only(&scene.clients, "client"));
    assert_encrypted(&scene, &scene.capture());
    scene.servers.apply(&allow_only(&scene.clients, "somebody-else"));
    eventually(SOON, || {
        scene.clients.get("client", &scene.url(), &[]).expect(403)
    });
}

#[test]
fn a_sidecar_speaks_hbone_to_ambient_which_sees_the_client() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, Settings::Sidecar, Settings::Ambient);
    scene.servers.apply(STRICT);
    scene.servers.apply(&allow_only(&scene.clients, "client"));
    assert_encrypted(&scene, &scene.capture());
    scene.servers.apply(&allow_only(&scene.clients, "somebody-else"));
    // The sidecar answers for a connection that was refused.
    eventually(SOON, || {
        scene.clients.get("client", &scene.url(), &[]).expect(503)
    });
}

#[test]
fn strict_refuses_plaintext_and_permissive_does_not() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, Settings::OutsideOfMesh, Settings::Ambient);
    let url = scene.url();
    eventually(SOON, || scene.clients.get("client", &url, &[]).expect(200));
    scene.servers.apply(STRICT);
    eventually(SOON, || no_answer(scene.clients.get("client", &url, &[])));
    // The pod's own kubelet is no client: a new pod gets ready.
    scene
        .servers
        .kubectl(&["rollout", "restart", "deployment/server"])
        .unwrap();
    scene.servers.wait_ready("deployment/server");
    bed::steadily(std::time::Duration::from_secs(3), || {
        no_answer(scene.clients.get("client", &url, &[]))
    });
}

#[test]
fn nodes_speak_hbone_to_each_other() {
    let Some(bed) = Bed::shared_ambient() else { return };
    if bed.nodes() < 2 {
        Bed::say_skipped("the bed has one node");
        return;
    }
    let scene = Scene::new(bed, Settings::Ambient, Settings::Ambient);
    scene.servers.apply(STRICT);
    for (mesh, deployment, node) in [
        (&scene.clients, "client", "node-1"),
        (&scene.servers, "server", "node-2"),
    ] {
        let pinned = format!("{{\"spec\":{{\"template\":{{\"spec\":{{\"nodeName\":\"{node}\"}}}}}}}}");
        mesh.kubectl(&["patch", "deployment", deployment, "--patch", &pinned])
            .unwrap();
        mesh.wait_ready(&format!("deployment/{deployment}"));
    }
    assert_encrypted(&scene, &scene.capture());
}

/// A policy for all of the servers: only this service account of the clients' namespace.
fn allow_only(clients: &Namespace<'_>, account: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: only}}\n\
         spec: {{rules: [{{from: [{{source: {{principals: [cluster.local/ns/{}/sa/{account}]}}}}]}}]}}\n",
        clients.name()
    )
}
