//! By which address the waypoint is reached, and what becomes of requests while it restarts.

use super::{SOON, Scene, refused_by_waypoint};
use bed::taught::Taught;
use bed::{Bed, eventually, steadily};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Restarts the waypoint while the client asks without pause; how many requests were sent, and the answers other
/// than 200.
fn restart_under_load(scene: &Scene<'_>) -> (usize, Vec<bed::Answer>) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut sent = 0;
            let mut failed = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let answers = scene.clients.get_many("client", &scene.url("/ab"), 100);
                sent += answers.len();
                failed.extend(answers.into_iter().filter(|answer| answer.status != Some(200)));
            }
            (sent, failed)
        });
        scene
            .servers
            .kubectl(&["rollout", "restart", "deployment/waypoint"])
            .unwrap();
        scene.servers.wait_ready("deployment/waypoint");
        // Until the old pods are gone, too.
        eventually(SOON, || {
            let pods = scene.pods_of_waypoint();
            let expected =
                scene.servers.object("deployment", "waypoint").unwrap()["spec"]["replicas"].as_u64();
            if expected == Some(pods.len() as u64) {
                Ok(())
            } else {
                Err(format!("{pods:?}"))
            }
        });
        done.store(true, Ordering::Relaxed);
        load.join().unwrap()
    })
}

#[test]
fn restart_by_vip() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "restart");
    scene.teach();
    let (sent, failed) = restart_under_load(&scene);
    println!("one: {} of {sent} failed: {:?}", failed.len(), failed.first());
    scene
        .servers
        .kubectl(&["scale", "deployment/waypoint", "--replicas=2"])
        .unwrap();
    scene.servers.wait_ready("deployment/waypoint");
    let (sent, failed) = restart_under_load(&scene);
    println!("two: {} of {sent} failed: {:?}", failed.len(), failed.first());
    panic!("look");
}

#[test]
fn a_waypoint_without_pods_fails_closed() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "closed");
    scene.teach();
    scene
        .servers
        .kubectl(&["scale", "deployment/waypoint", "--replicas=0"])
        .unwrap();
    eventually(SOON, || scene.get("/ab").expect(503));
    steadily(Duration::from_secs(3), || {
        scene.get("/admin/x").expect(503).map(drop)
    });
    scene
        .servers
        .kubectl(&["scale", "deployment/waypoint", "--replicas=1"])
        .unwrap();
    eventually(SOON, || scene.get("/ab").expect(200));
    refused_by_waypoint(scene.get("/admin/x")).unwrap();
}

#[test]
fn addresses_of_pods_are_worthless_after_a_restart() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "pods");
    let pods: Vec<SocketAddr> = scene.pods_of_waypoint();
    let object = Taught {
        waypoints: &pods,
        ..scene.object()
    };
    scene.clients.apply(&object.envoy_filter());
    eventually(SOON, || refused_by_waypoint(scene.get("/admin/x")));
    scene.get("/ab").expect(200).unwrap();
    scene
        .servers
        .kubectl(&["rollout", "restart", "deployment/waypoint"])
        .unwrap();
    scene.servers.wait_ready("deployment/waypoint");
    eventually(SOON, || scene.get("/ab").expect(503));
    steadily(Duration::from_secs(3), || scene.get("/ab").expect(503).map(drop));
    // By the address of its Service the new pod is found.
    scene.teach();
    scene.get("/ab").expect(200).unwrap();
}
