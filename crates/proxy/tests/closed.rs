//! What fails, fails closed.
#![expect(clippy::unwrap_used, reason = "a test")]

mod mesh;

use mesh::istiod::Istiod;
use mesh::{Authority, Running, apply, bare_node, deny, dial, node, record, start, start_with};
use prost::Message;
use proxy::config::{Config, Environment};
use proxy::control::grpc::Dialer;
use proxy::control::xds::Client;
use proxy::hbone::pool::{HboneError, connect, handshake};
use proxy::identity::Identity;
use proxy::inbound::{Asked, Denied};
use proxy::pod::Node;
use proxy::proto::{security, workload as wire};
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, timeout};

async fn in_local(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

/// A CONNECT with the client's certificate, past its proxy: the status of the answer.
async fn ask(client: &Running, to: SocketAddr) -> Result<u16, HboneError> {
    let pod = &client.pod;
    let expected = vec![Identity::new("cluster.local", "shop", "server").unwrap()];
    let credential = pod.credential().await?;
    let stream = TcpStream::connect((to.ip(), 15008)).await.unwrap();
    let (mut send, _, driver) = handshake(pod, &credential, expected, stream).await?;
    spawn_local(driver);
    let request = http::Request::builder().method("CONNECT").uri(to.to_string());
    match connect(&mut send, request.body(()).unwrap()).await {
        Ok(_) => Ok(200),
        Err(HboneError::Status(status)) => Ok(status.as_u16()),
        Err(error) => Err(error),
    }
}

/// Reads until the end of a connection that must bring nothing.
async fn is_dropped(mut stream: TcpStream) {
    let _ = stream.write_all(b"hello").await;
    let mut buffer = Vec::new();
    let read = timeout(Duration::from_secs(20), stream.read_to_end(&mut buffer)).await;
    assert!(
        read.is_ok_and(|read| read.is_err() || buffer.is_empty()),
        "{buffer:?}"
    );
}

/// An application, and whether anybody has reached it.
struct Application {
    address: SocketAddr,
    reached: Rc<Cell<bool>>,
}

async fn application(address: IpAddr) -> Application {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let reached = Rc::<Cell<bool>>::default();
    let seen = reached.clone();
    spawn_local(async move {
        while listener.accept().await.is_ok() {
            seen.set(true);
        }
    });
    Application { address, reached }
}

#[tokio::test(start_paused = true)]
async fn without_a_certificate_nothing_goes_in_or_out() {
    in_local(async {
        let authority = Authority::new();
        let at = |host: u8| IpAddr::from([127, 41, 0, host]);
        let node = node(vec![
            record("client", at(1)),
            record("server", at(2)),
            record("bare", at(3)),
        ]);
        let client = start(&node, "client", at(1), authority.issue("client"));
        let _server = start(&node, "server", at(2), authority.issue("server"));
        let bare = start_with(&node, "bare", at(3), None);
        let (inside, outside) = (application(at(3)).await, application(at(2)).await);
        let refused = ask(&client, inside.address).await;
        assert!(matches!(refused, Err(HboneError::Tls(_))), "{refused:?}");
        is_dropped(dial(&bare, outside.address).await).await;
        assert!(!inside.reached.get() && !outside.reached.get());
        assert_eq!(
            ask(&client, outside.address).await.unwrap(),
            200,
            "else the test proves nothing"
        );
        let metrics = node.metrics.text();
        let failures = metrics
            .lines()
            .filter(|line| line.contains("connections_failed_total{"));
        let identity = failures.filter(|line| line.contains("response_flags=\"IDENTITY_ERROR\""));
        assert_eq!(identity.count(), 2, "{metrics}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn before_istiod_has_answered_nothing_is_let_in() {
    in_local(async {
        let authority = Authority::new();
        let at = |host: u8| IpAddr::from([127, 42, 0, host]);
        let known = bare_node(vec![record("client", at(1)), record("server", at(2))]);
        let client = start(&known, "client", at(1), authority.issue("client"));
        let server = start(&known, "server", at(2), authority.issue("server"));
        let inside = application(at(2)).await;
        known.store.note(|received| received.addresses = true);
        let since = Instant::now();
        assert_eq!(ask(&client, inside.address).await.unwrap(), 401);
        assert!(since.elapsed() >= Duration::from_secs(5), "it may still come");
        assert!(!inside.reached.get());
        known.store.note(|received| received.policies = true);
        assert_eq!(ask(&client, inside.address).await.unwrap(), 200);
        // Plain connections are judged by the same policies, with nobody as the client.
        let plain = Asked {
            peer: None,
            source: "192.0.2.1:5".parse().unwrap(),
            destination: inside.address,
        };
        assert_eq!(plain.authorize(&server.pod).await, Ok(()));
        known.store.note(|received| received.policies = false);
        assert_eq!(
            plain.authorize(&server.pod).await,
            Err(Denied::NotKnown("*".into()))
        );
        // A pod that istiod does not know has no policies that could be all.
        let unknown = start(&bare_node(vec![]), "server", at(3), authority.issue("server"));
        unknown
            .pod
            .node
            .store
            .note(|received| (received.addresses, received.policies) = (true, true));
        assert_eq!(plain.authorize(&unknown.pod).await, Err(Denied::UnknownPod));
        assert_eq!(ask(&client, application(at(3)).await.address).await.unwrap(), 503);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_is_named_but_has_not_come_shuts_the_pod() {
    in_local(async {
        let authority = Authority::new();
        let at = |host: u8| IpAddr::from([127, 43, 0, host]);
        let mut server = record("server", at(2));
        server.authorization_policies = vec!["shop/late".into()];
        let node = node(vec![record("client", at(1)), server]);
        let client = start(&node, "client", at(1), authority.issue("client"));
        let _server = start(&node, "server", at(2), authority.issue("server"));
        let inside = application(at(2)).await;
        assert_eq!(ask(&client, inside.address).await.unwrap(), 401);
        assert!(!inside.reached.get());
        apply(
            &node,
            &security::Authorization {
                name: "late".into(),
                scope: 2,
                ..deny("nobody")
            },
        );
        assert_eq!(ask(&client, inside.address).await.unwrap(), 200);
    })
    .await;
}

/// A node that follows a test's istiod.
async fn followed() -> (Istiod, Arc<Node>) {
    let mut istiod = Istiod::start().await;
    let address = format!("http://{}", istiod.address);
    let find = |name: &str| match name {
        "XDS_ADDRESS" => Some(address.clone()),
        "POD_NAMESPACE" => Some("istio-system".to_owned()),
        _ => None,
    };
    let config = Config::read(&Environment(&find), &[]).unwrap();
    let node = bare_node(vec![]);
    let dialer = Dialer::new(&config.xds, &config, None);
    let client = Client::new(&config, dialer, node.store.clone(), node.metrics.clone());
    spawn_local(client.run());
    for expected in [wire::TYPE_URL, security::TYPE_URL] {
        assert_eq!(istiod.asked().await.type_url, expected);
    }
    (istiod, node)
}

fn address(workload: wire::Workload) -> Vec<u8> {
    let kind = Some(wire::AddressType::Workload(workload));
    wire::Address { kind }.encode_to_vec()
}

/// Whether somebody without an identity is let into each of these pods.
fn open(node: &Node, names: &[&str]) -> Vec<bool> {
    let state = node.store.load();
    let asked = Asked {
        peer: None,
        source: "192.0.2.1:5".parse().unwrap(),
        destination: "10.0.0.1:80".parse().unwrap(),
    };
    let one = |name: &&str| {
        let workload = state.workload(&format!("Kubernetes//Pod/shop/{name}")).unwrap();
        state
            .policies_for(workload)
            .is_ok_and(|policies| asked.decide(&policies).is_ok())
    };
    names.iter().map(one).collect()
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_is_refused_and_shuts_whom_it_is_for() {
    in_local(async {
        let (mut istiod, node) = followed().await;
        let mut chosen = record("chosen", [10, 0, 0, 1].into());
        chosen.authorization_policies = vec!["shop/selected".into()];
        let workloads = [chosen, record("other", [10, 0, 0, 2].into())];
        let names = ["Kubernetes//Pod/shop/chosen", "Kubernetes//Pod/shop/other"];
        let resources: Vec<_> = names.into_iter().zip(workloads.map(address)).collect();
        assert_eq!(
            istiod.push(wire::TYPE_URL, &resources, &[]).await.error_detail,
            None
        );
        let pods = ["chosen", "other"];
        let harmless = |name: &str, scope| security::Authorization {
            name: name.into(),
            scope,
            ..deny("cluster.local/ns/shop/sa/nobody")
        };
        let mut broken = harmless("selected", 2);
        broken.action = 7;
        let mut global = harmless("all", 0);
        global.namespace = "istio-system".into();
        let garbage = vec![0xff; 3];
        for (name, bytes, expected) in [
            (
                "shop/selected",
                harmless("selected", 2).encode_to_vec(),
                Some([true, true]),
            ),
            // Scope known: those that it selects.
            ("shop/selected", broken.encode_to_vec(), None),
            (
                "shop/selected",
                harmless("selected", 2).encode_to_vec(),
                Some([true, true]),
            ),
            // Bytes, but a scope known from before.
            ("shop/selected", garbage.clone(), None),
            (
                "shop/selected",
                harmless("selected", 2).encode_to_vec(),
                Some([true, true]),
            ),
            ("shop/new", garbage.clone(), None),
            ("shop/new", harmless("new", 1).encode_to_vec(), Some([true, true])),
            ("other/new", garbage.clone(), None),
            ("istio-system/all", garbage, None),
            ("istio-system/all", global.encode_to_vec(), Some([true, true])),
        ] {
            let answer = istiod.push(security::TYPE_URL, &[(name, bytes)], &[]).await;
            match (expected, answer.error_detail) {
                (Some(expected), None) => assert_eq!(open(&node, &pods), expected, "{name}"),
                (None, Some(error)) => {
                    assert!(error.message.contains(name), "{error:?}");
                    let shut: &[bool] = match name {
                        "shop/selected" => &[false, true],
                        "other/new" => &[true, true],
                        _ => &[false, false],
                    };
                    assert_eq!(open(&node, &pods), shut, "{name}");
                    assert!(node.store.hearing().rejected.contains_key(name));
                }
                (expected, error) => panic!("{name}: {expected:?}, {error:?}"),
            }
        }
        // Taken away, it shuts nobody, and is rejected no more.
        istiod.push(security::TYPE_URL, &[], &["other/new"]).await;
        assert!(node.store.hearing().rejected.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_workload_that_cannot_be_read_stays_with_the_policies_that_it_should_have() {
    in_local(async {
        let (mut istiod, node) = followed().await;
        let name = "Kubernetes//Pod/shop/server";
        let server = record("server", [10, 0, 0, 1].into());
        let good = address(server.clone());
        istiod.push(wire::TYPE_URL, &[(name, good.clone())], &[]).await;
        let shut = security::Authorization {
            scope: 2,
            rules: vec![security::Rule::default()],
            ..deny("x")
        };
        istiod
            .push(security::TYPE_URL, &[("shop/deny", shut.encode_to_vec())], &[])
            .await;
        assert_eq!(open(&node, &["server"]), [true], "not selected");
        let broken = wire::Workload {
            authorization_policies: vec!["shop/deny".into()],
            tunnel_protocol: 2,
            ..server
        };
        for (bytes, expected) in [(address(broken), false), (vec![0xff; 3], false), (good, true)] {
            let answer = istiod.push(wire::TYPE_URL, &[(name, bytes)], &[]).await;
            assert_eq!(answer.error_detail.is_none(), expected);
            assert_eq!(open(&node, &["server"]), [expected]);
        }
        // One that was never known is no pod that anybody is let into.
        let unknown = "Kubernetes//Pod/shop/unknown";
        istiod
            .push(wire::TYPE_URL, &[(unknown, vec![0xff; 3])], &[])
            .await;
        assert!(node.store.load().workload(unknown).is_none());
    })
    .await;
}

#[tokio::test]
async fn what_is_known_stays_when_istiod_goes() {
    in_local(async {
        let (mut istiod, node) = followed().await;
        let name = "Kubernetes//Pod/shop/server";
        istiod
            .push(
                wire::TYPE_URL,
                &[(name, address(record("server", [10, 0, 0, 1].into())))],
                &[],
            )
            .await;
        let shut = security::Authorization {
            rules: vec![security::Rule::default()],
            ..deny("x")
        };
        istiod
            .push(security::TYPE_URL, &[("shop/deny", shut.encode_to_vec())], &[])
            .await;
        assert!(node.metrics.text().contains("istio_xds_connected 1"));
        istiod.hang_up();
        let asked = istiod.asked().await;
        // It asks again at once, and says what it has.
        assert_eq!(asked.initial_resource_versions.keys().collect::<Vec<_>>(), [name]);
        assert!(node.metrics.text().contains("istio_xds_connected 0"));
        assert!(node.store.hearing().lost.is_some());
        assert!(node.store.received().all());
        assert_eq!(open(&node, &["server"]), [false]);
        istiod.asked().await;
        istiod.push(security::TYPE_URL, &[], &["shop/deny"]).await;
        assert_eq!(
            (node.store.hearing().lost, open(&node, &["server"])),
            (None, vec![true])
        );
    })
    .await;
}
