//! What is read of a cluster, as a table, and the permissions that follow from it.

use model::Kind;
use std::collections::BTreeMap;
use std::fmt::Write;

/// How much of a kind is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Every object.
    All,
    /// Every object that is not made by another one of these kinds.
    Unowned,
    /// Only objects of these names; whatever else there is, is never asked for.
    Named(&'static [&'static str]),
    /// Every object, but names, labels and annotations only.
    Metadata,
}

/// One line of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Needed {
    /// The kind.
    pub kind: Kind,
    /// How much of it.
    pub how: How,
    /// Namespaces that are read even if the user asks for others: settings of the cluster live there.
    pub also_in: &'static [&'static str],
}

/// The ConfigMaps that hold settings which rules ask for. That of a revision, `istio-REVISION`, is read too
/// where an istiod of that revision runs.
pub const CONFIG_MAPS: &[&str] = &["istio", "istio-cni-config", "cilium-config"];

/// Everything that is read. Secrets are not in it and must never be.
pub const NEEDED: &[Needed] = &[
    all(Kind::Namespace),
    all(Kind::Node),
    all(Kind::Service),
    all(Kind::Pod),
    with(Kind::ConfigMap, How::Named(CONFIG_MAPS), &["kube-system"]),
    all(Kind::Deployment),
    all(Kind::StatefulSet),
    with(Kind::DaemonSet, How::All, &["kube-system"]),
    with(Kind::ReplicaSet, How::Unowned, &[]),
    with(Kind::Job, How::Unowned, &[]),
    all(Kind::CronJob),
    all(Kind::Rollout),
    all(Kind::PodDisruptionBudget),
    all(Kind::VirtualService),
    all(Kind::DestinationRule),
    all(Kind::ServiceEntry),
    all(Kind::IstioGateway),
    all(Kind::Sidecar),
    all(Kind::EnvoyFilter),
    all(Kind::ProxyConfig),
    all(Kind::WorkloadEntry),
    all(Kind::WorkloadGroup),
    all(Kind::AuthorizationPolicy),
    all(Kind::RequestAuthentication),
    all(Kind::PeerAuthentication),
    all(Kind::Telemetry),
    all(Kind::WasmPlugin),
    all(Kind::TrafficExtension),
    all(Kind::IstioOperator),
    all(Kind::SailIstio),
    all(Kind::SailIstioCni),
    all(Kind::SailZtunnel),
    all(Kind::Gateway),
    all(Kind::GatewayClass),
    all(Kind::HttpRoute),
    all(Kind::GrpcRoute),
    all(Kind::TcpRoute),
    all(Kind::TlsRoute),
    all(Kind::ReferenceGrant),
    all(Kind::BackendTlsPolicy),
    all(Kind::NetworkPolicy),
    all(Kind::CiliumNetworkPolicy),
    all(Kind::CiliumClusterwideNetworkPolicy),
    all(Kind::FelixConfiguration),
    all(Kind::FelixConfigurationV3),
    all(Kind::CalicoInstallation),
    all(Kind::CalicoApplicationLayer),
    all(Kind::CalicoNetworkPolicy),
    all(Kind::CalicoGlobalNetworkPolicy),
    all(Kind::CalicoRemoteCluster),
    all(Kind::SecurityGroupPolicy),
    with(Kind::CustomResourceDefinition, How::Metadata, &[]),
];

const fn all(kind: Kind) -> Needed {
    with(kind, How::All, &[])
}

const fn with(kind: Kind, how: How, also_in: &'static [&'static str]) -> Needed {
    Needed { kind, how, also_in }
}

/// The ClusterRole that allows what the table asks for and nothing else, as YAML.
#[must_use]
pub fn cluster_role() -> String {
    let mut rules: BTreeMap<(&str, &[&str]), Vec<&str>> = BTreeMap::new();
    for needed in NEEDED {
        let names: &[&str] = match needed.how {
            How::Named(names) => names,
            How::All | How::Unowned | How::Metadata => &[],
        };
        rules
            .entry((needed.kind.group(), names))
            .or_default()
            .push(needed.kind.plural());
    }
    let mut text = String::from(HEADER);
    for ((group, names), mut resources) in rules {
        resources.sort_unstable();
        let _ = write!(text, "  - apiGroups: [\"{group}\"]\n    resources:\n");
        for resource in resources {
            let _ = writeln!(text, "      - {resource}");
        }
        if !names.is_empty() {
            text.push_str("    # For each revision of istiod, add `istio-REVISION`.\n    resourceNames:\n");
            for name in names {
                let _ = writeln!(text, "      - {name}");
            }
        }
        text.push_str("    verbs: [\"list\"]\n");
    }
    text
}

const HEADER: &str = "\
# What mesh-migrate reads of a cluster, and nothing else: no Secrets, no writes.
# Made from the table in src/input/cluster/needed.rs; a test keeps it fresh.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: mesh-migrate-reader
rules:
";

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_known_kind_is_read_once() {
        let mut kinds = BTreeSet::new();
        for needed in NEEDED {
            assert!(kinds.insert(&needed.kind), "{} stands twice", needed.kind);
        }
        assert_eq!(kinds, Kind::KNOWN.iter().collect());
    }

    #[test]
    fn secrets_are_out_of_reach() {
        assert!(NEEDED.iter().all(|n| n.kind.plural() != "secrets"));
        assert!(!cluster_role().contains("secrets\n"));
        assert!(!cluster_role().contains('*'));
    }

    /// `UPDATE=1 cargo test -p mesh-migrate` writes the file.
    #[test]
    fn the_published_role_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/rbac.yaml");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, cluster_role()).unwrap();
        }
        let published = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(published, cluster_role(), "run this test with UPDATE=1");
    }
}
