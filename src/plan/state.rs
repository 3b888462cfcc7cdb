//! The state that a plan was made from, in digests: what changes it, changes the plan.

use super::document::{FIELD_MANAGER, State, Step, Write};
use crate::convert::MANAGED_BY;
use model::{Kind, Mesh, Node, Object};
use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Kinds of which the whole `spec` decides where requests go and whether they are let in.
const WHOLE: &[Kind] = &[
    Kind::Sidecar,
    Kind::EnvoyFilter,
    Kind::ProxyConfig,
    Kind::WorkloadEntry,
    Kind::WorkloadGroup,
    Kind::WasmPlugin,
    Kind::TrafficExtension,
    Kind::TcpRoute,
    Kind::TlsRoute,
    Kind::NetworkPolicy,
    Kind::CiliumNetworkPolicy,
    Kind::CiliumClusterwideNetworkPolicy,
    Kind::CalicoNetworkPolicy,
    Kind::CalicoGlobalNetworkPolicy,
];

/// Digests of a mesh, as if nothing of what the steps write had been written yet: so it is the same before, during
/// and after them.
#[must_use]
pub fn of(mesh: &Mesh, steps: &[Step]) -> State {
    let written = Written::by(steps);
    let mut state = State::default();
    let mut put = |id: String, raw: &Node, parts: &[&[&str]]| {
        if is_ours(raw) || written.gone.contains(&id) {
            return;
        }
        let digests = parts
            .iter()
            .filter_map(|part| Some((part.join("."), written.digest(&id, raw, part)?)))
            .collect();
        state.objects.insert(id, digests);
    };
    for namespace in mesh.others_of(&Kind::Namespace) {
        put(name(namespace), &namespace.raw, &[&["metadata", "labels"]]);
    }
    // Those that a controller makes, such as istiod for each waypoint, are of its own doing.
    for service in mesh
        .services
        .iter()
        .filter(|s| s.meta.owner_references.is_empty())
    {
        put(
            name(service),
            &service.raw,
            &[
                &["metadata", "labels"],
                &["spec", "selector"],
                &["spec", "ports"],
                &["spec", "clusterIP"],
            ],
        );
    }
    for workload in mesh
        .workloads
        .iter()
        .filter(|w| w.meta.owner_references.is_empty())
    {
        workload_parts(workload, &mut put);
    }
    let whole: &[&[&str]] = &[&["metadata", "labels"], &["spec"]];
    for object in &mesh.virtual_services {
        put(name(object), &object.raw, whole);
    }
    for object in &mesh.destination_rules {
        put(name(object), &object.raw, whole);
    }
    for object in &mesh.service_entries {
        put(name(object), &object.raw, whole);
    }
    for object in &mesh.gateways {
        put(name(object), &object.raw, whole);
    }
    for object in &mesh.routes {
        put(name(object), &object.raw, whole);
    }
    for object in &mesh.authorization_policies {
        put(
            name(object),
            &object.raw,
            &[&["metadata", "labels"], &["metadata", "annotations"], &["spec"]],
        );
    }
    for object in &mesh.request_authentications {
        put(name(object), &object.raw, whole);
    }
    for object in &mesh.peer_authentications {
        put(name(object), &object.raw, whole);
    }
    for object in WHOLE.iter().flat_map(|kind| mesh.others_of(kind)) {
        put(name(object), &object.raw, whole);
    }
    state
}

fn workload_parts<T>(workload: &Object<T>, put: &mut impl FnMut(String, &Node, &[&[&str]])) {
    let template: &[&str] = match workload.id.kind {
        Kind::Pod => &[],
        Kind::CronJob => &["spec", "jobTemplate", "spec", "template"],
        _ => &["spec", "template"],
    };
    let part = |rest: &[&'static str]| [template, rest].concat();
    let parts = [
        part(&["metadata", "labels"]),
        part(&["metadata", "annotations"]),
        part(&["spec", "serviceAccountName"]),
        part(&["spec", "hostNetwork"]),
    ];
    let parts: Vec<&[&str]> = parts.iter().map(Vec::as_slice).collect();
    put(name(workload), &workload.raw, &parts);
}

/// What is otherwise in `now` than it was planned, in words, object by object.
#[must_use]
pub fn differences(planned: &State, now: &State) -> Vec<String> {
    let mut found = Vec::new();
    for (id, parts) in &planned.objects {
        let Some(others) = now.objects.get(id) else {
            found.push(format!("{id} is gone"));
            continue;
        };
        let keys: std::collections::BTreeSet<&String> = parts.keys().chain(others.keys()).collect();
        for key in keys.into_iter().filter(|key| parts.get(*key) != others.get(*key)) {
            found.push(format!("{id}: `{key}` was changed"));
        }
    }
    let new = now.objects.keys().filter(|id| !planned.objects.contains_key(*id));
    found.extend(new.map(|id| format!("{id} is new")));
    found
}

fn name<T>(object: &Object<T>) -> String {
    object.id.to_string()
}

fn is_ours(raw: &Node) -> bool {
    raw.at(&["metadata", "labels", MANAGED_BY])
        .and_then(Node::as_str)
        .is_some_and(|manager| manager == FIELD_MANAGER)
}

/// What the steps write, by object.
struct Written {
    fields: HashMap<String, Json>,
    /// Labels that go, with the values that they have.
    labels: HashMap<String, Vec<(String, String)>>,
    /// Objects that go.
    gone: HashSet<String>,
}

impl Written {
    fn by(steps: &[Step]) -> Self {
        let mut written = Self {
            fields: HashMap::new(),
            labels: HashMap::new(),
            gone: HashSet::new(),
        };
        for write in steps.iter().flat_map(|step| &step.writes) {
            let id = write.target().to_string();
            match write {
                Write::Create { .. } => {}
                Write::Set { manifest } => {
                    merge(written.fields.entry(id).or_insert(Json::Null), manifest);
                }
                Write::Unlabel { label, value, .. } => {
                    let labels = written.labels.entry(id).or_default();
                    labels.push((label.clone(), value.clone()));
                }
                Write::Delete { .. } => {
                    written.gone.insert(id);
                }
            }
        }
        written
    }

    /// The digest of a part of an object without what is written; none if nothing is left.
    fn digest(&self, id: &str, raw: &Node, part: &[&str]) -> Option<String> {
        let mut value = raw.at(part).map_or(Json::Null, Json::from);
        if let Some(fields) = self.fields.get(id) {
            let pointer = part
                .iter()
                .fold(String::new(), |path, key| path + "/" + &key.replace('/', "~1"));
            if let Some(ours) = fields.pointer(&pointer) {
                subtract(&mut value, ours);
            }
        }
        if part == ["metadata", "labels"]
            && let (Some(labels), Json::Object(map)) = (self.labels.get(id), &mut value)
        {
            for (label, had) in labels {
                if map.get(label).and_then(Json::as_str) == Some(had) {
                    map.shift_remove(label);
                }
            }
        }
        if part.last() == Some(&"annotations")
            && let Json::Object(map) = &mut value
        {
            // Written by the cluster and by kubectl for themselves.
            map.shift_remove("kubectl.kubernetes.io/last-applied-configuration");
            map.shift_remove("deployment.kubernetes.io/revision");
        }
        is_something(&value).then(|| digest(&value))
    }
}

fn is_something(value: &Json) -> bool {
    match value {
        Json::Null => false,
        Json::Object(map) => map.values().any(is_something),
        _ => true,
    }
}

/// Adds the fields of `more`.
pub fn merge(into: &mut Json, more: &Json) {
    match (into, more) {
        (Json::Object(into), Json::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key.clone()).or_insert(Json::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

/// Takes away the fields of `ours` that have the same values.
fn subtract(from: &mut Json, ours: &Json) {
    let (Json::Object(from), Json::Object(ours)) = (from, ours) else {
        return;
    };
    for (key, value) in ours {
        let Some(found) = from.get_mut(key) else { continue };
        if found == value {
            from.shift_remove(key);
        } else {
            subtract(found, value);
        }
    }
}

/// The first eight bytes of the SHA-256 of the value with its keys sorted, in hexadecimal.
fn digest(value: &Json) -> String {
    let hash = Sha256::digest(sorted(value).to_string().as_bytes());
    hash.iter()
        .take(8)
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn sorted(value: &Json) -> Json {
    match value {
        Json::Object(map) => {
            let entries: BTreeMap<&String, Json> = map
                .iter()
                .filter(|(_, value)| is_something(value))
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            entries
                .into_iter()
                .map(|(key, value)| (key.clone(), value))
                .collect::<Map<_, _>>()
                .into()
        }
        Json::Array(items) => items.iter().map(sorted).collect(),
        _ => value.clone(),
    }
}
