//! The state that a request's fate depends on, and what of it each change touches.

use super::clients::{self as client, Clients};
use super::objects::{Authentication, Binding, Labels, Name, Peers, Teaching, Waypoint};
use super::pods::{Pods, workloads};
use super::policies::{Place, Policies, places};
use super::script::Change;
use crate::plan::document::{Check, Target};
use model::security::is_subset;
use model::{Kind, Mesh};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A Service, as far as it changes.
#[derive(Debug)]
pub struct Site {
    /// What it is called.
    pub id: Name,
    /// Its labels.
    pub labels: Labels,
    /// Its workloads.
    pub workloads: Vec<usize>,
    /// Whether a gateway sends requests to it.
    pub behind_gateway: bool,
}

/// Everything.
#[derive(Debug)]
pub struct World {
    /// The namespace whose policies are for the whole mesh.
    pub root: String,
    /// AuthorizationPolicies.
    pub policies: Policies,
    /// RequestAuthentications by namespace.
    pub authentications: BTreeMap<String, BTreeMap<Name, Authentication>>,
    /// PeerAuthentications by namespace.
    pub peers: BTreeMap<String, BTreeMap<Name, Peers>>,
    /// Waypoints.
    pub waypoints: BTreeMap<Name, Waypoint>,
    /// What teaches sidecars the way, by Service.
    pub teachings: HashMap<Name, BTreeMap<Name, Teaching>>,
    /// Services, in the order of the mesh.
    pub sites: Vec<Site>,
    /// Workloads.
    pub pods: Vec<Pods>,
    /// Identities.
    pub clients: Clients,
    namespaces: HashMap<String, Labels>,
    site_by_name: HashMap<Name, usize>,
    sites_by_namespace: HashMap<String, Vec<usize>>,
    pods_by_name: HashMap<(Kind, Name), usize>,
    pods_by_namespace: HashMap<String, Vec<usize>>,
    pods_by_label: HashMap<(String, String, String), BTreeSet<usize>>,
    sites_of_pods: Vec<Vec<usize>>,
    identity_of_pods: Vec<Option<usize>>,
    taught_by: HashMap<Name, Name>,
}

/// What a change touches.
#[derive(Debug, Default)]
pub struct Touched {
    /// Services, and what of their state it is.
    pub sites: BTreeMap<usize, Parts>,
    /// The ways in which somebody may send requests now who could not before.
    pub gained: BTreeSet<client::Kind>,
    /// Whether somebody may send requests no more in some way.
    pub lost: bool,
}

/// Parts of a server's state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Parts {
    /// Where clients' requests are sent.
    pub routing: bool,
    /// What the waypoint decides.
    pub waypoint: bool,
    /// The pods, and what is decided at them.
    pub pods: bool,
}

impl Parts {
    /// All of it.
    pub const ALL: Self = Self {
        routing: true,
        waypoint: true,
        pods: true,
    };
    const ROUTING: Self = Self {
        routing: true,
        waypoint: false,
        pods: false,
    };
    const WAYPOINT: Self = Self {
        routing: false,
        waypoint: true,
        pods: false,
    };
    const PODS: Self = Self {
        routing: false,
        waypoint: false,
        pods: true,
    };
}

impl Touched {
    fn add<'a>(&mut self, sites: impl IntoIterator<Item = &'a usize>, parts: Parts) {
        for &site in sites {
            let known = self.sites.entry(site).or_default();
            known.routing |= parts.routing;
            known.waypoint |= parts.waypoint;
            known.pods |= parts.pods;
        }
    }
}

impl World {
    /// The mesh without the objects that [`super::script::Reader::first`] gives.
    pub fn new(mesh: &Mesh) -> Self {
        let namespaces: HashMap<String, Labels> = mesh
            .others_of(&Kind::Namespace)
            .map(|object| (object.name().to_owned(), object.meta.labels.clone()))
            .collect();
        let pods = workloads(mesh, &namespaces);
        let mut world = Self {
            root: mesh.settings.root_namespace.clone(),
            policies: Policies::default(),
            authentications: BTreeMap::new(),
            peers: BTreeMap::new(),
            waypoints: BTreeMap::new(),
            teachings: HashMap::new(),
            sites: Vec::new(),
            sites_of_pods: vec![Vec::new(); pods.len()],
            identity_of_pods: Vec::new(),
            pods,
            clients: Clients::default(),
            namespaces,
            site_by_name: HashMap::new(),
            sites_by_namespace: HashMap::new(),
            pods_by_name: HashMap::new(),
            pods_by_namespace: HashMap::new(),
            pods_by_label: HashMap::new(),
            taught_by: HashMap::new(),
        };
        world.index_pods(mesh);
        world.index_sites(mesh);
        world
    }

    fn index_pods(&mut self, mesh: &Mesh) {
        let waypoints: BTreeSet<(&str, &str)> = mesh
            .gateways
            .iter()
            .filter(|gateway| gateway.spec.gateway_class_name == "istio-waypoint")
            .map(|gateway| (gateway.namespace(), gateway.name()))
            .collect();
        for index in 0..self.pods.len() {
            let Some(pods) = self.pods.get(index) else {
                continue;
            };
            let labels = pods.generations.first().map(|first| first.labels.clone());
            let labels = labels.unwrap_or_default();
            let gateway = labels.get("gateway.networking.k8s.io/gateway-name");
            let is_waypoint = gateway.is_some_and(|name| waypoints.contains(&(pods.id.0.as_str(), name)));
            let identity = (!is_waypoint).then(|| self.clients.identity(pods, &mesh.settings.trust_domain));
            if let Some(identity) = identity {
                self.clients.count(identity, pods, true);
            }
            self.identity_of_pods.push(identity);
            self.pods_by_name
                .insert((pods.kind.clone(), pods.id.clone()), index);
            let namespace = pods.id.0.clone();
            self.pods_by_namespace
                .entry(namespace.clone())
                .or_default()
                .push(index);
            self.know_labels(index, &namespace, &labels);
        }
    }

    fn know_labels(&mut self, index: usize, namespace: &str, labels: &Labels) {
        for (key, value) in labels {
            let place = (namespace.to_owned(), key.clone(), value.clone());
            self.pods_by_label.entry(place).or_default().insert(index);
        }
    }

    fn index_sites(&mut self, mesh: &Mesh) {
        let behind_gateways = super::exposed::behind_gateways(mesh);
        for service in &mesh.services {
            let index = self.sites.len();
            let id = (service.namespace().to_owned(), service.name().to_owned());
            let workloads: Vec<usize> = match service.spec.selector.iter().next() {
                Some((key, value)) if !service.spec.is_external_name() => {
                    let place = (id.0.clone(), key.clone(), value.clone());
                    let candidates = self.pods_by_label.get(&place).into_iter().flatten().copied();
                    candidates
                        .filter(|&pods| self.is_behind(pods, &service.spec.selector))
                        .collect()
                }
                _ => Vec::new(),
            };
            for &pods in &workloads {
                if let Some(sites) = self.sites_of_pods.get_mut(pods) {
                    sites.push(index);
                }
            }
            self.site_by_name.insert(id.clone(), index);
            self.sites_by_namespace
                .entry(id.0.clone())
                .or_default()
                .push(index);
            self.sites.push(Site {
                behind_gateway: behind_gateways.contains(&id),
                id,
                labels: service.meta.labels.clone(),
                workloads,
            });
        }
    }

    fn is_behind(&self, pods: usize, selector: &Labels) -> bool {
        self.pods.get(pods).is_some_and(|pods| {
            !pods.gateway
                && pods
                    .generations
                    .iter()
                    .any(|found| is_subset(selector, &found.labels))
        })
    }

    /// The Services that lead to a workload.
    pub fn sites_of(&self, workload: usize) -> &[usize] {
        self.sites_of_pods.get(workload).map_or(&[], Vec::as_slice)
    }

    /// The place of a workload.
    pub fn workload(&self, kind: &Kind, name: &Name) -> Option<usize> {
        self.pods_by_name.get(&(kind.clone(), name.clone())).copied()
    }

    /// The waypoint that a Service's labels name.
    pub fn named_waypoint(&self, site: &Site) -> Option<Name> {
        let of = |labels: Option<&Labels>| {
            let labels = labels?;
            let name = labels.get("istio.io/use-waypoint")?.clone();
            let elsewhere = labels.get("istio.io/use-waypoint-namespace");
            Some((elsewhere.unwrap_or(&site.id.0).clone(), name))
        };
        of(Some(&site.labels))
            .or_else(|| of(self.namespaces.get(&site.id.0)))
            .filter(|(_, name)| name != "none")
    }

    /// The waypoint that a Service really uses: one that is missing or not ready is passed over (H9).
    pub fn used_waypoint(&self, site: &Site) -> Option<Name> {
        let name = self.named_waypoint(site)?;
        let waypoint = self.waypoints.get(&name)?;
        let open = waypoint.for_all_namespaces || name.0 == site.id.0;
        (waypoint.ready && waypoint.for_services && open).then_some(name)
    }

    /// Does what a write does.
    pub fn apply(&mut self, change: &Change) -> Touched {
        let mut touched = Touched::default();
        match change {
            Change::Policy(name, new) => {
                let root = self.root.clone();
                let old = self.policies.remove(name, &root);
                for policy in old.iter().chain(new) {
                    self.touch(&policy.id, &policy.binding, &mut touched);
                }
                if let Some(policy) = new {
                    self.policies.add(policy.clone(), &root);
                }
            }
            Change::Authentication(name, new) => {
                let here = self.authentications.entry(name.0.clone()).or_default();
                let old = here.remove(name);
                if let Some(new) = new {
                    here.insert(name.clone(), new.clone());
                }
                for found in old.iter().chain(new) {
                    self.touch(&found.id, &found.binding, &mut touched);
                }
            }
            Change::Peers(name, new) => {
                let here = self.peers.entry(name.0.clone()).or_default();
                let old = here.remove(name);
                if let Some(new) = new {
                    here.insert(name.clone(), new.clone());
                }
                for found in old.iter().chain(new) {
                    let labels = (!found.selector.is_empty()).then(|| found.selector.clone());
                    self.touch(&found.id, &Binding::Pods(labels), &mut touched);
                }
            }
            Change::Waypoint(name, new) => {
                let ready = self.waypoints.remove(name).is_some_and(|old| old.ready);
                if let Some(new) = new {
                    let ready = ready || new.ready;
                    self.waypoints
                        .insert(name.clone(), Waypoint { ready, ..new.clone() });
                }
                touched.add(&self.users(Some(name)), Parts::ALL);
            }
            Change::Teaching(name, new) => self.teach(name, new.as_ref(), &mut touched),
            Change::Service(name, labels) => {
                let index = self.site_by_name.get(name).copied();
                if let Some((index, site)) = index.and_then(|index| Some((index, self.sites.get_mut(index)?)))
                {
                    relabel(&mut site.labels, labels);
                    touched.add([&index], Parts::ALL);
                }
            }
            Change::Namespace(name, labels) => self.relabel_namespace(name, labels, &mut touched),
            Change::Template(kind, name, labels, annotations) => {
                if let Some(&index) = self.pods_by_name.get(&(kind.clone(), name.clone())) {
                    self.know_labels(index, &name.0, labels);
                    let namespace = self.namespaces.get(&name.0).cloned();
                    self.change_pods(index, &mut touched, |pods| {
                        pods.set_template(labels, annotations, namespace.as_ref());
                    });
                }
            }
            Change::Nothing | Change::Unreadable(_) => {}
        }
        touched
    }

    fn teach(&mut self, name: &Name, new: Option<&Teaching>, touched: &mut Touched) {
        if let Some(service) = self.taught_by.remove(name) {
            if let Some(known) = self.teachings.get_mut(&service) {
                known.remove(name);
            }
            touched.add(self.site_by_name.get(&service), Parts::ROUTING);
        }
        if let Some(new) = new {
            let known = self.teachings.entry(new.service.clone()).or_default();
            known.insert(name.clone(), new.clone());
            self.taught_by.insert(name.clone(), new.service.clone());
            touched.add(self.site_by_name.get(&new.service), Parts::ROUTING);
        }
    }

    fn relabel_namespace(
        &mut self,
        name: &str,
        labels: &BTreeMap<String, Option<String>>,
        touched: &mut Touched,
    ) {
        relabel(self.namespaces.entry(name.to_owned()).or_default(), labels);
        let namespace = self.namespaces.get(name).cloned();
        for index in self.pods_by_namespace.get(name).cloned().unwrap_or_default() {
            self.change_pods(index, touched, |pods| pods.namespace_changed(namespace.as_ref()));
        }
        touched.add(
            self.sites_by_namespace.get(name).into_iter().flatten(),
            Parts::ALL,
        );
    }

    /// Changes the pods of a workload; what they may ask, and who may ask them, changes with them.
    fn change_pods(&mut self, index: usize, touched: &mut Touched, change: impl FnOnce(&mut Pods)) {
        let Some(pods) = self.pods.get_mut(index) else {
            return;
        };
        let before = pods.generations.clone();
        let identity = self.identity_of_pods.get(index).copied().flatten();
        change(pods);
        if pods.generations == before {
            return;
        }
        if let Some(identity) = identity {
            let kinds = |clients: &Clients| {
                client::KINDS.map(|kind| clients.all.get(identity).is_some_and(|found| found.has(kind)))
            };
            let had = kinds(&self.clients);
            let after = std::mem::replace(&mut pods.generations, before);
            self.clients.count(identity, pods, false);
            pods.generations = after;
            self.clients.count(identity, pods, true);
            for ((kind, had), has) in client::KINDS.into_iter().zip(had).zip(kinds(&self.clients)) {
                if has && !had {
                    touched.gained.insert(kind);
                }
                touched.lost |= had && !has;
            }
        }
        touched.add(self.sites_of_pods.get(index).into_iter().flatten(), Parts::PODS);
    }

    /// What a check shows: pods of the newest template alone, waypoints that run.
    pub fn settle(&mut self, checks: &[Check], only: Option<&Target>) -> Touched {
        let mut touched = Touched::default();
        for check in checks {
            match check {
                Check::RolledOut { workload }
                | Check::Moved { workload }
                | Check::HasSidecars { workload, .. } => {
                    if only.is_some_and(|only| only != workload) {
                        continue;
                    }
                    let key = super::script::key(workload);
                    if let Some(&index) = self.pods_by_name.get(&key) {
                        let hbone = matches!(check, Check::HasSidecars { hbone: true, .. });
                        self.change_pods(index, &mut touched, |pods| pods.settle(hbone));
                    }
                }
                Check::WaypointReady { namespace, name } => {
                    let key = (namespace.clone(), name.clone());
                    if let Some(waypoint) = self.waypoints.get_mut(&key).filter(|found| !found.ready) {
                        waypoint.ready = true;
                        touched.add(&self.users(Some(&key)), Parts::ALL);
                    }
                }
                _ => {}
            }
        }
        touched
    }

    /// The Services that name a waypoint, or any.
    fn users(&self, waypoint: Option<&Name>) -> BTreeSet<usize> {
        let names = |site: &Site| {
            self.named_waypoint(site)
                .is_some_and(|named| waypoint.is_none_or(|waypoint| named == *waypoint))
        };
        (0..self.sites.len())
            .filter(|&index| self.sites.get(index).is_some_and(names))
            .collect()
    }

    fn touch(&self, id: &Name, binding: &Binding, touched: &mut Touched) {
        for place in places(id, binding, &self.root) {
            match place {
                Place::Namespace(namespace) | Place::Label(namespace, ..) if namespace == self.root => {
                    touched.add(&Vec::from_iter(0..self.sites.len()), Parts::PODS);
                }
                Place::Namespace(namespace) => {
                    let sites = self.sites_by_namespace.get(&namespace);
                    touched.add(sites.into_iter().flatten(), Parts::PODS);
                }
                Place::Label(namespace, key, value) => {
                    let pods = self.pods_by_label.get(&(namespace, key, value));
                    let sites = pods
                        .into_iter()
                        .flatten()
                        .filter_map(|&pods| self.sites_of_pods.get(pods));
                    touched.add(sites.flatten(), Parts::PODS);
                }
                Place::Service(name) => touched.add(self.site_by_name.get(&name), Parts::WAYPOINT),
                Place::Gateway(name) => touched.add(&self.users(Some(&name)), Parts::WAYPOINT),
                Place::Class => touched.add(&self.users(None), Parts::WAYPOINT),
            }
        }
    }
}

fn relabel(labels: &mut Labels, changes: &BTreeMap<String, Option<String>>) {
    for (key, value) in changes {
        match value {
            Some(value) => labels.insert(key.clone(), value.clone()),
            None => labels.remove(key),
        };
    }
}
