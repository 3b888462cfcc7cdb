//! EnvoyFilter: what its patches do, and what does the same for a waypoint.

mod known;

use super::{field, quoted, spec, tell_each, text};
use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use crate::convert::waypoint::gateway::CLASS;
use crate::convert::{Disposition, Sink};
use model::{FieldPath, Kind, Node, Object};
use std::collections::BTreeMap;

type FilterNotes<'a> = Notes<'a, ()>;

/// Tells of every EnvoyFilter what ends with the sidecars.
pub fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    tell_each(context, sink, &Kind::EnvoyFilter, |object, notes| {
        if crate::convert::is_ours(&object.meta.labels) {
            return Disposition::NothingToDo;
        }
        let targets = field(object, &["targetRefs"]).map_or(&[][..], Node::items);
        if !targets.is_empty() {
            let root = object.namespace() == context.mesh.settings.root_namespace;
            attached(object, targets, root, notes);
            return Disposition::NothingToDo;
        }
        for_pods(context, object, notes)
    });
}

fn patches(object: &Object<()>) -> &[Node] {
    field(object, &["configPatches"]).map_or(&[][..], Node::items)
}

fn context_of(patch: &Node) -> &str {
    patch
        .at(&["match", "context"])
        .and_then(Node::as_str)
        .unwrap_or("ANY")
}

fn patch_path(index: usize) -> FieldPath {
    spec(&["configPatches"]).index(index)
}

/// One that is meant for a waypoint: whether the waypoint reads it.
fn attached(object: &Object<()>, targets: &[Node], root: bool, notes: &mut FilterNotes<'_>) {
    for (index, target) in targets.iter().enumerate() {
        let (kind, name) = (
            text(target, "kind").unwrap_or_default(),
            text(target, "name").unwrap_or_default(),
        );
        let wrong = match kind {
            "Gateway" => None,
            "GatewayClass" if root && name == CLASS => None,
            "GatewayClass" => Some(format!(
                "the GatewayClass `{name}` counts in the root namespace only, and only as `istio-waypoint`"
            )),
            other => Some(format!("a waypoint never matches an EnvoyFilter with a {other}")),
        };
        if let Some(message) = wrong {
            notes.tell(
                Code::EnvoyFilterWrongTarget,
                &spec(&["targetRefs"]).index(index),
                message,
            );
        }
    }
    for (index, patch) in patches(object).iter().enumerate() {
        let place = patch_path(index).key("match");
        if waypoint_context(patch, &place, notes) {
            continue;
        }
        let message = match (context_of(patch), text(patch, "applyTo")) {
            ("SIDECAR_OUTBOUND", Some("CLUSTER")) => {
                "of its clusters, only those of services that other waypoints serve have the context SIDECAR_OUTBOUND"
            }
            ("SIDECAR_OUTBOUND", _) => "a waypoint has no listeners of the context SIDECAR_OUTBOUND",
            ("GATEWAY", _) => "nothing of a waypoint has the context GATEWAY",
            _ => continue,
        };
        notes.tell(Code::EnvoyFilterMatchMisses, &place.key("context"), message);
    }
}

/// The context that nothing reads; whether the patch has it.
fn waypoint_context(patch: &Node, place: &FieldPath, notes: &mut FilterNotes<'_>) -> bool {
    let key = if context_of(patch) == "WAYPOINT" {
        "context"
    } else if patch.at(&["match", "waypoint"]).is_some() {
        "waypoint"
    } else {
        return false;
    };
    let message = format!("`match.{key}` is accepted and then read by nothing, so the patch never applies");
    notes.tell(Code::EnvoyFilterWaypointContext, &place.key(key), message);
    true
}

/// One for sidecars, gateways or both: what it does there.
fn for_pods(context: &Context<'_>, object: &Object<()>, notes: &mut FilterNotes<'_>) -> Disposition {
    let gateways = selects_gateways(context, object);
    let mut found: BTreeMap<Code, (Vec<usize>, String)> = BTreeMap::new();
    for (index, patch) in patches(object).iter().enumerate() {
        if gateways || context_of(patch) == "GATEWAY" {
            continue;
        }
        if waypoint_context(patch, &patch_path(index).key("match"), notes) {
            continue;
        }
        let (code, what) = known::recognise(patch);
        let (indices, _) = found.entry(code).or_insert_with(|| (Vec::new(), what));
        indices.push(index);
    }
    let untouched = gateways
        || (!patches(object).is_empty() && patches(object).iter().all(|p| context_of(p) == "GATEWAY"));
    if untouched {
        let message = "it is for gateways, which keep their Envoy and read it as before";
        notes.tell(Code::EnvoyFilterForGateways, &FieldPath::root(), message);
        return Disposition::NothingToDo;
    }
    if patches(object).is_empty() {
        let message = "it has no patches, so nothing ends with the sidecars";
        notes.tell(Code::EnvoyFilterEmpty, &FieldPath::root(), message);
    }
    let of_gateways: Vec<usize> = patches(object)
        .iter()
        .enumerate()
        .filter(|(_, patch)| context_of(patch) == "GATEWAY")
        .map(|(index, _)| index)
        .collect();
    if let Some(first) = of_gateways.first() {
        let message = format!(
            "of its patches, {} are for gateways, which read them as before",
            quoted(&of_gateways)
        );
        notes.tell(Code::EnvoyFilterForGateways, &patch_path(*first), message);
    }
    for (code, (indices, what)) in found {
        let Some(first) = indices.first() else { continue };
        let also = match indices.len() {
            1 => String::new(),
            number => format!(" ({number} patches: {})", quoted(indices.iter())),
        };
        notes.tell(
            code,
            &patch_path(*first),
            format!("{what}{also}: neither a waypoint nor ztunnel reads it"),
        );
    }
    Disposition::Kept
}

/// Whether the selected pods are those of a gateway: they carry the labels by which a Gateway selects its own.
fn selects_gateways(context: &Context<'_>, object: &Object<()>) -> bool {
    let labels = field(object, &["workloadSelector", "labels"]).map_or(&[][..], Node::entries);
    if labels.is_empty() {
        return false;
    }
    let has = |key: &str, value: &str| {
        labels
            .iter()
            .any(|label| &*label.key == key && label.node.as_str() == Some(value))
    };
    let by_gateway = context.mesh.istio_gateways.iter().any(|gateway| {
        let selector = &gateway.spec.selector;
        !selector.is_empty() && selector.iter().all(|(key, value)| has(key, value))
    });
    let by_name = ["ingressgateway", "egressgateway", "eastwestgateway"]
        .into_iter()
        .any(|name| has("istio", name) || has("app", &format!("istio-{name}")));
    by_gateway || by_name
}
