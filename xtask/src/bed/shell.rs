//! Other programs: run to their end, or started and left running.

use bed::layout::{Layout, MARK};
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs to the end; what it printed, or an error that shows the command and what it complained about.
pub fn run(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failure(command, &output))
}

/// Runs to the end, whatever comes of it.
pub fn output(command: &mut Command) -> Result<Output> {
    command
        .stdin(Stdio::null())
        .output()
        .into_diagnostic()
        .wrap_err_with(|| format!("`{}` did not start", shown(command)))
}

/// Runs to the end with this on its standard input.
pub fn feed(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .into_diagnostic()
        .wrap_err_with(|| format!("`{}` did not start", shown(command)))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that stops reading says why itself.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().into_diagnostic()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failure(command, &output))
}

/// A program with its arguments, all separated by single spaces.
pub fn words(line: &str) -> Command {
    let mut words = line.split_ascii_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}

/// Starts a program of the bed in a session of its own; it goes on when we end. Its number is that of the
/// process.
pub fn start(layout: &Layout, name: &str, command: &mut Command) -> Result<u32> {
    fs::create_dir_all(layout.logs()).into_diagnostic()?;
    let log = File::create(layout.logs().join(format!("{name}.log"))).into_diagnostic()?;
    let mut detached = Command::new("setsid");
    detached
        .arg(command.get_program())
        .args(command.get_args())
        .envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))))
        .env(MARK, layout.root())
        .stdin(Stdio::null())
        .stdout(log.try_clone().into_diagnostic()?)
        .stderr(log);
    let child = detached
        .spawn()
        .into_diagnostic()
        .wrap_err_with(|| format!("`{}` did not start", shown(command)))?;
    Ok(child.id())
}

/// Writes a file, and the folders that it needs.
pub fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    let folder = path
        .parent()
        .ok_or_else(|| miette!("{} has no folder", path.display()))?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .into_diagnostic()
        .wrap_err_with(|| format!("{} cannot be written", path.display()))
}

fn failure(command: &Command, output: &Output) -> miette::Report {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let said = [text(&output.stdout), text(&output.stderr)].join("\n");
    miette!(
        help = "the logs are shown by `cargo xtask bed logs`",
        "`{}` ended with {}: {}",
        shown(command),
        output.status,
        said.trim()
    )
}

fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}
