//! Services use their waypoint. Sidecars take no notice; from now on ambient clients pass it.

use super::policies::copies;
use super::{Draft, Scope, in_envoy, labelled};
use crate::plan::document::{Check, Phase, Target};
use serde_json::json;
use std::collections::BTreeMap;

/// The Services of a namespace.
pub fn steps(scope: &Scope<'_>, namespace: &str) -> Option<Draft> {
    let waypoint = scope.waypoint(namespace);
    let mut writes = Vec::new();
    for &server in scope.prepared.get(namespace)? {
        let server = &scope.landscape.servers[server];
        let mut labels = json!({ "istio.io/use-waypoint": waypoint });
        if server.behind_gateway && server.is_protected {
            labels["istio.io/ingress-use-waypoint"] = json!("true");
        }
        let has = &server.service.meta.labels;
        if let Some(wanted) = labels.as_object_mut() {
            wanted.retain(|key, value| has.get(key).map(String::as_str) != value.as_str());
            if !wanted.is_empty() {
                writes.push(labelled(server.service, &labels));
            }
        }
    }
    let mut checks: Vec<Check> = Vec::new();
    let mut present = Vec::new();
    for copy in copies(scope, namespace) {
        let policy = Target::of(&copy.manifest);
        // istiod writes no status for RequestAuthentications.
        if policy.kind == "AuthorizationPolicy" {
            checks.push(Check::AcceptedByWaypoint {
                policy,
                targets: copy.targets.len(),
            });
            let is_empty = copy
                .manifest
                .pointer("/spec/rules")
                .and_then(|rules| rules.as_array())
                .is_none_or(Vec::is_empty);
            if !is_empty {
                present.push(in_envoy(namespace, &copy.id.name));
            }
        }
    }
    if !present.is_empty() {
        checks.push(Check::ProxyHolds {
            namespace: Some(namespace.to_owned()),
            labels: BTreeMap::from([(
                "gateway.networking.k8s.io/gateway-name".to_owned(),
                waypoint.to_owned(),
            )]),
            present,
            absent: Vec::new(),
        });
    }
    if writes.is_empty() && checks.is_empty() {
        return None;
    }
    checks.push(Check::Settled { seconds: 3 });
    Some(Draft {
        phase: Phase::Bind,
        about: namespace.to_owned(),
        title: format!("Services of {namespace} use the waypoint; clients with a sidecar take no notice"),
        requires: vec![Check::WaypointReady {
            namespace: namespace.to_owned(),
            name: waypoint.to_owned(),
        }],
        writes,
        checks,
        undo: "the labels are taken off",
    })
}
