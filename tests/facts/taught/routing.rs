//! The client's own routes run before the waypoint is reached, and run again there.

use super::{LOGGED, SOON, Scene, refused_by_waypoint};
use bed::taught::Taught;
use bed::{Bed, eventually, steadily};
use std::time::{Duration, Instant};

/// A VirtualService of the Service's, seen by every client and honoured by the waypoint.
fn virtual_service(http: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: server}}\n\
         spec:\n  hosts: [server.$NAMESPACE.svc.cluster.local]\n  http:\n{http}"
    )
}

const ROUTE: &str = "    route: [{destination: {host: server.$NAMESPACE.svc.cluster.local}}]\n";

#[test]
fn retries_multiply() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "retries");
    scene.servers.apply(&virtual_service(&format!(
        "  - retries: {{attempts: 2, retryOn: 5xx, backoff: 1ms}}\n    headers: {{response: {{set: {{x-route: retried}}}}}}\n{ROUTE}"
    )));
    let routed = |answer: bed::Answer| match answer.headers["x-route"].as_str() {
        Some("retried") => Ok(()),
        _ => Err(format!("not yet routed: {answer:?}")),
    };
    eventually(SOON, || routed(scene.get("/")));
    let _ = scene.get("/stock?status=503");
    scene.teach();
    let _ = scene.get("/taught?status=503");
    std::thread::sleep(LOGGED);
    assert_eq!(
        scene.logged("server", "/stock?"),
        3,
        "one request and two retries"
    );
    assert_eq!(scene.logged("waypoint", "/taught?"), 3, "the client retries");
    assert_eq!(
        scene.logged("server", "/taught?"),
        9,
        "the waypoint retries each of them"
    );
}

#[test]
fn faults_happen_twice() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "fault");
    let delay = Duration::from_secs(2);
    // How long a request took, and how much of it after the client's sidecar had sent it on.
    let took = || {
        let start = Instant::now();
        let answer = scene.get("/ab").expect(200)?;
        let upstream = answer.headers["x-envoy-upstream-service-time"].as_str();
        let upstream = upstream
            .and_then(|text| text.parse().ok())
            .map(Duration::from_millis);
        upstream
            .map(|upstream| (start.elapsed(), upstream))
            .ok_or_else(|| format!("{answer:?}"))
    };
    scene.servers.apply(&virtual_service(&format!(
        "  - fault: {{delay: {{fixedDelay: 2s, percentage: {{value: 100}}}}}}\n{ROUTE}"
    )));
    eventually(SOON, || match took()? {
        (all, upstream) if all >= delay && upstream < delay => Ok(()),
        other => Err(format!("not yet delayed by the client: {other:?}")),
    });
    scene.teach();
    let (all, upstream) = took().unwrap();
    assert!(upstream >= delay, "the waypoint delays: {upstream:?}");
    assert!(all >= 2 * delay, "so does the client: {all:?}");
}

#[test]
fn timeouts_do_not_add_up() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "timeout");
    scene
        .servers
        .apply(&virtual_service(&format!("  - timeout: 2s\n{ROUTE}")));
    let slow = "/ab?delay=3000";
    eventually(SOON, || scene.get(slow).expect(504));
    scene.teach();
    // One after the other they would be enough for it.
    scene.get(slow).expect(504).unwrap();
}

#[test]
fn a_subset_is_unreachable_until_its_cluster_is_replaced_too() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "subset");
    scene.teach();
    scene.servers.apply(&format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: server}}\n\
         spec: {{host: server.$NAMESPACE.svc.cluster.local, subsets: [{{name: v1, labels: {{version: v1}}}}]}}\n---\n{}",
        virtual_service("  - route: [{destination: {host: server.$NAMESPACE.svc.cluster.local, subset: v1}}]\n")
    ));
    // Without a subset in its match the REMOVE takes the clusters of all subsets: nothing goes past the waypoint,
    // but nothing arrives either.
    eventually(SOON, || scene.get("/ab").expect(503));
    steadily(Duration::from_secs(3), || scene.get("/ab").expect(503).map(drop));
    scene.clients.apply(
        &Taught {
            subsets: &["v1"],
            ..scene.object()
        }
        .envoy_filter(),
    );
    eventually(SOON, || refused_by_waypoint(scene.get("/admin/x")));
    let answer = scene.get("/ab").expect(200).unwrap();
    assert_eq!(answer.saw("version"), "v1");
}

#[test]
fn redirects_and_rewrites_come_before_the_policy_as_with_sidecars() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "rewrite");
    scene.teach();
    scene.servers.apply(&virtual_service(&format!(
        "  - match: [{{uri: {{exact: /admin/old}}}}]\n    redirect: {{uri: /new}}\n  \
         - match: [{{uri: {{exact: /front}}}}]\n    rewrite: {{uri: /admin/back}}\n{ROUTE}  \
         - match: [{{uri: {{prefix: /deep}}}}]\n    rewrite: {{uri: /deep/deeper}}\n{ROUTE}  -{}",
        ROUTE.trim_start_matches("   ")
    )));
    // Ambient clients would get 403: their waypoint decides on the path that was asked for.
    eventually(SOON, || scene.get("/admin/old").expect(301));
    // Ambient clients would get 200: the waypoint rewrites after it has decided.
    eventually(SOON, || refused_by_waypoint(scene.get("/front")));
    // The prefix is rewritten twice, once the waypoint knows the route too.
    eventually(SOON, || match scene.get("/deep/x").expect(200)? {
        answer if answer.saw("path") == "/deep/deeper/deeper/x" => Ok(()),
        answer => Err(answer.saw("path").to_owned()),
    });
}

#[test]
fn a_route_that_is_not_exported_runs_at_the_waypoint_alone() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let scene = Scene::new(bed, "export");
    let route = |export: &str| {
        virtual_service(&format!(
            "  - match: [{{uri: {{prefix: /deep}}}}]\n    rewrite: {{uri: /deep/deeper}}\n{ROUTE}"
        ))
        .replace("  http:", &format!("  exportTo: [\"{export}\"]\n  http:"))
    };
    scene.teach();
    for (export, path) in [("*", "/deep/deeper/deeper/x"), (".", "/deep/deeper/x")] {
        scene.servers.apply(&route(export));
        eventually(SOON, || match scene.get("/deep/x") {
            answer if answer.saw("path") == path => Ok(()),
            answer => Err(format!("{export}: {answer:?}")),
        });
    }
}
