//! Telemetry: waypoints read those without selector and those with targetRefs.

use super::attach;
use super::behind::{Attachable, Namespace};
use super::{is_targeted, quoted, spec};
use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use crate::convert::targets::{self, To};
use crate::convert::{Change, Disposition, Sink};
use model::{FieldPath, Kind, Node, Object};
use std::collections::BTreeMap;

/// Lists of `spec` whose elements have a mode.
const REPORTS: [&str; 3] = ["metrics", "accessLogging", "tracing"];

/// Converts all Telemetry of a mesh.
pub fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    let mut by_namespace: BTreeMap<&str, Vec<&Object<()>>> = BTreeMap::new();
    for object in context.mesh.others_of(&Kind::Telemetry) {
        by_namespace.entry(object.namespace()).or_default().push(object);
    }
    for (namespace, objects) in by_namespace {
        let namespace = Namespace::of(context, namespace);
        for object in objects {
            let mut notes = Notes::on(object);
            if is_targeted(object) {
                sink.put(object, Disposition::NothingToDo, Vec::new(), Vec::new());
                continue;
            }
            let changes = convert(context, &namespace, object, &mut notes);
            let disposition = match changes.is_empty() {
                true => Disposition::Kept,
                false => Disposition::Converted,
            };
            sink.put(object, disposition, changes, notes.into_findings());
        }
    }
}

fn convert(
    context: &Context<'_>,
    namespace: &Namespace<'_>,
    object: &Object<()>,
    notes: &mut Notes<'_, ()>,
) -> Vec<Change> {
    tell_clients(object, notes);
    let place = spec(&["selector"]);
    if attach::selector(object).match_labels.is_empty() {
        let message = "waypoints read it as it is, and report with reporter=\"waypoint\" where sidecars reported as source and destination";
        notes.tell(Code::TelemetryKept, &FieldPath::root(), message);
        return Vec::new();
    }
    if object.namespace() == context.mesh.settings.root_namespace {
        let message = "in the root namespace the selector counts for the whole mesh, but targetRefs name Services of their own namespace only";
        notes.tell(Code::TelemetryNotAttached, &place, message);
        return Vec::new();
    }
    if context.is_duplicate(&object.id) {
        notes.keep(
            Code::DefinedTwice,
            &FieldPath::root(),
            "the object stands in the input more than once",
        );
        return Vec::new();
    }
    match namespace.attachable(&attach::selector(object), object.namespace()) {
        Attachable::To(targets) => {
            let refs = targets
                .iter()
                .map(|target| To::Service(target.service.name().to_owned()))
                .collect();
            let message = format!(
                "the copy counts for requests to {}, reported with reporter=\"waypoint\"",
                super::some_of(targets.iter().map(|target| &target.service.id))
            );
            notes.tell(Code::TelemetryAttached, &place, message);
            attach::copies(context, object, vec![(targets::unscoped_spec(object), refs)])
        }
        Attachable::Partly(message) | Attachable::Nowhere(message) => {
            notes.tell(Code::TelemetryNotAttached, &place, message);
            Vec::new()
        }
    }
}

/// Tells which parts are for clients: a waypoint counts as a server.
fn tell_clients(object: &Object<()>, notes: &mut Notes<'_, ()>) {
    for key in REPORTS {
        let path = spec(&[key]);
        let elements = super::field(object, &[key]).map_or(&[][..], Node::items);
        for (index, element) in elements.iter().enumerate() {
            let place = path.index(index);
            let overrides = element.get("overrides").map_or(&[][..], Node::items);
            let parts = std::iter::once((place.clone(), element)).chain(
                overrides
                    .iter()
                    .enumerate()
                    .map(|(number, part)| (place.key("overrides").index(number), part)),
            );
            for (place, _) in parts.filter(|(_, part)| is_for_clients(part)) {
                let message = format!(
                    "mode CLIENT has no effect at a waypoint: {} of this kind end with the sidecars of the clients",
                    quoted([key])
                );
                notes.tell(Code::TelemetryOfClients, &place.key("match").key("mode"), message);
            }
        }
    }
}

fn is_for_clients(part: &Node) -> bool {
    part.at(&["match", "mode"]).and_then(Node::as_str) == Some("CLIENT")
}
