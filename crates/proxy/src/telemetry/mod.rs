//! Metrics and access log lines, under the names that dashboards know.

pub mod format;
mod traffic;

pub use traffic::{Bytes, Ends, Flag, Reporter, Socket, Tracked, failed, failed_early};

use crate::state::model::Workload;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

type Labels = Vec<(&'static str, String)>;
type Counters = Family<Labels, Counter>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    opened: Counters,
    closed: Counters,
    failed: Counters,
    received: Counters,
    sent: Counters,
    sockets: Family<Labels, Gauge>,
    revoked: Counters,
    resolved: Counters,
    xds_terminations: Counters,
    xds_messages: Counters,
    xds_bytes: Counters,
    dns_requests: Counters,
    dns_upstream: Counters,
    dns_failures: Counters,
    dns_duration: Histograms,
    /// Pods served.
    pub active_pods: Gauge,
    /// Pods that wait for their proxy.
    pub pending_pods: Gauge,
    /// Proxies started.
    pub pods_started: Counter,
    /// Proxies stopped.
    pub pods_stopped: Counter,
    /// 1 as long as the stream to istiod is open.
    pub xds_connected: Gauge,
}

fn latencies() -> Histogram {
    Histogram::new([0.0005, 0.001, 0.01, 0.1, 1.0, 5.0])
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let build = Family::<Labels, Gauge>::default();
        let labels = vec![
            ("component", "ztunnel".to_owned()),
            ("tag", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        build.get_or_create(&labels).set(1);
        let istio = registry.sub_registry_with_prefix("istio");
        istio.register("build", "Version of the proxy", build);
        let sockets = Family::<Labels, Gauge>::default();
        istio.register(
            "tcp_sockets_open",
            "Connections of pods that are open",
            sockets.clone(),
        );
        let dns_duration = Histograms::new_with_constructor(latencies);
        istio.register_with_unit(
            "dns_upstream_request_duration",
            "How long DNS servers take to answer",
            Unit::Seconds,
            dns_duration.clone(),
        );
        let mut counters = |name: &str, help: &str| {
            let family = Counters::default();
            istio.register(name, help, family.clone());
            family
        };
        let opened = counters("tcp_connections_opened", "Connections opened");
        let closed = counters("tcp_connections_closed", "Connections closed");
        let failed = counters("tcp_connections_failed", "Connections failed");
        let received = counters("tcp_received_bytes", "Bytes from client to server");
        let sent = counters("tcp_sent_bytes", "Bytes from server to client");
        let revoked = counters(
            "crl_policy_rejections",
            "Connections refused or ended for a revoked certificate",
        );
        // All connections are under the lists of revoked certificates: this one stays at nothing.
        counters(
            "crl_untracked_connections",
            "Connections that no list of revoked certificates is held against",
        );
        let resolved = counters("on_demand_dns", "Names of workloads resolved for a connection");
        let xds_terminations = counters("xds_connection_terminations", "Streams to istiod that ended");
        let xds_messages = counters("xds_message", "Messages from istiod");
        let dns_requests = counters("dns_requests", "DNS requests");
        let dns_upstream = counters("dns_upstream_requests", "DNS requests handed on");
        let dns_failures = counters("dns_upstream_failures", "DNS requests that failed upstream");
        let xds_bytes = Counters::default();
        istio.register_with_unit("xds_message", "Bytes from istiod", Unit::Bytes, xds_bytes.clone());
        let xds_connected = Gauge::default();
        istio.register(
            "xds_connected",
            "Whether the stream to istiod is open; if not, what is known may be old",
            xds_connected.clone(),
        );
        let manager = registry.sub_registry_with_prefix("workload_manager");
        let (active_pods, pending_pods) = (Gauge::default(), Gauge::default());
        let (pods_started, pods_stopped) = (Counter::default(), Counter::default());
        manager.register("active_proxy_count", "Pods served", active_pods.clone());
        manager.register("pending_proxy_count", "Pods that wait", pending_pods.clone());
        manager.register("proxies_started", "Pods taken on", pods_started.clone());
        manager.register("proxies_stopped", "Pods given up", pods_stopped.clone());
        Self {
            registry,
            opened,
            closed,
            failed,
            received,
            sent,
            sockets,
            revoked,
            resolved,
            xds_terminations,
            xds_messages,
            xds_bytes,
            dns_requests,
            dns_upstream,
            dns_failures,
            dns_duration,
            active_pods,
            pending_pods,
            pods_started,
            pods_stopped,
            xds_connected,
        }
    }
}

impl Metrics {
    /// All metrics as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a text does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }

    /// A stream to istiod ended.
    pub fn xds_terminated(&self, reason: &str) {
        let labels = vec![("reason", reason.to_owned())];
        self.xds_terminations.get_or_create(&labels).inc();
    }

    /// A message from istiod, with the length of its resources in bytes.
    pub fn xds_message(&self, type_url: &str, length: usize) {
        let labels = vec![("url", type_url.to_owned())];
        self.xds_messages.get_or_create(&labels).inc();
        self.xds_bytes.get_or_create(&labels).inc_by(length as u64);
    }

    /// A DNS request of a pod's.
    pub fn dns_request(&self, request: &DnsRequest<'_>) {
        self.dns_requests.get_or_create(&request.labels()).inc();
    }

    /// A DNS request handed on; how long that took; and whether it was answered.
    pub fn dns_upstream(&self, request: &DnsRequest<'_>, took: Duration, answered: bool) {
        let labels = request.labels();
        self.dns_upstream.get_or_create(&labels).inc();
        if answered {
            self.dns_duration
                .get_or_create(&labels)
                .observe(took.as_secs_f64());
        } else {
            self.dns_failures.get_or_create(&labels).inc();
        }
    }

    /// The name of a workload was resolved for a connection of `client`.
    pub fn name_resolved(&self, client: &Workload, hostname: &str) {
        let mut labels = traffic::source_labels(client);
        labels.push(("hostname", hostname.to_owned()));
        self.resolved.get_or_create(&labels).inc();
    }

    /// A peer's certificate was found to be revoked.
    pub fn revoked(&self, reporter: Reporter) {
        let labels = vec![("reporter", reporter.to_string())];
        self.revoked.get_or_create(&labels).inc();
    }
}

/// A DNS request, as metrics see it.
#[derive(Debug, Clone)]
pub struct DnsRequest<'a> {
    /// Type of the record asked for, in lower case; `None` if the request cannot be read.
    pub kind: Option<String>,
    /// `udp` or `tcp`.
    pub transport: &'static str,
    /// Who asks.
    pub client: Option<&'a Workload>,
}

impl DnsRequest<'_> {
    fn labels(&self) -> Labels {
        let known = traffic::known;
        vec![
            ("request_query_type", known(self.kind.as_deref())),
            ("request_protocol", self.transport.to_owned()),
            (
                "source_canonical_service",
                known(self.client.map(|w| w.canonical_name.as_str())),
            ),
            (
                "source_canonical_revision",
                known(self.client.map(|w| w.canonical_revision.as_str())),
            ),
        ]
    }
}
