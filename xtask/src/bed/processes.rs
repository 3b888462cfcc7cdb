//! The processes of the bed, found by the variable that each of them carries.

use bed::layout::{Layout, MARK};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

/// A process that `up` started, or a child of one.
pub struct Process {
    /// Its number.
    pub id: u32,
    /// The last part of its program's path.
    pub program: String,
}

/// All processes of this bed.
pub fn all(layout: &Layout) -> Vec<Process> {
    let mark = [MARK.as_bytes(), b"=", layout.root().as_os_str().as_bytes()].concat();
    let own = std::process::id();
    let listed = fs::read_dir("/proc").into_iter().flatten().flatten();
    listed
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|id| *id != own)
        .filter(|id| {
            fs::read(format!("/proc/{id}/environ")).is_ok_and(|variables| {
                variables
                    .split(|byte| *byte == 0)
                    .any(|variable| variable == mark)
            })
        })
        .map(|id| Process {
            id,
            program: program(id),
        })
        .collect()
}

/// Ends all of them, and waits until they are gone.
pub fn end(layout: &Layout) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        let left = all(layout);
        if left.is_empty() {
            return true;
        }
        for process in left {
            let _ = super::shell::output(
                std::process::Command::new("kill")
                    .arg("-KILL")
                    .arg(process.id.to_string()),
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

fn program(id: u32) -> String {
    let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let first = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let path = String::from_utf8_lossy(first);
    path.rsplit('/').next().unwrap_or_default().to_owned()
}
