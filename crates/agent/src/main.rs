//! The command line of the node agent, and the entry of the CNI plugin.

use clap::{Args, Parser, Subcommand};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use mesh_agent::cni;
use mesh_agent::conflist::{Installation, Mode};
use mesh_agent::eligibility::Eligibility;
use mesh_agent::node::{self, Options};
use mesh_agent::rules::{self, ProbeAddresses, RuleSettings};
use serde_json::json;
use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Node agent and CNI plugin of the ambient data plane.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run as a CNI plugin: environment and standard input as the CNI specification says. So it does under any name
    /// wherever CNI_COMMAND is set.
    Cni,
    /// Run the agent of this node.
    Node(Box<NodeArgs>),
    /// Become another program inside of a mount namespace.
    #[command(hide = true)]
    Enter {
        /// File of the mount namespace
        mounts: PathBuf,
        /// The program and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        program: Vec<OsString>,
    },
    /// Take the plugin's entry out of the CNI configuration, then remove its program.
    Uninstall(Box<PluginArgs>),
}

#[derive(Args)]
struct NodeArgs {
    /// Name of this node
    #[arg(long, env = "NODE_NAME")]
    node_name: String,
    /// Kubeconfig; by default the usual one, or that of the pod
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Socket that node proxies connect to
    #[arg(
        long,
        env = "ZTUNNEL_UDS_ADDRESS",
        default_value = "/var/run/ztunnel/ztunnel.sock"
    )]
    zds_socket: PathBuf,
    /// The node's proc file system
    #[arg(long, default_value = "/proc")]
    proc: PathBuf,
    /// The node's root directory
    #[arg(long, default_value = "/")]
    host_root: PathBuf,
    /// The node's network namespace
    #[arg(long, default_value = "/proc/self/ns/net")]
    host_netns: PathBuf,
    /// Mount namespace whose nft or iptables is used, such as /proc/1/ns/mnt; by default the agent's own
    #[arg(long)]
    program_mounts: Option<PathBuf>,
    /// Address of /healthz, /readyz and /metrics
    #[arg(long, default_value = "0.0.0.0:8000")]
    address: SocketAddr,
    /// Selectors of pods to be enrolled, as JSON
    #[arg(long, env = "ENABLEMENT_SELECTORS")]
    enablement_selectors: Option<String>,
    /// Leave connections of pods to DNS servers alone unless their annotation says otherwise
    #[arg(long)]
    no_dns_capture: bool,
    /// IPv4 address that probes come from, as pods see it
    #[arg(long, env = "HOST_PROBE_SNAT_IP", default_value_t = ProbeAddresses::default().v4)]
    probe_address: Ipv4Addr,
    /// IPv6 address that probes come from, as pods see it
    #[arg(long, env = "HOST_PROBE_SNAT_IPV6", default_value_t = ProbeAddresses::default().v6)]
    probe_address_v6: Ipv6Addr,
    /// Do not install the CNI plugin: only running pods are enrolled
    #[arg(long)]
    no_install: bool,
    /// The agent's DaemonSet: when it is gone, a stopping agent removes the plugin and the node's rules
    #[arg(long)]
    daemon_set: Option<String>,
    /// Log more
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    plugin: PluginArgs,
}

#[derive(Args)]
struct PluginArgs {
    /// Directory of the plugin's socket
    #[arg(long, default_value = "/var/run/istio-cni")]
    run_dir: PathBuf,
    /// Namespaces whose pods are never enrolled
    #[arg(
        long,
        env = "EXCLUDE_NAMESPACES",
        value_delimiter = ',',
        default_value = "kube-system"
    )]
    exclude_namespaces: Vec<String>,
    /// Namespace of the agent
    #[arg(long, env = "POD_NAMESPACE", default_value = "istio-system")]
    namespace: String,
    /// How names of the agent's pods begin, if they are not in the node's own network
    #[arg(long, default_value = "")]
    agent_pod_prefix: String,
    /// Directory of CNI configurations
    #[arg(long, default_value = "/etc/cni/net.d")]
    cni_net_dir: PathBuf,
    /// Directory of CNI programs
    #[arg(long, default_value = "/opt/cni/bin")]
    cni_bin_dir: PathBuf,
    /// CNI configuration to be used; by default the first
    #[arg(long, env = "CNI_CONF_NAME")]
    cni_conf_name: Option<String>,
    /// Name of the plugin
    #[arg(long, default_value = "mesh-agent")]
    cni_type: String,
    /// Put the plugin into a configuration file of its own with this name, which must come first
    #[arg(long)]
    owned_cni_config: Option<String>,
}

impl PluginArgs {
    fn installation(&self) -> io::Result<Installation> {
        let entry = json!({
            "type": self.cni_type,
            "name": self.cni_type,
            "cni_agent_run_dir": std::path::absolute(&self.run_dir)?,
            "exclude_namespaces": self.exclude_namespaces,
            "pod_namespace": self.namespace,
            "agent_pod_prefix": self.agent_pod_prefix,
            "status_requires_agent": self.agent_pod_prefix.is_empty(),
        });
        Ok(Installation {
            net_dir: self.cni_net_dir.clone(),
            bin_dir: self.cni_bin_dir.clone(),
            conf_name: self.cni_conf_name.clone().filter(|name| !name.is_empty()),
            mode: self.owned_cni_config.clone().map_or(Mode::Chained, Mode::Owned),
            entry: entry.as_object().cloned().unwrap_or_default(),
            program: std::env::current_exe()?,
        })
    }
}

fn main() -> ExitCode {
    if std::env::var_os("CNI_COMMAND").is_some() {
        return plugin();
    }
    let outcome = match Cli::parse().command {
        Command::Cni => return plugin(),
        Command::Node(args) => agent(&args),
        Command::Enter { mounts, program } => Err(rules::enter(&mounts, &program).into()),
        Command::Uninstall(args) => uninstall(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is to be done if standard error is closed.
            let _ = writeln!(io::stderr(), "mesh-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

fn plugin() -> ExitCode {
    let mut stdin = Vec::new();
    // What was not read is missing in the configuration, and refused as such.
    let _ = io::stdin().read_to_end(&mut stdin);
    let outcome = cni::run(|name| std::env::var(name).ok(), &String::from_utf8_lossy(&stdin));
    let written = io::stdout().write_all(outcome.stdout.as_bytes());
    if outcome.failed || written.is_err() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn uninstall(args: &PluginArgs) -> Result<(), Box<dyn Error>> {
    Ok(args.installation()?.uninstall()?)
}

fn agent(args: &NodeArgs) -> Result<(), Box<dyn Error>> {
    let level = if args.verbose {
        LevelFilter::DEBUG
    } else {
        LevelFilter::INFO
    };
    let ours = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("mesh_agent", level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(false);
    tracing_subscriber::registry()
        .with(lines.with_filter(ours))
        .init();
    let excluded = args
        .plugin
        .exclude_namespaces
        .iter()
        .filter(|name| !name.is_empty())
        .cloned();
    let eligibility = match &args.enablement_selectors {
        Some(selectors) => Eligibility::parse(excluded, selectors)?,
        None => Eligibility::standard(excluded)?,
    };
    let probes = ProbeAddresses {
        v4: args.probe_address,
        v6: args.probe_address_v6,
    };
    let options = Options {
        node: args.node_name.clone(),
        run_dir: args.plugin.run_dir.clone(),
        zds_socket: args.zds_socket.clone(),
        proc: args.proc.clone(),
        host_root: args.host_root.clone(),
        host_netns: args.host_netns.clone(),
        program_mounts: args.program_mounts.clone(),
        address: args.address,
        eligibility,
        rules: RuleSettings {
            probes,
            dns_capture: !args.no_dns_capture,
        },
        installation: if args.no_install {
            None
        } else {
            Some(args.plugin.installation()?)
        },
        daemon_set: args
            .daemon_set
            .clone()
            .map(|name| (args.plugin.namespace.clone(), name)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let config = match &args.kubeconfig {
            Some(path) => {
                Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &KubeConfigOptions::default())
                    .await?
            }
            None => Config::infer().await?,
        };
        Ok(node::run(options, Client::try_from(config)?).await?)
    })
}
