//! What must be seen, in words: for the plan as it is read, and for whoever waits.

use super::document::Check;

impl Check {
    /// What is waited for.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::DaemonSetReady { namespace, name } => {
                format!("{namespace}/DaemonSet/{name} runs on every node")
            }
            Self::WaypointReady { namespace, name } => {
                format!("the waypoint {namespace}/Gateway/{name} is ready")
            }
            Self::AcceptedByWaypoint { policy, .. } => format!("the waypoint enforces {policy}"),
            Self::RolledOut { workload } => format!("{workload} is rolled out"),
            Self::Moved { workload } => {
                format!("{workload} runs without sidecars, redirected to the node proxy")
            }
            Self::HasSidecars {
                workload,
                hbone: true,
            } => format!("{workload} runs with sidecars that speak HBONE"),
            Self::HasSidecars { workload, .. } => format!("{workload} runs with sidecars"),
            Self::ProxyHolds {
                namespace, labels, ..
            } => {
                let place = namespace
                    .as_ref()
                    .map_or("the mesh".to_owned(), |name| format!("the namespace {name}"));
                let pods: Vec<String> = labels
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                if pods.is_empty() {
                    format!("all sidecars of {place} have the new configuration")
                } else {
                    format!(
                        "the sidecars {} of {place} have the new configuration",
                        pods.join(",")
                    )
                }
            }
            Self::Settled { seconds } => format!("the control plane has had {seconds} s to tell its proxies"),
            Self::Witness(witness) => format!("the witness `{}` is answered as it should be", witness.name),
        }
    }
}
