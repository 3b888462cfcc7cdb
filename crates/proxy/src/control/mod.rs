//! Talking to istiod: gRPC, xDS, certificates.

pub mod ca;
pub mod grpc;
pub mod xds;
