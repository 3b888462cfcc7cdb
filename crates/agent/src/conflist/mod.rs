//! The plugin's entry in the node's CNI configuration.

mod edit;
mod install;

pub use edit::{EditError, insert, remove};
pub use install::{InstallError, Installation, Mode};
