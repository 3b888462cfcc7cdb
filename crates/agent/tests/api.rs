//! What the agent asks of the API server, and what it makes of the answers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use kube::{Client, Config};
use mesh_agent::node::annotate::{Annotate, Redirection, ThroughApi};
use mesh_agent::node::stays;
use mesh_agent::pod::{Labels, Pod, PodName, PodUid};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

/// What an API server was asked.
struct Asked {
    /// Method and path.
    line: String,
    content_type: String,
    body: Value,
}

/// An API server that gives every request one answer.
fn api_server(status: u16, body: &Value) -> (Client, mpsc::Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (sender, asked) = mpsc::channel();
    let body = body.to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                if line.trim().is_empty() {
                    break;
                }
                head.push(line.trim().to_owned());
            }
            let header = |name: &str| {
                let found = head
                    .iter()
                    .find_map(|line| line.to_lowercase().strip_prefix(name).map(str::to_owned));
                found.unwrap_or_default().trim().to_owned()
            };
            let mut content = vec![0; header("content-length:").parse().unwrap_or(0)];
            stream.read_exact(&mut content).unwrap();
            let asked = Asked {
                line: head[0].trim_end_matches(" HTTP/1.1").to_owned(),
                content_type: header("content-type:"),
                body: serde_json::from_slice(&content).unwrap_or_default(),
            };
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            if sender.send(asked).is_err() {
                return;
            }
        }
    });
    let config = Config::new(address.parse().unwrap());
    (Client::try_from(config).unwrap(), asked)
}

fn failure(code: u16) -> Value {
    let reason = if code == 404 { "NotFound" } else { "Other" };
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": "m"})
}

fn pod() -> Pod {
    Pod {
        uid: PodUid::new("u-1").unwrap(),
        name: PodName {
            namespace: "shop".into(),
            name: "web-1".into(),
        },
        service_account: "web".into(),
        host_network: false,
        labels: Labels::new(),
        annotations: Labels::new(),
        addresses: Vec::new(),
        terminal: false,
    }
}

#[tokio::test]
async fn the_annotation_goes_through_the_status_of_exactly_this_pod() {
    for (to, value) in [
        (Redirection::Enabled, json!("enabled")),
        (Redirection::Pending, json!("pending")),
        (Redirection::None, Value::Null),
    ] {
        let answer = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web-1"}});
        let (client, asked) = api_server(200, &answer);
        ThroughApi(client).annotate(&pod(), to).await.unwrap();
        let asked = asked.recv().unwrap();
        assert_eq!(asked.line, "PATCH /api/v1/namespaces/shop/pods/web-1/status?");
        assert_eq!(asked.content_type, "application/merge-patch+json");
        let annotations = json!({"ambient.istio.io/redirection": value});
        assert_eq!(
            asked.body,
            json!({"metadata": {"uid": "u-1", "annotations": annotations}})
        );
    }
}

#[tokio::test]
async fn a_pod_that_is_gone_needs_no_annotation_and_other_failures_are_told() {
    for (code, fine) in [(404, true), (409, true), (403, false), (422, false)] {
        let (client, _asked) = api_server(code, &failure(code));
        let outcome = ThroughApi(client).annotate(&pod(), Redirection::Enabled).await;
        assert_eq!(outcome.is_ok(), fine, "{code}: {outcome:?}");
    }
}

#[tokio::test]
async fn all_is_left_in_place_unless_the_daemon_set_is_known_to_be_gone() {
    let found = |meta: Value| json!({"kind": "DaemonSet", "apiVersion": "apps/v1", "metadata": meta});
    for (code, body, left) in [
        (200, found(json!({"name": "agent"})), true),
        (
            200,
            found(json!({"name": "agent", "deletionTimestamp": "2026-01-01T00:00:00Z"})),
            false,
        ),
        (404, failure(404), false),
        (403, failure(403), true),
        (500, failure(500), true),
    ] {
        let (client, asked) = api_server(code, &body);
        assert_eq!(stays(client, "mesh", "agent").await, left, "{code} {body}");
        assert_eq!(
            asked.recv().unwrap().line,
            "GET /apis/apps/v1/namespaces/mesh/daemonsets/agent"
        );
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = Client::try_from(Config::new(format!("http://{closed}").parse().unwrap())).unwrap();
    assert!(stays(client, "mesh", "agent").await, "no API server");
}
