//! The sample mesh (`testdata/samples/under-load`) under load from every client to every server, forbidden requests
//! among them all the time, while it is moved: `docs/migration-under-load.md`.

mod counts;
mod guide;
mod mesh;
mod ours;
mod streams;

use bed::Bed;
use counts::Kind;
use guide::Bound;
use mesh::Mesh;
use std::time::Duration;
use streams::NAMESPACES;

/// Set where there is time for what takes more than a few minutes.
const LONG: &str = "MESH_MIGRATE_BED_LONG";

const EVERYTHING: &str = "deployment,statefulset,daemonset";

/// The bed, for a test that takes long.
fn bed_for_long() -> Option<&'static Bed> {
    if std::env::var_os(LONG).is_none() {
        Bed::say_skipped(&format!("it takes many minutes; {LONG}=1 runs it"));
        return None;
    }
    Bed::shared_ambient()
}

/// Nothing can be believed of a count that misses a fault: a policy goes for a moment, and comes back.
fn faults_are_seen(mesh: &Mesh<'_>) {
    mesh.phase("a DENY policy goes for six seconds");
    let policy = ["--namespace", "market", "authorizationpolicy", "web-no-admin"];
    let kept = mesh.kubectl(&[&["get", "--output=yaml"], &policy[..]].concat());
    mesh.kubectl(&[&["delete"], &policy[..]].concat());
    std::thread::sleep(Duration::from_secs(6));
    mesh.apply(&without_server_fields(&kept));
    std::thread::sleep(Duration::from_secs(6));
    let wrong = mesh.wrong_now();
    assert!(
        wrong.len() >= 3,
        "only {} requests were wrongly admitted",
        wrong.len()
    );
    for request in &wrong {
        let admin = request.kind == Kind::WronglyAdmitted && request.stream.ends_with("/web-admin");
        assert!(admin, "{request:?}");
    }
}

/// What the API server adds would keep an object from being made again.
fn without_server_fields(object: &str) -> String {
    let added = ["  resourceVersion:", "  uid:", "  creationTimestamp:"];
    let lines = object
        .lines()
        .filter(|line| !added.iter().any(|field| line.starts_with(field)));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_harness_counts_nothing_while_nothing_happens_and_sees_a_policy_that_is_gone() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = Mesh::short(bed);
    mesh.phase("nothing happens");
    std::thread::sleep(Duration::from_secs(15));
    let sum = mesh.report("calm");
    assert!(sum.sent > 300, "{sum:?}");
    assert_eq!(sum.wrong(), 0, "{sum:?}");
    faults_are_seen(&mesh);
    mesh.report("a policy that is gone");
}

#[test]
fn restarts_of_sidecars_by_stock_istio() {
    let Some(bed) = bed_for_long() else { return };
    let mesh = Mesh::whole(bed);
    mesh.phase("nothing happens");
    std::thread::sleep(Duration::from_secs(30));
    for namespace in NAMESPACES {
        mesh.phase(&format!("{namespace}: everything restarted"));
        mesh.restart(namespace, EVERYTHING);
        mesh.wait_gone();
    }
    mesh.report("restart of everything, all sidecars");
}

#[test]
fn the_official_guide_with_waypoints_for_services() {
    the_official_guide(Bound::Services);
}

#[test]
fn the_official_guide_with_waypoints_for_namespaces() {
    the_official_guide(Bound::Namespaces);
}

fn the_official_guide(bound: Bound) {
    let Some(bed) = bed_for_long() else { return };
    let mesh = Mesh::whole(bed);
    guide::follow(&mesh, bound);
    let sum = mesh.report(&format!("the official guide, waypoints for {bound:?}"));
    assert!(
        sum.wrongly_admitted > 0,
        "the guide itself warns of a gap: {sum:?}"
    );
    assert!(sum.failed + sum.wrongly_refused > 0, "{sum:?}");
    for namespace in NAMESPACES {
        mesh.phase(&format!("{namespace}: everything restarted, in ambient mode"));
        mesh.restart(namespace, EVERYTHING);
        mesh.wait_gone();
    }
    mesh.report("the same, and a restart of everything in ambient mode");
}

#[test]
fn a_part_of_the_mesh_moves_and_comes_back_without_a_gap() {
    let Some(bed) = Bed::shared_ambient() else { return };
    there_and_back(&Mesh::short(bed));
}

#[test]
fn the_whole_mesh_moves_and_comes_back_without_a_gap() {
    let Some(bed) = bed_for_long() else { return };
    there_and_back(&Mesh::whole(bed));
}

/// All-sidecar to all-ambient and back: no request fails, none is wrongly admitted, none wrongly refused.
fn there_and_back(mesh: &Mesh<'_>) {
    let plan = ours::Plan::make(mesh);
    mesh.phase("before");
    plan.apply(mesh);
    mesh.phase("afterwards");
    mesh.wait_gone();
    std::thread::sleep(Duration::from_secs(10));
    let there = mesh.report("mesh-migrate apply");
    assert_eq!(mesh.pods_with_sidecars(), Vec::<String>::new());
    let status = ours::status(mesh);
    assert_eq!(status["next"], serde_json::Value::Null, "{status}");
    mesh.phase("before rollback");
    ours::roll_back(mesh);
    mesh.phase("after rollback");
    mesh.wait_gone();
    std::thread::sleep(Duration::from_secs(10));
    let back = mesh.report("mesh-migrate apply and rollback");
    assert_eq!((there.wrong(), back.wrong()), (0, 0), "{there:?} {back:?}");
}
