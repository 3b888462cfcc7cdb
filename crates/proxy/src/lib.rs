//! The ambient layer-4 proxy of a node: what ztunnel does, compatible with it on the wire.

pub mod admin;
pub mod config;
pub mod control;
pub mod dns;
pub mod hbone;
pub mod identity;
pub mod inbound;
mod keepalive;
pub mod node;
pub mod outbound;
pub mod pod;
pub mod proto;
pub mod serve;
pub mod state;
pub mod sys;
pub mod telemetry;
pub mod tls;
mod transfer;
pub mod zds;
