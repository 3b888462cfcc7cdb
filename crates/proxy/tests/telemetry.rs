//! Names, labels and lines that dashboards and readers of logs depend on.
#![expect(clippy::unwrap_used, reason = "a test")]

mod mesh;

use mesh::record;
use proxy::identity::Identity;
use proxy::proto::workload as wire;
use proxy::state::{decode, model::Service};
use proxy::telemetry::format::{Json, Plain};
use proxy::telemetry::{DnsRequest, Ends, Flag, Metrics, Reporter, Socket, Tracked, failed, failed_early};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Registry};

fn service() -> Arc<Service> {
    let message = wire::Service {
        name: "web".into(),
        namespace: "shop".into(),
        hostname: "web.shop.svc.cluster.local".into(),
        ..wire::Service::default()
    };
    Arc::new(decode::service(message).unwrap())
}

/// A connection through HBONE, as the client's side sees it.
fn hbone() -> Ends {
    let mut client = record("client-1", [10, 0, 0, 1].into());
    client.workload_name = "client".into();
    client.canonical_name = "client".into();
    client.canonical_revision = "v1".into();
    client.locality = Some(wire::Locality {
        region: "r1".into(),
        zone: "z1".into(),
        ..wire::Locality::default()
    });
    let mut server = record("web-1", [10, 0, 0, 2].into());
    server.workload_name = "web".into();
    server.service_account = "web".into();
    Ends {
        reporter: Reporter::Source,
        source: "10.0.0.1:40000".parse().unwrap(),
        client: Some(Arc::new(decode::workload(client).unwrap())),
        client_identity: Identity::new("cluster.local", "shop", "client"),
        destination: "10.0.0.2:15008".parse().unwrap(),
        authority: Some("10.0.0.2:8080".into()),
        server: Some(Arc::new(decode::workload(server).unwrap())),
        service: Some(service()),
    }
}

/// A plain connection from nobody known, as the server's side sees it.
fn plain() -> Ends {
    Ends {
        reporter: Reporter::Destination,
        source: "192.0.2.1:50000".parse().unwrap(),
        client: None,
        client_identity: None,
        destination: "10.0.0.2:8080".parse().unwrap(),
        authority: None,
        service: None,
        ..hbone()
    }
}

fn everything(metrics: &Arc<Metrics>) {
    let tracked = Tracked::open(metrics, hbone(), Instant::now());
    tracked.up.add(5);
    tracked.down.add(7);
    drop(tracked);
    let mut broken = Tracked::open(metrics, plain(), Instant::now());
    broken.up.add(11);
    broken.fail(Flag::Connect, &"connection reset");
    drop(broken);
    failed(metrics, hbone(), Instant::now(), Flag::Deny, &"http status: 401");
    failed_early(metrics, &plain(), Flag::Tls, &"no TLS handshake in time");
}

/// All families with all their labels. Within a family the order means nothing.
#[test]
fn metrics_are_those_of_ztunnel() {
    let metrics = Arc::<Metrics>::default();
    everything(&metrics);
    let _open = Socket::open(&metrics, Reporter::Destination);
    drop(Socket::open(&metrics, Reporter::Source));
    let client = hbone().client.unwrap();
    let asked = DnsRequest {
        kind: Some("aaaa".into()),
        transport: "udp",
        client: Some(&client),
    };
    metrics.dns_request(&asked);
    metrics.dns_upstream(&asked, Duration::from_millis(2), true);
    let unread = DnsRequest {
        kind: None,
        transport: "tcp",
        client: None,
    };
    metrics.dns_upstream(&unread, Duration::from_secs(5), false);
    metrics.name_resolved(&client, "db.example.com");
    metrics.xds_message("type.googleapis.com/istio.workload.Address", 1000);
    metrics.xds_terminated("ConnectionError");
    metrics.xds_connected.set(1);
    metrics.revoked(Reporter::Destination);
    metrics.active_pods.set(3);
    metrics.pending_pods.set(1);
    metrics.pods_started.inc_by(4);
    metrics.pods_stopped.inc();
    let mut families: Vec<Vec<String>> = Vec::new();
    for line in metrics.text().lines().filter(|line| *line != "# EOF") {
        if line.starts_with("# HELP") {
            families.push(Vec::new());
        }
        families.last_mut().unwrap().push(line.to_owned());
    }
    for family in &mut families {
        family.sort_by_key(|line| (!line.starts_with('#'), line.split('}').next().map(str::to_owned)));
    }
    families.sort();
    let text = families.concat().join("\n");
    let version = concat!("tag=\"", env!("CARGO_PKG_VERSION"), "\"");
    insta::assert_snapshot!(text.replace(version, "tag=\"VERSION\""));
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME");
    settings.add_filter(r"\d+ms", "0ms");
    settings
}

#[test]
fn lines_of_the_access_log_are_those_of_ztunnel() {
    let lines = Lines::default();
    let layer = fmt::layer().with_writer(lines.clone()).event_format(Plain);
    let subscriber = Registry::default().with(EnvFilter::new("debug")).with(layer);
    tracing::subscriber::with_default(subscriber, || everything(&Arc::default()));
    settings().bind(|| insta::assert_snapshot!(lines.text()));
}

#[test]
fn lines_in_json_have_the_same_fields() {
    let lines = Lines::default();
    let layer = fmt::layer().with_writer(lines.clone()).event_format(Json);
    let subscriber = Registry::default().with(EnvFilter::new("info")).with(layer);
    tracing::subscriber::with_default(subscriber, || everything(&Arc::default()));
    let text = lines.text();
    for line in text.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(object["scope"], "access", "{line}");
    }
    settings().bind(|| insta::assert_snapshot!(text));
}
