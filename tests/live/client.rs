//! What the tests do to a server themselves: ask whether it is ready, and create objects.

use http::{Method, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use model::{Kind, Node, yaml};
use serde_json::Value;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

/// Whether the server says that all of it has started.
pub fn is_ready(kubeconfig: &Path) -> bool {
    run(async {
        let request = Request::get("/readyz").body(Vec::new()).unwrap();
        let Ok(client) = client(kubeconfig).await else {
            return false;
        };
        client.request_text(request).await.is_ok()
    })
}

/// Creates every object of the files, in their order.
pub fn create(kubeconfig: &Path, files: &[&str]) {
    run(async {
        let client = client(kubeconfig).await.unwrap();
        for object in files.iter().flat_map(|file| objects(file)) {
            create_object(&client, &object).await;
        }
    });
}

/// Creates one object.
pub fn create_value(kubeconfig: &Path, object: &Value) {
    run(async {
        let client = client(kubeconfig).await.unwrap();
        create_object(&client, object).await;
    });
}

/// The objects in the text of a file.
pub fn objects(file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    parse(&text)
}

/// The objects of a text.
pub fn parse(text: &str) -> Vec<Value> {
    yaml::documents(text)
        .into_iter()
        .filter_map(|chunk| yaml::parse(chunk).unwrap())
        .map(|node: Node| Value::from(&node))
        .collect()
}

/// What the server has against creating an object; it is not created. Fields that it does not know are errors.
pub fn refusal(kubeconfig: &Path, object: &Value) -> Option<String> {
    run(async {
        let client = client(kubeconfig).await.unwrap();
        let path = format!("{}?dryRun=All&fieldValidation=Strict", collection(object));
        let error = client.request_text(post(&path, object)).await.err()?;
        Some(format!("{path}: {error}"))
    })
}

/// Waits until a kind whose definition was just created is served.
pub fn wait_for(kubeconfig: &Path, path: &str) {
    run(async {
        let client = client(kubeconfig).await.unwrap();
        for _ in 0..300 {
            let request = Request::get(path).body(Vec::new()).unwrap();
            if client.request_text(request).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{path} is not served");
    });
}

/// The path that objects of this kind and namespace are created at.
fn collection(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let api_version = text(&object["apiVersion"]);
    let namespace = text(&object["metadata"]["namespace"]);
    let root = if api_version.contains('/') { "apis" } else { "api" };
    let place = if namespace.is_empty() {
        String::new()
    } else {
        format!("/namespaces/{namespace}")
    };
    format!("/{root}/{api_version}{place}/{}", plural(object))
}

fn post(path: &str, object: &Value) -> Request<Vec<u8>> {
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("content-type", "application/json")
        .body(serde_json::to_vec(object).unwrap())
        .unwrap()
}

async fn create_object(client: &Client, object: &Value) {
    let path = collection(object);
    // The server may still be making its own namespaces, or getting to know a kind.
    let mut last = String::new();
    for _ in 0..100 {
        match client.request_text(post(&path, object)).await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if status.code == 409 => return,
            Err(error) => last = error.to_string(),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{path}: {last}");
}

fn plural(object: &Value) -> String {
    let group = object["apiVersion"].as_str().unwrap_or_default();
    let group = group.split_once('/').map_or("", |(group, _)| group);
    let name = object["kind"].as_str().unwrap_or_default();
    match Kind::new(group, name) {
        Kind::Other(other) => format!("{}s", other.name.to_lowercase()),
        kind => kind.plural().to_owned(),
    }
}

async fn client(kubeconfig: &Path) -> Result<Client, Box<dyn std::error::Error>> {
    let config = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}
