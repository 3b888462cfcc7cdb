//! Sidecars that cannot tunnel, or do not listen for tunnels, and what names the parts of a tunnel.

use super::{SOON, Scene, refused_by_waypoint};
use bed::{Bed, eventually, steadily};
use serde_json::Value;
use std::time::Duration;

/// Restarts the client with one more piece of proxy metadata.
fn restart(scene: &Scene<'_>, metadata: &str, value: &str) {
    let config = format!("proxyMetadata:\\n  ISTIO_META_{metadata}: \\\"{value}\\\"");
    let patch = format!(
        r#"{{"spec":{{"template":{{"metadata":{{"annotations":{{"proxy.istio.io/config":"{config}"}}}}}}}}}}"#
    );
    scene
        .clients
        .kubectl(&["patch", "deployment", "client", "--patch", &patch])
        .unwrap();
    scene.clients.wait_ready("deployment/client");
}

#[test]
fn a_sidecar_that_does_not_listen_for_tunnels_can_be_taught() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "deaf");
    restart(&scene, "ENABLE_HBONE", "false");
    assert!(!scene.envoy("listeners").contains("connect_terminate"));
    scene.teach();
    scene.get("/ab").expect(200).unwrap();
}

#[test]
fn a_sidecar_that_may_not_send_tunnels_loses_the_service() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "mute");
    restart(&scene, "DISABLE_HBONE_SEND", "true");
    scene.get("/admin/x").expect(200).unwrap();
    scene.clients.apply(&scene.object().envoy_filter());
    eventually(SOON, || scene.get("/ab").expect(503));
    steadily(Duration::from_secs(3), || scene.get("/ab").expect(503).map(drop));
    // This is what a plan looks for.
    assert!(!scene.envoy("clusters").contains("connect_originate::"));
    restart(&scene, "DISABLE_HBONE_SEND", "false");
    eventually(SOON, || refused_by_waypoint(scene.get("/admin/x")));
}

#[test]
fn the_tunnel_is_found_by_these_names_in_1_31() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "names");
    let dump: Value = eventually(SOON, || {
        let text = scene.envoy("config_dump");
        // The agent may say something of its own first.
        let begin = text.find('{').unwrap_or_default();
        serde_json::from_str(&text[begin..]).map_err(|error| error.to_string())
    });
    let configs = dump["configs"].as_array().unwrap();
    let all = |list: &str, inner: &str| -> Vec<Value> {
        let found = configs.iter().filter_map(|config| config[list].as_array());
        found
            .flatten()
            // What is draining, since another test removed it, has no active state.
            .filter_map(|entry| entry.pointer(inner).cloned())
            .collect()
    };
    let clusters = all("dynamic_active_clusters", "/cluster");
    let tunnel = clusters
        .iter()
        .find(|cluster| cluster["name"] == "connect_originate")
        .unwrap();
    assert_eq!(tunnel["type"], "ORIGINAL_DST");
    let found = &tunnel["original_dst_lb_config"];
    assert_eq!(found["upstream_port_override"], 15008);
    assert_eq!(
        found["metadata_key"]["key"],
        "envoy.filters.listener.original_dst"
    );
    assert_eq!(found["metadata_key"]["path"][0]["key"], "waypoint");
    let listeners = all("dynamic_listeners", "/active_state/listener");
    let tunnel = listeners
        .iter()
        .find(|listener| listener["name"] == "connect_originate")
        .unwrap();
    assert!(tunnel["internal_listener"].is_object());
    assert_eq!(
        tunnel["listener_filters"][0]["name"],
        "envoy.filters.listener.original_dst"
    );
    let proxy = &tunnel["filter_chains"][0]["filters"][0]["typed_config"];
    assert_eq!(
        proxy["tunneling_config"]["hostname"],
        "%DOWNSTREAM_LOCAL_ADDRESS%"
    );
}
