//! Kinds beside the VirtualService that say where traffic goes: DestinationRule, ServiceEntry and Istio's
//! Gateway (`networking.istio.io`), HTTPRoute and Gateway (`gateway.networking.k8s.io`).

use crate::decode::Opaque;
use crate::record;
use crate::values::{Port, PortRef};
use std::collections::BTreeMap;

record! { strict;
    /// What happens after routing to a host.
    pub struct DestinationRule {
        /// Host name; a short one is completed with the object's own namespace.
        pub host: String = "host",
        /// Policy for the host.
        pub traffic_policy: Option<Opaque> = "trafficPolicy",
        /// Named subsets of its endpoints.
        pub subsets: Vec<Subset> = "subsets",
        /// Namespaces to which the object is visible.
        pub export_to: Vec<String> = "exportTo",
        /// Client pods for which the object counts.
        pub workload_selector: Option<Opaque> = "workloadSelector",
    }
}

record! { strict;
    /// A named subset.
    pub struct Subset {
        /// The name that routes use.
        pub name: String = "name",
        /// Labels of its endpoints.
        pub labels: BTreeMap<String, String> = "labels",
        /// Policy for the subset.
        pub traffic_policy: Option<Opaque> = "trafficPolicy",
    }
}

record! { strict;
    /// Hosts outside of the cluster's own registry.
    pub struct ServiceEntry {
        /// Host names.
        pub hosts: Vec<String> = "hosts",
        /// Virtual addresses.
        pub addresses: Vec<String> = "addresses",
        /// Ports.
        pub ports: Vec<ServiceEntryPort> = "ports",
        /// Inside or outside of the mesh.
        pub location: Option<String> = "location",
        /// How endpoints are found.
        pub resolution: Option<String> = "resolution",
        /// Endpoints.
        pub endpoints: Vec<Opaque> = "endpoints",
        /// Pods and WorkloadEntries that are its endpoints.
        pub workload_selector: Option<EntrySelector> = "workloadSelector",
        /// Namespaces to which the object is visible.
        pub export_to: Vec<String> = "exportTo",
        /// Names that the server's certificate must have.
        pub subject_alt_names: Vec<String> = "subjectAltNames",
    }
}

record! { strict;
    /// Labels of endpoints.
    pub struct EntrySelector {
        /// The labels, all of which an endpoint must have.
        pub labels: BTreeMap<String, String> = "labels",
    }
}

record! { strict;
    /// A port of a ServiceEntry.
    pub struct ServiceEntryPort {
        /// The number.
        pub number: Option<Port> = "number",
        /// The protocol.
        pub protocol: Option<String> = "protocol",
        /// The name.
        pub name: Option<String> = "name",
        /// The port of the endpoints.
        pub target_port: Option<Port> = "targetPort",
    }
}

record! { strict;
    /// Listeners of an ingress or egress gateway (Istio's own API).
    pub struct IstioGateway {
        /// Labels of the gateway's pods.
        pub selector: BTreeMap<String, String> = "selector",
        /// Listeners.
        pub servers: Vec<Opaque> = "servers",
    }
}

record! { lenient;
    /// A gateway or waypoint of the Gateway API.
    pub struct Gateway {
        /// The class; `istio-waypoint` for waypoints.
        pub gateway_class_name: String = "gatewayClassName",
        /// Listeners.
        pub listeners: Vec<Opaque> = "listeners",
    }
}

record! { lenient;
    /// A route of the Gateway API, as far as it says what it is attached to.
    pub struct HttpRouteResource {
        /// What the route is attached to.
        pub parent_refs: Vec<ParentReference> = "parentRefs",
        /// Host names; ignored for Service parents.
        pub hostnames: Vec<String> = "hostnames",
        /// Rules.
        pub rules: Vec<Opaque> = "rules",
    }
}

record! { lenient;
    /// What a route is attached to.
    pub struct ParentReference {
        /// API group; absent is `gateway.networking.k8s.io`, empty is the core group.
        pub group: Option<String> = "group",
        /// Kind; absent is `Gateway`.
        pub kind: Option<String> = "kind",
        /// Namespace; absent is the route's.
        pub namespace: Option<String> = "namespace",
        /// Name.
        pub name: String = "name",
        /// Only this port.
        pub port: Option<Port> = "port",
    }
}

record! { lenient;
    /// A Kubernetes Service.
    pub struct Service {
        /// Labels of its pods; empty means that its endpoints are made by hand.
        pub selector: BTreeMap<String, String> = "selector",
        /// Ports.
        pub ports: Vec<ServicePort> = "ports",
        /// `None` for headless Services.
        pub cluster_ip: Option<String> = "clusterIP",
        /// `ExternalName` and others.
        pub kind: Option<String> = "type",
    }
}

impl Service {
    /// Whether clients dial pods instead of a virtual address.
    #[must_use]
    pub fn is_headless(&self) -> bool {
        self.cluster_ip.as_deref() == Some("None")
    }

    /// Whether the Service is only an alias in DNS.
    #[must_use]
    pub fn is_external_name(&self) -> bool {
        self.kind.as_deref() == Some("ExternalName")
    }
}

record! { lenient;
    /// A port of a Service.
    pub struct ServicePort {
        /// The name, which also tells Istio the protocol.
        pub name: Option<String> = "name",
        /// The number that clients dial.
        pub port: Option<Port> = "port",
        /// The port of the pods; absent is `port`.
        pub target_port: Option<PortRef> = "targetPort",
        /// `TCP`, `UDP` or `SCTP`.
        pub protocol: Option<String> = "protocol",
        /// The application protocol.
        pub app_protocol: Option<String> = "appProtocol",
    }
}

/// What Istio takes a port to carry, by its declared protocol. A port without a declaration is sniffed and may carry
/// HTTP as well as other TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carries {
    /// Rules for HTTP count.
    pub http: bool,
    /// Rules for TCP count.
    pub tcp: bool,
    /// Rules for TLS count.
    pub tls: bool,
}

impl Carries {
    const NOTHING: Self = Self {
        http: false,
        tcp: false,
        tls: false,
    };

    /// By the name of a protocol as it stands in `appProtocol`, in a port's name or in a ServiceEntry.
    ///
    /// Source: Istio's "Protocol Selection".
    #[must_use]
    pub fn of(protocol: &str) -> Self {
        match protocol.to_lowercase().as_str() {
            "http" | "http2" | "grpc" | "grpc-web" | "kubernetes.io/h2c" | "kubernetes.io/ws" => Self {
                http: true,
                ..Self::NOTHING
            },
            "https" | "tls" => Self {
                tls: true,
                ..Self::NOTHING
            },
            "tcp" | "mongo" | "mysql" | "redis" => Self {
                tcp: true,
                ..Self::NOTHING
            },
            "udp" => Self::NOTHING,
            _ => Self {
                http: true,
                tcp: true,
                tls: false,
            },
        }
    }
}

impl ServicePort {
    /// What Istio takes the port to carry: by `appProtocol`, else by the port's name up to its first `-`.
    ///
    /// Source: Istio's "Protocol Selection".
    #[must_use]
    pub fn carries(&self) -> Carries {
        if self.protocol.as_deref().is_some_and(|p| p != "TCP") {
            return Carries::NOTHING;
        }
        if let Some(declared) = self.app_protocol.as_deref() {
            return Carries::of(declared);
        }
        let name = self.name.as_deref().unwrap_or_default();
        if name.to_lowercase().starts_with("grpc-web") {
            return Carries::of("grpc-web");
        }
        Carries::of(name.split('-').next().unwrap_or_default())
    }

    /// Whether Istio routes this port as HTTP; undeclared protocols are sniffed and so may be.
    #[must_use]
    pub fn may_be_http(&self) -> bool {
        self.carries().http
    }
}
