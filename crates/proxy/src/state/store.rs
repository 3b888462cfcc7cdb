//! The current state, for readers that take no lock and for those that wait for a change.

use super::State;
use arc_swap::{ArcSwap, Guard};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Which types istiod has sent in full at least once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Received {
    /// Workloads and services.
    pub addresses: bool,
    /// Policies.
    pub policies: bool,
}

impl Received {
    /// Whether nothing is missing.
    #[must_use]
    pub fn all(self) -> bool {
        self.addresses && self.policies
    }
}

/// How well we hear istiod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hearing {
    /// When the stream was closed; `None` while it is open, and before the first.
    pub lost: Option<SystemTime>,
    /// Resources whose last version could not be taken, and why.
    pub rejected: BTreeMap<String, String>,
}

/// The current state. One writer, any number of readers.
#[derive(Debug)]
pub struct Store {
    current: ArcSwap<State>,
    received: watch::Sender<Received>,
    changes: watch::Sender<u64>,
    hearing: watch::Sender<Hearing>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            current: ArcSwap::default(),
            received: watch::Sender::new(Received::default()),
            changes: watch::Sender::new(0),
            hearing: watch::Sender::default(),
        }
    }
}

impl Store {
    /// The current state.
    pub fn load(&self) -> Guard<Arc<State>> {
        self.current.load()
    }

    /// The current state, to keep for longer.
    #[must_use]
    pub fn load_full(&self) -> Arc<State> {
        self.current.load_full()
    }

    /// Puts another state in its place and wakes who waits.
    pub fn replace(&self, state: State) {
        self.current.store(Arc::new(state));
        self.changes.send_modify(|number| *number += 1);
    }

    /// Notes what has been received.
    pub fn note(&self, change: impl FnOnce(&mut Received)) {
        self.received.send_modify(change);
        self.changes.send_modify(|number| *number += 1);
    }

    /// What has been received.
    #[must_use]
    pub fn received(&self) -> Received {
        *self.received.borrow()
    }

    /// Notes how well we hear istiod.
    pub fn hear(&self, change: impl FnOnce(&mut Hearing)) {
        self.hearing.send_modify(change);
    }

    /// How well we hear istiod.
    #[must_use]
    pub fn hearing(&self) -> Hearing {
        self.hearing.borrow().clone()
    }

    /// A number that grows with each change.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Waits until `find` finds something, for at most `limit`.
    pub async fn wait_for<T>(
        &self,
        limit: Duration,
        find: impl Fn(&State, Received) -> Option<T>,
    ) -> Option<T> {
        if let Some(found) = find(&self.load(), self.received()) {
            return Some(found);
        }
        let deadline = Instant::now() + limit;
        let mut changes = self.changes();
        loop {
            // Subscribed before this look, so that no change is missed.
            if let Some(found) = find(&self.load(), self.received()) {
                return Some(found);
            }
            if !matches!(timeout_at(deadline, changes.changed()).await, Ok(Ok(()))) {
                return None;
            }
        }
    }
}
