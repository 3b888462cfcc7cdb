//! The messages of ZDS as values, and their bytes.

use prost::{Message, Oneof};

/// The version both sides speak.
const VERSION_1: i32 = 1;

/// What the proxy must know of a pod, exactly as istiod knows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkloadInfo {
    /// Name of the pod.
    pub name: String,
    /// Namespace of the pod.
    pub namespace: String,
    /// Service account of the pod.
    pub service_account: String,
}

/// What the agent asks of the proxy. `uid` is the pod's UID in Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Serve this pod. The packet carries the network namespace.
    Add {
        /// UID of the pod.
        uid: String,
        /// Who the pod is.
        info: WorkloadInfo,
    },
    /// Keep on serving this pod, whose network namespace the agent could not find. Only before `SnapshotSent`.
    Keep {
        /// UID of the pod.
        uid: String,
    },
    /// Stop serving this pod.
    Delete {
        /// UID of the pod.
        uid: String,
    },
    /// All pods of the node were named: those that were not are gone.
    SnapshotSent,
}

/// The proxy's answer to one request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Response {
    /// Why the request failed; empty if it did not.
    pub error: String,
}

/// A packet that is not a message of ZDS.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not the protobuf message.
    #[error("not a ZDS message: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// The first packet names a version that we do not speak.
    #[error("unknown ZDS version {0}")]
    Version(i32),
    /// The message has none of the payloads that we know.
    #[error("a ZDS message without a payload")]
    NoPayload,
    /// An `add` that does not say who the pod is.
    #[error("an added workload without workload_info")]
    NoWorkloadInfo,
    /// A request that names no pod.
    #[error("a ZDS request without a pod UID")]
    NoUid,
}

/// The proxy's first packet.
#[must_use]
pub fn encode_hello() -> Vec<u8> {
    wire::Hello { version: VERSION_1 }.encode_to_vec()
}

/// Reads the proxy's first packet.
///
/// # Errors
/// If it is no hello, or one of another version.
pub fn decode_hello(packet: &[u8]) -> Result<(), DecodeError> {
    match wire::Hello::decode(packet)?.version {
        VERSION_1 => Ok(()),
        other => Err(DecodeError::Version(other)),
    }
}

impl Request {
    /// The bytes of the packet. An `add` needs the network namespace beside them.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let payload = match self {
            Self::Add { uid, info } => wire::RequestPayload::Add(wire::Add {
                uid: uid.clone(),
                info: Some(wire::Info {
                    name: info.name.clone(),
                    namespace: info.namespace.clone(),
                    service_account: info.service_account.clone(),
                }),
            }),
            Self::Keep { uid } => wire::RequestPayload::Keep(wire::Keep { uid: uid.clone() }),
            Self::Delete { uid } => wire::RequestPayload::Delete(wire::Delete { uid: uid.clone() }),
            Self::SnapshotSent => wire::RequestPayload::SnapshotSent(wire::SnapshotSent {}),
        };
        wire::Request {
            payload: Some(payload),
        }
        .encode_to_vec()
    }

    /// Reads a packet of the agent's.
    ///
    /// # Errors
    /// If the bytes are no request, or one that lacks what it needs.
    pub fn decode(packet: &[u8]) -> Result<Self, DecodeError> {
        let payload = wire::Request::decode(packet)?.payload;
        let request = match payload.ok_or(DecodeError::NoPayload)? {
            wire::RequestPayload::Add(add) => Self::Add {
                uid: named(add.uid)?,
                info: add
                    .info
                    .map(WorkloadInfo::from)
                    .ok_or(DecodeError::NoWorkloadInfo)?,
            },
            wire::RequestPayload::Keep(keep) => Self::Keep {
                uid: named(keep.uid)?,
            },
            wire::RequestPayload::Delete(delete) => Self::Delete {
                uid: named(delete.uid)?,
            },
            wire::RequestPayload::SnapshotSent(_) => Self::SnapshotSent,
        };
        Ok(request)
    }
}

fn named(uid: String) -> Result<String, DecodeError> {
    if uid.is_empty() {
        Err(DecodeError::NoUid)
    } else {
        Ok(uid)
    }
}

impl From<wire::Info> for WorkloadInfo {
    fn from(info: wire::Info) -> Self {
        Self {
            name: info.name,
            namespace: info.namespace,
            service_account: info.service_account,
        }
    }
}

impl Response {
    /// The bytes of the packet.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let ack = wire::Ack {
            error: self.error.clone(),
        };
        wire::Response {
            payload: Some(wire::ResponsePayload::Ack(ack)),
        }
        .encode_to_vec()
    }

    /// Reads a packet of the proxy's.
    ///
    /// # Errors
    /// If the bytes are no answer.
    pub fn decode(packet: &[u8]) -> Result<Self, DecodeError> {
        let wire::ResponsePayload::Ack(ack) = wire::Response::decode(packet)?
            .payload
            .ok_or(DecodeError::NoPayload)?;
        Ok(Self { error: ack.error })
    }
}

/// The messages by their numbers on the wire, package `istio.workload.zds`.
mod wire {
    use super::{Message, Oneof};

    #[derive(Clone, PartialEq, Message)]
    pub struct Hello {
        #[prost(int32, tag = "1")]
        pub version: i32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Request {
        #[prost(oneof = "RequestPayload", tags = "1, 2, 3, 5")]
        pub payload: Option<RequestPayload>,
    }

    #[derive(Clone, PartialEq, Oneof)]
    pub enum RequestPayload {
        #[prost(message, tag = "1")]
        Add(Add),
        #[prost(message, tag = "2")]
        Delete(Delete),
        #[prost(message, tag = "3")]
        SnapshotSent(SnapshotSent),
        #[prost(message, tag = "5")]
        Keep(Keep),
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Add {
        #[prost(string, tag = "1")]
        pub uid: String,
        #[prost(message, optional, tag = "2")]
        pub info: Option<Info>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Info {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub namespace: String,
        #[prost(string, tag = "3")]
        pub service_account: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Keep {
        #[prost(string, tag = "1")]
        pub uid: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Delete {
        #[prost(string, tag = "2")]
        pub uid: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct SnapshotSent {}

    #[derive(Clone, PartialEq, Message)]
    pub struct Response {
        #[prost(oneof = "ResponsePayload", tags = "1")]
        pub payload: Option<ResponsePayload>,
    }

    #[derive(Clone, PartialEq, Oneof)]
    pub enum ResponsePayload {
        #[prost(message, tag = "1")]
        Ack(Ack),
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Ack {
        #[prost(string, tag = "1")]
        pub error: String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn info() -> WorkloadInfo {
        WorkloadInfo {
            name: "n".into(),
            namespace: "s".into(),
            service_account: "a".into(),
        }
    }

    #[test]
    fn requests_have_the_bytes_of_the_protocol() {
        let uid = || "u".to_owned();
        for (request, bytes) in [
            (
                Request::Add {
                    uid: uid(),
                    info: info(),
                },
                &b"\x0a\x0e\x0a\x01u\x12\x09\x0a\x01n\x12\x01s\x1a\x01a"[..],
            ),
            (Request::Delete { uid: uid() }, b"\x12\x03\x12\x01u"),
            (Request::SnapshotSent, b"\x1a\x00"),
            (Request::Keep { uid: uid() }, b"\x2a\x03\x0a\x01u"),
        ] {
            assert_eq!(request.encode(), bytes, "{request:?}");
            assert_eq!(Request::decode(bytes).unwrap(), request);
        }
        assert_eq!(encode_hello(), b"\x08\x01");
        assert_eq!(Response::default().encode(), b"\x0a\x00");
        let nack = Response { error: "no".into() };
        assert_eq!(nack.encode(), b"\x0a\x04\x0a\x02no");
        assert_eq!(Response::decode(&nack.encode()).unwrap(), nack);
    }

    #[test]
    fn incomplete_packets_are_refused() {
        for (bytes, reason) in [
            (&b""[..], "without a payload"),
            (b"\x22\x00", "without a payload"),
            (b"\x0a\x03\x0a\x01u", "without workload_info"),
            (b"\x0a\x02\x12\x00", "without a pod UID"),
            (b"\x12\x03\x0a\x01u", "without a pod UID"),
            (b"\x0a\x05\x0a\x01u", "not a ZDS message"),
            (b"\x0a\x03\x0a\x01\xff", "not a ZDS message"),
        ] {
            let error = Request::decode(bytes).unwrap_err().to_string();
            assert!(error.contains(reason), "{bytes:?}: {error}");
        }
        assert!(decode_hello(b"\x08\x01").is_ok());
        for bytes in [&b""[..], b"\x08\x02", b"x"] {
            assert!(decode_hello(bytes).is_err(), "{bytes:?}");
        }
        assert!(Response::decode(b"").is_err());
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic_and_what_is_read_is_written_again(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = (decode_hello(&bytes), Response::decode(&bytes));
            if let Ok(request) = Request::decode(&bytes) {
                prop_assert_eq!(Request::decode(&request.encode()).unwrap(), request);
            }
        }

        #[test]
        fn adds_round_trip(uid in ".{1,40}", name in ".{0,40}", namespace in ".{0,40}", service_account in ".{0,40}") {
            let request = Request::Add { uid, info: WorkloadInfo { name, namespace, service_account } };
            prop_assert_eq!(Request::decode(&request.encode()).unwrap(), request);
        }
    }
}
