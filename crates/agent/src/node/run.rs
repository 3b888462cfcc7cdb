//! Starting and stopping the agent.

use super::annotate::ThroughApi;
use super::controller::{Controller, Event};
use super::health::Health;
use super::hub::Hub;
use super::plugin::{PluginHandler, ProbeHandler};
use super::probes::HostRules;
use super::worker::Shared;
use super::{heal, http, joined, watch};
use crate::cni::event::SOCKET;
use crate::conflist::{InstallError, Installation};
use crate::eligibility::{Eligibility, SelectorError};
use crate::netns::Netns;
use crate::pod::{Labels, Pod};
use crate::procfs;
use crate::rules::{Firewall, RuleSettings, RulesError};
use k8s_openapi::api::apps::v1::DaemonSet;
use kube::{Api, Client};
use proxy::zds::{AgentListener, ZdsError};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

/// How long the node's rules may be missing after someone else took them away.
const RENEWAL: Duration = Duration::from_secs(30);

/// What the agent is started with.
pub struct Options {
    /// The node's name.
    pub node: String,
    /// The directory of the plugin's socket.
    pub run_dir: PathBuf,
    /// The socket that proxies connect to.
    pub zds_socket: PathBuf,
    /// Where the node's proc file system is mounted.
    pub proc: PathBuf,
    /// Where the node's root directory is mounted.
    pub host_root: PathBuf,
    /// The node's network namespace.
    pub host_netns: PathBuf,
    /// The mount namespace whose programs are used; the agent's own if none is given.
    pub program_mounts: Option<PathBuf>,
    /// Where probes and dashboards ask.
    pub address: SocketAddr,
    /// Which pods are enrolled.
    pub eligibility: Eligibility,
    /// What is the same for all pods' rules.
    pub rules: RuleSettings,
    /// What is installed; nothing if none.
    pub installation: Option<Installation>,
    /// Namespace and name of the agent's DaemonSet. Without it, everything is left in place when the agent stops.
    pub daemon_set: Option<(String, String)>,
}

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A socket, a directory or a namespace is not to be had.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The socket for proxies is not to be had.
    #[error("listening for proxies: {0}")]
    Zds(#[from] ZdsError),
    /// No program for rules works here.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The enablement selectors are wrong.
    #[error(transparent)]
    Selectors(#[from] SelectorError),
    /// The plugin could not be removed.
    #[error("removing the CNI plugin: {0}")]
    Uninstall(#[from] InstallError),
    /// The watches ended.
    #[error("the watches of the API server ended")]
    Watch,
}

fn io_error(what: &'static str) -> impl Fn(io::Error) -> AgentError {
    move |source| AgentError::Io { what, source }
}

/// Runs the agent until it is told to stop.
///
/// # Errors
/// If something that it needs is not to be had.
pub async fn run(options: Options, client: Client) -> Result<(), AgentError> {
    let mut stop = signal(SignalKind::terminate()).map_err(io_error("waiting for signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io_error("waiting for signals"))?;
    let hub = Arc::new(Hub::default());
    let health = Arc::new(Health::default());
    let shared = Arc::new(share(&options, &client, hub.clone())?);

    let probes = TcpListener::bind(options.address)
        .await
        .map_err(io_error("listening for probes"))?;
    tokio::spawn(http::serve_tcp(
        probes,
        Arc::new(ProbeHandler {
            health: health.clone(),
            hub: hub.clone(),
        }),
    ));
    let work = serve(&options, client.clone(), shared.clone(), health);
    tokio::select! {
        ended = work => return ended,
        _ = stop.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    leave(&options, client, &shared).await
}

fn share(options: &Options, client: &Client, hub: Arc<Hub>) -> Result<Shared, AgentError> {
    let firewall = Firewall::detect(options.program_mounts.clone())?;
    let netns = Netns::open(&options.host_netns).map_err(io_error("opening the node's network namespace"))?;
    let mut node_namespaces = procfs::node_namespaces(&options.proc, Path::new("/proc/self/ns/net"))
        .map_err(io_error("opening the agent's network namespace"))?;
    node_namespaces.insert(netns.id());
    let kubelet = procfs::kubelet_user(&options.proc);
    if kubelet.is_none() {
        tracing::info!("no kubelet is to be seen: its user is taken to be 0");
    }
    tracing::info!(programs = ?firewall.backend(), "rules");
    let probes = options.rules.probes;
    Ok(Shared {
        hub,
        rules: options.rules,
        firewall: firewall.clone(),
        host: HostRules::new(firewall, Arc::new(netns), probes, kubelet.unwrap_or(0)),
        annotate: Arc::new(ThroughApi(client.clone())),
        proc: options.proc.clone(),
        node_namespaces,
        host_root: options.host_root.clone(),
    })
}

async fn serve(
    options: &Options,
    client: Client,
    shared: Arc<Shared>,
    health: Arc<Health>,
) -> Result<(), AgentError> {
    let (events, mut queue) = mpsc::unbounded_channel();
    let (pod_events, node) = (events.clone(), options.node.clone());
    let pod_client = client.clone();
    tokio::spawn(async move { watch::pods(pod_client, &node, pod_events).await });
    tokio::spawn(watch::namespaces(client.clone(), events.clone()));
    let (pods, namespaces, later) = first_lists(&mut queue).await.ok_or(AgentError::Watch)?;
    tracing::info!(
        pods = pods.len(),
        namespaces = namespaces.len(),
        "the API server has answered"
    );

    let (missing, questions) = mpsc::unbounded_channel();
    tokio::spawn(watch::fetch(client, questions, events.clone()));
    let eligibility = options.eligibility.clone();
    let controller = Controller::start(shared.clone(), eligibility, pods, namespaces, missing)
        .await
        .map_err(io_error("looking for the pods' network namespaces"))?;
    for event in later {
        // The queue's other end is here, so it is open.
        let _ = events.send(event);
    }

    // Only now: a proxy drops every pod that the snapshot does not name.
    create_parent(&options.zds_socket)?;
    tokio::spawn(
        shared
            .hub
            .clone()
            .serve(AgentListener::bind(&options.zds_socket)?),
    );
    let socket = options.run_dir.join(SOCKET);
    create_parent(&socket)?;
    let plugin = http::listen(&socket).map_err(io_error("listening for the plugin"))?;
    let handler = PluginHandler {
        events,
        health: health.clone(),
    };
    tokio::spawn(http::serve_unix(plugin, Arc::new(handler)));
    health.synced.store(true, Ordering::Relaxed);
    tokio::spawn(renew(shared));

    // The plugin asks the agent about every pod, so it is installed when the agent can answer.
    match options.installation.clone() {
        Some(installation) => drop(tokio::spawn(heal::heal(installation, health.clone()))),
        None => health.installed.store(true, Ordering::Relaxed),
    }
    controller.run(queue, health).await;
    Err(AgentError::Watch)
}

/// Puts the node's rules in place anew now and then, for ever.
async fn renew(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        if let Err(error) = shared.host.renew().await {
            tracing::warn!(%error, "the node's rules; tried again");
        }
    }
}

/// Waits for the first list of pods and the first list of namespaces. Gives them, and what else came meanwhile.
async fn first_lists(
    queue: &mut mpsc::UnboundedReceiver<Event>,
) -> Option<(Vec<Pod>, BTreeMap<String, Labels>, Vec<Event>)> {
    let (mut pods, mut namespaces, mut later) = (None, None, Vec::new());
    loop {
        match queue.recv().await? {
            Event::Pods(list) if pods.is_none() => pods = Some(list),
            Event::Namespaces(list) if namespaces.is_none() => namespaces = Some(list),
            event => later.push(event),
        }
        if let (Some(pods), Some(namespaces)) = (&mut pods, &mut namespaces) {
            return Some((std::mem::take(pods), std::mem::take(namespaces), later));
        }
    }
}

fn create_parent(path: &Path) -> Result<(), AgentError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(parent).map_err(io_error("making the directory of a socket"))
}

/// Leaves, after a signal to stop. Rules inside of pods stay in any case.
async fn leave(options: &Options, client: Client, shared: &Shared) -> Result<(), AgentError> {
    let Some((namespace, name)) = &options.daemon_set else {
        return Ok(());
    };
    if stays(client, namespace, name).await {
        tracing::info!("the agent comes back: everything stays in place");
        return Ok(());
    }
    tracing::info!("the DaemonSet is gone: uninstalling");
    if let Some(installation) = options.installation.clone() {
        joined(spawn_blocking(move || installation.uninstall()).await)?;
    }
    shared.host.clear().await?;
    Ok(())
}

/// Whether everything is to stay in place when the agent stops. While its DaemonSet is there, the agent comes back, and until
/// then the plugin keeps new pods from starting unredirected. So it is, too, if that cannot be found out.
pub async fn stays(client: Client, namespace: &str, name: &str) -> bool {
    let api: Api<DaemonSet> = Api::namespaced(client, namespace);
    match api.get_opt(name).await {
        Ok(found) => found.is_some_and(|found| found.metadata.deletion_timestamp.is_none()),
        Err(error) => {
            tracing::warn!(%error, "whether the DaemonSet is there is not to be found out");
            true
        }
    }
}
