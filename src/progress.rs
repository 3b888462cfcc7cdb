//! What is going on, on standard error, for a person who waits: nothing in the first half second, and
//! nothing where nobody looks.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

/// Before this, a message would only flicker.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often the sign turns.
const TICK: Duration = Duration::from_millis(100);

/// A line that says what is being done; it is erased when this is dropped.
#[derive(Debug, Default)]
pub struct Progress {
    teller: Option<(Sender<String>, JoinHandle<()>)>,
}

impl Progress {
    /// Begins; `wanted` is false for `-q` and `--no-progress`.
    #[must_use]
    pub fn start(message: &str, wanted: bool) -> Self {
        if !wanted || !std::io::stderr().is_terminal() || std::env::var_os("CI").is_some() {
            return Self::default();
        }
        let (message_tx, message_rx) = mpsc::channel();
        let first = message.to_owned();
        let teller = std::thread::spawn(move || tell(first, &message_rx));
        Self {
            teller: Some((message_tx, teller)),
        }
    }

    /// Says what is being done now.
    pub fn say(&mut self, message: &str) {
        if let Some((messages, _)) = &self.teller {
            // The teller only goes away when this does.
            let _ = messages.send(message.to_owned());
        }
    }

    /// Ends and erases the line.
    pub fn done(self) {}
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((messages, teller)) = self.teller.take() {
            drop(messages);
            // A line that could not be erased is no reason to fail.
            let _ = teller.join();
        }
    }
}

/// Waits, then shows the newest message until the other side is gone.
fn tell(mut message: String, messages: &mpsc::Receiver<String>) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        match messages.recv_timeout(deadline.saturating_duration_since(std::time::Instant::now())) {
            Ok(newer) => message = newer,
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(message);
    bar.enable_steady_tick(TICK);
    for newer in messages {
        bar.set_message(newer);
    }
    bar.finish_and_clear();
}
