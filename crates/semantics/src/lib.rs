//! What routes and policies mean.

pub mod ztunnel;
