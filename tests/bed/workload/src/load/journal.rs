//! What was counted, in a file that outlives the pod.

use crate::connect::Failure;
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;

/// A file of lines of JSON: one for each request that did not go as expected, and every second one with what was
/// counted until then. A pod that is killed takes at most a second with it.
pub struct Journal {
    file: File,
}

impl Journal {
    /// `FOLDER/POD.jsonl`.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn open(folder: &Path, pod: &str) -> Result<Self, Failure> {
        let path = folder.join(format!("{pod}.jsonl"));
        let file = OpenOptions::new().create(true).append(true).open(&path);
        match file {
            Ok(file) => Ok(Self { file }),
            Err(error) => Err(Failure::Unusable(format!("{}: {error}", path.display()))),
        }
    }

    /// Adds a line.
    pub fn write(&self, line: &Value) {
        // A disk that is full shows in the sums: the last line is missing.
        let _ = (&self.file).write_all(format!("{line}\n").as_bytes());
    }
}
