//! Running the programs that put rules in place.

use super::RulesError;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The agent's subcommand that [`enter`] carries out.
pub const ENTER: &str = "enter";

/// Where programs come from.
#[derive(Debug, Clone, Default)]
pub struct Programs {
    /// The file of the mount namespace whose programs are used; the agent's own if there is none.
    pub mounts: Option<PathBuf>,
}

impl Programs {
    /// Runs a program with a text on its standard input and gives what it prints.
    pub fn run(&self, program: &'static str, arguments: &[&str], text: &str) -> Result<String, RulesError> {
        let mut child = self
            .command(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(RulesError::io(program))?;
        // A program that ends well without reading its input needed none, so only its end counts.
        let _ = child
            .stdin
            .take()
            .map(|mut stdin| stdin.write_all(text.as_bytes()));
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().map_err(RulesError::io(program))?;
        if status.success() {
            Ok(String::from_utf8_lossy(&stdout).into_owned())
        } else {
            let message = String::from_utf8_lossy(&stderr).trim().to_owned();
            Err(RulesError::Refused { program, message })
        }
    }

    /// A mount namespace is entered by a process with one thread only: by this program itself, before it becomes the other.
    fn command(&self, program: &str) -> Command {
        let Some(mounts) = &self.mounts else {
            return Command::new(program);
        };
        let mut command = Command::new("/proc/self/exe");
        command.arg(ENTER).arg(mounts).arg(program);
        command
    }
}

/// Becomes another program inside of a mount namespace. Returns only if that fails. The process must have one thread.
#[must_use]
pub fn enter(mounts: &Path, program: &[OsString]) -> io::Error {
    let Some((program, arguments)) = program.split_first() else {
        return io::Error::new(io::ErrorKind::InvalidInput, "no program");
    };
    let entered = File::open(mounts).and_then(|file| {
        Ok(move_into_link_name_space(
            file.as_fd(),
            Some(LinkNameSpaceType::Mount),
        )?)
    });
    match entered {
        Ok(()) => Command::new(program).args(arguments).exec(),
        Err(error) => error,
    }
}
