//! Copies of policies that are attached to targets instead of selecting pods.

use crate::convert::Change;
use crate::convert::context::Context;
use crate::convert::targets::{self, MAX_TARGETS, To};
use crate::convert::virtual_service::versions;
use model::{Object, ObjectRef};
use serde_json::{Map, Value as Json, json};
use std::collections::HashMap;

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

/// Gives names to copies; no two get the same one.
#[derive(Debug, Default)]
pub struct Names {
    taken: HashMap<ObjectRef, ObjectRef>,
}

impl Names {
    /// Copies of an object, in as many objects as the limit on targets asks for. Annotations named in `annotations` go
    /// along.
    pub fn write<T>(
        &mut self,
        context: &Context<'_>,
        object: &Object<T>,
        annotations: &[&str],
        drafts: &[Draft],
    ) -> Vec<Change> {
        let drafts: Vec<Draft> = drafts.iter().map(|draft| with_versions(context, draft)).collect();
        let mut parts: Vec<(&Draft, &[To])> = Vec::new();
        for draft in &drafts {
            if draft.to.is_empty() {
                parts.push((draft, &[]));
            }
            parts.extend(draft.to.chunks(MAX_TARGETS).map(|to| (draft, to)));
        }
        let group = |(draft, to): &(&Draft, &[To])| (draft.namespace.clone(), to.is_empty());
        let mut sizes: HashMap<(String, bool), usize> = HashMap::new();
        for part in &parts {
            *sizes.entry(group(part)).or_default() += 1;
        }
        let mut numbers: HashMap<(String, bool), usize> = HashMap::new();
        let mut changes = Vec::new();
        for part in &parts {
            let (draft, to) = *part;
            let several = sizes.get(&group(part)).is_some_and(|size| *size > 1);
            let number = numbers.entry(group(part)).or_default();
            *number += 1;
            let id = self.name(context, object, draft, to.is_empty(), several.then_some(*number));
            changes.push(write(object, annotations, id, draft, to));
        }
        changes
    }

    fn name<T>(
        &mut self,
        context: &Context<'_>,
        object: &Object<T>,
        draft: &Draft,
        selects: bool,
        number: Option<usize>,
    ) -> ObjectRef {
        let reader = if selects { "ztunnel" } else { "waypoint" };
        // In another namespace there may be a policy of the same name.
        let mut base = if draft.namespace == object.namespace() {
            format!("{}-{reader}", object.name())
        } else {
            format!("{}-{}-{reader}", object.namespace(), object.name())
        };
        if let Some(number) = number {
            base = format!("{base}-{number}");
        }
        loop {
            let id = context.free_name(&draft.namespace, &object.id.kind, &base, &object.id);
            if self.taken.contains_key(&id) {
                base.push_str("-x");
                continue;
            }
            self.taken.insert(id.clone(), object.id.clone());
            return id;
        }
    }
}

/// A draft for Services and those that were made of their subsets, which can be called past them.
fn with_versions(context: &Context<'_>, draft: &Draft) -> Draft {
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
    Draft {
        to: draft.to.iter().flat_map(with_versions).collect(),
        ..draft.clone()
    }
}

fn write<T>(object: &Object<T>, annotations: &[&str], id: ObjectRef, draft: &Draft, to: &[To]) -> Change {
    let mut metadata = crate::convert::metadata(&id, &object.id);
    for key in annotations {
        if let Some(value) = object.meta.annotations.get(*key) {
            metadata["annotations"][*key] = json!(value);
        }
    }
    targets::of_same_kind(object, id, &metadata, targets::attached_spec(to, &draft.fields))
}
