//! `precheck` and `convert` against a real control plane.

use bed::Bed;
use serde_json::Value;
use std::process::Command;

fn precheck(bed: &Bed, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_mesh-migrate"))
        .args(["precheck", "-o", "json"])
        .args(arguments)
        .env("KUBECONFIG", bed.kubeconfig())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (output.status.code(), report)
}

fn blockers(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().unwrap();
    let mut codes: Vec<_> = findings
        .iter()
        .filter(|finding| finding["severity"] == "blocker")
        .filter_map(|finding| finding["code"].as_str())
        .collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

#[test]
fn precheck_finds_what_the_profile_lacks() {
    let Some(bed) = Bed::shared() else { return };
    let (exit, report) = precheck(bed, &["--namespace", "istio-system"]);
    println!("{exit:?} {report:#}");
    let found = blockers(&report);
    if bed.is_ambient() {
        assert!(found.is_empty(), "{found:?}");
    } else {
        assert!(!found.is_empty());
    }
}
