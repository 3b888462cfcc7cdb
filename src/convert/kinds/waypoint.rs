//! Which waypoint stands before a host, and in which namespace it looks for rules.

use crate::convert::context::{Context, Host};
use crate::convert::waypoint::Bound;
use model::Object;
use model::traffic::{Service, ServiceEntry};

/// What stands before a host in ambient mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served<'a> {
    /// A waypoint of this namespace: the one of its label, or the one that its own namespace will get.
    From(&'a str),
    /// Nothing that reads rules, for the reason that is given as a clause.
    Nothing(&'static str),
}

/// A host that clients dial.
#[derive(Debug, Clone, Copy)]
pub struct Dialled<'a> {
    /// The namespace in which the host is defined.
    pub namespace: &'a str,
    /// What stands before it.
    pub served: Served<'a>,
    /// Namespaces to which the host is visible, as its own object says it; empty for all.
    exports: Exports<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Exports<'a> {
    Unsaid,
    /// Joined by commas: an annotation of a Service.
    Text(&'a str),
    List(&'a [String]),
}

impl Dialled<'_> {
    /// Whether the host is visible to one namespace only, and that is this one.
    pub fn is_visible_only_to(&self, namespace: &str) -> bool {
        let own = self.namespace;
        let named = |value: &str| {
            if value == "." {
                own == namespace
            } else {
                value == namespace
            }
        };
        match self.exports {
            Exports::Unsaid => false,
            Exports::Text(text) => {
                !text.trim().is_empty() && text.split(',').all(|value| named(value.trim()))
            }
            Exports::List(values) => !values.is_empty() && values.iter().all(|value| named(value)),
        }
    }
}

/// Whether the hosts of a ServiceEntry have addresses, written or given by Istio, that can lead to a waypoint.
pub fn has_address(entry: &ServiceEntry) -> bool {
    !entry.addresses.is_empty() || !matches!(entry.resolution.as_deref(), None | Some("NONE"))
}

/// The waypoints of a mesh, by the labels of namespaces and objects.
pub struct Waypoints<'a> {
    context: &'a Context<'a>,
}

impl<'a> Waypoints<'a> {
    /// Those of the labels that a mesh has.
    pub fn of(context: &'a Context<'a>) -> Self {
        Self { context }
    }

    /// What stands before a Service.
    pub fn of_service(&self, service: &'a Object<Service>) -> Dialled<'a> {
        let served = if service.spec.is_headless() {
            Served::Nothing("is headless, so clients dial its pods past every waypoint for Services")
        } else if service.spec.is_external_name() {
            Served::Nothing("is only an alias in DNS")
        } else {
            match self.context.bound(service) {
                Bound::Nowhere => Served::Nothing("opts out of waypoints by its label"),
                Bound::To { namespace, .. } => Served::From(namespace),
                Bound::Unlabelled | Bound::Unknown => Served::From(service.namespace()),
            }
        };
        let exports = service.meta.annotations.get("networking.istio.io/exportTo");
        Dialled {
            namespace: service.namespace(),
            served,
            exports: exports.map_or(Exports::Unsaid, |text| Exports::Text(text)),
        }
    }

    /// What stands before the hosts of a ServiceEntry.
    pub fn of_entry(&self, entry: &'a Object<ServiceEntry>) -> Dialled<'a> {
        let internal = entry.spec.location.as_deref() == Some("MESH_INTERNAL");
        let served = match self.context.bound(entry) {
            _ if !has_address(&entry.spec) => {
                Served::Nothing("has no address that ztunnel could send to a waypoint")
            }
            Bound::Nowhere => Served::Nothing("opts out of waypoints by its label"),
            Bound::To { namespace, .. } => Served::From(namespace),
            _ if internal => Served::From(entry.namespace()),
            _ => Served::Nothing("is outside of the mesh and has no egress waypoint"),
        };
        Dialled {
            namespace: entry.namespace(),
            served,
            exports: match entry.spec.export_to.as_slice() {
                [] => Exports::Unsaid,
                list => Exports::List(list),
            },
        }
    }

    /// The hosts that a host of an object in `namespace` stands for, each with its qualified name; the name alone
    /// tells the namespace where the Service is not in the input.
    pub fn dialled(&self, host: &str, namespace: &str) -> Vec<(String, Dialled<'a>)> {
        let context = self.context;
        match context.host(host, namespace) {
            Host::Service(service) => vec![(context.service_host(service), self.of_service(service))],
            Host::ServiceEntry(entry) => vec![(context.qualify(host, namespace), self.of_entry(entry))],
            Host::Wildcard => self.matching(host),
            Host::HalfQualified(_) | Host::Unknown => Vec::new(),
        }
    }

    fn matching(&self, pattern: &str) -> Vec<(String, Dialled<'a>)> {
        let suffix = pattern.trim_start_matches('*');
        let mesh = self.context.mesh;
        let services = mesh
            .services
            .iter()
            .map(|service| (self.context.service_host(service), self.of_service(service)));
        let entries = mesh.service_entries.iter().flat_map(|entry| {
            let dialled = self.of_entry(entry);
            entry.spec.hosts.iter().map(move |host| (host.clone(), dialled))
        });
        services
            .chain(entries)
            .filter(|(host, _)| host.ends_with(suffix))
            .collect()
    }
}
