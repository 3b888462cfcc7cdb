//! The cluster's API as its administrator uses it.

use crate::layout::Layout;
use serde_json::Value;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Why the cluster did not do what a test asked for.
#[derive(Debug, thiserror::Error)]
pub enum BedError {
    /// The command ended otherwise than well.
    #[error("`kubectl {command}` failed: {said}")]
    Refused {
        /// The arguments.
        command: String,
        /// What it printed.
        said: String,
    },
    /// The command could not be run, or printed something else than it should.
    #[error("`kubectl {command}`: {reason}")]
    Unusable {
        /// The arguments.
        command: String,
        /// What is wrong.
        reason: String,
    },
}

/// kubectl with the rights of the administrator.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    pub(crate) fn new(layout: &Layout) -> Self {
        Self {
            program: layout.program("kubectl"),
            kubeconfig: layout.kubeconfig(),
        }
    }

    /// Runs a command to its end; what it printed.
    ///
    /// # Errors
    /// [`BedError`] with what it complained about.
    pub fn run(&self, arguments: &[&str]) -> Result<String, BedError> {
        self.feed(arguments, "")
    }

    /// Runs a command that prints JSON.
    ///
    /// # Errors
    /// [`BedError`] with what it complained about.
    pub fn json(&self, arguments: &[&str]) -> Result<Value, BedError> {
        let text = self.run(&[arguments, &["--output=json"]].concat())?;
        serde_json::from_str(&text).map_err(|error| BedError::Unusable {
            command: arguments.join(" "),
            reason: error.to_string(),
        })
    }

    /// Applies manifests, as `kubectl apply --server-side` does.
    ///
    /// # Errors
    /// [`BedError`] with what the API server complained about.
    pub fn apply(&self, manifests: &str) -> Result<String, BedError> {
        self.feed(
            &["apply", "--server-side", "--force-conflicts", "--filename=-"],
            manifests,
        )
    }

    /// Runs a command with this on its standard input; what it printed.
    ///
    /// # Errors
    /// [`BedError`] with what it complained about.
    pub fn feed(&self, arguments: &[&str], input: &str) -> Result<String, BedError> {
        let unusable = |error: std::io::Error| BedError::Unusable {
            command: arguments.join(" "),
            reason: error.to_string(),
        };
        let mut child = Command::new(&self.program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(unusable)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read says why itself.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().map_err(unusable)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Err(BedError::Refused {
            command: arguments.join(" "),
            said: [text(&output.stdout), text(&output.stderr)]
                .join("\n")
                .trim()
                .to_owned(),
        })
    }
}
