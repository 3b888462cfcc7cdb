//! Connections of the pool, against servers with limits of their own.
#![expect(clippy::unwrap_used, reason = "a test")]

mod mesh;

use bytes::Bytes;
use h2::Reason;
use mesh::{Authority, Running, dial, node, record, start};
use proxy::hbone::nested::Nested;
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

struct Bed {
    client: Running,
    server: SocketAddr,
    /// Connections that the server has taken.
    connections: Rc<Cell<usize>>,
}

/// A server that takes `streams` at once on a connection, refuses the first `refusals` requests, and sends back what comes.
async fn bed(number: u8, streams: u32, refusals: usize) -> Bed {
    let at = |host: u8| IpAddr::from([127, number, 0, host]);
    let authority = Authority::new();
    let node = node(vec![record("client", at(1)), record("server", at(2))]);
    let acceptor = tokio_rustls::TlsAcceptor::from(authority.issue("server").server());
    let listener = TcpListener::bind((at(2), 15008)).await.unwrap();
    let connections = Rc::<Cell<usize>>::default();
    let (count, refusals) = (connections.clone(), Rc::new(Cell::new(refusals)));
    spawn_local(async move {
        loop {
            let (accepted, _) = listener.accept().await.unwrap();
            count.set(count.get() + 1);
            let (acceptor, refusals) = (acceptor.clone(), refusals.clone());
            spawn_local(async move {
                let stream = acceptor.accept(accepted).await.unwrap();
                let mut builder = h2::server::Builder::new();
                let handshake = builder
                    .max_concurrent_streams(streams)
                    .handshake::<_, Bytes>(stream);
                let mut connection = handshake.await.unwrap();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    if let Some(left) = refusals.get().checked_sub(1) {
                        refusals.set(left);
                        respond.send_reset(Reason::REFUSED_STREAM);
                        continue;
                    }
                    let send = respond.send_response(http::Response::new(()), false).unwrap();
                    let stream = Nested::new(send, request.into_body());
                    spawn_local(async move {
                        let (mut read, mut write) = tokio::io::split(stream);
                        let _ = tokio::io::copy(&mut read, &mut write).await;
                    });
                }
            });
        }
    });
    Bed {
        client: start(&node, "client", at(1), authority.issue("client")),
        server: SocketAddr::new(at(2), 80),
        connections,
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
async fn where_a_connection_is_full_another_is_made() {
    in_local(async {
        for (number, limit, streams, connections) in [(81, 2, 5, 3), (82, 200, 5, 1), (83, 200, 101, 2)] {
            let bed = bed(number, limit, 0).await;
            let mut open = Vec::new();
            for count in 0..streams {
                let mut stream = dial(&bed.client, bed.server).await;
                assert!(says(&mut stream).await, "stream {count} where {limit} are taken");
                open.push(stream);
            }
            assert_eq!(
                bed.connections.get(),
                connections,
                "for {streams} streams where {limit} are taken"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_that_was_refused_unseen_is_sent_again_once() {
    in_local(async {
        for (number, refusals, arrives) in [(84, 1, true), (85, 2, false)] {
            let bed = bed(number, 200, refusals).await;
            let mut stream = dial(&bed.client, bed.server).await;
            assert_eq!(says(&mut stream).await, arrives, "{refusals}");
        }
    })
    .await;
}
