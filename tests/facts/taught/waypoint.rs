//! By which address the waypoint is reached, and what becomes of requests while it restarts.

use super::{SOON, Scene, WAYPOINTS, refused_by_waypoint};
use bed::taught::Taught;
use bed::{Answer, Bed, eventually, steadily};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Says on its end that the end has come, even if that is a panic.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does something while the client asks without pause, and asserts that each request is answered by 200.
fn without_loss(scene: &Scene<'_>, act: impl FnOnce()) {
    let done = AtomicBool::new(false);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut answers = Vec::new();
            while !done.load(Ordering::Relaxed) {
                answers.extend(scene.clients.get_many("client", &scene.url("/ab?delay=5"), 50));
            }
            answers
        });
        let ending = Ending(&done);
        std::thread::sleep(Duration::from_secs(1));
        act();
        drop(ending);
        load.join().unwrap()
    });
    let failed: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status != Some(200))
        .collect();
    let sent = answers.len();
    assert!(sent >= 100, "only {sent} requests were sent");
    assert!(
        failed.is_empty(),
        "{} of {sent}: {:?}",
        failed.len(),
        failed.first()
    );
}

/// Restarts the waypoint, until the old pods are gone.
fn restart(scene: &Scene<'_>, replicas: usize) {
    let waypoint = "deployment/waypoint";
    scene.servers.kubectl(&["rollout", "restart", waypoint]).unwrap();
    scene.servers.wait_ready(waypoint);
    eventually(SOON, || match scene.pods_of_waypoint() {
        pods if pods.len() == replicas => Ok(()),
        pods => Err(format!("{pods:?}")),
    });
}

fn restarts_without_loss(replicas: usize) {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "restart");
    scene
        .servers
        .kubectl(&["scale", "deployment/waypoint", &format!("--replicas={replicas}")])
        .unwrap();
    scene.servers.wait_ready("deployment/waypoint");
    scene.teach();
    without_loss(&scene, || restart(&scene, replicas));
}

#[test]
fn by_the_address_of_its_service_a_waypoint_restarts_without_loss() {
    restarts_without_loss(1);
}

#[test]
fn by_the_address_of_its_service_two_waypoints_restart_without_loss() {
    restarts_without_loss(2);
}

#[test]
fn teaching_and_unteaching_lose_no_request() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "swap");
    without_loss(&scene, || {
        for _ in 0..3 {
            scene.teach();
            scene
                .clients
                .kubectl(&["delete", "envoyfilter", "taught"])
                .unwrap();
            eventually(SOON, || scene.get("/admin/x").expect(200));
        }
    });
}

#[test]
fn a_request_that_outlasts_the_old_waypoint_is_lost() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "long");
    scene.teach();
    std::thread::scope(|scope| {
        let long = scope.spawn(|| scene.get("/ab?delay=45000"));
        let cluster = format!("outbound|80||{}::", scene.host);
        eventually(SOON, || {
            let clusters = scene.envoy("clusters");
            let under_way = |line: &str| line.starts_with(&cluster) && line.ends_with("::rq_active::1");
            clusters.lines().any(under_way).then_some(()).ok_or(clusters)
        });
        let ended = Instant::now();
        scene
            .servers
            .kubectl(&["delete", "pods", WAYPOINTS, "--wait=false"])
            .unwrap();
        long.join().unwrap().expect(503).unwrap();
        // Istio's agent drains for five seconds before it ends the proxy.
        let given = ended.elapsed();
        assert!(given > Duration::from_secs(4), "{given:?}");
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
    assert_ne!(scene.get("/ab").status, Some(200));
    // By the address of its Service the new pod is found.
    scene.teach();
    scene.get("/ab").expect(200).unwrap();
}
