//! `convert --in-place` and `--check`: new objects beside the old ones, every other byte as it was, all files or none.
//!
//! Each folder in `testdata/in-place` has the files `before`, those `after`, and what was said. `UPDATE_IN_PLACE=1` writes
//! the last two anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

mod edits;

/// Runs the program in a folder.
fn convert(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mesh-migrate"))
        .current_dir(folder)
        .env_clear()
        .args(["convert", "--no-progress", "-o", "concise"])
        .args(arguments)
        .output()
        .unwrap()
}

/// All files below a folder by their paths; of a symbolic link, where it leads to.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(folder: &Path, root: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_owned();
            if path.is_symlink() {
                let target = std::fs::read_link(&path).unwrap();
                found.insert(name, format!("-> {}", target.display()).into_bytes());
            } else if path.is_dir() {
                walk(&path, root, found);
            } else {
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

fn write(folder: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) {
    for (name, bytes) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match bytes.strip_prefix(b"-> ") {
            Some(target) => {
                let target = std::str::from_utf8(target).unwrap();
                std::os::unix::fs::symlink(target, path).unwrap();
            }
            None => std::fs::write(path, bytes).unwrap(),
        }
    }
}

fn shown(output: &Output) -> String {
    let mut text = String::new();
    writeln!(text, "exit code {}", output.status.code().unwrap()).unwrap();
    text.push_str(std::str::from_utf8(&output.stdout).unwrap());
    text.push_str("--\n");
    text.push_str(std::str::from_utf8(&output.stderr).unwrap());
    text
}

struct Case {
    name: String,
    folder: PathBuf,
    flags: Vec<String>,
    before: BTreeMap<PathBuf, Vec<u8>>,
}

impl Case {
    fn all() -> Vec<Self> {
        let mut cases: Vec<Self> = std::fs::read_dir("testdata/in-place")
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir())
            .map(|folder| {
                let flags = std::fs::read_to_string(folder.join("flags")).unwrap_or("-f .".to_owned());
                Self {
                    name: folder.file_name().unwrap().to_string_lossy().into_owned(),
                    flags: flags.split_whitespace().map(str::to_owned).collect(),
                    before: files(&folder.join("before")),
                    folder,
                }
            })
            .collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        assert!(!cases.is_empty());
        cases
    }

    fn copy(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &self.before);
        folder
    }

    fn run(&self, folder: &TempDir, mode: &str) -> Output {
        let mut arguments = vec![mode];
        arguments.extend(self.flags.iter().map(String::as_str));
        convert(folder.path(), &arguments)
    }

    fn compare(&self, after: &BTreeMap<PathBuf, Vec<u8>>, said: &str) {
        let (golden, messages) = (self.folder.join("after"), self.folder.join("said.txt"));
        if std::env::var_os("UPDATE_IN_PLACE").is_some() {
            let _ = std::fs::remove_dir_all(&golden);
            write(&golden, after);
            std::fs::write(&messages, said).unwrap();
        }
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let expected = files(&golden);
        for (name, bytes) in after {
            let wanted = expected.get(name).map(text);
            assert_eq!(Some(text(bytes)), wanted, "{}: {}", self.name, name.display());
        }
        assert_eq!(after.len(), expected.len(), "{}", self.name);
        assert_eq!(said, std::fs::read_to_string(messages).unwrap(), "{}", self.name);
    }
}

#[test]
fn every_case_has_its_answer() {
    for case in Case::all() {
        let folder = case.copy();
        let output = case.run(&folder, "--in-place");
        case.compare(&files(folder.path()), &shown(&output));
    }
}

#[test]
fn a_second_run_changes_nothing() {
    for case in Case::all() {
        let folder = case.copy();
        if case.run(&folder, "--in-place").status.code() != Some(0) {
            assert_eq!(
                files(folder.path()),
                case.before,
                "{}: a run that fails writes nothing",
                case.name
            );
            continue;
        }
        let first = files(folder.path());
        let check = case.run(&folder, "--check");
        assert_eq!(check.status.code(), Some(0), "{}: {check:?}", case.name);
        let second = case.run(&folder, "--in-place");
        assert_eq!(second.status.code(), Some(0), "{}", case.name);
        assert_eq!(files(folder.path()), first, "{}", case.name);
    }
}

#[test]
fn check_says_what_would_change_and_writes_nothing() {
    for case in Case::all() {
        let folder = case.copy();
        let check = case.run(&folder, "--check");
        assert_eq!(files(folder.path()), case.before, "{}", case.name);
        let write = case.run(&folder, "--in-place");
        let is_changed = files(folder.path()) != case.before;
        let expected = match write.status.code() {
            Some(0) => i32::from(is_changed),
            code => code.unwrap(),
        };
        assert_eq!(check.status.code(), Some(expected), "{}", case.name);
        let said = |output: &Output| String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(
            said(&check).replace("would change", "wrote"),
            said(&write),
            "{}",
            case.name
        );
    }
}

fn simple() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &files(Path::new("testdata/in-place/no-final-newline/before")),
    );
    folder
}

#[test]
fn permissions_stay() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = simple();
    let path = folder.path().join("web.yaml");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(
        convert(folder.path(), &["--in-place", "-f", "."]).status.code(),
        Some(0)
    );
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(files(folder.path()).len(), 2, "nothing temporary may be left");
}

#[test]
fn what_is_read_only_is_not_written() {
    use std::os::unix::fs::PermissionsExt as _;
    let chmod = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (of, mode, back) in [(".", 0o555, 0o755), ("web.yaml", 0o444, 0o644)] {
        let folder = simple();
        let before = files(folder.path());
        chmod(&folder.path().join(of), mode);
        let output = convert(folder.path(), &["--in-place", "-f", "."]);
        chmod(&folder.path().join(of), back);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{error}");
        assert!(error.contains("read-only"), "{error}");
        assert_eq!(files(folder.path()), before);
    }
}

#[test]
fn only_files_can_be_edited() {
    let folder = simple();
    for (arguments, error) in [
        (&["--in-place", "-f", "-"][..], "standard input is no file"),
        (&["--check", "-f", "-", "-f", "."], "standard input is no file"),
        (&["--in-place"], "only files can be edited"),
        (&["--check", "--sample", "bookinfo"], "only files can be edited"),
        (&["--in-place", "-f", ".", "--dry-run"], "cannot be used with"),
        (
            &["--in-place", "-f", ".", "--output-dir", "out"],
            "cannot be used with",
        ),
        (&["--check", "-f", ".", "--dry-run"], "cannot be used with"),
    ] {
        let output = convert(folder.path(), arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(said.contains(error), "{arguments:?}: {said}");
    }
}

#[test]
fn a_namespace_limits_what_is_written() {
    let folder = simple();
    let other = std::fs::read_to_string(folder.path().join("services.yaml")).unwrap();
    std::fs::write(folder.path().join("other.yaml"), other.replace("shop", "other")).unwrap();
    let before = files(folder.path());
    let output = convert(folder.path(), &["--in-place", "-f", ".", "-n", "other"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(files(folder.path()), before);
}
