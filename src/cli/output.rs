//! The door to the terminal.

use super::CliError;
use super::args::{ColorChoice, FailOn, LookArgs, Target};
use crate::exit::Exit;
use crate::finding::Severity;
use crate::report::{Format, Look, Report, clean, render, summary, wrapped};
use std::ffi::OsStr;
use std::io::{self, BufWriter, IsTerminal as _, Write as _};

/// How standard output and standard error are to be used.
#[derive(Debug)]
pub struct Terminal {
    /// The look of text on standard output.
    pub look: Look,
    /// Whether progress may be shown.
    pub progress: bool,
    color_on_stderr: bool,
}

impl Terminal {
    pub fn new(args: &LookArgs) -> Self {
        let tty = io::stdout().is_terminal();
        let width = tty
            .then(terminal_size::terminal_size)
            .flatten()
            .map(|(width, _)| usize::from(width.0).max(40));
        Self {
            look: Look {
                color: color(args.color, tty, |name| std::env::var_os(name)),
                width,
                verbose: args.verbose,
                quiet: args.quiet,
            },
            progress: !args.quiet && !args.no_progress,
            color_on_stderr: color(args.color, io::stderr().is_terminal(), |name| {
                std::env::var_os(name)
            }),
        }
    }

    /// Writes the report to every target.
    pub fn show(&self, report: &Report, targets: &[Target]) -> Result<(), CliError> {
        if targets.iter().filter(|t| t.file.is_none()).count() > 1 {
            return Err(CliError::Usage {
                message: "more than one format would go to standard output".to_owned(),
                help: "give all but one a file, for example `-o text -o sarif=mesh.sarif`".to_owned(),
            });
        }
        // Files first: whether they are written must not depend on who reads standard output.
        for target in targets {
            let Some(path) = &target.file else { continue };
            let mut bytes = Vec::new();
            // A `Vec` takes everything.
            let _ = render(report, target.format, Look::default(), &mut bytes);
            super::write::whole_file(path, &bytes)?;
        }
        for target in targets.iter().filter(|target| target.file.is_none()) {
            self.print(|out| render(report, target.format, self.look_of(target.format), out))?;
        }
        if targets.iter().all(|target| target.file.is_some()) {
            self.remark(&summary(report));
        }
        Ok(())
    }

    /// Says something beside the answer, on standard error.
    pub fn remark(&self, text: &str) {
        if !self.look.quiet {
            // Nobody is left to tell if standard error is gone.
            let _ = writeln!(io::stderr().lock(), "{}", clean(text));
        }
    }

    /// Writes to standard output. A reader who has left, as `head` does, changes nothing: what is to be written
    /// elsewhere still is, and the exit code is that of the answer.
    pub fn print(&self, write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> Result<(), CliError> {
        let mut out = BufWriter::new(io::stdout().lock());
        match write(&mut out).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                // What is left in the buffer would be tried again when it is dropped.
                drop(out.into_parts());
                Ok(())
            }
            result => result.map_err(|source| CliError::Output {
                target: "standard output".to_owned(),
                source,
            }),
        }
    }

    /// Writes an error with its advice to standard error.
    pub fn complain(&self, error: &CliError) {
        use miette::Diagnostic as _;
        let look = Look {
            color: self.color_on_stderr,
            ..Look::default()
        };
        let label = look.severity(Severity::Blocker, "error:");
        let width =
            terminal_size::terminal_size_of(io::stderr()).map(|(width, _)| usize::from(width.0).max(40));
        let message = error.to_string();
        let mut text = format!("{label} {}\n", wrapped(&clean(&message), width, 7));
        if let Some(help) = error.help() {
            for line in help.to_string().lines() {
                text.push_str(&format!("\n{} {}", look.good("help:"), clean(line)));
            }
            text.push('\n');
        }
        // Nobody is left to tell if standard error is gone.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    fn look_of(&self, format: Format) -> Look {
        match format {
            Format::Text => self.look,
            _ => Look::default(),
        }
    }
}

/// `--color`, then `NO_COLOR`, then what forces colours, then whether it is a terminal.
fn color<V: AsRef<OsStr>>(choice: ColorChoice, tty: bool, variable: impl Fn(&str) -> Option<V>) -> bool {
    let set = |name| variable(name).is_some_and(|v| !v.as_ref().is_empty() && v.as_ref() != "0");
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto if variable("NO_COLOR").is_some_and(|v| !v.as_ref().is_empty()) => false,
        ColorChoice::Auto if set("CLICOLOR_FORCE") || set("FORCE_COLOR") => true,
        ColorChoice::Auto => tty && variable("TERM").is_none_or(|v| v.as_ref() != "dumb"),
    }
}

/// The exit code of an answer. What a cluster refused to show cannot pass a gate.
pub fn exit(report: &Report, fail_on: FailOn, refused: bool) -> Exit {
    let limit = match fail_on {
        FailOn::Blocker => Some(Severity::Blocker),
        FailOn::Warning => Some(Severity::Warning),
        FailOn::Info => Some(Severity::Info),
        FailOn::Never => None,
    };
    let fails = limit.is_some_and(|limit| report.findings.iter().any(|f| f.severity >= limit));
    match (report.errors.is_empty(), fails) {
        (false, _) => Exit::BadInput,
        (true, true) => Exit::Findings,
        (true, false) if refused && limit.is_some() => Exit::Cluster,
        (true, false) => Exit::Good,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_follows_flag_then_environment_then_terminal() {
        use ColorChoice::{Always, Auto, Never};
        for (choice, tty, environment, expected) in [
            (Always, false, &[("NO_COLOR", "1")][..], true),
            (Never, true, &[("CLICOLOR_FORCE", "1")], false),
            (Auto, true, &[], true),
            (Auto, false, &[], false),
            (Auto, true, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], false),
            (Auto, true, &[("NO_COLOR", "")], true),
            (Auto, false, &[("CLICOLOR_FORCE", "1")], true),
            (Auto, false, &[("FORCE_COLOR", "0")], false),
            (Auto, true, &[("TERM", "dumb")], false),
        ] {
            let variable = |name: &str| environment.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
            assert_eq!(
                color(choice, tty, variable),
                expected,
                "{choice:?} {tty} {environment:?}"
            );
        }
    }
}
