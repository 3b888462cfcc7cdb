//! Plans as people read them, and as `apply` does: one folder of `testdata/plan` for each case.

#![expect(clippy::unwrap_used, reason = "a program that does not answer is a failure")]

use std::process::Command;

fn plan(folder: &str, arguments: &[&str]) -> (String, Option<i32>) {
    let input = format!("{folder}/input.yaml");
    let output = Command::new(env!("CARGO_BIN_EXE_mesh-migrate"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["plan", "--filename", &input])
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (text, output.status.code())
}

#[test]
fn plans_read_as_they_should() {
    insta::glob!("../testdata/plan", "*/input.yaml", |path| {
        let folder = path.parent().unwrap();
        let name = folder.file_name().unwrap().to_str().unwrap();
        let (text, code) = plan(&format!("testdata/plan/{name}"), &["--verbose"]);
        insta::with_settings!({
            snapshot_path => folder, prepend_module_to_snapshot => false, snapshot_suffix => "", omit_expression => true
        }, {
            insta::assert_snapshot!("plan", format!("{text}exit {}", code.unwrap()));
        });
    });
}

#[test]
fn the_file_is_the_same_plan_every_time() {
    let (yaml, code) = plan("testdata/plan/cycle", &["-o", "yaml"]);
    assert_eq!(code, Some(0), "{yaml}");
    assert_eq!(plan("testdata/plan/cycle", &["-o", "yaml"]).0, yaml);
    let read: mesh_migrate::plan::Plan = serde_yaml::from_str(&yaml).unwrap();
    let (json, _) = plan("testdata/plan/cycle", &["-o", "json"]);
    assert_eq!(
        serde_json::from_str::<mesh_migrate::plan::Plan>(&json).unwrap(),
        read
    );
}

#[test]
fn what_was_not_asked_for_stays() {
    let (text, _) = plan("testdata/plan/cycle", &["-n", "shop"]);
    assert!(
        text.contains("billing/Deployment/invoices: its namespace was not asked for"),
        "{text}"
    );
    assert!(
        !text.contains("unteach"),
        "a caller with a sidecar is left: {text}"
    );
    let (text, code) = plan("testdata/plan/cycle", &["-n", "shap"]);
    assert!(text.contains("did you mean `shop`?") && code == Some(2), "{text}");
}
