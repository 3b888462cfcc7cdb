//! Sidecars that are taught to pass a waypoint, by an EnvoyFilter; `docs/taught-sidecars.md` explains it.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

/// What the sidecar speaks to the waypoint inside of the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inner {
    /// HTTP/1.1, or the bytes of a port that carries no HTTP.
    AsIs,
    /// HTTP/2 with prior knowledge, as ports of gRPC and HTTP/2 need.
    Http2,
}

/// A port of a Service that some sidecars shall reach through its waypoint.
#[derive(Debug, Clone)]
pub struct Taught<'a> {
    /// Name of the EnvoyFilter; also of the endpoints in the client's Envoy, so unique in a client.
    pub name: &'a str,
    /// Namespace of the clients, and of the EnvoyFilter.
    pub clients: &'a str,
    /// Labels of the clients' pods; none selects all of the namespace.
    pub selector: &'a [(&'a str, &'a str)],
    /// Fully qualified name of the Service.
    pub host: &'a str,
    /// Port of the Service.
    pub port: u16,
    /// Subsets of DestinationRules that the clients see; their clusters are replaced too.
    pub subsets: &'a [&'a str],
    /// Address of the Service: by it the waypoint knows which Service is meant.
    pub vip: IpAddr,
    /// Where the waypoint listens: the address of its Service, or those of its pods; port 15008 as a rule.
    pub waypoints: &'a [SocketAddr],
    /// What is spoken inside of the tunnel.
    pub inner: Inner,
    /// The place of this EnvoyFilter among others: lower ones are applied first, 0 is the usual one.
    pub priority: i32,
}

impl Taught<'_> {
    /// The EnvoyFilter, in YAML.
    #[must_use]
    pub fn envoy_filter(&self) -> String {
        let mut text = format!(
            "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\n\
             metadata: {{name: {}, namespace: {}}}\nspec:\n  priority: {}\n",
            self.name, self.clients, self.priority
        );
        if !self.selector.is_empty() {
            text.push_str("  workloadSelector:\n    labels:\n");
            for (name, value) in self.selector {
                let _ = writeln!(text, "      {name}: \"{value}\"");
            }
        }
        text.push_str("  configPatches:\n");
        self.patch(&mut text, "");
        for subset in self.subsets {
            self.patch(&mut text, subset);
        }
        text
    }

    /// The two patches that replace one cluster.
    fn patch(&self, text: &mut String, subset: &str) {
        let Self { host, port, .. } = self;
        let found = if subset.is_empty() {
            String::new()
        } else {
            format!(", subset: {subset}")
        };
        let _ = write!(
            text,
            r"  - applyTo: CLUSTER
    match: {{context: SIDECAR_OUTBOUND, cluster: {{service: {host}, portNumber: {port}{found}}}}}
    patch: {{operation: REMOVE}}
  - applyTo: CLUSTER
    match: {{context: SIDECAR_OUTBOUND}}
    patch:
      operation: ADD
      value:
        name: outbound|{port}|{subset}|{host}
        type: STATIC
        connect_timeout: 10s
{}        transport_socket:
          name: envoy.transport_sockets.internal_upstream
          typed_config:
            '@type': type.googleapis.com/envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport
            passthrough_metadata:
            - {{name: envoy.filters.listener.original_dst, kind: {{host: {{}}}}}}
            transport_socket:
              name: envoy.transport_sockets.raw_buffer
              typed_config:
                '@type': type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer
        load_assignment:
          cluster_name: outbound|{port}|{subset}|{host}
          endpoints:
          - lb_endpoints:
",
            self.protocol()
        );
        for (number, waypoint) in self.waypoints.iter().enumerate() {
            self.endpoint(text, subset, number, *waypoint);
        }
    }

    fn endpoint(&self, text: &mut String, subset: &str, number: usize, waypoint: SocketAddr) {
        let destination = SocketAddr::new(self.vip, self.port);
        let _ = write!(
            text,
            r#"            - endpoint:
                address:
                  envoy_internal_address:
                    server_listener_name: connect_originate
                    endpoint_id: {}/{}/{subset}/{number}
              metadata:
                filter_metadata:
                  envoy.filters.listener.original_dst:
                    local: "{destination}"
                    waypoint: "{waypoint}"
"#,
            self.name, self.port
        );
    }

    const fn protocol(&self) -> &'static str {
        match self.inner {
            Inner::AsIs => "",
            Inner::Http2 => {
                "        typed_extension_protocol_options:
          envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
            '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
            explicit_http_config: {http2_protocol_options: {}}
"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Inner, Taught};
    use std::net::{IpAddr, SocketAddr};

    const WAYPOINTS: [SocketAddr; 1] = [SocketAddr::new(
        IpAddr::V4(std::net::Ipv4Addr::new(10, 96, 0, 30)),
        15008,
    )];

    fn documented() -> Taught<'static> {
        Taught {
            name: "taught-server-80",
            clients: "shop",
            selector: &[],
            host: "server.backend.svc.cluster.local",
            port: 80,
            subsets: &[],
            vip: "10.96.0.20".parse().unwrap(),
            waypoints: &WAYPOINTS,
            inner: Inner::AsIs,
            priority: 0,
        }
    }

    #[test]
    fn the_page_shows_the_object_as_it_is_written() {
        let page = include_str!("../../../docs/taught-sidecars.md");
        let block = format!("```yaml\n{}```\n", documented().envoy_filter());
        assert!(page.contains(&block), "{block}");
    }

    #[test]
    fn addresses_of_version_6_are_bracketed_and_each_subset_has_its_cluster() {
        let text = Taught {
            vip: "fd00::20".parse().unwrap(),
            subsets: &["v1"],
            selector: &[("app", "client")],
            inner: Inner::Http2,
            ..documented()
        }
        .envoy_filter();
        for part in [
            "local: \"[fd00::20]:80\"",
            "name: outbound|80||server.backend",
            "name: outbound|80|v1|server.backend",
            "portNumber: 80, subset: v1}",
            "workloadSelector:\n    labels:\n      app: \"client\"\n",
            "explicit_http_config: {http2_protocol_options: {}}",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
