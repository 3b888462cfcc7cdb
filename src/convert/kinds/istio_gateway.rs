//! Gateway of Istio: ingress needs no change for ambient mode, but passes waypoints by. What `--ingress` makes of it is
//! worked out elsewhere.

use super::some_of;
use crate::code::Code;
use crate::convert::context::{Context, Host, destination_hosts};
use crate::convert::notes::Notes;
use crate::convert::{Disposition, Sink};
use model::traffic::{IstioGateway, Service};
use model::{FieldPath, Kind, Node, Object, ObjectRef};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Lets ingress gateways send to the waypoint of a Service; on the Service or its namespace.
const INGRESS_USE_WAYPOINT: &str = "istio.io/ingress-use-waypoint";

/// Tells which Services each gateway leads to past their waypoints.
pub fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    let behind = services_by_gateway(context);
    let mut answers = std::mem::take(&mut sink.ingress.gateways).into_iter();
    for object in &context.mesh.istio_gateways {
        let mut notes = Notes::on(object);
        let answer = answers.next();
        let is_converted = answer
            .as_ref()
            .is_some_and(|answer| answer.disposition == Disposition::Converted);
        if is_ingress(&object.spec)
            && let Some(message) = message(behind.get(&object.id), is_converted)
        {
            notes.tell(Code::GatewayPassesWaypoints, &FieldPath::root(), message);
        }
        let (disposition, changes, mut findings) = match answer {
            Some(answer) => (answer.disposition, answer.changes, answer.findings),
            None => (Disposition::NothingToDo, Vec::new(), Vec::new()),
        };
        findings.extend(notes.into_findings());
        sink.put(object, disposition, changes, findings);
    }
}

/// Whether clients come through it, and not other clusters of the mesh.
fn is_ingress(gateway: &IstioGateway) -> bool {
    gateway
        .servers
        .iter()
        .any(|server| server.0.at(&["tls", "mode"]).and_then(Node::as_str) != Some("AUTO_PASSTHROUGH"))
}

fn message(behind: Option<&BTreeSet<&ObjectRef>>, is_converted: bool) -> Option<String> {
    let who = if is_converted {
        "the new Gateway is for the same pods as the old"
    } else {
        "the gateway stays as it is"
    };
    match behind {
        None => Some(format!(
            "{who}; it sends past the waypoints of Services that lack the label `{INGRESS_USE_WAYPOINT}: \"true\"`"
        )),
        Some(unlabelled) if unlabelled.is_empty() => None,
        Some(unlabelled) => Some(format!(
            "{who} and sends past waypoints to {}; policies there do not see its requests unless a Service has the label `{INGRESS_USE_WAYPOINT}: \"true\"`",
            some_of(unlabelled)
        )),
    }
}

/// Services without the label to which VirtualServices of each gateway lead; an empty set where all have it.
fn services_by_gateway<'a>(context: &Context<'a>) -> HashMap<ObjectRef, BTreeSet<&'a ObjectRef>> {
    let namespaces: BTreeMap<&str, bool> = context
        .mesh
        .others_of(&Kind::Namespace)
        .map(|namespace| (namespace.name(), is_labelled(&namespace.meta.labels)))
        .collect();
    let has_label = |service: &Object<Service>| {
        is_labelled(&service.meta.labels) || namespaces.get(service.namespace()).copied().unwrap_or_default()
    };
    let mut found: HashMap<ObjectRef, BTreeSet<&ObjectRef>> = HashMap::new();
    for router in &context.mesh.virtual_services {
        for name in router.spec.gateways.iter().filter(|name| *name != "mesh") {
            let (namespace, name) = name.split_once('/').unwrap_or((router.namespace(), name));
            let gateway = ObjectRef {
                namespace: Some(namespace.into()),
                kind: Kind::IstioGateway,
                name: name.into(),
            };
            for host in destination_hosts(&router.spec) {
                if let Host::Service(service) = context.host(host, router.namespace()) {
                    let behind = found.entry(gateway.clone()).or_default();
                    if !has_label(service) {
                        behind.insert(&service.id);
                    }
                }
            }
        }
    }
    found
}

fn is_labelled(labels: &BTreeMap<String, String>) -> bool {
    labels
        .get(INGRESS_USE_WAYPOINT)
        .is_some_and(|value| value == "true")
}
