//! Workloads and services as the data path reads them.

use crate::identity::Identity;
use semantics::layer_4::Block;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// An address within a network. Most meshes have one network, without a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NetworkAddress {
    /// The network.
    pub network: Arc<str>,
    /// The address.
    pub address: IpAddr,
}

/// Where a gateway is: a waypoint, or the gateway of another network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Its place.
    pub destination: GatewayPlace,
    /// The port at which its Service, or it itself, takes HBONE.
    pub hbone_port: u16,
}

/// The place of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayPlace {
    /// Key of a service, `<namespace>/<hostname>`.
    Service(Arc<str>),
    /// Address of a service or of a workload.
    Address(NetworkAddress),
}

/// Server and client ports of a service: service port to target port; 0 if only the endpoint knows it.
pub type Ports = BTreeMap<u16, u16>;

/// How a workload takes connections from the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tunnel {
    /// Plain TCP.
    None,
    /// HBONE.
    Hbone,
}

/// What stands before the application behind the HBONE server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApplicationTunnel {
    /// Whether it wants a PROXY header.
    pub proxy_protocol: bool,
    /// Its port, if it is not the one asked for.
    pub port: Option<u16>,
}

/// Region, zone and subzone; empty if unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Locality {
    /// Region.
    pub region: String,
    /// Zone.
    pub zone: String,
    /// Subzone.
    pub subzone: String,
}

/// A pod, or what else an endpoint may be.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Primary key.
    pub uid: Arc<str>,
    /// Name of the pod.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its service account.
    pub service_account: String,
    /// Who it proves to be; `None` if its record is no identity.
    pub identity: Option<Identity>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// A name to resolve, where there are no addresses.
    pub hostname: String,
    /// Its network.
    pub network: Arc<str>,
    /// The gateway of its network.
    pub network_gateway: Option<Gateway>,
    /// How it takes connections.
    pub tunnel: Tunnel,
    /// The waypoint for traffic to its own address.
    pub waypoint: Option<Gateway>,
    /// Its node.
    pub node: String,
    /// Its cluster.
    pub cluster: String,
    /// Canonical name, for telemetry.
    pub canonical_name: String,
    /// Canonical revision, for telemetry.
    pub canonical_revision: String,
    /// Name of the Deployment or the like, for telemetry.
    pub workload_name: String,
    /// `deployment`, `cronjob`, `pod` or `job`.
    pub workload_type: &'static str,
    /// Names of the policies that select it.
    pub policies: Vec<Arc<str>>,
    /// Whether it is ready.
    pub healthy: bool,
    /// The services that it is an endpoint of, with its own ports.
    pub services: HashMap<Arc<str>, Ports>,
    /// What stands before its application.
    pub application_tunnel: Option<ApplicationTunnel>,
    /// Where it runs.
    pub locality: Locality,
    /// Whether it shares the address of its node.
    pub host_network: bool,
    /// Its weight among endpoints.
    pub capacity: u32,
}

/// What endpoints of a service may have in common with the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locale {
    /// Region.
    Region,
    /// Zone.
    Zone,
    /// Subzone.
    Subzone,
    /// Node.
    Node,
    /// Cluster.
    Cluster,
    /// Network.
    Network,
}

/// How the endpoint of a service is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Balancing {
    /// Any.
    #[default]
    Any,
    /// Only what shares all that is preferred.
    Strict,
    /// What shares the most of what is preferred.
    Failover,
    /// None is chosen: the connection goes where it was dialled.
    Passthrough,
}

/// Which address families a service has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Families {
    /// Not said.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// A service.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Primary key, `<namespace>/<hostname>`.
    pub key: Arc<str>,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its host name.
    pub hostname: String,
    /// Its addresses.
    pub addresses: Vec<NetworkAddress>,
    /// Its blocks of addresses.
    pub blocks: Vec<(Arc<str>, Block)>,
    /// Its ports.
    pub ports: Ports,
    /// Identities that its endpoints may have besides their own.
    pub identities: Vec<Identity>,
    /// Its waypoint.
    pub waypoint: Option<Gateway>,
    /// Its waypoints by weight; if there are any, they count in place of the one.
    pub weighted_waypoints: Vec<(Gateway, u32)>,
    /// How an endpoint is chosen.
    pub balancing: Balancing,
    /// What is preferred, the most important first.
    pub preference: Vec<Locale>,
    /// Whether endpoints count that are not ready.
    pub allow_unhealthy: bool,
    /// Its families.
    pub families: Families,
    /// Whether it is the one to take, when several share a name.
    pub canonical: bool,
    /// Whether only its namespace sees it.
    pub private: bool,
}

/// An endpoint of a service.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Who.
    pub workload: Arc<Workload>,
    /// Its own ports; they come before the service's.
    pub ports: Ports,
}

impl Service {
    /// Whether a client of this namespace sees it.
    #[must_use]
    pub fn is_visible(&self, namespace: &str) -> bool {
        !self.private || self.namespace == namespace
    }

    /// The waypoint for one connection: by weight, if there are several.
    #[must_use]
    pub fn choose_waypoint(&self) -> Option<&Gateway> {
        let total: u64 = self
            .weighted_waypoints
            .iter()
            .map(|(_, weight)| u64::from(*weight))
            .sum();
        if total == 0 {
            return self.waypoint.as_ref();
        }
        let mut left = fastrand::u64(0..total);
        for (gateway, weight) in &self.weighted_waypoints {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return Some(gateway),
            }
        }
        self.waypoint.as_ref()
    }
}
