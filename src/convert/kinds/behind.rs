//! From selected pods to the Services of their namespace: what an extension or a Telemetry can be attached to.

use crate::convert::context::{Context, Host, destination_hosts};
use crate::convert::virtual_service::versions::is_version;
use model::meta::Object;
use model::security::{WorkloadSelector, is_subset};
use model::traffic::Service;
use model::virtual_service::VirtualService;
use model::workload::PodTemplate;
use model::{Node, ObjectRef, Workload};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How many pods of several are selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    None,
    /// Some, or perhaps some.
    Part,
    All,
}

impl Share {
    fn of(shares: impl IntoIterator<Item = Self>) -> Option<Self> {
        shares
            .into_iter()
            .reduce(|all, one| if all == one { all } else { Self::Part })
    }
}

/// A Service with what requests to it may meet.
pub struct Target<'a> {
    /// The Service that is dialled.
    pub service: &'a Object<Service>,
    /// The pods behind it that are in the input.
    pub pods: Vec<&'a PodTemplate>,
    /// VirtualServices that route requests to or from it.
    pub routers: Vec<&'a Object<VirtualService>>,
    /// Rules of routes that are attached to it.
    pub rules: Vec<&'a Node>,
    /// The Services to which its requests may go instead, and whether these are all.
    others: (Vec<&'a Object<Service>>, bool),
}

/// The Services of a namespace.
pub struct Namespace<'a> {
    targets: Vec<Target<'a>>,
    workloads: Vec<&'a Object<Workload>>,
    /// Workloads behind some Service.
    served: BTreeSet<&'a ObjectRef>,
    /// VirtualServices for hosts elsewhere that lead here, each with the Services that it leads to.
    foreign: Vec<(&'a Object<VirtualService>, &'a Object<Service>)>,
}

/// What selected pods are behind, or why attaching there is not the same.
pub enum Attachable<'n, 'a> {
    /// Behind each of these all pods are selected.
    To(Vec<&'n Target<'a>>),
    /// Others would be met too, for this reason.
    Partly(String),
    /// Nothing to attach to, for this reason.
    Nowhere(String),
}

impl<'a> Namespace<'a> {
    /// Looks at the Services of a namespace.
    pub fn of(context: &Context<'a>, namespace: &str) -> Self {
        let workloads: Vec<_> = context.mesh.workloads_in(namespace).collect();
        let labels = ByLabel::of(&workloads);
        let (mut targets, mut served, mut foreign) = (Vec::new(), BTreeSet::new(), Vec::new());
        for service in context
            .mesh
            .services_in(namespace)
            .filter(|service| !service.spec.selector.is_empty() && !is_version(service))
        {
            let behind = labels.with(&service.spec.selector);
            served.extend(behind.iter().map(|workload| &workload.id));
            let pods = behind.iter().map(|workload| &workload.spec.template).collect();
            let target = target(context, service, pods);
            let elsewhere = target
                .routers
                .iter()
                .filter(|router| dials_elsewhere(context, router, namespace));
            foreign.extend(elsewhere.map(|router| (*router, service)));
            targets.push(target);
        }
        Self {
            targets,
            workloads,
            served,
            foreign,
        }
    }

    /// What an object with this selector can be attached to.
    pub fn attachable(&self, selector: &WorkloadSelector, namespace: &str) -> Attachable<'_, 'a> {
        let mut all = Vec::new();
        for target in &self.targets {
            let id = &target.service.id;
            match self.share(selector, target) {
                Share::None => {}
                Share::Part => {
                    return Attachable::Partly(format!(
                        "through {id} pods are reached for which it is not meant"
                    ));
                }
                Share::All if target.service.spec.is_headless() => {
                    return Attachable::Nowhere(format!(
                        "{id} is headless: its clients dial pods, past every waypoint for Services"
                    ));
                }
                Share::All => all.push(target),
            }
        }
        if let Some(alone) = self.unserved(selector) {
            return Attachable::Nowhere(format!(
                "{} is selected and behind no Service, so no waypoint for Services is in the path to it",
                alone.id
            ));
        }
        if all.is_empty() {
            return Attachable::Nowhere(format!(
                "no Service in the input leads to the pods; give the Services and workloads of `{namespace}` too"
            ));
        }
        Attachable::To(all)
    }

    /// A VirtualService through which requests for a Service of another namespace reach selected pods.
    pub fn foreign(&self, selector: &WorkloadSelector) -> Option<&'a Object<VirtualService>> {
        let leads_here =
            |(_, service): &&(_, &'a Object<Service>)| self.of_service(selector, service) != Share::None;
        self.foreign.iter().find(leads_here).map(|(router, _)| *router)
    }

    fn share(&self, selector: &WorkloadSelector, target: &Target<'_>) -> Share {
        let (others, complete) = &target.others;
        let of_other = |service: &&Object<Service>| match service.id.namespace == target.service.id.namespace
        {
            true => self.of_service(selector, service),
            false => Share::None,
        };
        let own = self.of_service(selector, target.service);
        let shares = std::iter::once(own).chain(others.iter().map(of_other));
        let unclear = (!complete).then_some(Share::Part);
        Share::of(shares.chain(unclear.filter(|_| own != Share::None))).unwrap_or(Share::None)
    }

    fn of_service(&self, selector: &WorkloadSelector, service: &Object<Service>) -> Share {
        let pods = self
            .targets
            .iter()
            .find(|target| target.service.id == service.id)
            .map_or(&[][..], |target| target.pods.as_slice());
        let shares = pods
            .iter()
            .map(|pod| match selector.selects(&pod.metadata.labels) {
                true => Share::All,
                false => Share::None,
            });
        Share::of(shares).unwrap_or_else(|| by_labels(selector, &service.spec.selector))
    }

    fn unserved(&self, selector: &WorkloadSelector) -> Option<&'a Object<Workload>> {
        let is_selected = |workload: &&&Object<Workload>| {
            !selector.match_labels.is_empty()
                && selector.selects(&workload.spec.template.metadata.labels)
                && !self.served.contains(&workload.id)
        };
        self.workloads.iter().find(is_selected).copied()
    }
}

/// Without the pods themselves, the selector of their Service says which labels they have at least.
fn by_labels(selector: &WorkloadSelector, behind: &BTreeMap<String, String>) -> Share {
    let wanted = &selector.match_labels;
    let differs = |(key, value): (&String, &String)| behind.get(key).is_some_and(|other| other != value);
    if is_subset(wanted, behind) {
        Share::All
    } else if wanted.iter().any(differs) {
        Share::None
    } else {
        Share::Part
    }
}

fn target<'a>(context: &Context<'a>, service: &'a Object<Service>, pods: Vec<&'a PodTemplate>) -> Target<'a> {
    let host = context.service_host(service);
    let claimants: Vec<_> = context.claimants(&host).collect();
    let mut others = BTreeMap::new();
    let mut complete = true;
    for claimant in &claimants {
        // The destinations of a delegate stand in another object.
        complete &= claimant.spec.http.iter().all(|rule| rule.delegate.is_none());
        for destination in destination_hosts(&claimant.spec) {
            if let Host::Service(found) = context.host(destination, claimant.namespace()) {
                others.insert(&found.id, found);
            }
        }
    }
    let mut rules = Vec::new();
    for route in context
        .routes_of(service)
        .filter(|route| !crate::convert::is_ours(&route.meta.labels))
    {
        for rule in route.spec.rules.iter().map(|rule| &rule.0) {
            rules.push(rule);
            for backend in rule.get("backendRefs").map_or(&[][..], Node::items) {
                let namespace = super::text(backend, "namespace").unwrap_or(route.namespace());
                let found =
                    super::text(backend, "name").and_then(|name| context.mesh.service(namespace, name));
                others.extend(found.map(|found| (&found.id, found)));
            }
        }
    }
    others.remove(&service.id);
    let mut routers = claimants;
    routers.extend(context.routers_to(&host));
    Target {
        service,
        pods,
        routers,
        rules,
        others: (others.into_values().collect(), complete),
    }
}

/// Whether a VirtualService is for a Service outside of the namespace.
fn dials_elsewhere(context: &Context<'_>, router: &Object<VirtualService>, namespace: &str) -> bool {
    router.spec.hosts.iter().any(|host| {
        matches!(context.host(host, router.namespace()), Host::Service(dialled) if dialled.namespace() != namespace)
    })
}

/// Workloads by the labels of their pods.
struct ByLabel<'a>(HashMap<(&'a str, &'a str), Vec<&'a Object<Workload>>>);

impl<'a> ByLabel<'a> {
    fn of(workloads: &[&'a Object<Workload>]) -> Self {
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        for workload in workloads {
            for (key, value) in &workload.spec.template.metadata.labels {
                found
                    .entry((key.as_str(), value.as_str()))
                    .or_default()
                    .push(*workload);
            }
        }
        Self(found)
    }

    /// The workloads that have all of these labels, of which there is at least one.
    fn with(&self, wanted: &BTreeMap<String, String>) -> Vec<&'a Object<Workload>> {
        let fewest = wanted
            .iter()
            .map(|(key, value)| {
                self.0
                    .get(&(key.as_str(), value.as_str()))
                    .map_or(&[][..], Vec::as_slice)
            })
            .min_by_key(|workloads| workloads.len());
        let has_all =
            |workload: &&&Object<Workload>| is_subset(wanted, &workload.spec.template.metadata.labels);
        fewest
            .unwrap_or_default()
            .iter()
            .filter(has_all)
            .copied()
            .collect()
    }
}
