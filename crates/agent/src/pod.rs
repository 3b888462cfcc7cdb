//! What the agent knows of a pod.

use k8s_openapi::api::core::v1;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// Labels or annotations of an object.
pub type Labels = BTreeMap<String, String>;

/// Whether a pod or a namespace is in the mesh: `ambient` or `none`.
pub const DATAPLANE_MODE: &str = "istio.io/dataplane-mode";
/// The annotation by which istiod knows that a pod's connections are redirected.
pub const REDIRECTION: &str = "ambient.istio.io/redirection";
/// The annotation of a pod that has a sidecar.
pub const SIDECAR_STATUS: &str = "sidecar.istio.io/status";
/// The annotation that keeps inbound connections of a pod as they are.
pub const BYPASS_INBOUND: &str = "ambient.istio.io/bypass-inbound-capture";
/// The annotation that switches the capture of DNS for a pod.
pub const DNS_CAPTURE: &str = "ambient.istio.io/dns-capture";
/// The annotation that names interfaces from which connections count as outbound.
pub const REROUTE_INTERFACES: &str = "istio.io/reroute-virtual-interfaces";

/// The annotation of a static pod with the UID that it has on the node; the API server gives it another one.
const CONFIG_HASH: &str = "kubernetes.io/config.hash";

/// UID of a pod, as the API server writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodUid(String);

impl PodUid {
    /// A UID from its text; none if the text has other characters than a UID.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(plain);
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PodUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Namespace and name of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodName {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What the agent uses of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// UID.
    pub uid: PodUid,
    /// Namespace and name.
    pub name: PodName,
    /// Service account; `default` if the pod names none.
    pub service_account: String,
    /// Whether the pod lives in the node's own network namespace.
    pub host_network: bool,
    /// Labels.
    pub labels: Labels,
    /// Annotations.
    pub annotations: Labels,
    /// Addresses; empty until the kubelet has written them.
    pub addresses: Vec<IpAddr>,
    /// Whether the pod has ended: phase Succeeded or Failed.
    pub terminal: bool,
}

impl Pod {
    /// Reads a pod as the API server sends it. None if it has no name or UID, which no stored pod lacks.
    #[must_use]
    pub fn read(pod: &v1::Pod) -> Option<Self> {
        let meta = &pod.metadata;
        let uid = PodUid::new(meta.uid.as_deref()?)?;
        let name = PodName {
            namespace: meta.namespace.clone()?,
            name: meta.name.clone()?,
        };
        let spec = pod.spec.as_ref();
        let status = pod.status.as_ref();
        let account = spec.and_then(|spec| spec.service_account_name.clone());
        let phase = status.and_then(|status| status.phase.as_deref());
        Some(Self {
            uid,
            name,
            service_account: account
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "default".into()),
            host_network: spec.and_then(|spec| spec.host_network).unwrap_or_default(),
            labels: meta.labels.clone().unwrap_or_default(),
            annotations: meta.annotations.clone().unwrap_or_default(),
            addresses: addresses(status),
            terminal: matches!(phase, Some("Succeeded" | "Failed")),
        })
    }

    /// The UID by which the node's runtime and cgroups know the pod.
    #[must_use]
    pub fn runtime_uid(&self) -> PodUid {
        let hash = self
            .annotations
            .get(CONFIG_HASH)
            .and_then(|hash| PodUid::new(hash));
        hash.unwrap_or_else(|| self.uid.clone())
    }

    /// Whether the pod is annotated as redirected, or as about to be.
    #[must_use]
    pub fn is_annotated(&self) -> bool {
        self.annotations.contains_key(REDIRECTION)
    }
}

fn addresses(status: Option<&v1::PodStatus>) -> Vec<IpAddr> {
    let Some(status) = status else { return Vec::new() };
    let listed = status.pod_ips.iter().flatten().map(|address| address.ip.as_str());
    let mut addresses: Vec<IpAddr> = listed
        .chain(status.pod_ip.as_deref())
        .filter_map(|ip| ip.parse().ok())
        .collect();
    let mut seen = std::collections::BTreeSet::new();
    addresses.retain(|address| seen.insert(*address));
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_read_with_what_the_api_server_leaves_out() {
        let read = |text: &str| Pod::read(&serde_json::from_str(text).unwrap());
        let bare = read(r#"{"metadata":{"name":"a","namespace":"b","uid":"0-1"}}"#).unwrap();
        assert_eq!(
            (
                bare.service_account.as_str(),
                bare.addresses.len(),
                bare.host_network
            ),
            ("default", 0, false)
        );
        let full = read(
            r#"{"metadata":{"name":"a","namespace":"b","uid":"0-1","annotations":{"ambient.istio.io/redirection":"enabled"}},
                "spec":{"serviceAccountName":"","hostNetwork":true,"containers":[]},
                "status":{"phase":"Failed","podIP":"10.0.0.1","podIPs":[{"ip":"10.0.0.1"},{"ip":"fd00::1"},{"ip":"?"}]}}"#,
        )
        .unwrap();
        assert_eq!(
            full.addresses,
            ["10.0.0.1".parse::<IpAddr>().unwrap(), "fd00::1".parse().unwrap()]
        );
        assert!(full.terminal && full.host_network && full.is_annotated());
        assert_eq!(full.service_account, "default");
        assert_eq!(full.runtime_uid(), full.uid);
        let fixed = r#"{"metadata":{"name":"a","namespace":"b","uid":"0-1","annotations":{"kubernetes.io/config.hash":"0f"}}}"#;
        assert_eq!(read(fixed).unwrap().runtime_uid().as_str(), "0f");
        assert_eq!(read(r#"{"metadata":{"name":"a","namespace":"b"}}"#), None);
        assert_eq!(
            read(r#"{"metadata":{"name":"a","namespace":"b","uid":"x\"}"}}"#),
            None
        );
    }
}
