//! Waiting for what a control plane does in its own time.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How often is looked.
const PAUSE: Duration = Duration::from_millis(250);

/// Looks again and again until the look succeeds; its value.
///
/// # Panics
/// With the last error, if it does not within this time.
pub fn eventually<T, E: Display>(within: Duration, mut look: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + within;
    loop {
        match look() {
            Ok(value) => return value,
            Err(error) if Instant::now() > deadline => panic!("not within {} s: {error}", within.as_secs()),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// Looks again and again during all of this time, and each look must succeed.
///
/// # Panics
/// With the error of the first look that fails.
pub fn steadily<E: Display>(during: Duration, mut look: impl FnMut() -> Result<(), E>) {
    let deadline = Instant::now() + during;
    while Instant::now() < deadline {
        if let Err(error) = look() {
            panic!("{error}");
        }
        std::thread::sleep(PAUSE);
    }
}

/// Looks until the look has succeeded all of the time for a while: proxies take up a new configuration worker by
/// worker and connection by connection, and an old one may answer once more after a new one did.
///
/// # Panics
/// With the last error, if it does not settle within this time.
pub fn settled<E: Display>(within: Duration, calm: Duration, mut look: impl FnMut() -> Result<(), E>) {
    let deadline = Instant::now() + within;
    let mut calm_since = Instant::now();
    while calm_since.elapsed() < calm {
        if let Err(error) = look() {
            assert!(
                Instant::now() < deadline,
                "not settled within {} s: {error}",
                within.as_secs()
            );
            calm_since = Instant::now();
        }
        std::thread::sleep(PAUSE);
    }
}
