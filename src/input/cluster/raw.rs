//! What was read of a cluster before it gets types: the common form of a live reading and a snapshot.

use super::fault::resource;
use super::needed::{How, NEEDED};
use crate::input::Input;
use crate::input::document::Parts;
use model::{ClusterCoverage, Coverage, Kind, Node, Origin};
use rayon::prelude::*;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The objects of a cluster as JSON, cleaned, and what is missing among them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RawCluster {
    /// The objects, by kind, namespace and name.
    pub objects: Vec<Value>,
    /// The name of the context.
    pub context: String,
    /// When it was read, RFC 3339 in UTC.
    pub taken_at: String,
    /// Major and minor version of the API server.
    pub server_version: Option<String>,
    /// Kinds that were read.
    pub read: BTreeSet<Kind>,
    /// Kinds that could not be read, or not everywhere, with the reason and what to do.
    pub unreadable: BTreeMap<Kind, String>,
    /// Kinds that the API server does not serve.
    pub not_installed: BTreeSet<Kind>,
    /// The namespaces that the user asked for, if not all.
    pub namespaces: Option<BTreeSet<String>>,
}

/// What stands in place of a value that nobody else should see.
pub const REDACTED: &str = "(redacted)";

impl RawCluster {
    /// Puts the objects into their order and leaves out those that others stand for.
    pub(super) fn arrange(&mut self) {
        let unowned: BTreeSet<&Kind> = NEEDED
            .iter()
            .filter(|needed| needed.how == How::Unowned)
            .map(|needed| &needed.kind)
            .collect();
        let complete = |kind: &Kind| self.read.contains(kind) && !self.unreadable.contains_key(kind);
        self.objects
            .retain(|o| !unowned.contains(&kind_of(o)) || !controller(o).is_some_and(|c| complete(&c)));
        self.objects.sort_by_cached_key(identity);
        self.objects.dedup_by_key(|object| identity(object));
    }

    /// Gives the objects their types. `description` says in words where they come from.
    #[must_use]
    pub fn into_input(self, description: String) -> Input {
        let gaps = self.gaps();
        let pieces: Vec<Parts> = self
            .objects
            .into_par_iter()
            .fold(Parts::default, |mut parts, object| {
                parts.read_live(Node::from(object), &Origin::Cluster);
                parts
            })
            .collect();
        let mut parts = Parts::default();
        for piece in pieces {
            parts.absorb(piece);
        }
        let coverage = Coverage::Cluster(ClusterCoverage {
            unreadable: self.unreadable,
            not_installed: self.not_installed,
            namespaces: self.namespaces,
            server_version: self.server_version,
        });
        parts.into_input(coverage, description, gaps)
    }

    /// Why the view is partial, one sentence each; empty if it is complete.
    #[must_use]
    pub fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        if let Some(namespaces) = &self.namespaces {
            let names: Vec<String> = namespaces.iter().map(|name| format!("`{name}`")).collect();
            let words = match names.len() {
                1 => ["namespace", "was"],
                _ => ["namespaces", "were"],
            };
            gaps.push(format!(
                "only the {} {} {} asked for; what others hold is not known",
                words[0],
                names.join(", "),
                words[1]
            ));
        }
        // The same reason for many kinds is one gap.
        let mut reasons: Vec<((&str, &str), Vec<String>)> = Vec::new();
        for (kind, reason) in &self.unreadable {
            let resource = resource(kind);
            let parts = reason.split_once(&resource).unwrap_or((reason, ""));
            match reasons.iter_mut().find(|(known, _)| *known == parts) {
                Some((_, resources)) => resources.push(resource),
                None => reasons.push((parts, vec![resource])),
            }
        }
        gaps.extend(reasons.into_iter().map(|((before, after), resources)| {
            if after.is_empty() {
                format!("{}: {before}", resources.join(", "))
            } else {
                format!("{before}{}{after}", resources.join(", "))
            }
        }));
        gaps
    }
}

/// Makes an item of a list an object of its own, without bookkeeping and without values that look secret.
pub(super) fn clean(item: Value, api_version: &str, kind: &Kind) -> Option<Value> {
    let Value::Object(fields) = item else { return None };
    // The items of a typed list have neither, and those of a metadata list have others.
    let mut object = Map::new();
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.name().into());
    object.extend(
        fields
            .into_iter()
            .filter(|(key, _)| key != "apiVersion" && key != "kind"),
    );
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            // It repeats the whole object, with all its values.
            annotations.shift_remove("kubectl.kubernetes.io/last-applied-configuration");
            if annotations.is_empty() {
                metadata.shift_remove("annotations");
            }
        }
    }
    let mut object = Value::Object(object);
    redact(&mut object);
    Some(object)
}

/// Takes the values of environment variables whose names promise a secret.
fn redact(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Object(fields) => {
            for (key, value) in fields {
                if key == "env" {
                    for variable in value.as_array_mut().into_iter().flatten() {
                        redact_variable(variable);
                    }
                }
                redact(value);
            }
        }
        _ => {}
    }
}

fn redact_variable(variable: &mut Value) {
    let secret = variable
        .get("name")
        .and_then(Value::as_str)
        .is_some_and(is_secret_name);
    if let Some(value) = variable.get_mut("value").filter(|_| secret) {
        *value = REDACTED.into();
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["PASSWORD", "TOKEN", "SECRET", "KEY"]
        .iter()
        .any(|word| name.contains(word))
}

/// The kind of an object in JSON.
pub(in crate::input) fn kind_of(object: &Value) -> Kind {
    kind_from(object["apiVersion"].as_str(), object["kind"].as_str())
}

fn kind_from(api_version: Option<&str>, kind: Option<&str>) -> Kind {
    let group = api_version
        .unwrap_or_default()
        .split_once('/')
        .map_or("", |(group, _)| group);
    Kind::new(group, kind.unwrap_or_default())
}

/// Kind, namespace (empty if it has none) and name of an object in JSON.
pub(in crate::input) fn identity(object: &Value) -> (Kind, String, String) {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    (kind_of(object), text("namespace"), text("name"))
}

fn controller(object: &Value) -> Option<Kind> {
    object["metadata"]["ownerReferences"]
        .as_array()?
        .iter()
        .find(|owner| owner["controller"] == true)
        .map(|owner| kind_from(owner["apiVersion"].as_str(), owner["kind"].as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn items_become_objects_without_bookkeeping_and_secrets() {
        let item = json!({
            "metadata": {
                "name": "web",
                "managedFields": [{"manager": "kubectl"}],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"hunter2\":1}"}
            },
            "spec": {"template": {"spec": {"containers": [{"env": [
                {"name": "DB_password", "value": "hunter2"},
                {"name": "API_TOKEN", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
                {"name": "PILOT_ENABLE_AMBIENT", "value": "true"}
            ]}]}}}
        });
        let expected = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {"template": {"spec": {"containers": [{"env": [
                {"name": "DB_password", "value": REDACTED},
                {"name": "API_TOKEN", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
                {"name": "PILOT_ENABLE_AMBIENT", "value": "true"}
            ]}]}}}
        });
        assert_eq!(clean(item, "apps/v1", &Kind::Deployment), Some(expected));
        assert_eq!(clean(json!("text"), "v1", &Kind::Pod), None);
    }

    #[test]
    fn only_objects_whose_controller_was_read_are_left_out() {
        let owned = |name: &str, owner: &str, group: &str| {
            json!({
                "apiVersion": "apps/v1", "kind": "ReplicaSet",
                "metadata": {"name": name, "namespace": "a", "ownerReferences": [
                    {"apiVersion": group, "kind": owner, "name": "x", "controller": true}
                ]}
            })
        };
        let mut raw = RawCluster {
            objects: vec![
                owned("of-rollout", "Rollout", "argoproj.io/v1alpha1"),
                owned("of-deployment", "Deployment", "apps/v1"),
                json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "bare"}}),
            ],
            read: BTreeSet::from([Kind::Deployment]),
            unreadable: BTreeMap::from([(Kind::Rollout, "no".to_owned())]),
            ..RawCluster::default()
        };
        raw.arrange();
        let names: Vec<_> = raw
            .objects
            .iter()
            .map(|o| o["metadata"]["name"].clone())
            .collect();
        assert_eq!(names, ["bare", "of-rollout"]);
    }

    #[test]
    fn an_object_that_cannot_be_read_is_an_error_and_not_the_end() {
        let raw = RawCluster {
            objects: vec![
                json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
                    "metadata": {"name": "bad", "namespace": "a"}, "spec": {"hosts": 3}}),
                json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
                    "metadata": {"name": "good", "namespace": "a"}, "spec": {"hosts": ["x"]}}),
            ],
            ..RawCluster::default()
        };
        let input = raw.into_input("test".to_owned());
        let names: Vec<_> = input.mesh.ids().map(ToString::to_string).collect();
        assert_eq!(names, ["a/VirtualService/good"]);
        let places: Vec<_> = input.errors.iter().map(|e| e.location.to_string()).collect();
        assert_eq!(places, ["a/VirtualService/bad:spec.hosts"]);
        assert_eq!(input.documents.len(), 2);
    }

    #[test]
    fn one_reason_for_several_kinds_is_one_gap() {
        let raw = RawCluster {
            unreadable: BTreeMap::from([
                (Kind::Pod, "may not `list` `pods` anywhere; ask".to_owned()),
                (Kind::Job, "may not `list` `jobs.batch` anywhere; ask".to_owned()),
                (Kind::Rollout, "something else".to_owned()),
            ]),
            namespaces: Some(BTreeSet::from(["a".to_owned(), "b".to_owned()])),
            ..RawCluster::default()
        };
        assert_eq!(
            raw.gaps(),
            [
                "only the namespaces `a`, `b` were asked for; what others hold is not known",
                "may not `list` `pods`, `jobs.batch` anywhere; ask",
                "`rollouts.argoproj.io`: something else",
            ]
        );
    }
}
