//! An API server that is busy, faulty or away: no fault changes where a run ends.

use crate::fresh;
use crate::proxy::{Deed, Proxy, Seen};
use std::time::{Duration, Instant};

type Fault = Box<dyn Fn(&Seen) -> Deed + Send>;

/// Gives every third request a fault of its own.
fn faults(
    mut deeds: impl FnMut(&Seen) -> Deed + Send + 'static,
) -> impl FnMut(&Seen) -> Deed + Send + 'static {
    let mut count = 0;
    move |seen| {
        count += 1;
        if count % 3 == 0 { deeds(seen) } else { Deed::Pass }
    }
}

#[test]
fn faults_change_nothing() {
    let Some((mesh, _turn)) = fresh() else { return };
    let busy = |status| Deed::Answer(status, String::new());
    let cases: Vec<(&str, Fault)> = vec![
        ("429", Box::new(move |_| busy(429))),
        ("500", Box::new(move |_| busy(500))),
        ("503", Box::new(move |_| busy(503))),
        ("dropped", Box::new(|_| Deed::Drop)),
        ("answers lost", Box::new(|_| Deed::LoseAnswer)),
    ];
    // Each takes a minute, which is mostly waiting: where time is short, one that is told and one that is not.
    let all = std::env::var_os("MESH_MIGRATE_EVERY_FAULT").is_some();
    let cases = cases
        .into_iter()
        .filter(|(name, _)| all || ["500", "answers lost"].contains(name));
    for (name, deed) in cases {
        let proxy = Proxy::start(&mesh.kubeconfig, faults(deed));
        mesh.run_with(&proxy.kubeconfig, &["apply", "--yes"]).assert(0);
        mesh.assert_end(name);
        mesh.run_with(&proxy.kubeconfig, &["rollback", "--yes"]).assert(0);
        mesh.assert_start(name);
    }
}

#[test]
fn a_conflict_on_the_journal_is_looked_into() {
    let Some((mesh, _turn)) = fresh() else { return };
    let proxy = Proxy::start(
        &mesh.kubeconfig,
        faults(|seen| {
            let journal = seen.method == "PUT" && seen.path.contains("/configmaps/");
            if journal {
                Deed::Answer(409, String::new())
            } else {
                Deed::Pass
            }
        }),
    );
    mesh.run_with(&proxy.kubeconfig, &["apply", "--yes"]).assert(0);
    mesh.assert_end("conflicts");
}

#[test]
fn retry_after_is_obeyed() {
    let Some((mesh, _turn)) = fresh() else { return };
    let mut refused: Option<Instant> = None;
    let (told, waits) = std::sync::mpsc::channel();
    let proxy = Proxy::start(&mesh.kubeconfig, move |seen| {
        if !(seen.is_write() && seen.path.contains("/services/web")) {
            return Deed::Pass;
        }
        match refused {
            None => {
                refused = Some(Instant::now());
                Deed::Answer(429, "retry-after: 3\r\n".to_owned())
            }
            Some(at) => {
                let _ = told.send(at.elapsed());
                Deed::Pass
            }
        }
    });
    mesh.run_with(&proxy.kubeconfig, &["apply", "--yes", "--until", "03-bind"])
        .assert(0);
    assert!(waits.recv().unwrap() >= Duration::from_secs(3));
}

#[test]
fn a_server_that_refuses_a_write_gets_the_step_undone() {
    let Some((mesh, _turn)) = fresh() else { return };
    let proxy = Proxy::start(&mesh.kubeconfig, |seen| {
        let second = seen.is_write() && seen.path.contains("/authorizationpolicies/everything");
        if second {
            Deed::Answer(403, String::new())
        } else {
            Deed::Pass
        }
    });
    let run = mesh.run_with(&proxy.kubeconfig, &["apply", "--yes"]);
    run.assert(4).says("the step `04-guard` failed");
    mesh.run(&["status"])
        .assert(0)
        .says("3 of 7 steps done")
        .says("next: 04-guard");
    mesh.run(&["apply", "--yes"]).assert(0);
    mesh.assert_end("after the right was given");
}
