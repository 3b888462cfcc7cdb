//! What other objects that shape a client's Envoy do to a taught cluster, and it to them.

use super::{SOON, Scene, refused_by_waypoint};
use bed::taught::Taught;
use bed::{Bed, eventually, steadily};
use std::time::Duration;

const A_WHILE: Duration = Duration::from_secs(3);

/// An EnvoyFilter of a user's that binds connections to an address that the pod lacks: easily seen.
fn user_filter(scene: &Scene<'_>, priority: i32) -> String {
    format!(
        "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {{name: user}}\nspec:\n  \
         priority: {priority}\n  configPatches:\n  - applyTo: CLUSTER\n    match: {{context: SIDECAR_OUTBOUND, \
         cluster: {{service: {}, portNumber: 80}}}}\n    patch:\n      operation: MERGE\n      \
         value: {{upstream_bind_config: {{source_address: {{address: 192.0.2.1, port_value: 0}}}}}}\n",
        scene.host
    )
}

#[test]
fn what_a_user_merges_into_the_cluster_is_lost_at_any_priority() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "merge");
    scene.clients.apply(&user_filter(&scene, 0));
    eventually(SOON, || scene.get("/ab").expect(503));
    scene.teach();
    for priority in [-10, 10] {
        scene.clients.apply(&user_filter(&scene, priority));
        steadily(A_WHILE, || scene.get("/ab").expect(200).map(drop));
    }
    // The user's object is in force: without ours it is seen again.
    scene
        .clients
        .kubectl(&["delete", "envoyfilter", "taught"])
        .unwrap();
    eventually(SOON, || scene.get("/ab").expect(503));
}

#[test]
fn of_two_added_clusters_the_one_of_the_lower_priority_stays() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "add");
    // Stands for a user's own cluster of that name: one that leads nowhere.
    let nowhere = ["192.0.2.1:15008".parse().unwrap()];
    let user = |priority| {
        Taught {
            name: "user",
            waypoints: &nowhere,
            priority,
            ..scene.object()
        }
        .envoy_filter()
    };
    scene.teach();
    scene.clients.apply(&user(10));
    steadily(A_WHILE, || scene.get("/ab").expect(200).map(drop));
    scene.clients.apply(&user(-10));
    eventually(SOON, || scene.get("/ab").expect(503));
    let ours = Taught {
        priority: -20,
        ..scene.object()
    };
    scene.clients.apply(&ours.envoy_filter());
    eventually(SOON, || refused_by_waypoint(scene.get("/admin/x")));
}

/// The hosts that clients of this namespace know, and that they go nowhere else.
fn sidecar(hosts: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: default}}\nspec:\n  \
         outboundTrafficPolicy: {{mode: REGISTRY_ONLY}}\n  egress: [{{hosts: [{hosts}]}}]\n"
    )
}

#[test]
fn a_host_that_a_sidecar_resource_hides_stays_hidden() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "egress");
    let servers = scene.servers.name().to_owned();
    scene.teach();
    scene.clients.apply(&sidecar("\"./*\", \"istio-system/*\""));
    eventually(SOON, || scene.get("/ab").expect(502));
    steadily(A_WHILE, || scene.get("/ab").expect(502).map(drop));
    scene
        .clients
        .apply(&sidecar(&format!("\"./*\", \"{servers}/{}\"", scene.host)));
    eventually(SOON, || scene.get("/ab").expect(200));
    refused_by_waypoint(scene.get("/admin/x")).unwrap();
}

#[test]
fn the_destination_rule_of_a_client_is_lost() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "outlier");
    // In the client's namespace, so that the waypoint does not see it: one failure shuts the server out.
    scene.clients.apply(&format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: server}}\nspec:\n  \
         host: {}\n  trafficPolicy: {{outlierDetection: {{consecutive5xxErrors: 1, interval: 1s, \
         baseEjectionTime: 120s, maxEjectionPercent: 100}}}}\n",
        scene.host
    ));
    eventually(SOON, || {
        let _ = scene.get("/fails?status=500");
        scene.get("/ab").expect(503)
    });
    scene.teach();
    for _ in 0..3 {
        scene.get("/fails?status=500").expect(500).unwrap();
    }
    steadily(A_WHILE, || scene.get("/ab").expect(200).map(drop));
}
