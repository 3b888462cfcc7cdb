//! Small HTTP services: readiness, metrics, and a look inside.

use crate::node::Progress;
use crate::pod::Node;
use crate::state::model::Workload;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use semantics::layer_4::Policy;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tracing::warn;

/// Sets another log filter; `Err` says what is wrong with it.
pub type Reload = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Service {
    node: Arc<Node>,
    progress: Arc<Progress>,
    reload: Reload,
}

#[derive(Clone, Copy)]
enum Kind {
    Readiness,
    Metrics,
    Admin,
}

/// Starts all services.
///
/// # Errors
/// If a port is taken.
pub async fn start(node: &Arc<Node>, progress: &Arc<Progress>, reload: Reload) -> io::Result<()> {
    let service = Service {
        node: node.clone(),
        progress: progress.clone(),
        reload,
    };
    let config = &node.config;
    let (admin, port) = config.admin;
    listen(
        TcpListener::bind((admin, port)).await?,
        Kind::Admin,
        service.clone(),
    );
    for (port, kind) in [
        (config.stats_port, Kind::Metrics),
        (config.readiness_port, Kind::Readiness),
    ] {
        listen(everywhere(port).await?, kind, service.clone());
    }
    Ok(())
}

async fn everywhere(port: u16) -> io::Result<TcpListener> {
    let any = |address: IpAddr| SocketAddr::new(address, port);
    match TcpListener::bind(any(Ipv6Addr::UNSPECIFIED.into())).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind(any(Ipv4Addr::UNSPECIFIED.into())).await,
    }
}

fn listen(listener: TcpListener, kind: Kind, service: Service) {
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let service = service.clone();
            tokio::spawn(async move {
                let answer = |request: Request<Incoming>| {
                    let response = service.answer(kind, &request);
                    async move { Ok::<_, Infallible>(response) }
                };
                let connection = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), service_fn(answer));
                let _ = connection.await;
            });
        }
    });
}

impl Service {
    fn answer(&self, kind: Kind, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        match (kind, request.method(), path) {
            (Kind::Readiness, _, "/healthz/ready") => self.readiness(),
            (Kind::Metrics, _, "/metrics" | "/stats/prometheus") => {
                let kind = "application/openmetrics-text;charset=utf-8;version=1.0.0";
                response(StatusCode::OK, kind, self.node.metrics.text())
            }
            (Kind::Admin, _, "/config_dump") => {
                response(StatusCode::OK, "application/json", format!("{:#}", self.dump()))
            }
            (Kind::Admin, &Method::POST, "/logging") => {
                self.logging(request.uri().query().unwrap_or_default())
            }
            _ => text(StatusCode::NOT_FOUND, "not found\n".to_owned()),
        }
    }

    fn readiness(&self) -> Response<Full<Bytes>> {
        let missing = self.progress.missing(&self.node);
        let stale = self.stale();
        if missing.is_empty() {
            text(StatusCode::OK, format!("ready\n{stale}"))
        } else {
            let list = missing.join("\n");
            let list = format!("not ready, waiting for:\n{list}\n{stale}");
            text(StatusCode::INTERNAL_SERVER_ERROR, list)
        }
    }

    /// What keeps us from knowing the mesh as it is now. It does not make us unready: what is known stays in force.
    fn stale(&self) -> String {
        let hearing = self.node.store.hearing();
        let lost = hearing.lost.and_then(|lost| lost.elapsed().ok());
        let lost = lost.map(|since| format!("istiod has been gone for {} s\n", since.as_secs()));
        let rejected = hearing.rejected.iter();
        let rejected = rejected.map(|(name, problem)| format!("rejected {name}: {problem}\n"));
        let lists = self.node.revocations.problem();
        let lists = lists.map(|problem| format!("revoked certificates: {problem}\n"));
        lost.into_iter().chain(rejected).chain(lists).collect()
    }

    fn logging(&self, query: &str) -> Response<Full<Bytes>> {
        let level = query.split('&').find_map(|pair| pair.strip_prefix("level="));
        let level = level
            .unwrap_or("info")
            .replace("%2C", ",")
            .replace("%3D", "=")
            .replace("%3A", ":");
        match (self.reload)(&level) {
            Ok(()) => text(StatusCode::OK, format!("current log level is {level}\n")),
            Err(error) => {
                warn!("no log filter: {error}");
                text(StatusCode::BAD_REQUEST, format!("{error}\n"))
            }
        }
    }

    /// What is known of the mesh. No keys: they never leave the memory of the process.
    fn dump(&self) -> Value {
        let state = self.node.store.load();
        let received = self.node.store.received();
        let hearing = self.node.store.hearing();
        json!({
            "ready": self.progress.missing(&self.node),
            "istiod": {
                "connected": self.node.metrics.xds_connected.get() == 1,
                "gone_for_seconds": hearing.lost.and_then(|lost| lost.elapsed().ok()).map(|since| since.as_secs()),
                "rejected": hearing.rejected,
            },
            "revoked_certificates_problem": self.node.revocations.problem(),
            "received": {"addresses": received.addresses, "policies": received.policies},
            "workloads": state.workloads().map(|found| workload(found)).collect::<Vec<_>>(),
            "services": state.services().map(|service| json!({
                "name": service.name,
                "namespace": service.namespace,
                "hostname": service.hostname,
                "vips": service.addresses.iter().map(|a| format!("{}/{}", a.network, a.address)).collect::<Vec<_>>(),
                "ports": service.ports,
                "endpoints": state.endpoints(service).map(|e| e.keys().map(ToString::to_string).collect::<Vec<_>>()),
                "waypoint": service.waypoint.as_ref().map(|gateway| format!("{gateway:?}")),
            })).collect::<Vec<_>>(),
            "policies": state.policies().map(|found| policy(found)).collect::<Vec<_>>(),
        })
    }
}

fn workload(workload: &Workload) -> Value {
    json!({
        "uid": *workload.uid,
        "name": workload.name,
        "namespace": workload.namespace,
        "serviceAccount": workload.service_account,
        "workloadIps": workload.addresses,
        "protocol": format!("{:?}", workload.tunnel).to_uppercase(),
        "node": workload.node,
        "status": if workload.healthy { "Healthy" } else { "Unhealthy" },
        "authorizationPolicies": workload.policies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "waypoint": workload.waypoint.as_ref().map(|gateway| format!("{gateway:?}")),
    })
}

fn policy(policy: &Policy) -> Value {
    json!({
        "name": policy.name,
        "namespace": policy.namespace,
        "scope": format!("{:?}", policy.scope),
        "action": format!("{:?}", policy.action),
        "dryRun": policy.dry_run,
        "rules": format!("{:?}", policy.rules),
    })
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    response(status, "text/plain", body)
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert("content-type", http::HeaderValue::from_static(kind));
    response
}
