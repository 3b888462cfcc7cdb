//! Policies with targets: what istiod says of each.

use super::Seen;
use super::waypoint::{condition, unmet};
use crate::plan::document::Target;
use crate::rollout::api::{Cluster, Fault};
use serde_json::Value as Json;

/// Every target of a policy is served by a waypoint that enforces it; of a route, that every parent took it.
pub(super) async fn accepted(cluster: &Cluster, policy: &Target, targets: usize) -> Result<Seen, Fault> {
    let Some(object) = cluster.get(policy).await? else {
        return Ok(Seen::Not(format!("{policy} does not exist")));
    };
    Ok(match &*policy.kind {
        // It has no status. The step has other checks that tell of it.
        "RequestAuthentication" => Seen::Holds,
        "HTTPRoute" | "GRPCRoute" | "TCPRoute" | "TLSRoute" => route(&object, targets),
        _ => authorization(&object, targets),
    })
}

fn authorization(object: &Json, targets: usize) -> Seen {
    let found = object["spec"]["targetRefs"].as_array().map_or(0, Vec::len)
        + usize::from(object["spec"]["targetRef"].is_object());
    if found != targets {
        return Seen::Not(format!("it has {found} targets, not {targets}"));
    }
    let condition = condition(&object["status"]["conditions"], "WaypointAccepted");
    if let Some(reason) = unmet(condition, object) {
        return Seen::Not(reason);
    }
    // True is said as soon as one of several targets is served.
    let [reason, message] = ["reason", "message"].map(|key| {
        condition
            .and_then(|condition| condition[key].as_str())
            .unwrap_or_default()
    });
    Seen::when(reason == "Accepted", || {
        format!("not of every target: {reason} {message}")
    })
}

fn route(object: &Json, targets: usize) -> Seen {
    let parents: Vec<&Json> = object["status"]["parents"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    if parents.len() < targets {
        return Seen::Not(format!("{} of {targets} parents have answered", parents.len()));
    }
    for parent in parents {
        for kind in ["Accepted", "ResolvedRefs"] {
            if let Some(reason) = unmet(condition(&parent["conditions"], kind), object) {
                return Seen::Not(format!("{kind} is not true: {reason}"));
            }
        }
    }
    Seen::Holds
}
