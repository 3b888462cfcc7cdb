//! Programs that change VirtualServices and DestinationRules while they run: what is made of such an object is out of
//! date with their next step.

use model::meta::Object;
use model::{Kind, Mesh, Node, ObjectRef};
use std::collections::HashMap;

/// Objects that Argo Rollouts changes, with the Rollout.
#[derive(Debug, Default)]
pub struct Automation<'a> {
    edited: HashMap<ObjectRef, &'a ObjectRef>,
}

impl<'a> Automation<'a> {
    /// Looks at all Rollouts of a mesh.
    pub fn of(mesh: &'a Mesh) -> Self {
        let mut edited = HashMap::new();
        for rollout in mesh.workloads.iter().filter(|w| w.id.kind == Kind::Rollout) {
            let path = ["spec", "strategy", "canary", "trafficRouting", "istio"];
            let Some(routing) = rollout.raw.at(&path) else {
                continue;
            };
            let services = routing.get("virtualServices").map_or(&[][..], Node::items);
            let services = routing.get("virtualService").into_iter().chain(services);
            let rules = routing.get("destinationRule").into_iter();
            let named = services
                .map(|node| (Kind::VirtualService, node))
                .chain(rules.map(|node| (Kind::DestinationRule, node)));
            for (kind, node) in named {
                if let Some(name) = node.get("name").and_then(Node::as_str) {
                    let (namespace, name) = name.split_once('/').unwrap_or((rollout.namespace(), name));
                    let id = ObjectRef {
                        namespace: Some(namespace.into()),
                        kind,
                        name: name.into(),
                    };
                    edited.insert(id, &rollout.id);
                }
            }
        }
        Self { edited }
    }

    /// Who changes an object while it runs: a Rollout of Argo, or the Canary of Flagger that owns it.
    pub fn editor_of<T>(&self, object: &Object<T>) -> Option<String> {
        if let Some(rollout) = self.edited.get(&object.id) {
            return Some(rollout.to_string());
        }
        let owner = object
            .meta
            .owner_references
            .iter()
            .find(|owner| owner.0.get("kind").and_then(Node::as_str) == Some("Canary"))?;
        let name = owner.0.get("name").and_then(Node::as_str).unwrap_or_default();
        Some(format!("Canary/{name} of Flagger"))
    }
}
