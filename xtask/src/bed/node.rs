//! A node: containerd, kubelet and kube-proxy in namespaces of their own.
//!
//! Its first process is process 1 of a PID namespace: when that ends, the kernel ends everything on the node,
//! containers included, and the mounts go with the last of them.

use super::shell;
use bed::layout::{DNS, IMAGE_HUB, IMAGE_TAG, Layout, Node, POD_NETWORK};
use miette::{IntoDiagnostic, Result, WrapErr};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that each node has for itself: what is seen at the second, is kept in the node's first.
const OWN_FOLDERS: &[(&str, &str)] = &[
    ("run", "/run"),
    ("log", "/var/log"),
    ("kubelet", "/var/lib/kubelet"),
    ("containerd", "/var/lib/containerd"),
    // Addresses of pods: left behind, they would be missing in the next cluster.
    ("cni", "/var/lib/cni"),
    ("cni-config", "/etc/cni/net.d"),
    ("cni-bin", "/opt/cni/bin"),
];

/// Where Debian puts the CNI plugins.
const CNI_PLUGINS: &str = "/usr/lib/cni";

/// The hierarchies of control groups, version 1.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// Starts the node; it registers by itself.
pub fn start(layout: &Layout, node: Node) -> Result<()> {
    let folder = layout.node(node);
    for (own, seen_at) in OWN_FOLDERS {
        fs::create_dir_all(folder.join(own)).into_diagnostic()?;
        make_mount_point(Path::new(seen_at))?;
    }
    for plugin in ["bridge", "host-local", "loopback", "portmap"] {
        fs::copy(
            Path::new(CNI_PLUGINS).join(plugin),
            folder.join("cni-bin").join(plugin),
        )
        .into_diagnostic()
        .wrap_err_with(|| format!("the CNI plugin `{plugin}` cannot be copied"))?;
    }
    shell::write(&folder.join("cni-config/10-bed.conflist"), cni_config(node))?;
    shell::write(&folder.join("containerd.toml"), containerd_config())?;
    shell::write(&folder.join("kubelet.yaml"), kubelet_config(layout, node))?;
    make_control_groups(node)?;
    let script = folder.join("node.sh");
    shell::write(&script, init(layout, node))?;
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net=/run/netns/{}", node.network_namespace()))
        .args([
            "unshare",
            "--mount",
            "--uts",
            "--ipc",
            "--pid",
            "--fork",
            "--mount-proc",
        ])
        .args(["--kill-child=KILL", "--", "bash"])
        .arg(&script);
    shell::start(layout, &node.name(), &mut command).map(drop)
}

/// containerd's client, on the node.
pub fn ctr(layout: &Layout, node: Node) -> Command {
    let mut command = Command::new("ctr");
    command
        .arg("--address")
        .arg(layout.node(node).join("run/containerd/containerd.sock"))
        .args(["--namespace", "k8s.io"]);
    command
}

/// Takes away what a node leaves outside of its namespaces.
pub fn remove_traces(node: Node) {
    for hierarchy in control_groups(node) {
        remove_control_group(&hierarchy);
    }
    for hierarchy in hierarchies() {
        // Only when the last node has left it.
        let _ = fs::remove_dir(hierarchy.join(bed::layout::BRIDGE));
    }
    // Mount points that we made are empty folders.
    for path in [
        "/etc/cni/net.d",
        "/etc/cni",
        "/opt/cni/bin",
        "/opt/cni",
        "/var/lib/cni",
        "/var/lib/kubelet",
    ] {
        let _ = fs::remove_dir(path);
    }
}

fn make_mount_point(path: &Path) -> Result<()> {
    fs::create_dir_all(path)
        .into_diagnostic()
        .wrap_err_with(|| format!("{} cannot be made", path.display()))
}

fn hierarchies() -> Vec<PathBuf> {
    let mounted = fs::read_dir(CONTROL_GROUPS).into_iter().flatten().flatten();
    mounted
        .map(|entry| entry.path())
        .filter(|path| path.join("tasks").exists())
        .collect()
}

fn control_groups(node: Node) -> Vec<PathBuf> {
    hierarchies()
        .into_iter()
        .map(|hierarchy| hierarchy.join(bed::layout::BRIDGE).join(node.name()))
        .collect()
}

fn make_control_groups(node: Node) -> Result<()> {
    for group in control_groups(node) {
        fs::create_dir_all(&group).into_diagnostic()?;
        // A group of CPUs is unusable until it has some; children take their parent's by this switch.
        for level in [group.parent(), Some(&*group)].into_iter().flatten() {
            let above = level.parent().unwrap_or(level);
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(of_parent) = fs::read_to_string(above.join(file)) {
                    let _ = fs::write(level.join(file), of_parent);
                }
            }
            if level.join("cgroup.clone_children").exists() && level.join("cpuset.cpus").exists() {
                let _ = fs::write(level.join("cgroup.clone_children"), "1");
            }
        }
    }
    Ok(())
}

/// Groups are folders whose files cannot be removed: deepest first, folders only.
fn remove_control_group(group: &Path) {
    let children = fs::read_dir(group).into_iter().flatten().flatten();
    for child in children.filter(|child| child.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_control_group(&child.path());
    }
    let _ = fs::remove_dir(group);
}

fn init(layout: &Layout, node: Node) -> String {
    let folder = layout.node(node);
    let folder = folder.display();
    let (bin, pki, name, address) = (layout.bin(), layout.pki(), node.name(), node.address());
    let (bin, pki) = (bin.display(), pki.display());
    let mounts: String = OWN_FOLDERS
        .iter()
        .map(|(own, seen_at)| format!("mount --bind {folder}/{own} {seen_at}\n"))
        .collect();
    format!(
        "set -e\n\
         export PATH=/usr/sbin:/usr/bin:/sbin:/bin\n\
         mount --make-rprivate / && mount --make-rshared /\n\
         {mounts}\
         hostname {name}\n\
         containerd --config {folder}/containerd.toml >{folder}/containerd.log 2>&1 &\n\
         {bin}/kube-proxy --kubeconfig {pki}/kube-proxy.kubeconfig --hostname-override {name} \
         --cluster-cidr {POD_NETWORK} --proxy-mode iptables --iptables-min-sync-period 200ms \
         --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 \
         --conntrack-tcp-timeout-close-wait 0 --bind-address {address} \
         --healthz-bind-address {address}:10256 --metrics-bind-address {address}:10249 \
         >{folder}/kube-proxy.log 2>&1 &\n\
         until [ -S /run/containerd/containerd.sock ]; do sleep 0.05; done\n\
         {bin}/kubelet --config {folder}/kubelet.yaml --kubeconfig {pki}/{name}.kubeconfig \
         --hostname-override {name} --node-ip {address} --root-dir /var/lib/kubelet \
         >{folder}/kubelet.log 2>&1 &\n\
         wait\n"
    )
}

fn cni_config(node: Node) -> String {
    let pods = node.pod_network();
    format!(
        r#"{{"cniVersion": "1.0.0", "name": "bed", "plugins": [
  {{"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {{"type": "host-local", "ranges": [[{{"subnet": "{pods}"}}]], "routes": [{{"dst": "0.0.0.0/0"}}]}}}},
  {{"type": "portmap", "capabilities": {{"portMappings": true}}}}
]}}
"#
    )
}

fn containerd_config() -> String {
    format!(
        r#"version = 2
oom_score = 0

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{IMAGE_HUB}/pause:{IMAGE_TAG}"
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".containerd]
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"#
    )
}

fn kubelet_config(layout: &Layout, node: Node) -> String {
    let pki = layout.pki();
    let (pki, name, address) = (pki.display(), node.name(), node.address());
    let group = bed::layout::BRIDGE;
    format!(
        r"apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {address}
healthzBindAddress: {address}
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: {pki}/ca.crt}}
authorization: {{mode: Webhook}}
tlsCertFile: {pki}/{name}.crt
tlsPrivateKeyFile: {pki}/{name}.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
clusterDNS: [{DNS}]
clusterDomain: cluster.local
cgroupDriver: cgroupfs
cgroupRoot: /{group}/{name}
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
# The machine may lack the capability that a lower score needs.
oomScoreAdj: 0
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {{memory.available: 50Mi, nodefs.available: 100Mi, imagefs.available: 100Mi}}
maxPods: 250
podPidsLimit: -1
serializeImagePulls: false
registryPullQPS: 0
eventRecordQPS: 0
syncFrequency: 10s
# A pod whose agent was late must not wait for minutes.
crashLoopBackOff: {{maxContainerRestartPeriod: 10s}}
featureGates: {{KubeletCrashLoopBackOffMax: true}}
shutdownGracePeriod: 0s
"
    )
}
