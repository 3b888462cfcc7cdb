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

/// DNS for the pods.
pub fn dns(layout: &Layout) -> Result<()> {
    apply(layout, &manifest("dns.yaml")?)
}

/// The standard channel of the Gateway API, and what `istioctl` generates.
pub fn istio(layout: &Layout, release: &str, profile: Profile) -> Result<()> {
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
        // A node proxy is not to be had from any registry: ours takes its place where there is one.
        "components.ztunnel.enabled=false".to_owned(),
    ] {
        generate.arg("--set").arg(value);
    }
    apply(layout, &shell::run(&mut generate)?)
}

/// Waits for everything that `dns` and `istio` brought.
pub fn wait(layout: &Layout, profile: Profile) -> Result<()> {
    rollout(layout, "kube-system", "deployment/coredns")?;
    rollout(layout, "istio-system", "deployment/istiod")?;
    if profile == Profile::Ambient {
        rollout(layout, "istio-system", "daemonset/istio-cni-node")?;
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
    tools::source().join("tests/bed/manifests").join(name)
}

fn manifest(name: &str) -> Result<String> {
    fs::read_to_string(path(name)).into_diagnostic()
}
