//! What is installed into the cluster: DNS, the Gateway API, Istio.

use super::control_plane::{apply, kubectl};
use super::{shell, tools};
use bed::layout::{IMAGE_HUB, IMAGE_TAG, Layout};
use clap::ValueEnum;
use miette::{IntoDiagnostic, Result};
use std::fmt;
use std::fs;
use std::process::Command;

/// How long Kubernetes may take for each part.
const READY_WITHIN: &str = "--timeout=180s";

/// Which of Istio's profiles is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// istiod alone; pods are redirected by an init container.
    Sidecar,
    /// istiod for both modes, and the CNI node agent.
    Ambient,
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sidecar => "sidecar",
            Self::Ambient => "ambient",
        })
    }
}

impl Profile {
    /// Its name among Istio's own.
    const fn of_istio(self) -> &'static str {
        match self {
            Self::Sidecar => "default",
            Self::Ambient => "ambient",
        }
    }
}

/// Who redirects the pods of ambient mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Agent {
    /// Istio's own.
    IstioCni,
    /// Ours.
    MeshAgent,
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Agent {
    const fn name(self) -> &'static str {
        match self {
            Self::IstioCni => "istio-cni",
            Self::MeshAgent => "mesh-agent",
        }
    }

    const fn daemon_set(self) -> &'static str {
        match self {
            Self::IstioCni => "daemonset/istio-cni-node",
            Self::MeshAgent => "daemonset/mesh-agent",
        }
    }
}

/// DNS for the pods.
pub fn dns(layout: &Layout) -> Result<()> {
    apply(layout, &manifest("dns.yaml")?)
}

/// The standard channel of the Gateway API, and what `istioctl` generates.
pub fn istio(layout: &Layout, release: &str, profile: Profile, agent: Agent) -> Result<()> {
    let gateway_api = tools::module_folder(&format!("istio-{release}"), "sigs.k8s.io/gateway-api")?;
    let mut crds = kubectl(layout);
    crds.args(["apply", "--server-side", "--filename"])
        .arg(gateway_api.join("config/crd/standard"));
    shell::run(&mut crds)?;
    apply(
        layout,
        "{apiVersion: v1, kind: Namespace, metadata: {name: istio-system}}",
    )?;
    let mut generate = Command::new(layout.program("istioctl"));
    generate
        .args(["manifest", "generate", "--filename"])
        .arg(path("istio.yaml"));
    for value in [
        format!("profile={}", profile.of_istio()),
        format!("hub={IMAGE_HUB}"),
        format!("tag={IMAGE_TAG}"),
    ] {
        generate.arg("--set").arg(value);
    }
    let ours = profile == Profile::Ambient && agent == Agent::MeshAgent;
    if ours {
        for component in ["cni", "ztunnel"] {
            generate
                .arg("--set")
                .arg(format!("components.{component}.enabled=false"));
        }
    }
    apply(layout, &shell::run(&mut generate)?)?;
    if ours {
        apply(layout, &own_data_plane()?)?;
    }
    Ok(())
}

/// What a user would apply, with the images of the bed.
fn own_data_plane() -> Result<String> {
    let mut manifests = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    manifests
        .args(["run", "--quiet", "--locked", "--package=mesh-migrate", "--"])
        .args(["payload", "manifests", "--hub", IMAGE_HUB, "--tag", IMAGE_TAG])
        .current_dir(crate::cargo::source());
    shell::run(&mut manifests)
}

/// Waits for everything that `dns` and `istio` brought.
pub fn wait(layout: &Layout, profile: Profile, agent: Agent) -> Result<()> {
    rollout(layout, "kube-system", "deployment/coredns")?;
    rollout(layout, "istio-system", "deployment/istiod")?;
    if profile == Profile::Ambient {
        rollout(layout, "istio-system", agent.daemon_set())?;
        rollout(layout, "istio-system", "daemonset/ztunnel")?;
    }
    let mut classes = kubectl(layout);
    classes.args([
        "wait",
        READY_WITHIN,
        "--for=condition=Accepted",
        "gatewayclass",
        "--all",
    ]);
    shell::run(&mut classes).map(drop)
}

fn rollout(layout: &Layout, namespace: &str, what: &str) -> Result<()> {
    let mut command = kubectl(layout);
    command.args(["--namespace", namespace, "rollout", "status", READY_WITHIN, what]);
    shell::run(&mut command).map(drop)
}

fn path(name: &str) -> std::path::PathBuf {
    crate::cargo::source().join("tests/bed/manifests").join(name)
}

fn manifest(name: &str) -> Result<String> {
    fs::read_to_string(path(name)).into_diagnostic()
}
