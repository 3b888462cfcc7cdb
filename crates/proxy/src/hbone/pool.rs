//! The client's connections, kept for further streams. A pool belongs to one pod on one worker: no lock.

use crate::identity::Identity;
use crate::keepalive;
use crate::pod::{NotReady, Phase, Pod};
use crate::telemetry::Reporter;
use crate::tls::revocation::{Usage, is_revocation_io};
use crate::tls::{self, Credential};
use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, StatusCode};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

const MAX_HEADER_LIST: u32 = 16 << 10;
const SEND_BUFFER: usize = 4 << 20;
/// How often an HBONE connection is probed.
pub const PING_INTERVAL: Duration = Duration::from_secs(10);
/// How long a probe may take.
pub const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Streams that we have reset and still know, for frames of theirs that are on their way.
const MAX_RESET_STREAMS: usize = 50;
/// Streams that we may have to reset because of a server's errors.
const MAX_ERROR_RESETS: usize = 256;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the answer to a CONNECT may take. The server itself gives its application ten seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A stream that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum HboneError {
    /// We have nothing to prove our identity with.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// No TCP connection.
    #[error("connection failed: {0}")]
    Connect(#[source] io::Error),
    /// TLS failed; the server may be somebody else.
    #[error("TLS handshake failed: {0}")]
    Tls(#[source] io::Error),
    /// Our certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] tls::CertificateProblem),
    /// HTTP/2 failed.
    #[error("HTTP/2 failed: {0}")]
    Http2(#[from] h2::Error),
    /// The server refused the stream.
    #[error("http status: {0}")]
    Status(StatusCode),
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
}

/// What two streams must have in common to share a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// Ours.
    pub source: Identity,
    /// The server's.
    pub expected: Vec<Identity>,
    /// Its address.
    pub to: SocketAddr,
    /// The address that we come from.
    pub from: Option<IpAddr>,
}

/// The connections of a pod on one worker.
#[derive(Default)]
pub struct Pool {
    entries: RefCell<HashMap<Key, Rc<Entry>>>,
}

#[derive(Default)]
struct Entry {
    connections: RefCell<Vec<Rc<Connection>>>,
    building: Mutex<()>,
}

struct Connection {
    send: SendRequest<Bytes>,
    revoked: Rc<Cell<bool>>,
    streams: Cell<usize>,
    used: Cell<Instant>,
}

/// A place on a connection.
pub struct Lease(Rc<Connection>);

impl Lease {
    fn new(connection: &Rc<Connection>) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        Self(connection.clone())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get() - 1);
        self.0.used.set(Instant::now());
    }
}

/// An open stream.
pub struct Stream {
    /// To the server.
    pub send: SendStream<Bytes>,
    /// From the server.
    pub receive: RecvStream,
    /// Its place on the connection.
    pub lease: Lease,
    /// Set when the certificate of a server on the way is revoked.
    pub revoked: Vec<Rc<Cell<bool>>>,
}

impl Pool {
    /// Opens a stream to the server of `key`, on a connection that there is or a new one.
    ///
    /// # Errors
    /// If the server is not there, is not who it must be, or refuses.
    pub async fn open(
        self: &Rc<Self>,
        pod: &Arc<Pod>,
        key: &Key,
        request: Request<()>,
    ) -> Result<Stream, HboneError> {
        let entry = self.entries.borrow_mut().entry(key.clone()).or_default().clone();
        let mut refused = false;
        loop {
            let (mut send, lease) = self.place(pod, key, &entry).await?;
            match connect(&mut send, request.clone()).await {
                // The server has not touched the request: it had no room for one more, before it could say so.
                Err(HboneError::Http2(error))
                    if !refused && error.reason() == Some(Reason::REFUSED_STREAM) && error.is_remote() =>
                {
                    refused = true;
                }
                result => {
                    let (send, receive) = result?;
                    return Ok(Stream {
                        send,
                        receive,
                        revoked: vec![lease.0.revoked.clone()],
                        lease,
                    });
                }
            }
        }
    }

    /// A place on a connection, which may have to be made.
    async fn place(
        self: &Rc<Self>,
        pod: &Arc<Pod>,
        key: &Key,
        entry: &Rc<Entry>,
    ) -> Result<(SendRequest<Bytes>, Lease), HboneError> {
        let limit = pod.node.config.pool_streams;
        // Bounded: each round either takes a connection or throws a dead one away.
        loop {
            if let Some(lease) = entry.free(limit) {
                let ready = timeout(ANSWER_TIMEOUT, lease.0.send.clone().ready()).await;
                match ready.map_err(|_| HboneError::Timeout)? {
                    Ok(send) => return Ok((send, lease)),
                    Err(_) => {
                        entry.forget(&lease.0);
                        continue;
                    }
                }
            }
            let _turn = entry.building.lock().await;
            // Whoever had the turn before may have built one with room for us.
            if entry.free(limit).is_none() {
                let connection = self.connect(pod, key, entry).await?;
                entry.connections.borrow_mut().push(connection);
            }
        }
    }

    async fn connect(
        self: &Rc<Self>,
        pod: &Arc<Pod>,
        key: &Key,
        entry: &Rc<Entry>,
    ) -> Result<Rc<Connection>, HboneError> {
        let credential = pod.credential().await?;
        let stream = pod
            .sockets
            .connect(key.from, key.to)
            .await
            .map_err(HboneError::Connect)?;
        let (send, revoked, driver) = handshake(pod, &credential, key.expected.clone(), stream).await?;
        let connection = Rc::new(Connection {
            send,
            revoked,
            streams: Cell::new(0),
            used: Cell::new(Instant::now()),
        });
        let (pool, pod, key) = (self.clone(), pod.clone(), key.clone());
        let (entry, kept) = (entry.clone(), connection.clone());
        tokio::task::spawn_local(async move {
            tokio::select! {
                () = driver => {}
                () = unused(&kept, pod.node.config.pool_idle) => {}
                () = pod.reached(Phase::Stopped) => {}
            }
            entry.forget(&kept);
            if entry.connections.borrow().is_empty() && entry.building.try_lock().is_ok() {
                pool.entries.borrow_mut().remove(&key);
            }
        });
        Ok(connection)
    }
}

impl Entry {
    fn free(&self, limit: usize) -> Option<Lease> {
        let connections = self.connections.borrow();
        let free = connections.iter().find(|connection| {
            // A server that takes no streams at all for now is waited for.
            let theirs = connection.send.current_max_send_streams().max(1);
            connection.streams.get() < limit.min(theirs)
        });
        free.map(Lease::new)
    }

    fn forget(&self, connection: &Rc<Connection>) {
        self.connections
            .borrow_mut()
            .retain(|other| !Rc::ptr_eq(other, connection));
    }
}

async fn unused(connection: &Connection, limit: Duration) {
    loop {
        let since = connection.used.get().elapsed();
        if connection.streams.get() == 0 && since >= limit {
            return;
        }
        sleep(limit.saturating_sub(since).max(Duration::from_secs(1))).await;
    }
}

/// Makes an HBONE connection of a byte stream. The second value becomes true if the server's certificate is revoked, the
/// third one drives the connection and must be polled.
///
/// # Errors
/// If the server is not who it must be, or does not speak HTTP/2.
pub async fn handshake<S>(
    pod: &Pod,
    credential: &Credential,
    expected: Vec<Identity>,
    stream: S,
) -> Result<
    (
        SendRequest<Bytes>,
        Rc<Cell<bool>>,
        impl Future<Output = ()> + use<S>,
    ),
    HboneError,
>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let settings = &pod.node.config;
    let metrics = pod.node.metrics.clone();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(credential.client(expected)?));
    let stream = timeout(HANDSHAKE_TIMEOUT, connector.connect(tls::no_name(), stream))
        .await
        .map_err(|_| HboneError::Timeout)?
        .map_err(|error| {
            if is_revocation_io(&error) {
                metrics.revoked(Reporter::Source);
            }
            HboneError::Tls(error)
        })?;
    let peer = credential.peer(stream.get_ref().1.peer_certificates(), Usage::Server);
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .max_frame_size(settings.frame_size)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(Some(MAX_ERROR_RESETS))
        .initial_max_send_streams(settings.pool_streams)
        .enable_push(false);
    let handshake = builder.handshake(stream);
    let (send, mut connection) = timeout(HANDSHAKE_TIMEOUT, handshake)
        .await
        .map_err(|_| HboneError::Timeout)??;
    let alive = keepalive::watch(connection.ping_pong(), PING_INTERVAL, PING_TIMEOUT);
    let revoked = Rc::<Cell<bool>>::default();
    let found = revoked.clone();
    let driver = async move {
        tokio::select! {
            _ = connection => {}
            () = alive => {}
            () = peer.revoked() => {
                metrics.revoked(Reporter::Source);
                found.set(true);
            }
        }
    };
    Ok((send, revoked, driver))
}

/// Sends a CONNECT and waits for its answer.
///
/// # Errors
/// If the answer is any but 200.
pub async fn connect(
    send: &mut SendRequest<Bytes>,
    request: Request<()>,
) -> Result<(SendStream<Bytes>, RecvStream), HboneError> {
    let (response, stream) = send.send_request(request, false)?;
    let response = timeout(ANSWER_TIMEOUT, response)
        .await
        .map_err(|_| HboneError::Timeout)??;
    if response.status() != StatusCode::OK {
        return Err(HboneError::Status(response.status()));
    }
    Ok((stream, response.into_body()))
}
