//! Errors of the plugin, in the form of the CNI specification.

use serde::Serialize;

/// The error codes of the specification that the plugin uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The configuration's version is none that the plugin speaks.
    IncompatibleVersion,
    /// An environment variable is missing or wrong.
    InvalidEnvironment,
    /// Standard input could not be read.
    Io,
    /// Standard input is not JSON, or not of the expected shape.
    Decode,
    /// The configuration lacks something, or has a value that makes no sense.
    InvalidConfig,
    /// The agent does not answer. The runtime may try again.
    TryAgain,
    /// The agent does not answer, so no pod can be added.
    NotAvailable,
    /// The agent could not enrol the pod.
    Refused,
}

impl Code {
    /// The number. Those from 100 on are the plugin's own.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::IncompatibleVersion => 1,
            Self::InvalidEnvironment => 4,
            Self::Io => 5,
            Self::Decode => 6,
            Self::InvalidConfig => 7,
            Self::TryAgain => 11,
            Self::NotAvailable => 50,
            Self::Refused => 100,
        }
    }
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}: {details}")]
pub struct CniError {
    /// The kind.
    pub code: Code,
    /// In a few words.
    pub message: &'static str,
    /// In full.
    pub details: String,
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(rename = "cniVersion")]
    version: &'a str,
    code: u32,
    msg: &'a str,
    details: &'a str,
}

impl CniError {
    pub(super) fn new(code: Code, message: &'static str, details: impl ToString) -> Self {
        Self {
            code,
            message,
            details: details.to_string(),
        }
    }

    /// The error object for standard output. `version` is that of the configuration.
    #[must_use]
    pub fn to_json(&self, version: &str) -> String {
        let Self {
            code,
            message,
            details,
        } = self;
        let written = Written {
            version,
            code: code.number(),
            msg: message,
            details,
        };
        serde_json::to_string(&written).unwrap_or_default()
    }
}
