//! Waypoints: their Gateway, and the pods of their Deployment.

use super::workload::rolled_out;
use super::{Seen, workload};
use crate::plan::document::Target;
use crate::rollout::api::{Cluster, Fault};
use serde_json::Value as Json;

/// The Gateway is programmed, and there is a Deployment of it whose pods are ready.
pub(super) async fn ready(cluster: &Cluster, namespace: &str, name: &str) -> Result<Seen, Fault> {
    let gateway = Target {
        api_version: "gateway.networking.k8s.io/v1".to_owned(),
        kind: "Gateway".to_owned(),
        namespace: Some(namespace.to_owned()),
        name: name.to_owned(),
    };
    let Some(object) = cluster.get(&gateway).await? else {
        return Ok(Seen::Not("the Gateway does not exist".to_owned()));
    };
    let programmed = condition(&object["status"]["conditions"], "Programmed");
    if let Some(reason) = unmet(programmed, &object) {
        return Ok(Seen::Not(format!("the Gateway is not programmed: {reason}")));
    }
    let selector = format!("gateway.networking.k8s.io/gateway-name={name}");
    let deployments = cluster
        .list("apps/v1", "Deployment", Some(namespace), &selector)
        .await?;
    let [deployment, ..] = deployments.as_slice() else {
        return Ok(Seen::Not("its Deployment does not exist yet".to_owned()));
    };
    let name = deployment["metadata"]["name"].as_str().unwrap_or_default();
    rolled_out(cluster, &workload("Deployment", namespace, name)).await
}

/// The condition of a type.
pub(super) fn condition<'a>(conditions: &'a Json, kind: &str) -> Option<&'a Json> {
    let mut conditions = conditions.as_array().into_iter().flatten();
    conditions.find(|condition| condition["type"] == kind)
}

/// Why a condition is not true of the newest generation of an object; none if it is.
pub(super) fn unmet(condition: Option<&Json>, object: &Json) -> Option<String> {
    let Some(condition) = condition else {
        return Some("nobody has said so yet".to_owned());
    };
    let generation = object["metadata"]["generation"].as_i64().unwrap_or_default();
    // istiod writes it as text for its own kinds.
    let observed = match &condition["observedGeneration"] {
        Json::String(text) => text.parse().ok(),
        number => number.as_i64(),
    };
    if condition["status"] != "True" {
        let [reason, message] = ["reason", "message"].map(|key| condition[key].as_str().unwrap_or_default());
        Some(format!("{reason} {message}").trim().to_owned())
    } else if observed.is_some_and(|observed| observed < generation) {
        Some("its controller has not seen the change yet".to_owned())
    } else {
        None
    }
}
