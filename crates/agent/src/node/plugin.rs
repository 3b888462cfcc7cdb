//! The agent's side of the plugin's requests, and what it says to probes and dashboards.

use super::controller::{Event, Reply};
use super::health::Health;
use super::http::{Answer, Handler};
use super::hub::Hub;
use crate::cni::event::{ADD_PATH, AddEvent, CHECK_PATH, STATUS_PATH};
use bytes::Bytes;
use hyper::StatusCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{mpsc, oneshot};

/// Answers the plugin.
pub struct PluginHandler {
    /// The controller.
    pub events: mpsc::UnboundedSender<Event>,
    /// Counters.
    pub health: Arc<Health>,
}

impl Handler for PluginHandler {
    async fn handle(&self, path: &str, body: Bytes) -> Answer {
        match path {
            ADD_PATH => {
                let answer = self.ask(&body, Event::Plugin).await;
                let counter = match answer.0 {
                    StatusCode::OK => &self.health.plugin_success,
                    _ => &self.health.plugin_failure,
                };
                counter.fetch_add(1, Ordering::Relaxed);
                answer
            }
            CHECK_PATH => self.ask(&body, Event::Check).await,
            STATUS_PATH => readiness(&self.health),
            _ => not_found(),
        }
    }
}

impl PluginHandler {
    async fn ask(&self, body: &[u8], event: fn(AddEvent, Reply) -> Event) -> Answer {
        let request: AddEvent = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(error) => {
                return (
                    StatusCode::BAD_REQUEST,
                    format!("the request is not to be read: {error}"),
                );
            }
        };
        let (reply, answer) = oneshot::channel();
        // If nobody takes the event, the reply is dropped with it.
        let _ = self.events.send(event(request, reply));
        match answer.await {
            Ok(Ok(())) => (StatusCode::OK, String::new()),
            Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the agent is stopping".into()),
        }
    }
}

fn readiness(health: &Health) -> Answer {
    match health.ready() {
        Ok(()) => (StatusCode::OK, String::new()),
        Err(missing) => (StatusCode::SERVICE_UNAVAILABLE, missing),
    }
}

fn not_found() -> Answer {
    (StatusCode::NOT_FOUND, "not found".into())
}

/// Answers probes and dashboards.
pub struct ProbeHandler {
    /// State and counters.
    pub health: Arc<Health>,
    /// The proxies.
    pub hub: Arc<Hub>,
}

impl Handler for ProbeHandler {
    async fn handle(&self, path: &str, _: Bytes) -> Answer {
        match path {
            "/healthz" => (StatusCode::OK, String::new()),
            "/readyz" => readiness(&self.health),
            "/metrics" => (StatusCode::OK, self.health.metrics(&self.hub)),
            _ => not_found(),
        }
    }
}
