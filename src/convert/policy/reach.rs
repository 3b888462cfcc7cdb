//! From pods to the Services through which they are reached: what a selector means at a waypoint.

use super::ways::{Place, Routing, Way, Ways, is_tcp};
use crate::convert::context::Context;
use crate::convert::waypoint::Bound;
use foldhash::{HashMap, HashSet};
use model::meta::Object;
use model::security::{WorkloadSelector, is_subset};
use model::traffic::{Service, ServicePort};
use model::values::PortRef;
use model::workload::PodTemplate;
use model::{ObjectRef, Workload};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// How many of the pods behind a Service a selector selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coverage {
    /// None of them.
    None,
    /// Some, or perhaps some.
    Part,
    /// All of them.
    All,
}

impl Coverage {
    fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::Part }
    }
}

/// The pods that an object is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection<'a> {
    /// The only namespace; `None` for the whole mesh.
    pub namespace: Option<&'a str>,
    /// Labels that they have; `None` for all pods.
    pub labels: Option<&'a BTreeMap<String, String>>,
}

impl<'a> Selection<'a> {
    /// The pods of an object in `namespace`; one in the root namespace counts everywhere.
    pub fn new(namespace: &'a str, selector: Option<&'a WorkloadSelector>, root: &str) -> Self {
        Self {
            namespace: (namespace != root).then_some(namespace),
            labels: selector
                .map(|selector| &selector.match_labels)
                .filter(|labels| !labels.is_empty()),
        }
    }

    fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels.is_none_or(|wanted| is_subset(wanted, labels))
    }
}

/// A Service as a target of policies.
pub struct Target<'a> {
    /// The Service that is dialled.
    pub service: &'a Object<Service>,
    /// The ways that requests to it take.
    pub ways: Ways<'a>,
    /// Whether it, or its namespace, asks for a waypoint already, or a DestinationRule is for it, which ztunnel does not
    /// read.
    pub bound: bool,
}

impl Target<'_> {
    /// Whether routes act on requests to it.
    pub fn is_routed(&self) -> bool {
        self.ways.list.iter().any(|way| way.router.is_some())
    }
}

/// The Services of a mesh as targets of policies.
pub struct Reach<'a> {
    /// The targets, by namespace and name.
    pub targets: Vec<Target<'a>>,
    /// Those whose ways lead into a namespace.
    into: HashMap<&'a str, Vec<usize>>,
    workloads: HashMap<&'a str, Workloads<'a>>,
    /// Workloads by the Service that selects them.
    pods: HashMap<&'a ObjectRef, Vec<&'a Object<Workload>>>,
    /// Workloads that some Service with an address selects.
    served: HashSet<&'a ObjectRef>,
}

impl<'a> Reach<'a> {
    /// Looks at the Services of a mesh.
    pub fn of(context: &Context<'a>) -> Self {
        let mesh = context.mesh;
        let mut workloads: HashMap<&str, Workloads<'a>> = HashMap::default();
        for workload in &mesh.workloads {
            workloads.entry(workload.namespace()).or_default().add(workload);
        }
        let (mut pods, mut served) = (HashMap::default(), HashSet::default());
        for service in mesh
            .services
            .iter()
            .filter(|service| !service.spec.selector.is_empty())
        {
            let behind = workloads
                .get(service.namespace())
                .map_or_else(Vec::new, |all| all.with_labels(&service.spec.selector));
            served.extend(behind.iter().map(|workload| &workload.id));
            if !behind.is_empty() {
                pods.insert(&service.id, behind);
            }
        }
        let routing = Routing::of(context);
        let targets: Vec<_> = mesh
            .services
            .par_iter()
            .filter(|service| {
                !service.spec.is_external_name() && !crate::convert::is_ours(&service.meta.labels)
            })
            .map(|service| Target {
                service,
                ways: Ways::from(&routing, service),
                bound: matches!(context.bound(service), Bound::To { .. }) || routing.has_rule(service),
            })
            .collect();
        let mut into: HashMap<&str, Vec<usize>> = HashMap::default();
        for (index, target) in targets.iter().enumerate() {
            let places = target.ways.list.iter().flat_map(|way| &way.places);
            let mirrors = target.ways.mirrors.iter().map(|(_, place)| place);
            let namespaces: BTreeSet<&str> = places
                .chain(mirrors)
                .map(|place| place.service.namespace())
                .collect();
            for namespace in namespaces {
                into.entry(namespace).or_default().push(index);
            }
        }
        Self {
            targets,
            into,
            workloads,
            pods,
            served,
        }
    }

    /// The targets whose requests may reach selected pods.
    pub fn candidates(&self, selection: Selection<'_>) -> Box<dyn Iterator<Item = usize> + '_> {
        match selection.namespace {
            Some(namespace) => Box::new(self.into.get(namespace).into_iter().flatten().copied()),
            None => Box::new(0..self.targets.len()),
        }
    }

    /// How many of the pods that a way leads to are selected.
    pub fn coverage(&self, selection: Selection<'_>, way: &Way<'_>) -> Coverage {
        let known = way
            .places
            .iter()
            .map(|place| self.of_place(selection, place))
            .reduce(Coverage::and)
            .unwrap_or(Coverage::None);
        if way.elsewhere && known == Coverage::All {
            Coverage::Part
        } else {
            known
        }
    }

    /// How many of the pods of a place are selected.
    pub fn of_place(&self, selection: Selection<'_>, place: &Place<'_>) -> Coverage {
        let service = place.service;
        if selection
            .namespace
            .is_some_and(|namespace| namespace != service.namespace())
        {
            return Coverage::None;
        }
        let Some(wanted) = selection.labels else {
            return Coverage::All;
        };
        if service.spec.selector.is_empty() {
            return Coverage::None;
        }
        self.behind(place)
            .map(|workload| is_subset(wanted, &workload.spec.template.metadata.labels))
            .map(|selected| if selected { Coverage::All } else { Coverage::None })
            .reduce(Coverage::and)
            .unwrap_or_else(|| by_labels(wanted, &service.spec.selector, place.labels))
    }

    /// The workloads of a place that are in the input.
    pub fn behind<'s>(&'s self, place: &'s Place<'_>) -> impl Iterator<Item = &'a Object<Workload>> + 's {
        let behind = self.pods.get(&place.service.id).map_or(&[][..], Vec::as_slice);
        behind.iter().copied().filter(|workload| {
            place
                .labels
                .is_none_or(|labels| is_subset(labels, &workload.spec.template.metadata.labels))
        })
    }

    /// Workloads that are selected and behind no Service.
    pub fn unreached(&self, selection: Selection<'_>) -> Vec<&'a Object<Workload>> {
        let mut names: Vec<&str> = match selection.namespace {
            Some(namespace) => vec![namespace],
            None => self.workloads.keys().copied().collect(),
        };
        names.sort_unstable();
        names
            .iter()
            .filter_map(|namespace| self.workloads.get(namespace))
            .flat_map(|workloads| match selection.labels {
                Some(labels) => workloads.with_labels(labels),
                None => workloads.all.clone(),
            })
            .filter(|workload| selection.selects(&workload.spec.template.metadata.labels))
            .filter(|workload| !self.served.contains(&workload.id))
            .collect()
    }

    /// The ports of pods that a dialled port of a target leads to on a way; `None` where a name stands between them
    /// whose number is not known.
    pub fn pod_ports(&self, target: &Object<Service>, dialled: u16, way: &Way<'_>) -> Option<BTreeSet<u16>> {
        let mut found = BTreeSet::new();
        for place in &way.places {
            let mut ports = place.service.spec.ports.iter().filter(|port| is_tcp(port));
            let number = match (place.port, place.service.spec.ports.as_slice()) {
                (Some(port), _) => port,
                (None, [only]) if place.service.id != target.id => only.port.map_or(dialled, |port| port.0),
                (None, _) => dialled,
            };
            if let Some(port) = ports.find(|port| port.port.is_some_and(|port| port.0 == number)) {
                found.extend(self.target_ports(port, number, place)?);
            }
        }
        Some(found)
    }

    fn target_ports(&self, port: &ServicePort, number: u16, place: &Place<'_>) -> Option<BTreeSet<u16>> {
        match &port.target_port {
            None => Some(BTreeSet::from([number])),
            Some(PortRef::Number(target)) => Some(BTreeSet::from([*target])),
            Some(PortRef::Name(name)) => {
                let ports: Option<BTreeSet<u16>> = self
                    .behind(place)
                    .map(|workload| container_port(&workload.spec.template, name))
                    .collect();
                ports.filter(|ports| !ports.is_empty())
            }
        }
    }
}

fn container_port(template: &PodTemplate, name: &str) -> Option<u16> {
    let mut ports = template
        .spec
        .containers
        .iter()
        .flat_map(|container| &container.ports);
    ports
        .find(|port| port.name.as_deref() == Some(name))
        .and_then(|port| port.container_port)
        .map(|port| port.0)
}

/// The workloads of a namespace, indexed by their labels.
#[derive(Default)]
struct Workloads<'a> {
    all: Vec<&'a Object<Workload>>,
    by_label: HashMap<(&'a str, &'a str), Vec<usize>>,
}

impl<'a> Workloads<'a> {
    fn add(&mut self, workload: &'a Object<Workload>) {
        for (key, value) in &workload.spec.template.metadata.labels {
            self.by_label
                .entry((key, value))
                .or_default()
                .push(self.all.len());
        }
        self.all.push(workload);
    }

    /// The workloads that have all of these labels; none if no label is asked for.
    fn with_labels(&self, wanted: &BTreeMap<String, String>) -> Vec<&'a Object<Workload>> {
        let candidates = wanted
            .iter()
            .map(|(key, value)| {
                self.by_label
                    .get(&(key.as_str(), value.as_str()))
                    .map_or(&[][..], Vec::as_slice)
            })
            .min_by_key(|candidates| candidates.len());
        candidates
            .into_iter()
            .flatten()
            .filter_map(|&index| self.all.get(index).copied())
            .filter(|workload| is_subset(wanted, &workload.spec.template.metadata.labels))
            .collect()
    }
}

/// Without the pods themselves, the selector of their Service and the labels of their subset say which labels they have
/// at least.
fn by_labels(
    wanted: &BTreeMap<String, String>,
    behind: &BTreeMap<String, String>,
    subset: Option<&BTreeMap<String, String>>,
) -> Coverage {
    let label = |key: &String| {
        subset
            .and_then(|labels| labels.get(key))
            .or_else(|| behind.get(key))
    };
    if wanted.iter().all(|(key, value)| label(key) == Some(value)) {
        Coverage::All
    } else if wanted
        .iter()
        .any(|(key, value)| label(key).is_some_and(|other| other != value))
    {
        Coverage::None
    } else {
        Coverage::Part
    }
}
