//! One connection, as metrics and the access log see it.

use super::{Labels, Metrics};
use crate::identity::Identity;
use crate::state::model::{Service, Workload};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tracing::{debug, error, info, warn};

/// Which end of a connection we stand at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reporter {
    /// The client's.
    Source,
    /// The server's.
    Destination,
}

impl Reporter {
    fn direction(self) -> &'static str {
        match self {
            Self::Source => "outbound",
            Self::Destination => "inbound",
        }
    }
}

impl fmt::Display for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Destination => "destination",
        })
    }
}

/// What went wrong, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// Policy.
    Deny,
    /// The next hop did not take the connection, or it broke.
    Connect,
    /// TLS.
    Tls,
    /// HTTP/2.
    Http2,
    /// The next hop's port for HBONE does not answer.
    NetworkPolicy,
    /// No certificate.
    Identity,
    /// The peer's certificate is revoked.
    Revoked,
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deny => "DENY",
            Self::Connect => "CONNECT",
            Self::Tls => "TLS_FAILURE",
            Self::Http2 => "H2_HANDSHAKE_FAILURE",
            Self::NetworkPolicy => "NETWORK_POLICY",
            Self::Identity => "IDENTITY_ERROR",
            Self::Revoked => "CERT_REVOKED",
        })
    }
}

/// What is known of a connection's two ends.
#[derive(Debug, Clone)]
pub struct Ends {
    /// Our end.
    pub reporter: Reporter,
    /// The client's address.
    pub source: SocketAddr,
    /// The client.
    pub client: Option<Arc<Workload>>,
    /// The client's identity, as proved; `None` if the connection is plain.
    pub client_identity: Option<Identity>,
    /// The server's or the next hop's address.
    pub destination: SocketAddr,
    /// What was asked of it.
    pub authority: Option<String>,
    /// The server, or the next hop.
    pub server: Option<Arc<Workload>>,
    /// The service dialled.
    pub service: Option<Arc<Service>>,
}

impl Ends {
    /// The server's identity, by its record: a server with another one is not spoken to.
    fn server_identity(&self) -> Option<&Identity> {
        self.server.as_ref()?.identity.as_ref()
    }

    /// Whether both ends have proved who they are.
    fn is_mutual(&self) -> bool {
        self.client_identity.is_some()
    }

    fn labels(&self, flag: Option<Flag>) -> Labels {
        let mut labels = Vec::with_capacity(27);
        labels.push(("reporter", self.reporter.to_string()));
        let source = self.client.as_deref();
        let destination = self.server.as_deref();
        labels.extend(SOURCE.into_iter().zip(end(source, self.client_identity.as_ref())));
        let service = self.service.as_deref();
        labels.extend([
            ("destination_service", known(service.map(|s| s.hostname.as_str()))),
            (
                "destination_service_namespace",
                known(service.map(|s| s.namespace.as_str())),
            ),
            (
                "destination_service_name",
                known(service.map(|s| s.name.as_str())),
            ),
        ]);
        labels.extend(
            DESTINATION
                .into_iter()
                .zip(end(destination, self.server_identity())),
        );
        let security = if self.is_mutual() { "mutual_tls" } else { "unknown" };
        labels.extend([
            ("request_protocol", "tcp".to_owned()),
            (
                "response_flags",
                flag.map_or_else(|| "-".to_owned(), |flag| flag.to_string()),
            ),
            ("connection_security_policy", security.to_owned()),
        ]);
        for (workload, region, zone) in [
            (source, "source_region", "source_zone"),
            (destination, "destination_region", "destination_zone"),
        ] {
            if let Some(locality) = workload.map(|workload| &workload.locality)
                && !locality.region.is_empty()
            {
                labels.push((region, locality.region.clone()));
                labels.push((zone, locality.zone.clone()));
            }
        }
        labels
    }
}

const SOURCE: [&str; 8] = [
    "source_workload",
    "source_canonical_service",
    "source_canonical_revision",
    "source_workload_namespace",
    "source_principal",
    "source_app",
    "source_version",
    "source_cluster",
];
const DESTINATION: [&str; 8] = [
    "destination_workload",
    "destination_canonical_service",
    "destination_canonical_revision",
    "destination_workload_namespace",
    "destination_principal",
    "destination_app",
    "destination_version",
    "destination_cluster",
];

fn end(workload: Option<&Workload>, identity: Option<&Identity>) -> [String; 8] {
    let part = |read: fn(&Workload) -> &str| known(workload.map(read));
    [
        part(|w| &w.workload_name),
        part(|w| &w.canonical_name),
        part(|w| &w.canonical_revision),
        part(|w| &w.namespace),
        known(identity.map(Identity::uri)),
        part(|w| &w.canonical_name),
        part(|w| &w.canonical_revision),
        part(|w| &w.cluster),
    ]
}

/// The labels of a client, by its record.
pub(super) fn source_labels(client: &Workload) -> Labels {
    let values = end(Some(client), client.identity.as_ref());
    SOURCE.into_iter().zip(values).collect()
}

pub(super) fn known(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty())
        .unwrap_or("unknown")
        .to_owned()
}

/// An open connection. Its closing is counted and logged when it is dropped.
#[derive(Debug)]
pub struct Tracked {
    metrics: Arc<Metrics>,
    ends: Ends,
    since: Instant,
    /// Bytes from client to server.
    pub up: Bytes,
    /// Bytes from server to client.
    pub down: Bytes,
    error: Option<(Flag, String)>,
}

/// Counts the bytes of one direction of one connection.
#[derive(Debug)]
pub struct Bytes {
    total: Counter,
    own: std::cell::Cell<u64>,
}

impl Bytes {
    fn new(total: Counter) -> Self {
        Self {
            total,
            own: std::cell::Cell::new(0),
        }
    }

    /// Counts bytes that have passed.
    pub fn add(&self, bytes: usize) {
        let bytes = bytes as u64;
        self.own.set(self.own.get() + bytes);
        self.total.inc_by(bytes);
    }
}

impl Tracked {
    /// A connection is open at both ends; the client came at `since`.
    #[must_use]
    pub fn open(metrics: &Arc<Metrics>, ends: Ends, since: Instant) -> Self {
        let labels = ends.labels(None);
        metrics.opened.get_or_create(&labels).inc();
        log_opened(&ends);
        Self {
            metrics: metrics.clone(),
            since,
            up: Bytes::new(metrics.received.get_or_create(&labels).clone()),
            down: Bytes::new(metrics.sent.get_or_create(&labels).clone()),
            error: None,
            ends,
        }
    }

    /// The connection ended by an error.
    pub fn fail(&mut self, flag: Flag, error: &dyn fmt::Display) {
        self.error = Some((flag, error.to_string()));
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let labels = self.ends.labels(self.error.as_ref().map(|(flag, _)| *flag));
        self.metrics.closed.get_or_create(&labels).inc();
        if self.error.is_some() {
            self.metrics.failed.get_or_create(&labels).inc();
        }
        let (up, down) = (self.up.own.get(), self.down.own.get());
        let error = self.error.as_ref().map(|(_, text)| text.as_str());
        log_closed(&self.ends, self.since, (up, down), error);
    }
}

/// A connection that never came to be, though it was known where it should go.
pub fn failed(metrics: &Arc<Metrics>, ends: Ends, since: Instant, flag: Flag, error: &dyn fmt::Display) {
    Tracked::open(metrics, ends, since).fail(flag, error);
}

/// A connection that never came to be, before it was known where it should go.
pub fn failed_early(metrics: &Metrics, ends: &Ends, flag: Flag, error: &dyn fmt::Display) {
    metrics.failed.get_or_create(&ends.labels(Some(flag))).inc();
    warn!(
        target: "access",
        {
            src.addr = %ends.source,
            dst.addr = %ends.destination,
            direction = ends.reporter.direction(),
            error = error.to_string()
        },
        "connection failed"
    );
}

macro_rules! line {
    ($level:ident, $message:tt, $ends:ident $(, $more:ident = $value:expr)*) => {{
        let (client, server) = ($ends.client.as_deref(), $ends.server.as_deref());
        let server_identity = $ends.server_identity().filter(|_| $ends.is_mutual());
        $level!(
            target: "access",
            {
                src.addr = %$ends.source,
                src.workload = client.map(|w| w.name.as_str()),
                src.namespace = client.map(|w| w.namespace.as_str()),
                src.identity = $ends.client_identity.as_ref().map(Identity::uri),
                src.cluster = client.map(|w| w.cluster.as_str()),
                dst.addr = %$ends.destination,
                dst.hbone_addr = $ends.authority.as_ref().map(tracing::field::display),
                dst.service = $ends.service.as_ref().map(|s| s.hostname.as_str()),
                dst.workload = server.map(|w| w.name.as_str()),
                dst.namespace = server.map(|w| w.namespace.as_str()),
                dst.identity = server_identity.map(Identity::uri),
                dst.cluster = server.map(|w| w.cluster.as_str()),
                direction = $ends.reporter.direction()
                $(, $more = $value)*
            },
            $message
        )
    }};
}

fn log_opened(ends: &Ends) {
    line!(debug, "connection opened", ends);
}

fn log_closed(ends: &Ends, since: Instant, (up, down): (u64, u64), error: Option<&str>) {
    // As ztunnel counts: sent and received are seen from our end.
    let (sent, received) = match ends.reporter {
        Reporter::Source => (up, down),
        Reporter::Destination => (down, up),
    };
    let duration = format!("{}ms", since.elapsed().as_millis());
    let duration = duration.as_str();
    match error {
        None => line!(
            info,
            "connection complete",
            ends,
            bytes_sent = sent,
            bytes_recv = received,
            duration = duration
        ),
        Some(error) => line!(
            error,
            "connection complete",
            ends,
            bytes_sent = sent,
            bytes_recv = received,
            duration = duration,
            error = error
        ),
    }
}

/// A connection that a client has made to us, for as long as it is open.
#[derive(Debug)]
pub struct Socket(Gauge);

impl Socket {
    /// Counts it until it is dropped.
    #[must_use]
    pub fn open(metrics: &Metrics, reporter: Reporter) -> Self {
        let labels = vec![("reporter", reporter.to_string())];
        let gauge = metrics.sockets.get_or_create(&labels).clone();
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.dec();
    }
}
