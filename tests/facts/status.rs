//! What istiod says about policies and routes in their status, and what it leaves out.

use crate::SOON;
use bed::{Bed, Namespace, eventually};
use serde_json::Value;

fn policy(name: &str, targets: &[&str]) -> String {
    let targets: String = targets
        .iter()
        .map(|target| format!("  - {{kind: Service, group: \"\", name: {target}}}\n"))
        .collect();
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}}}\n\
         spec:\n  targetRefs:\n{targets}  action: DENY\n  rules: [{{to: [{{operation: {{paths: [/x]}}}}]}}]\n"
    )
}

/// The condition of this type, once it is there: status and reason, and the message.
fn condition(mesh: &Namespace<'_>, kind: &str, name: &str, wanted: &str) -> (String, String, String) {
    eventually(SOON, || {
        let object = mesh.object(kind, name).map_err(|error| error.to_string())?;
        let direct = object["status"]["conditions"].as_array();
        let of_parents = object["status"]["parents"].as_array().into_iter().flatten();
        let all = of_parents
            .filter_map(|parent| parent["conditions"].as_array())
            .chain(direct)
            .flatten();
        let found = all.into_iter().find(|condition| condition["type"] == wanted);
        let text = |condition: &Value, key: &str| condition[key].as_str().unwrap_or_default().to_owned();
        found
            .map(|found| {
                (
                    text(found, "status"),
                    text(found, "reason"),
                    text(found, "message"),
                )
            })
            .ok_or_else(|| format!("no {wanted}: {}", object["status"]))
    })
}

#[test]
fn a_policy_is_accepted_when_one_of_its_targets_is() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = bed.namespace("targets");
    mesh.server("server");
    mesh.waypoint("waypoint");
    mesh.apply(&policy("all", &["server"]));
    mesh.apply(&policy("some", &["server", "missing"]));
    mesh.apply(&policy("none", &["missing"]));
    eventually(SOON, || mesh.accepted_by_waypoint("all"));
    let reason = |name| {
        let (status, reason, _) = condition(&mesh, "authorizationpolicy", name, "WaypointAccepted");
        (status, reason)
    };
    let pair = |status: &str, reason: &str| (status.to_owned(), reason.to_owned());
    assert_eq!(reason("all"), pair("True", "Accepted"));
    assert_eq!(reason("some"), pair("True", "PartiallyInvalid"));
    assert_eq!(reason("none"), pair("False", "TargetNotFound"));
}

#[test]
fn a_policy_for_a_service_without_waypoint_says_so() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = bed.namespace("no-waypoint");
    mesh.server("server");
    mesh.apply(&policy("bound-to-nothing", &["server"]));
    let (status, reason, message) = condition(
        &mesh,
        "authorizationpolicy",
        "bound-to-nothing",
        "WaypointAccepted",
    );
    assert_eq!((&*status, &*reason), ("False", "AncestorNotBound"), "{message}");
}

#[test]
fn a_dead_deny_is_said_to_be_stricter() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = bed.namespace("dead-deny");
    mesh.apply(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: dead}\n\
         spec:\n  selector: {matchLabels: {app: server}}\n  action: DENY\n  \
         rules: [{to: [{operation: {paths: [/admin/*]}}]}]\n",
    );
    let (status, reason, message) = condition(&mesh, "authorizationpolicy", "dead", "ZtunnelAccepted");
    assert_eq!((&*status, &*reason), ("True", "UnsupportedValue"));
    assert!(message.contains("more restrictive"), "{message}");
}

#[test]
fn a_route_that_names_a_waypoint_gets_no_status_at_all() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = bed.namespace("to-waypoint");
    mesh.server("server");
    mesh.waypoint("waypoint");
    let route = |name: &str, parent: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\n\
             spec:\n  parentRefs: [{parent}]\n  rules: [{{backendRefs: [{{name: server, port: 80}}]}}]\n"
        )
    };
    mesh.apply(&route("to-waypoint", "{name: waypoint}"));
    mesh.apply(&route("to-service", "{group: \"\", kind: Service, name: server}"));
    // The younger of both has its status: istiod has seen the older one.
    let (status, ..) = condition(&mesh, "httproute", "to-service", "Accepted");
    assert_eq!(status, "True");
    let route = mesh.object("httproute", "to-waypoint").unwrap();
    assert_eq!(route["status"]["parents"], Value::Array(Vec::new()));
    let gateway = mesh.object("gateway", "waypoint").unwrap();
    let listener = &gateway["status"]["listeners"][0];
    assert_eq!(listener["attachedRoutes"], 0, "{listener}");
    assert_eq!(listener["supportedKinds"], Value::Array(Vec::new()), "{listener}");
}

#[test]
fn resolved_waypoints_is_true_without_a_waypoint() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = bed.namespace("resolved");
    mesh.server("server");
    mesh.apply(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: server}\n\
         spec:\n  parentRefs: [{group: \"\", kind: Service, name: server}]\n  \
         rules: [{backendRefs: [{name: server, port: 80}]}]\n",
    );
    mesh.kubectl(&["label", "service", "server", "istio.io/use-waypoint=missing"])
        .unwrap();
    let (status, _, message) = condition(&mesh, "httproute", "server", "ResolvedWaypoints");
    assert_eq!(status, "True", "{message}");
}
