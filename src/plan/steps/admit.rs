//! Sidecars of servers let the waypoint in. They see its identity instead of the client's: what would refuse it, or would
//! judge it in the client's stead, must know it.

use super::{Draft, Scope, annotated, created, in_envoy, pod_labels};
use crate::plan::document::{Check, Phase, REPLACED, Write};
use model::Object;
use model::security::{Action, AuthorizationPolicy, Rule};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// The label that the injector gives to every pod with a sidecar.
pub const WITH_SIDECAR: (&str, &str) = ("security.istio.io/tlsMode", "istio");

/// What lets the waypoint of a namespace in.
pub fn steps(scope: &Scope<'_>, namespace: &str) -> Option<Draft> {
    let judged = scope.judged(namespace);
    let principal = scope.principal(namespace);
    let (mut writes, mut checks) = (Vec::new(), Vec::new());
    let mut replaced = BTreeSet::new();
    for &index in &judged {
        let mover = scope.mover(index);
        let pods = pod_labels(mover.object);
        let (mut present, mut absent) = (Vec::new(), Vec::new());
        if mover
            .policies
            .iter()
            .any(|policy| policy.spec.action() == Action::Allow)
        {
            let name = format!("{}-admit-waypoint", mover.object.name());
            writes.push(allow(namespace, &name, &with_sidecar(&pods), &principal));
            present.push(in_envoy(namespace, &name));
        }
        for policy in mover
            .policies
            .iter()
            .filter(|policy| judges_identity(&policy.spec))
        {
            let name = copy_name(policy);
            if replaced.insert(policy.id.clone()) {
                writes.push(exempting(policy, &name, &principal));
            }
            present.push(in_envoy(policy.namespace(), &name));
            absent.push(in_envoy(policy.namespace(), policy.name()));
        }
        if !present.is_empty() {
            checks.push(Check::ProxyHolds {
                namespace: Some(namespace.to_owned()),
                labels: with_sidecar(&pods),
                present,
                absent,
            });
        }
    }
    for id in replaced {
        let policy = judged
            .iter()
            .flat_map(|&index| &scope.mover(index).policies)
            .find(|p| p.id == id)?;
        writes.push(narrowed(
            policy,
            (REPLACED, &super::label_value(&copy_name(policy))),
        ));
    }
    if writes.is_empty() {
        return None;
    }
    Some(Draft {
        phase: Phase::Admit,
        about: namespace.to_owned(),
        title: format!("sidecars of servers in {namespace} let its waypoint in, which has judged for them"),
        requires: Vec::new(),
        writes,
        checks,
        undo: "the old policies get their selectors back, and what was added is deleted",
    })
}

/// The name of the copy that judges everybody but the waypoint.
pub fn copy_name(policy: &Object<AuthorizationPolicy>) -> String {
    format!("{}-sidecars", policy.name())
}

/// Whether a policy would take the waypoint for the client, to its harm.
pub fn judges_identity(policy: &AuthorizationPolicy) -> bool {
    let looks = |rule: &Rule| {
        !rule.from.is_empty()
            || rule.when.iter().any(|condition| {
                condition.key.starts_with("source.")
                    || condition.key.starts_with("request.auth.")
                    || condition.key == "remote.ip"
            })
    };
    match policy.action() {
        Action::Custom => true,
        Action::Deny => policy.rules.iter().any(looks),
        Action::Allow | Action::Audit => false,
    }
}

/// An old policy with one more label in its selector.
pub fn narrowed(policy: &Object<AuthorizationPolicy>, label: (&str, &str)) -> Write {
    let mut manifest = super::identity(&super::target(policy));
    manifest["spec"]["selector"]["matchLabels"] = json!({ label.0: label.1 });
    Write::Set { manifest }
}

/// A policy that lets one identity in.
pub fn allow(namespace: &str, name: &str, labels: &BTreeMap<String, String>, principal: &str) -> Write {
    let spec = json!({
        "selector": { "matchLabels": labels },
        "action": "ALLOW",
        "rules": [{ "from": [{ "source": { "principals": [principal] } }] }],
    });
    created(
        "security.istio.io/v1",
        "AuthorizationPolicy",
        namespace,
        name,
        &spec,
    )
}

/// Labels, and that of pods with a sidecar.
pub fn with_sidecar(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut labels = labels.clone();
    labels.insert(WITH_SIDECAR.0.to_owned(), WITH_SIDECAR.1.to_owned());
    labels
}

/// A copy for pods with a sidecar that never matches the waypoint.
fn exempting(policy: &Object<AuthorizationPolicy>, name: &str, principal: &str) -> Write {
    let mut spec = policy.raw.get("spec").map_or_else(|| json!({}), Json::from);
    let labels = policy
        .spec
        .selector
        .as_ref()
        .map(|selector| &selector.match_labels);
    spec["selector"] = json!({ "matchLabels": with_sidecar(labels.unwrap_or(&BTreeMap::new())) });
    for rule in spec["rules"].as_array_mut().into_iter().flatten() {
        let sources = rule["from"].as_array().cloned().unwrap_or_default();
        let sources = if sources.is_empty() {
            vec![json!({ "source": {} })]
        } else {
            sources
        };
        rule["from"] = sources
            .into_iter()
            .map(|mut from| {
                let mut excluded = from["source"]["notPrincipals"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                excluded.push(json!(principal));
                from["source"]["notPrincipals"] = Json::Array(excluded);
                from
            })
            .collect();
    }
    let version = super::target(policy).api_version;
    let annotations: serde_json::Map<String, Json> = policy
        .meta
        .annotations
        .iter()
        .filter(|(key, _)| key.starts_with("istio.io/"))
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    annotated(
        &version,
        "AuthorizationPolicy",
        policy.namespace(),
        name,
        &Json::Object(annotations),
        &spec,
    )
}
