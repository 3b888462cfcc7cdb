//! HBONE inside HBONE, through the gateway of another network.
#![expect(clippy::unwrap_used, reason = "a test")]

mod mesh;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use mesh::{Authority, Running, configured_node, dial, record, start};
use proxy::hbone::nested::Nested;
use proxy::pod::Node;
use proxy::proto::workload as wire;
use proxy::state::{Change, decode};
use proxy::tls::Credential;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

const HOST: &str = "web.shop.svc.cluster.local";
const VIP: [u8; 4] = [10, 99, 0, 1];

async fn in_local(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

fn bytes(address: IpAddr) -> Bytes {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec().into(),
        IpAddr::V6(v6) => v6.octets().to_vec().into(),
    }
}

/// The service, with its VIP in one network.
fn service(network: &str, target: u16, identities: &[&str]) -> Change {
    let message = wire::Service {
        name: "web".into(),
        namespace: "shop".into(),
        hostname: HOST.into(),
        addresses: vec![wire::NetworkAddress {
            network: network.into(),
            address: VIP.to_vec().into(),
            length: None,
        }],
        ports: vec![wire::Port {
            service_port: 80,
            target_port: target.into(),
            app_protocol: 0,
        }],
        subject_alt_names: identities
            .iter()
            .map(|account| format!("spiffe://cluster.local/ns/shop/sa/{account}"))
            .collect(),
        ..wire::Service::default()
    };
    Change::Service(decode::service(message).unwrap())
}

fn endpoint(mut workload: wire::Workload) -> wire::Workload {
    workload.services = HashMap::from([(format!("shop/{HOST}"), wire::PortList::default())]);
    workload
}

struct Bed {
    client: Running,
    here: Arc<Node>,
    there: Arc<Node>,
    _server: Running,
    /// Headers of the CONNECT requests that the gateway has seen.
    asked: Rc<RefCell<Vec<http::request::Parts>>>,
}

/// The client in the default network at 127.`number`.0.1; the server at .2 and the gateway at .3 in `network-2`.
async fn bed(number: u8, identities: &[&str], gateway_account: &str) -> Bed {
    let at = |host: u8| IpAddr::from([127, number, 0, host]);
    let authority = Authority::new();
    let application = TcpListener::bind((at(2), 0)).await.unwrap();
    let port = application.local_addr().unwrap().port();
    spawn_local(echo(application));

    let mut gateway = record("gateway", at(3));
    gateway.network = "network-2".into();
    let remote = endpoint(wire::Workload {
        uid: "network-2/SplitHorizonWorkload/gateway/shop/web".into(),
        addresses: vec![],
        network: "network-2".into(),
        network_gateway: Some(wire::GatewayAddress {
            destination: Some(wire::GatewayDestination::Address(wire::NetworkAddress {
                network: "network-2".into(),
                address: bytes(at(3)),
                length: None,
            })),
            hbone_mtls_port: 15008,
        }),
        ..record("remote", at(3))
    });
    let mut from = record("client", at(1));
    from.workload_name = "client-deployment".into();
    let here = configured_node(&[], vec![from, gateway, remote]);
    here.store
        .replace(here.store.load().with(vec![service("", port, identities)]));

    let mut to = endpoint(record("server", at(2)));
    to.network = "network-2".into();
    // Somebody else lies at the gateway's address, as this network knows it: not the client.
    let mut other = record("other", at(3));
    other.network = "network-2".into();
    let there = configured_node(&[("NETWORK", "network-2")], vec![to, other]);
    there
        .store
        .replace(there.store.load().with(vec![service("network-2", port, &[])]));

    let asked = Rc::<RefCell<_>>::default();
    let listener = TcpListener::bind((at(3), 15008)).await.unwrap();
    spawn_local(gateway_at(
        listener,
        authority.issue(gateway_account),
        at(2),
        asked.clone(),
    ));
    Bed {
        client: start(&here, "client", at(1), authority.issue("client")),
        _server: start(&there, "server", at(2), authority.issue("server")),
        here,
        there,
        asked,
    }
}

/// Ends the outer layer only, and passes the bytes on to the server's port for HBONE.
async fn gateway_at(
    listener: TcpListener,
    credential: Credential,
    server: IpAddr,
    asked: Rc<RefCell<Vec<http::request::Parts>>>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(credential.server());
        let asked = asked.clone();
        spawn_local(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, respond))) = connection.accept().await {
                let (head, body) = request.into_parts();
                asked.borrow_mut().push(head);
                spawn_local(pass_on(respond, body, server));
            }
        });
    }
}

async fn pass_on(mut respond: SendResponse<Bytes>, body: RecvStream, server: IpAddr) {
    let mut tcp = TcpStream::connect((server, 15008)).await.unwrap();
    let send: SendStream<Bytes> = respond.send_response(http::Response::new(()), false).unwrap();
    let _ = copy_bidirectional(&mut Nested::new(send, body), &mut tcp).await;
}

async fn echo(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        spawn_local(async move {
            let (mut read, mut write) = stream.split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = write.write_all(b"<end>").await;
        });
    }
}

fn vip() -> SocketAddr {
    SocketAddr::new(VIP.into(), 80)
}

#[tokio::test]
async fn bytes_and_ends_go_through_a_gateway() {
    in_local(async {
        let bed = bed(51, &["server"], "gateway").await;
        for round in 1..=2 {
            let data: Vec<u8> = (0..3 << 20).map(|n: u32| n.to_le_bytes()[0]).collect();
            let (mut read, mut write) = dial(&bed.client, vip()).await.into_split();
            let sent = data.clone();
            spawn_local(async move {
                write.write_all(&sent).await.unwrap();
                write.shutdown().await.unwrap();
                std::future::pending::<()>().await;
            });
            let mut received = Vec::new();
            let read = timeout(Duration::from_secs(20), read.read_to_end(&mut received)).await;
            read.unwrap().unwrap();
            assert!(
                received == [data.as_slice(), b"<end>"].concat(),
                "{}",
                received.len()
            );
            // The outer connection is shared, each inner one is a stream of it.
            let asked = bed.asked.borrow();
            assert_eq!(asked.len(), round);
            let head = asked.last().unwrap();
            assert_eq!(head.uri.authority().unwrap().as_str(), format!("{HOST}:80"));
            assert!(head.headers.contains_key("baggage") && head.headers.contains_key("forwarded"));
            assert!(
                !head.headers.contains_key("x-forwarded-network"),
                "only for the inner one"
            );
        }
        // The server knows the client by what it tells, not by an address that is somebody else's in its network.
        let metrics = bed.there.metrics.text();
        let mut opened = metrics
            .lines()
            .filter(|line| line.starts_with("istio_tcp_connections_opened_total{"));
        let line = opened.next().unwrap();
        assert!(line.contains("source_workload=\"client-deployment\""), "{line}");
        assert!(
            line.contains("source_principal=\"spiffe://cluster.local/ns/shop/sa/client\""),
            "{line}"
        );
        assert!(
            line.contains(&format!("destination_service=\"{HOST}\"")),
            "{line}"
        );
        let metrics = bed.here.metrics.text();
        assert!(
            metrics.contains("connection_security_policy=\"mutual_tls\""),
            "{metrics}"
        );
    })
    .await;
}

#[tokio::test]
async fn gateway_and_server_must_both_be_who_they_should_be() {
    in_local(async {
        for (number, identities, gateway, asked) in [
            (52, &["other"][..], "gateway", 1),
            (53, &[], "gateway", 1),
            (54, &["server"], "impostor", 0),
        ] {
            let bed = bed(number, identities, gateway).await;
            let mut stream = dial(&bed.client, vip()).await;
            let _ = stream.write_all(b"hello").await;
            let mut received = Vec::new();
            let read = timeout(Duration::from_secs(5), stream.read_to_end(&mut received)).await;
            assert!(read.unwrap().is_err() && received.is_empty());
            assert_eq!(bed.asked.borrow().len(), asked);
            let metrics = bed.here.metrics.text();
            assert!(metrics.contains("response_flags=\"TLS_FAILURE\""), "{metrics}");
        }
    })
    .await;
}
