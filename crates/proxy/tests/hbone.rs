//! Proxies that speak HBONE to each other through real sockets.
#![expect(clippy::unwrap_used, reason = "a test")]

mod mesh;

use mesh::{Authority, Running, apply, deny, dial, node, record, start};
use proxy::hbone::pool::{HboneError, Key, connect, handshake};
use proxy::identity::Identity;
use proxy::pod::{Node, Phase};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

const CLIENT_PRINCIPAL: &str = "cluster.local/ns/shop/sa/client";

struct Bed {
    node: Arc<Node>,
    client: Running,
    server: Running,
    application: SocketAddr,
}

/// Loopback addresses 127.`number`.0.1 for the client and 127.`number`.0.2 for the server.
async fn bed(number: u8) -> Bed {
    let authority = Authority::new();
    let (client, server) = (authority.issue("client"), authority.issue("server"));
    bed_with(number, client, server).await
}

async fn bed_with(number: u8, client: proxy::tls::Credential, server: proxy::tls::Credential) -> Bed {
    let at = |host: u8| IpAddr::from([127, number, 0, host]);
    let node = node(vec![record("client", at(1)), record("server", at(2))]);
    let application = TcpListener::bind((at(2), 0)).await.unwrap();
    let address = application.local_addr().unwrap();
    spawn_local(echo(application));
    Bed {
        client: start(&node, "client", at(1), client),
        server: start(&node, "server", at(2), server),
        node,
        application: address,
    }
}

/// Sends back what comes, and says how much it was when the client has ended.
async fn echo(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        spawn_local(async move {
            let mut buffer = vec![0; 64 << 10];
            let mut total = 0;
            while let Ok(read) = stream.read(&mut buffer).await {
                if read == 0 {
                    break;
                }
                total += read;
                if stream.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
            }
            let _ = stream.write_all(format!("<{total}>").as_bytes()).await;
        });
    }
}

async fn says(stream: &mut TcpStream, text: &str) -> bool {
    if stream.write_all(text.as_bytes()).await.is_err() {
        return false;
    }
    let mut buffer = vec![0; text.len()];
    let read = timeout(Duration::from_secs(8), stream.read_exact(&mut buffer)).await;
    matches!(read, Ok(Ok(_))) && buffer == text.as_bytes()
}

async fn in_local(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

/// A CONNECT with the client's certificate, past its proxy.
async fn ask(bed: &Bed, authority: &str, expected: &[&str]) -> Result<(), HboneError> {
    let pod = &bed.client.pod;
    let expected = expected
        .iter()
        .map(|account| Identity::new("cluster.local", "shop", account).unwrap());
    let credential = pod.credential().await?;
    let stream = TcpStream::connect((bed.application.ip(), 15008)).await.unwrap();
    let (mut send, _, driver) = handshake(pod, &credential, expected.collect(), stream).await?;
    spawn_local(driver);
    let request = http::Request::builder()
        .method("CONNECT")
        .uri(authority)
        .body(())
        .unwrap();
    connect(&mut send, request).await.map(|_| ())
}

fn status(result: Result<(), HboneError>) -> u16 {
    match result {
        Ok(()) => 200,
        Err(HboneError::Status(status)) => status.as_u16(),
        Err(error) => panic!("no answer: {error}"),
    }
}

#[tokio::test]
async fn bytes_and_ends_go_through() {
    in_local(async {
        let bed = bed(11).await;
        let mut stream = dial(&bed.client, bed.application).await;
        assert!(says(&mut stream, "hello").await);
        let data: Vec<u8> = (0..10 << 20).map(|n: u32| n.to_le_bytes()[0]).collect();
        let (mut read, mut write) = stream.into_split();
        let sent = data.clone();
        spawn_local(async move {
            write.write_all(&sent).await.unwrap();
            // Half close: the other direction goes on.
            write.shutdown().await.unwrap();
            std::future::pending::<()>().await;
        });
        let mut received = Vec::new();
        read.read_to_end(&mut received).await.unwrap();
        let (echoed, last) = received.split_at(data.len());
        assert!(echoed == data.as_slice());
        assert_eq!(last, format!("<{}>", data.len() + 5).as_bytes());
        let metrics = bed.node.metrics.text();
        for line in [
            "istio_tcp_connections_opened_total{reporter=\"source\"",
            "connection_security_policy=\"mutual_tls\"",
        ] {
            assert!(metrics.contains(line), "{line}: {metrics}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_policy_denies_is_401_and_open_connections_are_closed() {
    in_local(async {
        let bed = bed(12).await;
        let authority = bed.application.to_string();
        assert_eq!(status(ask(&bed, &authority, &["server"]).await), 200);
        let mut open = dial(&bed.client, bed.application).await;
        assert!(says(&mut open, "hello").await);
        apply(&bed.node, &deny(CLIENT_PRINCIPAL));
        assert_eq!(status(ask(&bed, &authority, &["server"]).await), 401);
        let mut buffer = [0; 1];
        let read = timeout(Duration::from_secs(5), open.read(&mut buffer))
            .await
            .unwrap();
        assert!(read.is_err(), "a reset, not an end: {read:?}");
        let mut refused = dial(&bed.client, bed.application).await;
        assert!(!says(&mut refused, "hello").await);
    })
    .await;
}

#[tokio::test]
async fn requests_for_elsewhere_are_refused() {
    in_local(async {
        let bed = bed(13).await;
        for (authority, expected) in [
            ("127.13.0.9:80", 400),
            ("127.13.0.2", 400),
            ("127.13.0.2:15001", 503),
            ("127.13.0.2:15008", 503),
            ("nobody.shop.svc.cluster.local:80", 503),
            ("127.13.0.2:1", 503),
        ] {
            assert_eq!(
                status(ask(&bed, authority, &["server"]).await),
                expected,
                "{authority}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn only_the_expected_identity_is_spoken_to() {
    in_local(async {
        let bed = bed(14).await;
        let authority = bed.application.to_string();
        assert_eq!(status(ask(&bed, &authority, &["other", "server"]).await), 200);
        for expected in [&["other"][..], &[]] {
            let refused = ask(&bed, &authority, expected).await;
            assert!(matches!(refused, Err(HboneError::Tls(_))), "{refused:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn strangers_are_not_let_in() {
    in_local(async {
        let authority = Authority::new();
        for (number, client) in [
            (15, Authority::new().issue("client")),
            (16, authority.issue_in("other.example", "client")),
        ] {
            let bed = bed_with(number, client, authority.issue("server")).await;
            let target = bed.application.to_string();
            let refused = ask(&bed, &target, &["server"]).await;
            assert!(refused.is_err());
            assert!(!matches!(refused, Err(HboneError::Status(_))), "{refused:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn streams_share_a_connection_and_a_drain_loses_none() {
    in_local(async {
        let mut bed = bed(17).await;
        let mut first = dial(&bed.client, bed.application).await;
        assert!(says(&mut first, "one").await);
        let mut second = dial(&bed.client, bed.application).await;
        assert!(says(&mut second, "two").await);
        bed.server.phase.send_replace(Phase::Draining);
        sleep(Duration::from_millis(100)).await;
        assert!(says(&mut first, "three").await && says(&mut second, "four").await);
        // GOAWAY has come: nothing new goes on the old connection, and the server listens no more.
        let mut third = dial(&bed.client, bed.application).await;
        assert!(!says(&mut third, "five").await);
        let pending = timeout(Duration::from_millis(200), bed.server.ended.recv()).await;
        assert!(pending.is_err(), "open streams hold the server");
        drop((first, second));
        let ended = timeout(Duration::from_secs(5), bed.server.ended.recv()).await;
        assert_eq!(ended, Ok(None), "without streams the drain is over");
    })
    .await;
}

#[tokio::test]
async fn pools_are_keyed_by_who_is_expected() {
    in_local(async {
        let bed = bed(18).await;
        let key = |account: &str| Key {
            source: Identity::new("cluster.local", "shop", "client").unwrap(),
            expected: vec![Identity::new("cluster.local", "shop", account).unwrap()],
            to: SocketAddr::new(bed.application.ip(), 15008),
            from: None,
        };
        let request = || {
            let uri = bed.application.to_string();
            http::Request::builder()
                .method("CONNECT")
                .uri(uri)
                .body(())
                .unwrap()
        };
        let (pod, pool) = (&bed.client.pod, &bed.client.pool);
        let open = pool.open(pod, &key("server"), request()).await;
        assert!(open.is_ok());
        let other = pool.open(pod, &key("other"), request()).await;
        assert!(matches!(other, Err(HboneError::Tls(_))));
    })
    .await;
}
