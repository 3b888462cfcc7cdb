//! The rules of `precheck` and the pages of all messages: their files, their conditions, and what a
//! condition may speak of. Used by the build script, so that a bad rule does not compile, and at run time.

pub mod build;
pub mod page;

pub use page::{Page, Severity};
