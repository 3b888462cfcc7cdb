//! Small meshes for tests.
#![expect(missing_docs, reason = "names say it")]

use super::decode;
use super::model::{Service, Workload};
use super::{Change, State};
use crate::proto::workload as wire;
use std::net::IpAddr;

pub fn bytes(address: &str) -> bytes::Bytes {
    match address.parse().unwrap() {
        IpAddr::V4(v4) => v4.octets().to_vec().into(),
        IpAddr::V6(v6) => v6.octets().to_vec().into(),
    }
}

/// A pod with HBONE, on node `n1`.
pub fn pod(name: &str, address: &str) -> wire::Workload {
    wire::Workload {
        uid: format!("Kubernetes//Pod/shop/{name}"),
        name: name.into(),
        namespace: "shop".into(),
        service_account: name.into(),
        addresses: if address.is_empty() {
            vec![]
        } else {
            vec![bytes(address)]
        },
        node: "n1".into(),
        tunnel_protocol: 1,
        workload_type: 2,
        ..wire::Workload::default()
    }
}

/// A service of port 80 with these addresses.
pub fn service(name: &str, addresses: &[&str]) -> wire::Service {
    let port = wire::Port {
        service_port: 80,
        target_port: 8080,
        app_protocol: 0,
    };
    wire::Service {
        name: name.into(),
        namespace: "shop".into(),
        hostname: hostname(name),
        addresses: addresses
            .iter()
            .map(|address| wire::NetworkAddress {
                network: String::new(),
                address: bytes(address),
                length: None,
            })
            .collect(),
        ports: vec![port],
        canonical: true,
        ..wire::Service::default()
    }
}

pub fn hostname(name: &str) -> String {
    format!("{name}.shop.svc.cluster.local")
}

/// Makes a workload an endpoint of a service.
pub fn in_service(mut workload: wire::Workload, name: &str, ports: Vec<wire::Port>) -> wire::Workload {
    let key = format!("shop/{}", hostname(name));
    workload.services.insert(key, wire::PortList { ports });
    workload
}

pub fn waypoint(name: &str) -> Option<wire::GatewayAddress> {
    Some(wire::GatewayAddress {
        destination: Some(wire::GatewayDestination::Hostname(wire::NamespacedHostname {
            namespace: "shop".into(),
            hostname: hostname(name),
        })),
        hbone_mtls_port: 15008,
    })
}

pub fn workload(message: wire::Workload) -> Workload {
    decode::workload(message).unwrap()
}

pub fn decoded(message: wire::Service) -> Service {
    decode::service(message).unwrap()
}

pub fn state(workloads: Vec<wire::Workload>, services: Vec<wire::Service>) -> State {
    let services = services
        .into_iter()
        .map(|message| Change::Service(decoded(message)));
    // Workloads first: endpoints may come before their services.
    let workloads = workloads
        .into_iter()
        .map(|message| Change::Workload(workload(message)));
    State::default().with(workloads.chain(services).collect())
}
