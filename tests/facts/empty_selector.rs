//! A policy whose selector is there, but empty: everything to a sidecar, nothing to a node proxy.

use crate::SOON;
use bed::{Bed, Settings, eventually, settled};
use serde_json::Value;
use std::time::Duration;

/// The selector in the policy's spec, the policy's name, and whether istiod attaches it to the pods of its
/// namespace, for node proxies.
const SELECTORS: [(&str, &str, bool); 3] = [
    ("selector: {}", "empty-selector", false),
    ("selector: {matchLabels: {}}", "empty-labels", true),
    ("selector: {matchLabels: {app: server}}", "labels", true),
];

fn deny(name: &str, selector: &str, rule: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}}}\n\
         spec:\n  {selector}\n  action: DENY\n  rules: [{rule}]\n"
    )
}

#[test]
fn an_empty_selector_selects_every_pod_with_a_sidecar() {
    let Some(bed) = Bed::shared() else { return };
    let mesh = bed.namespace("empty-sidecar");
    mesh.server("client");
    mesh.server("server");
    for (selector, name, _) in SELECTORS {
        mesh.apply(&deny(
            name,
            selector,
            &format!("{{to: [{{operation: {{paths: [/{name}]}}}}]}}"),
        ));
    }
    for (_, name, _) in SELECTORS {
        let url = format!("http://server/{name}");
        settled(SOON, Duration::from_secs(1), || {
            mesh.get("client", &url, &[]).expect(403).map(drop)
        });
    }
    mesh.get("client", "http://server/open", &[]).expect(200).unwrap();
}

/// What istiod tells node proxies about a pod of this namespace: the policies attached to it by selector.
fn attached(bed: &Bed, namespace: &str) -> Vec<String> {
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
    let told: Value = serde_json::from_str(text.trim()).unwrap();
    let workloads = told["workloads"].as_array().into_iter().flatten();
    let mut names: Vec<_> = workloads
        .filter(|workload| workload["namespace"] == namespace)
        .flat_map(|workload| workload["authorizationPolicies"].as_array().into_iter().flatten())
        .filter_map(|name| Some(name.as_str()?.rsplit_once('/')?.1.to_owned()))
        .collect();
    names.sort();
    names
}

#[test]
fn an_empty_selector_selects_no_pod_at_ztunnel_though_its_status_says_accepted() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = bed.namespace_with("empty-ztunnel", Settings::OutsideOfMesh);
    mesh.server("server");
    let rule = "{from: [{source: {namespaces: [elsewhere]}}]}";
    for (selector, name, _) in SELECTORS {
        mesh.apply(&deny(name, selector, rule));
    }
    // All three have been read once all have a status; the last of them is then attached as well.
    for (_, name, _) in SELECTORS {
        eventually(SOON, || {
            let policy = mesh
                .object("authorizationpolicy", name)
                .map_err(|error| error.to_string())?;
            let condition = &policy["status"]["conditions"][0];
            let said = ["type", "status", "reason"].map(|key| condition[key].as_str().unwrap_or_default());
            (said == ["ZtunnelAccepted", "True", "Accepted"])
                .then_some(())
                .ok_or(policy["status"].to_string())
        });
    }
    let mut expected: Vec<_> = SELECTORS
        .iter()
        .filter(|(_, _, attached)| *attached)
        .map(|(_, name, _)| (*name).to_owned())
        .collect();
    expected.sort();
    settled(SOON, Duration::from_secs(1), || {
        let now = attached(bed, mesh.name());
        (now == expected)
            .then_some(())
            .ok_or(format!("attached: {now:?}"))
    });
}
