//! The rules of `precheck` and the pages of all messages: their files, their conditions, and what a
//! condition may speak of. Used by the build script, so that a bad rule does not compile, and at run time.

pub mod build;
pub mod check;
pub mod expression;
pub mod facts;
pub mod ledger;
pub mod page;
pub mod place;
pub mod rule;
pub mod schema;
pub mod set;

pub use facts::Subject;
pub use page::{Page, Severity};
pub use rule::{ResolvedBy, Rule, RuleError};
pub use schema::Facts;
pub use set::RuleSet;
