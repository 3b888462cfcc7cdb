//! Input with errors, through the real program: every kind gives a place, a message, advice, and exit code 2.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mesh-migrate"))
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/bad"))
        .env_clear()
        .args(arguments)
        .output()
        .unwrap()
}

fn told(arguments: &[&str]) -> String {
    let output = run(arguments);
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}\n{text}");
    assert!(
        text.contains("fix: ") || text.contains("help: "),
        "no advice for {arguments:?}:\n{text}"
    );
    text.lines()
        .filter(|line| !line.contains("explain MM") && !line.starts_with("Not checked"))
        .fold(String::new(), |told, line| told + line.trim_end() + "\n")
}

#[test]
fn every_kind_of_bad_input_is_told_with_place_and_advice() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/bad");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    cases.sort();
    let mut table = String::new();
    for case in &cases {
        let name = case.file_name().unwrap().to_str().unwrap();
        if !name.starts_with("rules-") {
            let _ = writeln!(
                table,
                "## {name}\n\n{}",
                told(&["convert", "--dry-run", "-f", name])
            );
        }
    }
    let _ = writeln!(
        table,
        "## no such file\n\n{}",
        told(&["convert", "--dry-run", "-f", "no-such-file.yaml"])
    );
    let rules = ["precheck", "--sample", "bookinfo", "--rules", "rules-not-a-rule"];
    let _ = writeln!(table, "## a rule that is none\n\n{}", told(&rules));
    let rules = ["precheck", "--sample", "bookinfo", "--rules", "no-such-folder"];
    let _ = writeln!(table, "## no such folder of rules\n\n{}", told(&rules));
    let snapshot = ["precheck", "--snapshot", "gzip.yaml"];
    let _ = writeln!(table, "## a snapshot that is none\n\n{}", told(&snapshot));
    assert!(cases.len() >= 30);
    insta::assert_snapshot!(table);
}
