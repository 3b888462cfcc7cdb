//! Sidecar: nothing in ambient mode reads it, so what it hid, chose, opened or limited ends.

use super::mesh_configuration::is_registry_only;
use super::{field, quoted, some_of, spec, tell_each, text, texts};
use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use crate::convert::{Disposition, Sink};
use model::settings::mesh_configurations;
use model::{FieldPath, Kind, Node, Object, ObjectRef};
use std::collections::BTreeMap;

type SidecarNotes<'a> = Notes<'a, ()>;

/// Tells of every Sidecar what ends with it.
pub fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    if context.mesh.others_of(&Kind::Sidecar).next().is_none() {
        return;
    }
    let contested = contested(context);
    let mesh_blocks = mesh_configurations(context.mesh)
        .first()
        .is_some_and(|configuration| is_registry_only(configuration));
    tell_each(context, sink, &Kind::Sidecar, |object, notes| {
        let before = outbound_policy(object, mesh_blocks, notes);
        let listeners = egress_listeners(object, notes);
        let inbound = inbound(object, notes);
        let scope = Scope::of(object);
        let chooses = choices(&scope, &contested, notes);
        if let Some(scope) = &scope {
            let message = format!(
                "it shows only {} to its pods; in ambient mode they know every service",
                quoted(&scope.hosts)
            );
            notes.tell(Code::SidecarKept, &spec(&["egress"]), message);
        } else if !(before || listeners || inbound || chooses) {
            let message = "it hides nothing, chooses nothing and changes no port";
            notes.tell(Code::SidecarNotMissed, &FieldPath::root(), message);
        }
        Disposition::Kept
    });
}

fn outbound_policy(object: &Object<()>, mesh_blocks: bool, notes: &mut SidecarNotes<'_>) -> bool {
    let mode = field(object, &["outboundTrafficPolicy", "mode"]).and_then(Node::as_str);
    let proxied = field(object, &["outboundTrafficPolicy", "egressProxy"]);
    if let Some(proxy) = proxied {
        let host = text(proxy, "host").unwrap_or_default();
        let message = format!("traffic to unknown destinations went to `{host}`; ztunnel passes it through");
        notes.tell(
            Code::EgressProxyEnds,
            &spec(&["outboundTrafficPolicy", "egressProxy"]),
            message,
        );
    }
    // An `outboundTrafficPolicy` without mode is REGISTRY_ONLY, the first word of the enumeration.
    let said = field(object, &["outboundTrafficPolicy"]).is_some();
    let blocks = match mode {
        Some(mode) => mode == "REGISTRY_ONLY",
        None if said => proxied.is_none(),
        None => mesh_blocks && field(object, &["egress"]).is_some(),
    };
    if blocks {
        let (path, message) = if said {
            (
                spec(&["outboundTrafficPolicy"]),
                "REGISTRY_ONLY blocked what the registry does not hold; ztunnel passes it through",
            )
        } else {
            (
                spec(&["egress"]),
                "the mesh is REGISTRY_ONLY, so what `egress` did not name was blocked; ztunnel passes it through",
            )
        };
        notes.tell(Code::RegistryOnlyEnds, &path, message);
    }
    blocks || proxied.is_some()
}

fn egress_listeners(object: &Object<()>, notes: &mut SidecarNotes<'_>) -> bool {
    let mut found = false;
    for (index, listener) in field(object, &["egress"])
        .map_or(&[][..], Node::items)
        .iter()
        .enumerate()
    {
        let own = ["port", "bind", "captureMode"].into_iter().filter(|key| {
            listener
                .get(key)
                .is_some_and(|node| !matches!(node.as_str(), Some("DEFAULT" | "IPTABLES" | "")))
        });
        let fields = quoted(own);
        if !fields.is_empty() {
            found = true;
            let message = format!(
                "the listener with {fields} ends: ztunnel takes outgoing connections as they are dialled, and opens no ports of its own"
            );
            notes.tell(Code::EgressListenerEnds, &spec(&["egress"]).index(index), message);
        }
    }
    found
}

fn inbound(object: &Object<()>, notes: &mut SidecarNotes<'_>) -> bool {
    let mut found = false;
    for (index, listener) in field(object, &["ingress"])
        .map_or(&[][..], Node::items)
        .iter()
        .enumerate()
    {
        let path = spec(&["ingress"]).index(index);
        if let Some((key, message)) = remaps(listener) {
            found = true;
            notes.tell(Code::InboundListenerEnds, &path.key(key), message);
        }
        if listener.get("connectionPool").is_some() {
            found = true;
            limits(&path.key("connectionPool"), notes);
        }
    }
    if field(object, &["inboundConnectionPool"]).is_some() {
        found = true;
        limits(&spec(&["inboundConnectionPool"]), notes);
    }
    found
}

fn limits(path: &FieldPath, notes: &mut SidecarNotes<'_>) {
    let message = "limits at the pod end: neither ztunnel nor the waypoint reads them here";
    notes.tell(Code::InboundLimitsEnd, path, message);
}

/// What a listener for incoming traffic does that ztunnel does not: it delivers to the dialled port at the pod's address.
fn remaps(listener: &Node) -> Option<(&'static str, String)> {
    if listener.get("tls").is_some() {
        return Some((
            "tls",
            "the listener ends TLS before the program; ztunnel hands it on as it comes".to_owned(),
        ));
    }
    let endpoint = text(listener, "defaultEndpoint").filter(|endpoint| !endpoint.is_empty());
    let port = listener
        .at(&["port", "number"])
        .and_then(Node::scalar_text)
        .unwrap_or_default();
    if let Some(endpoint) = endpoint {
        let (address, target) = endpoint.rsplit_once(':').unwrap_or((endpoint, ""));
        let at_pod = matches!(address, "0.0.0.0" | "[::]");
        if at_pod && target == port {
            return None;
        }
        let message = format!(
            "port {port} leads to `{endpoint}`; ztunnel delivers to port {port} at the address of the pod"
        );
        return Some(("defaultEndpoint", message));
    }
    let bind = text(listener, "bind").filter(|bind| !bind.is_empty())?;
    Some((
        "bind",
        format!("port {port} was taken at `{bind}` only; ztunnel delivers at the address of the pod"),
    ))
}

/// What a Sidecar shows to its pods, where that is not everything.
struct Scope<'a> {
    namespace: &'a str,
    hosts: Vec<&'a str>,
}

impl<'a> Scope<'a> {
    fn of(object: &'a Object<()>) -> Option<Self> {
        let listeners = field(object, &["egress"])?.items();
        let hosts: Vec<&str> = listeners
            .iter()
            .flat_map(|listener| texts(listener.get("hosts")))
            .collect();
        let everything = hosts.contains(&"*/*") && !hosts.iter().any(|host| host.starts_with('~'));
        (!hosts.is_empty() && !everything).then(|| Self {
            namespace: object.namespace(),
            hosts,
        })
    }

    /// Whether an object of a namespace that is for a host is within the scope.
    fn shows(&self, namespace: &str, host: &str) -> bool {
        let fits = |pattern: &str| {
            let (wanted, name) = pattern.split_once('/').unwrap_or(("*", pattern));
            let within = match wanted {
                "*" => true,
                "." => namespace == self.namespace,
                other => namespace == other,
            };
            let overlaps = match name.strip_prefix('*') {
                Some(suffix) => host.ends_with(suffix),
                None => {
                    name == host
                        || host
                            .strip_prefix('*')
                            .is_some_and(|suffix| name.ends_with(suffix))
                }
            };
            within && overlaps
        };
        let excluded = |pattern: &&str| {
            pattern
                .strip_prefix('~')
                .is_some_and(|rest| !rest.starts_with('/') && fits(rest))
        };
        self.hosts.iter().any(|host| !host.starts_with('~') && fits(host)) && !self.hosts.iter().any(excluded)
    }
}

/// Hosts for which objects of several namespaces say something, kind by kind.
fn contested<'a>(context: &Context<'a>) -> BTreeMap<(String, &'static str), Vec<&'a ObjectRef>> {
    let mut found: BTreeMap<(String, &'static str), Vec<&ObjectRef>> = BTreeMap::new();
    for router in context
        .mesh
        .virtual_services
        .iter()
        .filter(|router| router.spec.applies_to_mesh())
    {
        for host in &router.spec.hosts {
            let host = context.qualify(host, router.namespace());
            found
                .entry((host, "VirtualServices"))
                .or_default()
                .push(&router.id);
        }
    }
    for entry in &context.mesh.service_entries {
        for host in &entry.spec.hosts {
            found
                .entry((host.clone(), "ServiceEntries"))
                .or_default()
                .push(&entry.id);
        }
    }
    found.retain(|_, ids| {
        let first = ids.first().map(|id| &id.namespace);
        ids.iter().any(|id| Some(&id.namespace) != first)
    });
    found
}

/// Whether the scope decides which of several objects for a host its pods get.
fn choices(
    scope: &Option<Scope<'_>>,
    contested: &BTreeMap<(String, &'static str), Vec<&ObjectRef>>,
    notes: &mut SidecarNotes<'_>,
) -> bool {
    let Some(scope) = scope else { return false };
    let mut chose = false;
    for ((host, kind), ids) in contested {
        let (shown, hidden): (Vec<&ObjectRef>, Vec<&ObjectRef>) = ids
            .iter()
            .copied()
            .partition(|id| scope.shows(id.namespace.as_deref().unwrap_or_default(), host));
        if !shown.is_empty() && !hidden.is_empty() {
            chose = true;
            let message = format!(
                "of the {kind} for `{host}` it shows {} and hides {}; in ambient mode it does not decide",
                some_of(shown),
                some_of(hidden)
            );
            notes.tell(Code::SidecarChooses, &spec(&["egress"]), message);
        }
    }
    chose
}
