//! VirtualService (`networking.istio.io`, `istio.networking.v1alpha3.VirtualService`).

use crate::decode::Opaque;
use crate::record;
use crate::values::{Duration, Port, StringMatch};
use std::collections::BTreeMap;

record! { strict;
    /// How requests for a set of host names are routed.
    pub struct VirtualService {
        /// The host names, as written: short, qualified or with a wildcard.
        pub hosts: Vec<String> = "hosts",
        /// Gateways by name, `mesh` for all sidecars; empty means `mesh`.
        pub gateways: Vec<String> = "gateways",
        /// Rules for HTTP, in order; the first that matches counts.
        pub http: Vec<HttpRoute> = "http",
        /// Rules for TLS that is passed through.
        pub tls: Vec<TlsRoute> = "tls",
        /// Rules for TCP.
        pub tcp: Vec<TcpRoute> = "tcp",
        /// Namespaces to which the object is visible; empty means the mesh's default.
        pub export_to: Vec<String> = "exportTo",
    }
}

impl VirtualService {
    /// Whether sidecars, and so waypoints, read this object.
    #[must_use]
    pub fn applies_to_mesh(&self) -> bool {
        is_for_mesh(&self.gateways)
    }
}

/// Whether a list of gateways, of an object or of one match, is for sidecars: it is empty or names `mesh`.
#[must_use]
pub fn is_for_mesh(gateways: &[String]) -> bool {
    gateways.is_empty() || gateways.iter().any(|gateway| gateway == "mesh")
}

record! { strict;
    /// One HTTP rule.
    pub struct HttpRoute {
        /// Name for statistics and logs.
        pub name: Option<String> = "name",
        /// Alternatives; empty means every request.
        pub matches: Vec<HttpMatchRequest> = "match",
        /// Destinations with their shares.
        pub route: Vec<HttpRouteDestination> = "route",
        /// An answer by redirection.
        pub redirect: Option<Box<HttpRedirect>> = "redirect",
        /// A fixed answer.
        pub direct_response: Option<Opaque> = "directResponse",
        /// Another VirtualService that goes on.
        pub delegate: Option<Delegate> = "delegate",
        /// Changes of path and authority.
        pub rewrite: Option<Box<HttpRewrite>> = "rewrite",
        /// Limit for the whole request with its retries.
        pub timeout: Option<Duration> = "timeout",
        /// When and how often a request is tried again.
        pub retries: Option<Box<HttpRetry>> = "retries",
        /// Faults to inject.
        pub fault: Option<Opaque> = "fault",
        /// A destination that gets copies.
        pub mirror: Option<Box<Destination>> = "mirror",
        /// Several such destinations.
        pub mirrors: Vec<HttpMirrorPolicy> = "mirrors",
        /// Share of requests to copy, in whole percent; deprecated.
        pub mirror_percent: Option<u32> = "mirrorPercent" | "mirror_percent",
        /// Share of requests to copy.
        pub mirror_percentage: Option<Percent> = "mirrorPercentage",
        /// Cross-origin answers by the proxy.
        pub cors_policy: Option<Box<CorsPolicy>> = "corsPolicy",
        /// Header edits.
        pub headers: Option<Box<Headers>> = "headers",
    }
}

record! { strict;
    /// A VirtualService without hosts by name (`istio.networking.v1alpha3.Delegate`).
    pub struct Delegate {
        /// Its name.
        pub name: String = "name",
        /// Its namespace; empty means that of the object that delegates.
        pub namespace: Option<String> = "namespace",
    }
}

record! { strict;
    /// When a request is tried again (`istio.networking.v1alpha3.HTTPRetry`).
    pub struct HttpRetry {
        /// How often, after the first time; absent or 0 means never.
        pub attempts: Option<i64> = "attempts",
        /// Limit for each try.
        pub per_try_timeout: Option<Duration> = "perTryTimeout",
        /// Envoy's conditions and status codes, separated by commas; empty means istiod's default.
        pub retry_on: Option<String> = "retryOn",
        /// Whether other localities may be tried.
        pub retry_remote_localities: Option<bool> = "retryRemoteLocalities",
        /// Whether hosts that failed are avoided; absent means yes.
        pub retry_ignore_previous_hosts: Option<bool> = "retryIgnorePreviousHosts",
        /// The base of the waiting time between tries.
        pub backoff: Option<Duration> = "backoff",
    }
}

record! { strict;
    /// Cross-origin answers by the proxy (`istio.networking.v1alpha3.CorsPolicy`).
    pub struct CorsPolicy {
        /// Origins, literally; deprecated, and without effect beside `allowOrigins`.
        pub allow_origin: Vec<String> = "allowOrigin",
        /// Origins.
        pub allow_origins: Vec<StringMatch> = "allowOrigins",
        /// Methods of the answer to a preflight.
        pub allow_methods: Vec<String> = "allowMethods",
        /// Headers of the answer to a preflight.
        pub allow_headers: Vec<String> = "allowHeaders",
        /// Headers that scripts may read.
        pub expose_headers: Vec<String> = "exposeHeaders",
        /// How long a preflight's answer holds; whole seconds count.
        pub max_age: Option<Duration> = "maxAge",
        /// Whether credentials may be sent.
        pub allow_credentials: Option<bool> = "allowCredentials",
        /// `FORWARD` (also when absent) or `IGNORE`: what becomes of preflights whose origin fits nothing.
        pub unmatched_preflights: Option<String> = "unmatchedPreflights",
    }
}

record! { strict;
    /// A conjunction of conditions.
    pub struct HttpMatchRequest {
        /// Appended to the rule's name.
        pub name: Option<String> = "name",
        /// The path without its query.
        pub uri: Option<StringMatch> = "uri",
        /// `http` or `https`.
        pub scheme: Option<StringMatch> = "scheme",
        /// The HTTP method.
        pub method: Option<StringMatch> = "method",
        /// `:authority`.
        pub authority: Option<StringMatch> = "authority",
        /// Request headers.
        pub headers: BTreeMap<String, StringMatch> = "headers",
        /// The port that the client dialled.
        pub port: Option<Port> = "port",
        /// Labels of the client's pod.
        pub source_labels: BTreeMap<String, String> = "sourceLabels",
        /// Gateways, as in the whole object.
        pub gateways: Vec<String> = "gateways",
        /// Query parameters.
        pub query_params: BTreeMap<String, StringMatch> = "queryParams",
        /// Whether exact and prefix paths ignore case.
        pub ignore_uri_case: Option<bool> = "ignoreUriCase",
        /// Headers that must not match.
        pub without_headers: BTreeMap<String, StringMatch> = "withoutHeaders",
        /// The client's namespace.
        pub source_namespace: Option<String> = "sourceNamespace",
        /// Prefix of statistics.
        pub stat_prefix: Option<String> = "statPrefix",
    }
}

record! { strict;
    /// A destination with its share of the requests.
    pub struct HttpRouteDestination {
        /// Where requests go.
        pub destination: Destination = "destination",
        /// The share, in proportion to the sum; absent is 0, and does not count where there is only one.
        pub weight: Option<i64> = "weight",
        /// Header edits for this destination.
        pub headers: Option<Box<Headers>> = "headers",
    }
}

record! { strict;
    /// A service, a port of it and a subset.
    pub struct Destination {
        /// Host name; a short one is completed with the object's own namespace.
        pub host: String = "host",
        /// Subset of the host's DestinationRule.
        pub subset: Option<String> = "subset",
        /// Service port; absent means the only one, or the one dialled.
        pub port: Option<PortSelector> = "port",
    }
}

record! { strict;
    /// A service port by number.
    pub struct PortSelector {
        /// The number.
        pub number: Option<Port> = "number",
    }
}

record! { strict;
    /// An answer that sends the client elsewhere.
    pub struct HttpRedirect {
        /// The whole new path; absent keeps the old one.
        pub uri: Option<String> = "uri",
        /// Replaces the matched prefix (Istio 1.31).
        pub prefix_rewrite: Option<String> = "prefixRewrite",
        /// The new authority.
        pub authority: Option<String> = "authority",
        /// The new port.
        pub port: Option<Port> = "port",
        /// How the port follows from the request: `FROM_PROTOCOL_DEFAULT` or `FROM_REQUEST_PORT`.
        pub derive_port: Option<String> = "derivePort",
        /// The new scheme.
        pub scheme: Option<String> = "scheme",
        /// The status code; absent is 301.
        pub redirect_code: Option<u32> = "redirectCode",
    }
}

record! { strict;
    /// Changes to the request line.
    pub struct HttpRewrite {
        /// New path, or new prefix where the match is by prefix.
        pub uri: Option<String> = "uri",
        /// New authority.
        pub authority: Option<String> = "authority",
        /// Substitution by regular expression.
        pub uri_regex_rewrite: Option<Opaque> = "uriRegexRewrite",
    }
}

record! { strict;
    /// A destination that gets copies of requests.
    pub struct HttpMirrorPolicy {
        /// Where the copies go.
        pub destination: Destination = "destination",
        /// The share of requests; absent is all.
        pub percentage: Option<Percent> = "percentage",
    }
}

record! { strict;
    /// A share of 100.
    pub struct Percent {
        /// 0.0 to 100.0.
        pub value: f64 = "value",
    }
}

record! { strict;
    /// Header edits in both directions.
    pub struct Headers {
        /// On the way to the destination.
        pub request: Option<HeaderOperations> = "request",
        /// On the way back.
        pub response: Option<HeaderOperations> = "response",
    }
}

record! { strict;
    /// Removals first, then `set`, then `add`.
    pub struct HeaderOperations {
        /// Overwrites.
        pub set: BTreeMap<String, String> = "set",
        /// Appends.
        pub add: BTreeMap<String, String> = "add",
        /// Removes.
        pub remove: Vec<String> = "remove",
    }
}

record! { strict;
    /// A rule for connections that carry TLS to their destination.
    pub struct TlsRoute {
        /// Alternatives; Istio asks for at least one.
        pub matches: Vec<TlsMatchAttributes> = "match",
        /// Destinations with their shares.
        pub route: Vec<RouteDestination> = "route",
    }
}

record! { strict;
    /// A conjunction of conditions on a TLS connection.
    pub struct TlsMatchAttributes {
        /// Server names that the client asks for.
        pub sni_hosts: Vec<String> = "sniHosts",
        /// Destination addresses.
        pub destination_subnets: Vec<String> = "destinationSubnets",
        /// The port that the client dialled.
        pub port: Option<Port> = "port",
        /// Labels of the client's pod.
        pub source_labels: BTreeMap<String, String> = "sourceLabels",
        /// Gateways, as in the whole object.
        pub gateways: Vec<String> = "gateways",
        /// The client's namespace.
        pub source_namespace: Option<String> = "sourceNamespace",
    }
}

record! { strict;
    /// A rule for TCP connections.
    pub struct TcpRoute {
        /// Alternatives; empty means every connection.
        pub matches: Vec<L4MatchAttributes> = "match",
        /// Destinations with their shares.
        pub route: Vec<RouteDestination> = "route",
    }
}

record! { strict;
    /// A conjunction of conditions on a TCP connection.
    pub struct L4MatchAttributes {
        /// Destination addresses.
        pub destination_subnets: Vec<String> = "destinationSubnets",
        /// The port that the client dialled.
        pub port: Option<Port> = "port",
        /// Addresses of clients; istiod has never looked at it.
        pub source_subnet: Option<String> = "sourceSubnet",
        /// Labels of the client's pod.
        pub source_labels: BTreeMap<String, String> = "sourceLabels",
        /// Gateways, as in the whole object.
        pub gateways: Vec<String> = "gateways",
        /// The client's namespace.
        pub source_namespace: Option<String> = "sourceNamespace",
    }
}

record! { strict;
    /// A destination of connections with its share of them.
    pub struct RouteDestination {
        /// Where connections go.
        pub destination: Destination = "destination",
        /// The share, in proportion to the sum; absent is 0, and does not count where there is only one.
        pub weight: Option<i64> = "weight",
    }
}
