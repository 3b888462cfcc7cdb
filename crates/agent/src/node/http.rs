//! Answering HTTP: the plugin on a Unix socket, probes and metrics on a port.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

/// The longest body that is read, in bytes.
const LONGEST: usize = 256 * 1024;

/// An answer: status and text.
pub type Answer = (StatusCode, String);

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request.
    fn handle(&self, path: &str, body: Bytes) -> impl Future<Output = Answer> + Send;
}

/// Listens on a Unix socket that only the superuser may use. One that an earlier agent left there is removed.
///
/// # Errors
/// If the path is not to be bound.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves the plugin for ever.
pub async fn serve_unix<H: Handler>(listener: UnixListener, handler: Arc<H>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => spawn(stream, handler.clone()),
            Err(error) => pause(&error).await,
        }
    }
}

/// Serves probes and metrics for ever.
pub async fn serve_tcp<H: Handler>(listener: TcpListener, handler: Arc<H>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => spawn(stream, handler.clone()),
            Err(error) => pause(&error).await,
        }
    }
}

/// Accepting fails for want of descriptors or memory; that passes.
async fn pause(error: &io::Error) {
    tracing::warn!(%error, "accepting a connection");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

fn spawn<H: Handler>(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, handler: Arc<H>) {
    tokio::spawn(async move {
        let service = service_fn(move |request| answer(request, handler.clone()));
        let served = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection broke");
        }
    });
}

async fn answer<H: Handler>(
    request: Request<Incoming>,
    handler: Arc<H>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let (status, text) = match Limited::new(request.into_body(), LONGEST).collect().await {
        Ok(body) => handler.handle(&path, body.to_bytes()).await,
        Err(error) => (StatusCode::BAD_REQUEST, format!("reading the request: {error}")),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    Ok(response)
}
