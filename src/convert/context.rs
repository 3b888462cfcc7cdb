//! What converters look up: hosts, who claims them, who routes to them.

use super::names::{self, FreeName};
use super::virtual_service::automation::Automation;
use super::virtual_service::claims::{Claims, Index};
use super::virtual_service::effective::{delegate_namespace, is_visible};
use super::virtual_service::versions::Versions;
use super::waypoint::{Bound, of_labels};
use super::{Change, Options};
use foldhash::{HashMap, HashSet};
use model::meta::Object;
use model::traffic::{DestinationRule, HttpRouteResource, Service, ServiceEntry};
use model::virtual_service::{Destination, VirtualService};
use model::{Kind, Mesh, Node, ObjectRef, Value};
use rayon::prelude::*;
use std::sync::{Arc, OnceLock};

/// What a host name stands for.
#[derive(Debug, Clone, Copy)]
pub enum Host<'a> {
    /// A Service of the cluster.
    Service(&'a Object<Service>),
    /// A host of a ServiceEntry.
    ServiceEntry(&'a Object<ServiceEntry>),
    /// A pattern.
    Wildcard,
    /// A name with dots that is not qualified to the end: Istio takes it literally, so it names nothing.
    /// The Service is the one that was probably meant.
    HalfQualified(&'a Object<Service>),
    /// Nothing that the input holds.
    Unknown,
}

/// An object that an earlier run of this program made.
struct Ours<'a> {
    from: &'a str,
    raw: &'a Node,
}

/// Whether the API server would make `stored` of `written`, wherever they stand and in whatever order their keys
/// are.
fn same(stored: &Node, written: &Node) -> bool {
    match (&stored.value, &written.value) {
        (Value::Seq(x), Value::Seq(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Map(x), Value::Map(y)) => {
            let kept = y
                .iter()
                .all(|e| stored.get(&e.key).is_some_and(|old| same(old, &e.node)));
            kept && x
                .iter()
                .all(|e| written.get(&e.key).is_some() || is_default(&e.key, &e.node))
        }
        (x, y) => x == y,
    }
}

/// Whether an object has all labels of another one; of those that it has beside them, others may have added some.
fn has_labels(stored: &Node, written: &Node) -> bool {
    let labels = ["metadata", "labels"];
    let wanted = written.at(&labels).map_or(&[][..], Node::entries);
    wanted.iter().all(|label| {
        let old = stored.at(&labels).and_then(|old| old.get(&label.key));
        old.is_some_and(|old| old.value == label.node.value)
    })
}

/// What the API server adds to an object that does not say it: defaults in the CRDs of the Gateway API and of Services.
fn is_default(key: &str, value: &Node) -> bool {
    let any_path = |path: &Node| {
        path.get("type").and_then(Node::as_str) == Some("PathPrefix")
            && path.get("value").and_then(Node::as_str) == Some("/")
    };
    match key {
        "group" => value.as_str() == Some(""),
        "kind" => value.as_str() == Some("Service"),
        "weight" => value.value == Value::Int(1),
        "type" => matches!(value.as_str(), Some("Exact" | "ClusterIP")),
        "clusterIP" | "clusterIPs" | "ipFamilies" | "ipFamilyPolicy" => true,
        "protocol" => value.as_str() == Some("TCP"),
        "internalTrafficPolicy" => value.as_str() == Some("Cluster"),
        "sessionAffinity" => value.as_str() == Some("None"),
        "path" => any_path(value),
        "matches" => {
            matches!(value.items(), [only] if only.entries().len() == 1 && only.get("path").is_some_and(any_path))
        }
        _ => false,
    }
}

/// The mesh with the look-ups that converters share.
pub struct Context<'a> {
    /// The mesh.
    pub mesh: &'a Mesh,
    /// What is asked of the conversion.
    pub options: Options,
    /// Who names which host.
    pub claims: Claims,
    /// Who changes objects while they run.
    pub automation: Automation<'a>,
    /// Services for versions that the conversion of routes made; set when it is done.
    pub versions: OnceLock<Versions>,
    destination_rules: HashMap<String, Vec<usize>>,
    namespaces: HashMap<&'a str, &'a Object<()>>,
    destinations: HashMap<String, Vec<usize>>,
    /// VirtualServices without hosts, by namespace and name.
    delegates: HashMap<(&'a str, &'a str), usize>,
    /// Objects whose rules delegate to these.
    roots: HashMap<usize, Vec<usize>>,
    routes: HashMap<(Arc<str>, Arc<str>), Vec<usize>>,
    entry_routes: HashMap<(Arc<str>, Arc<str>), Vec<usize>>,
    entries: HashMap<&'a str, usize>,
    names: HashSet<&'a ObjectRef>,
    ours: HashMap<&'a ObjectRef, Ours<'a>>,
    duplicates: HashSet<&'a ObjectRef>,
}

impl<'a> Context<'a> {
    /// Indexes a mesh.
    #[must_use]
    pub fn new(mesh: &'a Mesh, options: Options) -> Self {
        let (claims, (names, duplicates)) = rayon::join(
            || Claims::of(mesh, |host, namespace| qualify(mesh, host, namespace)),
            || names_of(mesh),
        );
        let mut context = Self {
            mesh,
            options,
            claims,
            automation: Automation::of(mesh),
            versions: OnceLock::new(),
            destination_rules: HashMap::default(),
            namespaces: mesh
                .others_of(&Kind::Namespace)
                .map(|object| (object.name(), object))
                .collect(),
            destinations: HashMap::default(),
            delegates: HashMap::default(),
            roots: HashMap::default(),
            routes: HashMap::default(),
            entry_routes: HashMap::default(),
            entries: HashMap::default(),
            names,
            ours: HashMap::default(),
            duplicates,
        };
        for (index, entry) in mesh.service_entries.iter().enumerate() {
            for host in &entry.spec.hosts {
                context.entries.entry(host).or_insert(index);
            }
        }
        context.index_ours(&mesh.gateways);
        context.index_ours(&mesh.routes);
        context.index_ours(&mesh.authorization_policies);
        context.index_ours(&mesh.request_authentications);
        context.index_ours(&mesh.services);
        context.index_ours(&mesh.destination_rules);
        context.index_ours(&mesh.others);
        context.index_delegates();
        context.index_virtual_services();
        context.index_routes();
        for (index, rule) in mesh.destination_rules.iter().enumerate() {
            let host = context.qualify(&rule.spec.host, rule.namespace());
            context.destination_rules.entry(host).or_default().push(index);
        }
        context
    }

    /// Remembers which objects an earlier run of this program made, and from what.
    fn index_ours<T>(&mut self, objects: &'a [Object<T>]) {
        for object in objects
            .iter()
            .filter(|object| super::is_ours(&object.meta.labels))
        {
            let from = object
                .meta
                .annotations
                .get(super::CONVERTED_FROM)
                .map_or("", String::as_str);
            self.ours.insert(
                &object.id,
                Ours {
                    from,
                    raw: &object.raw,
                },
            );
        }
    }

    fn index_delegates(&mut self) {
        let mesh = self.mesh;
        let all = &mesh.virtual_services;
        for (index, object) in all
            .iter()
            .enumerate()
            .filter(|(_, object)| object.spec.hosts.is_empty())
        {
            self.delegates
                .entry((object.namespace(), object.name()))
                .or_insert(index);
        }
        for (index, root) in all
            .iter()
            .enumerate()
            .filter(|(_, object)| !object.spec.hosts.is_empty())
        {
            for delegate in root.spec.http.iter().filter_map(|rule| rule.delegate.as_ref()) {
                let key = (delegate_namespace(delegate, root), delegate.name.as_str());
                if let Some(&found) = self.delegates.get(&key)
                    && is_visible(self, &all[found], root.namespace())
                {
                    let roots = self.roots.entry(found).or_default();
                    if roots.last() != Some(&index) {
                        roots.push(index);
                    }
                }
            }
        }
    }

    fn index_virtual_services(&mut self) {
        let objects = self.mesh.virtual_services.par_iter().enumerate();
        let hosts: Vec<(usize, HashSet<String>)> = objects
            .filter(|(index, object)| {
                // What a delegate does, its roots do.
                let is_joined = self.roots.contains_key(index);
                object.spec.applies_to_mesh() && !is_joined
            })
            .map(|(index, object)| (index, self.destination_hosts_of(object)))
            .collect();
        for (index, hosts) in hosts {
            for host in hosts {
                self.destinations.entry(host).or_default().push(index);
            }
        }
    }

    fn index_routes(&mut self) {
        for (index, route) in self.mesh.routes.iter().enumerate() {
            for parent in &route.spec.parent_refs {
                let routes = match (parent.group.as_deref(), parent.kind.as_deref()) {
                    (Some("" | "core"), Some("Service")) => &mut self.routes,
                    (Some("networking.istio.io"), Some("ServiceEntry")) => &mut self.entry_routes,
                    _ => continue,
                };
                let namespace = parent.namespace.as_deref().unwrap_or(route.namespace());
                let key = (Arc::from(namespace), Arc::from(parent.name.as_str()));
                let routes = routes.entry(key).or_default();
                // A route may name one parent several times, once per port.
                if routes.last() != Some(&index) {
                    routes.push(index);
                }
            }
        }
    }

    /// The name that Istio makes of a host: short ones get the namespace of the object and the cluster's
    /// domain, all others stay.
    #[must_use]
    pub fn qualify(&self, host: &str, namespace: &str) -> String {
        qualify(self.mesh, host, namespace)
    }

    /// Namespace and name of the Service that a host can only be; `None` for names of other forms.
    #[must_use]
    pub fn service_name(&self, host: &str, namespace: &str) -> Option<(String, String)> {
        let name = self.qualify(host, namespace);
        let (service, namespace) = name
            .strip_suffix(&self.mesh.settings.cluster_domain)?
            .strip_suffix(".svc.")?
            .split_once('.')?;
        let is_name = |part: &str| super::virtual_service::backend::is_dns_label(part);
        (is_name(service) && is_name(namespace)).then(|| (namespace.to_owned(), service.to_owned()))
    }

    /// What a host of an object in `namespace` stands for.
    #[must_use]
    pub fn host(&self, host: &str, namespace: &str) -> Host<'a> {
        if host.contains('*') {
            return Host::Wildcard;
        }
        let name = self.qualify(host, namespace);
        if let Some((namespace, service)) = self.service_name(host, namespace)
            && let Some(found) = self.mesh.service(&namespace, &service)
        {
            return Host::Service(found);
        }
        if let Some(&index) = self.entries.get(name.as_str()) {
            return Host::ServiceEntry(&self.mesh.service_entries[index]);
        }
        let half = name.strip_suffix(".svc").unwrap_or(&name).split_once('.');
        match half.and_then(|(service, namespace)| self.mesh.service(namespace, service)) {
            Some(meant) => Host::HalfQualified(meant),
            None => Host::Unknown,
        }
    }

    /// The qualified name of a Service.
    #[must_use]
    pub fn service_host(&self, service: &Object<Service>) -> String {
        format!(
            "{}.{}.svc.{}",
            service.name(),
            service.namespace(),
            self.mesh.settings.cluster_domain
        )
    }

    /// The VirtualServices for sidecars that name a host, exactly or by a pattern.
    pub fn claimants(&self, host: &str) -> impl Iterator<Item = &'a Object<VirtualService>> {
        let objects: Vec<Index> = self.claims.all(host);
        objects
            .into_iter()
            .map(|index| &self.mesh.virtual_services[index])
    }

    /// The DestinationRules that name a host, not by a pattern.
    pub fn destination_rules_of(&self, host: &str) -> impl Iterator<Item = &'a Object<DestinationRule>> {
        self.destination_rules
            .get(host)
            .into_iter()
            .flatten()
            .map(|&index| &self.mesh.destination_rules[index])
    }

    /// The waypoint that requests for a namespace pass.
    #[must_use]
    pub fn bound_in(&self, namespace: &'a str) -> Bound<'a> {
        match self.namespaces.get(namespace) {
            Some(object) => of_labels(&object.meta.labels, namespace).unwrap_or(Bound::Unlabelled),
            None => Bound::Unknown,
        }
    }

    /// The waypoint that requests for an object with an address of its own pass; its own label comes first.
    #[must_use]
    pub fn bound<T>(&self, object: &'a Object<T>) -> Bound<'a> {
        of_labels(&object.meta.labels, object.namespace())
            .unwrap_or_else(|| self.bound_in(object.namespace()))
    }

    /// The VirtualServices for sidecars that send requests to a host.
    pub fn routers_to(&self, host: &str) -> impl Iterator<Item = &'a Object<VirtualService>> {
        self.destinations
            .get(host)
            .into_iter()
            .flatten()
            .map(|&index| &self.mesh.virtual_services[index])
    }

    /// A VirtualService without hosts, to whose rules others delegate.
    #[must_use]
    pub fn delegate(&self, namespace: &str, name: &str) -> Option<&'a Object<VirtualService>> {
        let index = self.delegates.get(&(namespace, name))?;
        self.mesh.virtual_services.get(*index)
    }

    /// The VirtualServices with rules that delegate to this one and may see it.
    pub fn roots_of(
        &self,
        delegate: &Object<VirtualService>,
    ) -> impl Iterator<Item = &'a Object<VirtualService>> {
        let index = self.delegates.get(&(delegate.namespace(), delegate.name()));
        let roots = index.and_then(|index| self.roots.get(index));
        roots
            .into_iter()
            .flatten()
            .map(|&index| &self.mesh.virtual_services[index])
    }

    /// The qualified names of all hosts that a VirtualService sends requests or copies of them to, those of its
    /// delegates among them.
    #[must_use]
    pub fn destination_hosts_of(&self, object: &Object<VirtualService>) -> HashSet<String> {
        let mut hosts: HashSet<String> = destination_hosts(&object.spec)
            .map(|host| self.qualify(host, object.namespace()))
            .collect();
        for delegate in object.spec.http.iter().filter_map(|rule| rule.delegate.as_ref()) {
            let found = self.delegate(delegate_namespace(delegate, object), &delegate.name);
            if let Some(found) = found.filter(|found| is_visible(self, found, object.namespace())) {
                let theirs = destination_hosts(&found.spec);
                hosts.extend(theirs.map(|host| self.qualify(host, found.namespace())));
            }
        }
        hosts
    }

    /// Routes of the Gateway API that are attached to a Service.
    pub fn routes_of(
        &self,
        service: &Object<Service>,
    ) -> impl Iterator<Item = &'a Object<HttpRouteResource>> {
        let key = (Arc::from(service.namespace()), Arc::from(service.name()));
        self.routes
            .get(&key)
            .into_iter()
            .flatten()
            .map(|&index| &self.mesh.routes[index])
    }

    /// Routes of the Gateway API that are attached to a ServiceEntry.
    pub fn routes_of_entry(
        &self,
        entry: &Object<ServiceEntry>,
    ) -> impl Iterator<Item = &'a Object<HttpRouteResource>> {
        let key = (Arc::from(entry.namespace()), Arc::from(entry.name()));
        self.entry_routes
            .get(&key)
            .into_iter()
            .flatten()
            .map(|&index| &self.mesh.routes[index])
    }

    /// Whether the object stands in the input more than once.
    #[must_use]
    pub fn is_duplicate(&self, id: &ObjectRef) -> bool {
        self.duplicates.contains(id)
    }

    /// Whether the object stands in the input.
    #[must_use]
    pub fn is_known(&self, id: &ObjectRef) -> bool {
        self.names.contains(id)
    }

    /// Whether an earlier run made the very same object.
    #[must_use]
    pub fn exists(&self, change: &Change) -> bool {
        let Some(ours) = self.ours.get(&change.id) else {
            return false;
        };
        let new = change.after.to_node();
        let spec =
            matches!((ours.raw.get("spec"), new.get("spec")), (Some(old), Some(new)) if same(old, new));
        spec && has_labels(ours.raw, &new)
    }

    /// A name for a new object made from `from`: `base`, or with a number where that is taken by an object
    /// that an earlier run did not make from the same one.
    #[must_use]
    pub fn free_name(&self, namespace: &str, kind: &Kind, base: &str, from: &ObjectRef) -> FreeName {
        let from = from.to_string();
        let mut candidates = names::numbered(namespace, kind, base).enumerate();
        let free = candidates.find(|(_, candidate)| self.is_free(candidate, &from));
        let (number, id) = free.unwrap_or_else(|| (0, names::id(namespace, kind, base)));
        FreeName {
            instead_of: (number > 0).then(|| base.into()),
            id,
        }
    }

    /// Whether a name can be given to an object made from `from`: nothing has it, or an earlier run gave it to the same.
    #[must_use]
    pub fn is_free(&self, candidate: &ObjectRef, from: &str) -> bool {
        match self.ours.get(candidate) {
            Some(ours) => ours.from == from,
            None => !self.names.contains(candidate),
        }
    }
}

/// All names in a mesh, and those that stand in it more than once.
fn names_of(mesh: &Mesh) -> (HashSet<&ObjectRef>, HashSet<&ObjectRef>) {
    let mut names = HashSet::default();
    let repeated = mesh.ids().filter(|id| !names.insert(*id)).collect();
    (names, repeated)
}

/// The name that Istio makes of a host: short ones get the namespace of the object and the cluster's domain, all others
/// stay.
fn qualify(mesh: &Mesh, host: &str, namespace: &str) -> String {
    if host.contains('.') || host.starts_with('*') {
        host.trim_end_matches('.').to_lowercase()
    } else {
        let host = host.to_lowercase();
        format!("{host}.{namespace}.svc.{}", mesh.settings.cluster_domain)
    }
}

/// The hosts that a VirtualService sends requests or copies of them to, as written.
pub fn destination_hosts(service: &VirtualService) -> impl Iterator<Item = &str> {
    destinations(service).map(|destination| destination.host.as_str())
}

/// The destinations of a VirtualService, those of copies among them.
pub fn destinations(service: &VirtualService) -> impl Iterator<Item = &Destination> {
    let http = service.http.iter().flat_map(|rule| {
        let routes = rule.route.iter().map(|route| &route.destination);
        let mirrors = rule.mirror.as_deref().into_iter();
        routes
            .chain(mirrors)
            .chain(rule.mirrors.iter().map(|mirror| &mirror.destination))
    });
    let tcp = service.tcp.iter().flat_map(|rule| &rule.route);
    let tls = service.tls.iter().flat_map(|rule| &rule.route);
    http.chain(tcp.chain(tls).map(|route| &route.destination))
}
