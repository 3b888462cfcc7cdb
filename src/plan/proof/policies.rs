//! Policies, found by those to whom they speak.

use super::objects::{Binding, Labels, Name, Policy, TLS_MODE};
use std::collections::{BTreeSet, HashMap};

/// Where a policy is looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// All pods of a namespace.
    Namespace(String),
    /// Pods with a label, by namespace, key and value.
    Label(String, String, String),
    /// What a Service's waypoint does.
    Service(Name),
    /// What a waypoint does.
    Gateway(Name),
    /// What all waypoints do.
    Class,
}

/// Policies by place.
#[derive(Debug, Default)]
pub struct Policies {
    all: Vec<Option<Policy>>,
    by_name: HashMap<Name, usize>,
    by_place: HashMap<Place, BTreeSet<usize>>,
}

impl Policies {
    /// Puts a policy in, beside others of its name.
    pub fn add(&mut self, policy: Policy, root: &str) {
        let index = self.all.len();
        for place in places(&policy.id, &policy.binding, root) {
            self.by_place.entry(place).or_default().insert(index);
        }
        self.by_name.insert(policy.id.clone(), index);
        self.all.push(Some(policy));
    }

    /// Takes the policy of that name out, and gives it back.
    pub fn remove(&mut self, name: &Name, root: &str) -> Option<Policy> {
        let index = self.by_name.remove(name)?;
        let policy = self.all.get_mut(index)?.take()?;
        for place in places(&policy.id, &policy.binding, root) {
            if let Some(found) = self.by_place.get_mut(&place) {
                found.remove(&index);
            }
        }
        Some(policy)
    }

    /// The policies that may speak to pods with these labels, or to all of the namespace.
    pub fn for_pods<'a>(&'a self, namespace: &str, labels: &'a Labels, root: &str) -> Vec<&'a Policy> {
        let mut found = BTreeSet::new();
        for namespace in [namespace, root] {
            let wide = self.by_place.get(&Place::Namespace(namespace.to_owned()));
            found.extend(wide.into_iter().flatten());
            for (key, value) in labels {
                let place = Place::Label(namespace.to_owned(), key.clone(), value.clone());
                found.extend(self.by_place.get(&place).into_iter().flatten());
            }
            if namespace == root {
                break;
            }
        }
        found
            .into_iter()
            .filter_map(|&index| self.all.get(index)?.as_ref())
            .collect()
    }

    /// The policies that a waypoint applies to requests for a Service.
    pub fn for_waypoint(&self, service: &Name, waypoint: &Name) -> Vec<&Policy> {
        let mut found = BTreeSet::new();
        for place in [
            Place::Service(service.clone()),
            Place::Gateway(waypoint.clone()),
            Place::Class,
        ] {
            found.extend(self.by_place.get(&place).into_iter().flatten());
        }
        found
            .into_iter()
            .filter_map(|&index| self.all.get(index)?.as_ref())
            .collect()
    }
}

/// The places of an object.
pub fn places((namespace, _): &Name, binding: &Binding, root: &str) -> Vec<Place> {
    match binding {
        Binding::Pods(labels) => {
            // All pods with a sidecar have this one.
            let label = labels.iter().flatten().find(|(key, _)| *key != TLS_MODE);
            vec![match label {
                Some((key, value)) => Place::Label(namespace.clone(), key.clone(), value.clone()),
                None => Place::Namespace(namespace.clone()),
            }]
        }
        Binding::Targets(targets) => targets
            .iter()
            .filter_map(|target| {
                let name = (namespace.clone(), target.name.clone());
                let group = target.group.as_deref().unwrap_or_default();
                match (group, target.kind.as_str()) {
                    ("" | "core", "Service") => Some(Place::Service(name)),
                    ("gateway.networking.k8s.io", "Gateway") => Some(Place::Gateway(name)),
                    ("gateway.networking.k8s.io", "GatewayClass") => {
                        (namespace == root && target.name == "istio-waypoint").then_some(Place::Class)
                    }
                    _ => None,
                }
            })
            .collect(),
    }
}
