//! Copies of policies that are attached to targets instead of selecting pods.

use crate::convert::context::Context;
use crate::convert::targets::{self, MAX_TARGETS, To};
use crate::convert::virtual_service::versions;
use crate::convert::{Change, Spec};
use model::{Object, ObjectRef};
use serde_json::{Map, Value as Json, json};
use std::collections::{HashMap, HashSet};

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

/// A copy that has no name yet, as text: trees of all copies at once would take ten times as much.
#[derive(Debug)]
pub struct Part {
    namespace: String,
    /// Whether ztunnel reads it, and no waypoint.
    selects: bool,
    spec: Spec,
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
            spec: targets::attached_spec(to, fields).into(),
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

/// Gives names to copies; no two get the same one.
#[derive(Debug, Default)]
pub struct Names {
    taken: HashSet<ObjectRef>,
}

impl Names {
    /// Copies of an object. Annotations named in `annotations` go along.
    pub fn write<T>(
        &mut self,
        context: &Context<'_>,
        object: &Object<T>,
        annotations: &[&str],
        parts: Vec<Part>,
    ) -> Vec<Change> {
        let group = |part: &Part| (part.namespace.clone(), part.selects);
        let mut sizes: HashMap<(String, bool), usize> = HashMap::new();
        for part in &parts {
            *sizes.entry(group(part)).or_default() += 1;
        }
        let mut numbers: HashMap<(String, bool), usize> = HashMap::new();
        let mut changes = Vec::with_capacity(parts.len());
        for part in parts {
            let several = sizes.get(&group(&part)).is_some_and(|size| *size > 1);
            let number = numbers.entry(group(&part)).or_default();
            *number += 1;
            let id = self.name(context, object, &part, several.then_some(*number));
            changes.push(write(object, annotations, id, part.spec));
        }
        changes
    }

    fn name<T>(
        &mut self,
        context: &Context<'_>,
        object: &Object<T>,
        part: &Part,
        number: Option<usize>,
    ) -> ObjectRef {
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
        loop {
            let id = context.free_name(&part.namespace, &object.id.kind, &base, &object.id);
            if self.taken.insert(id.clone()) {
                return id;
            }
            base.push_str("-x");
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

fn write<T>(object: &Object<T>, annotations: &[&str], id: ObjectRef, spec: Spec) -> Change {
    let mut metadata = crate::convert::metadata(&id, &object.id);
    for key in annotations {
        if let Some(value) = object.meta.annotations.get(*key) {
            metadata["annotations"][*key] = json!(value);
        }
    }
    targets::of_same_kind(object, id, metadata, spec)
}
