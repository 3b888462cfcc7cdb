//! Deployments, StatefulSets, DaemonSets and their pods.

use super::Seen;
use crate::plan::document::{MOVED, Target};
use crate::rollout::api::{Cluster, Fault};
use serde_json::Value as Json;

/// The container of a sidecar.
pub(super) const SIDECAR: &str = "istio-proxy";
/// Says that the node proxy carries the pod's traffic.
const REDIRECTION: &str = "ambient.istio.io/redirection";

/// All pods are of the newest template and ready, and the old ones are gone.
pub(super) async fn rolled_out(cluster: &Cluster, target: &Target) -> Result<Seen, Fault> {
    with_pods(cluster, target, |_| None).await
}

/// [`rolled_out`], without sidecars, redirected to the node proxy.
pub(super) async fn moved(cluster: &Cluster, target: &Target) -> Result<Seen, Fault> {
    with_pods(cluster, target, |pod| {
        if container(pod, SIDECAR).is_some() {
            Some("still has a sidecar".to_owned())
        } else if pod["metadata"]["annotations"][REDIRECTION] != "enabled" {
            Some("is not redirected to the node proxy".to_owned())
        } else {
            None
        }
    })
    .await
}

/// [`rolled_out`], with sidecars, which speak HBONE if wanted.
pub(super) async fn has_sidecars(cluster: &Cluster, target: &Target, hbone: bool) -> Result<Seen, Fault> {
    with_pods(cluster, target, |pod| match container(pod, SIDECAR) {
        None => Some("has no sidecar".to_owned()),
        Some(sidecar) if hbone && !speaks_hbone(sidecar) => Some("has a sidecar without HBONE".to_owned()),
        Some(_) => None,
    })
    .await
}

async fn with_pods(
    cluster: &Cluster,
    target: &Target,
    wrong: impl Fn(&Json) -> Option<String>,
) -> Result<Seen, Fault> {
    let Some(object) = cluster.get(target).await? else {
        return Ok(Seen::Not(format!("{target} does not exist")));
    };
    let counts = counts(&object);
    let selector = selector(&object["spec"]["selector"]);
    let pods = cluster
        .list("v1", "Pod", target.namespace.as_deref(), &selector)
        .await?;
    let complaints: Vec<String> = pods
        .iter()
        .filter(|pod| is_of(pod, target))
        .filter_map(|pod| {
            let fault = stale(pod, &object)
                .or_else(|| not_ready(pod))
                .or_else(|| wrong(pod))?;
            Some(format!(
                "pod {} {fault}",
                pod["metadata"]["name"].as_str().unwrap_or_default()
            ))
        })
        .collect();
    // A pod says more than a count.
    if complaints.is_empty() {
        return Ok(counts.map_or(Seen::Holds, Seen::Not));
    }
    Ok(Seen::Not(super::listed(&complaints)))
}

/// What the status of a workload says against its being rolled out.
pub(super) fn counts(object: &Json) -> Option<String> {
    let number = |pointer: &str| object.pointer(pointer).and_then(Json::as_i64);
    if number("/status/observedGeneration").unwrap_or_default()
        < number("/metadata/generation").unwrap_or_default()
    {
        return Some("its controller has not seen the change yet".to_owned());
    }
    let status = |key: &str| object["status"][key].as_i64().unwrap_or_default();
    let (wanted, updated, available, all) = if object["kind"] == "DaemonSet" {
        let wanted = status("desiredNumberScheduled");
        (
            wanted,
            status("updatedNumberScheduled"),
            status("numberAvailable"),
            wanted,
        )
    } else {
        let wanted = number("/spec/replicas").unwrap_or(1);
        let available = match &object["status"]["availableReplicas"] {
            Json::Null => status("readyReplicas"),
            count => count.as_i64().unwrap_or_default(),
        };
        (wanted, updated_replicas(object), available, status("replicas"))
    };
    if object["spec"]["paused"] == true && updated < wanted {
        Some("its rollout is paused (kubectl rollout resume)".to_owned())
    } else if updated < wanted {
        Some(format!("{updated} of {wanted} pods are of the newest template"))
    } else if all > wanted {
        Some(format!("{} old pods are still there", all - wanted))
    } else if available < wanted {
        Some(format!("{available} of {wanted} pods are available"))
    } else {
        None
    }
}

fn updated_replicas(object: &Json) -> i64 {
    let status = &object["status"];
    let revision = |key: &str| status[key].as_str().unwrap_or_default();
    let all = status["replicas"].as_i64().unwrap_or_default();
    // A StatefulSet counts no updated pods once all are of the one revision.
    if object["kind"] == "StatefulSet" && revision("currentRevision") == revision("updateRevision") {
        return all;
    }
    status["updatedReplicas"].as_i64().unwrap_or_default()
}

/// A pod of an old template, or on its way out.
fn stale(pod: &Json, workload: &Json) -> Option<String> {
    if pod["metadata"].get("deletionTimestamp").is_some() {
        return Some("is shutting down".to_owned());
    }
    let template = &workload["spec"]["template"]["metadata"];
    let labels = template["labels"].as_object().into_iter().flatten();
    let old = labels.filter(|(key, _)| *key != "istio.io/rev").any(|(key, value)| pod["metadata"]["labels"][key] != *value)
        // A label that is gone from the template is gone from its pods.
        || (template["labels"].get(MOVED).is_none() && pod["metadata"]["labels"].get(MOVED).is_some());
    old.then(|| "is of an older template".to_owned())
}

/// Whether a pod says that it is ready.
pub(super) fn is_ready(pod: &Json) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn not_ready(pod: &Json) -> Option<String> {
    if is_ready(pod) {
        return None;
    }
    let statuses = ["initContainerStatuses", "containerStatuses"]
        .iter()
        .flat_map(|key| pod["status"][key].as_array().into_iter().flatten());
    let waiting: Vec<String> = statuses
        .filter_map(|status| {
            let reason = status["state"]["waiting"]["reason"].as_str()?;
            Some(format!(
                "container {}: {reason}",
                status["name"].as_str().unwrap_or_default()
            ))
        })
        .collect();
    if waiting.is_empty() {
        Some("is not ready".to_owned())
    } else {
        Some(format!("is not ready ({})", waiting.join(", ")))
    }
}

/// Whether a pod is one that this workload runs.
pub(super) fn is_of(pod: &Json, target: &Target) -> bool {
    if matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return false;
    }
    let owners = pod["metadata"]["ownerReferences"]
        .as_array()
        .into_iter()
        .flatten();
    let Some(owner) = owners.into_iter().find(|owner| owner["controller"] == true) else {
        return false;
    };
    let name = owner["name"].as_str().unwrap_or_default();
    if target.kind == "Deployment" {
        let hash = name
            .strip_prefix(&target.name)
            .and_then(|rest| rest.strip_prefix('-'));
        owner["kind"] == "ReplicaSet" && hash.is_some_and(|hash| !hash.contains('-'))
    } else {
        owner["kind"] == target.kind.as_str() && name == target.name
    }
}

/// A container of a pod; sidecars may be among the init containers.
pub(super) fn container<'a>(pod: &'a Json, name: &str) -> Option<&'a Json> {
    ["containers", "initContainers"]
        .iter()
        .flat_map(|key| pod["spec"][key].as_array().into_iter().flatten())
        .find(|container| container["name"] == name)
}

fn speaks_hbone(sidecar: &Json) -> bool {
    let set = |name: &str, part: &str| {
        let mut variables = sidecar["env"].as_array().into_iter().flatten();
        variables.any(|variable| {
            let value = variable["value"].as_str().unwrap_or_default();
            variable["name"] == name && value.contains(part)
        })
    };
    set("ISTIO_META_ENABLE_HBONE", "true") || set("PROXY_CONFIG", "\"ISTIO_META_ENABLE_HBONE\":\"true\"")
}

/// A label selector in the form of a query.
pub(super) fn selector(selector: &Json) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut terms: Vec<String> = labels
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let values: Vec<&str> = expression["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .collect();
        let values = values.join(",");
        match expression["operator"].as_str() {
            Some("In") => terms.push(format!("{key} in ({values})")),
            Some("NotIn") => terms.push(format!("{key} notin ({values})")),
            Some("Exists") => terms.push(key.to_owned()),
            Some("DoesNotExist") => terms.push(format!("!{key}")),
            _ => {}
        }
    }
    terms.join(",")
}
