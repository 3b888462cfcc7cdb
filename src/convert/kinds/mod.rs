//! All kinds but VirtualService and the policies on requests: what becomes of each, one file per kind.

mod attach;
mod behind;
mod destination_rule;
mod envoy_filter;
mod extension;
mod istio_gateway;
mod mesh_configuration;
mod peer_authentication;
mod proxy_config;
mod service_entry;
mod sidecar;
mod telemetry;
mod traffic_policy;
mod virtual_machine;
mod waypoint;

pub use attach::selector;
pub use destination_rule::read_at_waypoints;
pub use waypoint::has_address;

use crate::convert::assumed::is_assumed;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use crate::convert::{Disposition, Sink};
use model::{FieldPath, Kind, Node, Object};

type Converter = fn(&Context<'_>, &mut Sink);

/// The kinds about which there is something to say, each with what says it.
const KINDS: &[(&[Kind], Converter)] = &[
    (&[Kind::DestinationRule], destination_rule::convert_all),
    (&[Kind::ServiceEntry], service_entry::convert_all),
    (&[Kind::IstioGateway], istio_gateway::convert_all),
    (&[Kind::PeerAuthentication], peer_authentication::convert_all),
    (&[Kind::Sidecar], sidecar::convert_all),
    (&[Kind::EnvoyFilter], envoy_filter::convert_all),
    (
        &[Kind::WasmPlugin, Kind::TrafficExtension],
        extension::convert_all,
    ),
    (&[Kind::Telemetry], telemetry::convert_all),
    (&[Kind::ProxyConfig], proxy_config::convert_all),
    (
        &[Kind::WorkloadEntry, Kind::WorkloadGroup],
        virtual_machine::convert_all,
    ),
    (
        &[Kind::ConfigMap, Kind::IstioOperator, Kind::SailIstio],
        mesh_configuration::convert_all,
    ),
];

/// Kinds of the mesh that need nothing.
const READ_AS_THEY_ARE: &[Kind] = &[
    Kind::SailIstioCni,
    Kind::SailZtunnel,
    Kind::GatewayClass,
    Kind::ReferenceGrant,
    Kind::BackendTlsPolicy,
    Kind::Namespace,
    Kind::NetworkPolicy,
];

/// Says what becomes of every object that no other converter takes.
pub fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    for (_, convert) in KINDS {
        convert(context, sink);
    }
    let mesh = context.mesh;
    nothing_for_any(sink, &mesh.gateways);
    nothing_for_any(sink, &mesh.routes);
    nothing_for_any(sink, mesh.services.iter().filter(|service| !is_assumed(service)));
    nothing_for_any(sink, &mesh.workloads);
    let is_told = |kind: &Kind| KINDS.iter().any(|(kinds, _)| kinds.contains(kind));
    for object in mesh.others.iter().filter(|object| !is_told(&object.id.kind)) {
        let disposition = if READ_AS_THEY_ARE.contains(&object.id.kind) {
            Disposition::NothingToDo
        } else {
            Disposition::NotOurs
        };
        sink.put(object, disposition, Vec::new(), Vec::new());
    }
}

fn nothing_for_any<'a, T: 'a>(sink: &mut Sink, objects: impl IntoIterator<Item = &'a Object<T>>) {
    for object in objects {
        sink.put(object, Disposition::NothingToDo, Vec::new(), Vec::new());
    }
}

/// What `judge` says of each object of a kind of which only the tree is kept.
fn tell_each<'a>(
    context: &Context<'a>,
    sink: &mut Sink,
    kind: &'static Kind,
    mut judge: impl FnMut(&'a Object<()>, &mut Notes<'a, ()>) -> Disposition,
) {
    for object in context.mesh.others_of(kind) {
        let mut notes = Notes::on(object);
        let disposition = judge(object, &mut notes);
        sink.put(object, disposition, Vec::new(), notes.into_findings());
    }
}

/// A field of an object's `spec`, where it is not null.
fn field<'a, T>(object: &'a Object<T>, keys: &[&str]) -> Option<&'a Node> {
    object
        .raw
        .get("spec")
        .and_then(|spec| spec.at(keys))
        .filter(|node| !node.is_null())
}

/// The texts of a list.
fn texts(node: Option<&Node>) -> Vec<&str> {
    node.map_or(&[][..], Node::items)
        .iter()
        .filter_map(Node::as_str)
        .collect()
}

/// The text under a key.
fn text<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.get(key).and_then(Node::as_str)
}

/// The path of a field of `spec`.
fn spec(keys: &[&str]) -> FieldPath {
    keys.iter().fold(FieldPath::spec(), |path, key| path.key(key))
}

/// Whether an object says itself for which waypoints it is.
pub fn is_targeted<T>(object: &Object<T>) -> bool {
    ["targetRefs", "targetRef"]
        .iter()
        .any(|key| field(object, &[key]).is_some())
}

/// At most three names, and how many more there are.
pub fn some_of<T: std::fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(3).map(|name| name.to_string()).collect();
    match names.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Fields as a reader finds them: in backquotes, with commas.
fn quoted<T: std::fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}
