//! The data plane that the executable carries: its programs, images of them, and the manifests that run them.

pub mod extract;
pub mod image;
pub mod manifests;
mod program;
pub mod push;
pub mod setting;

pub use program::{CorruptError, Program, embedded};

/// A program of the data plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `mesh-proxy`, in the place of ztunnel.
    Proxy,
    /// `mesh-agent`, in the place of istio-cni.
    Agent,
}

impl Role {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Proxy, Self::Agent];

    /// The name of the program, and of its image.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Proxy => "mesh-proxy",
            Self::Agent => "mesh-agent",
        }
    }
}
