//! Finding the network namespace of a running pod through `/proc`.
//!
//! The cgroup of a process names its pod. That alone is not enough: a process of a pod may sit in another namespace, its
//! own or the node's (istio/istio#55139). So the namespace must hold an address of the pod, and must not be the node's.

use crate::netns::{Netns, NetnsId};
use crate::pod::PodUid;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

/// Why no network namespace was found for a pod. It may be there a moment later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    /// No process of the pod runs.
    #[error("no process of the pod runs yet")]
    NoProcess,
    /// The API server does not know the pod's addresses yet.
    #[error("the pod has no address yet")]
    NoAddress,
    /// Processes run, but none in a namespace with an address of the pod.
    #[error("{0} processes of the pod run, none in a network namespace with its address")]
    NoMatch(usize),
}

/// A process of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    started: u64,
    pid: u32,
}

/// Looks for the network namespaces of the pods in `wanted`. `proc` is where the node's proc file system is mounted; the
/// namespaces in `node` are never a pod's.
///
/// # Errors
/// If `proc` is not to be read. A single process that is not to be read is passed over.
pub fn find(
    proc: &Path,
    wanted: &HashMap<PodUid, Vec<IpAddr>>,
    node: &BTreeSet<NetnsId>,
) -> io::Result<HashMap<PodUid, Result<Netns, NotFound>>> {
    let mut processes: HashMap<PodUid, BTreeSet<Process>> = HashMap::new();
    for pid in process_ids(proc)? {
        let dir = proc.join(pid.to_string());
        let Ok(cgroup) = fs::read_to_string(dir.join("cgroup")) else {
            continue;
        };
        let Some(uid) = pod_of_cgroup(&cgroup).filter(|uid| wanted.contains_key(uid)) else {
            continue;
        };
        let Some(started) = fs::read_to_string(dir.join("stat"))
            .ok()
            .as_deref()
            .and_then(start_time)
        else {
            continue;
        };
        processes.entry(uid).or_default().insert(Process { started, pid });
    }
    let found = wanted.iter().map(|(uid, addresses)| {
        let processes = processes.remove(uid).unwrap_or_default();
        (uid.clone(), choose(proc, &processes, addresses, node))
    });
    Ok(found.collect())
}

/// The oldest process in a namespace that can be the pod's.
fn choose(
    proc: &Path,
    processes: &BTreeSet<Process>,
    addresses: &[IpAddr],
    node: &BTreeSet<NetnsId>,
) -> Result<Netns, NotFound> {
    if processes.is_empty() {
        return Err(NotFound::NoProcess);
    }
    if addresses.is_empty() {
        return Err(NotFound::NoAddress);
    }
    let mut tried = BTreeSet::new();
    for process in processes {
        let dir = proc.join(process.pid.to_string());
        let Ok(netns) = Netns::open(&dir.join("ns/net")) else {
            continue;
        };
        if node.contains(&netns.id()) || !tried.insert(netns.id()) {
            continue;
        }
        let held = held_addresses(&dir);
        if addresses.iter().any(|address| held.contains(address)) {
            return Ok(netns);
        }
    }
    Err(NotFound::NoMatch(processes.len()))
}

/// The user id of the kubelet, if one runs.
#[must_use]
pub fn kubelet_user(proc: &Path) -> Option<u32> {
    let is_kubelet = |pid: &u32| {
        fs::read_to_string(proc.join(pid.to_string()).join("comm")).is_ok_and(|name| name.trim() == "kubelet")
    };
    let pid = process_ids(proc).ok()?.into_iter().find(is_kubelet)?;
    let status = fs::read_to_string(proc.join(pid.to_string()).join("status")).ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    // Real, effective, saved, file system: sockets belong to the last.
    ids.split_whitespace().nth(3)?.parse().ok()
}

fn process_ids(proc: &Path) -> io::Result<Vec<u32>> {
    let names = fs::read_dir(proc)?.filter_map(Result::ok);
    Ok(names
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect())
}

/// The pod that a cgroup belongs to. Drivers write `…/pod<uid>/…` or `…-pod<uid with underscores>.slice/…`; the UID of a
/// static pod is 32 digits without dashes.
fn pod_of_cgroup(text: &str) -> Option<PodUid> {
    text.match_indices("pod")
        .find_map(|(at, _)| uid_at(text.get(at + 3..)?))
}

/// The UID at the start of a text.
fn uid_at(text: &str) -> Option<PodUid> {
    let end = text
        .bytes()
        .position(|byte| !(byte.is_ascii_hexdigit() || byte == b'-' || byte == b'_'));
    let uid = text.get(..end.unwrap_or(text.len()))?.replace('_', "-");
    let dashes: Vec<usize> = uid.match_indices('-').map(|(at, _)| at).collect();
    match (uid.len(), dashes.as_slice()) {
        (36, [8, 13, 18, 23]) | (32, []) => PodUid::new(&uid),
        _ => None,
    }
}

/// Field 22 of `/proc/<pid>/stat`: clock ticks since boot. The name in field 2 may hold spaces and parentheses.
fn start_time(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19)?.parse().ok()
}

/// The addresses of the network namespace of a process.
fn held_addresses(process: &Path) -> BTreeSet<IpAddr> {
    let read = |name: &str| fs::read_to_string(process.join("net").join(name)).unwrap_or_default();
    let v4 = local_v4(&read("fib_trie"));
    let v6 = local_v6(&read("if_inet6"));
    v4.into_iter()
        .map(IpAddr::V4)
        .chain(v6.into_iter().map(IpAddr::V6))
        .collect()
}

/// Local addresses in `/proc/net/fib_trie`: a line with the address, then one with its length, scope and type.
fn local_v4(trie: &str) -> BTreeSet<Ipv4Addr> {
    let mut last: Option<Ipv4Addr> = None;
    let mut found = BTreeSet::new();
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(last);
        }
    }
    found
}

/// Addresses in `/proc/net/if_inet6`: 32 hexadecimal digits at the start of each line.
fn local_v6(table: &str) -> BTreeSet<Ipv6Addr> {
    let digits = table.lines().filter_map(|line| line.split_whitespace().next());
    let valid = digits.filter(|digits| digits.len() == 32);
    valid
        .filter_map(|digits| u128::from_str_radix(digits, 16).ok())
        .map(Ipv6Addr::from)
        .collect()
}

/// The network namespaces that are the node's: the agent's own and that of the node's first process.
///
/// # Errors
/// If the agent's own is not to be opened.
pub fn node_namespaces(proc: &Path, own: &Path) -> io::Result<BTreeSet<NetnsId>> {
    let first: PathBuf = proc.join("1/ns/net");
    let mut found = BTreeSet::from([Netns::open(own)?.id()]);
    found.extend(Netns::open(&first).ok().map(|netns| netns.id()));
    Ok(found)
}

/// A short view of what [`find`] found, for the log.
#[must_use]
pub fn summary(found: &HashMap<PodUid, Result<Netns, NotFound>>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for outcome in found.values() {
        let key = outcome
            .as_ref()
            .map_or_else(ToString::to_string, |_| "found".to_owned());
        *counts.entry(key).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "6ab1e2a4-0c4f-4e2c-9d5e-0123456789ab";

    /// A proc file system of files: the "network namespace" of a process is a plain file, told apart by its inode.
    struct Proc(tempfile::TempDir);

    impl Proc {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn process(&self, pid: u32, cgroup: &str, started: u64, netns: &str, address: &str) {
            let root = self.0.path();
            let dir = root.join(pid.to_string());
            fs::create_dir_all(dir.join("ns")).unwrap();
            fs::create_dir_all(dir.join("net")).unwrap();
            fs::write(dir.join("cgroup"), cgroup).unwrap();
            let zeros = "0 ".repeat(18);
            fs::write(dir.join("stat"), format!("{pid} (a) b) S {zeros}{started} 0")).unwrap();
            let trie = format!("Local:\n  +-- 0.0.0.0/0 3 0 5\n     |-- {address}\n        /32 host LOCAL\n");
            fs::write(dir.join("net/fib_trie"), trie).unwrap();
            let shared = root.join(format!("ns-{netns}"));
            fs::write(&shared, "").unwrap();
            fs::hard_link(shared, dir.join("ns/net")).unwrap();
        }

        fn id(&self, netns: &str) -> NetnsId {
            Netns::open(&self.0.path().join(format!("ns-{netns}")))
                .unwrap()
                .id()
        }

        fn find(&self, address: &[&str]) -> Result<NetnsId, NotFound> {
            let uid = PodUid::new(POD).unwrap();
            let addresses = address.iter().map(|text| text.parse().unwrap()).collect();
            let node = node_namespaces(self.0.path(), Path::new("/proc/self/ns/net")).unwrap();
            let mut found = find(self.0.path(), &HashMap::from([(uid.clone(), addresses)]), &node).unwrap();
            found.remove(&uid).unwrap().map(|netns| netns.id())
        }
    }

    fn cgroup() -> String {
        format!("0::/kubepods/besteffort/pod{POD}/3f2e\n")
    }

    #[test]
    fn the_oldest_process_in_a_namespace_with_the_address_is_taken() {
        let proc = Proc::new();
        proc.process(20, &cgroup(), 700, "app", "10.0.0.5");
        proc.process(21, &cgroup(), 500, "pause", "10.0.0.5");
        assert_eq!(proc.find(&["10.0.0.5"]), Ok(proc.id("pause")));
    }

    /// istio/istio#55139: the cgroup alone assigned the namespaces of others.
    #[test]
    fn issue_55139_a_foreign_namespace_or_the_nodes_own_is_not_taken() {
        let proc = Proc::new();
        proc.process(1, "0::/init.scope\n", 1, "node", "192.0.2.1");
        proc.process(20, &cgroup(), 100, "nested", "172.17.0.2");
        assert_eq!(proc.find(&["10.0.0.5"]), Err(NotFound::NoMatch(1)));
        proc.process(21, &cgroup(), 200, "node", "10.0.0.5");
        assert_eq!(proc.find(&["10.0.0.5", "192.0.2.1"]), Err(NotFound::NoMatch(2)));
        proc.process(22, &cgroup(), 300, "pod", "10.0.0.5");
        assert_eq!(proc.find(&["10.0.0.5"]), Ok(proc.id("pod")));
    }

    /// istio/istio#60882: after a reboot the pods are annotated before their processes run.
    #[test]
    fn issue_60882_a_pod_without_processes_is_told_from_one_without_address() {
        let proc = Proc::new();
        assert_eq!(proc.find(&["10.0.0.5"]), Err(NotFound::NoProcess));
        proc.process(20, &cgroup(), 100, "pod", "10.0.0.5");
        assert_eq!(proc.find(&[]), Err(NotFound::NoAddress));
    }

    #[test]
    fn cgroups_of_all_drivers() {
        let underscored = POD.replace('-', "_");
        for (text, expected) in [
            (cgroup(), Some(POD)),
            (
                format!(
                    "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{underscored}.slice/x.scope"
                ),
                Some(POD),
            ),
            (format!("12:cpu:/kubepods/pod{POD}\n11:memory:/\n"), Some(POD)),
            (format!("0::/../../podman/pod{POD}/x"), Some(POD)),
            (
                "0::/kubepods/pod0123456789abcdef0123456789abcdef/x".into(),
                Some("0123456789abcdef0123456789abcdef"),
            ),
            ("0::/system.slice/podman.service".into(), None),
            (format!("0::/pod{}", &POD[..30]), None),
            (format!("0::/pods/{POD}"), None),
            ("0::/podé\u{301}".into(), None),
        ] {
            assert_eq!(
                pod_of_cgroup(&text).as_ref().map(PodUid::as_str),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn addresses_and_times_are_read_as_the_kernel_writes_them() {
        let trie = "Main:\n  |-- 10.0.0.0\n     /24 link UNICAST\nLocal:\n  |-- 10.0.0.5\n     /32 host LOCAL\n  |-- 10.0.0.255\n     /32 link BROADCAST\n";
        assert_eq!(local_v4(trie), BTreeSet::from([Ipv4Addr::new(10, 0, 0, 5)]));
        let table = "fd000000000000000000000000000001 02 40 00 80     eth0\nnonsense\n";
        assert_eq!(local_v6(table), BTreeSet::from(["fd00::1".parse().unwrap()]));
        let own = fs::read_to_string("/proc/self/stat").unwrap();
        assert!(start_time(&own).unwrap() > 0);
        assert_eq!(start_time("1 (a) S 0"), None);
        let held = held_addresses(Path::new("/proc/self"));
        assert!(held.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)), "{held:?}");
    }

    #[test]
    fn the_kubelet_is_known_by_name() {
        let proc = Proc::new();
        assert_eq!(kubelet_user(proc.0.path()), None);
        proc.process(30, "0::/\n", 1, "node", "10.0.0.1");
        fs::write(proc.0.path().join("30/comm"), "kubelet\n").unwrap();
        fs::write(
            proc.0.path().join("30/status"),
            "Name:\tkubelet\nUid:\t0\t0\t0\t7\nGid:\t0\n",
        )
        .unwrap();
        assert_eq!(kubelet_user(proc.0.path()), Some(7));
    }
}
