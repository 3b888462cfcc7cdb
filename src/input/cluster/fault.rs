//! Why a kind could not be read, in words.

use super::api::Fault;
use kube::core::Status;
use model::Kind;
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
    /// What happened to a list, and what the user can do, in one sentence.
    pub(super) fn explain(&self, kind: &Kind, namespace: Option<&str>, name: Option<&str>) -> String {
        let place = match namespace {
            Some(namespace) => format!("in the namespace `{namespace}`"),
            None if kind.is_namespaced() => "in all namespaces".to_owned(),
            None => "in the cluster".to_owned(),
        };
        let group = match kind.group() {
            "" => "the core API group".to_owned(),
            group => format!("the API group `{group}`"),
        };
        let resource = kind.plural();
        match self {
            Self::Status(status) if status.code == 403 => {
                let user = user(status);
                let which = name.map_or(String::new(), |name| format!(" named `{name}`"));
                let fix = match (namespace, name) {
                    (_, Some(name)) => format!("allow it with `resourceNames: [{name}]`, see docs/rbac.yaml"),
                    (None, None) if kind.is_namespaced() => {
                        "bind the ClusterRole of docs/rbac.yaml, or read only some namespaces with --namespace"
                            .to_owned()
                    }
                    (_, None) => "bind the ClusterRole of docs/rbac.yaml".to_owned(),
                };
                format!("{user} may not `list` `{resource}`{which} of {group} {place}; {fix}")
            }
            Self::Timeout => {
                format!("`{resource}` of {group} could not be listed {place}: no answer in time; try again")
            }
            Self::Restless => format!(
                "`{resource}` of {group} could not be listed {place}: the list changed faster than it could \
                 be read; try again at a quieter time"
            ),
            Self::Status(_) | Self::Malformed(_) | Self::Fatal(_) => {
                format!(
                    "`{resource}` of {group} could not be listed {place}: {self}; try: kubectl get {resource}"
                )
            }
        }
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
