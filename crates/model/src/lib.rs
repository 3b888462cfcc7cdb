//! Istio, Gateway API and Kubernetes resources as types that know where they came from.
//!
//! Text becomes a [`node::Node`] tree with places ([`yaml`]), a tree becomes a typed
//! [`resource::Resource`] ([`decode`]), and all resources together are a [`mesh::Mesh`]. Nothing here does I/O.

pub mod decode;
pub mod emit;
pub mod kind;
pub mod mesh;
pub mod meta;
pub mod node;
pub mod resource;
pub mod room;
pub mod scalar;
pub mod security;
pub mod settings;
pub mod source;
pub mod traffic;
pub mod values;
pub mod virtual_service;
pub mod workload;
pub mod yaml;

pub use decode::{Opaque, Problem, UnknownField};
pub use kind::Kind;
pub use mesh::{ClusterCoverage, Coverage, Mesh, SettingsFile, UnknownFields};
pub use meta::{Object, ObjectMeta, ObjectRef};
pub use node::{Node, Value};
pub use resource::{Resource, Workload};
pub use source::{FieldPath, Mark, Origin};
