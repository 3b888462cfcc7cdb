//! The processes in the bed's pods, as the machine sees them.

use crate::{Bed, BedError};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A process of a container, by its number on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    id: u32,
}

impl Process {
    /// Ends it without a chance to say goodbye.
    ///
    /// # Panics
    /// Where it is not there.
    pub fn kill(self) {
        let status = Command::new("kill")
            .args(["-KILL", &self.id.to_string()])
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "{} is not there",
            self.id
        );
    }

    /// Its folder below `/proc`.
    #[must_use]
    pub fn folder(self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.id))
    }
}

impl Bed {
    /// The processes of this program in the pods with this label, `key=value`, on all nodes.
    ///
    /// # Errors
    /// What kubectl complained about.
    pub fn processes(&self, namespace: &str, label: &str, program: &str) -> Result<Vec<Process>, BedError> {
        let uids = self.kubectl().run(&[
            "--namespace",
            namespace,
            "get",
            "pods",
            &format!("--selector={label}"),
            "--output=jsonpath={.items[*].metadata.uid}",
        ])?;
        let listed = fs::read_dir("/proc").into_iter().flatten().flatten();
        Ok(listed
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .map(|id| Process { id })
            .filter(|process| process.runs(program) && uids.split(' ').any(|uid| process.is_of_pod(uid)))
            .collect())
    }
}

impl Process {
    fn runs(self, program: &str) -> bool {
        let line = fs::read(self.folder().join("cmdline")).unwrap_or_default();
        let first = line.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(first).rsplit('/').next() == Some(program)
    }

    fn is_of_pod(self, uid: &str) -> bool {
        !uid.is_empty()
            && fs::read_to_string(self.folder().join("cgroup"))
                .is_ok_and(|groups| groups.contains(&format!("/pod{uid}/")))
    }
}
