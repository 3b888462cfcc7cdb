//! What becomes of a selector policy with layer 7 in it once the pod's sidecar is gone (H1): the four outcomes,
//! beside what istiod says about each.

use crate::{SOON, no_answer};
use bed::{Bed, Namespace, Settings, settled};
use std::time::Duration;

/// What requests for `/open` and for `/admin/x` get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// All is refused: an outage.
    Outage,
    /// All passes, the forbidden too: a breach.
    Breach,
}

struct Row {
    spec: &'static str,
    outcome: Outcome,
    /// The condition `ZtunnelAccepted`: status, reason, and part of the message.
    said: (&'static str, &'static str, &'static str),
}

const TABLE: &[Row] = &[
    // An ALLOW loses the rule, and the default of a policy without rules is to refuse.
    Row {
        spec: "{action: ALLOW, rules: [{to: [{operation: {paths: [/open]}}]}]}",
        outcome: Outcome::Outage,
        said: (
            "True",
            "UnsupportedValue",
            "rules matching HTTP attributes are omitted",
        ),
    },
    // A DENY by layer 7 alone never matches, against what istiod says.
    Row {
        spec: "{action: DENY, rules: [{to: [{operation: {paths: [/admin/*]}}]}]}",
        outcome: Outcome::Breach,
        said: (
            "True",
            "UnsupportedValue",
            "In ambient mode you must use a waypoint proxy",
        ),
    },
    // So does one whose `from` remains, because the clause for `to` is empty.
    Row {
        spec: "{action: DENY, rules: [{from: [{source: {namespaces: [$OWN]}}], to: [{operation: {paths: [/admin/*]}}]}]}",
        outcome: Outcome::Breach,
        said: ("True", "UnsupportedValue", "more restrictive"),
    },
    // One with a port beside the path denies the port.
    Row {
        spec: "{action: DENY, rules: [{to: [{operation: {paths: [/admin/*], ports: ['8080']}}]}]}",
        outcome: Outcome::Outage,
        said: ("True", "UnsupportedValue", "more restrictive than requested"),
    },
    // CUSTOM is not sent at all.
    Row {
        spec: "{action: CUSTOM, provider: {name: shop-ext-authz}, rules: [{to: [{operation: {paths: [/admin/*]}}]}]}",
        outcome: Outcome::Breach,
        said: (
            "False",
            "UnsupportedValue",
            "ztunnel does not support the CUSTOM action",
        ),
    },
];

fn outcome(mesh: &Namespace<'_>) -> Result<Outcome, String> {
    let [open, admin] =
        ["/open", "/admin/x"].map(|path| mesh.get("client", &format!("http://server{path}"), &[]));
    match (open.status, admin.status) {
        (Some(200), Some(200)) => Ok(Outcome::Breach),
        (None, None) => Ok(Outcome::Outage),
        other => Err(format!("something else: {other:?}")),
    }
}

#[test]
fn a_policy_with_layer_7_is_an_outage_or_a_breach_without_a_sidecar() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = bed.namespace_with("outcomes", Settings::Ambient);
    mesh.server("client");
    mesh.server("server");
    mesh.server("witness");
    for (number, row) in TABLE.iter().enumerate() {
        let spec = row.spec.replace("$OWN", mesh.name());
        let spec = spec.strip_prefix('{').unwrap();
        mesh.apply(&format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: row-{number}}}\n\
             spec: {{selector: {{matchLabels: {{app: server}}}}, {spec}\n"
        ));
        // What is written after it has come, so has it.
        mesh.apply(&format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: witness-{number}}}\n\
             spec: {{selector: {{matchLabels: {{app: witness}}}}}}\n"
        ));
        bed::eventually(SOON, || no_answer(mesh.get("client", "http://witness/", &[])));
        settled(SOON, Duration::from_secs(2), || match outcome(&mesh)? {
            found if found == row.outcome => Ok(()),
            found => Err(format!("{spec}: {found:?}")),
        });
        let policy = mesh
            .object("authorizationpolicy", &format!("row-{number}"))
            .unwrap();
        let condition = policy["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|condition| condition["type"] == "ZtunnelAccepted")
            .unwrap_or_else(|| panic!("{spec}: {}", policy["status"]));
        let (status, reason, part) = row.said;
        assert_eq!(condition["status"], status, "{spec}: {condition}");
        assert_eq!(condition["reason"], reason, "{spec}: {condition}");
        assert!(
            condition["message"].as_str().unwrap().contains(part),
            "{spec}: {condition}"
        );
        for name in ["row", "witness"] {
            mesh.kubectl(&["delete", "authorizationpolicy", &format!("{name}-{number}")])
                .unwrap();
        }
        bed::eventually(SOON, || mesh.get("client", "http://witness/", &[]).expect(200));
    }
}
