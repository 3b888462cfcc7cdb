//! What became of each request, in numbers.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What became of a request, seen from what was expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As expected: by this version, if one said so.
    Expected(Option<String>),
    /// No answer, or one of a server or proxy that could not serve.
    Failed(String),
    /// A refusal was expected, and the request was served.
    WronglyAdmitted,
    /// Service was expected, and the request was refused.
    WronglyRefused,
}

/// The counts of all streams.
pub struct Counts {
    streams: Mutex<BTreeMap<String, Count>>,
}

#[derive(Default)]
struct Count {
    sent: u64,
    expected: u64,
    wrongly_admitted: u64,
    wrongly_refused: u64,
    failed: BTreeMap<String, u64>,
    versions: BTreeMap<String, u64>,
    latencies: Vec<u32>,
}

impl Counts {
    /// All zero, one for each stream.
    pub fn new(names: impl Iterator<Item = String>) -> Self {
        Self {
            streams: Mutex::new(names.map(|name| (name, Count::default())).collect()),
        }
    }

    /// Counts one request; its latency is kept in microseconds.
    pub fn add(&self, stream: &str, outcome: &Outcome, latency: Duration) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let count = streams.entry(stream.to_owned()).or_default();
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
            Outcome::Failed(kind) => *count.failed.entry(kind.clone()).or_default() += 1,
            Outcome::WronglyAdmitted => count.wrongly_admitted += 1,
            Outcome::WronglyRefused => count.wrongly_refused += 1,
        }
    }

    /// Sets everything back to zero.
    pub fn reset(&self) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        for count in streams.values_mut() {
            *count = Count::default();
        }
    }

    /// Everything by stream, in JSON; latencies in milliseconds.
    pub fn report(&self) -> Value {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let reports: serde_json::Map<_, _> = streams
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
            "latency_ms": {"p50": at(50), "p99": at(99), "max": at(100)},
        })
    }
}
