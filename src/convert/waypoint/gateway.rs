//! The Gateway that is a waypoint: what it says, and what it can be called.

use crate::convert::context::Context;
use crate::convert::names;
use foldhash::HashSet;
use model::traffic::Gateway;
use model::{Kind, Mesh, Object, ObjectRef};
use serde_json::{Value as Json, json};

/// The class of waypoints.
pub const CLASS: &str = "istio-waypoint";
/// For whom a waypoint is: `service` (the default), `workload`, `all` or `none`.
pub const WAYPOINT_FOR: &str = "istio.io/waypoint-for";
/// The label by which istiod knows what it made for a Gateway.
const MANAGED: &str = "gateway.istio.io/managed";
/// The label of the pods that istiod made for a Gateway.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// `spec` of a waypoint.
///
/// Source: istio/istio:pilot/pkg/config/kube/gateway/conversion.go; only HBONE on port 15008 makes it a waypoint.
pub fn spec() -> Json {
    json!({
        "gatewayClassName": CLASS,
        "listeners": [{ "name": "mesh", "port": 15008, "protocol": "HBONE" }],
    })
}

/// Whether a Gateway is a waypoint.
pub fn is_waypoint(gateway: &Object<Gateway>) -> bool {
    gateway.spec.gateway_class_name == CLASS
}

/// Whether a Gateway is a waypoint that takes requests for pods.
pub fn serves_pods(gateway: &Object<Gateway>) -> bool {
    let purpose = gateway.meta.labels.get(WAYPOINT_FOR).map(String::as_str);
    is_waypoint(gateway) && matches!(purpose, Some("workload" | "all"))
}

/// Whether a Gateway is a waypoint that takes requests for Services.
pub fn serves_services(gateway: &Object<Gateway>) -> bool {
    let purpose = gateway.meta.labels.get(WAYPOINT_FOR).map(String::as_str);
    is_waypoint(gateway) && matches!(purpose, None | Some("service" | "all"))
}

/// The Gateways of a namespace; all of them are in its order.
pub fn in_namespace<'a>(mesh: &'a Mesh, namespace: &str) -> &'a [Object<Gateway>] {
    let all = mesh.gateways.as_slice();
    let start = all.partition_point(|gateway| gateway.namespace() < namespace);
    let end = all.partition_point(|gateway| gateway.namespace() <= namespace);
    all.get(start..end).unwrap_or_default()
}

/// The waypoint that something is to have.
#[derive(Debug)]
pub enum Choice<'a> {
    /// One that is there, and that this program does not write; policies for the namespace are attached to it.
    There(&'a Object<Gateway>),
    /// One that is written, and what has the name that it would have had.
    New {
        /// What it is called.
        id: ObjectRef,
        /// The object because of which it is not called otherwise.
        instead_of: Option<ObjectRef>,
    },
}

/// What the waypoint of a namespace, or of one Service of it, is called.
pub fn choose<'a>(
    context: &Context<'a>,
    namespace: &str,
    service: Option<&str>,
    taken: &HashSet<ObjectRef>,
) -> Choice<'a> {
    let foreign: Vec<_> = in_namespace(context.mesh, namespace)
        .iter()
        .filter(|gateway| is_waypoint(gateway))
        .filter(|gateway| !crate::convert::is_copy(*gateway))
        .collect();
    let serving = foreign.iter().find(|gateway| serves_services(gateway));
    if let (None, Some(there)) = (service, serving.or(foreign.first())) {
        return Choice::There(there);
    }
    let mut instead_of = None;
    let mut number = 1;
    loop {
        let id = names::id(namespace, &Kind::Gateway, &name(service, number));
        let mut serving = foreign.iter().filter(|gateway| serves_services(gateway));
        if let Some(there) = serving.find(|gateway| gateway.id == id) {
            return Choice::There(there);
        }
        let Some(owner) = owner(context, &id, taken) else {
            return Choice::New { id, instead_of };
        };
        instead_of.get_or_insert(owner);
        number += 1;
    }
}

/// `waypoint` or `web-waypoint`; with a number from the second one on. istiod gives its Service, its Deployment and its
/// service account the same name, without the class behind it, and so it has to fit into that of a Service.
///
/// Source: istio/istio:pilot/pkg/config/kube/gatewaycommon/classinfo.go
fn name(service: Option<&str>, number: usize) -> String {
    let mut name = "waypoint".to_owned();
    if number > 1 {
        name = format!("{name}-{number}");
    }
    match service {
        None => name,
        Some(service) => {
            let room = names::MAX_NAME.saturating_sub(name.len() + 1);
            format!("{}-{name}", names::shortened(service, room, service))
        }
    }
}

/// What has the name already: a Gateway that is not of this program, one that this run makes for something else, or a
/// Service or Deployment, which istiod does not overwrite with that of the waypoint.
fn owner(context: &Context<'_>, id: &ObjectRef, taken: &HashSet<ObjectRef>) -> Option<ObjectRef> {
    let mesh = context.mesh;
    let namespace = id.namespace.as_deref().unwrap_or_default();
    let mut gateways = in_namespace(mesh, namespace).iter();
    let gateway = gateways.find(|gateway| gateway.id == *id);
    let foreign = gateway.filter(|gateway| !crate::convert::is_copy(*gateway));
    let service = || {
        let service = mesh.service(namespace, &id.name)?;
        (!service.meta.labels.contains_key(MANAGED)).then(|| service.id.clone())
    };
    let deployment = || {
        let named = |workload: &&Object<model::Workload>| {
            let labels = &workload.spec.template.metadata.labels;
            workload.id.kind == Kind::Deployment
                && workload.id.name == id.name
                && labels.get(GATEWAY_NAME).is_none_or(|of| **of != *id.name)
        };
        let found = mesh.workloads_in(namespace).find(named);
        found.map(|workload| workload.id.clone())
    };
    foreign
        .map(|gateway| gateway.id.clone())
        .or_else(|| taken.get(id).cloned())
        .or_else(service)
        .or_else(deployment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_those_of_services() {
        assert_eq!(name(None, 1), "waypoint");
        assert_eq!(name(Some("web"), 2), "web-waypoint-2");
        let long = "a".repeat(63);
        for number in [1, 2] {
            let name = name(Some(&long), number);
            assert_eq!(name.len(), names::MAX_NAME, "{name}");
        }
        assert_ne!(name(Some(&long), 1), name(Some(&long[1..]), 1));
    }
}
