//! The life of one pod's enrolment: one task per pod, so that steps of a pod never overtake each other, and a pod that
//! waits holds up no other.

use super::annotate::{Annotate, Redirection};
use super::hub::{Hub, ServeError};
use super::joined;
use super::probes::HostRules;
use crate::netns::{Netns, NetnsId};
use crate::pod::{Pod, PodUid};
use crate::procfs::{self, NotFound};
use crate::rules::{Firewall, PodRules, RuleSettings, RulesError};
use proxy::zds::WorkloadInfo;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

/// The first and the longest wait before a step is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(5));

/// How long a pod that is being made waits for its annotation.
const ANNOTATION_WAIT: Duration = Duration::from_secs(2);

/// What all workers share.
pub struct Shared {
    /// The proxies.
    pub hub: Arc<Hub>,
    /// The programs for rules.
    pub firewall: Firewall,
    /// What is the same for all pods' rules.
    pub rules: RuleSettings,
    /// The node's rules.
    pub host: HostRules,
    /// The writer of the annotation.
    pub annotate: Arc<dyn Annotate>,
    /// Where the node's proc file system is mounted.
    pub proc: PathBuf,
    /// The network namespaces that are never a pod's.
    pub node_namespaces: BTreeSet<NetnsId>,
    /// Where the node's root directory is mounted: paths in requests of the plugin are the node's.
    pub host_root: PathBuf,
}

/// Why a pod is not enrolled, yet.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// Its network namespace was not found.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// A network namespace was not to be opened, or processes were not to be listed.
    #[error("looking for the pod's network namespace: {0}")]
    Io(#[from] io::Error),
    /// The namespace of the plugin's request is the node's.
    #[error("the network namespace is the node's own")]
    NodeNamespace,
    /// The rules are not in place.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// No proxy serves it.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The annotation could not be written.
    #[error("annotating the pod: {0}")]
    Annotate(#[source] Box<kube::Error>),
    /// The API server could not be asked about it.
    #[error("asking the API server about the pod: {0}")]
    Unknown(#[source] Box<kube::Error>),
    /// The pod is gone.
    #[error("the pod is gone")]
    Gone,
}

/// What a worker is told.
pub enum Command {
    /// The pod as it is now, and whether it is to be enrolled.
    Update(Arc<Pod>, bool),
    /// The plugin made the pod's network and waits for the answer.
    Plugin {
        /// The pod.
        pod: Arc<Pod>,
        /// Its network namespace.
        netns: PathBuf,
        /// Its addresses.
        addresses: Vec<IpAddr>,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<(), EnrolError>>,
    },
    /// Is the pod enrolled as it should be?
    Check(oneshot::Sender<Result<(), EnrolError>>),
    /// The pod is gone.
    Gone,
}

/// A pod's enrolment, as far as it got.
pub struct Worker {
    shared: Arc<Shared>,
    pod: Arc<Pod>,
    wanted: bool,
    /// The pod's network namespace, once known.
    netns: Option<Arc<Netns>>,
    addresses: Vec<IpAddr>,
    /// The rules that are in place.
    rules: Option<PodRules>,
    /// Whether a proxy serves it, or will by the snapshot.
    served: bool,
    annotation: Redirection,
    /// Whether it does nothing before its first command.
    idle: bool,
    last_problem: String,
}

impl Worker {
    /// A worker for a pod of which nothing is done yet.
    #[must_use]
    pub fn new(shared: Arc<Shared>, pod: Arc<Pod>, wanted: bool) -> Self {
        let annotation = Redirection::of(&pod);
        let addresses = pod.addresses.clone();
        Self {
            shared,
            pod,
            wanted,
            netns: None,
            addresses,
            rules: None,
            served: false,
            annotation,
            idle: false,
            last_problem: String::new(),
        }
    }

    /// A worker that waits for its first command, which brings the pod's network namespace.
    #[must_use]
    pub fn awaiting(shared: Arc<Shared>, pod: Arc<Pod>) -> Self {
        Self {
            idle: true,
            ..Self::new(shared, pod, true)
        }
    }

    /// Does what is done before proxies are let in: rules in place, pod in the snapshot, addresses for the node's rules.
    ///
    /// # Errors
    /// If the rules are not to be put in place; the running worker tries again.
    pub async fn prepare(&mut self, netns: Arc<Netns>) -> Result<(), EnrolError> {
        self.netns = Some(netns.clone());
        self.put_rules(&netns).await?;
        self.shared.hub.preload(&self.pod.uid, self.info(), netns);
        self.shared.host.preload(&self.pod.uid, &self.addresses);
        // A pod that was served before is in the snapshot: whether a proxy is there this moment makes no difference to it.
        self.served = self.annotation == Redirection::Enabled;
        Ok(())
    }

    /// Runs until the pod is gone.
    pub async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut proxies = self.shared.hub.connected();
        let mut wait = BACKOFF.0;
        let mut settled = self.idle || self.settle().await;
        loop {
            let command = tokio::select! {
                command = commands.recv() => command,
                () = sleep(wait), if !settled => {
                    settled = self.settle().await;
                    wait = (wait * 2).min(BACKOFF.1);
                    continue;
                }
                _ = proxies.changed(), if !settled => {
                    settled = self.settle().await;
                    continue;
                }
            };
            wait = BACKOFF.0;
            match command {
                Some(Command::Update(pod, wanted)) => {
                    self.update(pod, wanted);
                    settled = self.settle().await;
                }
                Some(Command::Plugin {
                    pod,
                    netns,
                    addresses,
                    reply,
                }) => {
                    let outcome = self.plugin(pod, netns, addresses).await;
                    let failed = outcome.is_err();
                    let _ = reply.send(outcome);
                    // After a failure the runtime makes the pod's network anew, and the plugin comes again.
                    settled = failed || self.settle().await;
                }
                Some(Command::Check(reply)) => {
                    let _ = reply.send(self.check().await);
                }
                Some(Command::Gone) | None => break,
            }
        }
        self.forget().await;
    }

    fn update(&mut self, pod: Arc<Pod>, wanted: bool) {
        let moved = !pod.addresses.is_empty() && !pod.addresses.iter().any(|ip| self.addresses.contains(ip));
        if moved && !self.addresses.is_empty() {
            // The pod's sandbox was made anew: its network namespace is another one.
            (self.netns, self.rules, self.served) = (None, None, false);
        }
        if !pod.addresses.is_empty() {
            self.addresses.clone_from(&pod.addresses);
        }
        if self.wanted != wanted {
            self.last_problem.clear();
        }
        // The watch showed what was written here, and shows something else now: someone else changed it since.
        let now = Redirection::of(&pod);
        if Redirection::of(&self.pod) == self.annotation && now != self.annotation {
            self.annotation = now;
        }
        (self.pod, self.wanted) = (pod, wanted);
    }

    /// Does what is missing. Whether nothing is left to be tried again.
    async fn settle(&mut self) -> bool {
        let outcome = if self.wanted {
            self.enrol().await
        } else {
            self.release().await
        };
        let problem = match &outcome {
            Ok(()) => String::new(),
            // Its network is being made; the plugin or the kubelet's next word on it goes on from here.
            Err(EnrolError::NotFound(NotFound::NoAddress)) => return true,
            Err(error) => error.to_string(),
        };
        if problem != self.last_problem && !problem.is_empty() {
            let (pod, uid, enrol) = (&self.pod.name, &self.pod.uid, self.wanted);
            tracing::warn!(%pod, %uid, enrol, %problem, "not done yet; it is tried again");
        }
        self.last_problem = problem;
        outcome.is_ok()
    }

    /// Does what is missing. Every step may be repeated.
    async fn enrol(&mut self) -> Result<(), EnrolError> {
        match self.serve().await {
            Ok(()) => self.annotate(Redirection::Enabled).await,
            Err(error) => {
                if matches!(error, EnrolError::Serve(_)) {
                    self.annotate(Redirection::Pending).await?;
                }
                Err(error)
            }
        }
    }

    /// Enrols but for the annotation.
    async fn serve(&mut self) -> Result<(), EnrolError> {
        let netns = match &self.netns {
            Some(netns) => netns.clone(),
            None => self.find().await?,
        };
        self.put_rules(&netns).await?;
        if !self.served {
            self.shared.hub.add(&self.pod.uid, self.info(), netns).await?;
            self.served = true;
            tracing::info!(pod = %self.pod.name, uid = %self.pod.uid, "enrolled");
        }
        Ok(self.shared.host.add(&self.pod.uid, &self.addresses).await?)
    }

    async fn find(&mut self) -> Result<Arc<Netns>, EnrolError> {
        let found = if self.addresses.is_empty() {
            Err(NotFound::NoAddress.into())
        } else {
            look(&self.shared, self.pod.runtime_uid(), &self.addresses).await
        };
        let netns = match found {
            Ok(netns) => Arc::new(netns),
            Err(error) => {
                if self.annotation == Redirection::Enabled {
                    self.shared.hub.keep(&self.pod.uid);
                }
                return Err(error);
            }
        };
        self.netns = Some(netns.clone());
        Ok(netns)
    }

    async fn put_rules(&mut self, netns: &Arc<Netns>) -> Result<(), RulesError> {
        let (rules, unknown) = PodRules::of(self.shared.rules, &self.pod.annotations);
        if self.rules.as_ref() == Some(&rules) {
            return Ok(());
        }
        for word in unknown {
            tracing::warn!(pod = %self.pod.name, annotation = %word, "an annotation without a meaning");
        }
        let (shared, netns, wanted) = (self.shared.clone(), netns.clone(), rules.clone());
        joined(spawn_blocking(move || shared.firewall.install(&netns, &wanted)).await)?;
        self.rules = Some(rules);
        Ok(())
    }

    /// Undoes what is done. Every step may be repeated.
    async fn release(&mut self) -> Result<(), EnrolError> {
        let touched = self.served || self.rules.is_some() || self.annotation != Redirection::None;
        if !touched {
            return Ok(());
        }
        self.shared.host.remove(&self.pod.uid).await?;
        if !self.pod.terminal && !self.pod.host_network {
            let netns = match &self.netns {
                Some(netns) => Some(netns.clone()),
                None => match look(&self.shared, self.pod.runtime_uid(), &self.addresses).await {
                    Ok(netns) => Some(Arc::new(netns)),
                    // Nothing runs in which a rule could be.
                    Err(EnrolError::NotFound(NotFound::NoProcess)) => None,
                    Err(error) => return Err(error),
                },
            };
            if let Some(netns) = netns {
                let shared = self.shared.clone();
                joined(spawn_blocking(move || shared.firewall.remove(&netns)).await)?;
            }
        }
        self.shared.hub.delete(&self.pod.uid).await;
        (self.netns, self.rules, self.served) = (None, None, false);
        tracing::info!(pod = %self.pod.name, uid = %self.pod.uid, "released");
        self.annotate(Redirection::None).await
    }

    /// Enrols a pod whose network was just made. If that fails, the runtime takes the network down again, so nothing of it
    /// is kept.
    async fn plugin(
        &mut self,
        pod: Arc<Pod>,
        netns: PathBuf,
        addresses: Vec<IpAddr>,
    ) -> Result<(), EnrolError> {
        self.update(pod, true);
        let below = netns.strip_prefix("/").unwrap_or(&netns);
        let netns = Arc::new(Netns::open(&self.shared.host_root.join(below))?);
        if self.shared.node_namespaces.contains(&netns.id()) {
            return Err(EnrolError::NodeNamespace);
        }
        (self.netns, self.rules, self.served) = (Some(netns), None, false);
        self.addresses = addresses;
        let served = self.serve().await;
        if let Err(error) = &served {
            tracing::warn!(pod = %self.pod.name, uid = %self.pod.uid, %error, "not enrolled; the runtime makes it anew");
            self.forget().await;
        }
        // Without the annotation peers do not use HBONE yet. That is no reason not to start the pod: it is tried again.
        let to = if served.is_ok() {
            Redirection::Enabled
        } else {
            Redirection::Pending
        };
        if let Ok(Err(error)) = timeout(ANNOTATION_WAIT, self.annotate(to)).await {
            tracing::warn!(pod = %self.pod.name, %error, "tried again");
        }
        served
    }

    /// Makes sure that the pod is as it should be: its rules are put in place anew, whatever became of them.
    async fn check(&mut self) -> Result<(), EnrolError> {
        if !self.wanted {
            return Ok(());
        }
        self.rules = None;
        self.enrol().await
    }

    async fn annotate(&mut self, to: Redirection) -> Result<(), EnrolError> {
        if self.annotation != to {
            let written = self.shared.annotate.annotate(&self.pod, to).await;
            written.map_err(|error| EnrolError::Annotate(Box::new(error)))?;
            self.annotation = to;
        }
        Ok(())
    }

    /// Lets go of a pod whose network is gone.
    async fn forget(&mut self) {
        (self.netns, self.rules, self.served) = (None, None, false);
        self.addresses.clear();
        if let Err(error) = self.shared.host.remove(&self.pod.uid).await {
            tracing::warn!(pod = %self.pod.name, %error, "the node's rules");
        }
        self.shared.hub.delete(&self.pod.uid).await;
    }

    fn info(&self) -> WorkloadInfo {
        WorkloadInfo {
            name: self.pod.name.name.clone(),
            namespace: self.pod.name.namespace.clone(),
            service_account: self.pod.service_account.clone(),
        }
    }
}

/// Looks for the network namespace of one pod.
async fn look(shared: &Arc<Shared>, uid: PodUid, addresses: &[IpAddr]) -> Result<Netns, EnrolError> {
    let (shared, addresses) = (shared.clone(), addresses.to_vec());
    let found = joined(
        spawn_blocking(move || {
            let wanted = HashMap::from([(uid.clone(), addresses)]);
            let mut found = procfs::find(&shared.proc, &wanted, &shared.node_namespaces)?;
            Ok::<_, io::Error>(found.remove(&uid))
        })
        .await,
    )?;
    Ok(found.ok_or(NotFound::NoProcess)??)
}
