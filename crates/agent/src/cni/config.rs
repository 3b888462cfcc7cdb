//! What the runtime tells the plugin: environment and network configuration.

use super::error::{CniError, Code};
use crate::pod::{PodName, PodUid};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::net::IpAddr;
use std::path::PathBuf;

/// The versions of the specification that the plugin speaks.
pub const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];
/// The version of answers when the configuration names none.
pub const LATEST: &str = "1.1.0";

/// The commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// A pod is being made.
    Add,
    /// A pod is gone.
    Del,
    /// Is the pod as `ADD` left it?
    Check,
    /// Could a pod be added now?
    Status,
    /// Only some pods are left.
    Gc,
    /// Which versions are spoken?
    Version,
}

impl Command {
    /// Reads `CNI_COMMAND`.
    ///
    /// # Errors
    /// If it is no command.
    pub fn parse(text: &str) -> Result<Self, CniError> {
        Ok(match text {
            "ADD" => Self::Add,
            "DEL" => Self::Del,
            "CHECK" => Self::Check,
            "STATUS" => Self::Status,
            "GC" => Self::Gc,
            "VERSION" => Self::Version,
            other => return Err(environment(format!("CNI_COMMAND: {other:?} is no command"))),
        })
    }
}

fn environment(details: impl ToString) -> CniError {
    CniError::new(Code::InvalidEnvironment, "invalid environment", details)
}

/// The network configuration on standard input, as far as the plugin reads it.
#[derive(Debug, Deserialize)]
pub struct Config<'a> {
    /// Version of the specification.
    #[serde(rename = "cniVersion", default)]
    pub version: String,
    /// What the plugins before this one made, as written.
    #[serde(rename = "prevResult", borrow, default)]
    pub previous: Option<&'a RawValue>,
    /// Where the agent's socket is.
    #[serde(default = "default_run_dir")]
    pub cni_agent_run_dir: PathBuf,
    /// Whether pods are enrolled at all.
    #[serde(default = "yes")]
    pub ambient_enabled: bool,
    /// Namespaces whose pods are never enrolled.
    #[serde(default)]
    pub exclude_namespaces: Vec<String>,
    /// The namespace of the agent's own pods.
    #[serde(default)]
    pub pod_namespace: String,
    /// How the names of pods of the agent begin.
    #[serde(default)]
    pub agent_pod_prefix: String,
    /// Whether `STATUS` fails while the agent does not answer. Only for an agent in the node's own network: otherwise the
    /// runtime would not start the very pod that it waits for.
    #[serde(default)]
    pub status_requires_agent: bool,
}

fn default_run_dir() -> PathBuf {
    "/var/run/istio-cni".into()
}

fn yes() -> bool {
    true
}

impl<'a> Config<'a> {
    /// Reads the configuration.
    ///
    /// # Errors
    /// If it is not JSON of the right shape, or of a version that the plugin does not speak.
    pub fn parse(text: &'a str) -> Result<Self, CniError> {
        let config: Self = serde_json::from_str(text).map_err(|error| {
            CniError::new(Code::Decode, "the network configuration is not to be read", error)
        })?;
        if config.version.is_empty() || VERSIONS.contains(&config.version.as_str()) {
            return Ok(config);
        }
        let details = format!("version {:?} is none of {}", config.version, VERSIONS.join(", "));
        Err(CniError::new(
            Code::IncompatibleVersion,
            "incompatible CNI version",
            details,
        ))
    }
}

/// The pod that a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Which pod.
    pub pod: PodName,
    /// Its UID, if the runtime says it.
    pub uid: Option<PodUid>,
    /// Its network namespace.
    pub netns: PathBuf,
}

impl Attachment {
    /// Reads the environment. `variable` gives the value of a variable. None outside of Kubernetes.
    ///
    /// # Errors
    /// If a variable that must be there is not.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, CniError> {
        let needed = |name: &str| {
            variable(name)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| environment(format!("{name} is not set")))
        };
        needed("CNI_CONTAINERID")?;
        needed("CNI_IFNAME")?;
        let netns = needed("CNI_NETNS")?.into();
        let arguments = variable("CNI_ARGS").unwrap_or_default();
        let argument = |name: &str| {
            let mut pairs = arguments.split(';').filter_map(|pair| pair.split_once('='));
            pairs
                .rfind(|(key, value)| *key == name && !value.is_empty())
                .map(|(_, value)| value.to_owned())
        };
        let (Some(namespace), Some(name)) = (argument("K8S_POD_NAMESPACE"), argument("K8S_POD_NAME")) else {
            return Ok(None);
        };
        let uid = argument("K8S_POD_UID").as_deref().and_then(PodUid::new);
        Ok(Some(Self {
            pod: PodName { namespace, name },
            uid,
            netns,
        }))
    }
}

/// An address of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Index in the result's list of interfaces.
    pub interface: Option<i64>,
    /// The address.
    pub ip: IpAddr,
    /// Bits of the network.
    pub prefix: u8,
    /// The gateway.
    pub gateway: Option<IpAddr>,
}

#[derive(Deserialize)]
struct PreviousResult {
    #[serde(default)]
    ips: Vec<PreviousAddress>,
}

#[derive(Deserialize)]
struct PreviousAddress {
    interface: Option<i64>,
    address: String,
    gateway: Option<String>,
}

/// The addresses in a previous result.
///
/// # Errors
/// If it is no result, or an address is none.
pub fn addresses(previous: &RawValue) -> Result<Vec<Address>, CniError> {
    let wrong = |details: String| CniError::new(Code::InvalidConfig, "invalid prevResult", details);
    let result: PreviousResult =
        serde_json::from_str(previous.get()).map_err(|error| wrong(error.to_string()))?;
    let read = |written: PreviousAddress| {
        let (ip, prefix) = written.address.split_once('/')?;
        let ip: IpAddr = ip.parse().ok()?;
        let prefix = prefix
            .parse()
            .ok()
            .filter(|bits| *bits <= if ip.is_ipv4() { 32 } else { 128 })?;
        let gateway = written.gateway.filter(|text| !text.is_empty());
        let gateway = gateway.map(|text| text.parse()).transpose().ok()?;
        Some(Address {
            interface: written.interface,
            ip,
            prefix,
            gateway,
        })
    };
    let read = |written: PreviousAddress| {
        let text = written.address.clone();
        read(written).ok_or_else(|| wrong(format!("{text:?} or its gateway is no address")))
    };
    result.ips.into_iter().map(read).collect()
}
