//! Which VirtualServices a gateway reads, for which hosts at which listeners.

use super::hosts::{covers, narrower};
use super::listeners::Listener;
use super::servers::Serves;
use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use crate::convert::virtual_service::layer_4;
use crate::convert::virtual_service::place::{Place, gateway_name};
use crate::convert::virtual_service::visibility::Visibility;
use model::virtual_service::VirtualService;
use model::{FieldPath, Object};
use std::collections::{BTreeMap, BTreeSet};

type VsNotes<'a> = Notes<'a, VirtualService>;

/// A VirtualService at a gateway.
#[derive(Debug, Clone, Default)]
pub struct Claim {
    /// By listener for HTTP or for TLS that goes through: the host names, each as narrow as both say.
    pub hosts: BTreeMap<usize, BTreeSet<String>>,
    /// Listeners for TCP whose hosts select it.
    pub tcp: BTreeSet<usize>,
    /// Host names that a listener which does not take this namespace has for itself.
    pub hidden: BTreeSet<String>,
}

impl Claim {
    /// Whether no listener is for it.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.tcp.is_empty()
    }
}

/// The names of the gateways that an object names, the mesh not among them.
pub fn gateways(object: &Object<VirtualService>) -> BTreeSet<String> {
    let named = object.spec.gateways.iter().filter(|name| *name != "mesh");
    named.map(|name| gateway_name(name, object.namespace())).collect()
}

/// What an object has to do with these listeners.
pub fn of(context: &Context<'_>, object: &Object<VirtualService>, listeners: &[Listener]) -> Claim {
    let namespace = object.namespace();
    let hosts: BTreeSet<String> = object
        .spec
        .hosts
        .iter()
        .map(|host| context.qualify(host, namespace))
        .collect();
    let mut claim = Claim::default();
    for (index, listener) in listeners.iter().enumerate() {
        if listener.serves.is_tcp() {
            if selects_tcp(listener, &hosts, namespace) {
                claim.tcp.insert(index);
            }
            continue;
        }
        if !listener.namespaces.admit(namespace) {
            continue;
        }
        for host in &hosts {
            let Some(meeting) = narrower(host, &listener.host) else {
                continue;
            };
            let closer = |other: &&Listener| {
                other.port == listener.port
                    && other.host != listener.host
                    && covers(&listener.host, &other.host)
                    && covers(&other.host, meeting)
            };
            let mut closer = listeners.iter().filter(closer).peekable();
            if closer.peek().is_none() {
                claim.hosts.entry(index).or_default().insert(meeting.to_owned());
            } else if !closer.any(|other| other.namespaces.admit(namespace)) {
                claim.hidden.insert(meeting.to_owned());
            }
        }
    }
    claim
}

/// For TCP the hosts only say which objects are for a server.
fn selects_tcp(listener: &Listener, hosts: &BTreeSet<String>, namespace: &str) -> bool {
    let own = [(listener.namespaces.clone(), listener.host.clone())];
    let selects = if listener.selects.is_empty() {
        own.as_slice()
    } else {
        &listener.selects
    };
    selects.iter().any(|(namespaces, pattern)| {
        namespaces.admit(namespace) && hosts.iter().any(|host| narrower(pattern, host).is_some())
    })
}

/// Whether the pods of a gateway see an object, and would see routes beside it.
pub fn is_seen(
    context: &Context<'_>,
    object: &Object<VirtualService>,
    pods: &str,
    notes: &mut VsNotes<'_>,
) -> bool {
    let settings = &context.mesh.settings;
    let path = FieldPath::spec().key("exportTo");
    if !Visibility::of(object, settings).reaches(pods) {
        let message =
            format!("the gateway's pods in `{pods}` do not see the object, so it has no effect there");
        notes.tell(Code::IngressNotBound, &path, message);
        return false;
    }
    if !Visibility::of_routes_in(object.namespace(), settings).reaches(pods) {
        let message = format!(
            "by `defaultVirtualServiceExportTo` of the mesh, routes of `{}` are not visible to the gateway's pods in `{pods}`",
            object.namespace()
        );
        notes.keep(Code::IngressVisibility, &path, message);
    }
    true
}

/// What one object takes for itself at one port of the pods.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Taken {
    /// Requests for a host.
    Http(u16, String),
    /// Connections with a server name.
    Sni(u16, String),
    /// All connections of a server.
    Tcp(u16, String),
}

impl Taken {
    /// What is taken, for readers.
    pub fn shown(&self) -> String {
        match self {
            Self::Http(port, host) | Self::Sni(port, host) => format!("`{host}` at port {port}"),
            Self::Tcp(port, _) => format!("TCP at port {port}"),
        }
    }
}

/// Everything that an object takes at the listeners of a gateway.
pub fn taken(
    object: &Object<VirtualService>,
    claim: &Claim,
    listeners: &[Listener],
    place: Place<'_>,
) -> BTreeSet<Taken> {
    let mut taken = BTreeSet::new();
    for (index, hosts) in &claim.hosts {
        let Some(listener) = listeners.get(*index) else {
            continue;
        };
        match listener.serves {
            // Everything is sent to HTTPS, whoever has rules.
            Serves::Http { redirect: true } => {}
            Serves::Passthrough => {
                let names = layer_4::server_names(object, place, listener.port);
                taken.extend(names.map(|name| Taken::Sni(listener.port, name.to_lowercase())));
            }
            _ if object.spec.http.is_empty() => {}
            _ => taken.extend(hosts.iter().map(|host| Taken::Http(listener.port, host.clone()))),
        }
    }
    for selected in claim.tcp.iter().filter_map(|index| listeners.get(*index)) {
        // One object is for all connections of a server, whichever of its hosts selected it.
        let of_server = listeners.iter().filter(|other| other.server == selected.server);
        if layer_4::has_tcp(object, place, selected.port) {
            taken.extend(of_server.map(|listener| Taken::Tcp(listener.port, listener.host.clone())));
        }
    }
    taken
}
