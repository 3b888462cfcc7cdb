//! What is said about one object while it is converted.

use crate::code::Code;
use crate::finding::{Finding, Location};
use model::room::exact;
use model::{FieldPath, Node, Object, ObjectRef, Origin};
use std::sync::Arc;

/// Collects what there is to say about an object, and whether it has to be kept as it is.
pub struct Notes<'a, T> {
    object: &'a Object<T>,
    /// Another object to which the fields belong at the moment.
    other: Option<(ObjectRef, Origin, Arc<Node>)>,
    obstacles: Vec<Finding>,
    remarks: Vec<Finding>,
}

impl<'a, T> Notes<'a, T> {
    /// Nothing to say yet.
    pub fn on(object: &'a Object<T>) -> Self {
        Self {
            object,
            other: None,
            obstacles: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// From now on fields are those of another object, which takes part in this one.
    pub fn elsewhere<U>(&mut self, other: &Object<U>) {
        self.other =
            (other.id != self.object.id).then(|| (other.id.clone(), other.origin.clone(), other.raw.clone()));
    }

    /// From now on fields are those of the object itself.
    pub fn here(&mut self) {
        self.other = None;
    }

    /// The object cannot be converted, because of this field.
    pub fn keep(&mut self, code: Code, path: &FieldPath, message: impl Into<String>) {
        self.obstacles.push(self.finding(code, path, message.into()));
    }

    /// Something to know about the new objects, which does not stand in the way.
    pub fn tell(&mut self, code: Code, path: &FieldPath, message: impl Into<String>) {
        self.remarks.push(self.finding(code, path, message.into()));
    }

    /// Gives back the room for more.
    pub fn shrink(&mut self) {
        for list in [&mut self.obstacles, &mut self.remarks] {
            *list = exact(std::mem::take(list));
        }
    }

    /// How many things stand in the way.
    pub fn obstacles(&self) -> usize {
        self.obstacles.len()
    }

    /// Whether something stands in the way.
    pub fn is_kept(&self) -> bool {
        !self.obstacles.is_empty()
    }

    /// What there is to say: all that stands in the way, or the remarks about what was made.
    pub fn into_findings(self) -> Vec<Finding> {
        super::without_repetitions(if self.obstacles.is_empty() {
            self.remarks
        } else {
            self.obstacles
        })
    }

    fn finding(&self, code: Code, path: &FieldPath, message: String) -> Finding {
        if let Some((id, origin, raw)) = &self.other {
            let location = Location {
                origin: origin.clone(),
                mark: raw.mark_of(path),
                object: Some(id.clone()),
                path: path.clone(),
            };
            return code.finding(location, message);
        }
        let location = if path.segments().is_empty() {
            Location::of_object(self.object)
        } else {
            Location::of_field(self.object, path)
        };
        code.finding(location, message)
    }
}
