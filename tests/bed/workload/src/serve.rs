//! The server: HTTP/1.1, HTTP/2, websockets and gRPC on one port or two, lines on another.

use crate::client::{Request as Outgoing, headers_as_json, send};
use crate::connect::Failure;
use crate::{grpc, tcp};
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

type Body = BoxBody<Bytes, Infallible>;

/// Where the server listens.
#[derive(clap::Args)]
pub struct Settings {
    /// Port of HTTP/1.1, HTTP/2 and websockets.
    #[arg(long, default_value_t = 8080)]
    http: u16,
    /// Port of gRPC.
    #[arg(long, default_value_t = 9090)]
    grpc: u16,
    /// Port of lines over TCP.
    #[arg(long, default_value_t = 9000)]
    tcp: u16,
    /// Seconds from being told to end until connections are: callers need them to learn of it.
    #[arg(long, default_value_t = 3)]
    drain: u64,
}

/// Who answers, by the environment of the pod.
#[derive(Debug, Clone)]
pub struct Identity {
    fields: Map<String, Value>,
}

impl Identity {
    fn of_pod() -> Self {
        let names = [
            ("pod", "POD_NAME"),
            ("namespace", "POD_NAMESPACE"),
            ("service_account", "SERVICE_ACCOUNT"),
            ("version", "VERSION"),
        ];
        let fields = names
            .iter()
            .map(|(field, variable)| {
                (
                    (*field).to_owned(),
                    std::env::var(variable).unwrap_or_default().into(),
                )
            })
            .collect();
        Self { fields }
    }

    /// The fields `pod`, `namespace`, `service_account`, `version`.
    pub fn as_json(&self) -> Map<String, Value> {
        self.fields.clone()
    }
}

struct Server {
    identity: Identity,
    ending: AtomicBool,
    /// How many requests of a key have failed on purpose.
    failed: Mutex<HashMap<String, u64>>,
}

/// Serves until the process is told to end, and then until connections are drained.
pub async fn serve(settings: &Settings) -> Result<(), Failure> {
    let server = Arc::new(Server {
        identity: Identity::of_pod(),
        ending: AtomicBool::new(false),
        failed: Mutex::default(),
    });
    let bind = async |port: u16| {
        TcpListener::bind(("0.0.0.0", port))
            .await
            .map_err(Failure::Connect)
    };
    let (http, grpc, lines) = (
        bind(settings.http).await?,
        bind(settings.grpc).await?,
        bind(settings.tcp).await?,
    );
    let mut end = signal(SignalKind::terminate()).map_err(Failure::Connect)?;
    let identity = server.identity.clone();
    tokio::spawn(async move {
        while let Ok((stream, peer)) = lines.accept().await {
            let identity = identity.clone();
            tokio::spawn(async move { tcp::serve(stream, peer, &identity).await });
        }
    });
    let connections = GracefulShutdown::new();
    let mut ended_at = None;
    loop {
        let drained = async {
            match ended_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let (stream, peer) = tokio::select! {
            accepted = http.accept() => accepted.map_err(Failure::Connect)?,
            accepted = grpc.accept() => accepted.map_err(Failure::Connect)?,
            _ = end.recv() => {
                server.ending.store(true, Ordering::Relaxed);
                ended_at = Some(tokio::time::Instant::now() + Duration::from_secs(settings.drain));
                continue;
            }
            () = drained => break,
        };
        let server = Arc::clone(&server);
        let service = service_fn(move |request| answer(Arc::clone(&server), request, peer));
        let builder = auto::Builder::new(TokioExecutor::new());
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let watched = connections.watch(connection.into_owned());
        tokio::spawn(async move {
            // A client that goes away is no concern of the server's.
            let _ = watched.await;
        });
    }
    let _ = tokio::time::timeout(Duration::from_secs(settings.drain), connections.shutdown()).await;
    Ok(())
}

/// An answer; while the server ends, callers that keep connections are told to open another one: a connection that
/// is closed between two requests loses the request that is on its way.
async fn answer(
    server: Arc<Server>,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Result<Response<Body>, hyper::http::Error> {
    let (version, ending) = (request.version(), Arc::clone(&server));
    let mut response = content(server, request, peer).await?;
    let kept = version == Version::HTTP_11 && response.status() != StatusCode::SWITCHING_PROTOCOLS;
    if kept && ending.ending.load(Ordering::Relaxed) {
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

async fn content(
    server: Arc<Server>,
    mut request: Request<Incoming>,
    peer: SocketAddr,
) -> Result<Response<Body>, hyper::http::Error> {
    let seen = Value::Object(server.seen(&request, peer));
    if grpc::is_call(request.headers()) {
        return grpc::answer(request.uri().path(), &seen);
    }
    let query = Query::of(&request);
    if let Some(delay) = query.get("delay").and_then(|text| text.parse().ok()) {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/healthz" if server.ending.load(Ordering::Relaxed) => reply(StatusCode::SERVICE_UNAVAILABLE, &seen),
        "/ws" => websocket(&mut request, seen),
        "/call" => called(&request, query.get("url").unwrap_or_default(), seen).await,
        path if path.starts_with("/ext-authz/") => {
            let may = request
                .headers()
                .get("x-allow")
                .is_some_and(|value| value == "yes");
            reply(
                if may {
                    StatusCode::OK
                } else {
                    StatusCode::FORBIDDEN
                },
                &seen,
            )
        }
        _ if server.fails(&query) => reply(StatusCode::SERVICE_UNAVAILABLE, &seen),
        _ => {
            let wanted = query.get("status").and_then(|text| text.parse().ok());
            reply(wanted.unwrap_or(StatusCode::OK), &seen)
        }
    }
}

impl Server {
    /// What the request looked like here, and who is asked.
    fn seen(&self, request: &Request<Incoming>, peer: SocketAddr) -> Map<String, Value> {
        let headers = headers_as_json(request.headers());
        let text = |name: &str| headers.get(name).and_then(Value::as_str).map(str::to_owned);
        let authority = || request.uri().authority().map(ToString::to_string);
        let identity = text("x-forwarded-client-cert").and_then(|certificates| last_identity(&certificates));
        let mut seen = self.identity.as_json();
        let more = json!({
            "method": request.method().as_str(),
            "path": request.uri().path(),
            "query": request.uri().query().unwrap_or_default(),
            "host": text("host").or_else(authority),
            "protocol": format!("{:?}", request.version()),
            "identity": identity,
            "peer": peer.to_string(),
            "headers": headers,
        });
        if let Value::Object(more) = more {
            seen.extend(more);
        }
        seen
    }

    /// Whether this request is one of the first of its key, that shall fail.
    fn fails(&self, query: &Query) -> bool {
        let Some(first) = query.get("fail_first").and_then(|text| text.parse::<u64>().ok()) else {
            return false;
        };
        let key = query.get("key").unwrap_or_default().to_owned();
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failed.entry(key).or_default();
        *count += 1;
        *count <= first
    }
}

/// The client of the last hop, of a header `x-forwarded-client-cert`.
fn last_identity(certificates: &str) -> Option<String> {
    let last = certificates.rsplit(',').next()?;
    last.split(';')
        .find_map(|part| part.strip_prefix("URI="))
        .map(str::to_owned)
}

fn reply(status: StatusCode, body: &Value) -> Result<Response<Body>, hyper::http::Error> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())).boxed())
}

/// Calls another server, and answers with its answer and its status.
async fn called(
    request: &Request<Incoming>,
    url: &str,
    seen: Value,
) -> Result<Response<Body>, hyper::http::Error> {
    let passed_on = ["authorization", "x-allow", "x-load-id"];
    let headers: Vec<_> = passed_on
        .iter()
        .filter_map(|name| {
            Some(format!(
                "{name}: {}",
                request.headers().get(*name)?.to_str().ok()?
            ))
        })
        .collect();
    let answer = async { send(&Outgoing::parse(url, &headers, "GET", false)?).await }.await;
    match answer {
        Ok(answer) => {
            let status = answer["status"]
                .as_u64()
                .and_then(|status| u16::try_from(status).ok());
            let status = status.and_then(|status| StatusCode::from_u16(status).ok());
            let body = json!({"own": seen, "called": answer, "version": seen["version"]});
            reply(status.unwrap_or(StatusCode::BAD_GATEWAY), &body)
        }
        Err(error) => reply(
            StatusCode::BAD_GATEWAY,
            &json!({"own": seen, "error": error.to_string()}),
        ),
    }
}

/// Becomes a websocket: the first message is answered with what was seen, later ones with themselves.
fn websocket(request: &mut Request<Incoming>, seen: Value) -> Result<Response<Body>, hyper::http::Error> {
    let Some(key) = request.headers().get("sec-websocket-key") else {
        return reply(StatusCode::UPGRADE_REQUIRED, &seen);
    };
    let accepted = derive_accept_key(key.as_bytes());
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        let mut first = Some(seen);
        while let Some(Ok(message)) = socket.next().await {
            if !message.is_text() && !message.is_binary() {
                continue;
            }
            let answer = first
                .take()
                .map_or(message, |seen| Message::text(seen.to_string()));
            if socket.send(answer).await.is_err() {
                return;
            }
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-accept", accepted)
        .body(Full::new(Bytes::new()).boxed())
}

/// The query of a URL, split but not decoded.
struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    fn of(request: &Request<Incoming>) -> Self {
        let text = request.uri().query().unwrap_or_default();
        let pairs = text
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self { pairs }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}
