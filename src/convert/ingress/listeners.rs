//! Listeners of the new Gateway: one for each port and host of the old servers.

use super::hosts::{self, Namespaces};
use super::servers::{Server, Serves};
use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use crate::convert::virtual_service::backend::is_precise_hostname;
use model::traffic::IstioGateway;
use model::{FieldPath, Kind, Object};
use serde_json::{Map, Value as Json, json};

type GatewayNotes<'a> = Notes<'a, IstioGateway>;

/// `Gateway.spec.listeners`.
const MAX_LISTENERS: usize = 64;

/// A listener, for one host.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Its name, to which routes refer (`sectionName`).
    pub name: String,
    /// The port of the Service.
    pub port: u16,
    /// The host, `*` for all.
    pub host: String,
    /// The namespaces whose routes it takes.
    pub namespaces: Namespaces,
    /// What it does.
    pub serves: Serves,
    /// The server that it is made of, by its place among those that could be read.
    pub server: usize,
    /// Of a server for TCP, which looks at no host: the hosts that say which VirtualServices are for it.
    pub selects: Vec<(Namespaces, String)>,
    /// The place of the server.
    pub path: FieldPath,
}

/// The listeners for all servers of a Gateway, and what does not go together.
pub fn of(object: &Object<IstioGateway>, servers: &[Server], notes: &mut GatewayNotes<'_>) -> Vec<Listener> {
    let mut listeners: Vec<Listener> = Vec::new();
    for (index, server) in servers.iter().enumerate() {
        let mut found: Vec<(Namespaces, String)> = Vec::new();
        for (place, written) in server.hosts.iter().enumerate() {
            let path = server.path.key("hosts").index(place);
            let Some((namespaces, host)) = hosts::of_server(written, object.namespace()) else {
                notes.tell(
                    Code::NoEffect,
                    &path,
                    format!("`{written}` is for no namespace and is left out"),
                );
                continue;
            };
            if host != "*" && !hosts::is_hostname(&host) {
                let message = format!("`{host}` is no host name that a listener can have");
                notes.keep(Code::IngressHost, &path, message);
            }
            match found.iter_mut().find(|(_, known)| *known == host) {
                Some((known, _)) => known.join(&namespaces),
                None => found.push((namespaces, host)),
            }
        }
        let base = base_name(server);
        if server.serves == Serves::Tcp {
            let all = found.iter().map(|(namespaces, _)| namespaces.clone());
            let all = all.reduce(|mut all, one| {
                all.join(&one);
                all
            });
            let Some(namespaces) = all else { continue };
            let mut listener = listener(&base, index, server, (namespaces, "*".to_owned()), &listeners);
            listener.selects = found;
            listeners.push(listener);
            continue;
        }
        let several = found.len() > 1;
        for (number, host) in found.into_iter().enumerate() {
            let name = if several {
                format!("{base}-{}", number + 1)
            } else {
                base.clone()
            };
            let new = listener(&name, index, server, host, &listeners);
            listeners.push(new);
        }
    }
    check(&listeners, notes);
    listeners
}

fn listener(
    base: &str,
    index: usize,
    server: &Server,
    (namespaces, host): (Namespaces, String),
    known: &[Listener],
) -> Listener {
    let is_free = |name: &String| known.iter().all(|other| other.name != *name);
    let numbered = (2..).map(|number| format!("{base}-{number}"));
    let name = std::iter::once(base.to_owned()).chain(numbered).find(is_free);
    Listener {
        name: name.unwrap_or_default(),
        port: server.port,
        host,
        namespaces,
        serves: server.serves.clone(),
        server: index,
        selects: Vec::new(),
        path: server.path.clone(),
    }
}

/// `SectionName` of the Gateway API: the name of the server, else of its port, else of what it serves.
fn base_name(server: &Server) -> String {
    let fits = |name: &String| name.len() <= 200 && is_precise_hostname(name);
    let written = server
        .names
        .iter()
        .map(|name| name.to_ascii_lowercase())
        .find(fits);
    written.unwrap_or_else(|| {
        let kind = match server.serves {
            Serves::Http { .. } => "http",
            Serves::Https(_) => "https",
            Serves::Tcp => "tcp",
            Serves::Tls(_) | Serves::Passthrough => "tls",
        };
        format!("{kind}-{}", server.port)
    })
}

/// Listeners of one port speak alike and differ by host. Of old servers that do not, Istio leaves out the later one.
fn check(listeners: &[Listener], notes: &mut GatewayNotes<'_>) {
    for (index, listener) in listeners.iter().enumerate() {
        let earlier = || {
            listeners[..index]
                .iter()
                .filter(|other| other.port == listener.port)
        };
        let clashes = earlier().find(|other| !listener.speaks_like(other) || other.host == listener.host);
        if let Some(other) = clashes {
            let message = format!(
                "this server and another at port {} ({}) are for the same host or speak differently, which listeners of one Gateway cannot",
                listener.port, other.path
            );
            notes.keep(Code::IngressServersClash, &listener.path, message);
        }
    }
    if listeners.len() > MAX_LISTENERS {
        let message = format!(
            "the hosts need {} listeners, and a Gateway takes {MAX_LISTENERS}",
            listeners.len()
        );
        notes.keep(Code::IngressHost, &FieldPath::spec().key("servers"), message);
    }
    tell_split(listeners, notes);
}

/// A server with several hosts was one list of names for all its connections; listeners are apart.
fn tell_split(listeners: &[Listener], notes: &mut GatewayNotes<'_>) {
    let mut last = None;
    for pair in listeners.windows(2) {
        let (Serves::Https(_), [one, other]) = (&pair[0].serves, pair) else {
            continue;
        };
        if one.server == other.server && last != Some(one.server) {
            last = Some(one.server);
            notes.tell(Code::IngressListenerPerHost, &one.path.key("hosts"), "every host gets a listener of its own: a connection that was opened for one host no longer carries requests for another (a browser may do so where one certificate is for both); these get 404 instead of an answer");
        }
    }
}

/// istiod sees that an old server and a listener are for the same host by the namespaces that both name; of a selector
/// that fits none it makes another text, and then Envoy gets two filter chains for one server name, and refuses both.
pub fn check_namespaces(context: &Context<'_>, listeners: &[Listener], notes: &mut GatewayNotes<'_>) {
    for listener in listeners.iter().filter(|listener| listener.serves.is_tls()) {
        let Namespaces::Only(names) = &listener.namespaces else {
            continue;
        };
        let mut ids = context.mesh.ids();
        let is_known = ids.any(|id| {
            let of_object = id.namespace.as_deref().is_some_and(|own| names.contains(own));
            of_object || (id.kind == Kind::Namespace && names.contains(&*id.name))
        });
        if !is_known {
            let message = format!(
                "`{}` is for namespaces of which the input holds nothing; if there are none, its listener and the old server cannot be beside each other",
                listener.host
            );
            notes.keep(Code::IngressHost, &listener.path.key("hosts"), message);
        }
    }
}

impl Listener {
    /// Whether both can be open at one port.
    fn speaks_like(&self, other: &Self) -> bool {
        match (&self.serves, &other.serves) {
            (Serves::Http { .. }, Serves::Http { .. }) => true,
            (a, b) => a.is_tls() && b.is_tls(),
        }
    }

    /// Whether a listener of another Gateway for the same pods and port takes something from this one. Servers for plain
    /// HTTP are joined, which makes a difference where one of them redirects.
    pub fn clashes_with(&self, other: &Self) -> bool {
        let redirects = |listener: &Self| listener.serves == Serves::Http { redirect: true };
        let is_joined = matches!(
            (&self.serves, &other.serves),
            (Serves::Http { .. }, Serves::Http { .. })
        ) && redirects(self) == redirects(other);
        !self.speaks_like(other) || (self.host == other.host && !is_joined)
    }

    /// As it stands in a Gateway in `own`.
    pub fn to_json(&self, own: &str) -> Json {
        let mut fields = Map::new();
        fields.insert("name".into(), json!(self.name));
        if self.host != "*" {
            fields.insert("hostname".into(), json!(self.host));
        }
        fields.insert("port".into(), json!(self.port));
        let (protocol, tls) = match &self.serves {
            Serves::Http { .. } => ("HTTP", None),
            Serves::Https(terminate) => ("HTTPS", Some(terminate.to_json())),
            Serves::Tcp => ("TCP", None),
            Serves::Tls(terminate) => ("TLS", Some(terminate.to_json())),
            Serves::Passthrough => ("TLS", Some(json!({ "mode": "Passthrough" }))),
        };
        fields.insert("protocol".into(), json!(protocol));
        if let Some(tls) = tls {
            fields.insert("tls".into(), tls);
        }
        // Only the redirect is attached to a listener that sends everything to HTTPS.
        let namespaces = match self.serves {
            Serves::Http { redirect: true } => json!({ "from": "Same" }),
            _ => self.namespaces.to_json(own),
        };
        fields.insert("allowedRoutes".into(), json!({ "namespaces": namespaces }));
        Json::Object(fields)
    }
}
