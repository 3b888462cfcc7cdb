//! What is said about one object while it is converted.

use crate::code::Code;
use crate::finding::{Finding, Location};
use model::{FieldPath, Object};

/// Collects what there is to say about an object, and whether it has to be kept as it is.
pub struct Notes<'a, T> {
    object: &'a Object<T>,
    obstacles: Vec<Finding>,
    remarks: Vec<Finding>,
}

impl<'a, T> Notes<'a, T> {
    /// Nothing to say yet.
    pub fn on(object: &'a Object<T>) -> Self {
        Self {
            object,
            obstacles: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// The object cannot be converted, because of this field.
    pub fn keep(&mut self, code: Code, path: &FieldPath, message: impl Into<String>) {
        self.obstacles.push(self.finding(code, path, message.into()));
    }

    /// Something to know about the new objects, which does not stand in the way.
    pub fn tell(&mut self, code: Code, path: &FieldPath, message: impl Into<String>) {
        self.remarks.push(self.finding(code, path, message.into()));
    }

    /// Whether something stands in the way.
    pub fn is_kept(&self) -> bool {
        !self.obstacles.is_empty()
    }

    /// What there is to say: all that stands in the way, or the remarks about what was made.
    pub fn into_findings(self) -> Vec<Finding> {
        if self.obstacles.is_empty() {
            self.remarks
        } else {
            self.obstacles
        }
    }

    fn finding(&self, code: Code, path: &FieldPath, message: String) -> Finding {
        let location = if path.segments().is_empty() {
            Location::of_object(self.object)
        } else {
            Location::of_field(self.object, path)
        };
        code.finding(location, message)
    }
}
