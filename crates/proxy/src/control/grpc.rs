//! As much of a gRPC client as xDS and the certificate authority need.

use crate::config::{Config, ControlPlane, Roots};
use crate::keepalive;
use crate::tls::{self, CertificateProblem};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use hickory_resolver::TokioResolver;
use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Request, StatusCode, Uri, Version};
use prost::Message;
use rustls_pki_types::ServerName;
use std::io;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest message taken, in bytes.
const MAX_MESSAGE: usize = 200 << 20;
const WINDOW: u32 = 8 << 20;

/// A call that failed.
#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    /// istiod's name does not resolve.
    #[error("{host} cannot be resolved: {reason}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// No connection.
    #[error("cannot connect: {0}")]
    Io(#[from] io::Error),
    /// The roots cannot be used.
    #[error("root certificates: {0}")]
    Roots(#[from] CertificateProblem),
    /// HTTP/2 failed.
    #[error("HTTP/2: {0}")]
    Http2(#[from] h2::Error),
    /// A request that cannot be written.
    #[error("the request cannot be written: {0}")]
    Request(#[from] http::Error),
    /// The server's word.
    #[error("gRPC status {code}: {message}")]
    Status {
        /// The code.
        code: String,
        /// The text.
        message: String,
    },
    /// Not a gRPC answer.
    #[error("HTTP status {0}")]
    Http(StatusCode),
    /// Not the message expected.
    #[error("not the message expected: {0}")]
    Decode(#[from] prost::DecodeError),
    /// A message too long or cut off.
    #[error("a broken gRPC frame")]
    Frame,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
}

/// Makes connections to istiod and authenticates calls.
#[derive(Debug, Clone)]
pub struct Dialer {
    plane: ControlPlane,
    token: PathBuf,
    cluster_id: String,
    resolver: Option<Arc<TokioResolver>>,
}

impl Dialer {
    /// For one purpose. Without a resolver only addresses can be dialled.
    #[must_use]
    pub fn new(plane: &ControlPlane, config: &Config, resolver: Option<Arc<TokioResolver>>) -> Self {
        Self {
            plane: plane.clone(),
            token: config.token.clone(),
            cluster_id: config.cluster_id.clone(),
            resolver,
        }
    }

    async fn addresses(&self) -> Result<Vec<IpAddr>, GrpcError> {
        let host = &self.plane.host;
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let failed = |reason: String| GrpcError::Resolve {
            host: host.clone(),
            reason,
        };
        let resolver = self
            .resolver
            .as_ref()
            .ok_or_else(|| failed("no resolv.conf".to_owned()))?;
        let found = resolver.lookup_ip(host.as_str()).await;
        Ok(found.map_err(|error| failed(error.to_string()))?.iter().collect())
    }

    /// Connects.
    ///
    /// # Errors
    /// If istiod is not there, or does not prove to be istiod.
    pub async fn connect(&self) -> Result<Channel, GrpcError> {
        timeout(CONNECT_TIMEOUT, self.connect_slowly())
            .await
            .map_err(|_| GrpcError::Timeout)?
    }

    async fn connect_slowly(&self) -> Result<Channel, GrpcError> {
        let mut result = Err(GrpcError::Timeout);
        for address in self.addresses().await? {
            let to = SocketAddr::new(address, self.plane.port);
            result = match TcpStream::connect(to).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return self.handshake(stream, to).await;
                }
                Err(error) => Err(error.into()),
            };
        }
        result
    }

    async fn handshake(&self, stream: TcpStream, to: SocketAddr) -> Result<Channel, GrpcError> {
        if self.plane.plaintext {
            return self.http2(stream).await;
        }
        let pem = match &self.plane.roots {
            Roots::Text(pem) => pem.clone(),
            Roots::File(path) => tokio::fs::read_to_string(path).await?,
        };
        let connector = tokio_rustls::TlsConnector::from(Arc::new(tls::control_plane(&pem)?));
        let first = self.tls(&connector, &self.plane.host, stream).await;
        match (first, &self.plane.alternative_host) {
            (Ok(stream), _) => self.http2(stream).await,
            (Err(error), None) => Err(error),
            (Err(_), Some(other)) => {
                let again = TcpStream::connect(to).await?;
                self.http2(self.tls(&connector, other, again).await?).await
            }
        }
    }

    async fn tls(
        &self,
        connector: &tokio_rustls::TlsConnector,
        host: &str,
        stream: TcpStream,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, GrpcError> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(connector.connect(name, stream).await?)
    }

    async fn http2<S>(&self, stream: S) -> Result<Channel, GrpcError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (send, mut connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(2 * WINDOW)
            .enable_push(false)
            .handshake(stream)
            .await?;
        let alive = keepalive::watch(connection.ping_pong(), PING_INTERVAL, PING_TIMEOUT);
        tokio::spawn(async move {
            tokio::select! {
                _ = connection => {}
                () = alive => {}
            }
        });
        Ok(Channel {
            send,
            dialer: self.clone(),
        })
    }

    async fn request(&self, path: &'static str) -> Result<Request<()>, GrpcError> {
        let scheme = if self.plane.plaintext { "http" } else { "https" };
        let host = match self.plane.host.contains(':') {
            true => format!("[{}]", self.plane.host),
            false => self.plane.host.clone(),
        };
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(format!("{host}:{}", self.plane.port))
            .path_and_query(PathAndQuery::from_static(path))
            .build()?;
        let mut request = Request::builder()
            .version(Version::HTTP_2)
            .method(Method::POST)
            .uri(uri)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("clusterid", &self.cluster_id);
        // Read anew each time: the kubelet replaces it.
        if let Ok(token) = tokio::fs::read_to_string(&self.token).await {
            request = request.header("authorization", format!("Bearer {}", token.trim()));
        }
        Ok(request.body(())?)
    }
}

/// A connection to istiod.
#[derive(Debug, Clone)]
pub struct Channel {
    send: SendRequest<Bytes>,
    dialer: Dialer,
}

impl Channel {
    /// One request, one answer.
    ///
    /// # Errors
    /// If the server says so, or the connection fails.
    pub async fn unary<M: Message, R: Message + Default>(
        &self,
        path: &'static str,
        message: &M,
        limit: Duration,
    ) -> Result<R, GrpcError> {
        let call = async {
            let (mut sending, mut receiving) = self.stream::<M, R>(path).await?;
            sending.send(message)?;
            sending.finish()?;
            receiving.next().await?.ok_or(GrpcError::Frame)
        };
        timeout(limit, call).await.map_err(|_| GrpcError::Timeout)?
    }

    /// A stream in both directions.
    ///
    /// # Errors
    /// If the connection fails.
    pub async fn stream<M: Message, R: Message + Default>(
        &self,
        path: &'static str,
    ) -> Result<(Sending<M>, Receiving<R>), GrpcError> {
        let request = self.dialer.request(path).await?;
        let mut send = self.send.clone().ready().await?;
        let (response, stream) = send.send_request(request, false)?;
        let sending = Sending {
            stream,
            kind: PhantomData,
        };
        let receiving = Receiving {
            state: Some(response),
            body: None,
            buffer: BytesMut::new(),
            kind: PhantomData,
        };
        Ok((sending, receiving))
    }
}

/// What we send.
pub struct Sending<M> {
    stream: SendStream<Bytes>,
    kind: PhantomData<fn(M)>,
}

impl<M: Message> Sending<M> {
    /// Sends a message. It is kept in memory until the server takes it.
    ///
    /// # Errors
    /// If the stream is over.
    pub fn send(&mut self, message: &M) -> Result<(), GrpcError> {
        let length = message.encoded_len();
        let mut frame = BytesMut::with_capacity(length + 5);
        frame.put_u8(0);
        frame.put_u32(u32::try_from(length).map_err(|_| GrpcError::Frame)?);
        frame.put(message.encode_to_vec().as_slice());
        Ok(self.stream.send_data(frame.freeze(), false)?)
    }

    fn finish(&mut self) -> Result<(), GrpcError> {
        Ok(self.stream.send_data(Bytes::new(), true)?)
    }
}

/// What the server sends.
pub struct Receiving<R> {
    state: Option<h2::client::ResponseFuture>,
    body: Option<RecvStream>,
    buffer: BytesMut,
    kind: PhantomData<fn() -> R>,
}

impl<R: Message + Default> Receiving<R> {
    /// Waits for the next message; `None` if the server ended the stream without an error.
    ///
    /// # Errors
    /// If the server says so, or the connection fails.
    pub async fn next(&mut self) -> Result<Option<R>, GrpcError> {
        if let Some(response) = self.state.as_mut() {
            let response = response.await?;
            self.state = None;
            if response.status() != StatusCode::OK {
                return Err(GrpcError::Http(response.status()));
            }
            status(response.headers())?;
            self.body = Some(response.into_body());
        }
        let body = self.body.as_mut().ok_or(GrpcError::Frame)?;
        loop {
            if let Some(message) = take_frame(&mut self.buffer)? {
                return Ok(Some(R::decode(message)?));
            }
            match body.data().await {
                Some(chunk) => {
                    let chunk = chunk?;
                    body.flow_control().release_capacity(chunk.len())?;
                    self.buffer.extend_from_slice(&chunk);
                }
                None => {
                    status(&body.trailers().await?.unwrap_or_default())?;
                    return Ok(None);
                }
            }
        }
    }
}

fn take_frame(buffer: &mut BytesMut) -> Result<Option<Bytes>, GrpcError> {
    let Some((&[compressed, a, b, c, d], _)) = buffer.split_first_chunk::<5>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if compressed != 0 || length > MAX_MESSAGE {
        return Err(GrpcError::Frame);
    }
    if buffer.len() < length + 5 {
        buffer.reserve(length + 5 - buffer.len());
        return Ok(None);
    }
    buffer.advance(5);
    Ok(Some(buffer.split_to(length).freeze()))
}

fn status(headers: &HeaderMap) -> Result<(), GrpcError> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    match text("grpc-status") {
        "" | "0" => Ok(()),
        code => Err(GrpcError::Status {
            code: code.to_owned(),
            message: text("grpc-message").to_owned(),
        }),
    }
}
