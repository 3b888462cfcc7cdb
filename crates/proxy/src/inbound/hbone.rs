//! The server of HBONE: mutual TLS, CONNECT, policy, and then the application.

use super::calm::Calm;
use super::{Asked, Denied};
use crate::hbone::authority::Target;
use crate::hbone::headers::Told;
use crate::hbone::pool::{PING_INTERVAL, PING_TIMEOUT};
use crate::identity::Identity;
use crate::keepalive;
use crate::outbound::baggage;
use crate::outbound::route::is_own_port;
use crate::pod::{Phase, Pod};
use crate::state::model::{ApplicationTunnel, Service, Workload};
use crate::state::{Destination, State};
use crate::sys;
use crate::telemetry::{self, Ends, Flag, Reporter, Tracked};
use crate::tls;
use crate::tls::revocation::{Usage, is_revocation_io};
use crate::transfer;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Method, Request, Response, StatusCode};
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::debug;

const MAX_STREAMS: u32 = 200;
const MAX_HEADER_LIST: u32 = 64 << 10;
/// What one stream may have waiting for its client, in bytes. A client that does not read holds this much for each of its
/// streams, and it may have many connections.
const SEND_BUFFER: usize = 128 << 10;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Streams that a client may reset before we have looked at them. A client that does more of it is an attacker.
const MAX_EARLY_RESETS: usize = 20;
/// Streams that we may have to reset because of a client's errors.
const MAX_ERROR_RESETS: usize = 256;
/// Streams that we have reset and still know, for frames of theirs that are on their way, and for how long.
const MAX_RESET_STREAMS: usize = 50;
const RESET_MEMORY: Duration = Duration::from_secs(1);

/// What is known of a client once TLS is done.
struct Client {
    pod: Arc<Pod>,
    identity: Identity,
    source: SocketAddr,
    local: SocketAddr,
    calm: Calm,
    /// Its certificate has been revoked: all its streams end.
    revoked: Cell<bool>,
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("not a CONNECT request")]
    Method,
    #[error("no address or name with a port in the authority")]
    Authority,
    #[error("the address asked for is not this pod's")]
    WrongAddress,
    #[error("no such service, or no such port of it")]
    NoPort,
    #[error("self call")]
    SelfCall,
    #[error("unknown destination: istiod has not told of this pod")]
    UnknownPod,
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("the application does not answer: {0}")]
    Connect(io::Error),
}

impl Refused {
    fn status(&self) -> StatusCode {
        match self {
            Self::Method | Self::Authority | Self::WrongAddress => StatusCode::BAD_REQUEST,
            Self::Denied(Denied::UnknownPod) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Denied(_) => StatusCode::UNAUTHORIZED,
            Self::NoPort | Self::SelfCall | Self::UnknownPod | Self::Connect(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// Whether it was not even known what is asked for.
    fn is_early(&self) -> bool {
        !matches!(
            self,
            Self::Denied(Denied::By(_) | Denied::NotAllowed | Denied::NotKnown(_)) | Self::Connect(_)
        )
    }

    fn flag(&self) -> Flag {
        match self {
            Self::Denied(_) => Flag::Deny,
            _ => Flag::Connect,
        }
    }
}

/// Serves a connection to the port for HBONE.
pub async fn serve(pod: Arc<Pod>, stream: TcpStream, source: SocketAddr) {
    let failed = |flag, error: &dyn std::fmt::Display| {
        let ends = anonymous(&pod, source);
        telemetry::failed_early(&pod.node.metrics, &ends, flag, error);
    };
    let (_, Ok(local)) = (sys::tune(&stream), stream.local_addr()) else {
        return;
    };
    let credential = match pod.credential().await {
        Ok(credential) => credential,
        Err(error) => return failed(Flag::Identity, &error),
    };
    let acceptor = tokio_rustls::TlsAcceptor::from(credential.server());
    let stream = match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            if is_revocation_io(&error) {
                pod.node.metrics.revoked(Reporter::Destination);
            }
            return failed(Flag::Tls, &error);
        }
        Err(_) => return failed(Flag::Tls, &"no TLS handshake in time"),
    };
    let Some(identity) = tls::peer_identity(stream.get_ref().1.peer_certificates()) else {
        return failed(Flag::Identity, &"the client has no identity");
    };
    let peer = credential.peer(stream.get_ref().1.peer_certificates(), Usage::Client);
    let settings = &pod.node.config;
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .max_frame_size(settings.frame_size)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(MAX_RESET_STREAMS)
        .reset_stream_duration(RESET_MEMORY)
        .max_pending_accept_reset_streams(MAX_EARLY_RESETS)
        .max_local_error_reset_streams(Some(MAX_ERROR_RESETS));
    let mut connection = match timeout(HANDSHAKE_TIMEOUT, builder.handshake(stream)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return failed(Flag::Http2, &error),
        Err(_) => return failed(Flag::Http2, &"no HTTP/2 handshake in time"),
    };
    let client = Rc::new(Client {
        pod: pod.clone(),
        identity,
        source,
        local: sys::canonical(local),
        calm: Calm::default(),
        revoked: Cell::new(false),
    });
    let mut revoked = std::pin::pin!(peer.revoked());
    let mut alive = std::pin::pin!(keepalive::watch(
        connection.ping_pong(),
        PING_INTERVAL,
        PING_TIMEOUT
    ));
    let mut draining = std::pin::pin!(pod.reached(Phase::Draining));
    let mut drained = false;
    loop {
        tokio::select! {
            next = connection.accept() => match next {
                Some(Ok((request, respond))) => {
                    let client = client.clone();
                    tokio::task::spawn_local(async move {
                        tokio::select! {
                            () = client.pod.reached(Phase::Stopped) => {}
                            () = client.stream(request, respond) => {}
                        }
                    });
                }
                Some(Err(error)) if drained || error.is_io() => return,
                Some(Err(error)) => return failed(Flag::Http2, &error),
                None => return,
            },
            () = &mut draining, if !drained => {
                drained = true;
                // GOAWAY: the client opens new streams elsewhere, those that are open go on.
                connection.graceful_shutdown();
            }
            () = client.calm.lost() => connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM),
            () = &mut revoked => {
                pod.node.metrics.revoked(Reporter::Destination);
                client.revoked.set(true);
                return;
            }
            () = &mut alive => return,
        }
    }
}

fn anonymous(pod: &Pod, source: SocketAddr) -> Ends {
    let state = pod.node.store.load();
    Ends {
        reporter: Reporter::Destination,
        source,
        client: state.workload_at(&pod.node.config.network, source.ip()).cloned(),
        client_identity: None,
        destination: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), crate::config::PORT_HBONE),
        authority: None,
        server: super::own(pod, &state).cloned(),
        service: None,
    }
}

/// What a request comes down to.
struct Plan {
    /// Address and port of the pod, for policy.
    asked: Asked,
    /// Where to connect to.
    to: SocketAddr,
    /// From which address.
    from: Option<IpAddr>,
    /// Whether the application wants to be told of the client by the PROXY protocol.
    proxy_header: Option<Vec<u8>>,
}

impl Client {
    async fn stream(&self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let since = Instant::now();
        let (head, receive) = request.into_parts();
        let target = head
            .uri
            .authority()
            .and_then(|authority| Target::parse(authority.as_str()));
        let told = Told::read(&head.headers);
        debug!(target: "inbound", peer = %self.source, trace = told.trace, "{} {}", head.method, head.uri);
        let workload = self.pod.workload().await.ok();
        let ends = self.ends(workload.clone(), target.as_ref(), &told);
        let prepared = async {
            let workload = workload.as_ref().ok_or(Refused::UnknownPod)?;
            if head.method != Method::CONNECT {
                return Err(Refused::Method);
            }
            let target = target.as_ref().ok_or(Refused::Authority)?;
            let plan = self.plan(workload, target)?;
            plan.asked.authorize(&self.pod).await?;
            let mut server = self
                .pod
                .sockets
                .connect(plan.from, plan.to)
                .await
                .map_err(Refused::Connect)?;
            if let Some(header) = &plan.proxy_header {
                server.write_all(header).await.map_err(Refused::Connect)?;
            }
            Ok((plan, server))
        };
        let prepared = tokio::select! {
            prepared = prepared => prepared,
            // The client has gone: nobody waits for the answer.
            _ = poll_fn(|cx| respond.poll_reset(cx)) => return self.calm.taken_back(),
        };
        let metrics = &self.pod.node.metrics;
        let (plan, server) = match prepared {
            Ok(prepared) => prepared,
            Err(refused) => {
                let flag = refused.flag();
                if refused.is_early() {
                    telemetry::failed_early(metrics, &ends, flag, &refused);
                } else {
                    telemetry::failed(metrics, ends, since, flag, &refused);
                }
                let mut response = Response::new(());
                *response.status_mut() = refused.status();
                let _ = respond.send_response(response, true);
                return;
            }
        };
        let mut response = Response::builder();
        if let Some(workload) = &workload {
            response = response.header("baggage", baggage(workload));
        }
        let Some(send) = response
            .body(())
            .ok()
            .and_then(|response| respond.send_response(response, false).ok())
        else {
            return;
        };
        let mut tracked = Tracked::open(metrics, ends, since);
        let result = tokio::select! {
            result = transfer::both_ways((receive, send), transfer::tcp(server), &tracked) => {
                result.map_err(|error| self.broken(&error))
            }
            denied = plan.asked.revoked(&self.pod) => Err((Flag::Deny, denied.to_string())),
        };
        if let Err((flag, error)) = result {
            respond.send_reset(Reason::CANCEL);
            tracked.fail(flag, &error);
        }
    }

    fn broken(&self, error: &io::Error) -> (Flag, String) {
        if self.revoked.get() {
            (Flag::Revoked, "the client's certificate is revoked".to_owned())
        } else {
            (Flag::Connect, error.to_string())
        }
    }

    fn plan(&self, workload: &Arc<Workload>, target: &Target) -> Result<Plan, Refused> {
        let state = self.pod.node.store.load();
        let own = self.local.ip();
        let tunnel = workload.application_tunnel;
        let port = match target {
            Target::Address(address) if address.ip() == own || tunnel.is_some() => address.port(),
            Target::Address(address) if is_waypoint_of(&state, workload, address.ip()) => address.port(),
            Target::Address(_) => return Err(Refused::WrongAddress),
            Target::Name(host, port) => {
                let service = state
                    .service_named(host, &workload.namespace)
                    .ok_or(Refused::NoPort)?;
                let endpoints = state.endpoints(service).ok_or(Refused::NoPort)?;
                let endpoint = endpoints.get(&workload.uid).ok_or(Refused::NoPort)?;
                crate::state::balance::target_port(service, endpoint, *port).ok_or(Refused::NoPort)?
            }
        };
        let through = tunnel.and_then(|tunnel| tunnel.port).unwrap_or(port);
        if is_own_port(through) {
            return Err(Refused::SelfCall);
        }
        if self.pod.only_port.is_some_and(|only| only != through) {
            return Err(Refused::NoPort);
        }
        let asked = Asked {
            peer: Some(self.identity.clone()),
            source: self.source,
            destination: SocketAddr::new(own, port),
        };
        let proxy = tunnel.is_some_and(|tunnel: ApplicationTunnel| tunnel.proxy_protocol);
        let loopback = if own.is_ipv4() {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        } else {
            IpAddr::V6(Ipv6Addr::LOCALHOST)
        };
        let dialled = match target {
            Target::Address(address) => *address,
            Target::Name(_, port) => SocketAddr::new(own, *port),
        };
        Ok(Plan {
            to: SocketAddr::new(if proxy { loopback } else { own }, through),
            from: if proxy {
                None
            } else {
                self.pod.spoofed(self.source.ip(), own)
            },
            proxy_header: proxy.then(|| proxy_header(self.source, dialled, &self.identity)),
            asked,
        })
    }

    fn ends(&self, workload: Option<Arc<Workload>>, target: Option<&Target>, told: &Told) -> Ends {
        let state = self.pod.node.store.load();
        let network = &self.pod.node.config.network;
        // Through a gateway, the address is the gateway's; then we know what the client tells of itself.
        let through_gateway = told.network.as_ref().is_some_and(|found| **found != **network);
        let record = state.workload_at(network, self.source.ip());
        let record = record.filter(|_| !through_gateway).cloned();
        let service = workload
            .as_deref()
            .and_then(|workload| service_of(&state, workload, target, told.host.as_deref()));
        Ends {
            reporter: Reporter::Destination,
            source: self.source,
            client: record.or_else(|| told.client.workload().map(Arc::new)),
            client_identity: Some(self.identity.clone()),
            destination: self.local,
            authority: target.map(ToString::to_string),
            server: workload,
            service,
        }
    }
}

/// The service that the client dialled, as far as this pod can be its endpoint.
fn service_of(
    state: &State,
    workload: &Workload,
    target: Option<&Target>,
    host: Option<&str>,
) -> Option<Arc<Service>> {
    let port = target?.port();
    let mut services: Vec<_> = workload
        .services
        .keys()
        .filter_map(|key| state.service(key))
        .collect();
    services.sort_by(|a, b| a.key.cmp(&b.key));
    if let Some(named) = services
        .iter()
        .find(|service| Some(service.hostname.as_str()) == host)
    {
        return Some(Arc::clone(named));
    }
    let fits = |service: &Arc<Service>| {
        let own = workload.services.get(&service.key);
        service.ports.iter().any(|(number, target)| {
            let own = own
                .and_then(|ports| ports.get(number))
                .copied()
                .filter(|&port| port != 0);
            own.unwrap_or(*target) == port
        })
    };
    services.into_iter().find(|service| fits(service)).cloned()
}

/// Whether this pod is the waypoint of what lies at an address.
fn is_waypoint_of(state: &State, workload: &Workload, address: IpAddr) -> bool {
    let network = &workload.network;
    let of_workload = state
        .workload_at(network, address)
        .and_then(|found| found.waypoint.as_ref());
    let of_service = state
        .service_at(network, address, &workload.namespace)
        .map(|service| {
            let weighted = service.weighted_waypoints.iter().map(|(gateway, _)| gateway);
            service.waypoint.iter().chain(weighted)
        });
    let mut gateways = of_workload.into_iter().chain(of_service.into_iter().flatten());
    gateways.any(|gateway| match state.gateway(gateway, &workload.namespace) {
        Some(Destination::Workload(found)) => found.uid == workload.uid,
        Some(Destination::Service(service)) => workload.services.contains_key(&service.key),
        None => false,
    })
}

/// The header of the PROXY protocol, version 2, with the client's identity in a field of its own (0xD0).
fn proxy_header(source: SocketAddr, destination: SocketAddr, identity: &Identity) -> Vec<u8> {
    const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    const IDENTITY: u8 = 0xd0;
    let mut addresses = Vec::with_capacity(128);
    let family = match (source.ip(), destination.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            addresses.extend(from.octets());
            addresses.extend(to.octets());
            0x11
        }
        (from, to) => {
            let v6 = |address| match address {
                IpAddr::V4(v4) => Ipv4Addr::to_ipv6_mapped(&v4),
                IpAddr::V6(v6) => v6,
            };
            addresses.extend(v6(from).octets());
            addresses.extend(v6(to).octets());
            0x21
        }
    };
    addresses.extend(source.port().to_be_bytes());
    addresses.extend(destination.port().to_be_bytes());
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    addresses.push(IDENTITY);
    addresses.extend(length(identity.uri().as_bytes()));
    addresses.extend(identity.uri().as_bytes());
    let mut header = SIGNATURE.to_vec();
    header.extend([0x21, family]);
    header.extend(length(&addresses));
    header.extend(addresses);
    header
}
