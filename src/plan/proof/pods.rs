//! Which pods a workload has: with a sidecar, redirected to a node proxy, or neither.

use super::objects::{Labels, Name, TLS_MODE};
use crate::precheck::facts::hbone::owner;
use crate::precheck::facts::index::{is_gateway, is_istio_component};
use crate::precheck::without_hbone;
use model::{Kind, Mesh, Object};
use std::collections::{BTreeSet, HashMap};

/// How a pod's connections are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carrier {
    /// By an Envoy beside it.
    Sidecar,
    /// By the node's proxy.
    Ambient,
    /// By nobody.
    Nobody,
}

/// Pods of a workload that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Their labels, with the injector's.
    pub labels: Labels,
    /// Who carries their connections.
    pub carrier: Carrier,
    /// Whether their sidecar takes tunnels (HBONE); without it waypoints and node proxies come in the clear.
    pub hbone: bool,
}

/// A workload.
#[derive(Debug, Clone)]
pub struct Pods {
    /// Its kind.
    pub kind: Kind,
    /// What it is called.
    pub id: Name,
    /// Its service account.
    pub account: String,
    /// Whether it is an ingress or egress gateway.
    pub gateway: bool,
    /// The pods that may run.
    pub generations: Vec<Generation>,
    /// Labels of the template.
    labels: Labels,
    annotations: Labels,
    has_proxy: bool,
    is_apart: bool,
    hbone: bool,
}

impl Pods {
    /// The pods of a workload, as its template and its namespace have them.
    fn new(workload: &Object<model::Workload>, namespace: Option<&Labels>, hbone: bool) -> Self {
        let template = &workload.spec.template;
        let account = template.spec.service_account_name.clone();
        let injected = template
            .metadata
            .annotations
            .contains_key("sidecar.istio.io/status");
        let mut pods = Self {
            kind: workload.id.kind.clone(),
            id: (workload.namespace().to_owned(), workload.name().to_owned()),
            account: account
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "default".to_owned()),
            gateway: is_gateway(workload),
            generations: Vec::new(),
            labels: template.metadata.labels.clone(),
            annotations: template.metadata.annotations.clone(),
            has_proxy: has_sidecar(workload) || injected,
            is_apart: template.spec.host_network == Some(true) || is_istio_component(workload),
            hbone,
        };
        let newest = pods.newest(namespace);
        pods.generations.push(newest);
        pods
    }

    /// The pods that the template makes now.
    fn newest(&self, namespace: Option<&Labels>) -> Generation {
        let carrier = if self.has_sidecar(namespace) {
            Carrier::Sidecar
        } else {
            self.without_sidecar(namespace)
        };
        self.of(carrier)
    }

    fn has_sidecar(&self, namespace: Option<&Labels>) -> bool {
        const INJECT: &str = "sidecar.istio.io/inject";
        let asked = self.labels.get(INJECT).or_else(|| self.annotations.get(INJECT));
        let asks = match asked.map(String::as_str) {
            Some(value) => Some(value == "true"),
            None => self.labels.contains_key("istio.io/rev").then_some(true),
        };
        let label = |key: &str| namespace.and_then(|labels| labels.get(key));
        let of_namespace = match label("istio-injection").map(String::as_str) {
            Some(value) => Some(value == "enabled"),
            None => label("istio.io/rev").map(|_| true),
        };
        let injected = match of_namespace {
            Some(false) => false,
            Some(true) => asks != Some(false),
            None => asks == Some(true),
        };
        self.has_proxy || (injected && !self.is_apart)
    }

    fn without_sidecar(&self, namespace: Option<&Labels>) -> Carrier {
        const MODE: &str = "istio.io/dataplane-mode";
        let own = self.labels.get(MODE);
        let mode = own.or_else(|| namespace.and_then(|labels| labels.get(MODE)));
        if mode.is_some_and(|mode| mode == "ambient") && !self.is_apart {
            Carrier::Ambient
        } else {
            Carrier::Nobody
        }
    }

    /// Writes to the template: old and new pods run side by side.
    pub fn set_template(&mut self, labels: &Labels, annotations: &Labels, namespace: Option<&Labels>) {
        self.labels.extend(labels.clone());
        self.annotations.extend(annotations.clone());
        let newest = self.newest(namespace);
        self.add(newest);
    }

    /// The labels of the namespace have changed: pods without a sidecar follow at once, others when they restart.
    pub fn namespace_changed(&mut self, namespace: Option<&Labels>) {
        let carrier = self.without_sidecar(namespace);
        for generation in &mut self.generations {
            if generation.carrier != Carrier::Sidecar {
                generation.carrier = carrier;
            }
        }
        let newest = self.newest(namespace);
        if self
            .generations
            .iter()
            .all(|known| known.carrier != newest.carrier)
        {
            self.add(newest);
        }
    }

    fn add(&mut self, newest: Generation) {
        self.generations.retain(|known| *known != newest);
        self.generations.push(newest);
    }

    /// All pods are those of the newest template; sidecars take tunnels if that was seen.
    pub fn settle(&mut self, hbone: bool) {
        let older = self.generations.len().saturating_sub(1);
        self.generations.drain(..older);
        self.hbone |= hbone;
        for generation in &mut self.generations {
            generation.hbone |= hbone;
        }
    }

    /// Whether some pods are carried like this.
    pub fn has(&self, carrier: Carrier) -> bool {
        self.generations
            .iter()
            .any(|generation| generation.carrier == carrier)
    }
}

/// Whether a pod has a sidecar; the container of ztunnel goes by the same name.
fn has_sidecar(pod: &Object<model::Workload>) -> bool {
    pod.spec.template.spec.istio_proxy().is_some() && !is_istio_component(pod)
}

/// The workloads of a mesh. In a cluster the pods that run count, not those that the template would make.
pub fn workloads(mesh: &Mesh, namespaces: &HashMap<String, Labels>) -> Vec<Pods> {
    let mut running: HashMap<(&str, String), BTreeSet<Carrier>> = HashMap::new();
    for pod in mesh
        .pods
        .iter()
        .filter(|pod| !pod.meta.owner_references.is_empty())
    {
        let redirected = pod.meta.annotations.get("ambient.istio.io/redirection");
        let carrier = if has_sidecar(pod) {
            Carrier::Sidecar
        } else if redirected.is_some_and(|value| value == "enabled") {
            Carrier::Ambient
        } else {
            Carrier::Nobody
        };
        running
            .entry((pod.namespace(), owner(pod)))
            .or_default()
            .insert(carrier);
    }
    let without_hbone = without_hbone(mesh);
    let owned = |workload: &&Object<model::Workload>| workload.meta.owner_references.is_empty();
    let found = mesh.workloads.iter().filter(owned).map(|workload| {
        let name = format!("{}/{}", workload.id.kind, workload.name());
        let hbone = !without_hbone.contains(&(workload.namespace().to_owned(), name.clone()));
        let mut pods = Pods::new(workload, namespaces.get(workload.namespace()), hbone);
        let key = (workload.namespace(), name);
        if let Some(carriers) = running.get(&key) {
            pods.generations = carriers.iter().map(|&carrier| pods.of(carrier)).collect();
        }
        pods
    });
    found.collect()
}

impl Pods {
    fn of(&self, carrier: Carrier) -> Generation {
        let mut labels = self.labels.clone();
        if carrier == Carrier::Sidecar {
            labels.insert(TLS_MODE.to_owned(), "istio".to_owned());
        }
        Generation {
            labels,
            carrier,
            hbone: self.hbone,
        }
    }
}
