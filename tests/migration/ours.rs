//! The way of mesh-migrate, with the commands that a user gives.

use crate::mesh::Mesh;
use crate::streams::NAMESPACES;
use serde_json::Value;
use std::io::BufReader;
use std::process::{Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mesh-migrate");

/// A plan for the sample mesh that is deployed, in a file.
pub struct Plan {
    folder: tempfile::TempDir,
}

impl Plan {
    /// `mesh-migrate plan -n … -o yaml=FILE`.
    ///
    /// # Panics
    /// Where the plan has gaps that somebody would have to take on.
    pub fn make(mesh: &Mesh<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let plan = Self { folder };
        let file = format!("yaml={}", plan.path());
        let mut arguments = vec!["plan", "-o", "text", "-o", &file];
        for namespace in NAMESPACES {
            arguments.extend(["-n", namespace]);
        }
        run(mesh, &arguments);
        plan
    }

    fn path(&self) -> String {
        self.folder.path().join("plan.yaml").display().to_string()
    }

    /// `mesh-migrate apply FILE --yes`; each step is a phase.
    pub fn apply(&self, mesh: &Mesh<'_>) {
        run_by_steps(mesh, &["apply", &self.path(), "--yes", "-o", "jsonl"]);
    }
}

/// `mesh-migrate rollback --yes`; each step is a phase.
pub fn roll_back(mesh: &Mesh<'_>) {
    run_by_steps(mesh, &["rollback", "--yes", "-o", "jsonl"]);
}

/// `mesh-migrate status -o json`.
pub fn status(mesh: &Mesh<'_>) -> Value {
    let text = run(mesh, &["status", "-o", "json"]);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn command(mesh: &Mesh<'_>, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env("KUBECONFIG", mesh.kubeconfig());
    command
}

/// Runs a command to its good end; what it printed.
fn run(mesh: &Mesh<'_>, arguments: &[&str]) -> String {
    let output = command(mesh, arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{arguments:?}: {}\n{text}\n{said}",
        output.status
    );
    text
}

/// Runs a command that tells its steps, and has each of them be a phase.
fn run_by_steps(mesh: &Mesh<'_>, arguments: &[&str]) {
    let child = command(mesh, arguments).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{error}"));
    let mut told = Vec::new();
    let mut current = String::new();
    let lines = child.stdout.take().map(BufReader::new).into_iter();
    for line in lines.flat_map(std::io::BufRead::lines).map_while(Result::ok) {
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let begins = event["event"] == "step" || event["event"] == "undo";
        let step = event["step"].as_str().unwrap_or_default();
        if begins && step != current {
            step.clone_into(&mut current);
            mesh.phase(&format!("{}: {step}", arguments[0]));
        }
        told.push(line);
    }
    let status = child.wait().unwrap_or_else(|error| panic!("{error}"));
    let last = told.split_off(told.len().saturating_sub(20)).join("\n");
    assert!(status.success(), "{arguments:?}: {status}\n{last}");
}
