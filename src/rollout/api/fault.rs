//! Why a request has no good answer.

use crate::input::cluster::ClusterError;
use kube::core::Status;
use std::fmt;

/// Why a request has no good answer.
#[derive(Debug)]
pub enum Fault {
    /// The server answered with an error.
    Status(Box<Status>),
    /// The server does not serve such a kind.
    UnknownKind {
        /// Group and version.
        api_version: String,
        /// Kind.
        kind: String,
    },
    /// There was no answer, or none to us.
    Unreachable(ClusterError),
    /// The answer is not what the API promises.
    Malformed(String),
}

impl Fault {
    /// Whether there is no such object.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status(status) if status.code == 404)
    }

    /// Whether the object is not what the request took it for.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Status(status) if status.code == 409)
    }

    /// Whether a field belongs to someone else (server-side apply).
    #[must_use]
    pub fn is_foreign_field(&self) -> bool {
        matches!(self, Self::Status(status) if status.code == 409
        && status.details.as_ref().is_some_and(|details| {
            details.causes.iter().any(|cause| cause.reason == "FieldManagerConflict")
        }))
    }

    /// Whether a `test` of a JSON patch did not hold, or the object is of another version.
    #[must_use]
    pub fn is_failed_test(&self) -> bool {
        matches!(self, Self::Status(status) if matches!(status.code, 409 | 422))
    }

    /// Whether the server could not answer, as opposed to refusing.
    #[must_use]
    pub fn is_away(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            fault => fault.may_pass(),
        }
    }

    /// Whether the same request may succeed later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Status(status) => matches!(status.code, 408 | 429 | 500 | 502 | 503 | 504),
            Self::Unreachable(error) => matches!(
                error,
                ClusterError::Refused { .. } | ClusterError::Timeout { .. } | ClusterError::Connection { .. }
            ),
            Self::UnknownKind { .. } | Self::Malformed(_) => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) if status.message.is_empty() => {
                write!(f, "the API server answered with HTTP status {}", status.code)
            }
            Self::Status(status) => write!(f, "{} (HTTP status {})", status.message.trim(), status.code),
            Self::UnknownKind { api_version, kind } => {
                write!(
                    f,
                    "the API server does not serve the kind {kind} of {api_version}"
                )
            }
            Self::Unreachable(error) => write!(f, "{error}"),
            Self::Malformed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Fault {}
