//! PeerAuthentication: ztunnel enforces it, but for what asks for plaintext.

use super::spec;
use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use crate::convert::{Disposition, Sink};
use model::security::{MtlsMode, MutualTls, PeerAuthentication};
use model::{FieldPath, Object};
use std::collections::BTreeMap;

type PeerNotes<'a> = Notes<'a, PeerAuthentication>;

/// Tells of every PeerAuthentication what ztunnel reads differently.
pub fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    let inherited = Inherited::of(context);
    for object in &context.mesh.peer_authentications {
        let mut notes = Notes::on(object);
        judge(&inherited, object, &mut notes);
        sink.put(
            object,
            Disposition::NothingToDo,
            Vec::new(),
            notes.into_findings(),
        );
    }
}

/// The modes of namespaces and of the mesh, where they are set; of several objects for one the oldest counts.
struct Inherited<'a> {
    root: &'a str,
    modes: BTreeMap<&'a str, MtlsMode>,
}

impl<'a> Inherited<'a> {
    fn of(context: &Context<'a>) -> Self {
        let mut wide: Vec<_> = context
            .mesh
            .peer_authentications
            .iter()
            .filter(|object| !has_selector(object))
            .collect();
        wide.sort_by_key(|object| &object.meta.creation_timestamp);
        let mut modes = BTreeMap::new();
        for object in wide {
            modes
                .entry(object.namespace())
                .or_insert(mode(object.spec.mtls.as_ref()));
        }
        modes.retain(|_, mode| *mode != MtlsMode::Unset);
        Self {
            root: &context.mesh.settings.root_namespace,
            modes,
        }
    }

    /// Whether a workload without a mode of its own is STRICT.
    fn is_strict(&self, namespace: &str) -> bool {
        self.modes.get(namespace).or_else(|| self.modes.get(self.root)) == Some(&MtlsMode::Strict)
    }

    /// Whether the mesh is STRICT and the namespace says nothing.
    fn is_strict_by_mesh(&self, namespace: &str) -> bool {
        !self.modes.contains_key(namespace) && self.modes.get(self.root) == Some(&MtlsMode::Strict)
    }
}

fn judge(inherited: &Inherited<'_>, object: &Object<PeerAuthentication>, notes: &mut PeerNotes<'_>) {
    let own = mode(object.spec.mtls.as_ref());
    if has_selector(object) && object.namespace() == inherited.root {
        let message = "in the root namespace an object with a selector counts for nothing, before and after";
        notes.tell(Code::PeerAuthenticationIgnored, &spec(&["selector"]), message);
        return;
    }
    if own == MtlsMode::Disable {
        let message = "DISABLE has no effect in ambient mode: traffic that was plaintext becomes mutual TLS";
        notes.tell(Code::PlaintextNotKept, &spec(&["mtls", "mode"]), message);
    }
    if !has_selector(object) && !object.spec.port_level_mtls.is_empty() {
        let message = "ports count only together with a selector, before and after";
        notes.tell(
            Code::PeerAuthenticationIgnored,
            &spec(&["portLevelMtls"]),
            message,
        );
    } else {
        ports(inherited, object, own, notes);
    }
}

/// What istiod makes of ports for ztunnel.
///
/// Source: istio/istio:pilot/pkg/serviceregistry/ambient/authorization.go: `convertedSelectorPeerAuthentications` refers to
/// the ports of a workload that inherits STRICT only if one of them is PERMISSIVE, and `convertPeerAuthentication` leaves
/// STRICT ports out wherever the mesh is STRICT and the namespace says nothing, whatever the workload's own mode.
fn ports(
    inherited: &Inherited<'_>,
    object: &Object<PeerAuthentication>,
    own: MtlsMode,
    notes: &mut PeerNotes<'_>,
) {
    let namespace = object.namespace();
    let modes = || {
        object
            .spec
            .port_level_mtls
            .iter()
            .map(|(port, mtls)| (port, mode(Some(mtls))))
    };
    let inherits_strict = own == MtlsMode::Unset && inherited.is_strict(namespace);
    let any_permissive = modes().any(|(_, mode)| mode == MtlsMode::Permissive);
    for (port, mode) in modes() {
        let path: FieldPath = spec(&["portLevelMtls", port, "mode"]);
        match mode {
            MtlsMode::Disable if inherits_strict && !any_permissive => {
                let message = format!(
                    "DISABLE on port {port} under an inherited STRICT is no exemption at ztunnel: the port becomes STRICT, and plaintext callers are refused"
                );
                notes.tell(Code::PortDisableBecomesStrict, &path, message);
            }
            MtlsMode::Disable => {
                let message = format!(
                    "DISABLE on port {port} lets plaintext in as before, but callers inside of the mesh use mutual TLS"
                );
                notes.tell(Code::PlaintextNotKept, &path, message);
            }
            MtlsMode::Strict
                if matches!(own, MtlsMode::Permissive | MtlsMode::Disable)
                    && inherited.is_strict_by_mesh(namespace) =>
            {
                let message = format!(
                    "port {port} is STRICT, but ztunnel is not told: the mesh is STRICT, so istiod takes the port to be covered, while the workload itself is {}",
                    own.as_str()
                );
                notes.tell(Code::StrictPortNotEnforced, &path, message);
            }
            MtlsMode::Strict | MtlsMode::Permissive | MtlsMode::Unset => {}
        }
    }
}

fn has_selector(object: &Object<PeerAuthentication>) -> bool {
    object
        .spec
        .selector
        .as_ref()
        .is_some_and(|selector| !selector.match_labels.is_empty())
}

fn mode(mtls: Option<&MutualTls>) -> MtlsMode {
    mtls.and_then(|mtls| mtls.mode).unwrap_or(MtlsMode::Unset)
}
