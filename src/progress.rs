//! What is going on, on standard error, for a person who waits: nothing in the first half second, and
//! nothing where nobody looks.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

/// Before this, a message would only flicker.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often the sign turns.
const TICK: Duration = Duration::from_millis(100);

/// A line that says what is being done; it is erased when this is dropped.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    begun: Instant,
    ticking: bool,
}

impl Progress {
    /// Begins; `wanted` is false for `-q` and `--no-progress`.
    #[must_use]
    pub fn start(message: &str, wanted: bool) -> Self {
        let visible = wanted && std::io::stderr().is_terminal() && std::env::var_os("CI").is_none();
        let bar = if visible {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
            bar.set_style(style);
        }
        let mut progress = Self {
            bar,
            begun: Instant::now(),
            ticking: false,
        };
        progress.say(message);
        progress
    }

    /// Says what is being done now.
    pub fn say(&mut self, message: &str) {
        if self.begun.elapsed() >= PATIENCE {
            self.bar.set_message(message.to_owned());
            if !self.ticking {
                self.bar.enable_steady_tick(TICK);
                self.ticking = true;
            }
        }
    }

    /// Ends and erases the line.
    pub fn done(self) {}
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
