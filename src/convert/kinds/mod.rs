//! The kinds that are not converted: what becomes of each, and what there is to say about it.

use crate::code::Code;
use crate::convert::assumed::is_assumed;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use crate::convert::{Disposition, Sink};
use model::security::MtlsMode;
use model::{FieldPath, Kind, Object};

/// Kinds that belong to the mesh and are not converted, with the message that says why. A kind without a
/// message needs nothing.
const KEPT: &[(Kind, Option<Code>)] = &[
    (Kind::Sidecar, Some(Code::SidecarKept)),
    (Kind::EnvoyFilter, Some(Code::EnvoyFilterKept)),
    (Kind::WasmPlugin, Some(Code::WasmPluginKept)),
    (Kind::TrafficExtension, Some(Code::WasmPluginKept)),
    (Kind::Telemetry, Some(Code::TelemetryKept)),
    (Kind::ProxyConfig, Some(Code::ProxyConfigKept)),
    (Kind::WorkloadEntry, Some(Code::VirtualMachineKept)),
    (Kind::WorkloadGroup, Some(Code::VirtualMachineKept)),
    (Kind::IstioOperator, None),
    (Kind::SailIstio, None),
    (Kind::SailIstioCni, None),
    (Kind::SailZtunnel, None),
    (Kind::GatewayClass, None),
    (Kind::ReferenceGrant, None),
    (Kind::BackendTlsPolicy, None),
    (Kind::Namespace, None),
    (Kind::ConfigMap, None),
    (Kind::NetworkPolicy, None),
];

/// Says what becomes of every object that no other converter takes.
pub fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    let mesh = context.mesh;
    for object in &mesh.destination_rules {
        keep(
            sink,
            object,
            Code::DestinationRuleKept,
            "a waypoint reads it as it is; ztunnel does not",
        );
    }
    nothing_for_any(sink, &mesh.service_entries);
    nothing_for_any(sink, &mesh.istio_gateways);
    nothing_for_any(sink, &mesh.gateways);
    nothing_for_any(sink, &mesh.routes);
    nothing_for_any(sink, mesh.services.iter().filter(|service| !is_assumed(service)));
    nothing_for_any(sink, &mesh.workloads);
    for object in &mesh.peer_authentications {
        peer_authentication(sink, object);
    }
    for object in &mesh.others {
        match KEPT.iter().find(|(kind, _)| *kind == object.id.kind) {
            // Attached to targets, it is meant for waypoints already.
            Some(_)
                if ["targetRefs", "targetRef"]
                    .iter()
                    .any(|key| object.raw.at(&["spec", key]).is_some()) =>
            {
                nothing(sink, object);
            }
            Some((_, Some(code))) => keep(sink, object, *code, code.page().title),
            Some((_, None)) => nothing(sink, object),
            None => sink.put(object, Disposition::NotOurs, Vec::new(), Vec::new()),
        }
    }
}

fn keep<T>(sink: &mut Sink, object: &Object<T>, code: Code, message: &str) {
    let mut notes = Notes::on(object);
    notes.keep(code, &FieldPath::root(), message);
    sink.put(object, Disposition::Kept, Vec::new(), notes.into_findings());
}

fn nothing_for_any<'a, T: 'a>(sink: &mut Sink, objects: impl IntoIterator<Item = &'a Object<T>>) {
    for object in objects {
        nothing(sink, object);
    }
}

fn nothing<T>(sink: &mut Sink, object: &Object<T>) {
    sink.put(object, Disposition::NothingToDo, Vec::new(), Vec::new());
}

/// ztunnel enforces a PeerAuthentication, but knows no way to demand plaintext.
fn peer_authentication(sink: &mut Sink, object: &Object<model::security::PeerAuthentication>) {
    let mut notes = Notes::on(object);
    let spec = FieldPath::spec();
    if object
        .spec
        .mtls
        .as_ref()
        .is_some_and(|m| m.mode == Some(MtlsMode::Disable))
    {
        notes.tell(
            Code::PlaintextNotKept,
            &spec.key("mtls").key("mode"),
            "DISABLE has no effect in ambient mode: traffic that was plaintext becomes mutual TLS",
        );
    }
    for (port, mtls) in &object.spec.port_level_mtls {
        if mtls.mode == Some(MtlsMode::Disable) {
            let path = spec.key("portLevelMtls").key(port).key("mode");
            notes.tell(Code::PlaintextNotKept, &path, format!("DISABLE on port {port} has no effect in ambient mode; under an inherited STRICT the port becomes STRICT"));
        }
    }
    sink.put(
        object,
        Disposition::NothingToDo,
        Vec::new(),
        notes.into_findings(),
    );
}
