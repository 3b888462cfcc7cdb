//! Services that rules name and the input does not hold: taken to exist, where the user says so.
//!
//! Many repositories keep routing apart from the workloads. What such rules say is exact on one condition, that
//! the Services are there; the API server and `precheck` on the cluster can tell.

use super::Options;
use super::context::{Context, Host, destinations};
use model::meta::{Object, ObjectMeta};
use model::traffic::{Service, ServicePort};
use model::values::Port;
use model::{Kind, Mesh, Node, ObjectRef, Origin, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Marks a Service that is only assumed.
const ASSUMED: &str = "mesh-migrate.io/assumed";

/// The Services that VirtualServices name by a short or whole name and that are not in the mesh, with the ports
/// that the rules name.
#[must_use]
pub fn assumed_services(mesh: &Mesh) -> Vec<Object<Service>> {
    let context = Context::new(mesh, Options::default());
    let mut found: BTreeMap<(String, String), BTreeSet<u16>> = BTreeMap::new();
    for object in mesh
        .virtual_services
        .iter()
        .filter(|object| object.spec.applies_to_mesh())
    {
        let mut note = |host: &str, port: Option<Port>| {
            if matches!(context.host(host, object.namespace()), Host::Unknown)
                && let Some(name) = context.service_name(host, object.namespace())
            {
                found.entry(name).or_default().extend(port.map(|port| port.0));
            }
        };
        for host in &object.spec.hosts {
            note(host, None);
        }
        for destination in destinations(&object.spec) {
            note(
                &destination.host,
                destination.port.as_ref().and_then(|port| port.number),
            );
        }
    }
    found
        .into_iter()
        .map(|((namespace, name), ports)| service(&namespace, &name, &ports))
        .collect()
}

/// Whether a Service is only assumed, so that nothing is known of its other ports.
#[must_use]
pub fn is_assumed(service: &Object<Service>) -> bool {
    service.meta.annotations.contains_key(ASSUMED)
}

fn service(namespace: &str, name: &str, ports: &BTreeSet<u16>) -> Object<Service> {
    let port = |number: &u16| ServicePort {
        port: Some(Port(*number)),
        ..ServicePort::default()
    };
    Object {
        id: ObjectRef {
            namespace: Some(namespace.into()),
            kind: Kind::Service,
            name: name.into(),
        },
        meta: ObjectMeta {
            name: name.to_owned(),
            annotations: BTreeMap::from([(ASSUMED.to_owned(), String::new())]),
            ..ObjectMeta::default()
        },
        origin: Origin::File("<assumed>".into()),
        raw: Arc::new(Node::unplaced(Value::Null)),
        has_unknown_fields: false,
        spec: Service {
            ports: ports.iter().map(port).collect(),
            ..Service::default()
        },
    }
}
