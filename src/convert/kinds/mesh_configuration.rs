//! Settings for the whole mesh that ambient mode does not enforce.

use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use crate::convert::{Disposition, Sink};
use model::settings::{config_map_yaml, is_istio_config_map};
use model::{FieldPath, Kind, Node, Object};

/// Tells which settings end with the last sidecar.
pub fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    for kind in [&Kind::ConfigMap, &Kind::IstioOperator, &Kind::SailIstio] {
        for object in context.mesh.others_of(kind) {
            let mut notes = Notes::on(object);
            for (path, configuration) in configurations(object) {
                if configuration.as_ref().is_some_and(is_registry_only) {
                    let message = "`outboundTrafficPolicy.mode: REGISTRY_ONLY` is not enforced by ztunnel: traffic of ambient pods to unknown destinations passes through";
                    notes.tell(Code::RegistryOnlyInMesh, &path, message);
                }
            }
            sink.put(
                object,
                Disposition::NothingToDo,
                Vec::new(),
                notes.into_findings(),
            );
        }
    }
}

/// The places where an object holds a mesh configuration.
fn configurations(object: &Object<()>) -> Vec<(FieldPath, Option<Node>)> {
    if object.id.kind == Kind::ConfigMap {
        let path = FieldPath::root().key("data").key("mesh");
        let found = is_istio_config_map(object.name()).then(|| config_map_yaml(&object.raw, "mesh"));
        return found
            .map(|configuration| (path, configuration))
            .into_iter()
            .collect();
    }
    [&["spec", "meshConfig"][..], &["spec", "values", "meshConfig"]]
        .into_iter()
        .map(|keys| {
            let path = keys.iter().fold(FieldPath::root(), |path, key| path.key(key));
            (path, object.raw.at(keys).cloned())
        })
        .collect()
}

/// Whether a mesh configuration blocks unknown destinations.
pub fn is_registry_only(configuration: &Node) -> bool {
    configuration
        .at(&["outboundTrafficPolicy", "mode"])
        .and_then(Node::as_str)
        == Some("REGISTRY_ONLY")
}
