//! One request over HTTP, and its answer in JSON.

use crate::connect::{Failure, PATIENCE, connect};
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{HeaderMap, Method, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error as WebsocketError, Message};

/// A request that can be made.
#[derive(Debug, Clone)]
pub struct Request {
    /// `host:port`, where the connection goes.
    pub target: String,
    authority: String,
    path: String,
    method: Method,
    headers: HeaderMap,
    http2: bool,
}

impl Request {
    /// From what a person writes.
    pub fn parse(url: &str, headers: &[String], method: &str, http2: bool) -> Result<Self, Failure> {
        let unusable = |what: &str| Failure::Unusable(format!("`{what}` cannot be used in a request"));
        let uri: Uri = url.parse().map_err(|_| unusable(url))?;
        let authority = uri.authority().ok_or_else(|| unusable(url))?;
        let mut request = Self {
            target: format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)),
            authority: authority.to_string(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            method: method.parse().map_err(|_| unusable(method))?,
            headers: HeaderMap::new(),
            http2,
        };
        for header in headers {
            let (name, value) = header.split_once(':').ok_or_else(|| unusable(header))?;
            request.set_header(name, value.trim())?;
        }
        Ok(request)
    }

    /// Sets a header; `host` is the authority in HTTP/2.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let unusable = || Failure::Unusable(format!("`{name}: {value}` cannot be used in a request"));
        if name.eq_ignore_ascii_case("host") {
            value.clone_into(&mut self.authority);
            return Ok(());
        }
        let name = HeaderName::try_from(name).map_err(|_| unusable())?;
        let value = HeaderValue::try_from(value).map_err(|_| unusable())?;
        self.headers.insert(name, value);
        Ok(())
    }

    fn build(&self) -> Result<hyper::Request<Empty<Bytes>>, Failure> {
        let uri = if self.http2 {
            format!("http://{}{}", self.authority, self.path)
        } else {
            self.path.clone()
        };
        let mut request = hyper::Request::builder()
            .method(self.method.clone())
            .uri(uri)
            .body(Empty::new())
            .map_err(|error| Failure::Unusable(error.to_string()))?;
        *request.headers_mut() = self.headers.clone();
        if !self.http2 {
            let host = HeaderValue::try_from(&self.authority)
                .map_err(|error| Failure::Unusable(error.to_string()))?;
            request.headers_mut().insert(hyper::header::HOST, host);
        }
        Ok(request)
    }
}

/// A connection that takes one request after the other.
pub enum Connection {
    /// HTTP/1.1.
    Http1(http1::SendRequest<Empty<Bytes>>),
    /// HTTP/2.
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Connection {
    /// A new one for this request.
    pub async fn open(request: &Request) -> Result<Self, Failure> {
        let stream = TokioIo::new(connect(&request.target).await?);
        if request.http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream)
                .await
                .map_err(Failure::closed)?;
            tokio::spawn(connection);
            return Ok(Self::Http2(sender));
        }
        let (sender, connection) = http1::handshake(stream).await.map_err(Failure::closed)?;
        tokio::spawn(connection);
        Ok(Self::Http1(sender))
    }

    /// Whether the other side has ended it, as it may between requests.
    pub async fn is_over(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_err(),
            Self::Http2(sender) => sender.ready().await.is_err(),
        }
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&mut self, request: &Request) -> Result<Value, Failure> {
        let built = request.build()?;
        let exchange = async {
            let response = match self {
                Self::Http1(sender) => sender.send_request(built).await,
                Self::Http2(sender) => sender.send_request(built).await,
            };
            read(response.map_err(Failure::closed)?).await
        };
        timeout(PATIENCE, exchange).await.map_err(|_| Failure::Timeout)?
    }
}

/// Sends a request on a connection of its own.
pub async fn send(request: &Request) -> Result<Value, Failure> {
    Connection::open(request).await?.send(request).await
}

async fn read(response: Response<Incoming>) -> Result<Value, Failure> {
    let status = response.status().as_u16();
    let headers = headers_as_json(response.headers());
    let bytes = response
        .into_body()
        .collect()
        .await
        .map_err(Failure::closed)?
        .to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(json!({"status": status, "headers": headers, "body": body}))
}

/// Headers by lower-case name; the last of several of a name.
pub fn headers_as_json(headers: &HeaderMap) -> Map<String, Value> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect()
}

/// Opens a websocket, sends a message and reads its echo; the status of a refusal otherwise.
pub async fn websocket(url: &str, headers: &[(String, String)], message: &str) -> Result<Value, Failure> {
    let unusable = |error: &dyn std::fmt::Display| Failure::Unusable(error.to_string());
    let mut request = url.into_client_request().map_err(|error| unusable(&error))?;
    for (name, value) in headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|error| unusable(&error))?;
        let value = HeaderValue::try_from(value.as_str()).map_err(|error| unusable(&error))?;
        request.headers_mut().insert(name, value);
    }
    let host = request.uri().host().unwrap_or_default();
    let stream = connect(&format!("{host}:{}", request.uri().port_u16().unwrap_or(80))).await?;
    let exchange = async {
        let (mut socket, _) = match tokio_tungstenite::client_async(request, stream).await {
            Ok(opened) => opened,
            Err(WebsocketError::Http(refusal)) => return Ok(json!({"status": refusal.status().as_u16()})),
            Err(error) => return Err(Failure::closed(error)),
        };
        socket
            .send(Message::text(message))
            .await
            .map_err(Failure::closed)?;
        let echo = socket
            .next()
            .await
            .ok_or_else(|| Failure::Closed("no echo".to_owned()))?;
        let echo = echo.map_err(Failure::closed)?;
        let _ = socket.close(None).await;
        let text = echo.to_text().map_err(Failure::closed)?;
        let body = serde_json::from_str(text).unwrap_or(Value::String(text.to_owned()));
        Ok(json!({"status": 101, "body": body}))
    };
    timeout(PATIENCE, exchange).await.map_err(|_| Failure::Timeout)?
}
