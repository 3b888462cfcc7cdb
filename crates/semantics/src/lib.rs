//! What routes and policies mean: as data, and as evaluators of that data. Total functions, no I/O.
//!
//! `convert` makes these values of the old and of the new configuration and compares them.

pub mod authorization;
pub mod http_route;
pub mod implication;
pub mod layer_4;
pub mod overlap;
pub mod predicate;
pub mod route;
pub mod sent;
pub mod virtual_service;
pub mod ztunnel;
