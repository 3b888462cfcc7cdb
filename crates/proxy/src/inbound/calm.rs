//! How often a client may take back what it has asked for.

use std::cell::Cell;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Requests that a client may take back at once before they are answered.
const AT_ONCE: u32 = 500;
/// One more for each of these.
const EVERY: Duration = Duration::from_millis(20);

/// Counts the requests of one connection that were reset before their answer. Each has cost a task and a connection to
/// the application, and none counts against the limit of streams: h2 itself only sees those that it has not yet handed
/// out.
#[derive(Debug)]
pub struct Calm {
    left: Cell<u32>,
    counted: Cell<Instant>,
    lost: Notify,
}

impl Default for Calm {
    fn default() -> Self {
        Self {
            left: Cell::new(AT_ONCE),
            counted: Cell::new(Instant::now()),
            lost: Notify::new(),
        }
    }
}

impl Calm {
    /// A request was taken back.
    pub fn taken_back(&self) {
        let passed = self.counted.get().elapsed().as_millis() / EVERY.as_millis();
        let earned = u32::try_from(passed).unwrap_or(AT_ONCE);
        if earned > 0 {
            self.counted.set(Instant::now());
        }
        let left = self.left.get().saturating_add(earned).min(AT_ONCE);
        match left.checked_sub(1) {
            Some(left) => self.left.set(left),
            None => self.lost.notify_one(),
        }
    }

    /// Completes when it has become too much.
    pub async fn lost(&self) {
        self.lost.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn is_pending(future: impl Future) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(future).poll(&mut context).is_pending()
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_borne_and_a_flood_is_not() {
        let calm = Calm::default();
        (0..AT_ONCE).for_each(|_| calm.taken_back());
        assert!(is_pending(calm.lost()));
        tokio::time::advance(EVERY * 10).await;
        (0..10).for_each(|_| calm.taken_back());
        assert!(is_pending(calm.lost()));
        calm.taken_back();
        calm.lost().await;
    }
}
