//! Requests to the API server for the writing side: one at a time, repeated while that can help. There are no
//! watches: what is waited for is asked for again and again, so a lost watch can hide nothing.

mod fault;
mod resource;

pub use fault::Fault;

use crate::input::cluster::api::encoded;
use crate::input::cluster::{ClusterError, ClusterOptions, connect};
use crate::plan::document::{FIELD_MANAGER, Target};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Method, Request};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use resource::Resources;
use serde_json::Value as Json;
use std::time::{Duration, Instant};

/// How long one attempt may take: admission webhooks have up to 30 seconds.
const ATTEMPT: Duration = Duration::from_secs(32);
/// How long a request is repeated before its failure counts.
const PATIENCE: Duration = Duration::from_secs(120);
/// The longest wait before a repetition that we choose.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// The longest wait before a repetition that the server may choose.
const MAX_ASKED: Duration = Duration::from_secs(30);

/// Forms of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patch {
    /// Server-side apply.
    Apply,
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
}

impl Patch {
    const fn content_type(self) -> &'static str {
        match self {
            // JSON is YAML.
            Self::Apply => "application/apply-patch+yaml",
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
        }
    }
}

/// A cluster that is written to.
pub struct Cluster {
    client: Client,
    /// URL of the API server.
    pub server: String,
    /// Name of the context.
    pub context: String,
    patience: Duration,
    resources: Resources,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("server", &self.server)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Connects to the cluster of a context.
    ///
    /// # Errors
    /// If the kubeconfig cannot be used.
    pub async fn connect(options: &ClusterOptions) -> Result<Self, ClusterError> {
        let connection = connect(options).await?;
        Ok(Self {
            client: connection.client,
            server: connection.server,
            context: connection.context,
            patience: PATIENCE,
            resources: Resources::default(),
        })
    }

    /// kube's client, for what is not a plain request.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// An object; none if there is no such object, or no such kind.
    ///
    /// # Errors
    /// Whatever else keeps it from being read.
    pub async fn get(&self, target: &Target) -> Result<Option<Json>, Fault> {
        let path = match self.path(target).await {
            Err(Fault::UnknownKind { .. }) => return Ok(None),
            path => path?,
        };
        match self.send(Method::GET, &path, None).await {
            Err(fault) if fault.is_not_found() => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// The objects of a kind in a namespace (or everywhere) that a label selector takes.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn list(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        selector: &str,
    ) -> Result<Vec<Json>, Fault> {
        let path = self.collection(api_version, kind, namespace).await?;
        let mut items = Vec::new();
        let mut token = String::new();
        loop {
            let page = format!(
                "{path}?limit=500&labelSelector={}&continue={}",
                encoded(selector),
                encoded(&token)
            );
            let mut page = match self.send(Method::GET, &page, None).await {
                // The server forgot the beginning of the list; what was read is of no use.
                Err(Fault::Status(status)) if status.code == 410 && !token.is_empty() => {
                    items.clear();
                    token.clear();
                    continue;
                }
                page => page?,
            };
            if let Some(Json::Array(more)) = page.get_mut("items").map(Json::take) {
                items.extend(more);
            }
            match page.pointer("/metadata/continue").and_then(Json::as_str) {
                Some(more) if !more.is_empty() => more.clone_into(&mut token),
                _ => return Ok(items),
            }
        }
    }

    /// Server-side apply under our own name, never forced.
    ///
    /// # Errors
    /// [`Fault::is_conflict`] if a field belongs to someone else.
    pub async fn apply(&self, manifest: &Json) -> Result<Json, Fault> {
        let path = self.path(&Target::of(manifest)).await?;
        let path = format!("{path}?fieldManager={FIELD_MANAGER}&force=false&fieldValidation=Strict");
        self.send(
            Method::PATCH,
            &path,
            Some((Patch::Apply.content_type(), manifest)),
        )
        .await
    }

    /// Another patch, under our own name.
    ///
    /// # Errors
    /// If the server refuses it.
    pub async fn patch(&self, target: &Target, form: Patch, patch: &Json) -> Result<Json, Fault> {
        let path = format!("{}?fieldManager={FIELD_MANAGER}", self.path(target).await?);
        self.send(Method::PATCH, &path, Some((form.content_type(), patch)))
            .await
    }

    /// Creates an object that must not exist.
    ///
    /// # Errors
    /// [`Fault::is_conflict`] if it exists.
    pub async fn create(&self, object: &Json) -> Result<Json, Fault> {
        let target = Target::of(object);
        let path = self
            .collection(&target.api_version, &target.kind, target.namespace.as_deref())
            .await?;
        let path = format!("{path}?fieldManager={FIELD_MANAGER}");
        self.send(Method::POST, &path, Some(("application/json", object)))
            .await
    }

    /// Replaces an object whose `metadata.resourceVersion` is given.
    ///
    /// # Errors
    /// [`Fault::is_conflict`] if it is of another version.
    pub async fn replace(&self, object: &Json) -> Result<Json, Fault> {
        let path = self.path(&Target::of(object)).await?;
        let path = format!("{path}?fieldManager={FIELD_MANAGER}");
        self.send(Method::PUT, &path, Some(("application/json", object)))
            .await
    }

    /// Deletes an object of this identity and version; one that is gone already is no error.
    ///
    /// # Errors
    /// [`Fault::is_conflict`] if it is another one by now.
    pub async fn delete(&self, target: &Target, uid: &str, version: Option<&str>) -> Result<(), Fault> {
        let path = self.path(target).await?;
        let mut preconditions = serde_json::json!({ "uid": uid });
        if let Some(version) = version {
            preconditions["resourceVersion"] = version.into();
        }
        let options = serde_json::json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": preconditions,
        });
        match self
            .send(Method::DELETE, &path, Some(("application/json", &options)))
            .await
        {
            Ok(_) => Ok(()),
            Err(fault) if fault.is_not_found() => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// One request, repeated while the server is busy, faulty or away.
    async fn send(&self, method: Method, path: &str, body: Option<(&str, &Json)>) -> Result<Json, Fault> {
        let begin = Instant::now();
        let mut backoff = Duration::from_millis(200);
        loop {
            let (fault, asked) = match self.attempt(&method, path, body).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let wait = asked.map_or(backoff, |asked| asked.min(MAX_ASKED).max(backoff));
            if !fault.may_pass() || begin.elapsed() + wait > self.patience {
                return Err(fault);
            }
            tokio::time::sleep(wait).await;
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }

    /// One attempt; the error comes with the time that the server asks to be left alone.
    async fn attempt(
        &self,
        method: &Method,
        path: &str,
        body: Option<(&str, &Json)>,
    ) -> Result<Json, (Fault, Option<Duration>)> {
        let mut request = Request::builder().method(method.clone()).uri(path);
        let mut bytes = Vec::new();
        if let Some((content_type, json)) = body {
            request = request.header(CONTENT_TYPE, content_type);
            bytes = json.to_string().into_bytes();
        }
        let request = request
            .body(Body::from(bytes))
            .map_err(|error| (Fault::Malformed(format!("`{path}` is not a path: {error}")), None))?;
        let transport = |error: &kube::Error| {
            let error = ClusterError::of_transport(error, &self.server);
            (Fault::Unreachable(error), None)
        };
        let exchange = async {
            let answer = self
                .client
                .send(request)
                .await
                .map_err(|error| transport(&error))?;
            let (head, body) = answer.into_parts();
            let bytes = body.collect_bytes().await.map_err(|error| transport(&error))?;
            Ok((head, bytes))
        };
        let Ok(answer) = tokio::time::timeout(ATTEMPT, exchange).await else {
            let server = self.server.clone();
            return Err((Fault::Unreachable(ClusterError::Timeout { server }), None));
        };
        let (head, bytes) = answer?;
        if head.status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| {
                (
                    Fault::Malformed(format!("the answer to `{path}` is not JSON: {error}")),
                    None,
                )
            });
        }
        if head.status.as_u16() == 401 {
            let server = self.server.clone();
            return Err((Fault::Unreachable(ClusterError::Unauthorized { server }), None));
        }
        let mut status: Status = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.message.is_empty() {
            status.message = String::from_utf8_lossy(&bytes).chars().take(200).collect();
        }
        status.code = head.status.as_u16();
        let header = head
            .headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let told = status
            .details
            .as_ref()
            .map_or(0, |details| details.retry_after_seconds);
        let seconds = header
            .and_then(|text| text.parse().ok())
            .unwrap_or(u64::from(told));
        let asked = (seconds > 0).then(|| Duration::from_secs(seconds));
        Err((Fault::Status(Box::new(status)), asked))
    }
}
