//! `convert --output-dir`: whole files or none, and never over a file of someone else.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn convert(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mesh-migrate"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata"))
        .env_clear()
        .args(["convert", "--output-dir"])
        .arg(folder)
        .args(arguments)
        .output()
        .unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn new_objects_get_a_file_each_and_our_own_files_are_replaced() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("out");
    let first = convert(&["--sample", "bookinfo", "-q"], &folder);
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    let names: Vec<String> = files(&folder)
        .iter()
        .map(|f| f.strip_prefix(&folder).unwrap().display().to_string())
        .collect();
    insta::assert_snapshot!(names.join("\n"));
    insta::assert_snapshot!(std::fs::read_to_string(folder.join("bookinfo/httproute-reviews.yaml")).unwrap());

    std::fs::write(
        folder.join("bookinfo/httproute-reviews.yaml"),
        "metadata: {labels: {app.kubernetes.io/managed-by: mesh-migrate}}\n",
    )
    .unwrap();
    assert_eq!(convert(&["--sample", "bookinfo"], &folder).status.code(), Some(0));
    let text = std::fs::read_to_string(folder.join("bookinfo/httproute-reviews.yaml")).unwrap();
    assert!(text.contains("kind: HTTPRoute"), "{text}");
}

#[test]
fn a_file_of_someone_else_stops_everything() {
    for foreign in [
        "kind: HTTPRoute\n# app.kubernetes.io/managed-by: mesh-migrate\n",
        "not: [yaml",
        "",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bookinfo/httproute-reviews.yaml");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        std::fs::write(&path, foreign).unwrap();
        let output = convert(&["--sample", "bookinfo"], folder.path());
        assert_eq!(output.status.code(), Some(2));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("was not written by this program"), "{error}");
        assert_eq!(
            files(folder.path()),
            std::slice::from_ref(&path),
            "nothing else may be written"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), foreign);
    }
}

#[test]
fn nothing_is_written_if_the_input_has_errors() {
    let folder = tempfile::tempdir().unwrap();
    let output = convert(&["-f", "samples", "-f", "bad/duplicate-key.yaml"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("nothing was written")
    );
    assert!(files(folder.path()).is_empty());
}

#[test]
fn files_of_an_earlier_run_are_named_and_left_alone() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("out");
    let old = folder.join("bookinfo/httproute-old.yaml");
    let foreign = folder.join("bookinfo/kustomization.yaml");
    std::fs::create_dir_all(old.parent().unwrap()).unwrap();
    std::fs::write(
        &old,
        "metadata: {labels: {app.kubernetes.io/managed-by: mesh-migrate}}\n",
    )
    .unwrap();
    std::fs::write(&foreign, "resources: []\n").unwrap();
    let output = convert(&["--sample", "bookinfo"], &folder);
    assert_eq!(output.status.code(), Some(0));
    let remarks = String::from_utf8(output.stderr).unwrap();
    assert!(
        remarks.contains("httproute-old.yaml` is of an earlier run"),
        "{remarks}"
    );
    assert!(!remarks.contains("kustomization"), "{remarks}");
    assert!(old.exists() && foreign.exists());
}

/// Runs the program for a reader that goes away at once, as `head -0` does.
fn unread(arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mesh-migrate"))
        .env_clear()
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    child.wait_with_output().unwrap()
}

#[test]
fn a_reader_that_goes_away_changes_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("out");
    let out = folder.to_str().unwrap();
    for (arguments, expected) in [
        (
            &["convert", "--dry-run", "--sample", "bookinfo", "-o", "json"][..],
            0,
        ),
        (&["precheck", "--sample", "bookinfo"], 1),
        (&["convert", "--sample", "bookinfo", "--output-dir", out], 0),
        (&["completions", "bash"], 0),
        (&["explain"], 0),
    ] {
        let output = unread(arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(expected), "{arguments:?}: {errors}");
        assert!(!errors.contains("error"), "{arguments:?}: {errors}");
    }
    assert!(!files(&folder).is_empty());
}
