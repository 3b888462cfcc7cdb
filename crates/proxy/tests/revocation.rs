//! Revoked certificates: no new connections, and an end to those that there are.
#![expect(clippy::unwrap_used, reason = "a test")]

mod mesh;

use mesh::{Authority, Running, dial, node, record, start};
use proxy::pod::Node;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

struct Bed {
    authority: Authority,
    node: Arc<Node>,
    clients: [Running; 2],
    _server: Running,
    application: SocketAddr,
    serials: [u64; 3],
    folder: tempfile::TempDir,
}

impl Bed {
    fn file(&self) -> PathBuf {
        self.folder.path().join("ca-crl.pem")
    }

    /// As the kubelet does it: another file in the place of the old one.
    async fn write(&self, text: &str) {
        let next = self.folder.path().join("next");
        fs::write(&next, text).unwrap();
        fs::rename(next, self.file()).unwrap();
        sleep(Duration::from_millis(2500)).await;
    }

    async fn revoke(&self, serials: &[u64]) {
        self.write(&self.authority.revoke(serials)).await;
    }

    fn count(&self, metric: &str) -> usize {
        let metrics = self.node.metrics.text();
        metrics.lines().filter(|line| line.contains(metric)).count()
    }
}

/// Two clients at 127.`number`.0.1 and .3, and a server at .2 that sends back what comes.
async fn bed(number: u8) -> Bed {
    let at = |host: u8| IpAddr::from([127, number, 0, host]);
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    authority.revocations.follow(folder.path().join("ca-crl.pem"));
    let names = ["client", "other", "server"];
    let node = node(
        names
            .into_iter()
            .zip([1, 3, 2])
            .map(|(name, host)| record(name, at(host)))
            .collect(),
    );
    let mut serials = [0; 3];
    let mut run = |place: usize, host| {
        let credential = authority.issue(names[place]);
        serials[place] = authority.last_serial();
        start(&node, names[place], at(host), credential)
    };
    let (clients, _server) = ([run(0, 1), run(1, 3)], run(2, 2));
    let listener = TcpListener::bind((at(2), 0)).await.unwrap();
    let application = listener.local_addr().unwrap();
    spawn_local(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            spawn_local(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    Bed {
        authority,
        node,
        clients,
        _server,
        application,
        serials,
        folder,
    }
}

async fn says(stream: &mut TcpStream) -> bool {
    if stream.write_all(b"hello").await.is_err() {
        return false;
    }
    let mut buffer = [0; 5];
    let read = timeout(Duration::from_secs(5), stream.read_exact(&mut buffer)).await;
    matches!(read, Ok(Ok(_)))
}

async fn in_local(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_revoked_client_is_cut_off_and_others_are_not() {
    in_local(async {
        let bed = bed(61).await;
        let mut open = dial(&bed.clients[0], bed.application).await;
        let mut other = dial(&bed.clients[1], bed.application).await;
        assert!(
            says(&mut open).await && says(&mut other).await,
            "no file: nothing is revoked"
        );
        bed.revoke(&[bed.serials[0]]).await;
        assert!(!says(&mut open).await && says(&mut other).await);
        assert!(!says(&mut dial(&bed.clients[0], bed.application).await).await);
        assert!(says(&mut dial(&bed.clients[1], bed.application).await).await);
        assert_eq!(bed.count("connections_failed_total{reporter=\"destination\""), 2);
        assert_eq!(
            bed.count("response_flags=\"CERT_REVOKED\""),
            2,
            "closed, and failed"
        );
        assert_eq!(
            bed.count("istio_crl_policy_rejections_total{reporter=\"destination\"} 2"),
            1
        );
    })
    .await;
}

#[tokio::test]
async fn a_revoked_server_is_left() {
    in_local(async {
        let bed = bed(62).await;
        let mut open = dial(&bed.clients[0], bed.application).await;
        assert!(says(&mut open).await);
        bed.revoke(&[bed.serials[2]]).await;
        assert!(!says(&mut open).await);
        assert!(!says(&mut dial(&bed.clients[0], bed.application).await).await);
        assert_eq!(
            bed.count("istio_crl_policy_rejections_total{reporter=\"source\"} 2"),
            1
        );
    })
    .await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_leaves_the_lists_as_they_were() {
    in_local(async {
        let bed = bed(63).await;
        let revocations = &bed.authority.revocations;
        bed.revoke(&[bed.serials[0]]).await;
        for text in [
            "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
            "garbage",
            "-----BEGIN",
        ] {
            bed.write(text).await;
            let problem = revocations.problem();
            assert!(
                problem.is_some_and(|problem| problem.contains("ca-crl.pem")),
                "{text}"
            );
            assert!(
                !says(&mut dial(&bed.clients[0], bed.application).await).await,
                "{text}"
            );
        }
        // Lists of other authorities say nothing of ours; several may stand in one file.
        bed.write(
            &[
                Authority::new().revoke(&[1, 2, 3, 4, 5]),
                bed.authority.revoke(&[77]),
            ]
            .concat(),
        )
        .await;
        assert_eq!(revocations.problem(), None);
        assert!(says(&mut dial(&bed.clients[0], bed.application).await).await);
        fs::remove_file(bed.file()).unwrap();
        sleep(Duration::from_millis(2500)).await;
        assert_eq!(revocations.problem(), None);
        assert!(says(&mut dial(&bed.clients[0], bed.application).await).await);
    })
    .await;
}
