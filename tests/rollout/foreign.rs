//! Objects that someone else changes: noticed, refused, never overwritten.

use crate::fresh;
use crate::mesh::{DEPLOYMENT, NAMESPACE, POLICY, SERVICE};
use serde_json::json;

#[test]
fn a_cluster_that_differs_is_refused_with_the_difference() {
    let Some((mesh, _turn)) = fresh() else { return };
    let edit = json!({"spec": {"action": "DENY"}});
    mesh.api
        .merge(&format!("{POLICY}?fieldManager=kubectl-edit"), &edit)
        .unwrap();
    let run = mesh.run(&["apply", "--yes", "--until", "03-bind"]);
    // What the plan deletes at its end counts for nothing; the service does.
    run.assert(0);
    mesh.run(&["rollback", "--yes"]).assert(0);
    let edit = json!({"spec": {"ports": [{"name": "http", "port": 81}]}});
    mesh.api
        .merge(&format!("{SERVICE}?fieldManager=kubectl-edit"), &edit)
        .unwrap();
    let run = mesh.run(&["apply", "--yes"]);
    run.assert(2)
        .says("shop/Service/web: `spec.ports` was changed")
        .says("mesh-migrate plan");
}

#[test]
fn an_edit_in_the_middle_stops_before_the_next_step() {
    let Some((mesh, _turn)) = fresh() else { return };
    mesh.run(&["apply", "--yes", "--until", "03-bind"]).assert(0);
    let edit = json!({"spec": {"ports": [{"name": "http", "port": 81}]}});
    mesh.api
        .merge(&format!("{SERVICE}?fieldManager=kubectl-edit"), &edit)
        .unwrap();
    mesh.run(&["apply", "--yes"])
        .assert(2)
        .says("shop/Service/web: `spec.ports` was changed");
    mesh.run(&["rollback", "--yes"]).assert(0);
    let service = mesh.api.get(SERVICE).unwrap();
    assert_eq!(service["spec"]["ports"][0]["port"], 81);
    assert_eq!(service["metadata"]["labels"], json!({"app": "web"}));
}

#[test]
fn a_field_of_someone_else_is_not_overwritten_and_the_step_undone() {
    let Some((mesh, _turn)) = fresh() else { return };
    // After the first write of the step, before the second one, which meets it.
    let mut writes = 0;
    let api = crate::api::Api::new(&mesh.kubeconfig);
    let edit = json!({"metadata": {"labels": {"istio.io/ingress-use-waypoint": "false"}}});
    let proxy = crate::proxy::Proxy::start(&mesh.kubeconfig, move |seen| {
        if seen.is_write() && seen.path.contains("/services/web") {
            writes += 1;
            if writes == 2 {
                let path = format!("{SERVICE}?fieldManager=kubectl-label");
                api.merge(&path, &edit).unwrap();
            }
        }
        crate::proxy::Deed::Pass
    });
    let run = mesh.run_with(&proxy.kubeconfig, &["apply", "--yes"]);
    run.assert(4).says("the step `03-bind` failed");
    run.says("someone else has set `.metadata.labels.istio.io/ingress-use-waypoint`");
    run.says("it is not overwritten")
        .says("what was written of it is undone");
    let labels = &mesh.api.get(SERVICE).unwrap()["metadata"]["labels"];
    assert_eq!(
        *labels,
        json!({"app": "web", "istio.io/ingress-use-waypoint": "false"})
    );
    assert_eq!(mesh.status()["plan"]["done"], 2);
    // From now on it is a difference.
    let run = mesh.run(&["apply", "--yes"]);
    run.assert(2)
        .says("shop/Service/web: `metadata.labels` was changed");
}

#[test]
fn an_object_of_someone_else_is_not_taken_for_ours() {
    let Some((mesh, _turn)) = fresh() else { return };
    let foreign = json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "web-waypoint", "namespace": "shop"}, "spec": {"action": "DENY"}});
    let path = "/apis/security.istio.io/v1/namespaces/shop/authorizationpolicies";
    // Between the comparison and the write of the step.
    let mut made = false;
    let api = crate::api::Api::new(&mesh.kubeconfig);
    let proxy = crate::proxy::Proxy::start(&mesh.kubeconfig, move |seen| {
        if !made && seen.path.ends_with("/authorizationpolicies/web-waypoint") {
            made = true;
            api.post(path, &foreign).unwrap();
        }
        crate::proxy::Deed::Pass
    });
    let run = mesh.run_with(&proxy.kubeconfig, &["apply", "--yes"]);
    run.assert(4)
        .says("it exists already and lacks our label")
        .says("what was written of it is undone");
    let policy = mesh.api.get(&format!("{path}/web-waypoint")).unwrap();
    assert_eq!(policy["spec"], json!({"action": "DENY"}));
    mesh.run(&["rollback", "--yes"]).assert(0);
    assert!(mesh.api.get(&format!("{path}/web-waypoint")).is_some());
    mesh.api.delete(&format!("{path}/web-waypoint"));
    mesh.assert_start("after the stranger has left");
}

#[test]
fn a_gate_that_does_not_open_undoes_its_step() {
    let Some((mesh, _turn)) = fresh() else { return };
    mesh.run(&["apply", "--yes", "--until", "04-guard"]).assert(0);
    let before = mesh.objects();
    let stuck = json!({"metadata": {"annotations": {"test/stuck": "true"}}});
    let path = "/apis/apps/v1/namespaces/shop/statefulsets/db";
    mesh.api.merge(&format!("{path}?fieldManager=x"), &stuck).unwrap();
    let mut child = mesh.spawn(
        &mesh.kubeconfig,
        &["apply", "--yes", "--step-timeout", "4s", "-o", "jsonl"],
    );
    // The workload comes back once it is undone.
    let free = json!({"metadata": {"annotations": {"test/stuck": null}}});
    let mut text = String::new();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap());
    while std::io::BufRead::read_line(&mut lines, &mut text).unwrap() > 0 {
        if text
            .lines()
            .last()
            .is_some_and(|line| line.contains("\"failed\""))
        {
            mesh.api.merge(&format!("{path}?fieldManager=x"), &free).unwrap();
        }
    }
    let run = crate::mesh::Run::of(&child.wait_with_output().unwrap());
    run.assert(4)
        .says("the step `05-move` failed: not so within 4 s")
        .says("what was written of it is undone");
    run.says("put right what failed");
    assert!(
        text.contains("its controller has not seen the change yet"),
        "{text}"
    );
    assert_eq!(mesh.objects(), before);
    mesh.run(&["status"])
        .assert(0)
        .says("stopped at 20")
        .says("in 05-move")
        .says("next: 05-move");
    mesh.run(&["apply", "--yes"]).assert(0);
    mesh.assert_end("after the second try");
}

#[test]
fn what_others_took_over_stays_theirs_on_the_way_back() {
    let Some((mesh, _turn)) = fresh() else { return };
    mesh.run(&["apply", "--yes", "--until", "06-enroll"]).assert(0);
    // By force, as an operator at night would.
    let mode = json!({"metadata": {"labels": {"istio.io/dataplane-mode": "none"}}});
    mesh.api
        .merge(&format!("{NAMESPACE}?fieldManager=kubectl-label"), &mode)
        .unwrap();
    let waypoint = json!({"metadata": {"labels": {"istio.io/use-waypoint": "other"}}});
    mesh.api
        .merge(&format!("{SERVICE}?fieldManager=kubectl-label"), &waypoint)
        .unwrap();
    mesh.run(&["rollback", "--yes"]).assert(0);
    let labels = |path| mesh.api.get(path).unwrap()["metadata"]["labels"].clone();
    assert_eq!(labels(NAMESPACE)["istio.io/dataplane-mode"], "none");
    assert_eq!(labels(NAMESPACE)["istio-injection"], "enabled");
    assert_eq!(
        labels(SERVICE),
        json!({"app": "web", "istio.io/use-waypoint": "other"})
    );
    assert!(
        mesh.api.get(DEPLOYMENT).unwrap()["spec"]["template"]["metadata"]["labels"]["mesh-migrate.io/moved"]
            .is_null()
    );
}
