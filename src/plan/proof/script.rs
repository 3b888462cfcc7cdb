//! What a plan's writes change, read once before anything is judged: the witnesses must know every policy that
//! will ever be there.

use super::objects::{Authentication, Labels, Name, Numbers, Peers, Policy, Teaching, Waypoint};
use crate::plan::document::{Plan, Target, Write};
use model::{Kind, Mesh, Node, Origin, Resource, resource};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// What a write changes.
#[derive(Debug, Clone)]
pub enum Change {
    /// A policy is there, says something else, or goes.
    Policy(Name, Option<Policy>),
    /// The same of a RequestAuthentication.
    Authentication(Name, Option<Authentication>),
    /// The same of a PeerAuthentication.
    Peers(Name, Option<Peers>),
    /// The same of a waypoint.
    Waypoint(Name, Option<Waypoint>),
    /// The same of an EnvoyFilter that teaches.
    Teaching(Name, Option<Teaching>),
    /// Labels of a Service; `None` takes the label away.
    Service(Name, BTreeMap<String, Option<String>>),
    /// Labels of a namespace.
    Namespace(String, BTreeMap<String, Option<String>>),
    /// Labels and annotations of a workload's pods.
    Template(Kind, Name, Labels, Labels),
    /// Nothing that a request's fate depends on.
    Nothing,
    /// Nobody knows what: the object cannot be read.
    Unreadable(String),
}

/// Reads writes one after the other.
pub struct Reader<'a> {
    numbers: Numbers<'a>,
    domain: &'a str,
    /// Trees of objects that `Set` may be merged into.
    trees: HashMap<(Kind, Name), Cow<'a, Json>>,
    initial: HashMap<(Kind, Name), &'a Node>,
}

impl<'a> Reader<'a> {
    /// Knows the objects of the mesh.
    pub fn new(mesh: &'a Mesh) -> Self {
        let mut initial = HashMap::new();
        let mut know = |id: &model::ObjectRef, raw: &'a Node| {
            let namespace = id.namespace.as_deref().unwrap_or_default().to_owned();
            initial.insert((id.kind.clone(), (namespace, id.name.to_string())), raw);
        };
        mesh.authorization_policies
            .iter()
            .for_each(|o| know(&o.id, &o.raw));
        mesh.request_authentications
            .iter()
            .for_each(|o| know(&o.id, &o.raw));
        mesh.peer_authentications.iter().for_each(|o| know(&o.id, &o.raw));
        mesh.gateways.iter().for_each(|o| know(&o.id, &o.raw));
        mesh.others_of(&Kind::EnvoyFilter)
            .for_each(|o| know(&o.id, &o.raw));
        Self {
            numbers: Numbers::new(&mesh.settings),
            domain: &mesh.settings.cluster_domain,
            trees: HashMap::new(),
            initial,
        }
    }

    /// What is there before the first write.
    pub fn first(&mut self, mesh: &Mesh) -> Vec<Change> {
        let policies: Vec<Policy> = mesh
            .authorization_policies
            .iter()
            .map(|object| self.numbers.policy(object))
            .collect();
        let mut changes: Vec<Change> = policies
            .into_iter()
            .map(|policy| Change::Policy(policy.id.clone(), Some(policy)))
            .collect();
        changes.extend(mesh.request_authentications.iter().map(|object| {
            let found = Authentication::from(object);
            Change::Authentication(found.id.clone(), Some(found))
        }));
        changes.extend(mesh.peer_authentications.iter().map(|object| {
            let found = Peers::from(object);
            Change::Peers(found.id.clone(), Some(found))
        }));
        changes.extend(mesh.gateways.iter().map(|object| {
            let class = &object.spec.gateway_class_name;
            let spec = object.raw.get("spec");
            let found = Waypoint::of(class, &object.meta.labels, spec, true);
            Change::Waypoint((object.namespace().to_owned(), object.name().to_owned()), found)
        }));
        changes.extend(mesh.others_of(&Kind::EnvoyFilter).map(|object| {
            let spec = object.raw.get("spec").map(Json::from).unwrap_or_default();
            let found = Teaching::of(object.namespace(), &object.meta.annotations, &spec, self.domain);
            Change::Teaching((object.namespace().to_owned(), object.name().to_owned()), found)
        }));
        changes
    }

    /// What each write of each step changes.
    pub fn read(&mut self, plan: &'a Plan) -> Vec<Vec<Change>> {
        let mut steps = Vec::with_capacity(plan.steps.len());
        for step in &plan.steps {
            steps.push(step.writes.iter().map(|write| self.write(write)).collect());
        }
        steps
    }

    fn write(&mut self, write: &'a Write) -> Change {
        match write {
            Write::Create { manifest } => self.put(Cow::Borrowed(manifest)),
            Write::Set { manifest } => self.set(manifest),
            Write::Unlabel { object, label, .. } => {
                let (kind, name) = key(object);
                let gone = BTreeMap::from([(label.clone(), None)]);
                match kind {
                    Kind::Service => Change::Service(name, gone),
                    Kind::Namespace => Change::Namespace(name.1, gone),
                    _ => Change::Nothing,
                }
            }
            Write::Delete { object } => {
                let (kind, name) = key(object);
                self.trees
                    .insert((kind.clone(), name.clone()), Cow::Owned(Json::Null));
                match kind {
                    Kind::AuthorizationPolicy => Change::Policy(name, None),
                    Kind::RequestAuthentication => Change::Authentication(name, None),
                    Kind::PeerAuthentication => Change::Peers(name, None),
                    Kind::Gateway => Change::Waypoint(name, None),
                    Kind::EnvoyFilter => Change::Teaching(name, None),
                    _ => Change::Nothing,
                }
            }
        }
    }

    /// Fields of an object that is there.
    fn set(&mut self, manifest: &'a Json) -> Change {
        let (kind, name) = key(&Target::of(manifest));
        let labels = || {
            let labels = texts(manifest.pointer("/metadata/labels"));
            labels
                .into_iter()
                .map(|(key, value)| (key, Some(value)))
                .collect()
        };
        match kind {
            Kind::Service => Change::Service(name, labels()),
            Kind::Namespace => Change::Namespace(name.1, labels()),
            _ if model::Workload::template_path(&kind).segments().len() > 1 && is_workload(&kind) => {
                let template = if kind == Kind::CronJob {
                    "/spec/jobTemplate/spec/template/metadata"
                } else {
                    "/spec/template/metadata"
                };
                let metadata = manifest.pointer(template);
                let part = |key: &str| texts(metadata.and_then(|metadata| metadata.get(key)));
                Change::Template(kind, name, part("labels"), part("annotations"))
            }
            _ => {
                let place = (kind, name);
                let known = self.trees.remove(&place);
                let initial = self.initial.get(&place).map(|node| Cow::Owned(Json::from(*node)));
                let Some(mut tree) = known.or(initial).filter(|tree| !tree.is_null()) else {
                    return self.put(Cow::Borrowed(manifest));
                };
                merge(tree.to_mut(), manifest);
                self.put(tree)
            }
        }
    }

    /// A whole object.
    fn put(&mut self, tree: Cow<'a, Json>) -> Change {
        let (kind, name) = key(&Target::of(&tree));
        let relevant = matches!(
            kind,
            Kind::AuthorizationPolicy
                | Kind::RequestAuthentication
                | Kind::PeerAuthentication
                | Kind::Gateway
                | Kind::EnvoyFilter
        );
        if !relevant {
            return Change::Nothing;
        }
        if kind == Kind::EnvoyFilter {
            let annotations = texts(tree.pointer("/metadata/annotations"));
            let spec = tree.get("spec").unwrap_or(&Json::Null);
            let found = Teaching::of(&name.0, &annotations, spec, self.domain);
            self.trees.insert((kind, name.clone()), tree);
            return Change::Teaching(name, found);
        }
        let reading = resource::read(Node::from(tree.clone().into_owned()), &Origin::Cluster);
        self.trees.insert((kind, name.clone()), tree);
        match reading.resource {
            Some(Resource::AuthorizationPolicy(mut object)) => {
                object.has_unknown_fields |= !reading.unknown.is_empty();
                Change::Policy(name, Some(self.numbers.policy(&object)))
            }
            Some(Resource::RequestAuthentication(object)) => {
                Change::Authentication(name, Some(Authentication::from(&object)))
            }
            Some(Resource::PeerAuthentication(object)) => Change::Peers(name, Some(Peers::from(&object))),
            Some(Resource::Gateway(object)) => {
                let (class, spec) = (&object.spec.gateway_class_name, object.raw.get("spec"));
                Change::Waypoint(name, Waypoint::of(class, &object.meta.labels, spec, false))
            }
            _ => Change::Unreadable(format!("{}/{}", name.0, name.1)),
        }
    }
}

/// Whether objects of the kind have pods.
fn is_workload(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Deployment
            | Kind::StatefulSet
            | Kind::DaemonSet
            | Kind::ReplicaSet
            | Kind::Job
            | Kind::Rollout
            | Kind::CronJob
    )
}

/// The kind, and namespace and name, of the object that a write is about.
pub fn key(target: &Target) -> (Kind, Name) {
    let kind = Kind::new(target.group(), &target.kind);
    let namespace = target.namespace.clone().unwrap_or_default();
    (kind, (namespace, target.name.clone()))
}

fn texts(map: Option<&Json>) -> Labels {
    let fields = map.and_then(Json::as_object).into_iter().flatten();
    fields
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Server-side apply of someone else's fields: mappings are merged, everything else is replaced.
fn merge(tree: &mut Json, fields: &Json) {
    match (tree, fields) {
        (Json::Object(tree), Json::Object(fields)) => {
            for (key, value) in fields {
                match tree.get_mut(key) {
                    Some(old) => merge(old, value),
                    None => {
                        tree.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (tree, fields) => *tree = fields.clone(),
    }
}
