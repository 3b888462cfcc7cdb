//! What istiod tells node proxies about policies that they cannot enforce as they are (H1), and what it says
//! about them in their status.

use crate::SOON;
use bed::{Bed, Namespace, Settings, eventually};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

/// All that istiod tells node proxies: `workloads`, `services` and `policies`.
pub fn told(bed: &Bed) -> Value {
    let arguments = [
        "exec",
        "--namespace=istio-system",
        "deployment/istiod",
        "--",
        "pilot-discovery",
        "request",
        "GET",
        "/debug/ambientz",
    ];
    let text = bed.kubectl().run(&arguments).unwrap();
    serde_json::from_str(text.trim()).unwrap()
}

/// A policy with layer 7 in it, and what becomes of it.
struct Row {
    name: &'static str,
    spec: &'static str,
    /// Status, and a part of the message, of the condition `ZtunnelAccepted`.
    said: (&'static str, &'static str),
    /// The action and the rules that are sent; nothing if the policy is not sent.
    sent: Option<(&'static str, Value)>,
}

fn rows() -> [Row; 7] {
    let clause = |matches: Value| json!({ "matches": matches });
    let dead = json!([{"rules": [clause(json!([{}]))]}]);
    let port = json!([{"rules": [clause(json!([{"destinationPorts": [8080]}]))]}]);
    let one_of_two = json!([{"rules": [clause(json!([{"destinationPorts": [8080]}, {}]))]}]);
    let anyone_from_x = json!([{"rules": [clause(json!([{"namespaces": [{"exact": "x"}]}]))]}]);
    [
        Row {
            name: "deny-path",
            spec: "{action: DENY, rules: [{to: [{operation: {paths: [/admin/*]}}]}]}",
            said: (
                "True",
                "found: paths). In ambient mode you must use a waypoint proxy",
            ),
            sent: Some(("DENY", dead)),
        },
        Row {
            name: "deny-path-and-port",
            spec: "{action: DENY, rules: [{to: [{operation: {paths: [/x], ports: ['8080']}}]}]}",
            said: ("True", "This will be more restrictive than requested."),
            sent: Some(("DENY", port)),
        },
        Row {
            name: "deny-path-or-port",
            spec: "{action: DENY, rules: [{to: [{operation: {ports: ['8080']}}, {operation: {paths: [/x]}}]}]}",
            said: ("True", "This will be more restrictive than requested."),
            sent: Some(("DENY", one_of_two)),
        },
        Row {
            name: "allow-path",
            spec: "{action: ALLOW, rules: [{to: [{operation: {paths: [/x]}}]}]}",
            said: ("True", "rules matching HTTP attributes are omitted"),
            sent: Some(("ALLOW", Value::Null)),
        },
        Row {
            name: "allow-path-or-source",
            spec: "{action: ALLOW, rules: [{to: [{operation: {paths: [/x]}}]}, {from: [{source: {namespaces: [x]}}]}]}",
            said: ("True", "rules matching HTTP attributes are omitted"),
            sent: Some(("ALLOW", anyone_from_x)),
        },
        Row {
            name: "custom",
            spec: "{action: CUSTOM, provider: {name: any}, rules: [{to: [{operation: {paths: [/x]}}]}]}",
            said: ("False", "ztunnel does not support the CUSTOM action"),
            sent: None,
        },
        Row {
            name: "audit",
            spec: "{action: AUDIT, rules: [{to: [{operation: {paths: [/x]}}]}]}",
            said: ("False", "ztunnel does not support the AUDIT action"),
            sent: None,
        },
    ]
}

#[test]
fn what_istiod_sends_of_layer_7_and_says_about_it() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = bed.namespace_with("told", Settings::OutsideOfMesh);
    let spec_with_selector = |spec: &str| spec.replacen('{', "{selector: {matchLabels: {app: server}}, ", 1);
    for Row { name, spec, .. } in rows() {
        mesh.apply(&format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}}}\nspec: {}\n",
            spec_with_selector(spec)
        ));
    }
    for Row { name, said, .. } in rows() {
        let condition = eventually(SOON, || {
            let found = said_of(&mesh, name);
            if found.is_err() {
                read_again(&mesh, name);
            }
            found
        });
        let message = condition["message"].as_str().unwrap_or_default();
        assert_eq!(
            (&condition["status"], &condition["reason"]),
            (&said.0.into(), &"UnsupportedValue".into()),
            "{name}: {message}"
        );
        assert!(message.contains(said.1), "{name}: {message}");
    }
    let told = told(bed);
    let policies = told["policies"].as_array().unwrap();
    for Row { name, sent, .. } in rows() {
        let found = policies
            .iter()
            .find(|policy| policy["namespace"] == mesh.name() && policy["name"] == name);
        let found = found.map(|policy| {
            (
                policy["action"].as_str().unwrap_or("ALLOW"),
                policy["groups"].clone(),
            )
        });
        assert_eq!(found, sent, "{name}");
    }
}

/// The condition `ZtunnelAccepted` of a policy.
fn said_of(mesh: &Namespace<'_>, policy: &str) -> Result<Value, String> {
    let object = mesh
        .object("authorizationpolicy", policy)
        .map_err(|error| error.to_string())?;
    let condition = object["status"]["conditions"][0].clone();
    (condition["type"] == "ZtunnelAccepted")
        .then_some(condition)
        .ok_or(format!("{policy} has no status"))
}

/// Has istiod read a policy once more.
fn read_again(mesh: &Namespace<'_>, policy: &str) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let touched = format!("test/touched=at-{}", now.as_millis());
    let arguments = ["annotate", "--overwrite", "authorizationpolicy", policy, &touched];
    mesh.kubectl(&arguments).unwrap();
    std::thread::sleep(Duration::from_secs(1));
}

#[test]
fn of_many_policies_that_ztunnel_cannot_hold_some_get_no_status() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = bed.namespace_with("unsaid", Settings::OutsideOfMesh);
    // istiod knows all of these by one and the same key, and those that it reads at once hide each other.
    // About two of five are lost.
    let names: Vec<_> = (0..16).map(|number| format!("custom-{number}")).collect();
    let policies: Vec<_> = names
        .iter()
        .map(|name| {
            format!(
                "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}}}\n\
                 spec: {{action: CUSTOM, provider: {{name: any}}, rules: [{{}}]}}\n"
            )
        })
        .collect();
    mesh.apply(&policies.join("---\n"));
    // istiod has seen the last one when another one that is written later has its status.
    mesh.apply(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: last}\n\
         spec: {action: DENY, rules: [{}]}\n",
    );
    eventually(SOON, || said_of(&mesh, "last"));
    // Those that come late may come.
    std::thread::sleep(Duration::from_secs(4));
    let lost = names.iter().find(|name| said_of(&mesh, name).is_err());
    let lost = lost.expect("a policy without a status");
    eventually(SOON, || {
        read_again(&mesh, lost);
        said_of(&mesh, lost)
    });
}
