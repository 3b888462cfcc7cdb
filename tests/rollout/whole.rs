//! Whole runs, there and back.

use crate::fresh;
use crate::mesh::LEASE;
use mesh_migrate::plan::document::Write;
use serde_json::{Value, json};

#[test]
fn a_plan_is_applied_and_rolled_back() {
    let Some((mesh, _turn)) = fresh() else { return };
    mesh.run(&["status"]).assert(0).says("nothing was ever applied");
    mesh.run(&["rollback", "--yes"])
        .assert(2)
        .says("nothing was applied here");
    let run = mesh.run(&["apply", "--yes"]);
    run.assert(0).says("done: 7 of 7 steps are in effect");
    mesh.assert_end("after apply");
    let status = mesh.status();
    assert_eq!(
        (&status["plan"]["done"], &status["plan"]["next"]),
        (&7.into(), &Value::Null)
    );
    // Again, there is nothing to do.
    mesh.run(&["apply"]).assert(0);
    mesh.assert_end("after the second apply");
    mesh.run(&["rollback", "--yes"])
        .assert(0)
        .says("rolled back: 0 of 7 steps");
    mesh.assert_start("after rollback");
    mesh.run(&["status"]).assert(0).says("0 of 7 steps done");
    // And there once more.
    mesh.run(&["apply", "--yes"]).assert(0);
    mesh.assert_end("after another apply");
}

#[test]
fn rollback_from_every_step_ends_at_the_start() {
    let Some((mesh, _turn)) = fresh() else { return };
    for step in &mesh.plan.steps {
        mesh.run(&["apply", "--yes", "--until", &step.id]).assert(0);
        assert!(mesh.api.get(LEASE).is_none());
        mesh.run(&["rollback", "--yes"]).assert(0);
        mesh.assert_start(&step.id);
    }
    mesh.run(&["apply", "--yes"]).assert(0);
    for step in mesh.plan.steps.iter().rev() {
        mesh.run(&["rollback", "--yes", "--to", &step.id]).assert(0);
        assert_eq!(
            mesh.status()["plan"]["done"],
            mesh.plan.steps.iter().position(|s| s.id == step.id).unwrap() + 1
        );
    }
    mesh.run(&["rollback", "--yes"]).assert(0);
    mesh.assert_start("step by step");
}

#[test]
fn events_are_json_with_times() {
    let Some((mesh, _turn)) = fresh() else { return };
    let run = mesh.run(&["apply", "--yes", "-o", "jsonl"]);
    run.assert(0);
    let events: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let count = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!([count("begin"), count("step"), count("done")], [1, 7, 1]);
    let writes: usize = mesh.plan.steps.iter().map(|step| step.writes.len()).sum();
    assert_eq!([count("write"), count("written")], [writes, writes]);
    assert!(count("passed") >= 5);
    for event in &events {
        let time = event["time"].as_str().unwrap();
        assert!(time.len() == 27 && time.ends_with('Z'), "{time}");
    }
}

#[test]
fn what_is_refused_writes_nothing() {
    let Some((mut mesh, _turn)) = fresh() else { return };
    mesh.run(&["apply"])
        .assert(2)
        .says("nobody can be asked")
        .says("--yes");
    mesh.run(&["apply", "--yes", "--until", "move"])
        .assert(2)
        .says("did you mean `05-move`?");
    mesh.run(&["apply", "--yes", "--until", "05-mvoe"])
        .assert(2)
        .says("did you mean `05-move`?");
    mesh.run(&["apply", "--yes", "--accept-gap", "x"])
        .assert(2)
        .says("the plan has no gap `x`");
    mesh.plan.steps[2]
        .proof
        .otherwise
        .push("POST to web becomes possible".to_owned());
    mesh.seal();
    mesh.run(&["apply", "--yes"])
        .assert(2)
        .says("POST to web becomes possible")
        .says("--accept-gap 03-bind");
    mesh.assert_start("after refusals");
    assert!(mesh.api.get(LEASE).is_none());
    mesh.run(&["apply", "--yes", "--accept-gap", "03-bind", "--until", "03-bind"])
        .assert(0);
    let other = mesh.plan.steps.pop();
    mesh.seal();
    mesh.run(&["apply", "--yes", "--accept-gap", "03-bind"])
        .assert(2)
        .says("another plan is being carried out");
    assert!(other.is_some());
    mesh.run(&["rollback", "--yes"]).assert(0);
    mesh.assert_start("after all");
    // Back at the start, another plan may begin.
    mesh.run(&[
        "apply",
        "--yes",
        "--accept-gap",
        "03-bind",
        "--until",
        "01-waypoint",
    ])
    .assert(0);
}

#[test]
fn the_published_roles_are_enough() {
    let Some((mesh, _turn)) = fresh() else { return };
    let run = mesh.run(&["apply", "--yes", "--context", "reader"]);
    run.assert(3);
    crate::client::create(&mesh.kubeconfig, &["docs/rbac.yaml", "docs/rbac-apply.yaml"]);
    for (kind, path, role) in [
        ("ClusterRole", "clusterrolebindings", "mesh-migrate-reader"),
        ("ClusterRole", "clusterrolebindings", "mesh-migrate-operator"),
        (
            "Role",
            "namespaces/istio-system/rolebindings",
            "mesh-migrate-journal",
        ),
    ] {
        let binding = json!({
            "metadata": {"name": format!("reader-{role}")},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "reader"}],
        });
        let path = format!("/apis/rbac.authorization.k8s.io/v1/{path}");
        mesh.api.post(&path, &binding).unwrap();
    }
    mesh.run(&["apply", "--yes", "--context", "reader"]).assert(0);
    mesh.assert_end("as the operator");
    mesh.run(&["status", "--context", "reader"])
        .assert(0)
        .says("7 of 7 steps done");
    mesh.run(&["rollback", "--yes", "--context", "reader"]).assert(0);
    mesh.assert_start("as the operator");
}

#[test]
fn a_plan_of_two_thousand_workloads_fits_into_the_journal() {
    let Some((mut mesh, _turn)) = fresh() else { return };
    let mut step = mesh.plan.steps[4].clone();
    "08-move-many".clone_into(&mut step.id);
    let mut hash = 1u64;
    step.writes = (0..2000)
        .map(|number| {
            // Names that do not compress better than real ones.
            hash = hash.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(number);
            let name = format!("workload-{number}-{hash:016x}");
            Write::Set {
                manifest: json!({"apiVersion": "apps/v1", "kind": "Deployment",
                    "metadata": {"name": name, "namespace": format!("team-{}", number / 20)},
                    "spec": {"template": {"metadata": {"labels": {
                        "sidecar.istio.io/inject": "false", "istio.io/dataplane-mode": "ambient",
                        "mesh-migrate.io/moved": name}}}}}),
            }
        })
        .collect();
    mesh.plan.steps.push(step);
    mesh.seal();
    let size = std::fs::metadata(mesh.file()).unwrap().len();
    assert!(size > 800_000, "{size} bytes");
    mesh.run(&["apply", "--yes", "--until", "01-waypoint"]).assert(0);
    let parts = mesh.api.items("/api/v1/namespaces/istio-system/configmaps");
    for part in &parts {
        assert!(part.to_string().len() < 1_000_000, "{}", part["metadata"]["name"]);
    }
    assert_eq!(mesh.status()["plan"]["steps"].as_array().unwrap().len(), 8);
    mesh.run(&["rollback", "--yes"]).assert(0);
    mesh.assert_start("of many");
}

#[test]
fn a_second_plan_keeps_what_the_first_one_set() {
    let Some((mut mesh, _turn)) = fresh() else { return };
    let mut second = mesh.plan.steps.split_off(3);
    // The second label of the Service comes with the second plan.
    let mut bind = mesh.plan.steps[2].clone();
    bind.writes = mesh.plan.steps[2].writes.split_off(1);
    mesh.seal();
    mesh.run(&["apply", "--yes"]).assert(0).says("done: 3 of 3 steps");
    let between = mesh.objects();
    second.insert(0, bind);
    mesh.plan.steps = second;
    mesh.seal();
    mesh.run(&["apply", "--yes"]).assert(0).says("done: 5 of 5 steps");
    mesh.assert_end("of both plans");
    mesh.run(&["rollback", "--yes"]).assert(0);
    assert_eq!(mesh.objects(), between);
}
