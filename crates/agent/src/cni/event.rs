//! The request that the plugin sends to the agent: the JSON of Istio's own plugin, so that either side may be a stock one.

use super::config::Address;
use crate::pod::{Pod, PodName, PodUid};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;

/// The socket in the agent's run directory.
pub const SOCKET: &str = "pluginevent.sock";
/// The path for a pod that is being made.
pub const ADD_PATH: &str = "/cmdadd";
/// The path of the question whether a pod is enrolled as it should be. A stock agent does not know it.
pub const CHECK_PATH: &str = "/cmdcheck";
/// The path of the question whether pods can be added. A stock agent does not know it.
pub const STATUS_PATH: &str = "/status";
/// What a refusal of a stock agent holds that was asked about a pod which is not to be enrolled: older releases, and 1.31.
pub const STOCK_NOT_ENROLLED: [&str; 2] = [
    "got an unexpected event for pod",
    "is unexpectedly not eligible for ambient enrollment",
];

/// A pod that is being made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AddEvent {
    /// Path of the pod's network namespace on the node.
    pub netns: PathBuf,
    /// Name of the pod.
    pub pod_name: String,
    /// Namespace of the pod.
    pub pod_namespace: String,
    /// UID of the pod, where the runtime says it. Stock plugins do not send it, stock agents do not read it.
    #[serde(rename = "PodUID", default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// Addresses that the plugins before this one gave the pod.
    #[serde(rename = "IPs", default, deserialize_with = "null_is_empty")]
    pub ips: Vec<EventAddress>,
}

/// An address as Go's `encoding/json` writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EventAddress {
    /// Index in the result's list of interfaces.
    pub interface: Option<i64>,
    /// Address and mask.
    pub address: EventNetwork,
    /// The gateway; an empty text if there is none.
    #[serde(default)]
    pub gateway: Option<String>,
}

/// Go's `net.IPNet`: the address as text, the mask in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventNetwork {
    /// The address.
    #[serde(rename = "IP")]
    pub ip: String,
    /// The bytes of the mask in base64.
    #[serde(rename = "Mask", default)]
    pub mask: Option<String>,
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<EventAddress>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl AddEvent {
    /// The request for a pod.
    #[must_use]
    pub fn new(pod: &PodName, uid: Option<&PodUid>, netns: PathBuf, addresses: &[Address]) -> Self {
        Self {
            netns,
            pod_name: pod.name.clone(),
            pod_namespace: pod.namespace.clone(),
            pod_uid: uid.map(ToString::to_string),
            ips: addresses.iter().map(EventAddress::from).collect(),
        }
    }

    /// Which pod.
    #[must_use]
    pub fn pod(&self) -> PodName {
        PodName {
            namespace: self.pod_namespace.clone(),
            name: self.pod_name.clone(),
        }
    }

    /// Whether this is about `pod`, and not an earlier or later one of its name.
    #[must_use]
    pub fn is_about(&self, pod: &Pod) -> bool {
        let same = |uid: &str| uid == pod.uid.as_str() || uid == pod.runtime_uid().as_str();
        self.pod() == pod.name && self.pod_uid.as_deref().is_none_or(same)
    }

    /// The addresses; what is none is left out.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.ips
            .iter()
            .filter_map(|entry| entry.address.ip.parse().ok())
            .collect()
    }
}

impl From<&Address> for EventAddress {
    fn from(address: &Address) -> Self {
        let length = if address.ip.is_ipv4() { 4 } else { 16 };
        let mask: Vec<u8> = (0..length)
            .map(|byte| {
                let ones = address.prefix.saturating_sub(byte * 8).min(8);
                !u8::MAX.checked_shr(ones.into()).unwrap_or_default()
            })
            .collect();
        Self {
            interface: address.interface,
            address: EventNetwork {
                ip: address.ip.to_string(),
                mask: Some(STANDARD.encode(mask)),
            },
            gateway: Some(address.gateway.map(|ip| ip.to_string()).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_that_of_the_stock_plugin() {
        let pod = PodName {
            namespace: "shop".into(),
            name: "web-1".into(),
        };
        let address = |ip: &str, prefix, gateway: Option<&str>| Address {
            interface: Some(2),
            ip: ip.parse().unwrap(),
            prefix,
            gateway: gateway.map(|ip| ip.parse().unwrap()),
        };
        let addresses = [
            address("10.244.0.7", 20, Some("10.244.0.1")),
            address("fd00::7", 65, None),
        ];
        let event = AddEvent::new(&pod, None, "/var/run/netns/cni-1".into(), &addresses);
        let expected = r#"{"Netns":"/var/run/netns/cni-1","PodName":"web-1","PodNamespace":"shop","IPs":[{"Interface":2,"Address":{"IP":"10.244.0.7","Mask":"///wAA=="},"Gateway":"10.244.0.1"},{"Interface":2,"Address":{"IP":"fd00::7","Mask":"//////////+AAAAAAAAAAA=="},"Gateway":""}]}"#;
        assert_eq!(serde_json::to_string(&event).unwrap(), expected);
        assert_eq!(serde_json::from_str::<AddEvent>(expected).unwrap(), event);
    }

    #[test]
    fn what_go_writes_for_nothing_is_read() {
        for ips in [
            "null",
            "[]",
            r#"[{"Interface":null,"Address":{"IP":"","Mask":null},"Gateway":""}]"#,
        ] {
            let text = format!(r#"{{"Netns":"/n","PodName":"a","PodNamespace":"b","IPs":{ips}}}"#);
            assert!(
                serde_json::from_str::<AddEvent>(&text)
                    .unwrap()
                    .addresses()
                    .is_empty(),
                "{ips}"
            );
        }
    }
}
