//! The bed comes up after a start that was killed, has the nodes that were asked for, and leaves nothing.
//!
//! The test needs the machine to itself: it is skipped where a bed is up, and where the programs of one are
//! missing, since building them takes minutes.

#![expect(
    clippy::unwrap_used,
    reason = "a bed that does not do what it is told is a failure"
)]

use bed::layout::{BRIDGE, Layout, MARK};
use bed::{Bed, eventually};
use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Long enough for a half of everything to be there, too short for all of it.
const KILLED_AFTER: Duration = Duration::from_secs(14);

/// Set where the machine is known to be free and prepared, so that skipping would be a failure.
const OWN: &str = "MESH_MIGRATE_BED_OWN";

fn xtask(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) {
    let output = xtask(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

/// What a bed adds to a machine while it is up, by words that tell each thing from the others.
fn machine() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut lines_of = |what: &str, program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        all.extend(text.lines().map(|line| format!("{what}: {}", line.trim())));
    };
    lines_of("network namespace", "ip", &["netns", "list"]);
    lines_of("route", "ip", &["route", "show", "table", "all"]);
    lines_of("rule", "ip", &["rule", "show"]);
    lines_of("filter", "nft", &["list", "ruleset"]);
    lines_of(
        "setting",
        "sysctl",
        &["net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables"],
    );
    let links = fs::read_dir("/sys/class/net").unwrap().flatten();
    all.extend(links.map(|link| format!("link: {}", link.file_name().to_string_lossy())));
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    all.extend(
        mounts
            .lines()
            .filter_map(|line| Some(format!("mount: {}", line.split(' ').nth(1)?))),
    );
    let groups = fs::read_dir("/sys/fs/cgroup").unwrap().flatten();
    all.extend(
        groups
            .map(|hierarchy| hierarchy.path().join(BRIDGE))
            .filter(|group| group.exists())
            .map(|group| format!("control group: {}", group.display())),
    );
    for folder in [
        "/opt/cni",
        "/etc/cni",
        "/var/lib/cni",
        "/var/lib/kubelet",
        "/var/lib/containerd",
    ] {
        if fs::exists(folder).unwrap() {
            all.insert(format!("folder: {folder}"));
        }
    }
    all.extend(processes());
    all
}

/// Processes that carry the bed's mark, and those in a control group of it.
fn processes() -> Vec<String> {
    let mark = [MARK.as_bytes(), b"="].concat();
    let listed = fs::read_dir("/proc").unwrap().flatten();
    listed
        .filter(|entry| {
            let variables = fs::read(entry.path().join("environ")).unwrap_or_default();
            let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
            variables
                .split(|byte| *byte == 0)
                .any(|variable| variable.starts_with(&mark))
                || groups.contains(&format!("/{BRIDGE}/"))
        })
        .map(|entry| format!("process: {}", entry.file_name().to_string_lossy()))
        .collect()
}

/// Says that the test is skipped, where it may be.
fn skip(reason: &str) {
    assert!(std::env::var_os(OWN).is_none(), "{reason}");
    Bed::say_skipped(reason);
}

#[test]
fn a_bed_comes_up_after_a_killed_start_and_leaves_nothing() {
    let layout = Layout::of_user();
    let programs = ["kubelet", "kube-apiserver", "pilot-discovery", "envoy-stock"];
    if let Some(missing) = programs.iter().find(|name| !layout.program(name).exists()) {
        return skip(&format!("{missing} is not built; `cargo xtask bed up` builds it"));
    }
    if !processes().is_empty() {
        return skip("a bed is up, and this test needs the machine to itself");
    }
    let before = machine();

    let mut killed = xtask(&["bed", "up"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Programs that are old are built first, which takes as long as it takes.
    let patience = Instant::now() + Duration::from_secs(900);
    while machine() == before && Instant::now() < patience {
        std::thread::sleep(Duration::from_secs(1));
    }
    std::thread::sleep(KILLED_AFTER);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_ne!(machine(), before, "the start was killed before it did anything");

    run(&["bed", "up", "--nodes", "2"]);
    run(&["bed", "status"]);
    let bed = Bed::shared().unwrap();
    assert_eq!(bed.nodes(), 2);
    pods_of_two_nodes_reach_each_other(bed);

    run(&["bed", "down"]);
    let after = eventually(Duration::from_secs(10), || {
        let after = machine();
        let differences: Vec<_> = after.symmetric_difference(&before).cloned().collect();
        if differences.is_empty() {
            return Ok(after);
        }
        Err(differences.join("\n"))
    });
    assert_eq!(after, before);
}

fn pods_of_two_nodes_reach_each_other(bed: &Bed) {
    let mesh = bed.namespace("nodes");
    for (name, node) in [("near", "node-1"), ("far", "node-2")] {
        mesh.server(name);
        let on_node = format!("{{\"spec\":{{\"template\":{{\"spec\":{{\"nodeName\":\"{node}\"}}}}}}}}");
        mesh.kubectl(&["patch", "deployment", name, "--patch", &on_node])
            .unwrap();
        mesh.wait_ready(&format!("deployment/{name}"));
    }
    let answer = eventually(Duration::from_secs(30), || {
        mesh.get("near", "http://far/", &[]).expect(200)
    });
    assert_eq!(
        answer.saw("identity"),
        format!("spiffe://cluster.local/ns/{}/sa/near", mesh.name())
    );
}
