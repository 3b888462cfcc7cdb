//! Pods come into the mesh and leave it without a restart.

use crate::{SOON, STRICT, no_answer};
use bed::{Bed, Namespace, Settings, eventually};

/// The pod's UID and how often its containers began anew.
fn life(mesh: &Namespace<'_>) -> String {
    let what =
        "--output=jsonpath={.items[*].metadata.uid} {.items[*].status.containerStatuses[*].restartCount}";
    mesh.kubectl(&["get", "pods", "--selector=app=server", what])
        .unwrap()
}

fn redirection(mesh: &Namespace<'_>) -> String {
    let what = "--output=jsonpath={.items[0].metadata.annotations.ambient\\.istio\\.io/redirection}";
    mesh.kubectl(&["get", "pods", "--selector=app=server", what])
        .unwrap()
}

#[test]
fn a_label_enrols_running_pods_and_its_removal_releases_them() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let clients = bed.namespace_with("outside", Settings::OutsideOfMesh);
    let servers = bed.namespace_with("enrolled", Settings::OutsideOfMesh);
    clients.server("client");
    servers.server("server");
    // Strictness has no meaning for pods that no proxy stands before.
    servers.apply(STRICT);
    let url = format!("http://server.{}/", servers.name());
    eventually(SOON, || clients.get("client", &url, &[]).expect(200));
    let before = life(&servers);
    let label = |value: &str| {
        bed.kubectl()
            .run(&["label", "--overwrite", "namespace", servers.name(), value])
            .unwrap();
    };

    label("istio.io/dataplane-mode=ambient");
    eventually(SOON, || match redirection(&servers).as_str() {
        "enabled" => Ok(()),
        other => Err(format!("annotation: {other:?}")),
    });
    eventually(SOON, || no_answer(clients.get("client", &url, &[])));

    label("istio.io/dataplane-mode-");
    eventually(SOON, || clients.get("client", &url, &[]).expect(200));
    eventually(SOON, || match redirection(&servers).as_str() {
        "" => Ok(()),
        other => Err(format!("annotation: {other:?}")),
    });
    assert_eq!(life(&servers), before, "pods were restarted");
}

#[test]
fn a_pod_may_stay_out_of_an_enrolled_namespace() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = bed.namespace_with("mixed", Settings::Ambient);
    mesh.server("client");
    mesh.server("server");
    mesh.apply(STRICT);
    eventually(SOON, || mesh.get("client", "http://server/", &[]).expect(200));
    let label =
        "{\"spec\":{\"template\":{\"metadata\":{\"labels\":{\"istio.io/dataplane-mode\":\"none\"}}}}}";
    mesh.kubectl(&["patch", "deployment", "client", "--patch", label])
        .unwrap();
    mesh.wait_ready("deployment/client");
    eventually(SOON, || no_answer(mesh.get("client", "http://server/", &[])));
}
