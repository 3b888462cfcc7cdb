//! By which address the waypoint is reached, and what becomes of requests while it restarts.

use super::{SOON, Scene, WAYPOINTS, refused_by_waypoint};
use bed::taught::Taught;
use bed::{Bed, eventually, steadily};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Restarts the waypoint while the client asks without pause; how many requests were sent, and the answers other
/// than 200.
fn restart_under_load(scene: &Scene<'_>) -> (usize, Vec<bed::Answer>) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut sent = 0;
            let mut failed = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let answers = scene.clients.get_many("client", &scene.url("/ab"), 50);
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

fn loses_nothing(replicas: u8) {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "restart");
    scene
        .servers
        .kubectl(&["scale", "deployment/waypoint", &format!("--replicas={replicas}")])
        .unwrap();
    scene.servers.wait_ready("deployment/waypoint");
    scene.teach();
    let (sent, failed) = restart_under_load(&scene);
    assert!(sent >= 100, "only {sent} requests were sent");
    assert!(
        failed.is_empty(),
        "{} of {sent}: {:?}",
        failed.len(),
        failed.first()
    );
}

#[test]
fn by_the_address_of_its_service_a_waypoint_restarts_without_loss() {
    loses_nothing(1);
}

#[test]
fn by_the_address_of_its_service_two_waypoints_restart_without_loss() {
    loses_nothing(2);
}

#[test]
fn a_request_that_outlasts_the_old_waypoint_is_lost() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "long");
    scene.teach();
    std::thread::scope(|scope| {
        let long = scope.spawn(|| scene.get("/ab?delay=45000ms"));
        std::thread::sleep(Duration::from_secs(1));
        let restarted = Instant::now();
        scene
            .servers
            .kubectl(&["delete", "pods", WAYPOINTS, "--wait=false"])
            .unwrap();
        long.join().unwrap().expect(503).unwrap();
        // It is given the five seconds that Istio's agent drains, and not the half minute of its pod.
        let given = restarted.elapsed();
        assert!(given > Duration::from_secs(4), "{given:?}");
        assert!(given < Duration::from_secs(25), "{given:?}");
    });
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
        .kubectl(&["delete", "pods", WAYPOINTS, "--grace-period=1"])
        .unwrap();
    scene.servers.wait_ready("deployment/waypoint");
    // Nothing answers at the old address: each try takes as long as a connection may take to be made.
    scene.get("/ab").expect(503).unwrap();
    // By the address of its Service the new pod is found.
    scene.teach();
    scene.get("/ab").expect(200).unwrap();
}
