//! WorkloadEntry and WorkloadGroup: endpoints that ambient mode knows, and machines that cannot join it.

use super::{field, spec, tell_each};
use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::{Disposition, Sink};
use model::{FieldPath, Kind, Object};

/// Set by istiod on entries that a machine has registered itself.
const REGISTERED: &str = "istio.io/autoRegistrationGroup";

/// Tells which entries are machines of the mesh.
pub fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    tell_each(context, sink, &Kind::WorkloadGroup, |_, notes| {
        let message = "the machines of this group register with a sidecar; they cannot join ambient mode";
        notes.tell(Code::VirtualMachineKept, &FieldPath::root(), message);
        Disposition::Kept
    });
    tell_each(context, sink, &Kind::WorkloadEntry, |object, notes| {
        if field(object, &["weight"]).is_some() {
            let message = "ztunnel chooses among endpoints without looking at `weight`";
            notes.tell(Code::EndpointWeightIgnored, &spec(&["weight"]), message);
        }
        match machine(object) {
            Some(place) => {
                let message = "an entry with an identity of the mesh is a machine with a sidecar; it cannot join ambient mode";
                notes.tell(Code::VirtualMachineKept, &place, message);
                Disposition::Kept
            }
            // An address alone is an endpoint like any other.
            None => Disposition::NothingToDo,
        }
    });
}

/// What shows that an entry is a machine with a sidecar.
fn machine(object: &Object<()>) -> Option<FieldPath> {
    if object.meta.annotations.contains_key(REGISTERED) {
        return Some(
            FieldPath::root()
                .key("metadata")
                .key("annotations")
                .key(REGISTERED),
        );
    }
    field(object, &["serviceAccount"]).map(|_| spec(&["serviceAccount"]))
}
