//! Cilium's settings and policies.

use super::SubjectFacts;
use super::index::Index;
use super::located::Located;
use crate::finding::Location;
use model::security::is_subset;
use model::{FieldPath, Kind, Mesh, Node, Object};
use rules::facts::{Cilium, CiliumPolicy};
use std::collections::BTreeMap;

/// The source address of probes to pods in ambient.
const PROBE_ADDRESS: &str = "169.254.7.127";

/// A setting: its key in `cilium-config` and its path in Helm values.
struct Setting {
    key: &'static str,
    values: &'static [&'static str],
}

const EXCLUSIVE: Setting = Setting {
    key: "cni-exclusive",
    values: &["cni", "exclusive"],
};
const MASQUERADE: Setting = Setting {
    key: "enable-bpf-masquerade",
    values: &["bpf", "masquerade"],
};
const KUBE_PROXY: Setting = Setting {
    key: "kube-proxy-replacement",
    values: &["kubeProxyReplacement"],
};
const LEGACY_ROUTING: Setting = Setting {
    key: "enable-host-legacy-routing",
    values: &["bpf", "hostLegacyRouting"],
};
const SOCKET_LB: Setting = Setting {
    key: "bpf-lb-sock",
    values: &["socketLB", "enabled"],
};
const SOCKET_LB_HOST: Setting = Setting {
    key: "bpf-lb-sock-hostns-only",
    values: &["socketLB", "hostNamespaceOnly"],
};
const ENFORCEMENT: Setting = Setting {
    key: "enable-policy",
    values: &["policyEnforcementMode"],
};

/// Where settings are looked up.
enum Source<'a> {
    ConfigMap(Located<'a>),
    /// Values of one folder, the last of which wins.
    Values(Vec<Located<'a>>),
}

impl<'a> Source<'a> {
    fn get(&self, setting: &Setting) -> Option<Located<'a>> {
        match self {
            Self::ConfigMap(map) => map.at(&["data", setting.key]),
            Self::Values(documents) => documents.iter().rev().find_map(|d| d.at(setting.values)),
        }
    }

    fn is_on(&self, setting: &Setting) -> bool {
        self.get(setting)
            .and_then(|found| found.text())
            .is_some_and(|text| text.eq_ignore_ascii_case("true") || text == "strict")
    }

    fn place(&self) -> Option<Location> {
        match self {
            Self::ConfigMap(map) => Some(map.at(&["data"]).unwrap_or_else(|| map.clone()).place()),
            Self::Values(documents) => documents.last().map(Located::place),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::ConfigMap(map) => map.name(),
            Self::Values(_) => "Cilium's values file".to_owned(),
        }
    }
}

/// Subjects: Cilium, by source of its settings.
pub fn settings(index: &Index<'_>) -> Vec<SubjectFacts> {
    let mesh = index.mesh;
    let mut sources: Vec<Source<'_>> = mesh
        .others_of(&Kind::ConfigMap)
        .filter(|map| map.name() == "cilium-config")
        .map(|map| Source::ConfigMap(Located::of_object(map)))
        .collect();
    let mut folders: BTreeMap<&str, Vec<Located<'_>>> = BTreeMap::new();
    for file in &mesh.chart_values {
        if let Some(values) = cilium_values(&Located::of_settings(file)) {
            folders.entry(values.folder()).or_default().push(values);
        }
    }
    sources.extend(folders.into_values().map(Source::Values));
    let policies = cilium_policies(mesh);
    if sources.is_empty() && policies.is_empty() {
        return Vec::new();
    }
    let ingress = ingress_policies(index, &policies);
    let probes_admitted = policies.iter().any(|policy| admits_probes(policy));
    let common = |facts: Cilium| Cilium {
        ingress_policies: ingress.iter().map(|(name, _)| name.clone()).collect(),
        probes_admitted,
        ..facts
    };
    let first_policy = ingress.first().map(|(_, place)| place.clone());
    if sources.is_empty() {
        let place = first_policy
            .clone()
            .or_else(|| policies.first().map(|policy| Location::of_object(policy)));
        let facts = common(Cilium {
            source: "Cilium's policies".to_owned(),
            ..Cilium::default()
        });
        return place
            .map(|place| SubjectFacts::new(facts, place))
            .into_iter()
            .collect();
    }
    sources
        .iter()
        .filter_map(|source| {
            let facts = SubjectFacts::new(common(of_source(source)), source.place()?);
            let place = |setting| source.get(setting).map(|found| found.place());
            Some(
                facts
                    .with("exclusive", place(&EXCLUSIVE))
                    .with("bpfMasquerade", place(&MASQUERADE))
                    .with("hostLegacyRouting", place(&LEGACY_ROUTING))
                    .with("kubeProxyReplacement", place(&KUBE_PROXY))
                    .with("socketLbHostNamespaceOnly", place(&SOCKET_LB_HOST))
                    .with(
                        "ingressPolicies",
                        first_policy.clone().or_else(|| place(&ENFORCEMENT)),
                    ),
            )
        })
        .collect()
}

fn of_source(source: &Source<'_>) -> Cilium {
    let exclusive = source.get(&EXCLUSIVE).and_then(|found| found.text());
    Cilium {
        source: source.name(),
        configured: true,
        exclusive: exclusive.as_deref() != Some("false"),
        exclusive_set: exclusive.is_some(),
        bpf_masquerade: source.is_on(&MASQUERADE),
        kube_proxy_replacement: source.is_on(&KUBE_PROXY),
        host_legacy_routing: source.is_on(&LEGACY_ROUTING),
        socket_lb: source.is_on(&SOCKET_LB),
        socket_lb_host_namespace_only: source.is_on(&SOCKET_LB_HOST),
        policy_enforcement_mode: source
            .get(&ENFORCEMENT)
            .and_then(|found| found.text())
            .unwrap_or_else(|| "default".to_owned()),
        ..Cilium::default()
    }
}

/// The part of chart values that is Cilium's: known by keys that only Cilium has, or by the file's name.
fn cilium_values<'a>(document: &Located<'a>) -> Option<Located<'a>> {
    const KEYS: [&[&str]; 10] = [
        EXCLUSIVE.values,
        MASQUERADE.values,
        KUBE_PROXY.values,
        LEGACY_ROUTING.values,
        SOCKET_LB.values,
        SOCKET_LB_HOST.values,
        ENFORCEMENT.values,
        &["cni", "chainingMode"],
        &["hubble", "relay"],
        &["ipam", "operator"],
    ];
    let is_ciliums = |part: &Located<'_>| KEYS.iter().any(|keys| part.at(keys).is_some());
    if let Some(nested) = document
        .at(&["cilium"])
        .filter(|part| !part.node.entries().is_empty())
    {
        return Some(nested);
    }
    (is_ciliums(document) || document.is_named_after("cilium")).then(|| document.clone())
}

fn cilium_policies(mesh: &Mesh) -> Vec<&Object<()>> {
    let kinds = [&Kind::CiliumNetworkPolicy, &Kind::CiliumClusterwideNetworkPolicy];
    kinds.iter().flat_map(|kind| mesh.others_of(kind)).collect()
}

/// The rules of a policy: `spec`, or each of `specs`.
fn specs<'a>(policy: &'a Object<()>) -> Vec<Located<'a>> {
    let root = Located::of_object(policy);
    let many = root.at(&["specs"]);
    root.at(&["spec"])
        .into_iter()
        .chain(many.iter().flat_map(Located::items))
        .collect()
}

/// Policies that turn ingress of mesh pods to default deny.
fn ingress_policies(index: &Index<'_>, cilium: &[&Object<()>]) -> Vec<(String, Location)> {
    let mut found = Vec::new();
    for policy in cilium {
        let denies = specs(policy).iter().any(|spec| {
            let default_deny = spec.at(&["enableDefaultDeny", "ingress"]);
            spec_selects_mesh(index, policy, spec)
                && (spec.at(&["ingress"]).is_some() || spec.at(&["ingressDeny"]).is_some())
                && default_deny.is_none_or(|d| d.is_true())
        });
        if denies {
            found.push((policy.id.to_string(), Location::of_object(policy)));
        }
    }
    for policy in index.mesh.others_of(&Kind::NetworkPolicy) {
        let labels = policy.raw.at(&["spec", "podSelector", "matchLabels"]);
        let labels = labels.map(label_map).unwrap_or_default();
        if isolates_ingress(&policy.raw) && selects_mesh(index, policy.namespace(), &labels) {
            found.push((policy.id.to_string(), Location::of_object(policy)));
        }
    }
    found
}

fn isolates_ingress(policy: &Node) -> bool {
    match policy.at(&["spec", "policyTypes"]) {
        Some(types) => types.items().iter().any(|t| t.as_str() == Some("Ingress")),
        None => true,
    }
}

/// Whether a policy lets the probes' address reach every pod.
fn admits_probes(policy: &Object<()>) -> bool {
    policy.id.kind == Kind::CiliumClusterwideNetworkPolicy
        && specs(policy).iter().any(|spec| {
            let everyone = spec
                .at(&["endpointSelector"])
                .is_some_and(|selector| selector.node.entries().is_empty());
            let rules = spec.at(&["ingress"]);
            everyone
                && rules.iter().flat_map(Located::items).any(|rule| {
                    let blocks = rule.at(&["fromCIDR"]);
                    let sets = rule.at(&["fromCIDRSet"]);
                    let blocks = blocks.iter().flat_map(Located::items).filter_map(|c| c.text());
                    let sets = sets
                        .iter()
                        .flat_map(Located::items)
                        .filter_map(|set| set.at(&["cidr"])?.text());
                    blocks.chain(sets).any(|cidr| holds_probe_address(&cidr))
                })
        })
}

fn holds_probe_address(cidr: &str) -> bool {
    let (address, length) = cidr.split_once('/').unwrap_or((cidr, "32"));
    let (Ok(block), Ok(probe), Ok(length)) = (
        address.parse::<std::net::Ipv4Addr>(),
        PROBE_ADDRESS.parse::<std::net::Ipv4Addr>(),
        length.parse::<u32>(),
    ) else {
        return false;
    };
    let mask = u32::MAX.checked_shl(32 - length.min(32)).unwrap_or(0);
    u32::from(block) & mask == u32::from(probe) & mask
}

/// Subjects: Cilium's policies.
pub fn policies(index: &Index<'_>) -> Vec<SubjectFacts> {
    cilium_policies(index.mesh)
        .into_iter()
        .map(|policy| {
            let specs = specs(policy);
            let layer_7: Vec<(FieldPath, Location)> = specs
                .iter()
                .flat_map(layer_7_fields)
                .map(|l| (l.place().path, l.place()))
                .collect();
            let facts = CiliumPolicy {
                name: policy.id.to_string(),
                selects_mesh: specs.iter().any(|spec| spec_selects_mesh(index, policy, spec)),
                l7: layer_7.iter().map(|(path, _)| path.to_string()).collect(),
            };
            SubjectFacts::new(facts, Location::of_object(policy))
                .with("l7", layer_7.first().map(|(_, place)| place.clone()))
        })
        .collect()
}

fn layer_7_fields<'a>(spec: &Located<'a>) -> Vec<Located<'a>> {
    let mut found = Vec::new();
    for direction in ["ingress", "egress"] {
        let rules = spec.at(&[direction]);
        let ports: Vec<Located<'_>> = rules
            .iter()
            .flat_map(Located::items)
            .filter_map(|rule| rule.at(&["toPorts"]))
            .flat_map(|ports| ports.items().collect::<Vec<_>>())
            .collect();
        for port in ports {
            for keys in [
                &["rules", "http"][..],
                &["rules", "kafka"],
                &["rules", "dns"],
                &["listener"],
            ] {
                if keys == ["rules", "dns"] && direction == "egress" {
                    continue;
                }
                found.extend(port.at(keys));
            }
        }
    }
    found
}

fn spec_selects_mesh(index: &Index<'_>, policy: &Object<()>, spec: &Located<'_>) -> bool {
    let labels = spec.at(&["endpointSelector", "matchLabels"]);
    let labels: BTreeMap<String, String> = labels
        .map(|labels| label_map(labels.node))
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| match key.split_once(':') {
            Some(("k8s" | "any", key)) => (key.to_owned(), value),
            _ => (key, value),
        })
        .collect();
    if spec.at(&["endpointSelector"]).is_none() {
        return false;
    }
    let mut labels = labels;
    let namespace = labels.remove("io.kubernetes.pod.namespace");
    match (policy.namespace(), namespace) {
        ("", Some(namespace)) => selects_mesh(index, &namespace, &labels),
        ("", None) => index
            .namespace_names()
            .into_iter()
            .any(|namespace| selects_mesh(index, namespace, &labels)),
        (own, _) => selects_mesh(index, own, &labels),
    }
}

/// Labels in a tree.
pub fn label_map(node: &Node) -> BTreeMap<String, String> {
    node.entries()
        .iter()
        .filter_map(|e| Some((e.key.to_string(), e.node.scalar_text()?)))
        .collect()
}

/// Whether a selector in a namespace finds pods with a sidecar: some are seen, or the namespace is
/// labelled for sidecars and none of its pods are in the input.
pub fn selects_mesh(index: &Index<'_>, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
    let mut any = false;
    for (position, workload) in index.mesh.workloads.iter().enumerate() {
        if workload.namespace() != namespace {
            continue;
        }
        any = true;
        let matches = is_subset(labels, &workload.spec.template.metadata.labels);
        if matches && index.workloads[position].candidate {
            return true;
        }
    }
    !any && index.is_candidate_namespace(namespace)
}
