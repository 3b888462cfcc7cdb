//! Copies of policies that are attached to targets instead of selecting pods.

use crate::convert::Change;
use crate::convert::context::Context;
use crate::convert::names::FreeName;
use crate::convert::targets::{self, MAX_TARGETS, To};
use model::Object;
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
        let to = targets::with_versions(context, &self.namespace, &self.to);
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
        let name = name(context, object, &part, number);
        let mut metadata = crate::convert::metadata(&name.id, &object.id);
        for key in annotations {
            if let Some(value) = object.meta.annotations.get(*key) {
                metadata["annotations"][*key] = json!(value);
            }
        }
        targets::of_same_kind(object, name, metadata, part.spec)
    };
    parts.into_iter().zip(numbers).map(write).collect()
}

fn name<T>(context: &Context<'_>, object: &Object<T>, part: &Part, number: Option<usize>) -> FreeName {
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
