//! What holds of sidecars that are taught to pass a waypoint, and what does not: `docs/taught-sidecars.md`.

mod ownership;
mod protocols;
mod routing;
mod same;
mod too_old;
mod waypoint;

use bed::taught::{Inner, Taught};
use bed::{Answer, Bed, Namespace, eventually};
use std::net::SocketAddr;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(40);

/// How long access logs may take until they are written; Envoy writes them once a second.
const LOGGED: Duration = Duration::from_secs(2);

/// A client in one namespace; a Service `server` with a waypoint, at which nobody may ask for `/admin/…`, in
/// another.
struct Scene<'a> {
    clients: Namespace<'a>,
    servers: Namespace<'a>,
    host: String,
    waypoints: Vec<SocketAddr>,
}

/// Selects the pods of the waypoint.
const WAYPOINTS: &str = "--selector=gateway.networking.k8s.io/gateway-name=waypoint";

const NO_ADMIN: &str = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: no-admin}\n\
    spec:\n  targetRefs: [{kind: Service, group: \"\", name: server}]\n  action: DENY\n  \
    rules: [{to: [{operation: {paths: [/admin/*]}}]}]\n";

impl<'a> Scene<'a> {
    /// Everything is ready, and nothing taught yet.
    fn new(bed: &'a Bed, hint: &str) -> Self {
        let clients = bed.namespace(&format!("{hint}-c"));
        let servers = bed.namespace(&format!("{hint}-s"));
        std::thread::scope(|scope| {
            scope.spawn(|| clients.server("client"));
            scope.spawn(|| servers.server("server"));
            servers.waypoint("waypoint");
        });
        servers.apply(NO_ADMIN);
        eventually(SOON, || servers.accepted_by_waypoint("no-admin"));
        Self {
            host: format!("server.{}.svc.cluster.local", servers.name()),
            waypoints: vec![SocketAddr::new(servers.address_of("waypoint"), 15008)],
            clients,
            servers,
        }
    }

    /// The object that teaches all sidecars of the client's namespace.
    fn object(&self) -> Taught<'_> {
        Taught {
            name: "taught",
            clients: self.clients.name(),
            selector: &[],
            host: &self.host,
            port: 80,
            subsets: &[],
            vip: self.servers.address_of("server"),
            waypoints: &self.waypoints,
            inner: Inner::AsIs,
            priority: 0,
        }
    }

    /// Teaches, and waits until it is in force.
    fn teach(&self) {
        self.clients.apply(&self.object().envoy_filter());
        eventually(SOON, || refused_by_waypoint(self.get("/admin/x")));
    }

    /// One request of the client's to the Service.
    fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    /// As [`Scene::get`], with headers.
    fn get_with(&self, path: &str, headers: &[&str]) -> Answer {
        self.clients.get("client", &self.url(path), headers)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host)
    }

    /// Where the waypoint's pods listen, those that are about to end as well.
    fn pods_of_waypoint(&self) -> Vec<SocketAddr> {
        let list = self
            .servers
            .kubectl(&[
                "get",
                "pods",
                WAYPOINTS,
                "--output=jsonpath={.items[*].status.podIP}",
            ])
            .unwrap_or_else(|error| panic!("{error}"));
        let address = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 15008);
        list.split_whitespace().map(address).collect()
    }

    /// How many requests that contain this text in their line a proxy of the servers' has logged.
    fn logged(&self, deployment: &str, text: &str) -> usize {
        let deployment = format!("deployment/{deployment}");
        let log = self
            .servers
            .kubectl(&["logs", &deployment, "--container=istio-proxy", "--tail=-1"])
            .unwrap_or_else(|error| panic!("{error}"));
        log.lines().filter(|line| line.contains(text)).count()
    }

    /// What the client's Envoy tells on this path of its administration.
    fn envoy(&self, path: &str) -> String {
        let command = ["exec", "deployment/client", "--container=istio-proxy", "--"];
        let question = ["pilot-agent", "request", "GET", path];
        eventually(SOON, || {
            match self.clients.kubectl(&[&command[..], &question].concat()) {
                Ok(text) if !text.trim().is_empty() => Ok(text),
                other => Err(format!("{other:?}")),
            }
        })
    }
}

/// Whether it was the waypoint that said no.
fn refused_by_waypoint(answer: Answer) -> Result<(), String> {
    let answer = answer.expect(403)?;
    match answer.body.as_str() {
        Some("RBAC: access denied") => Ok(()),
        _ => Err(format!("refused by something else: {answer:?}")),
    }
}
