//! From pods to the Services through which they are reached: what a selector means at a waypoint.

use crate::convert::context::{Context, Host};
use crate::convert::virtual_service::versions::is_version;
use model::meta::Object;
use model::security::{WorkloadSelector, is_subset};
use model::traffic::Service;
use model::virtual_service::VirtualService;
use model::workload::PodTemplate;
use model::{Node, ObjectRef, Workload};
use std::collections::{BTreeMap, HashMap, HashSet};

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

/// A Service of a namespace with everything that a request to it may reach.
pub struct Target<'a> {
    /// The Service that is dialled.
    pub service: &'a Object<Service>,
    /// The Service itself and all Services that a route sends its requests to.
    reached: Vec<&'a Object<Service>>,
    /// VirtualServices that route requests to or from it.
    pub virtual_services: Vec<&'a Object<VirtualService>>,
    /// Rules of HTTPRoutes that are attached to it.
    pub route_rules: Vec<&'a Node>,
}

/// The Services of one namespace as targets of policies.
pub struct Reach<'a> {
    context: &'a Context<'a>,
    /// The targets, by name.
    pub targets: Vec<Target<'a>>,
    /// VirtualServices for Services of other namespaces that lead into this one.
    pub foreign: Vec<&'a Object<VirtualService>>,
    workloads: Workloads<'a>,
    /// Workloads by the Service that selects them.
    pods: HashMap<&'a str, Vec<&'a Object<Workload>>>,
    /// Workloads that some Service selects.
    served: HashSet<&'a ObjectRef>,
}

impl<'a> Reach<'a> {
    /// Looks at the Services of a namespace.
    pub fn of_namespace(context: &'a Context<'a>, namespace: &str) -> Self {
        let workloads = Workloads::of_namespace(context, namespace);
        let (mut pods, mut served) = (HashMap::new(), HashSet::new());
        let (mut targets, mut foreign) = (Vec::new(), BTreeMap::new());
        for service in context
            .mesh
            .services_in(namespace)
            .filter(|s| !s.spec.selector.is_empty() && !is_version(s))
        {
            let behind = workloads.with_labels(&service.spec.selector);
            served.extend(behind.iter().map(|workload| &workload.id));
            pods.insert(service.name(), behind);
            let host = context.service_host(service);
            for router in context
                .routers_to(&host)
                .filter(|router| dials_elsewhere(context, router, namespace))
            {
                foreign.insert(&router.id, router);
            }
            targets.push(target(
                context,
                service,
                context.claimants(&host).collect(),
                &host,
            ));
        }
        Self {
            context,
            targets,
            foreign: foreign.into_values().collect(),
            workloads,
            pods,
            served,
        }
    }

    /// How many of the pods that a request to the target may reach are selected. A selector counts in the
    /// namespace of its policy only.
    pub fn coverage(&self, selector: &WorkloadSelector, namespace: &str, target: &Target<'_>) -> Coverage {
        let of_service = |service: &&Object<Service>| {
            if service.namespace() == namespace {
                self.of_service(selector, service)
            } else {
                Coverage::None
            }
        };
        target
            .reached
            .iter()
            .map(of_service)
            .reduce(Coverage::and)
            .unwrap_or(Coverage::None)
    }

    fn of_service(&self, selector: &WorkloadSelector, service: &Object<Service>) -> Coverage {
        let behind = self.pods.get(service.name()).map_or(&[][..], Vec::as_slice);
        behind
            .iter()
            .map(|workload| selector.selects(&workload.spec.template.metadata.labels))
            .map(|selected| if selected { Coverage::All } else { Coverage::None })
            .reduce(Coverage::and)
            .unwrap_or_else(|| by_labels(selector, &service.spec.selector))
    }

    /// Workloads that are selected and behind no Service.
    pub fn unreached(&self, selector: &WorkloadSelector) -> Vec<&'a Object<Workload>> {
        let mut selected = self.workloads.with_labels(&selector.match_labels);
        selected.retain(|workload| !self.served.contains(&workload.id));
        selected
    }

    /// The templates of the pods behind a target.
    pub fn templates(&self, target: &Target<'_>) -> Vec<&'a PodTemplate> {
        self.pods
            .get(target.service.name())
            .into_iter()
            .flatten()
            .map(|workload| &workload.spec.template)
            .collect()
    }

    /// Whether a VirtualService sends requests to selected pods.
    pub fn leads_to(
        &self,
        router: &Object<VirtualService>,
        selector: &WorkloadSelector,
        namespace: &str,
    ) -> bool {
        let hosts = self.context.destination_hosts_of(router);
        hosts
            .iter()
            .any(|host| match self.context.host(host, router.namespace()) {
                Host::Service(service) => {
                    service.namespace() == namespace && self.of_service(selector, service) != Coverage::None
                }
                _ => false,
            })
    }
}

/// Whether a VirtualService is for a Service outside of the namespace.
fn dials_elsewhere(context: &Context<'_>, router: &Object<VirtualService>, namespace: &str) -> bool {
    router
        .spec
        .hosts
        .iter()
        .any(|host| match context.host(host, router.namespace()) {
            Host::Service(dialled) => dialled.namespace() != namespace,
            _ => false,
        })
}

/// The workloads of a namespace, indexed by their labels.
struct Workloads<'a> {
    all: Vec<&'a Object<Workload>>,
    by_label: HashMap<(&'a str, &'a str), Vec<usize>>,
}

impl<'a> Workloads<'a> {
    fn of_namespace(context: &Context<'a>, namespace: &str) -> Self {
        let all: Vec<_> = context.mesh.workloads_in(namespace).collect();
        let mut by_label: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
        for (index, workload) in all.iter().enumerate() {
            for (key, value) in &workload.spec.template.metadata.labels {
                by_label.entry((key, value)).or_default().push(index);
            }
        }
        Self { all, by_label }
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
        let has_all = |index: &&usize| is_subset(wanted, &self.all[**index].spec.template.metadata.labels);
        candidates
            .into_iter()
            .flatten()
            .filter(has_all)
            .map(|&index| self.all[index])
            .collect()
    }
}

fn target<'a>(
    context: &Context<'a>,
    service: &'a Object<Service>,
    claimants: Vec<&'a Object<VirtualService>>,
    host: &str,
) -> Target<'a> {
    let mut reached = vec![service];
    let mut reach = |found: &'a Object<Service>| {
        if !reached.iter().any(|known| known.id == found.id) {
            reached.push(found);
        }
    };
    for claimant in &claimants {
        let mut hosts: Vec<String> = context.destination_hosts_of(claimant).into_iter().collect();
        hosts.sort_unstable();
        for destination in hosts {
            if let Host::Service(found) = context.host(&destination, claimant.namespace()) {
                reach(found);
            }
        }
    }
    let routes: Vec<_> = context
        .routes_of(service)
        .filter(|route| !crate::convert::is_ours(&route.meta.labels))
        .collect();
    let route_rules: Vec<&Node> = routes
        .iter()
        .flat_map(|route| route.spec.rules.iter().map(|rule| &rule.0))
        .collect();
    for (route, rule) in routes
        .iter()
        .flat_map(|r| r.spec.rules.iter().map(move |rule| (r, &rule.0)))
    {
        for backend in rule.get("backendRefs").map_or(&[][..], Node::items) {
            let text = |key| backend.get(key).and_then(Node::as_str);
            let namespace = text("namespace").unwrap_or(route.namespace());
            if let Some(found) = text("name").and_then(|name| context.mesh.service(namespace, name)) {
                reach(found);
            }
        }
    }
    let mut virtual_services = claimants;
    virtual_services.extend(context.routers_to(host));
    Target {
        service,
        reached,
        virtual_services,
        route_rules,
    }
}

/// Without the pods themselves, their Service's selector says which labels they have at least.
fn by_labels(selector: &WorkloadSelector, behind: &BTreeMap<String, String>) -> Coverage {
    let wanted = &selector.match_labels;
    if is_subset(wanted, behind) {
        Coverage::All
    } else if wanted
        .iter()
        .any(|(key, value)| behind.get(key).is_some_and(|other| other != value))
    {
        Coverage::None
    } else {
        Coverage::Part
    }
}
