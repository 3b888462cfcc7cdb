//! Connections of the pods to elsewhere.

pub mod route;

use crate::hbone::nested::Nested;
use crate::hbone::pool::{HboneError, Key, Pool, Stream, connect, handshake};
use crate::identity::Identity;
use crate::pod::{NotReady, Phase, Pod};
use crate::state::balance::Place;
use crate::state::model::Workload;
use crate::sys;
use crate::telemetry::{self, Ends, Flag, Reporter, Tracked};
use crate::transfer;
use http::{HeaderValue, Method, Request, Uri, Version};
use route::{Authority, Protocol, Refusal, Route};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    NotReady(#[from] NotReady),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("{0} does not resolve")]
    Resolve(String),
    #[error("no request can be made for {0}")]
    Request(String),
    #[error("connection failed: {0}")]
    Connect(io::Error),
    #[error("connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008")]
    NetworkPolicy,
    #[error(transparent)]
    Hbone(HboneError),
}

impl Failure {
    /// Whether it was not even known where to go.
    fn is_early(&self) -> bool {
        matches!(
            self,
            Self::NotReady(_) | Self::Refused(_) | Self::Resolve(_) | Self::Request(_)
        )
    }

    fn flag(&self) -> Flag {
        match self {
            Self::NotReady(_) | Self::Hbone(HboneError::NotReady(_) | HboneError::Certificate(_)) => {
                Flag::Identity
            }
            Self::NetworkPolicy => Flag::NetworkPolicy,
            Self::Hbone(HboneError::Tls(_)) => Flag::Tls,
            Self::Hbone(HboneError::Http2(_)) => Flag::Http2,
            Self::Hbone(HboneError::Status(status)) if status.as_u16() == 401 => Flag::Deny,
            _ => Flag::Connect,
        }
    }
}

impl From<HboneError> for Failure {
    fn from(error: HboneError) -> Self {
        match error {
            HboneError::Connect(error) if error.kind() == io::ErrorKind::TimedOut => Self::NetworkPolicy,
            error => Self::Hbone(error),
        }
    }
}

/// The other half of a connection.
enum Server {
    Tcp(TcpStream),
    Hbone(Box<Stream>),
}

/// Serves a connection of the pod's that was redirected to us.
pub async fn serve(pod: Arc<Pod>, pool: Rc<Pool>, stream: TcpStream, source: SocketAddr) {
    sys::reset_on_close(&stream);
    let Ok(dialled) = sys::original_destination(&stream) else {
        return;
    };
    to(pod, pool, stream, source, dialled).await;
}

/// Serves a connection of the pod's to `dialled`.
pub async fn to(pod: Arc<Pod>, pool: Rc<Pool>, stream: TcpStream, source: SocketAddr, dialled: SocketAddr) {
    let since = Instant::now();
    sys::reset_on_close(&stream);
    let _ = sys::tune(&stream);
    let metrics = &pod.node.metrics;
    let mut ends = Ends {
        reporter: Reporter::Source,
        source,
        client: None,
        client_identity: None,
        destination: dialled,
        authority: None,
        server: None,
        service: None,
    };
    let server = match dial(&pod, &pool, dialled, &mut ends).await {
        Ok(server) => server,
        Err(failure) => {
            let flag = failure.flag();
            return if failure.is_early() {
                telemetry::failed_early(metrics, &ends, flag, &failure);
            } else {
                telemetry::failed(metrics, ends, since, flag, &failure);
            };
        }
    };
    let mut tracked = Tracked::open(metrics, ends, since);
    let client = transfer::tcp(stream);
    let result = match server {
        Server::Tcp(server) => transfer::both_ways(client, transfer::tcp(server), &tracked)
            .await
            .map_err(|error| (Flag::Connect, error.to_string())),
        Server::Hbone(stream) => {
            let Stream {
                send,
                receive,
                lease,
                revoked,
            } = *stream;
            let result = transfer::both_ways(client, (receive, send), &tracked).await;
            drop(lease);
            result.map_err(|error| match revoked.iter().any(|revoked| revoked.get()) {
                true => (Flag::Revoked, "the server's certificate is revoked".to_owned()),
                false => (Flag::Connect, error.to_string()),
            })
        }
    };
    if let Err((flag, error)) = result {
        tracked.fail(flag, &error);
    }
}

async fn dial(
    pod: &Arc<Pod>,
    pool: &Rc<Pool>,
    dialled: SocketAddr,
    ends: &mut Ends,
) -> Result<Server, Failure> {
    let workload = pod.workload().await?;
    ends.client = Some(workload.clone());
    let route = {
        let state = pod.node.store.load();
        ends.service = state
            .service_at(&workload.network, dialled.ip(), &workload.namespace)
            .cloned();
        route::decide(&state, &workload, ends.source.ip(), dialled)?
    };
    ends.server.clone_from(&route.next_hop);
    ends.service.clone_from(&route.service);
    let to = SocketAddr::new(resolve(pod, &workload, &route.place, dialled).await?, route.port);
    ends.destination = to;
    match &route.protocol {
        Protocol::Tcp => {
            let server = pod.sockets.connect(None, to).await.map_err(Failure::Connect)?;
            Ok(Server::Tcp(server))
        }
        Protocol::Hbone { authority, expected } => {
            let authority = match authority {
                Authority::Exactly(text) => text.clone(),
                Authority::NextHop(port) => SocketAddr::new(to.ip(), *port).to_string(),
            };
            let request = request(&authority, &workload, ends.source, &route)?;
            ends.authority = Some(authority);
            let key = Key {
                source: workload.identity.clone().ok_or(NotReady::NoCertificate)?,
                expected: expected.clone(),
                to,
                from: None,
            };
            ends.client_identity = Some(key.source.clone());
            Ok(Server::Hbone(Box::new(pool.open(pod, &key, request).await?)))
        }
        Protocol::DoubleHbone {
            authority,
            gateway,
            expected,
        } => {
            let inner = request(authority, &workload, ends.source, &route)?;
            let outer = request(authority, &workload, ends.source, &route)?;
            ends.authority = Some(authority.clone());
            let key = Key {
                source: workload.identity.clone().ok_or(NotReady::NoCertificate)?,
                expected: gateway.clone(),
                to,
                from: None,
            };
            ends.client_identity = Some(key.source.clone());
            let outer = pool.open(pod, &key, outer).await?;
            let stream = through(pod, outer, expected.clone(), inner).await?;
            Ok(Server::Hbone(Box::new(stream)))
        }
    }
}

/// HBONE to the server, inside a stream to the gateway of its network. Never shared: all streams of a connection end at one
/// server, and it is for the gateway to spread them.
async fn through(
    pod: &Arc<Pod>,
    outer: Stream,
    expected: Vec<Identity>,
    mut request: Request<()>,
) -> Result<Stream, Failure> {
    let network = &pod.node.config.network;
    let value = HeaderValue::from_str(network).map_err(|_| Failure::Request(network.to_string()))?;
    request.headers_mut().insert("x-forwarded-network", value);
    let credential = pod.credential().await?;
    let nested = Nested::new(outer.send, outer.receive);
    let (mut send, revoked, driver) = handshake(pod, &credential, expected, nested).await?;
    let pod = pod.clone();
    // It ends by itself when the stream has: nobody else holds it.
    tokio::task::spawn_local(async move {
        tokio::select! {
            () = driver => {}
            () = pod.reached(Phase::Stopped) => {}
        }
    });
    let (send, receive) = connect(&mut send, request).await?;
    let mut all_revoked = outer.revoked;
    all_revoked.push(revoked);
    Ok(Stream {
        send,
        receive,
        lease: outer.lease,
        revoked: all_revoked,
    })
}

async fn resolve(
    pod: &Pod,
    client: &Workload,
    place: &Place,
    dialled: SocketAddr,
) -> Result<IpAddr, Failure> {
    let name = match place {
        Place::Address(address) => return Ok(*address),
        Place::Remote => return Err(Refusal::UnknownGateway.into()),
        Place::Hostname(name) => name,
    };
    let failed = || Failure::Resolve(name.clone());
    let resolver = pod.node.resolver.as_ref().ok_or_else(failed)?;
    pod.node.metrics.name_resolved(client, name);
    let found = resolver.lookup_ip(name.as_str()).await.map_err(|_| failed())?;
    let addresses: Vec<_> = found.iter().collect();
    let same: Vec<_> = addresses
        .iter()
        .filter(|a| a.is_ipv4() == dialled.is_ipv4())
        .copied()
        .collect();
    let chosen = fastrand::choice(if same.is_empty() { &addresses } else { &same });
    chosen.copied().ok_or_else(failed)
}

fn request(
    authority: &str,
    client: &Workload,
    source: SocketAddr,
    route: &Route,
) -> Result<Request<()>, Failure> {
    let failed = || Failure::Request(authority.to_owned());
    let uri = Uri::builder()
        .authority(authority)
        .build()
        .map_err(|_| failed())?;
    let forwarded = match &route.service {
        Some(service) => format!("for=\"{source}\";host={}", service.hostname),
        None => format!("for=\"{source}\""),
    };
    let trace = format!("00-{:032x}-{:016x}-00", fastrand::u128(1..), fastrand::u64(1..));
    Request::builder()
        .version(Version::HTTP_2)
        .method(Method::CONNECT)
        .uri(uri)
        .header("baggage", baggage(client))
        .header("forwarded", forwarded)
        .header("traceparent", trace)
        .body(())
        .map_err(|_| failed())
}

/// What a workload tells of itself beside a CONNECT.
#[must_use]
pub fn baggage(workload: &Workload) -> String {
    let kind = format!("k8s.{}.name", workload.workload_type);
    let members = [
        ("k8s.cluster.name", &workload.cluster),
        ("k8s.namespace.name", &workload.namespace),
        (kind.as_str(), &workload.workload_name),
        ("service.name", &workload.canonical_name),
        ("service.version", &workload.canonical_revision),
        ("cloud.region", &workload.locality.region),
        ("cloud.availability_zone", &workload.locality.zone),
    ];
    let present = members.iter().filter(|(_, value)| !value.is_empty());
    present
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}
