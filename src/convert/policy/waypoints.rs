//! The waypoints of the input, and whether a policy for a namespace can be attached to them.

use crate::convert::context::Context;
use crate::convert::waypoint::{Bound, gateway, of_labels};
use crate::convert::{WaypointPer, is_copy};
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
        // A second conversion must not decide otherwise because of the waypoints that the first one made.
        let gateways = mesh.gateways.iter().filter(|gateway| !is_copy(*gateway));
        for gateway in gateways.filter(|gateway| gateway::is_waypoint(gateway)) {
            if gateway::serves_pods(gateway) {
                waypoints.for_pods.insert(gateway.namespace());
            }
            let names = waypoints.names.entry(gateway.namespace()).or_default();
            names.push(gateway.name());
        }
        let namespaces = mesh.others_of(&Kind::Namespace);
        let labels = namespaces.map(|object| (object.name(), &object.meta.labels));
        let services = mesh
            .services
            .iter()
            .map(|object| (object.namespace(), &object.meta.labels));
        for (namespace, labels) in labels.chain(services) {
            let names = waypoints.names.get(namespace).map_or(&[][..], Vec::as_slice);
            match of_labels(labels, namespace) {
                Some(Bound::To { namespace: other, .. }) if other != namespace => {
                    waypoints.shared.extend([namespace, other]);
                }
                Some(Bound::To { name, .. }) if names.contains(&name) => {}
                Some(_) => {
                    waypoints.shared.insert(namespace);
                }
                None => {}
            }
        }
        if context.options.waypoint_per == Some(WaypointPer::Service) {
            // Services get waypoints of their own, unless all of the namespace uses one.
            let unused = waypoints.names.keys().copied();
            let unused: Vec<&str> = unused
                .filter(|namespace| !matches!(context.bound_in(namespace), Bound::To { .. }))
                .collect();
            waypoints.shared.extend(unused);
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
