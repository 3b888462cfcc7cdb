//! `precheck` and `convert` against a real control plane.

use crate::NO_ADMIN;
use bed::{Bed, Namespace, eventually};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

fn mesh_migrate(kubeconfig: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mesh-migrate"))
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .output()
        .unwrap()
}

fn report(kubeconfig: &Path, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = mesh_migrate(kubeconfig, &[arguments, &["-o", "json"]].concat());
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{errors}"));
    (output.status.code(), report)
}

/// The findings of a severity: code and object.
fn findings<'a>(report: &'a Value, severity: &str) -> Vec<(&'a str, String)> {
    let all = report["findings"].as_array().unwrap();
    let mut found: Vec<_> = all
        .iter()
        .filter(|finding| finding["severity"] == severity)
        .map(|finding| {
            let object = &finding["location"]["object"];
            let part = |key: &str| object[key].as_str().unwrap_or_default();
            let name = format!("{}/{}/{}", part("namespace"), part("kind"), part("name"));
            (finding["code"].as_str().unwrap(), name)
        })
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn the_profile_decides_about_blockers_of_the_whole_mesh() {
    let Some(bed) = Bed::shared() else { return };
    let (_, report) = report(&bed.kubeconfig(), &["precheck"]);
    // What other tests have in their namespaces is theirs.
    let found: Vec<_> = findings(&report, "blocker")
        .into_iter()
        .filter(|(_, object)| object.starts_with("istio-system/") || object == "//")
        .collect();
    let expected: &[(&str, &str)] = if bed.is_ambient() {
        &[]
    } else {
        &[
            ("MM1101", "//"),
            ("MM1201", "istio-system/Deployment/istiod"),
            ("MM1202", "istio-system/ConfigMap/istio"),
        ]
    };
    let found: Vec<_> = found
        .iter()
        .map(|(code, object)| (*code, object.as_str()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn findings_name_the_objects_of_the_cluster() {
    let Some(bed) = Bed::shared() else { return };
    let mesh = bed.namespace("findings");
    mesh.server("server");
    mesh.apply(NO_ADMIN);
    let (exit, report) = report(&bed.kubeconfig(), &["precheck", "--namespace", mesh.name()]);
    let dead = ("MM1601", format!("{}/AuthorizationPolicy/no-admin", mesh.name()));
    assert!(findings(&report, "blocker").contains(&dead), "{report:#}");
    assert_eq!(exit, Some(1));
}

#[test]
fn what_is_converted_from_the_cluster_is_taken_by_it() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = bed.namespace("converted");
    mesh.server("server");
    mesh.waypoint("waypoint");
    mesh.apply(
        r"
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: server}
spec:
  hosts: [server]
  http:
  - match: [{uri: {exact: /old}}]
    rewrite: {uri: /new}
    route: [{destination: {host: server}}]
  - route: [{destination: {host: server}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin}
spec:
  selector: {matchLabels: {app: server}}
  action: DENY
  rules: [{to: [{operation: {methods: [DELETE]}}]}]
",
    );
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().to_str().unwrap();
    let arguments = ["convert", "--namespace", mesh.name(), "--output-dir", target];
    let output = mesh_migrate(&bed.kubeconfig(), &arguments);
    assert!(output.status.success(), "{output:?}");
    let kinds = apply_all(&mesh, folder.path());
    assert_eq!(kinds, ["AuthorizationPolicy", "HTTPRoute"]);
    eventually(SOON, || {
        let routes = mesh
            .kubectl(&["get", "httproute", "--output=json"])
            .map_err(|error| error.to_string())?;
        let accepted =
            routes.contains(r#""reason": "Accepted""#) && routes.contains(r#""reason": "ResolvedRefs""#);
        accepted.then_some(()).ok_or(routes)
    });
    let policies = mesh
        .kubectl(&["get", "authorizationpolicy", "--output=name"])
        .unwrap();
    let new = policies
        .lines()
        .filter_map(|line| line.rsplit('/').next())
        .find(|name| *name != "no-admin")
        .expect("a new policy");
    eventually(SOON, || mesh.accepted_by_waypoint(new));
    // A second look finds nothing left to do.
    let (_, again) = report(
        &bed.kubeconfig(),
        &["convert", "--dry-run", "--namespace", mesh.name()],
    );
    assert_eq!(again["summary"]["new_objects"], 0, "{again:#}");
}

/// Applies every file of a folder tree; the kinds that were in it, each once.
fn apply_all(mesh: &Namespace<'_>, folder: &Path) -> Vec<String> {
    let mut kinds = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            kinds.extend(
                text.lines()
                    .filter_map(|line| line.strip_prefix("kind: "))
                    .map(str::to_owned),
            );
            mesh.apply(&text);
        }
    }
    kinds.sort();
    kinds.dedup();
    kinds
}

#[test]
fn the_published_role_is_enough_and_each_missing_verb_is_named() {
    let Some(bed) = Bed::shared() else { return };
    let account = bed.namespace("reader");
    let role = include_str!("../../docs/rbac.yaml").replace("mesh-migrate-reader", account.name());
    account.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: reader}\n");
    account.apply(&role);
    account.apply(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: $NAMESPACE}\n\
         roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: $NAMESPACE}\n\
         subjects: [{kind: ServiceAccount, name: reader, namespace: $NAMESPACE}]\n",
    );
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    fs::write(&kubeconfig, reader_kubeconfig(bed, &account)).unwrap();

    let complete = eventually(SOON, || {
        let (exit, report) = report(&kubeconfig, &["precheck", "--fail-on", "never"]);
        (exit == Some(0) && report["complete"] == true)
            .then_some(report.clone())
            .ok_or(report)
    });
    assert_eq!(complete["gaps"], Value::Array(Vec::new()));

    for without in [
        "services",
        "authorizationpolicies",
        "daemonsets",
        "gatewayclasses",
    ] {
        account.apply(&role_without(&role, without));
        eventually(SOON, || {
            let (_, report) = report(&kubeconfig, &["precheck"]);
            let gaps = report["gaps"].to_string();
            let names_it = gaps.contains(without) && gaps.contains("list");
            (names_it && report["complete"] == false)
                .then_some(())
                .ok_or(gaps)
        });
        // Blockers that other tests put there come first.
        let (exit, report) = report(&kubeconfig, &["precheck"]);
        let found = report["summary"]["blockers"] != 0;
        assert_eq!(exit, Some(if found { 1 } else { 3 }), "without {without}");
    }
    let cluster_wide = ["delete", "clusterrole,clusterrolebinding", account.name()];
    bed.kubectl().run(&cluster_wide).unwrap();
}

fn role_without(role: &str, resource: &str) -> String {
    let line = format!("      - {resource}\n");
    assert!(role.contains(&line));
    role.replace(&line, "")
}

fn reader_kubeconfig(bed: &Bed, account: &Namespace<'_>) -> String {
    let token = account.kubectl(&["create", "token", "reader"]).unwrap();
    let admin = fs::read_to_string(bed.kubeconfig()).unwrap();
    let server = admin
        .lines()
        .filter(|line| line.contains("server:") || line.contains("certificate-authority:"))
        .collect::<Vec<_>>()
        .join("\n");
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: reader\nclusters:\n- name: bed\n  cluster:\n{server}\n\
         users:\n- name: reader\n  user: {{token: {}}}\n\
         contexts:\n- name: reader\n  context: {{cluster: bed, user: reader}}\n",
        token.trim()
    )
}
