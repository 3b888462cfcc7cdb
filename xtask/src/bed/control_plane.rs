//! etcd and the control plane of Kubernetes, in the machine's own namespaces, on the bed's own address.

use super::{pki, shell};
use bed::layout::{API_PORT, CONTROL_PLANE, Layout, POD_NETWORK, SERVICE_NETWORK};
use miette::{IntoDiagnostic, Result, miette};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long the API server may take.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Starts all of it and waits until the API server answers.
pub fn start(layout: &Layout, nodes: u8) -> Result<()> {
    pki::make(layout, nodes)?;
    start_etcd(layout)?;
    start_api_server(layout)?;
    let ready_by = Instant::now() + READY_WITHIN;
    while !shell::output(kubectl(layout).args(["get", "--raw=/readyz"]))?
        .status
        .success()
    {
        if Instant::now() > ready_by {
            return Err(miette!(
                help = "see `cargo xtask bed logs kube-apiserver`",
                "the API server was not ready after {} s",
                READY_WITHIN.as_secs()
            ));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    start_controller_manager(layout)?;
    start_scheduler(layout)
}

/// kubectl as the cluster's administrator.
pub fn kubectl(layout: &Layout) -> Command {
    let mut command = Command::new(layout.program("kubectl"));
    command.arg("--kubeconfig").arg(layout.kubeconfig());
    command
}

/// Server-side apply of these manifests.
pub fn apply(layout: &Layout, manifests: &str) -> Result<()> {
    let mut command = kubectl(layout);
    command.args(["apply", "--server-side", "--force-conflicts", "--filename=-"]);
    shell::feed(&mut command, manifests).map(drop)
}

fn start_etcd(layout: &Layout) -> Result<()> {
    let data = layout.run().join("etcd");
    std::fs::create_dir_all(&data).into_diagnostic()?;
    let client = format!("http://{CONTROL_PLANE}:2379");
    let peer = format!("http://{CONTROL_PLANE}:2380");
    let mut command = Command::new("etcd");
    command.args(["--name=bed", "--unsafe-no-fsync", "--log-level=error"]);
    command.arg(format!("--data-dir={}", data.display()));
    command.args([
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=bed={peer}"),
    ]);
    shell::start(layout, "etcd", &mut command).map(drop)
}

fn start_api_server(layout: &Layout) -> Result<()> {
    let pki = layout.pki();
    let file = |flag: &str, name: &str| format!("--{flag}={}", pki.join(name).display());
    let mut command = Command::new(layout.program("kube-apiserver"));
    command.args([
        format!("--etcd-servers=http://{CONTROL_PLANE}:2379"),
        format!("--bind-address={CONTROL_PLANE}"),
        format!("--advertise-address={CONTROL_PLANE}"),
        format!("--secure-port={API_PORT}"),
        format!("--service-cluster-ip-range={SERVICE_NETWORK}"),
        file("tls-cert-file", "apiserver.crt"),
        file("tls-private-key-file", "apiserver.key"),
        file("client-ca-file", "ca.crt"),
        file("kubelet-client-certificate", "admin.crt"),
        file("kubelet-client-key", "admin.key"),
        file("service-account-key-file", "account.pub"),
        file("service-account-signing-key-file", "account.key"),
    ]);
    command.args([
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        // Webhooks are called at a pod's own address: Services have none outside of the nodes.
        "--enable-aggregator-routing=true",
        "--kubelet-preferred-address-types=InternalIP",
        "--enable-priority-and-fairness=false",
        // It asks etcd for progress in a way that Debian's release does not know.
        "--feature-gates=SizeBasedListCostEstimate=false",
    ]);
    shell::start(layout, "kube-apiserver", &mut command).map(drop)
}

fn start_controller_manager(layout: &Layout) -> Result<()> {
    let pki = layout.pki();
    let file = |flag: &str, name: &str| format!("--{flag}={}", pki.join(name).display());
    let mut command = Command::new(layout.program("kube-controller-manager"));
    command.args([
        file("kubeconfig", "controller-manager.kubeconfig"),
        file("service-account-private-key-file", "account.key"),
        file("root-ca-file", "ca.crt"),
        file("cluster-signing-cert-file", "ca.crt"),
        file("cluster-signing-key-file", "ca.key"),
        format!("--bind-address={CONTROL_PLANE}"),
        format!("--cluster-cidr={POD_NETWORK}"),
    ]);
    command.args([
        "--use-service-account-credentials=true",
        "--leader-elect=false",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]);
    shell::start(layout, "kube-controller-manager", &mut command).map(drop)
}

fn start_scheduler(layout: &Layout) -> Result<()> {
    let mut command = Command::new(layout.program("kube-scheduler"));
    command.args([
        format!(
            "--kubeconfig={}",
            layout.pki().join("scheduler.kubeconfig").display()
        ),
        format!("--bind-address={CONTROL_PLANE}"),
    ]);
    command.args([
        "--leader-elect=false",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]);
    shell::start(layout, "kube-scheduler", &mut command).map(drop)
}
