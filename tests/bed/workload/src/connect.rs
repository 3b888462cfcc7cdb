//! Names to addresses to connections, and why that failed.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a connection, and how long an answer may take: longer than a proxy on the way tries to connect.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The request could not be made of what was given.
    #[error("{0}")]
    Unusable(String),
    /// The name has no address.
    #[error("resolve: {0}")]
    Resolve(String),
    /// No connection.
    #[error("connect: {0}")]
    Connect(std::io::Error),
    /// The connection ended before the answer did.
    #[error("closed: {0}")]
    Closed(String),
    /// Too late.
    #[error("timeout")]
    Timeout,
}

impl Failure {
    /// The kind, for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unusable(_) => "unusable",
            Self::Resolve(_) => "resolve",
            Self::Connect(_) => "connect",
            Self::Closed(_) => "closed",
            Self::Timeout => "timeout",
        }
    }

    /// From whatever a protocol's library complains about.
    pub fn closed(error: impl std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            text = format!("{text}: {inner}");
            cause = inner.source();
        }
        Self::Closed(text)
    }
}

/// A connection to `host:port`.
pub async fn connect(target: &str) -> Result<TcpStream, Failure> {
    let unusable = || Failure::Unusable(format!("`{target}` is not host:port"));
    let (host, port) = target.rsplit_once(':').ok_or_else(unusable)?;
    let port: u16 = port.parse().map_err(|_| unusable())?;
    let address = match host.trim_matches(['[', ']']).parse() {
        Ok(address) => address,
        Err(_) => resolve(host).await?,
    };
    let stream = timeout(PATIENCE, TcpStream::connect((address, port)))
        .await
        .map_err(|_| Failure::Timeout)?
        .map_err(not_connected)?;
    stream.set_nodelay(true).map_err(not_connected)?;
    Ok(stream)
}

/// A proxy that took the connection and closed it at once may be quicker than we are with asking how it went.
fn not_connected(error: std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::NotConnected | ErrorKind::InvalidInput => {
            Failure::closed(error)
        }
        _ => Failure::Connect(error),
    }
}

async fn resolve(host: &str) -> Result<IpAddr, Failure> {
    static RESOLVER: OnceLock<Result<hickory_resolver::TokioResolver, String>> = OnceLock::new();
    let resolver = RESOLVER
        .get_or_init(|| {
            let mut builder =
                hickory_resolver::TokioResolver::builder_tokio().map_err(|error| error.to_string())?;
            // As glibc does: a pod that was replaced must not be looked for at its old address.
            builder.options_mut().cache_size = 0;
            Ok(builder.build())
        })
        .as_ref()
        .map_err(|error| Failure::Resolve(error.clone()))?;
    let found = resolver
        .lookup_ip(host)
        .await
        .map_err(|error| Failure::Resolve(error.to_string()))?;
    found
        .iter()
        .next()
        .ok_or_else(|| Failure::Resolve(format!("`{host}` has no address")))
}
