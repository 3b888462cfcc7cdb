//! Why a kind could not be read, in words.

use super::api::Fault;
use kube::core::Status;
use model::Kind;
use std::collections::BTreeSet;
use std::fmt;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) if status.message.is_empty() => write!(f, "HTTP status {}", status.code),
            Self::Status(status) => write!(f, "{} (HTTP status {})", status.message.trim(), status.code),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Restless => f.write_str("the list changed faster than it could be read"),
            Self::Malformed(what) => f.write_str(what),
            Self::Fatal(error) => write!(f, "{error}"),
        }
    }
}

impl Fault {
    /// What happened to the lists of a kind, and what the user can do, in one sentence. It names the resource
    /// as [`resource`] does, so that the same sentence about several kinds can be told once.
    pub(super) fn explain(&self, kind: &Kind, namespaces: &BTreeSet<&str>, names: &BTreeSet<&str>) -> String {
        let place = match namespaces.len() {
            0 if kind.is_namespaced() => "in all namespaces".to_owned(),
            0 => "in the cluster".to_owned(),
            1 => format!("in the namespace {}", quoted(namespaces)),
            _ => format!("in the namespaces {}", quoted(namespaces)),
        };
        let resource = resource(kind);
        match self {
            Self::Status(status) if status.code == 403 => {
                let user = user(status);
                let which = if names.is_empty() {
                    String::new()
                } else {
                    format!(" named {}", quoted(names))
                };
                let fix = if !names.is_empty() {
                    "allow these names with `resourceNames`, see docs/rbac.yaml"
                } else if namespaces.is_empty() && kind.is_namespaced() {
                    "bind the ClusterRole of docs/rbac.yaml, or read only some namespaces with --namespace"
                } else {
                    "bind the ClusterRole of docs/rbac.yaml"
                };
                format!("{user} may not `list` {resource}{which} {place}; {fix}")
            }
            Self::Timeout => {
                format!("there was no answer in time to the list of {resource} {place}; try again")
            }
            Self::Restless => format!(
                "the list of {resource} {place} changed faster than it could be read; try again at a quieter \
                 time"
            ),
            Self::Status(_) | Self::Malformed(_) | Self::Fatal(_) => {
                format!("the list of {resource} {place} failed: {self}; ask who runs the API server")
            }
        }
    }
}

fn quoted(names: &BTreeSet<&str>) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// The resource of a kind, as `kubectl` takes it, in quotes.
pub(super) fn resource(kind: &Kind) -> String {
    match kind.group() {
        "" => format!("`{}`", kind.plural()),
        group => format!("`{}.{group}`", kind.plural()),
    }
}

/// The user as the server knows it, which is not always what the kubeconfig says.
fn user(status: &Status) -> String {
    let quoted = status
        .message
        .split_once("User \"")
        .and_then(|(_, rest)| rest.split_once('"'));
    quoted.map_or("this user".to_owned(), |(name, _)| format!("the user `{name}`"))
}
