//! Reading the world: files, standard input, a cluster, a snapshot, or the sample inside the executable,
//! each to an [`Input`].

pub mod cluster;
mod document;
pub mod files;
pub mod snapshot;
mod template;
pub mod traffic;
pub mod witness;

use crate::finding::Finding;
use model::{Mesh, ObjectRef, Origin};
use std::collections::HashMap;
use std::sync::Arc;

/// What one document turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentKind {
    /// An object, read with its type.
    Object(ObjectRef),
    /// Chart values or a CNI configuration, read for its settings.
    Settings,
    /// A template that has to be rendered first; the word says of what.
    Template(&'static str),
    /// Not an object that the program could know; the words say what it is.
    NotOurs(String),
    /// Text with errors.
    Unreadable,
}

/// A document and what it turned out to be.
#[derive(Debug, Clone)]
pub struct Document {
    /// Where it stands.
    pub origin: Origin,
    /// Its first line, from 1; 0 for objects of a cluster.
    pub line: u32,
    /// What it is.
    pub kind: DocumentKind,
}

/// All that was read.
#[derive(Debug, Default)]
pub struct Input {
    /// The objects.
    pub mesh: Mesh,
    /// What could not be read: with any of these, the answer is about a part of the input only.
    pub errors: Vec<Finding>,
    /// What was passed over or not understood without being an error.
    pub notes: Vec<Finding>,
    /// Every document.
    pub documents: Vec<Document>,
    /// What was read, in words: `12 files` or ``context `prod` ``.
    pub description: String,
    /// Why the view of a cluster is partial, one sentence each; empty if it is complete, and for files.
    pub gaps: Vec<String>,
    /// What was in each file on disk when it was read, as [`files::fingerprint`] gives it.
    pub fingerprints: HashMap<Arc<str>, u64>,
}
