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
    pub fn show(&self, report: &Report, targets: &[Target<Format>]) -> Result<(), CliError> {
        let example = "-o text -o sarif=mesh.sarif";
        self.put(targets, Format::Text, example, |format, look, out| {
            render(report, format, look, out)
        })?;
        if targets.iter().all(|target| target.file.is_some()) {
            self.remark(&summary(report));
        }
        Ok(())
    }

    /// Writes an answer to every target: files first, for whether they are written must not depend on who reads
    /// standard output. `for_people` is the format that has a look; `example` shows how two formats are asked for.
    pub fn put<F: Copy + PartialEq>(
        &self,
        targets: &[Target<F>],
        for_people: F,
        example: &str,
        render: impl Fn(F, Look, &mut dyn io::Write) -> io::Result<()>,
    ) -> Result<(), CliError> {
        self.one_to_standard_output(targets, example)?;
        for target in targets {
            let Some(path) = &target.file else { continue };
            let mut bytes = Vec::new();
            // A `Vec` takes everything.
            let _ = render(target.format, Look::default(), &mut bytes);
            super::write::whole_file(path, &bytes)?;
        }
        for target in targets.iter().filter(|target| target.file.is_none()) {
            let look = if target.format == for_people {
                self.look
            } else {
                Look::default()
            };
            self.print(|out| render(target.format, look, out))?;
        }
        Ok(())
    }

    /// Refuses two formats for one stream; also before an answer is worked out that could not be shown.
    pub fn one_to_standard_output<F>(&self, targets: &[Target<F>], example: &str) -> Result<(), CliError> {
        if targets.iter().filter(|target| target.file.is_none()).count() > 1 {
            return Err(CliError::Usage {
                message: "more than one format would go to standard output".to_owned(),
                help: format!("give all but one a file, for example `{example}`"),
            });
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
        // Only lists of our own have lines; anywhere else a line break is of the input.
        let lines: Vec<&str> = match error {
            CliError::Rollout(_) => message.lines().collect(),
            _ => vec![&*message],
        };
        let lines: Vec<String> = lines
            .into_iter()
            .map(|line| wrapped(&clean(line), width, 7))
            .collect();
        let mut text = format!("{label} {}\n", lines.join("\n       "));
        if let Some(help) = error.help() {
            for line in help.to_string().lines() {
                text.push_str(&format!("\n{} {}", look.good("help:"), clean(line)));
            }
            text.push('\n');
        }
        // Nobody is left to tell if standard error is gone.
        let _ = io::stderr().lock().write_all(text.as_bytes());
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
