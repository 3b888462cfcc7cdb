//! ZDS: how the node agent tells the node proxy which pods it serves, and hands over their network namespaces.
//!
//! The agent listens on a Unix `SOCK_SEQPACKET` socket, the proxy connects. One protobuf message is one packet of
//! at most [`MAX_PACKET`] bytes. An `add` carries the pod's network namespace as its only file descriptor, every
//! other packet carries none. Each request is answered by one acknowledgement, in order. Source: istio/ztunnel
//! `proto/zds.proto`, `src/inpod/packet.rs`; istio/istio `cni/pkg/nodeagent/ztunnelserver.go`.

mod message;
mod socket;

pub use message::{DecodeError, Request, Response, WorkloadInfo, decode_hello, encode_hello};
pub use socket::{AgentConnection, AgentListener, ProxyConnection, ZdsError};

/// The largest packet that either side reads, in bytes.
pub const MAX_PACKET: usize = 1024;

/// How long either side waits for the other's next packet within an exchange.
pub const EXCHANGE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);
