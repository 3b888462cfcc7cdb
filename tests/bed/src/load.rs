//! Continuous load from a pod, each request counted.

use crate::layout::{IMAGE_HUB, IMAGE_TAG};
use crate::{Bed, Namespace};
use serde_json::Value;

/// Asks the control port of the load client of a namespace, which is called `load`.
///
/// # Errors
/// Why there was no answer, in words.
pub fn control(bed: &Bed, namespace: &str, method: &str, path: &str) -> Result<Value, String> {
    let url = format!("http://127.0.0.1:8081{path}");
    let arguments = [
        "--namespace",
        namespace,
        "exec",
        "deployment/load",
        "--container=workload",
        "--",
    ];
    let program = ["/mesh-workload", "get", &url, "--method", method];
    let text = bed
        .kubectl()
        .run(&[&arguments[..], &program].concat())
        .map_err(|error| error.to_string())?;
    let answer: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    Ok(answer["body"].clone())
}

/// Every stream of which something else than expected came, with its counts.
#[must_use]
pub fn unexpected(report: &Value) -> Vec<String> {
    streams(report)
        .filter(|(_, count)| count["sent"] != count["expected"] || count["sent"] == 0)
        .map(|(name, count)| format!("{name}: {count}"))
        .collect()
}

/// How many requests were sent, and how many of them became something else than expected.
#[must_use]
pub fn totals(report: &Value) -> (u64, u64) {
    let number = |count: &Value, field: &str| count[field].as_u64().unwrap_or_default();
    streams(report).fold((0, 0), |(sent, lost), (_, count)| {
        let (asked, expected) = (number(count, "sent"), number(count, "expected"));
        (sent + asked, lost + asked.saturating_sub(expected))
    })
}

fn streams(report: &Value) -> impl Iterator<Item = (&String, &Value)> {
    report["streams"].as_object().into_iter().flatten()
}

impl Namespace<'_> {
    /// A Deployment `load` that sends these streams, in JSON, until the namespace goes.
    ///
    /// # Panics
    /// Where it does not get ready.
    pub fn load(&self, streams: &str) {
        let indented = streams.trim().replace('\n', "\n    ");
        self.apply(&format!(
            r"apiVersion: v1
kind: ServiceAccount
metadata: {{name: load}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: load}}
data:
  streams.json: |
    {indented}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: load}}
spec:
  selector: {{matchLabels: {{app: load}}}}
  template:
    metadata: {{labels: {{app: load}}}}
    spec:
      serviceAccountName: load
      containers:
      - name: workload
        image: {IMAGE_HUB}/workload:{IMAGE_TAG}
        imagePullPolicy: Never
        args: [load, /streams/streams.json]
        env:
        - {{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
        resources: {{requests: {{cpu: 1m, memory: 8Mi}}}}
        readinessProbe:
          httpGet: {{path: /healthz, port: 8081}}
          periodSeconds: 1
        volumeMounts: [{{name: streams, mountPath: /streams}}]
      volumes:
      - {{name: streams, configMap: {{name: load}}}}
"
        ));
        self.wait_ready("deployment/load");
    }
}
