//! What the proxy says of itself over HTTP.
#![expect(clippy::unwrap_used, reason = "a test")]

mod mesh;

use mesh::{configured_node, deny, record};
use proxy::admin;
use proxy::node::Progress;
use proxy::pod::Node;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

struct Ports {
    admin: u16,
    stats: u16,
    readiness: u16,
}

async fn started() -> (Arc<Node>, Ports) {
    let ports = Ports {
        admin: free_port(),
        stats: free_port(),
        readiness: free_port(),
    };
    let [admin, stats, readiness] = [ports.admin, ports.stats, ports.readiness].map(|port| port.to_string());
    let settings = [
        ("ADMIN_PORT", admin.as_str()),
        ("STATS_PORT", &stats),
        ("READINESS_PORT", &readiness),
    ];
    let node = configured_node(&settings, vec![record("web", [10, 0, 0, 1].into())]);
    mesh::apply(&node, &deny("cluster.local/ns/shop/sa/client"));
    let reload = |filter: &str| {
        if filter == "debug" {
            Ok(())
        } else {
            Err("no filter".to_owned())
        }
    };
    admin::start(&node, &Arc::<Progress>::default(), Arc::new(reload))
        .await
        .unwrap();
    (node, ports)
}

/// Status and body of an answer.
async fn ask(port: u16, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))
        .await
        .unwrap();
    let request = format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn what_is_old_or_was_rejected_is_shown() {
    LocalSet::new()
        .run_until(async {
            let (node, ports) = started().await;
            let (status, body) = ask(ports.readiness, "GET /healthz/ready").await;
            assert_eq!(
                (status, body.as_str()),
                (500, "not ready, waiting for:\nthe pods from the node agent\n")
            );
            node.store.hear(|hearing| {
                hearing.lost = Some(SystemTime::now() - Duration::from_secs(90));
                hearing
                    .rejected
                    .insert("shop/broken".into(), "unknown value 7 of action".into());
            });
            let (status, body) = ask(ports.readiness, "GET /healthz/ready").await;
            assert_eq!(status, 500);
            for line in [
                "istiod has been gone for 9",
                "rejected shop/broken: unknown value 7 of action\n",
            ] {
                assert!(body.contains(line), "{body}");
            }
            let (status, body) = ask(ports.admin, "GET /config_dump").await;
            let dump: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(status, 200);
            assert_eq!(dump["istiod"]["connected"], false);
            assert_eq!(
                dump["istiod"]["rejected"]["shop/broken"],
                "unknown value 7 of action"
            );
            assert_eq!(dump["workloads"][0]["name"], "web", "it is kept: {dump}");
            assert_eq!(dump["policies"][0]["name"], "deny");
            let (status, body) = ask(ports.stats, "GET /metrics").await;
            assert_eq!(status, 200);
            assert!(
                body.contains("istio_xds_connected 0\n") && body.ends_with("# EOF\n"),
                "{body}"
            );
        })
        .await;
}

#[tokio::test]
async fn a_list_of_revoked_certificates_that_cannot_be_read_makes_unready() {
    LocalSet::new()
        .run_until(async {
            let (node, ports) = started().await;
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("ca-crl.pem");
            fs::write(&file, "garbage").unwrap();
            node.revocations.follow(file);
            let (status, body) = ask(ports.readiness, "GET /healthz/ready").await;
            assert_eq!(status, 500);
            assert!(
                body.contains("\na list of revoked certificates that can be read\n"),
                "{body}"
            );
        })
        .await;
}

#[tokio::test]
async fn each_port_has_its_own_paths() {
    LocalSet::new()
        .run_until(async {
            let (_node, ports) = started().await;
            for (port, request, status) in [
                (ports.admin, "POST /logging?level=debug", 200),
                (ports.admin, "POST /logging?level=x%3Dy", 400),
                (ports.admin, "GET /logging", 404),
                (ports.admin, "GET /metrics", 404),
                (ports.stats, "GET /stats/prometheus", 200),
                (ports.stats, "GET /config_dump", 404),
                (ports.readiness, "GET /config_dump", 404),
                (ports.readiness, "GET /", 404),
            ] {
                assert_eq!(ask(port, request).await.0, status, "{request}");
            }
        })
        .await;
}
