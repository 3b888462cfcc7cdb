//! The waypoints of the input, and whether a policy for a namespace can be attached to them.

use super::reach::USE_WAYPOINT;
use crate::convert::context::Context;
use model::Kind;
use std::collections::{BTreeMap, BTreeSet};

/// The waypoints by namespace.
pub struct Waypoints<'a> {
    names: BTreeMap<&'a str, Vec<&'a str>>,
    /// Namespaces whose waypoints serve others too, or whose Services use a waypoint of another namespace.
    shared: BTreeSet<&'a str>,
    /// Namespaces in which pods that are dialled by address have a waypoint.
    for_pods: BTreeSet<&'a str>,
}

impl<'a> Waypoints<'a> {
    /// Looks at the Gateways of a mesh, and at the labels that ask for one.
    pub fn of(context: &Context<'a>) -> Self {
        let mesh = context.mesh;
        let mut waypoints = Self {
            names: BTreeMap::new(),
            shared: BTreeSet::new(),
            for_pods: BTreeSet::new(),
        };
        for gateway in &mesh.gateways {
            if gateway.spec.gateway_class_name != "istio-waypoint" {
                continue;
            }
            let purpose = gateway
                .meta
                .labels
                .get("istio.io/waypoint-for")
                .map(String::as_str);
            if matches!(purpose, Some("workload" | "all")) {
                waypoints.for_pods.insert(gateway.namespace());
            }
            let names = waypoints.names.entry(gateway.namespace()).or_default();
            names.push(gateway.name());
        }
        let namespaces = mesh.others.iter();
        let namespaces = namespaces.filter(|object| object.id.kind == Kind::Namespace);
        let labels = namespaces.map(|object| (object.name(), &object.meta.labels));
        let services = mesh
            .services
            .iter()
            .map(|object| (object.namespace(), &object.meta.labels));
        for (namespace, labels) in labels.chain(services) {
            let elsewhere = labels.get(&format!("{USE_WAYPOINT}-namespace"));
            if let Some(other) = elsewhere.filter(|other| *other != namespace) {
                waypoints.shared.insert(namespace);
                waypoints.shared.insert(other);
            }
            let names = waypoints.names.get(namespace).map_or(&[][..], Vec::as_slice);
            let own = labels.get(USE_WAYPOINT).filter(|_| elsewhere.is_none());
            if own.is_some_and(|own| own == "none" || !names.contains(&own.as_str())) {
                waypoints.shared.insert(namespace);
            }
        }
        waypoints
    }

    /// The waypoints that serve the Services of a namespace and nothing else.
    pub fn of_namespace(&self, namespace: &str) -> &[&'a str] {
        if self.shared.contains(namespace) {
            return &[];
        }
        self.names.get(namespace).map_or(&[], Vec::as_slice)
    }

    /// Whether pods of a namespace that are dialled by address have a waypoint.
    pub fn are_for_pods(&self, namespace: &str) -> bool {
        self.for_pods.contains(namespace)
    }
}
