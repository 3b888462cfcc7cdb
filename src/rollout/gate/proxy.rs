//! What Envoys have: their own word, not the control plane's. `pilot-agent request GET config_dump` is run in each
//! pod, as `istioctl proxy-config` does.

use super::Seen;
use super::workload::{SIDECAR, container};
use crate::rollout::api::{Cluster, Fault};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// How many pods are asked at the same time: a configuration may have megabytes.
const CONCURRENCY: usize = 8;
/// How long a pod may take to answer.
const ANSWER: Duration = Duration::from_secs(20);
/// How large an answer may be.
const MAX_ANSWER: u64 = 256 << 20;

/// What a configuration must have, and must not have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Texts<'a> {
    pub present: &'a [String],
    pub absent: &'a [String],
}

impl Texts<'_> {
    /// What is wrong with a configuration.
    fn wrong(self, configuration: &str) -> Option<String> {
        let lacks = self
            .present
            .iter()
            .find(|text| !configuration.contains(text.as_str()));
        if let Some(text) = lacks {
            return Some(format!("does not have `{text}` yet"));
        }
        let has = self
            .absent
            .iter()
            .find(|text| configuration.contains(text.as_str()))?;
        Some(format!("still has `{has}`"))
    }
}

/// Whether every running Envoy of these pods has these texts, and not those.
pub(super) async fn hold(
    cluster: &Cluster,
    namespace: Option<&str>,
    labels: &BTreeMap<String, String>,
    texts: Texts<'_>,
    settled: &mut BTreeSet<String>,
) -> Result<Seen, Fault> {
    let selector: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let pods = cluster.list("v1", "Pod", namespace, &selector.join(",")).await?;
    let asked = pods
        .iter()
        .filter(|pod| has_envoy(pod) && !settled.contains(uid(pod)));
    let answers: Vec<(&Json, Option<String>)> = stream::iter(asked)
        .map(|pod| async move { (pod, ask(cluster, pod, texts).await) })
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    let mut complaints = Vec::new();
    for (pod, wrong) in answers {
        match wrong {
            Some(wrong) => {
                let part = |key: &str| pod["metadata"][key].as_str().unwrap_or_default();
                complaints.push(format!("{}/Pod/{} {wrong}", part("namespace"), part("name")));
            }
            None => {
                settled.insert(uid(pod).to_owned());
            }
        }
    }
    complaints.sort();
    Ok(Seen::when(complaints.is_empty(), || super::listed(&complaints)))
}

fn uid(pod: &Json) -> &str {
    pod["metadata"]["uid"].as_str().unwrap_or_default()
}

fn has_envoy(pod: &Json) -> bool {
    pod["status"]["phase"] == "Running"
        && pod["metadata"].get("deletionTimestamp").is_none()
        && container(pod, SIDECAR).is_some()
}

/// What is wrong with the configuration of a pod's Envoy; a pod that does not answer has none that can be trusted.
async fn ask(cluster: &Cluster, pod: &Json, texts: Texts<'_>) -> Option<String> {
    let part = |key: &str| pod["metadata"][key].as_str().unwrap_or_default();
    let dump = configuration(cluster, part("namespace"), part("name"));
    match tokio::time::timeout(ANSWER, dump).await {
        Ok(Ok(configuration)) => texts.wrong(&configuration),
        Ok(Err(reason)) => Some(format!("does not tell its configuration: {reason}")),
        Err(_elapsed) => Some("does not tell its configuration in time".to_owned()),
    }
}

async fn configuration(cluster: &Cluster, namespace: &str, name: &str) -> Result<String, String> {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), namespace);
    let parameters = AttachParams::default()
        .container(SIDECAR)
        .stdin(false)
        .stdout(true)
        .stderr(false);
    let command = ["pilot-agent", "request", "GET", "config_dump"];
    let mut process = pods
        .exec(name, command, &parameters)
        .await
        .map_err(|error| error.to_string())?;
    let mut text = String::new();
    if let Some(stdout) = process.stdout() {
        let mut stdout = stdout.take(MAX_ANSWER);
        stdout
            .read_to_string(&mut text)
            .await
            .map_err(|error| error.to_string())?;
    }
    let status = match process.take_status() {
        Some(status) => status.await,
        None => None,
    };
    match status {
        Some(status) if status.status.as_deref() == Some("Failure") => {
            Err(status.message.unwrap_or("the command failed".to_owned()))
        }
        _ if text.is_empty() => Err("the answer is empty".to_owned()),
        _ => Ok(text),
    }
}
