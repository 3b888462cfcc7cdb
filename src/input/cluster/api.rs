//! Requests to the API server: one at a time with its timeout and repetitions, and lists page by page.

use super::error::ClusterError;
use http::header::ACCEPT;
use kube::Client;
use kube::core::Status;
use serde_json::Value;
use std::fmt::Write;
use std::time::Duration;

/// How long a request may take in all.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a list is begun again because the server forgot its beginning.
const RESTARTS: u32 = 5;
/// The longest wait before a repetition, whatever the server asks for.
const MAX_WAIT: Duration = Duration::from_secs(10);

const JSON: &str = "application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server answered with an error.
    Status(Box<Status>),
    /// No answer in time.
    Timeout,
    /// The list changed faster than it could be read.
    Restless,
    /// The answer is not what the API promises.
    Malformed(String),
    /// Nothing can be read any more.
    Fatal(ClusterError),
}

/// The API server.
pub(super) struct Api {
    pub client: Client,
    pub server: String,
    pub page_limit: u32,
    /// How often a request is made before its failure counts.
    pub attempts: u32,
}

/// What to list.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Path of the resource, such as `/api/v1/pods`.
    pub path: String,
    /// Only the object of this name.
    pub name: Option<String>,
    /// Names, labels and annotations only.
    pub metadata_only: bool,
}

impl Api {
    /// A JSON document.
    pub async fn get(&self, path: &str) -> Result<Value, Fault> {
        self.get_as(path, JSON).await
    }

    /// All items of a list; `tell` hears how many there are so far.
    pub async fn list(&self, target: &Target, tell: &dyn Fn(usize)) -> Result<Vec<Value>, Fault> {
        for _ in 0..RESTARTS {
            match self.list_once(target, tell).await {
                // The continue token is older than the server's memory; the items so far are of no use.
                Err(Fault::Status(status)) if status.code == 410 => {}
                result => return result,
            }
        }
        Err(Fault::Restless)
    }

    async fn list_once(&self, target: &Target, tell: &dyn Fn(usize)) -> Result<Vec<Value>, Fault> {
        let accept = if target.metadata_only { METADATA } else { JSON };
        let mut items = Vec::new();
        let mut token = String::new();
        loop {
            let mut path = format!("{}?limit={}", target.path, self.page_limit);
            if let Some(name) = &target.name {
                let _ = write!(path, "&fieldSelector=metadata.name%3D{}", encoded(name));
            }
            if !token.is_empty() {
                let _ = write!(path, "&continue={}", encoded(&token));
            }
            let mut page = self.get_as(&path, accept).await?;
            match page.get_mut("items").map(Value::take) {
                Some(Value::Array(more)) => items.extend(more),
                Some(Value::Null) => {}
                _ => {
                    return Err(Fault::Malformed(format!(
                        "the answer to `{}` is not a list",
                        target.path
                    )));
                }
            }
            tell(items.len());
            token = page
                .pointer("/metadata/continue")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned();
            if token.is_empty() {
                return Ok(items);
            }
        }
    }

    async fn get_as(&self, path: &str, accept: &str) -> Result<Value, Fault> {
        let mut attempt = 1;
        loop {
            let fault = match self.attempt(path, accept).await {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            match fault.wait(attempt) {
                Some(wait) if attempt < self.attempts => tokio::time::sleep(wait).await,
                _ => return Err(fault),
            }
            attempt += 1;
        }
    }

    async fn attempt(&self, path: &str, accept: &str) -> Result<Value, Fault> {
        let request = http::Request::get(path)
            .header(ACCEPT, accept)
            .body(Vec::new())
            .map_err(|error| Fault::Malformed(format!("`{path}` is not a path: {error}")))?;
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, self.client.request_text(request)).await;
        match answer {
            Err(_elapsed) => Err(Fault::Timeout),
            Ok(Ok(text)) => serde_json::from_str(&text)
                .map_err(|error| Fault::Malformed(format!("the answer to `{path}` is not JSON: {error}"))),
            Ok(Err(kube::Error::Api(status))) if status.code == 401 => {
                Err(Fault::Fatal(ClusterError::Unauthorized {
                    server: self.server.clone(),
                }))
            }
            Ok(Err(kube::Error::Api(status))) => Err(Fault::Status(status)),
            Ok(Err(error)) => Err(Fault::Fatal(ClusterError::of_transport(&error, &self.server))),
        }
    }
}

impl Fault {
    /// How long to wait before another attempt; `None` if that would be in vain.
    fn wait(&self, attempt: u32) -> Option<Duration> {
        let backoff = Duration::from_millis(250) * 2u32.pow(attempt.saturating_sub(1).min(6));
        match self {
            Self::Status(status) if matches!(status.code, 429 | 500 | 502 | 503 | 504) => {
                let asked = status
                    .details
                    .as_ref()
                    .map_or(0, |details| details.retry_after_seconds);
                Some(Duration::from_secs(asked.into()).max(backoff).min(MAX_WAIT))
            }
            // A connection that breaks in the middle; those that never came about fail at once.
            Self::Fatal(ClusterError::Connection { .. }) => Some(backoff.min(MAX_WAIT)),
            _ => None,
        }
    }
}

/// A part of a path or query, percent-encoded (RFC 3986, unreserved characters stay).
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests;
