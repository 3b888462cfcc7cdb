//! Certificates: asked for before they are needed, renewed, given up with the last pod that needs them.
#![expect(clippy::unwrap_used, reason = "a test")]

mod mesh;

use mesh::authority::Server;
use mesh::{Authority, configured_node, node, record, start};
use proxy::control::ca::Credentials;
use proxy::hbone::pool::{HboneError, connect, handshake};
use proxy::identity::Identity;
use proxy::node::own_pod;
use proxy::pod::follow_identity;
use proxy::serve;
use proxy::zds::WorkloadInfo;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

async fn in_local(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

async fn comes(credentials: &mut Credentials) -> bool {
    let come = timeout(Duration::from_secs(5), credentials.wait_for(Option::is_some));
    matches!(come.await, Ok(Ok(_)))
}

#[tokio::test]
async fn one_certificate_serves_all_pods_of_an_identity_and_goes_with_the_last() {
    in_local(async {
        let (server, client) = Server::start(Rc::new(Authority::new())).await;
        let node = node(vec![
            record("web", [10, 0, 0, 1].into()),
            record("web2", [10, 0, 0, 2].into()),
        ]);
        let follow = |name: &str| {
            let (sender, receiver) = watch::channel(None);
            let info = WorkloadInfo {
                name: name.into(),
                namespace: "shop".into(),
                service_account: name.into(),
            };
            spawn_local(follow_identity(node.clone(), info, client.clone(), sender));
            receiver
        };
        // No connection has come: it is there before the first.
        let (mut first, mut second) = (follow("web"), follow("web"));
        assert!(comes(&mut first).await && comes(&mut second).await);
        let uri = "spiffe://cluster.local/ns/shop/sa/web";
        assert_eq!(*server.asked.borrow(), [uri]);
        assert_eq!(first.borrow().as_ref().unwrap().identity.uri(), uri);
        let mut other = follow("web2");
        assert!(comes(&mut other).await);
        drop(first);
        sleep(Duration::from_millis(50)).await;
        assert!(comes(&mut follow("web")).await);
        assert_eq!(server.asked.borrow().len(), 2, "one pod of it was left");
        drop(second);
        sleep(Duration::from_millis(50)).await;
        assert!(comes(&mut follow("web")).await);
        assert_eq!(*server.asked.borrow().last().unwrap(), uri);
        assert_eq!(server.asked.borrow().len(), 3, "forgotten with the last");
        // A pod that istiod does not know has no identity to ask for.
        assert!(
            timeout(Duration::from_millis(200), follow("unknown").changed())
                .await
                .is_err()
        );
    })
    .await;
}

#[tokio::test]
async fn a_certificate_is_renewed_at_half_its_life() {
    in_local(async {
        let (server, client) = Server::start(Rc::new(Authority::new())).await;
        server.lifetime.set(Some(Duration::from_secs(4)));
        let identity = Identity::new("cluster.local", "shop", "web").unwrap();
        let mut credentials = client.subscribe(&identity);
        assert!(comes(&mut credentials).await);
        let first = credentials.borrow_and_update().clone().unwrap();
        let renewed = timeout(Duration::from_millis(3500), credentials.changed()).await;
        assert!(renewed.is_ok(), "before the first ends");
        let second = credentials.borrow().clone().unwrap();
        assert!(second.not_after > first.not_after && first.is_valid());
    })
    .await;
}

#[tokio::test]
async fn a_certificate_for_somebody_else_is_not_taken() {
    in_local(async {
        let (server, client) = Server::start(Rc::new(Authority::new())).await;
        *server.instead.borrow_mut() = Some("spiffe://cluster.local/ns/shop/sa/admin".into());
        let identity = Identity::new("cluster.local", "shop", "web").unwrap();
        let mut credentials = client.subscribe(&identity);
        assert!(
            timeout(Duration::from_millis(500), credentials.wait_for(Option::is_some))
                .await
                .is_err()
        );
        *server.instead.borrow_mut() = None;
        assert!(comes(&mut credentials).await, "it asks again");
    })
    .await;
}

#[tokio::test]
async fn metrics_of_the_proxy_can_be_had_by_hbone_and_nothing_else() {
    in_local(async {
        let at = |host: u8| IpAddr::from([127, 71, 0, host]);
        let authority = Rc::new(Authority::new());
        let (_server, ca) = Server::start(authority.clone()).await;
        let metrics = TcpListener::bind((at(2), 0)).await.unwrap();
        let port = metrics.local_addr().unwrap().port();
        let other = TcpListener::bind((at(2), 0)).await.unwrap();
        let settings = [
            ("POD_NAME", "proxy"),
            ("POD_NAMESPACE", "shop"),
            ("SERVICE_ACCOUNT", "proxy"),
            ("STATS_PORT", &port.to_string()),
        ];
        let node = configured_node(&settings, vec![record("client", at(1)), record("proxy", at(2))]);
        let client = start(&node, "client", at(1), authority.issue("client"));
        let (pod, _phase) = own_pod(&node, &ca).unwrap();
        let listener = pod.sockets.listen_on(SocketAddr::new(at(2), 15008)).unwrap().0;
        let (busy, _ended) = mpsc::channel(1);
        serve::hbone_only(&pod, listener, &busy).unwrap();
        let ask = async |port: u16| {
            let expected = vec![Identity::new("cluster.local", "shop", "proxy").unwrap()];
            let credential = client.pod.credential().await.unwrap();
            let stream = TcpStream::connect((at(2), 15008)).await.unwrap();
            let (mut send, _, driver) = handshake(&client.pod, &credential, expected, stream)
                .await
                .unwrap();
            spawn_local(driver);
            let uri = SocketAddr::new(at(2), port).to_string();
            let request = http::Request::builder().method("CONNECT").uri(uri);
            match connect(&mut send, request.body(()).unwrap()).await {
                Ok(_) => 200,
                Err(HboneError::Status(status)) => status.as_u16(),
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(ask(port).await, 200);
        assert_eq!(ask(other.local_addr().unwrap().port()).await, 503);
        assert!(
            own_pod(&mesh::node(vec![]), &ca).is_none(),
            "without a name of its own"
        );
    })
    .await;
}
