//! Why a cluster could not be read at all.

use thiserror::Error;

/// A cluster could not be read, not even in part.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// Neither a kubeconfig nor a service account of a pod.
    #[error("there is no kubeconfig: {reason}")]
    NoKubeconfig {
        /// Where it was looked for.
        reason: String,
    },
    /// The kubeconfig has errors.
    #[error("the kubeconfig cannot be used: {reason}")]
    BadKubeconfig {
        /// What is wrong.
        reason: String,
    },
    /// No context is chosen.
    #[error("the kubeconfig has no current context")]
    NoCurrentContext {
        /// The contexts that exist.
        contexts: Vec<String>,
    },
    /// There is no such context.
    #[error("the kubeconfig has no context `{name}`")]
    UnknownContext {
        /// The name that was given.
        name: String,
        /// The contexts that exist.
        contexts: Vec<String>,
        /// The one that was probably meant.
        similar: Option<String>,
    },
    /// There is no such namespace.
    #[error("the cluster has no namespace `{name}`")]
    UnknownNamespace {
        /// The name that was given.
        name: String,
        /// The one that was probably meant.
        similar: Option<String>,
    },
    /// Nothing listens at the address.
    #[error("{server} refused the connection")]
    Refused {
        /// URL of the API server.
        server: String,
    },
    /// No answer.
    #[error("{server} did not answer in time")]
    Timeout {
        /// URL of the API server.
        server: String,
    },
    /// The name is not known.
    #[error("the host name of {server} cannot be resolved")]
    UnknownHost {
        /// URL of the API server.
        server: String,
    },
    /// The certificate is not trusted.
    #[error("the certificate of {server} is not trusted: {reason}")]
    Certificate {
        /// URL of the API server.
        server: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Any other failure on the wire.
    #[error("the connection to {server} failed: {reason}")]
    Connection {
        /// URL of the API server.
        server: String,
        /// What happened.
        reason: String,
    },
    /// Credentials could not be had, such as from a credential plugin.
    #[error("there are no credentials for {server}: {reason}")]
    Credentials {
        /// URL of the API server.
        server: String,
        /// What happened.
        reason: String,
    },
    /// The server does not know who we are.
    #[error("{server} does not accept the credentials (401 Unauthorized)")]
    Unauthorized {
        /// URL of the API server.
        server: String,
    },
    /// The server does not even tell what it serves.
    #[error("{server} does not tell which kinds it serves: {reason}")]
    Discovery {
        /// URL of the API server.
        server: String,
        /// Its answer.
        reason: String,
    },
    /// The program could not start what it needs.
    #[error("the asynchronous runtime cannot start: {0}")]
    Runtime(#[from] std::io::Error),
}

impl ClusterError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        let did_you_mean = |similar: &Option<String>| {
            similar
                .as_ref()
                .map_or(String::new(), |name| format!("did you mean `{name}`? "))
        };
        match self {
            Self::NoKubeconfig { .. } => {
                "set KUBECONFIG, or read files instead: mesh-migrate precheck -f DIR".to_owned()
            }
            Self::BadKubeconfig { .. } => "check it with: kubectl config view".to_owned(),
            Self::NoCurrentContext { contexts } => {
                format!("choose one with --context; {}", listed(contexts))
            }
            Self::UnknownContext {
                contexts, similar, ..
            } => {
                format!("{}{}", did_you_mean(similar), listed(contexts))
            }
            Self::UnknownNamespace { similar, .. } => {
                format!("{}list them with: kubectl get namespaces", did_you_mean(similar))
            }
            Self::Refused { .. } => {
                "is the cluster running, and is this the right context? try: kubectl cluster-info".to_owned()
            }
            Self::Timeout { .. } => "is a VPN or a proxy needed? try: kubectl cluster-info".to_owned(),
            Self::UnknownHost { .. } => {
                "check the address in the kubeconfig, and whether a VPN is needed".to_owned()
            }
            Self::Certificate { .. } => {
                "check `certificate-authority-data` and `tls-server-name` of the cluster in the kubeconfig; \
                 it may be of an older cluster with the same address"
                    .to_owned()
            }
            Self::Connection { .. } => "try: kubectl get --raw /version".to_owned(),
            Self::Credentials { .. } => {
                "log in again, and check that the credential plugin of the kubeconfig is installed".to_owned()
            }
            Self::Unauthorized { .. } => {
                "the token or client certificate may have expired; log in again, then try: kubectl auth whoami"
                    .to_owned()
            }
            Self::Discovery { .. } => {
                "bind the ClusterRole system:discovery to the user; every authenticated user has it by default"
                    .to_owned()
            }
            Self::Runtime(_) => "check the limits of the process: ulimit -a".to_owned(),
        }
    }

    /// Tells apart what can go wrong on the wire; the causes are only told in words.
    pub(crate) fn of_transport(error: &kube::Error, server: &str) -> Self {
        let server = server.to_owned();
        let words = chain(error);
        let has = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
        let reason = innermost(error);
        if matches!(error, kube::Error::Auth(_)) {
            Self::Credentials { server, reason }
        } else if has(&["Connection refused"]) {
            Self::Refused { server }
        } else if has(&["certificate", "UnknownIssuer", "NotValidForName"]) {
            Self::Certificate { server, reason }
        } else if has(&["dns error", "lookup address"]) {
            Self::UnknownHost { server }
        } else if has(&["deadline has elapsed", "timed out"]) {
            Self::Timeout { server }
        } else {
            Self::Connection { server, reason }
        }
    }
}

fn listed(contexts: &[String]) -> String {
    if contexts.is_empty() {
        "the kubeconfig has none".to_owned()
    } else {
        format!("there are: {}", contexts.join(", "))
    }
}

fn causes(error: &dyn std::error::Error) -> impl Iterator<Item = String> {
    std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string)
}

fn chain(error: &kube::Error) -> String {
    causes(error).collect::<Vec<_>>().join(": ")
}

/// The last cause, which says most.
pub(super) fn innermost(error: &kube::Error) -> String {
    causes(error).last().unwrap_or_default()
}

/// The name among `names` that someone who wrote `name` probably meant.
pub(super) fn similar(name: &str, names: &[String]) -> Option<String> {
    names
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.clone())
}
