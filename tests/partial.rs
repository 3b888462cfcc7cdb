//! A cluster that refuses to show a part of itself never passes a gate.

#![expect(clippy::unwrap_used, reason = "a test that cannot write its data has failed")]

use mesh_migrate::input::cluster::RawCluster;
use mesh_migrate::input::snapshot;
use model::Kind;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

fn exit_code(snapshot: &Path, arguments: &[&str]) -> Option<i32> {
    Command::new(env!("CARGO_BIN_EXE_mesh-migrate"))
        .env_clear()
        .args(arguments)
        .arg("--snapshot")
        .arg(snapshot)
        .output()
        .unwrap()
        .status
        .code()
}

fn namespace(labels: &serde_json::Value) -> serde_json::Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop", "labels": labels } })
}

#[test]
fn what_was_refused_cannot_pass() {
    let folder = tempfile::tempdir().unwrap();
    let conflict = json!({ "istio-injection": "enabled", "istio.io/dataplane-mode": "ambient" });
    let refused = BTreeMap::from([(Kind::AuthorizationPolicy, "forbidden".to_owned())]);
    for (name, labels, unreadable, arguments, expected) in [
        (
            "whole",
            json!({}),
            &BTreeMap::new(),
            &["precheck", "--fail-on", "never"][..],
            0,
        ),
        (
            "partial",
            json!({}),
            &refused,
            &["precheck", "--fail-on", "never"],
            0,
        ),
        ("partial", json!({}), &refused, &["convert", "--dry-run"], 0),
        (
            "partial",
            json!({}),
            &refused,
            &["convert", "--dry-run", "--fail-on", "blocker"],
            3,
        ),
        (
            "whole",
            json!({}),
            &BTreeMap::new(),
            &["convert", "--dry-run", "--fail-on", "blocker"],
            0,
        ),
        ("found", conflict, &refused, &["precheck", "--fail-on", "info"], 1),
    ] {
        let path = folder.path().join(name);
        let cluster = RawCluster {
            objects: vec![namespace(&labels)],
            read: BTreeSet::from([Kind::Namespace]),
            unreadable: unreadable.clone(),
            ..RawCluster::default()
        };
        snapshot::write(&path, &cluster).unwrap();
        assert_eq!(
            exit_code(&path, arguments),
            Some(expected),
            "{name} {arguments:?}"
        );
    }
}

#[test]
fn what_all_namespaces_share_is_in_the_way_of_each() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mesh.yaml");
    std::fs::write(
        &file,
        r#"apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata:
  name: bank
  labels: {istio-injection: enabled, istio.io/dataplane-mode: ambient}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: istiod, namespace: istio-system, labels: {app: istiod}}
spec:
  selector: {matchLabels: {app: istiod}}
  template:
    metadata: {labels: {app: istiod}}
    spec:
      containers:
        - name: discovery
          image: istio/pilot:1.28.0
          env: [{name: PILOT_ENABLE_AMBIENT, value: "false"}]
"#,
    )
    .unwrap();
    for (namespace, expected) in [("shop", vec!["MM1201"]), ("bank", vec!["MM1201", "MM1501"])] {
        let output = Command::new(env!("CARGO_BIN_EXE_mesh-migrate"))
            .env_clear()
            .args(["precheck", "-o", "concise", "-n", namespace, "-f"])
            .arg(&file)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let mut codes: Vec<&str> = text.split(['[', ']']).filter(|t| t.starts_with("MM")).collect();
        codes.sort_unstable();
        assert_eq!(codes, expected, "{namespace}: {text}");
    }
}
