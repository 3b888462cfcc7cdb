//! The node proxy: the pods that the agent names, each with its own sockets and certificate.

use crate::config::{Config, PORT_HBONE, PORT_INBOUND, PORT_OUTBOUND};
use crate::control::ca::Authority;
use crate::identity::Identity;
use crate::pod::{self, Node, Phase, Pod};
use crate::serve::{Busy, Listeners, Worker};
use crate::sys::{self, Netns, Sockets};
use crate::zds::{ProxyConnection, Request, Response, WorkloadInfo, ZdsError};
use crate::{dns, serve};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, error, info, warn};

const RETRY: Duration = Duration::from_secs(5);
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// What readiness depends on besides istiod.
#[derive(Debug, Default)]
pub struct Progress {
    connected: AtomicBool,
    pending: AtomicUsize,
}

impl Progress {
    /// What is still to come; nothing, when we are ready.
    #[must_use]
    pub fn missing(&self, node: &Node) -> Vec<&'static str> {
        let received = node.store.received();
        [
            (received.addresses, "workloads and services from istiod"),
            (received.policies, "policies from istiod"),
            (
                self.connected.load(Ordering::Relaxed),
                "the pods from the node agent",
            ),
            (self.pending.load(Ordering::Relaxed) == 0, "sockets of a pod"),
            (
                node.revocations.problem().is_none(),
                "a list of revoked certificates that can be read",
            ),
        ]
        .into_iter()
        .filter_map(|(done, what)| (!done).then_some(what))
        .collect()
    }
}

/// All pods of the node.
pub struct Manager {
    node: Arc<Node>,
    authority: Arc<Authority>,
    workers: Vec<Worker>,
    progress: Arc<Progress>,
    mark: Option<u32>,
    served: HashMap<String, Served>,
    pending: HashMap<String, (WorkloadInfo, Arc<Netns>)>,
    own: Option<watch::Sender<Phase>>,
    busy: Busy,
    ended: mpsc::Receiver<()>,
}

struct Served {
    info: WorkloadInfo,
    netns: (u64, u64),
    phase: watch::Sender<Phase>,
}

impl Manager {
    /// Serves nothing yet.
    #[must_use]
    pub fn new(
        node: Arc<Node>,
        authority: Arc<Authority>,
        workers: Vec<Worker>,
        progress: Arc<Progress>,
    ) -> Self {
        let mark = node.config.mark;
        let (busy, ended) = mpsc::channel(1);
        if !sys::may_mark(mark) {
            warn!(target: "inpod", "sockets cannot be marked: traffic of the proxy will be redirected to itself");
        }
        Self {
            mark: sys::may_mark(mark).then_some(mark),
            node,
            authority,
            workers,
            progress,
            served: HashMap::new(),
            pending: HashMap::new(),
            own: None,
            busy,
            ended,
        }
    }

    /// Follows the agent until `stop` completes; then lets connections end, for as long as the settings say.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        self.own = self.serve_own();
        let mut stop = std::pin::pin!(stop);
        let mut wait = FIRST_WAIT;
        loop {
            let mut heard = false;
            let session = self.session(&mut heard);
            let result = tokio::select! {
                result = session => result,
                () = &mut stop => break,
            };
            self.progress.connected.store(false, Ordering::Relaxed);
            wait = if heard {
                FIRST_WAIT
            } else {
                (wait * 2).min(LONGEST_WAIT)
            };
            if let Err(error) = result {
                debug!(target: "inpod", "no agent: {error}");
            }
            let until = Instant::now() + wait;
            tokio::select! {
                () = self.retry_until(until) => {}
                () = &mut stop => break,
            }
        }
        self.drain().await;
    }

    async fn drain(self) {
        let Self {
            node,
            served,
            own,
            busy,
            mut ended,
            ..
        } = self;
        let phases = || served.values().map(|pod| &pod.phase).chain(&own);
        info!(target: "inpod", "draining {} pods for at most {:?}", served.len(), node.config.drain);
        for phase in phases() {
            phase.send_replace(Phase::Draining);
        }
        drop(busy);
        if tokio::time::timeout(node.config.drain, ended.recv())
            .await
            .is_err()
        {
            warn!(target: "inpod", "connections are cut off at the deadline");
        }
        for phase in phases() {
            phase.send_replace(Phase::Stopped);
        }
    }

    /// The proxy's own pod is a workload as well: its metrics can be had by HBONE. Without it, the proxy still works.
    fn serve_own(&self) -> Option<watch::Sender<Phase>> {
        let worker = self.workers.first()?;
        let (pod, phase) = own_pod(&self.node, &self.authority)?;
        let listener = match pod.sockets.listen(PORT_HBONE) {
            Ok((listener, _)) => listener,
            Err(error) => {
                warn!("the proxy's own port for HBONE is not to be had: {error}");
                return None;
            }
        };
        let busy = self.busy.clone();
        worker.run(move || {
            if let Err(error) = serve::hbone_only(&pod, listener, &busy) {
                error!("cannot serve the proxy's own metrics by HBONE: {error}");
            }
        });
        Some(phase)
    }

    async fn session(&mut self, heard: &mut bool) -> Result<(), ZdsError> {
        let connection = ProxyConnection::connect(&self.node.config.zds).await?;
        info!(target: "inpod", "connected to the node agent");
        let mut named = Some(HashSet::new());
        loop {
            let retry = Instant::now() + RETRY;
            let (request, netns) = tokio::select! {
                received = connection.receive() => received?,
                () = sleep_until(retry), if !self.pending.is_empty() => {
                    self.retry_pending();
                    continue;
                }
            };
            *heard = true;
            let result = self.handle(request, netns, &mut named)?;
            let error = result.err().map(|error| error.to_string()).unwrap_or_default();
            if !error.is_empty() {
                warn!(target: "inpod", "refused to the agent: {error}");
            }
            connection.answer(&Response { error }).await?;
        }
    }

    /// The outer error ends the connection, the inner one is an answer.
    fn handle(
        &mut self,
        request: Request,
        netns: Option<OwnedFd>,
        named: &mut Option<HashSet<String>>,
    ) -> Result<io::Result<()>, ZdsError> {
        match request {
            Request::Add { uid, info } => {
                if let Some(named) = named {
                    named.insert(uid.clone());
                }
                let netns = netns.ok_or(ZdsError::Descriptors {
                    found: 0,
                    expected: 1,
                })?;
                Ok(Netns::new(netns).and_then(|netns| self.add(&uid, info, Arc::new(netns))))
            }
            Request::Keep { uid } => {
                let named = named.as_mut().ok_or(ZdsError::Order("keep after the snapshot"))?;
                named.insert(uid);
                Ok(Ok(()))
            }
            Request::Delete { uid } => {
                self.delete(&uid);
                Ok(Ok(()))
            }
            Request::SnapshotSent => {
                let named = named.take().ok_or(ZdsError::Order("a second snapshot"))?;
                let gone: Vec<_> = self
                    .known()
                    .filter(|uid| !named.contains(*uid))
                    .cloned()
                    .collect();
                for uid in gone {
                    self.delete(&uid);
                }
                self.progress.connected.store(true, Ordering::Relaxed);
                info!(target: "inpod", "snapshot received: {} pods", self.served.len());
                Ok(Ok(()))
            }
        }
    }

    fn known(&self) -> impl Iterator<Item = &String> {
        self.served.keys().chain(self.pending.keys())
    }

    fn add(&mut self, uid: &str, info: WorkloadInfo, netns: Arc<Netns>) -> io::Result<()> {
        if let Some(served) = self.served.get(uid) {
            if served.netns == netns.id() && served.info == info {
                return Ok(());
            }
            // The sandbox was made anew, or the pod is told of better than before.
            self.delete(uid);
        }
        let result = self.start(uid, &info, &netns);
        if result.is_err() {
            self.pending.insert(uid.to_owned(), (info, netns));
        } else {
            self.pending.remove(uid);
        }
        self.count();
        result.map_err(|error| io::Error::other(format!("failed to start proxy: {error}")))
    }

    fn retry_pending(&mut self) {
        for (uid, (info, netns)) in std::mem::take(&mut self.pending) {
            if let Err(error) = self.add(&uid, info, netns) {
                warn!(target: "inpod", uid, "{error}");
            }
        }
    }

    async fn retry_until(&mut self, until: Instant) {
        sleep_until(until).await;
        if !self.pending.is_empty() {
            self.retry_pending();
        }
    }

    fn delete(&mut self, uid: &str) {
        self.pending.remove(uid);
        if let Some(served) = self.served.remove(uid) {
            info!(target: "inpod", uid, name = served.info.name, namespace = served.info.namespace, "pod removed");
            served.phase.send_replace(Phase::Stopped);
            self.node.metrics.pods_stopped.inc();
        }
        self.count();
    }

    fn count(&self) {
        let number = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
        self.node.metrics.active_pods.set(number(self.served.len()));
        self.node.metrics.pending_pods.set(number(self.pending.len()));
        self.progress.pending.store(self.pending.len(), Ordering::Relaxed);
    }

    fn start(&mut self, uid: &str, info: &WorkloadInfo, netns: &Arc<Netns>) -> io::Result<()> {
        let config = &self.node.config;
        let mut sockets = Sockets {
            netns: Some(netns.clone()),
            mark: self.mark,
            transparent: false,
            ipv6: config.ipv6,
        };
        let (outbound, transparent) = sockets.listen(PORT_OUTBOUND)?;
        let listeners = Listeners {
            outbound,
            plain: sockets.listen(PORT_INBOUND)?.0,
            hbone: sockets.listen(PORT_HBONE)?.0,
        };
        sockets.transparent = config.original_source.unwrap_or(transparent);
        let resolver = if config.dns {
            Some(dns::Sockets::bind(&sockets)?)
        } else {
            None
        };
        let copies = self
            .workers
            .iter()
            .map(|_| listeners.again())
            .collect::<io::Result<Vec<_>>>()?;
        let (phase, phases) = watch::channel(Phase::Running);
        let (certificates, credential) = watch::channel(None);
        let pod = Arc::new(Pod {
            node: self.node.clone(),
            info: info.clone(),
            sockets,
            credential,
            phase: phases,
            only_port: None,
        });
        let follow = pod::follow_identity(
            self.node.clone(),
            info.clone(),
            self.authority.clone(),
            certificates,
        );
        tokio::spawn(follow);
        for (worker, listeners) in self.workers.iter().zip(copies) {
            let (pod, busy) = (pod.clone(), self.busy.clone());
            worker.run(move || {
                if let Err(error) = serve::pod(&pod, listeners, &busy) {
                    error!(target: "inpod", "cannot serve: {error}");
                }
            });
        }
        if let Some(resolver) = resolver {
            let place = RandomState::new().hash_one(uid) % (self.workers.len().max(1) as u64);
            if let Some(worker) = usize::try_from(place)
                .ok()
                .and_then(|place| self.workers.get(place))
            {
                worker.run(move || resolver.serve(&pod));
            }
        }
        info!(target: "inpod", uid, name = info.name, namespace = info.namespace, "pod added");
        self.node.metrics.pods_started.inc();
        let served = Served {
            info: info.clone(),
            netns: netns.id(),
            phase,
        };
        self.served.insert(uid.to_owned(), served);
        Ok(())
    }
}

/// The proxy's own pod, with the port of its metrics; `None` if the settings do not name it.
#[must_use]
pub fn own_pod(node: &Arc<Node>, authority: &Arc<Authority>) -> Option<(Arc<Pod>, watch::Sender<Phase>)> {
    let config = &node.config;
    let (name, namespace, account) = (&config.pod_name, &config.pod_namespace, &config.service_account);
    if name.is_empty() {
        return None;
    }
    let identity = Identity::new(&config.trust_domain, namespace, account)?;
    let (phase, phases) = watch::channel(Phase::Running);
    let pod = Pod {
        node: node.clone(),
        info: WorkloadInfo {
            name: name.clone(),
            namespace: namespace.clone(),
            service_account: account.clone(),
        },
        sockets: Sockets {
            netns: None,
            mark: None,
            transparent: false,
            ipv6: config.ipv6,
        },
        credential: authority.subscribe(&identity),
        phase: phases,
        only_port: Some(config.stats_port),
    };
    Some((Arc::new(pod), phase))
}

/// Runs a node proxy until `stop` completes.
///
/// # Errors
/// If threads or ports are not to be had.
pub async fn run(
    config: Config,
    reload: crate::admin::Reload,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let resolver = hickory_resolver::TokioResolver::builder_tokio().and_then(|mut builder| {
        // A server that is silent about one family must not keep us from the other.
        builder.options_mut().ip_strategy = hickory_resolver::config::LookupIpStrategy::Ipv4thenIpv6;
        builder.build()
    });
    let resolver = match resolver {
        Ok(resolver) => Some(Arc::new(resolver)),
        Err(error) => {
            warn!("names cannot be resolved: {error}");
            None
        }
    };
    let node = Arc::new(Node {
        store: Arc::default(),
        metrics: Arc::default(),
        revocations: Arc::default(),
        resolver: resolver.clone(),
        upstream: dns::upstream(),
        config,
    });
    let config = &node.config;
    use crate::control::{grpc::Dialer, xds};
    let dialer = Dialer::new(&config.xds, config, resolver.clone());
    let client = xds::Client::new(config, dialer, node.store.clone(), node.metrics.clone());
    node.revocations.follow(config.revoked.clone());
    let dialer = Dialer::new(&config.ca, config, resolver);
    let authority = Authority::new(dialer, config.secret_ttl, node.revocations.clone());
    let workers = (0..config.workers)
        .map(Worker::start)
        .collect::<io::Result<Vec<_>>>()?;
    let progress = Arc::<Progress>::default();
    crate::admin::start(&node, &progress, reload).await?;
    tokio::spawn(client.run());
    Manager::new(node.clone(), authority, workers, progress)
        .run(stop)
        .await;
    // Let the last bytes and log lines out.
    sleep(Duration::from_millis(50)).await;
    Ok(())
}
