//! How a run is told: a line that moves on a terminal, plain lines elsewhere, or JSON. And how a person is asked.

use super::CliError;
use super::args::Telling;
use super::output::Terminal;
use crate::input::cluster::ClusterError;
use crate::report::clean;
use crate::rollout::event::Always;
use crate::rollout::{Consent, Event, Listener, Question, now};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A runtime for the length of a run. Timers and signals need no second thread.
pub fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| ClusterError::Runtime(error).into())
}

/// A time with its unit, such as `90s`, `15m` or `1h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("write a number and its unit: 90s, 15m or 1h".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "write a number and its unit: 90s, 15m or 1h".to_owned())?;
    number
        .checked_mul(seconds)
        .filter(|seconds| (1..=7 * 24 * 3600).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| "a gate may take from one second to seven days".to_owned())
}

/// Who hears what happens.
pub fn listener(telling: Telling, terminal: &Terminal) -> Box<dyn Listener> {
    let moving = io::stderr().is_terminal() && std::env::var_os("CI").is_none();
    match telling {
        Telling::Jsonl => Box::new(Jsonl),
        Telling::Text if terminal.look.quiet => Box::new(|_: &Event| ()),
        Telling::Text if moving && terminal.progress => Box::new(Bar::new()),
        Telling::Text => Box::new(Lines),
    }
}

/// Who is asked: nobody with `--yes`.
pub fn consent(yes: bool, plan: &Path) -> Arc<dyn Consent> {
    if yes {
        return Arc::new(Always);
    }
    Arc::new(Person {
        // The plan is read from where the answer would come from.
        reachable: plan != Path::new("-") && io::stdin().is_terminal() && io::stderr().is_terminal(),
    })
}

struct Person {
    reachable: bool,
}

impl Consent for Person {
    fn ask(&self, question: &Question) -> Result<bool, String> {
        let (text, wanted) = match question {
            Question::Begin { context, what } => (
                format!("{what} in the context `{context}`. Answer `yes` to go on: "),
                "yes",
            ),
            Question::Step { step, title } => (
                format!("{step} asks first: {title}. Answer `{step}` to go on: "),
                &**step,
            ),
        };
        if !self.reachable {
            return Err(format!(
                "{} (there is no terminal)",
                text.trim_end_matches([':', ' '])
            ));
        }
        let mut error = io::stderr().lock();
        // Without a question there is no answer, and that is a no.
        let _ = write!(error, "{}", clean(&text)).and_then(|()| error.flush());
        drop(error);
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(|error| error.to_string())?;
        Ok(answer.trim() == wanted)
    }
}

/// One JSON object for each event, on standard output.
struct Jsonl;

#[derive(Serialize)]
struct Told<'a> {
    time: String,
    #[serde(flatten)]
    event: &'a Event,
}

impl Listener for Jsonl {
    fn hear(&mut self, event: &Event) {
        let told = Told { time: now(), event };
        if let Ok(line) = serde_json::to_string(&told) {
            let mut out = io::stdout().lock();
            // A reader who has left must not stop a migration.
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        }
    }
}

/// A line for each event, on standard output.
struct Lines;

impl Listener for Lines {
    fn hear(&mut self, event: &Event) {
        let mut out = io::stdout().lock();
        // As above.
        let _ = writeln!(out, "{}", clean(&words(event))).and_then(|()| out.flush());
    }
}

/// Lines that stay for what is done, and one that moves for what is being done.
struct Bar {
    bar: ProgressBar,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
            bar.set_style(style);
        }
        Self { bar }
    }
}

impl Listener for Bar {
    fn hear(&mut self, event: &Event) {
        let text = clean(&words(event)).into_owned();
        match event {
            Event::Comparing | Event::Write { .. } | Event::Waiting { .. } | Event::Undo { .. } => {
                self.bar.reset_elapsed();
                self.bar.set_message(text);
                self.bar.enable_steady_tick(Duration::from_millis(100));
            }
            _ => {
                // Before a question the line must be gone.
                self.bar.disable_steady_tick();
                self.bar.set_message(String::new());
                self.bar.suspend(|| Lines.hear(event));
            }
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn words(event: &Event) -> String {
    match event {
        Event::Begin {
            backward,
            resumed,
            done,
            steps,
        } => {
            let what = match (backward, resumed) {
                (false, false) => "begins",
                (false, true) => "goes on",
                (true, false) => "is rolled back",
                (true, true) => "goes on being rolled back",
            };
            format!("the plan {what}: {done} of {steps} steps are in effect")
        }
        Event::Comparing => "comparing the cluster with the plan".to_owned(),
        Event::Step {
            number,
            steps,
            step,
            title,
            ..
        } => format!("[{number}/{steps}] {step}: {title}"),
        Event::Write {
            number,
            writes,
            op,
            object,
            ..
        } => format!("    {op} {object} ({number} of {writes})"),
        Event::Written { object, .. } => format!("    written {object}"),
        Event::Waiting { check, why, left, .. } => {
            format!("    waiting until {check} (at most {left} s): {why}")
        }
        Event::Passed { check, .. } => format!("    passed: {check}"),
        Event::StepDone { step } => format!("    done: {step}"),
        Event::Failed { step, why } => format!("    failed: {step}: {why}"),
        Event::Undo { op, object, .. } => format!("    undoing {op} of {object}"),
        Event::Undone { object, .. } => format!("    undone {object}"),
        Event::StepUndone { step } => format!("    undone: {step}"),
        Event::Note { text } => format!("    note: {text}"),
        Event::Done {
            backward: false,
            done,
            steps,
        } => format!("done: {done} of {steps} steps are in effect"),
        Event::Done { done, steps, .. } => format!("rolled back: {done} of {steps} steps are in effect"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, seconds) in [("90s", Some(90)), ("15m", Some(900)), ("1h", Some(3600))] {
            assert_eq!(duration(text).ok().map(|time| time.as_secs()), seconds);
        }
        for text in [
            "",
            "5",
            "m",
            "0s",
            "1d",
            "-1s",
            "1.5m",
            "99999999999999999999s",
            "9999h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
