//! Requests of the tests themselves.

use http::Request;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// A blocking client.
pub struct Api {
    runtime: Runtime,
    client: Client,
}

impl Api {
    pub fn new(kubeconfig: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let client = runtime.block_on(async {
            let config = Kubeconfig::read_from(kubeconfig).unwrap();
            let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default())
                .await
                .unwrap();
            Client::try_from(config).unwrap()
        });
        Self { runtime, client }
    }

    /// The HTTP status and the text of an answer.
    pub fn raw(&self, method: &str, path: &str, content_type: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        self.runtime.block_on(async {
            let request = Request::builder().method(method).uri(path);
            let request = request
                .header("content-type", content_type)
                .body(Body::from(body))
                .unwrap();
            let answer = self.client.send(request).await.unwrap();
            let status = answer.status().as_u16();
            let bytes = answer.into_body().collect_bytes().await.unwrap();
            (status, bytes.to_vec())
        })
    }

    fn json(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> Result<Value, (u16, Value)> {
        let bytes = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        let (status, answer) = self.raw(method, path, content_type, bytes);
        let answer = serde_json::from_slice(&answer).unwrap_or_default();
        if status < 300 {
            Ok(answer)
        } else {
            Err((status, answer))
        }
    }

    pub fn get(&self, path: &str) -> Option<Value> {
        self.json("GET", path, "application/json", &Value::Null).ok()
    }

    pub fn items(&self, path: &str) -> Vec<Value> {
        let list = self.get(path).unwrap_or_else(|| panic!("{path}"));
        list["items"].as_array().cloned().unwrap_or_default()
    }

    pub fn post(&self, path: &str, object: &Value) -> Result<Value, (u16, Value)> {
        self.json("POST", path, "application/json", object)
    }

    pub fn put(&self, path: &str, object: &Value) -> Result<Value, (u16, Value)> {
        self.json("PUT", path, "application/json", object)
    }

    pub fn merge(&self, path: &str, patch: &Value) -> Result<Value, (u16, Value)> {
        self.json("PATCH", path, "application/merge-patch+json", patch)
    }

    pub fn apply(&self, path: &str, manager: &str, object: &Value) -> Result<Value, (u16, Value)> {
        let path = format!("{path}?fieldManager={manager}&force=true");
        self.json("PATCH", &path, "application/apply-patch+yaml", object)
    }

    pub fn delete(&self, path: &str) {
        let now = serde_json::json!({"gracePeriodSeconds": 0});
        let _ = self.json("DELETE", path, "application/json", &now);
    }
}

/// Waits until something is so.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(30) {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    panic!("never: {what}");
}
