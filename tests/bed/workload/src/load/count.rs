//! What became of each request, in numbers.

use super::journal::Journal;
use super::stream::unix_millis;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// What became of a request, seen from what was expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As expected: by this version, if one said so.
    Expected(Option<String>),
    /// As expected, a refusal; and in which way.
    Refused(String),
    /// No answer, or one of a server or proxy that could not serve.
    Failed(String),
    /// A refusal was expected, and the request was served.
    WronglyAdmitted,
    /// Service was expected, and the request was refused.
    WronglyRefused,
}

/// The counts of all streams.
pub struct Counts {
    tally: Mutex<Tally>,
    journal: Option<Journal>,
}

struct Tally {
    streams: BTreeMap<String, Count>,
    /// Requests without an outcome yet.
    open: u64,
    /// After the last report nothing is counted, so that what was told and what was counted are the same.
    closed: bool,
}

#[derive(Default)]
struct Count {
    sent: u64,
    expected: u64,
    wrongly_admitted: u64,
    wrongly_refused: u64,
    failed: BTreeMap<String, u64>,
    versions: BTreeMap<String, u64>,
    refusals: BTreeMap<String, u64>,
    latencies: Vec<u32>,
}

impl Counts {
    /// All zero, one for each stream.
    pub fn new(names: impl Iterator<Item = String>, journal: Option<Journal>) -> Self {
        Self {
            tally: Mutex::new(Tally {
                streams: names.map(|name| (name, Count::default())).collect(),
                open: 0,
                closed: false,
            }),
            journal,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request is on its way.
    pub fn begin(&self) {
        self.lock().open += 1;
    }

    /// How many requests have no outcome yet.
    pub fn open(&self) -> u64 {
        self.lock().open
    }

    /// Counts one request and, where it did not go as expected, tells what came of it; its latency is kept in
    /// microseconds.
    pub fn add(&self, stream: &str, outcome: &Outcome, latency: Duration, line: impl FnOnce() -> Value) {
        let mut tally = self.lock();
        tally.open = tally.open.saturating_sub(1);
        if tally.closed {
            return;
        }
        if !matches!(outcome, Outcome::Expected(_) | Outcome::Refused(_)) {
            let line = line();
            crate::print(&line);
            self.note(&line);
        }
        let count = tally.streams.entry(stream.to_owned()).or_default();
        count.sent += 1;
        count
            .latencies
            .push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
        match outcome {
            Outcome::Expected(version) => {
                count.expected += 1;
                if let Some(version) = version {
                    *count.versions.entry(version.clone()).or_default() += 1;
                }
            }
            Outcome::Refused(how) => {
                count.expected += 1;
                *count.refusals.entry(how.clone()).or_default() += 1;
            }
            Outcome::Failed(kind) => *count.failed.entry(kind.clone()).or_default() += 1,
            Outcome::WronglyAdmitted => count.wrongly_admitted += 1,
            Outcome::WronglyRefused => count.wrongly_refused += 1,
        }
    }

    /// Sets everything back to zero.
    pub fn reset(&self) {
        for count in self.lock().streams.values_mut() {
            *count = Count::default();
        }
    }

    /// Everything by stream, in JSON; latencies in milliseconds.
    pub fn report(&self) -> Value {
        self.lock().report()
    }

    /// [`Counts::report`], and the end of counting.
    pub fn close(&self) -> Value {
        let mut tally = self.lock();
        tally.closed = true;
        self.note(&tally.so_far());
        tally.report()
    }

    /// Writes what was counted until now into the journal, if there is one.
    pub fn note_so_far(&self) {
        let tally = self.lock();
        if !tally.closed {
            self.note(&tally.so_far());
        }
    }

    fn note(&self, line: &Value) {
        if let Some(journal) = &self.journal {
            journal.write(line);
        }
    }
}

impl Tally {
    /// Requests with an outcome by stream, the ways in which they were refused, and how many have none yet.
    fn so_far(&self) -> Value {
        let mut refusals = BTreeMap::<_, u64>::new();
        for (how, number) in self.streams.values().flat_map(|count| &count.refusals) {
            *refusals.entry(how).or_default() += number;
        }
        let sent: BTreeMap<_, _> = self
            .streams
            .iter()
            .map(|(name, count)| (name, count.sent))
            .collect();
        json!({
            "at": unix_millis(SystemTime::now()),
            "sent": sent,
            "refusals": refusals,
            "open": self.open,
            "ended": self.closed,
        })
    }

    fn report(&mut self) -> Value {
        let reports: serde_json::Map<_, _> = self
            .streams
            .iter_mut()
            .map(|(name, count)| (name.clone(), count.report()))
            .collect();
        json!({ "streams": reports })
    }
}

impl Count {
    fn report(&mut self) -> Value {
        self.latencies.sort_unstable();
        let at = |share: usize| {
            let index = (self.latencies.len() * share / 100).min(self.latencies.len().saturating_sub(1));
            self.latencies
                .get(index)
                .map(|micros| f64::from(*micros) / 1000.0)
        };
        json!({
            "sent": self.sent,
            "expected": self.expected,
            "failed": self.failed,
            "wrongly_admitted": self.wrongly_admitted,
            "wrongly_refused": self.wrongly_refused,
            "versions": self.versions,
            "refusals": self.refusals,
            "latency_ms": {"p50": at(50), "p99": at(99), "max": at(100)},
        })
    }
}
