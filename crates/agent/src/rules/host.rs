//! The rules on the node: connections of the kubelet to enrolled pods come from one address of their own, which the pods'
//! rules let through to the application.

use super::ProbeAddresses;
use crate::pod::PodUid;
use std::collections::BTreeMap;
use std::net::IpAddr;

const TABLE: &str = "istio-ambient-nat";
const SET_V4: &str = "istio-inpod-probes-v4";
const SET_V6: &str = "istio-inpod-probes-v6";
const CHAIN: &str = "ISTIO_POSTRT";

/// The addresses of enrolled pods, and whose they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProbeTargets(BTreeMap<IpAddr, PodUid>);

impl ProbeTargets {
    /// Sets a pod's addresses in place of those that it had. An address that another pod had is now this one's. Whether
    /// anything changed.
    pub fn add(&mut self, uid: &PodUid, addresses: &[IpAddr]) -> bool {
        let before = self.0.len();
        self.0
            .retain(|address, owner| owner != uid || addresses.contains(address));
        let mut changed = before != self.0.len();
        for address in addresses {
            changed |= self.0.insert(*address, uid.clone()).as_ref() != Some(uid);
        }
        changed
    }

    /// Removes a pod's addresses, but not those that another pod has by now. Whether anything changed.
    pub fn remove(&mut self, uid: &PodUid) -> bool {
        let before = self.0.len();
        self.0.retain(|_, owner| owner != uid);
        before != self.0.len()
    }

    /// Addresses and pods, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&IpAddr, &PodUid)> {
        self.0.iter()
    }
}

/// Text for `nft -f -` that replaces the node's table at once. `kubelet` is the user id of the kubelet.
pub fn nft(probes: ProbeAddresses, targets: &ProbeTargets, kubelet: u32) -> String {
    let mut text = nft_remove();
    text.push_str(&format!("table inet {TABLE} {{\n"));
    for (name, kind, v4) in [(SET_V4, "ipv4_addr", true), (SET_V6, "ipv6_addr", false)] {
        let elements: Vec<String> = targets
            .iter()
            .filter(|(address, _)| address.is_ipv4() == v4)
            .map(|(address, uid)| format!("{address} comment \"{uid}\""))
            .collect();
        let elements = if elements.is_empty() {
            String::new()
        } else {
            format!("\t\telements = {{ {} }}\n", elements.join(",\n\t\t\t"))
        };
        text.push_str(&format!("\tset {name} {{\n\t\ttype {kind}\n{elements}\t}}\n"));
    }
    let of_kubelet = format!("meta l4proto tcp meta skuid {kubelet}");
    text.push_str("\tchain postrouting {\n\t\ttype nat hook postrouting priority 100; policy accept;\n");
    text.push_str(&format!(
        "\t\t{of_kubelet} ip daddr @{SET_V4} counter snat ip to {}\n",
        probes.v4
    ));
    text.push_str(&format!(
        "\t\t{of_kubelet} ip6 daddr @{SET_V6} counter snat ip6 to {}\n\t}}\n}}\n",
        probes.v6
    ));
    text
}

/// Text for `nft -f -` that removes the node's table, also if it is not there.
pub fn nft_remove() -> String {
    format!("add table inet {TABLE}\ndelete table inet {TABLE}\n")
}

/// Text for `ipset restore -exist` that replaces both sets. The new set is filled aside and swapped in.
pub fn ipset(targets: &ProbeTargets) -> String {
    let mut text = String::new();
    for (name, family, v4) in [(SET_V4, "inet", true), (SET_V6, "inet6", false)] {
        let create = |name: &str| format!("create {name} hash:ip family {family} comment\n");
        let new = format!("{name}-new");
        text.push_str(&format!("{}{}flush {new}\n", create(name), create(&new)));
        for (address, uid) in targets.iter().filter(|(address, _)| address.is_ipv4() == v4) {
            text.push_str(&format!("add {new} {address} comment \"{uid}\"\n"));
        }
        text.push_str(&format!("swap {new} {name}\ndestroy {new}\n"));
    }
    text
}

/// The names of the sets that [`ipset`] makes.
pub const SETS: [&str; 2] = [SET_V4, SET_V6];

/// Text for `iptables-restore --noflush`, or `ip6tables-restore` with `v4` false. `saved` is what `iptables-save` printed.
pub fn iptables(probes: ProbeAddresses, v4: bool, saved: &str) -> String {
    let (set, source) = if v4 {
        (SET_V4, probes.v4.to_string())
    } else {
        (SET_V6, probes.v6.to_string())
    };
    let matched = format!("-m owner --socket-exists -p tcp -m set --match-set {set} dst");
    let jump = if saved
        .lines()
        .any(|line| line == format!("-A POSTROUTING -j {CHAIN}"))
    {
        String::new()
    } else {
        format!("-I POSTROUTING 1 -j {CHAIN}\n")
    };
    format!("*nat\n:{CHAIN} - [0:0]\n-A {CHAIN} {matched} -j SNAT --to-source {source}\n{jump}COMMIT\n")
}

/// Text that removes the rules of [`iptables`]; empty if `saved` shows none.
pub fn iptables_remove(saved: &str) -> String {
    if !saved.lines().any(|line| line.starts_with(&format!(":{CHAIN} "))) {
        return String::new();
    }
    let jump = format!("POSTROUTING -j {CHAIN}");
    let jumps = saved.lines().filter(|line| *line == format!("-A {jump}")).count();
    format!(
        "*nat\n{}-F {CHAIN}\n-X {CHAIN}\nCOMMIT\n",
        format!("-D {jump}\n").repeat(jumps)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(text: &str) -> PodUid {
        PodUid::new(text).unwrap()
    }

    fn targets() -> ProbeTargets {
        let mut targets = ProbeTargets::default();
        targets.add(
            &uid("a"),
            &["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
        );
        targets.add(&uid("b"), &["10.0.0.2".parse().unwrap()]);
        targets
    }

    #[test]
    fn golden_texts() {
        let probes = ProbeAddresses::default();
        insta::assert_snapshot!("host_nft", nft(probes, &targets(), 0));
        insta::assert_snapshot!("host_nft_without_pods", nft(probes, &ProbeTargets::default(), 0));
        insta::assert_snapshot!("host_ipset", ipset(&targets()));
        insta::assert_snapshot!(
            "host_iptables",
            iptables(probes, true, "") + &iptables(probes, false, "")
        );
    }

    #[test]
    fn an_address_that_changed_hands_stays_with_the_new_pod() {
        let mut targets = targets();
        assert!(targets.add(&uid("c"), &["10.0.0.1".parse().unwrap()]));
        assert!(!targets.add(&uid("c"), &["10.0.0.1".parse().unwrap()]));
        assert!(targets.remove(&uid("a")));
        let left: Vec<String> = targets
            .iter()
            .map(|(address, uid)| format!("{address} {uid}"))
            .collect();
        assert_eq!(left, ["10.0.0.1 c", "10.0.0.2 b"]);
        assert!(!targets.remove(&uid("a")));
        assert!(
            targets.add(&uid("b"), &["10.0.0.3".parse().unwrap()]),
            "made anew with another address"
        );
        assert_eq!(targets.iter().count(), 2);
    }

    #[test]
    fn host_rules_are_removed_with_all_their_jumps_and_only_if_there() {
        let saved =
            "*nat\n:ISTIO_POSTRT - [0:0]\n-A POSTROUTING -j ISTIO_POSTRT\n-A POSTROUTING -j KUBE\nCOMMIT\n";
        assert_eq!(
            iptables_remove(saved),
            "*nat\n-D POSTROUTING -j ISTIO_POSTRT\n-F ISTIO_POSTRT\n-X ISTIO_POSTRT\nCOMMIT\n"
        );
        assert_eq!(iptables_remove("*nat\n-A POSTROUTING -j KUBE\nCOMMIT\n"), "");
        assert!(!iptables(ProbeAddresses::default(), true, saved).contains("-I"));
    }
}
