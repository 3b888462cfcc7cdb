//! The rules that redirect a pod's connections, and the rules on the node that keep its probes apart.
//!
//! Same tables, chains, marks and order as Istio's, so that a pod can change hands between the two agents.

mod apply;
pub mod host;
mod iptables;
mod nft;
mod programs;

pub use apply::{Backend, Firewall, RulesError};
pub use programs::enter;

use crate::pod::{BYPASS_INBOUND, DNS_CAPTURE, Labels, REROUTE_INTERFACES};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The proxy's port for outbound connections.
pub const OUTBOUND_PORT: u16 = 15001;
/// The proxy's port for inbound connections that are not HBONE.
pub const INBOUND_PORT: u16 = 15006;
/// The proxy's port for HBONE. Peers dial it directly.
pub const HBONE_PORT: u16 = 15008;
/// The proxy's port for DNS.
pub const DNS_PORT: u16 = 15053;
/// The mark of the proxy's own packets.
pub const PROXY_MARK: u32 = 0x539;
/// The mark of connections that the proxy made under the client's address.
pub const CONNECTION_MARK: u32 = 0x111;
/// The bits of a mark that count.
pub const MARK_MASK: u32 = 0xfff;
/// The table in which packets of such connections are routed to the loopback interface.
pub const ROUTE_TABLE: u32 = 100;
/// The priority of the rule that chooses that table.
pub const RULE_PRIORITY: u32 = 32764;

/// The addresses that the kubelet's probes come from, as a pod sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeAddresses {
    /// For IPv4.
    pub v4: Ipv4Addr,
    /// For IPv6.
    pub v6: Ipv6Addr,
}

impl Default for ProbeAddresses {
    fn default() -> Self {
        Self {
            v4: Ipv4Addr::new(169, 254, 7, 127),
            v6: Ipv6Addr::new(0xfd16, 0x9254, 0x7127, 0x1337, 0xffff, 0xffff, 0xffff, 0xffff),
        }
    }
}

/// The name of a network interface, safe to stand in the text of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// A name as the kernel allows it (1 to 15 bytes), of letters, digits, `.`, `_`, `:`, `@` and `-` only.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:@-".contains(&byte);
        let fits = (1..=15).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-');
        fits.then(|| Self(name.to_owned()))
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is the same for all pods of the node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleSettings {
    /// Where probes come from.
    pub probes: ProbeAddresses,
    /// Whether DNS is captured in pods that do not say otherwise.
    pub dns_capture: bool,
}

/// What is to be redirected in one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRules {
    /// Where probes come from.
    pub probes: ProbeAddresses,
    /// Whether DNS goes to the proxy.
    pub dns: bool,
    /// Whether inbound connections go to the proxy.
    pub inbound: bool,
    /// Interfaces from which connections count as outbound.
    pub interfaces: Vec<InterfaceName>,
    /// Whether the pod has IPv6.
    pub ipv6: bool,
}

impl PodRules {
    /// What a pod's annotations ask for, and the words of them that mean nothing.
    #[must_use]
    pub fn of(settings: RuleSettings, annotations: &Labels) -> (Self, Vec<String>) {
        let mut unknown = Vec::new();
        let mut flag = |key: &str, default: bool| match annotations.get(key).map(String::as_str) {
            None => default,
            Some("true") => true,
            Some("false") => false,
            Some(other) => {
                unknown.push(format!("{key}: {other:?} is neither true nor false"));
                default
            }
        };
        let dns = flag(DNS_CAPTURE, settings.dns_capture);
        let inbound = !flag(BYPASS_INBOUND, false);
        let listed = annotations
            .get(REROUTE_INTERFACES)
            .map(String::as_str)
            .unwrap_or_default();
        let mut interfaces = Vec::new();
        for name in listed.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match InterfaceName::new(name) {
                Some(name) => interfaces.push(name),
                None => unknown.push(format!("{REROUTE_INTERFACES}: {name:?} is no interface name")),
            }
        }
        (
            Self {
                probes: settings.probes,
                dns,
                inbound,
                interfaces,
                ipv6: true,
            },
            unknown,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> RuleSettings {
        RuleSettings {
            probes: ProbeAddresses::default(),
            dns_capture: true,
        }
    }

    #[test]
    fn annotations_choose_the_rules() {
        let of = |pairs: &[(&str, &str)]| {
            let annotations = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect();
            let (rules, unknown) = PodRules::of(settings(), &annotations);
            let interfaces = rules
                .interfaces
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ");
            (rules.dns, rules.inbound, interfaces, unknown.len())
        };
        for (pairs, expected) in [
            (&[][..], (true, true, "", 0)),
            (
                &[(DNS_CAPTURE, "false"), (BYPASS_INBOUND, "true")],
                (false, false, "", 0),
            ),
            (
                &[(DNS_CAPTURE, "no"), (BYPASS_INBOUND, "yes")],
                (true, true, "", 2),
            ),
            (
                &[(REROUTE_INTERFACES, " tap0, ,eth0.1")],
                (true, true, "tap0 eth0.1", 0),
            ),
            (
                &[(REROUTE_INTERFACES, "a b,x\" accept #,abcdefghijklmnop,-j,*")],
                (true, true, "", 5),
            ),
        ] {
            let (dns, inbound, interfaces, unknown) = of(pairs);
            assert_eq!(
                (dns, inbound, interfaces.as_str(), unknown),
                expected,
                "{pairs:?}"
            );
        }
    }

    /// The variants of pods for which both backends have golden texts.
    pub(super) fn variants() -> Vec<(&'static str, PodRules)> {
        let plain = PodRules {
            probes: ProbeAddresses::default(),
            dns: true,
            inbound: true,
            interfaces: Vec::new(),
            ipv6: true,
        };
        let interfaces = ["tap0", "docker0"]
            .iter()
            .filter_map(|name| InterfaceName::new(name))
            .collect();
        let probes = ProbeAddresses {
            v4: [192, 0, 2, 7].into(),
            v6: "2001:db8::7".parse().unwrap(),
        };
        vec![
            ("plain", plain.clone()),
            (
                "ipv4_only",
                PodRules {
                    ipv6: false,
                    ..plain.clone()
                },
            ),
            (
                "no_dns",
                PodRules {
                    dns: false,
                    ..plain.clone()
                },
            ),
            (
                "ingress",
                PodRules {
                    inbound: false,
                    ..plain.clone()
                },
            ),
            (
                "interfaces",
                PodRules {
                    interfaces,
                    ..plain.clone()
                },
            ),
            // Where the datapath drops replies to the usual address, another one is chosen (istio/istio#52208).
            ("other_probe_addresses", PodRules { probes, ..plain }),
        ]
    }
}
