//! What is looked up again and again: namespaces, workloads with their part in the mesh, and istiods.

use super::control_plane::{self, IstiodFound};
use model::security::WorkloadSelector;
use model::{Kind, Mesh, Object, Workload};
use std::collections::{BTreeMap, HashMap};

/// A workload's part in the mesh.
#[derive(Debug, Clone, Copy, Default)]
pub struct Membership {
    /// In the mesh by a sidecar.
    pub candidate: bool,
    /// In the mesh by a sidecar or in ambient.
    pub meshed: bool,
    /// An ingress or egress gateway.
    pub gateway: bool,
    /// Whether the labels of its namespace are known.
    pub namespace_known: bool,
}

/// What is known of a namespace's workloads together.
#[derive(Debug, Clone, Copy, Default)]
struct Summary {
    workloads: usize,
    candidates: usize,
    meshed: usize,
    unknown: usize,
    gateways: usize,
}

/// The mesh with what is looked up in it.
pub struct Index<'a> {
    /// The mesh.
    pub mesh: &'a Mesh,
    /// Memberships, one for each of `mesh.workloads`.
    pub workloads: Vec<Membership>,
    /// Istiods in the input.
    pub istiods: Vec<IstiodFound<'a>>,
    namespaces: HashMap<&'a str, &'a Object<()>>,
    summaries: HashMap<&'a str, Summary>,
    by_label: HashMap<(&'a str, &'a str, &'a str), Vec<usize>>,
}

impl<'a> Index<'a> {
    /// Looks at every namespace and workload once.
    pub fn new(mesh: &'a Mesh) -> Self {
        let namespaces: HashMap<&str, &Object<()>> = mesh
            .others_of(&Kind::Namespace)
            .map(|object| (object.name(), object))
            .collect();
        let mut index = Self {
            mesh,
            workloads: Vec::new(),
            istiods: control_plane::find_istiods(mesh),
            namespaces,
            summaries: HashMap::new(),
            by_label: HashMap::new(),
        };
        for (position, workload) in mesh.workloads.iter().enumerate() {
            let namespace = index.namespaces.get(workload.namespace()).copied();
            let membership = membership(workload, namespace);
            let summary = index.summaries.entry(workload.namespace()).or_default();
            summary.workloads += 1;
            summary.candidates += usize::from(membership.candidate);
            summary.meshed += usize::from(membership.meshed);
            summary.gateways += usize::from(membership.gateway);
            summary.unknown += usize::from(!membership.namespace_known && !membership.meshed);
            index.workloads.push(membership);
            for (key, value) in &workload.spec.template.metadata.labels {
                index
                    .by_label
                    .entry((workload.namespace(), key, value))
                    .or_default()
                    .push(position);
            }
        }
        index
    }

    /// The Namespace object, if it is in the input.
    pub fn namespace(&self, name: &str) -> Option<&'a Object<()>> {
        self.namespaces.get(name).copied()
    }

    /// Names of all namespaces that are in the input or have workloads in it.
    pub fn namespace_names(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = self
            .namespaces
            .keys()
            .chain(self.summaries.keys())
            .copied()
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether a namespace has workloads with a sidecar.
    pub fn has_candidates(&self, namespace: &str) -> bool {
        self.summaries.get(namespace).is_some_and(|s| s.candidates > 0)
    }

    /// Whether a namespace is labelled for sidecars, or has workloads with one.
    pub fn is_candidate_namespace(&self, name: &str) -> bool {
        self.namespace(name).is_some_and(|n| sidecar_label(n).is_some()) || self.has_candidates(name)
    }

    /// Positions of the workloads of a namespace with all these labels; `labels` must not be empty.
    pub fn selected(&self, namespace: &'a str, labels: &'a BTreeMap<String, String>) -> Vec<usize> {
        let Some((key, value)) = labels.iter().next() else {
            return Vec::new();
        };
        self.by_label
            .get(&(namespace, key.as_str(), value.as_str()))
            .into_iter()
            .flatten()
            .copied()
            .filter(|&position| {
                let found = &self.mesh.workloads[position].spec.template.metadata.labels;
                model::security::is_subset(labels, found)
            })
            .collect()
    }

    /// Whether a policy can be for pods of the mesh: false only where the input shows that it is not.
    pub fn covers_mesh(&self, namespace: &'a str, selector: Option<&'a WorkloadSelector>) -> bool {
        let labels = selector.map(|s| &s.match_labels).filter(|l| !l.is_empty());
        if labels.is_some_and(names_gateway) {
            return false;
        }
        if namespace == self.mesh.settings.root_namespace {
            return self.covers_anywhere(labels);
        }
        let Some(labels) = labels else {
            return self.namespace_is_meshed(namespace);
        };
        let selected = self.selected(namespace, labels);
        if selected.is_empty() {
            return !self.mesh.coverage.is_cluster() && self.namespace_is_meshed(namespace);
        }
        selected.into_iter().any(|position| {
            let membership = self.workloads[position];
            membership.meshed || (!membership.namespace_known && !membership.gateway)
        })
    }

    fn covers_anywhere(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        let Some(labels) = labels else { return true };
        let mut selected = self
            .mesh
            .workloads
            .iter()
            .zip(&self.workloads)
            .filter(|(w, _)| model::security::is_subset(labels, &w.spec.template.metadata.labels))
            .map(|(_, membership)| membership)
            .peekable();
        if selected.peek().is_none() {
            return !self.mesh.coverage.is_cluster();
        }
        selected.any(|m| m.meshed || (!m.namespace_known && !m.gateway))
    }

    fn namespace_is_meshed(&self, name: &str) -> bool {
        let summary = self.summaries.get(name).copied().unwrap_or_default();
        if summary.meshed > 0 || summary.unknown > 0 {
            return true;
        }
        match self.namespace(name) {
            Some(namespace) if sidecar_label(namespace).is_some() || is_ambient(namespace) => {
                summary.workloads == 0 || summary.gateways < summary.workloads
            }
            Some(_) => !self.mesh.coverage.is_cluster() && summary.workloads == 0,
            None => summary.gateways == 0,
        }
    }
}

/// The label by which a namespace asks for sidecars, as `key=value`.
pub fn sidecar_label(namespace: &Object<()>) -> Option<(&'static str, &str)> {
    let labels = &namespace.meta.labels;
    match labels.get("istio-injection").map(String::as_str) {
        Some("enabled") => Some(("istio-injection", "enabled")),
        Some(_) => None,
        None => labels
            .get("istio.io/rev")
            .map(|revision| ("istio.io/rev", revision.as_str())),
    }
}

/// Whether a namespace is labelled for ambient.
pub fn is_ambient(namespace: &Object<()>) -> bool {
    namespace
        .meta
        .labels
        .get("istio.io/dataplane-mode")
        .is_some_and(|mode| mode == "ambient")
}

/// Whether these labels are those of an ingress or egress gateway.
pub fn names_gateway(labels: &BTreeMap<String, String>) -> bool {
    labels.get("istio").is_some_and(|value| value.contains("gateway"))
        || labels.contains_key("gateway.networking.k8s.io/gateway-name")
        || labels
            .get("app")
            .is_some_and(|value| value == "istio-ingressgateway" || value == "istio-egressgateway")
}

/// Whether a template is that of an ingress or egress gateway.
pub fn is_gateway(workload: &Object<Workload>) -> bool {
    let template = &workload.spec.template;
    let annotations = &template.metadata.annotations;
    names_gateway(&template.metadata.labels)
        || annotations
            .get("inject.istio.io/templates")
            .is_some_and(|templates| templates.contains("gateway"))
        || template
            .spec
            .istio_proxy()
            .is_some_and(|proxy| proxy.args.iter().any(|arg| arg == "router"))
}

/// Whether a template belongs to Istio itself: istiod, ztunnel, the CNI agent.
pub fn is_istio_component(workload: &Object<Workload>) -> bool {
    let labels = &workload.spec.template.metadata.labels;
    labels
        .get("app")
        .is_some_and(|app| app == "istiod" || app == "ztunnel")
        || labels.get("k8s-app").is_some_and(|app| app == "istio-cni-node")
}

/// The label or annotation by which pods ask for a sidecar or refuse it: its key, its value, and whether it
/// is a label.
pub fn injection(workload: &Object<Workload>) -> Option<(&'static str, &str, bool)> {
    let metadata = &workload.spec.template.metadata;
    for (map, is_label) in [(&metadata.labels, true), (&metadata.annotations, false)] {
        if let Some(value) = map.get("sidecar.istio.io/inject") {
            return Some(("sidecar.istio.io/inject", value, is_label));
        }
    }
    let revision = metadata.labels.get("istio.io/rev")?;
    Some(("istio.io/rev", revision, true))
}

fn membership(workload: &Object<Workload>, namespace: Option<&Object<()>>) -> Membership {
    let template = &workload.spec.template;
    let gateway = is_gateway(workload);
    let asked = injection(workload);
    let refused = asked.is_some_and(|(_, value, _)| value == "false");
    let own = template
        .metadata
        .annotations
        .contains_key("sidecar.istio.io/status")
        || template.spec.istio_proxy().is_some()
        || (asked.is_some() && !refused);
    let host = template.spec.host_network == Some(true);
    let by_namespace = namespace.is_some_and(|n| sidecar_label(n).is_some()) && !refused && !host;
    let candidate = (own || by_namespace) && !gateway && !is_istio_component(workload);
    let mode = template.metadata.labels.get("istio.io/dataplane-mode");
    let ambient = match mode.map(String::as_str) {
        Some("ambient") => true,
        Some(_) => false,
        None => namespace.is_some_and(is_ambient),
    };
    Membership {
        candidate,
        meshed: candidate || (ambient && !host && !gateway && !is_istio_component(workload)),
        gateway,
        namespace_known: namespace.is_some(),
    }
}
