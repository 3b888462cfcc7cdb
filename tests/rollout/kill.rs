//! `kill -9` at every write: of the plan's objects, of the journal, of what is saved; before and after the server has
//! seen it. Whoever comes next can go on in either direction.
//!
//! A whole run has some fifty of them. With `MESH_MIGRATE_EVERY_FAULT` set, each is tried; otherwise one of seven.

use crate::fresh;
use crate::mesh::Mesh;
use crate::proxy::{Deed, Proxy};

/// How far the next kill is from this one: short of all, the kills of both kinds must be spread over all kinds of writes.
fn stride() -> usize {
    if std::env::var_os("MESH_MIGRATE_EVERY_FAULT").is_some() {
        1
    } else {
        7
    }
}

/// Runs the program until its `nth` write, and kills it there. False if it ended before.
fn killed_at(mesh: &Mesh, arguments: &[&str], nth: usize, deed: Deed) -> bool {
    let mut count = 0;
    let proxy = Proxy::start(&mesh.kubeconfig, move |seen| {
        count += usize::from(seen.is_write());
        if seen.is_write() && count == nth {
            deed.clone()
        } else {
            Deed::Pass
        }
    });
    let mut child = mesh.spawn(&proxy.kubeconfig, arguments);
    let frozen = loop {
        match proxy.frozen.recv_timeout(std::time::Duration::from_millis(20)) {
            Ok(()) => break true,
            Err(_) if child.try_wait().unwrap().is_some() => break false,
            Err(_) => {}
        }
    };
    child.kill().unwrap();
    child.wait().unwrap();
    mesh.expire_lease();
    frozen
}

#[test]
fn apply_goes_on_wherever_apply_was_killed() {
    let Some((mesh, _turn)) = fresh() else { return };
    let mut nth = 1;
    loop {
        let deed = if nth % 2 == 0 {
            Deed::Freeze
        } else {
            Deed::FreezeAfter
        };
        let context = format!("killed at write {nth}, {deed:?}");
        if !killed_at(&mesh, &["apply", "--yes"], nth, deed) {
            break;
        }
        mesh.run(&["apply", "--yes"]).assert(0);
        mesh.assert_end(&context);
        mesh.run(&["rollback", "--yes"]).assert(0);
        mesh.assert_start(&context);
        nth += stride();
    }
    // Each write of the plan has an intent and an end.
    let writes: usize = mesh.plan.steps.iter().map(|step| step.writes.len()).sum();
    assert!(nth > 3 * writes, "{nth} kills");
}

#[test]
fn rollback_unwinds_wherever_apply_was_killed() {
    let Some((mesh, _turn)) = fresh() else { return };
    let mut nth = 2.min(stride());
    loop {
        let deed = if nth % 2 == 0 {
            Deed::FreezeAfter
        } else {
            Deed::Freeze
        };
        let context = format!("killed at write {nth}, {deed:?}");
        if !killed_at(&mesh, &["apply", "--yes"], nth, deed) {
            break;
        }
        let rollback = mesh.run(&["rollback", "--yes"]);
        if rollback.code != Some(0) {
            rollback.assert(2).says("nothing was applied here");
        }
        mesh.assert_start(&context);
        nth += stride();
    }
    mesh.assert_end("not killed");
}

#[test]
fn both_go_on_wherever_rollback_was_killed() {
    let Some((mesh, _turn)) = fresh() else { return };
    let mut nth = 3.min(stride());
    loop {
        mesh.run(&["apply", "--yes"]).assert(0);
        let deed = if nth % 2 == 0 {
            Deed::Freeze
        } else {
            Deed::FreezeAfter
        };
        let context = format!("killed at write {nth}, {deed:?}");
        if !killed_at(&mesh, &["rollback", "--yes"], nth, deed) {
            break;
        }
        if nth % 3 == 0 {
            mesh.run(&["apply", "--yes"]).assert(0);
            mesh.assert_end(&context);
        }
        mesh.run(&["rollback", "--yes"]).assert(0);
        mesh.assert_start(&context);
        nth += stride();
    }
    mesh.assert_start("not killed");
    assert!(nth > 30, "{nth} kills");
}
