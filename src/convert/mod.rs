//! Rewrites the configuration that ambient mode reads differently. A function of the mesh: it adds objects,
//! it never changes or removes old ones, and what it cannot carry over exactly it keeps and names.

use crate::finding::Finding;
use model::{Mesh, ObjectRef, Origin};

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

/// A new object.
#[derive(Debug, Clone)]
pub struct Change {
    /// What it is called.
    pub id: ObjectRef,
    /// The object that it was made from.
    pub from: ObjectRef,
    /// That object as it would read in the new one's place, where the kinds are the same: what a diff
    /// compares with.
    pub before: Option<serde_json::Value>,
    /// The object, with `apiVersion`, `kind`, `metadata` and `spec` in this order.
    pub after: serde_json::Value,
}

/// The whole answer.
#[derive(Debug, Default)]
pub struct Conversion {
    /// New objects, ordered by what they are called.
    pub changes: Vec<Change>,
    /// Every object of the input, ordered by what it is called.
    pub outcomes: Vec<Outcome>,
    /// What was kept, could not be carried over exactly, or should be known.
    pub findings: Vec<Finding>,
}

/// Converts a mesh.
#[must_use]
pub fn convert(mesh: &Mesh) -> Conversion {
    let outcomes = mesh
        .ids()
        .map(|id| Outcome {
            id: id.clone(),
            origin: Origin::Cluster,
            disposition: Disposition::NotOurs,
        })
        .collect();
    Conversion {
        outcomes,
        ..Conversion::default()
    }
}
