//! Metadata that every object has, and references to objects.

use crate::decode::{Decode, Opaque};
use crate::kind::Kind;
use crate::node::Node;
use crate::record;
use crate::source::{FieldPath, Mark, Origin};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

record! { lenient;
    /// The part of `metadata` that decisions depend on.
    pub struct ObjectMeta {
        /// The name.
        pub name: String = "name",
        /// The namespace; absent in a file means `default`, and nothing for kinds without one.
        pub namespace: Option<String> = "namespace",
        /// Labels.
        pub labels: BTreeMap<String, String> = "labels",
        /// Annotations.
        pub annotations: BTreeMap<String, String> = "annotations",
        /// When the API server created the object, RFC 3339 in UTC; such texts sort by time.
        pub creation_timestamp: Option<String> = "creationTimestamp",
        /// The objects that manage this one; a pod without any is a bare pod.
        pub owner_references: Vec<Opaque> = "ownerReferences",
    }
}

/// Kind, namespace and name: what an object is called in every output.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// The namespace, for kinds that have one.
    pub namespace: Option<Arc<str>>,
    /// The kind.
    pub kind: Kind,
    /// The name.
    pub name: Arc<str>,
}

impl fmt::Display for ObjectRef {
    /// `namespace/Kind/name`, without the first part for kinds that have no namespace.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// An object with its type, and with the tree that it was read from.
#[derive(Debug, Clone)]
pub struct Object<T> {
    /// What it is called.
    pub id: ObjectRef,
    /// Its metadata.
    pub meta: ObjectMeta,
    /// Where it was read.
    pub origin: Origin,
    /// The tree, which knows the place of every field.
    pub raw: Arc<Node>,
    /// Whether there are fields that the kind does not have.
    pub has_unknown_fields: bool,
    /// The typed part.
    pub spec: T,
}

impl<T> Object<T> {
    /// The namespace, empty for kinds that have none.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.id.namespace.as_deref().unwrap_or_default()
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.id.name
    }

    /// The place of a field of this object.
    #[must_use]
    pub fn mark_of(&self, path: &FieldPath) -> Mark {
        self.raw.mark_of(path)
    }

    /// This object with another typed part.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Object<U> {
        let Self {
            id,
            meta,
            origin,
            raw,
            has_unknown_fields,
            spec,
        } = self;
        Object {
            id,
            meta,
            origin,
            raw,
            has_unknown_fields,
            spec: change(spec),
        }
    }
}

/// Reads a part of an object that is known to be there, or its default.
pub(crate) fn decode_or_default<T: Decode + Default>(
    node: &Node,
    key: &str,
    decoder: &mut crate::decode::Decoder,
) -> Option<T> {
    match node.get(key) {
        Some(part) if !part.is_null() => decoder.field(key, part),
        _ => Some(T::default()),
    }
}
