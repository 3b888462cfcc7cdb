//! Which Services and ServiceEntries need a waypoint: those for which something acts at a waypoint only.

use super::bound::{Bound, of_labels};
use super::found;
use super::reference::{Reference, references_in};
use crate::convert::context::{Context, Host};
use crate::convert::kinds::{has_address, read_at_waypoints};
use crate::convert::policy;
use crate::convert::virtual_service::versions::is_version;
use crate::convert::virtual_service::visibility::Visibility;
use crate::convert::{Change, Conversion, Disposition};
use crate::precheck::{Membership, memberships};
use foldhash::{HashMap, HashSet};
use model::security::is_subset;
use model::traffic::{Service, ServiceEntry};
use model::virtual_service::VirtualService;
use model::{Kind, Node, Object, ObjectRef, Workload};
use rayon::prelude::*;
use std::sync::OnceLock;

/// A Service or ServiceEntry that needs a waypoint.
#[derive(Debug)]
pub struct Target<'a> {
    /// What it is called.
    pub id: &'a ObjectRef,
    /// The waypoint that it has.
    pub bound: Bound<'a>,
    /// Whether that is said by labels of its own, not by those of its namespace.
    pub own_label: bool,
    /// What acts at its waypoint, in order.
    pub acts: Vec<Act<'a>>,
}

/// What an object acts on.
enum On {
    Service(Box<str>, Box<str>),
    Entry(Box<str>, Box<str>),
    /// A host, as an object of this namespace names it.
    Host(Box<str>, Box<str>),
    /// All Services behind the waypoints of a namespace.
    Namespace(Box<str>),
    /// All Services of the mesh.
    Mesh,
}

/// Something that acts at waypoints.
#[derive(Debug, Clone, Copy)]
pub struct Act<'a> {
    /// What it is called.
    pub id: &'a ObjectRef,
    /// The object of the input that it comes from.
    pub from: &'a ObjectRef,
}

impl<'a> Act<'a> {
    /// An object of the input that acts itself.
    fn of(id: &'a ObjectRef) -> Self {
        Self { id, from: id }
    }
}

/// Looks for everything that waypoints are needed for: in what a conversion made, and in what the input has for them.
pub fn find<'a>(context: &Context<'a>, conversion: &'a Conversion) -> Vec<Target<'a>> {
    let mut search = Search {
        context,
        members: OnceLock::new(),
        found: HashMap::default(),
    };
    let made: HashSet<&ObjectRef> = conversion.changes.iter().map(|change| &change.id).collect();
    let places_of = |change: &'a Change| {
        // What ztunnel does as well needs no waypoint.
        if is_done_without(context, &change.from) {
            return (change, Vec::new());
        }
        let mut places = places(&change.id, change.after.references.iter().cloned());
        places.extend(host_of(change));
        (change, places)
    };
    let all: Vec<_> = conversion.changes.par_iter().map(places_of).collect();
    for (change, places) in all {
        let act = Act {
            id: &change.id,
            from: &change.from,
        };
        for on in places {
            search.put(on, act);
        }
    }
    search.read_as_they_are(&made);
    search.kept_routes(conversion);
    let mut found: Vec<Target<'_>> = search.found.into_values().collect();
    found.par_iter_mut().for_each(|target| {
        target.acts.sort_by_key(|act| act.id);
        target.acts.dedup_by_key(|act| act.id);
    });
    found.sort_unstable_by_key(|target| target.id);
    found
}

/// What an object acts on at waypoints, by its parents or targets.
fn places(id: &ObjectRef, references: impl IntoIterator<Item = Reference>) -> Vec<On> {
    let is_route = match id.kind {
        Kind::HttpRoute | Kind::GrpcRoute | Kind::TcpRoute | Kind::TlsRoute => true,
        Kind::AuthorizationPolicy
        | Kind::RequestAuthentication
        | Kind::WasmPlugin
        | Kind::TrafficExtension
        | Kind::Telemetry => false,
        _ => return Vec::new(),
    };
    let own: Box<str> = id.namespace.as_deref().unwrap_or_default().into();
    let on = |reference: Reference| {
        let Reference {
            kind,
            namespace,
            name,
        } = reference;
        let namespace = namespace.unwrap_or_else(|| own.clone());
        match &*kind {
            "Service" => Some(On::Service(namespace, name)),
            "ServiceEntry" => Some(On::Entry(namespace, name)),
            // As a parent it is another matter than as a target.
            "Gateway" if !is_route => Some(On::Namespace(namespace)),
            "GatewayClass" => Some(On::Mesh),
            _ => None,
        }
    };
    references.into_iter().filter_map(on).collect()
}

/// The host of a DestinationRule that is written.
fn host_of(change: &Change) -> Option<On> {
    if change.id.kind != Kind::DestinationRule {
        return None;
    }
    let namespace = change.id.namespace.as_deref().unwrap_or_default();
    let rule = change.after.to_node();
    let host = rule.at(&["spec", "host"]).and_then(Node::as_str)?;
    Some(On::Host(host.into(), namespace.into()))
}

/// The Services to which a policy, an extension or a Telemetry of the input is attached.
pub fn targets_of(of: &ObjectRef, object: &Node) -> Vec<ObjectRef> {
    let service = |on| match on {
        On::Service(namespace, name) => Some(id(Kind::Service, namespace, name)),
        _ => None,
    };
    places(of, references_in(object))
        .into_iter()
        .filter_map(service)
        .collect()
}

fn id(kind: Kind, namespace: Box<str>, name: Box<str>) -> ObjectRef {
    ObjectRef {
        namespace: Some(namespace.into()),
        kind,
        name: name.into(),
    }
}

/// Whether ztunnel does what an object says, so that its copy is there only for Services that need a waypoint anyway.
fn is_done_without(context: &Context<'_>, from: &ObjectRef) -> bool {
    from.kind == Kind::AuthorizationPolicy
        && found(&context.mesh.authorization_policies, from)
            .is_some_and(|policy| !policy::needs_waypoint(&policy.spec))
}

struct Search<'c, 'a> {
    context: &'c Context<'a>,
    members: OnceLock<Vec<(&'a Object<Workload>, Membership)>>,
    found: HashMap<&'a ObjectRef, Target<'a>>,
}

impl<'a> Search<'_, 'a> {
    fn add<T>(&mut self, object: &'a Object<T>, act: Act<'a>) {
        let bound = self.context.bound(object);
        let target = self.found.entry(&object.id).or_insert_with(|| Target {
            id: &object.id,
            bound,
            own_label: of_labels(&object.meta.labels, object.namespace()).is_some(),
            acts: Vec::new(),
        });
        target.acts.push(act);
    }

    /// Nothing comes between the clients and the pods of a Service without address. One that was made of a subset goes with
    /// the Service that has it.
    fn service(&mut self, service: &'a Object<Service>, act: Act<'a>) {
        if !service.spec.is_headless() && !service.spec.is_external_name() && !is_version(service) {
            self.add(service, act);
        }
    }

    fn entry(&mut self, entry: &'a Object<ServiceEntry>, act: Act<'a>) {
        if has_address(&entry.spec) {
            self.add(entry, act);
        }
    }

    fn host(&mut self, host: &str, namespace: &str, act: Act<'a>) {
        match self.context.host(host, namespace) {
            Host::Service(service) => self.service(service, act),
            Host::ServiceEntry(entry) => self.entry(entry, act),
            Host::Wildcard | Host::HalfQualified(_) | Host::Unknown => {}
        }
    }

    fn put(&mut self, on: On, act: Act<'a>) {
        let mesh = self.context.mesh;
        match on {
            On::Service(namespace, name) => {
                if let Some(service) = mesh.service(&namespace, &name) {
                    self.service(service, act);
                }
            }
            On::Entry(namespace, name) => {
                let id = id(Kind::ServiceEntry, namespace, name);
                if let Some(entry) = found(&mesh.service_entries, &id) {
                    self.entry(entry, act);
                }
            }
            On::Host(host, namespace) => self.host(&host, &namespace, act),
            On::Namespace(namespace) => {
                self.members_of(mesh.services_in(&namespace), act);
            }
            On::Mesh => {
                let root = mesh.settings.root_namespace.as_str();
                let services = mesh.services.iter();
                self.members_of(services.filter(|service| service.namespace() != root), act);
            }
        }
    }

    fn members_of(&mut self, services: impl Iterator<Item = &'a Object<Service>>, act: Act<'a>) {
        for service in services {
            if self.may_be_member(service) {
                self.service(service, act);
            }
        }
    }

    /// Whether pods of the mesh that are no gateways may be behind a Service.
    fn may_be_member(&self, service: &Object<Service>) -> bool {
        let mesh = self.context.mesh;
        let members = self
            .members
            .get_or_init(|| mesh.workloads.iter().zip(memberships(mesh)).collect());
        if service.spec.selector.is_empty() {
            return false;
        }
        let first = members.partition_point(|(workload, _)| workload.namespace() < service.namespace());
        let mut behind = members
            .get(first..)
            .unwrap_or_default()
            .iter()
            .take_while(|(workload, _)| workload.namespace() == service.namespace())
            .filter(|(workload, _)| {
                is_subset(&service.spec.selector, &workload.spec.template.metadata.labels)
            })
            .map(|(_, membership)| membership)
            .peekable();
        if behind.peek().is_none() {
            return !mesh.coverage.is_cluster();
        }
        behind.any(|member| !member.gateway && (member.meshed || !member.namespace_known))
    }

    /// What the input has for waypoints and is not made anew, and DestinationRules, which waypoints read as sidecars did.
    fn read_as_they_are(&mut self, made: &HashSet<&ObjectRef>) {
        let mesh = self.context.mesh;
        let routes = mesh.routes.iter().map(|object| (&object.id, &object.raw));
        let policies = mesh.authorization_policies.iter();
        let policies = policies.map(|object| (&object.id, &object.raw));
        let tokens = mesh.request_authentications.iter();
        let tokens = tokens.map(|object| (&object.id, &object.raw));
        let others = mesh.others.iter().map(|object| (&object.id, &object.raw));
        let objects = routes.chain(policies).chain(tokens).chain(others);
        for (id, raw) in objects.filter(|(id, _)| !made.contains(id)) {
            let act = Act::of(id);
            // Those for a whole waypoint count where it is.
            let places = places(id, references_in(raw)).into_iter();
            for on in places.filter(|on| matches!(on, On::Service(..) | On::Entry(..))) {
                self.put(on, act);
            }
        }
        for (id, hosts) in read_at_waypoints(self.context) {
            for host in hosts {
                self.host(&host, "", Act::of(id));
            }
        }
    }

    /// VirtualServices that stay, where the waypoint of the host sees them.
    fn kept_routes(&mut self, conversion: &Conversion) {
        let kept: HashSet<&ObjectRef> = conversion
            .outcomes
            .iter()
            .filter(|outcome| {
                outcome.disposition == Disposition::Kept && outcome.id.kind == Kind::VirtualService
            })
            .map(|outcome| &outcome.id)
            .collect();
        let mesh = self.context.mesh;
        for object in mesh.virtual_services.iter().filter(|object| {
            kept.contains(&object.id)
                && object.spec.applies_to_mesh()
                && Visibility::of(object, &mesh.settings).reaches(object.namespace())
        }) {
            self.kept_route(object);
        }
    }

    fn kept_route(&mut self, object: &'a Object<VirtualService>) {
        let (context, own) = (self.context, object.namespace());
        let act = Act::of(&object.id);
        for host in &object.spec.hosts {
            match context.host(host, own) {
                Host::Service(service) if service.namespace() == own => self.service(service, act),
                Host::ServiceEntry(entry) if entry.namespace() == own => self.entry(entry, act),
                Host::Wildcard => {
                    let pattern = context.qualify(host, own);
                    let suffix = pattern.trim_start_matches('*');
                    for service in context.mesh.services_in(own) {
                        if context.service_host(service).ends_with(suffix) {
                            self.service(service, act);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}
