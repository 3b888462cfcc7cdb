//! What a cluster does by itself, as far as gates see it: rollouts of workloads, and istiod's word on waypoints and
//! policies.

use crate::api::Api;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

const APPS: &str = "/apis/apps/v1/namespaces/shop";
const PODS: &str = "/api/v1/namespaces/shop/pods";
const POLICIES: &str = "/apis/security.istio.io/v1/namespaces/shop/authorizationpolicies";
const GATEWAYS: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/gateways";

/// Runs until the process of the tests ends.
pub fn start(kubeconfig: PathBuf) {
    std::thread::spawn(move || {
        let api = Api::new(&kubeconfig);
        loop {
            for (plural, kind) in [("deployments", "Deployment"), ("statefulsets", "StatefulSet")] {
                for workload in api.items(&format!("{APPS}/{plural}")) {
                    roll_out(&api, plural, kind, &workload);
                }
            }
            for gateway in api.items(GATEWAYS) {
                program(&api, &gateway);
            }
            collect_garbage(&api);
            for policy in api.items(POLICIES) {
                accept(&api, &policy);
            }
            std::thread::sleep(Duration::from_millis(40));
        }
    });
}

/// Whether a controller leaves this object alone.
fn is_stuck(object: &Value) -> bool {
    object["metadata"]["annotations"]["test/stuck"] == "true"
}

fn roll_out(api: &Api, plural: &str, kind: &str, workload: &Value) {
    let generation = &workload["metadata"]["generation"];
    if workload["status"]["observedGeneration"] == *generation || is_stuck(workload) {
        return;
    }
    let name = workload["metadata"]["name"].as_str().unwrap();
    let replicas = workload["spec"]["replicas"].as_i64().unwrap_or(1);
    let owner = if kind == "Deployment" {
        json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{name}-{generation}"), "uid": "x", "controller": true})
    } else {
        json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "x", "controller": true})
    };
    for pod in api.items(PODS) {
        let pod_name = pod["metadata"]["name"].as_str().unwrap();
        if pod_name.starts_with(&format!("{name}-")) {
            api.delete(&format!("{PODS}/{pod_name}"));
        }
    }
    for number in 0..replicas {
        make_pod(
            api,
            &format!("{name}-{generation}-{number}"),
            &owner,
            &workload["spec"]["template"],
        );
    }
    let status = json!({"status": {
        "observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas,
        "readyReplicas": replicas, "availableReplicas": replicas,
    }});
    let _ = api.merge(
        &format!("{APPS}/{plural}/{name}/status?fieldManager=controller"),
        &status,
    );
}

fn make_pod(api: &Api, name: &str, owner: &Value, template: &Value) {
    let mut pod = template.clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = name.into();
    pod["metadata"]["ownerReferences"] = json!([owner]);
    if template["metadata"]["labels"]["istio.io/dataplane-mode"] == "ambient" {
        pod["metadata"]["annotations"]["ambient.istio.io/redirection"] = "enabled".into();
    } else {
        let sidecar = json!({"name": "istio-proxy", "image": "registry.example.com/proxy:1"});
        pod["spec"]["containers"].as_array_mut().unwrap().push(sidecar);
    }
    let _ = api.post(PODS, &pod);
    let status = json!({"status": {"phase": "Pending", "conditions": [{"type": "Ready", "status": "True"}]}});
    let _ = api.merge(&format!("{PODS}/{name}/status"), &status);
}

/// istiod's part: the Gateway's status, its Deployment and its Service.
fn program(api: &Api, gateway: &Value) {
    let name = gateway["metadata"]["name"].as_str().unwrap();
    let done = gateway["status"]["conditions"]
        .as_array()
        .is_some_and(|conditions| {
            conditions
                .iter()
                .any(|c| c["type"] == "Programmed" && c["status"] == "True")
        });
    if done || is_stuck(gateway) {
        return;
    }
    let metadata = json!({"name": name, "namespace": "shop",
        "labels": {"gateway.networking.k8s.io/gateway-name": name},
        "ownerReferences": [{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "name": name,
            "uid": gateway["metadata"]["uid"]}]});
    let labels =
        json!({"gateway.networking.k8s.io/gateway-name": name, "istio.io/dataplane-mode": "ambient"});
    let _ = api.post(
        &format!("{APPS}/deployments?fieldManager=istiod"),
        &json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"containers": [{"name": "istio-proxy", "image": "registry.example.com/proxy:1"}]}}},
        }),
    );
    let _ = api.post(
        "/api/v1/namespaces/shop/services?fieldManager=istiod",
        &json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"name": "hbone", "port": 15008}]},
        }),
    );
    let status = json!({"status": {"conditions": [{
        "type": "Programmed", "status": "True", "reason": "Programmed", "message": "",
        "observedGeneration": gateway["metadata"]["generation"], "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]}});
    let _ = api.merge(&format!("{GATEWAYS}/{name}/status?fieldManager=istiod"), &status);
}

/// What belonged to a Gateway that is gone.
fn collect_garbage(api: &Api) {
    let gateways: Vec<Value> = api
        .items(GATEWAYS)
        .iter()
        .map(|gateway| gateway["metadata"]["uid"].clone())
        .collect();
    for path in [
        format!("{APPS}/deployments"),
        "/api/v1/namespaces/shop/services".to_owned(),
    ] {
        for object in api.items(&path) {
            let owner = &object["metadata"]["ownerReferences"][0];
            if owner["kind"] == "Gateway" && !gateways.contains(&owner["uid"]) {
                let name = object["metadata"]["name"].as_str().unwrap();
                api.delete(&format!("{path}/{name}"));
                for pod in api.items(PODS) {
                    let pod_name = pod["metadata"]["name"].as_str().unwrap();
                    if pod_name.starts_with(&format!("{name}-")) {
                        api.delete(&format!("{PODS}/{pod_name}"));
                    }
                }
            }
        }
    }
}

fn accept(api: &Api, policy: &Value) {
    let name = policy["metadata"]["name"].as_str().unwrap();
    if policy["spec"]["targetRefs"].is_null() || !policy["status"]["conditions"].is_null() || is_stuck(policy)
    {
        return;
    }
    let status = json!({"status": {"conditions": [{
        "type": "WaypointAccepted", "status": "True", "reason": "Accepted", "message": "bound to waypoint",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]}});
    let _ = api.merge(&format!("{POLICIES}/{name}/status?fieldManager=istiod"), &status);
}
