//! One stream: the same request again and again, at a rate.

use super::count::{Counts, Outcome};
use crate::client::{Connection, Request, send, websocket};
use crate::connect::Failure;
use crate::{grpc, tcp};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// A stream, as its file says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Unique among the streams of a client.
    pub name: String,
    protocol: Protocol,
    /// A URL for HTTP and websockets, `host:port` for gRPC and TCP.
    target: String,
    #[serde(default = "get")]
    method: String,
    /// Each `name: value`.
    #[serde(default)]
    headers: Vec<String>,
    /// Requests in a second.
    #[serde(default = "once")]
    rate: f64,
    /// A connection for each request, instead of one for all.
    #[serde(default)]
    new_connection: bool,
    #[serde(default)]
    expect: Expected,
    /// The version that must answer; any, if there is none.
    #[serde(default)]
    version: Option<String>,
}

fn get() -> String {
    "GET".to_owned()
}

fn once() -> f64 {
    1.0
}

#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    Http1,
    Http2,
    Grpc,
    Tcp,
    Websocket,
}

/// What an answer should be.
#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Expected {
    /// Served.
    #[default]
    Served,
    /// Refused by a policy, in whichever way a client gets to know: 403, a connection that is closed or not made, or
    /// the 503 that its own proxy makes of it. What counts is that it was not served.
    Refused,
    /// This status of HTTP.
    Status(u16),
}

/// What an answer was.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Served(Option<String>),
    /// 401, 403, or what gRPC has for them.
    Refused(String),
    Status(u16),
    Nothing(String),
}

/// A stream whose requests can be made.
pub struct Sender {
    stream: Stream,
    request: Option<Request>,
    headers: Vec<(String, String)>,
    /// Connections that no request is using.
    idle: Mutex<Vec<Connection>>,
}

impl Stream {
    /// Checks what can be checked before the first request.
    pub fn prepare(self) -> Result<Sender, Failure> {
        let request = match self.protocol {
            Protocol::Http1 | Protocol::Http2 => Some(Request::parse(
                &self.target,
                &self.headers,
                &self.method,
                self.protocol == Protocol::Http2,
            )?),
            Protocol::Grpc | Protocol::Tcp | Protocol::Websocket => None,
        };
        let headers = self
            .headers
            .iter()
            .filter_map(|header| header.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        if !(self.rate > 0.0 && self.rate <= 10_000.0) {
            return Err(Failure::Unusable(format!(
                "{}: a rate of {}",
                self.name, self.rate
            )));
        }
        Ok(Sender {
            stream: self,
            request,
            headers,
            idle: Mutex::default(),
        })
    }
}

impl Sender {
    /// Sends at the stream's rate until told to end, however long answers take: a request that hangs holds up no
    /// other.
    pub async fn send(self, counts: Arc<Counts>, mut ending: watch::Receiver<bool>) {
        let mut clock = tokio::time::interval(Duration::from_secs_f64(1.0 / self.stream.rate));
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let pod = std::env::var("POD_NAME").unwrap_or_default();
        let sender = Arc::new(self);
        for number in 0_u64.. {
            tokio::select! {
                _ = clock.tick() => {}
                _ = ending.wait_for(|ending| *ending) => return,
            }
            let id = format!("{pod}/{}/{number}", sender.stream.name);
            let (sender, counts) = (Arc::clone(&sender), Arc::clone(&counts));
            counts.begin();
            tokio::spawn(async move { sender.send_and_count(&id, &counts).await });
        }
    }

    async fn send_and_count(&self, id: &str, counts: &Counts) {
        let begun = Instant::now();
        let seen = self.send_one(id).await;
        let latency = begun.elapsed();
        let outcome = judge(self.stream.expect, self.stream.version.as_deref(), &seen);
        counts.add(&self.stream.name, &outcome, latency, || {
            let now = SystemTime::now();
            json!({
                "time": rfc3339(now),
                "at": unix_millis(now),
                "stream": self.stream.name,
                "id": id,
                "expected": format!("{:?}", self.stream.expect),
                "seen": format!("{seen:?}"),
                "outcome": format!("{outcome:?}"),
                "latency_ms": latency.as_secs_f64() * 1000.0,
            })
        });
    }

    async fn send_one(&self, id: &str) -> Seen {
        let answer = match self.stream.protocol {
            Protocol::Http1 | Protocol::Http2 => self.http(id).await,
            Protocol::Grpc => grpc::call(&self.stream.target, &self.headers_with(id)).await,
            Protocol::Tcp => tcp::ask(&self.stream.target, id).await,
            Protocol::Websocket => websocket(&self.stream.target, &self.headers_with(id), id).await,
        };
        match (answer, self.stream.protocol) {
            (Ok(answer), protocol) => read(&answer, protocol),
            (Err(error), _) => Seen::Nothing(error.kind().to_owned()),
        }
    }

    async fn http(&self, id: &str) -> Result<Value, Failure> {
        let Some(mut request) = self.request.clone() else {
            return Err(Failure::Unusable("not a stream of HTTP".to_owned()));
        };
        request.set_header("x-load-id", id)?;
        if self.stream.new_connection {
            return send(&request).await;
        }
        let mut kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(open) = &mut kept
            && open.is_over().await
        {
            // A server may end a connection between two requests; no caller would notice.
            kept = None;
        }
        let mut connection = match kept {
            Some(open) => open,
            None => Connection::open(&request).await?,
        };
        let answer = connection.send(&request).await?;
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection);
        Ok(answer)
    }

    fn headers_with(&self, id: &str) -> Vec<(String, String)> {
        let mut headers = self.headers.clone();
        headers.push(("x-load-id".to_owned(), id.to_owned()));
        headers
    }
}

fn read(answer: &Value, protocol: Protocol) -> Seen {
    let number = |key: &str| answer[key].as_u64().and_then(|number| u16::try_from(number).ok());
    let served = || Seen::Served(answer["body"]["version"].as_str().map(str::to_owned));
    match (number("status"), number("grpc_status"), protocol) {
        (_, _, Protocol::Tcp) | (Some(101), ..) | (Some(200), Some(0), _) => served(),
        // PERMISSION_DENIED and UNAUTHENTICATED.
        (Some(200), Some(code @ (7 | 16)), _) => Seen::Refused(format!("grpc {code}")),
        (Some(status @ (401 | 403)), ..) => Seen::Refused(status.to_string()),
        (Some(200), Some(code), _) => Seen::Nothing(format!("grpc {code}")),
        (Some(200..=299), ..) => served(),
        (Some(status), ..) => Seen::Status(status),
        (None, ..) => Seen::Nothing("no status".to_owned()),
    }
}

fn judge(expected: Expected, version: Option<&str>, seen: &Seen) -> Outcome {
    match (expected, seen) {
        (Expected::Served, Seen::Served(by)) if version.is_none() || version == by.as_deref() => {
            Outcome::Expected(by.clone())
        }
        (Expected::Served, Seen::Served(by)) => {
            Outcome::Failed(format!("version {}", by.as_deref().unwrap_or_default()))
        }
        (Expected::Refused, Seen::Refused(how)) => Outcome::Refused(how.clone()),
        (Expected::Refused, Seen::Status(status @ 502..=504)) => Outcome::Refused(status.to_string()),
        // The last one is UNAVAILABLE: what a 503 is in gRPC.
        (Expected::Refused, Seen::Nothing(how)) if matches!(&**how, "closed" | "connect" | "grpc 14") => {
            Outcome::Refused(how.clone())
        }
        (Expected::Status(wanted), Seen::Status(status)) if wanted == *status => Outcome::Expected(None),
        (Expected::Refused, Seen::Served(_)) => Outcome::WronglyAdmitted,
        (_, Seen::Refused(_)) => Outcome::WronglyRefused,
        (_, Seen::Served(_)) => Outcome::Failed("served".to_owned()),
        (_, Seen::Status(status)) => Outcome::Failed(status.to_string()),
        (_, Seen::Nothing(kind)) => Outcome::Failed(kind.clone()),
    }
}

/// Milliseconds since 1970.
pub fn unix_millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The time in RFC 3339, UTC, with milliseconds.
pub fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(i64::try_from(days).unwrap_or_default());
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let millis = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Counted from 1 March of the year 0, so that a leap day is the last of its year.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (year_of_era + era * 400 + carry, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_told_apart() {
        let served = Seen::Served(Some("v1".to_owned()));
        let nothing = |kind: &str| Seen::Nothing(kind.to_owned());
        let failed = |kind: &str| Outcome::Failed(kind.to_owned());
        let refusal = |how: &str| Outcome::Refused(how.to_owned());
        let forbidden = Seen::Refused("403".to_owned());
        let expected = Outcome::Expected(Some("v1".to_owned()));
        for (wanted, seen, outcome) in [
            (Expected::Served, served.clone(), expected.clone()),
            (Expected::Served, forbidden.clone(), Outcome::WronglyRefused),
            (Expected::Served, Seen::Status(503), failed("503")),
            (Expected::Served, nothing("connect"), failed("connect")),
            (Expected::Served, nothing("closed"), failed("closed")),
            (Expected::Refused, forbidden, refusal("403")),
            (Expected::Refused, nothing("closed"), refusal("closed")),
            (Expected::Refused, Seen::Status(503), refusal("503")),
            (Expected::Refused, Seen::Status(404), failed("404")),
            (Expected::Refused, served.clone(), Outcome::WronglyAdmitted),
            (Expected::Refused, nothing("timeout"), failed("timeout")),
            (Expected::Status(301), Seen::Status(301), Outcome::Expected(None)),
            (Expected::Status(301), served.clone(), failed("served")),
        ] {
            assert_eq!(judge(wanted, None, &seen), outcome, "{wanted:?} {seen:?}");
        }
        assert_eq!(judge(Expected::Served, Some("v1"), &served), expected);
        assert_eq!(judge(Expected::Served, Some("v2"), &served), failed("version v1"));
    }

    #[test]
    fn times_are_written_as_rfc_3339_says() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_795_000_000, "2026-11-18T11:06:40.000Z"),
        ] {
            assert_eq!(
                rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
                text
            );
        }
    }
}
