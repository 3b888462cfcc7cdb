//! The newcomer's page, followed to the letter on the bed.

#![expect(clippy::unwrap_used, reason = "a page that cannot be followed has failed")]

use bed::Bed;
use bed::layout::{IMAGE_HUB, IMAGE_TAG, Layout};
use std::fs;
use std::path::Path;
use std::process::Command;

const PAGE: &str = include_str!("../docs/first-migration.md");
const MESH: &str = include_str!("../docs/first-migration/shop.yaml");

/// A command of the page, and the lines that it shows.
struct Shown<'a> {
    command: &'a str,
    output: Vec<&'a str>,
}

/// What stands in blocks of `console`.
fn shown(page: &str) -> Vec<Shown<'_>> {
    let mut found: Vec<Shown<'_>> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match (line, line.strip_prefix("$ ")) {
            ("```console", _) => inside = true,
            ("```", _) => inside = false,
            (_, Some(command)) if inside => found.push(Shown {
                command,
                output: Vec::new(),
            }),
            (line, None) if inside => found.last_mut().unwrap().output.push(line),
            _ => {}
        }
    }
    found
}

/// The pods of the bed know one image; it answers at the same port.
fn with_images_of_the_bed(mesh: &str) -> String {
    let mut text = String::new();
    for line in mesh.lines() {
        match line.split_once("image: ") {
            Some((indent, _)) => {
                text += &format!("{indent}image: {IMAGE_HUB}/workload:{IMAGE_TAG}\n");
                text += &format!("{indent}imagePullPolicy: Never\n{indent}args: [serve]\n");
            }
            None => text += &format!("{line}\n"),
        }
    }
    text
}

/// Whether each line of the page is in the output, in this order; `...` is whatever comes between, also in a line.
fn follows(output: &str, page: &[&str]) -> Result<(), String> {
    let mut lines = output.lines();
    for wanted in page.iter().filter(|line| **line != "..." && !line.is_empty()) {
        let fits = |line: &str| match wanted.split_once("...") {
            Some((begin, end)) => line.trim().starts_with(begin.trim()) && line.trim().ends_with(end.trim()),
            None => line.trim() == wanted.trim() || line.ends_with(wanted),
        };
        if !lines.any(fits) {
            return Err(format!("no line `{wanted}` in\n{output}"));
        }
    }
    Ok(())
}

fn run(command: &str, folder: &Path, bed: &Bed) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_mesh-migrate")).parent().unwrap();
    let kubectl = Layout::of_user().bin();
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("sh")
        .args(["-c", &format!("{command} 2>&1")])
        .current_dir(folder)
        .env(
            "PATH",
            format!("{}:{}:{path}", program.display(), kubectl.display()),
        )
        .env("KUBECONFIG", bed.kubeconfig())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{command}\n{text}");
    text
}

#[test]
fn the_page_can_be_followed() {
    let Some(bed) = Bed::shared_ambient() else { return };
    bed.ready_for_a_plan();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("shop.yaml"), with_images_of_the_bed(MESH)).unwrap();
    let commands = shown(PAGE);
    assert!(commands.len() > 8, "{}", commands.len());
    for step in commands {
        let output = run(step.command, folder.path(), bed);
        if let Err(missing) = follows(&output, &step.output) {
            panic!("{}: {missing}", step.command);
        }
    }
}

#[test]
fn lines_are_looked_for_in_their_order() {
    let output = "a\ncontext `x`: 5 done\nb\n";
    assert_eq!(follows(output, &["a", "...", "context ...: 5 done"]), Ok(()));
    assert!(follows(output, &["b", "a"]).is_err());
    assert!(follows(output, &["c"]).is_err());
}
