//! Two operators, and a person who wants to stop.

use crate::fresh;
use crate::mesh::{LEASE, Run};
use crate::proxy::{Deed, Proxy};

#[test]
fn a_second_operator_is_told_who_is_at_work() {
    let Some((mesh, _turn)) = fresh() else { return };
    let proxy = Proxy::start(&mesh.kubeconfig, |seen| {
        if seen.is_write() && seen.path.contains("/services/web") {
            Deed::Freeze
        } else {
            Deed::Pass
        }
    });
    let mut first = mesh.spawn(&proxy.kubeconfig, &["apply", "--yes"]);
    proxy.frozen.recv().unwrap();
    for arguments in [&["apply", "--yes"][..], &["rollback", "--yes"]] {
        let run = mesh.run(arguments);
        run.assert(3)
            .says("tester@")
            .says("is at work here, since 20")
            .says("its lease ends by itself at 20");
    }
    mesh.run(&["status"])
        .assert(0)
        .says("at work: tester@")
        .says("next: 03-bind");
    first.kill().unwrap();
    first.wait().unwrap();
    mesh.run(&["rollback", "--yes"]).assert(3);
    mesh.expire_lease();
    mesh.run(&["status"]).assert(0).says("ended without a word");
    mesh.run(&["rollback", "--yes"]).assert(0);
    mesh.assert_start("after the takeover");
    assert!(mesh.api.get(LEASE).is_none());
}

#[test]
fn who_lost_the_lease_writes_nothing_more() {
    let Some((mesh, _turn)) = fresh() else { return };
    let proxy = Proxy::start(&mesh.kubeconfig, |seen| {
        if seen.is_write() && seen.path.contains("/services/web") {
            Deed::FreezeAfter
        } else {
            Deed::Pass
        }
    });
    let first = mesh.spawn(&proxy.kubeconfig, &["apply", "--yes"]);
    proxy.frozen.recv().unwrap();
    // The first is held up past its lease, and the second takes over.
    mesh.expire_lease();
    mesh.run(&["apply", "--yes", "--until", "04-guard"]).assert(0);
    let journal = mesh.status()["plan"].clone();
    proxy.judge(|_| Deed::Pass);
    // Its attempt times out, it repeats the write, which changes nothing, and finds the journal changed.
    let run = Run::of(&first.wait_with_output().unwrap());
    run.assert(4).says("someone else");
    assert_eq!(mesh.status()["plan"], journal);
    mesh.run(&["rollback", "--yes"]).assert(0);
    mesh.assert_start("after both");
}

#[test]
fn ctrl_c_stops_between_two_writes() {
    let Some((mesh, _turn)) = fresh() else { return };
    let annotations = serde_json::json!({"metadata": {"annotations": {"test/stuck": "true"}}});
    mesh.api.merge(crate::mesh::DEPLOYMENT, &annotations).unwrap();
    let child = mesh.spawn(&mesh.kubeconfig, &["apply", "--yes", "-o", "jsonl"]);
    crate::api::eventually("web is waited for", || {
        mesh.status()["plan"]["waiting"][0]["check"]
            .as_str()
            .is_some_and(|text| text.contains("without sidecars"))
    });
    let signal = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(signal.success());
    let run = Run::of(&child.wait_with_output().unwrap());
    run.assert(4)
        .says("stopped between two writes, as asked: 1 of 2 writes of `05-move` are in effect");
    run.says("go on with the same command, or undo with: mesh-migrate rollback");
    assert!(mesh.api.get(LEASE).is_none());
    let free = serde_json::json!({"metadata": {"annotations": {"test/stuck": null}}});
    mesh.api.merge(crate::mesh::DEPLOYMENT, &free).unwrap();
    mesh.run(&["apply", "--yes"]).assert(0);
    mesh.assert_end("after Ctrl-C");
}
