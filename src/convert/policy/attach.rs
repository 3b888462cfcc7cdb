//! Copies of policies that are attached to targets instead of selecting pods.

use crate::convert::Change;
use crate::convert::context::Context;
use crate::convert::targets::{self, MAX_TARGETS, To};
use crate::convert::virtual_service::versions;
use foldhash::HashSet;
use model::{Object, ObjectRef};
use serde_json::{Map, Value as Json, json};

/// A copy that has no name yet.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Where it will be.
    pub namespace: String,
    /// What it is attached to; without anything it has the scope of `fields`.
    pub to: Vec<To>,
    /// The fields of its `spec` beside those.
    pub fields: Map<String, Json>,
}

/// A copy that has no name yet.
#[derive(Debug)]
pub struct Part {
    namespace: String,
    /// Whether ztunnel reads it, and no waypoint.
    selects: bool,
    spec: Json,
}

impl Draft {
    /// The copies of a draft, as many as the limit on targets asks for.
    pub fn into_parts(self, context: &Context<'_>) -> Vec<Part> {
        let to = with_versions(context, &self);
        let Self {
            namespace, fields, ..
        } = self;
        let part = |to: &[To], fields| Part {
            namespace: namespace.clone(),
            selects: to.is_empty(),
            spec: targets::attached_spec(to, fields),
        };
        match to.len() {
            0..=MAX_TARGETS => vec![part(&to, fields)],
            _ => to
                .chunks(MAX_TARGETS)
                .map(|to| part(to, fields.clone()))
                .collect(),
        }
    }
}

/// Copies of one object, numbered where several have the same reader. Annotations that are named go along.
pub fn written<T>(
    context: &Context<'_>,
    object: &Object<T>,
    annotations: &[&str],
    parts: Vec<Part>,
) -> Vec<Change> {
    let is_beside = |a: &Part, b: &Part| a.selects == b.selects && a.namespace == b.namespace;
    let number_of = |index: usize| {
        let part = parts.get(index)?;
        let several = parts.iter().filter(|other| is_beside(part, other)).count() > 1;
        let before = parts.iter().take(index).filter(|other| is_beside(part, other));
        several.then(|| before.count() + 1)
    };
    let numbers: Vec<Option<usize>> = (0..parts.len()).map(number_of).collect();
    let write = |(part, number): (Part, Option<usize>)| {
        let id = name(context, object, &part, number);
        let mut metadata = crate::convert::metadata(&id, &object.id);
        for key in annotations {
            if let Some(value) = object.meta.annotations.get(*key) {
                metadata["annotations"][*key] = json!(value);
            }
        }
        targets::of_same_kind(object, id, metadata, part.spec)
    };
    parts.into_iter().zip(numbers).map(write).collect()
}

fn name<T>(context: &Context<'_>, object: &Object<T>, part: &Part, number: Option<usize>) -> ObjectRef {
    let reader = if part.selects { "ztunnel" } else { "waypoint" };
    // In another namespace there may be a policy of the same name.
    let mut base = if part.namespace == object.namespace() {
        format!("{}-{reader}", object.name())
    } else {
        format!("{}-{}-{reader}", object.namespace(), object.name())
    };
    if let Some(number) = number {
        base = format!("{base}-{number}");
    }
    context.free_name(&part.namespace, &object.id.kind, &base, &object.id)
}

/// The names that were given to copies; no two get the same one.
#[derive(Debug, Default)]
pub struct Names {
    taken: HashSet<ObjectRef>,
}

impl Names {
    /// Takes the names of copies, or others where somebody has them.
    pub fn claim(&mut self, context: &Context<'_>, copies: &mut [Change]) {
        for copy in copies {
            while !self.taken.insert(copy.id.clone()) {
                let base = format!("{}-x", copy.id.name);
                let namespace = copy.id.namespace.as_deref().unwrap_or_default();
                let id = context.free_name(namespace, &copy.id.kind, &base, &copy.from);
                copy.rename(id);
            }
        }
    }
}

/// The targets of a draft, and the Services that were made of their subsets, which can be called past them.
fn with_versions(context: &Context<'_>, draft: &Draft) -> Vec<To> {
    let versions_of = |to: &To| match to {
        To::Service(name) => context
            .mesh
            .service(&draft.namespace, name)
            .map_or(&[][..], |service| versions::of(context, service)),
        To::Waypoint(_) | To::AllWaypoints => &[],
    };
    let with_versions = |to: &To| {
        let versions = versions_of(to).iter().cloned().map(To::Service);
        std::iter::once(to.clone()).chain(versions).collect::<Vec<_>>()
    };
    draft.to.iter().flat_map(with_versions).collect()
}
