//! What the targets share: a small mesh to ask about, and the seeds.

pub mod manifests;

use bytes::Bytes;
use proxy::proto::security::{self, Authorization};
use proxy::proto::workload as wire;
use proxy::state::{Change, State, decode};

/// A pod with HBONE at `10.0.0.<host>` of node `n1`, in the service `web`.
#[must_use]
pub fn pod(name: &str, host: u8) -> wire::Workload {
    wire::Workload {
        uid: format!("Kubernetes//Pod/shop/{name}"),
        name: name.into(),
        namespace: "shop".into(),
        service_account: name.into(),
        addresses: vec![Bytes::copy_from_slice(&[10, 0, 0, host])],
        node: "n1".into(),
        tunnel_protocol: 1,
        workload_type: 2,
        workload_name: name.into(),
        services: [(format!("shop/{HOST}"), wire::PortList { ports: vec![port()] })].into(),
        authorization_policies: vec!["shop/deny".into()],
        ..wire::Workload::default()
    }
}

const HOST: &str = "web.shop.svc.cluster.local";

fn port() -> wire::Port {
    wire::Port {
        service_port: 80,
        target_port: 8080,
        app_protocol: 0,
    }
}

/// The service `web` at `10.1.0.1`.
#[must_use]
pub fn service() -> wire::Service {
    wire::Service {
        name: "web".into(),
        namespace: "shop".into(),
        hostname: HOST.into(),
        addresses: vec![wire::NetworkAddress {
            network: String::new(),
            address: Bytes::from_static(&[10, 1, 0, 1]),
            length: None,
        }],
        ports: vec![port()],
        canonical: true,
        ..wire::Service::default()
    }
}

/// A DENY for the identity of `client`, from one block, to one port.
#[must_use]
pub fn policy() -> Authorization {
    let exact = security::MatchType::Exact("cluster.local/ns/shop/sa/client".into());
    let address = security::Address {
        address: Bytes::from_static(&[10, 0, 0, 0]),
        length: 8,
    };
    let alternative = security::Match {
        principals: vec![security::StringMatch {
            match_type: Some(exact),
        }],
        source_ips: vec![address],
        destination_ports: vec![8080],
        ..security::Match::default()
    };
    let clause = security::Clause {
        matches: vec![alternative],
    };
    Authorization {
        name: "deny".into(),
        namespace: "shop".into(),
        scope: 2,
        action: 1,
        rules: vec![security::Rule {
            clauses: vec![clause],
        }],
        dry_run: false,
    }
}

/// Two pods, one service, one policy.
///
/// # Panics
/// Never: the records are well formed.
#[must_use]
pub fn mesh() -> State {
    let mut wild = service();
    wild.name = "wild".into();
    wild.hostname = "*.example.com".into();
    let workload = |message| Change::Workload(decode::workload(message).unwrap());
    let service = |message| Change::Service(decode::service(message).unwrap());
    State::default().with(vec![
        workload(pod("client", 1)),
        workload(pod("server", 2)),
        service(self::service()),
        service(wild),
        Change::Policy(decode::policy(&policy()).unwrap()),
    ])
}
