//! Rewrites the configuration that ambient mode reads differently. A function of the mesh: it adds objects,
//! it never changes or removes old ones, and what it cannot carry over exactly it keeps and names.

mod assumed;
pub(crate) mod context;
mod ingress;
mod kinds;
mod names;
mod notes;
pub mod options;
mod policy;
mod targets;
mod virtual_service;
pub(crate) mod waypoint;

pub use assumed::assumed_services;
pub use options::{Options, Subsets, WaypointPer};

use crate::code::Code;
use crate::finding::Finding;
use context::Context;
use model::{FieldPath, Mesh, Node, Object, ObjectRef, Origin, Value};
use notes::Notes;
use rayon::slice::ParallelSliceMut as _;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use waypoint::Reference;

/// The label that objects written by this program carry.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The name of this program in that label.
pub const PROGRAM: &str = "mesh-migrate";
/// The annotation that says what an object was made from, as `namespace/Kind/name`.
pub const CONVERTED_FROM: &str = "mesh-migrate.io/converted-from";

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disposition {
    /// New objects say the same to ambient mode; the old one stays for sidecars.
    Converted,
    /// The old object stays alone: it works at a waypoint as it is, or there is no exact form; a finding
    /// says which.
    Kept,
    /// Ambient mode reads the object as it is, or the object has no part in the mesh.
    NothingToDo,
    /// A kind that has nothing to do with the mesh.
    NotOurs,
}

/// An object of the input and what became of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The object.
    pub id: ObjectRef,
    /// Where it was read.
    pub origin: Origin,
    /// What became of it.
    pub disposition: Disposition,
}

/// An object as YAML text: what is written to files and shown in diffs, and a tenth of the size of its tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    text: Box<str>,
    /// Its parents and targets, so that nobody has to read the text for them.
    references: Box<[Reference]>,
}

impl Manifest {
    /// The object as block YAML, ending in a line feed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The object as a tree.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Json::from(&self.to_node())
    }

    /// The object as it would be read.
    #[must_use]
    pub fn to_node(&self) -> Node {
        read(&self.text)
    }
}

fn read(text: &str) -> Node {
    let chunk = model::yaml::documents(text).first().copied();
    let node = chunk.and_then(|chunk| model::yaml::parse(chunk).ok().flatten());
    node.unwrap_or_else(|| Node::unplaced(Value::Null))
}

impl From<&Json> for Manifest {
    fn from(object: &Json) -> Self {
        Self {
            // A copy in as much room as it needs, see [`model::room`].
            text: model::yaml::to_text(object).as_str().into(),
            references: waypoint::references(object).collect(),
        }
    }
}

/// An old object as it would read in the place of a new one. Written only where it is looked at.
#[derive(Debug, Clone)]
pub struct Before {
    /// What stands before `spec`, where that is not what the new object has there.
    head: Option<Box<str>>,
    object: Arc<Node>,
}

impl Before {
    /// The `spec` of an old object under the name of the new one.
    #[must_use]
    pub fn renamed(object: &Arc<Node>) -> Self {
        Self {
            head: None,
            object: Arc::clone(object),
        }
    }

    fn text(&self, new: &Manifest) -> String {
        let head = self.head.as_deref().unwrap_or_else(|| head(new.text()));
        let spec = self.object.get("spec").map_or(Json::Null, Json::from);
        format!("{head}{}", model::yaml::to_text(&json!({ "spec": spec })))
    }
}

impl From<&Json> for Before {
    fn from(object: &Json) -> Self {
        Self {
            head: Some(head(&model::yaml::to_text(object)).into()),
            object: Arc::new(object.clone().into()),
        }
    }
}

/// What stands before `spec` in a manifest.
fn head(text: &str) -> &str {
    let end = text.find("\nspec:").map_or(text.len(), |end| end + 1);
    text.get(..end).unwrap_or(text)
}

/// A new object.
#[derive(Debug, Clone)]
pub struct Change {
    /// What it is called.
    pub id: ObjectRef,
    /// What it would be called, if nothing had that name.
    pub instead_of: Option<Box<str>>,
    /// The object that it was made from.
    pub from: ObjectRef,
    /// That object as it would read in the new one's place, where the kinds are the same: what a diff
    /// compares with.
    pub before: Option<Before>,
    /// The object, with `apiVersion`, `kind`, `metadata` and `spec` in this order.
    pub after: Manifest,
}

impl Change {
    /// Gives the object another name.
    fn rename(&mut self, id: ObjectRef) {
        let mut object = self.after.to_json();
        object["metadata"]["name"] = json!(&*id.name);
        self.after = (&object).into();
        self.id = id;
    }

    /// What a diff compares with, as a tree.
    #[must_use]
    pub fn before_json(&self) -> Option<Json> {
        Some(Json::from(&read(&self.before_text()?)))
    }

    /// What a diff compares with, as block YAML.
    #[must_use]
    pub fn before_text(&self) -> Option<String> {
        Some(self.before.as_ref()?.text(&self.after))
    }
}

/// The whole answer.
#[derive(Debug, Default)]
pub struct Conversion {
    /// New objects, ordered by what they are called.
    pub changes: Vec<Change>,
    /// New objects that an earlier run wrote just so.
    pub unchanged: Vec<ObjectRef>,
    /// Every object of the input, ordered by what it is called.
    pub outcomes: Vec<Outcome>,
    /// What was kept, could not be carried over exactly, or should be known.
    pub findings: Vec<Finding>,
}

/// The converters, one file each, in the order in which they run; the one of kinds says of all other kinds what becomes of
/// them, and waypoints are for what all of them made.
const CONVERTERS: &[fn(&Context<'_>, &mut Sink)] = &[
    ingress::convert_all,
    virtual_service::convert_all,
    virtual_service::existing::check_all,
    policy::convert_all,
    kinds::convert_all,
    waypoint::convert_all,
];

/// Converts a mesh.
#[must_use]
pub fn convert(mesh: &Mesh, options: Options) -> Conversion {
    let context = Context::new(mesh, options);
    let mut sink = Sink::for_objects(mesh.len());
    for converter in CONVERTERS {
        converter(&context, &mut sink);
    }
    let mut conversion = sink.conversion;
    names::make_unique(&context, &mut conversion.changes);
    if options.ingress {
        // What stands in the way in the mesh does so at a gateway, too.
        conversion.findings = without_repetitions(conversion.findings);
    }
    let unchanged = &mut conversion.unchanged;
    conversion.changes.retain(|change| {
        let exists = context.exists(change);
        if exists {
            unchanged.push(change.id.clone());
        }
        !exists
    });
    conversion.changes.par_sort_unstable_by(|a, b| a.id.cmp(&b.id));
    conversion.outcomes.par_sort_unstable_by(|a, b| {
        (&a.id, &a.origin, a.disposition).cmp(&(&b.id, &b.origin, b.disposition))
    });
    conversion.findings.par_sort_unstable_by(Finding::order);
    conversion
}

/// Takes what the converters have to say.
#[derive(Debug, Default)]
struct Sink {
    conversion: Conversion,
    ingress: ingress::Answers,
}

impl Sink {
    /// Room that is never touched costs nothing; lists that move as they grow leave holes of their size.
    fn for_objects(count: usize) -> Self {
        let mut sink = Self::default();
        sink.conversion.outcomes.reserve_exact(count);
        sink.conversion.changes.reserve_exact(2 * count);
        sink.conversion.findings.reserve_exact(4 * count);
        sink
    }

    fn put<T>(
        &mut self,
        object: &Object<T>,
        disposition: Disposition,
        changes: Vec<Change>,
        findings: Vec<Finding>,
    ) {
        let (id, origin) = (object.id.clone(), object.origin.clone());
        self.conversion.outcomes.push(Outcome {
            id,
            origin,
            disposition,
        });
        self.conversion.changes.extend(changes);
        self.conversion.findings.extend(findings);
    }
}

/// Objects of which it is not certain what they say are kept.
fn check_certainty<T>(context: &Context<'_>, object: &Object<T>, notes: &mut Notes<'_, T>) {
    if object.has_unknown_fields {
        notes.keep(
            Code::UnknownFieldKept,
            &FieldPath::root(),
            "the object has fields whose meaning is not known",
        );
    }
    if context.is_duplicate(&object.id) {
        notes.keep(
            Code::DefinedTwice,
            &FieldPath::root(),
            "the object stands in the input more than once",
        );
    }
}

/// Metadata of a new object.
fn metadata(id: &ObjectRef, from: &ObjectRef) -> Json {
    json!({
        "name": &*id.name,
        "namespace": id.namespace.as_deref().unwrap_or_default(),
        "labels": { MANAGED_BY: PROGRAM },
        "annotations": { CONVERTED_FROM: from.to_string() },
    })
}

/// Whether an object was made by this program.
fn is_ours(labels: &BTreeMap<String, String>) -> bool {
    labels.get(MANAGED_BY).is_some_and(|manager| manager == PROGRAM)
}

/// Whether an earlier run made an object from another one.
fn is_copy<T>(object: &Object<T>) -> bool {
    is_ours(&object.meta.labels) && object.meta.annotations.contains_key(CONVERTED_FROM)
}

/// Findings that were made once per port or target, each once.
fn without_repetitions(mut findings: Vec<Finding>) -> Vec<Finding> {
    if findings.len() < 2 {
        return findings;
    }
    let mut seen = foldhash::HashSet::default();
    let is_new: Vec<bool> = findings
        .iter()
        .map(|finding| {
            let place = &finding.location;
            seen.insert((&finding.code, &place.object, &place.path, &finding.message))
        })
        .collect();
    let mut is_new = is_new.into_iter();
    findings.retain(|_| is_new.next().unwrap_or(true));
    findings
}
