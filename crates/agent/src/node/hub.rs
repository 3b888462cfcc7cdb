//! The proxies that are connected, and the pods that they serve.
//!
//! Several proxies at once are normal: while one is replaced, the new one gets a snapshot and all new pods, and the old one
//! serves those that it has until they end.

use crate::netns::Netns;
use crate::pod::PodUid;
use proxy::zds::{AgentConnection, AgentListener, Request, WorkloadInfo, ZdsError};
use std::collections::{BTreeMap, HashSet};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

/// The time between two accepted connections, so that a proxy that fails at once does not keep the agent busy.
const ACCEPT_INTERVAL: Duration = Duration::from_millis(200);

/// Why no proxy serves a pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServeError {
    /// No proxy is connected.
    #[error("no ztunnel connection")]
    NoProxy,
    /// The connection broke before the answer.
    #[error("the connection to the proxy broke")]
    Lost,
    /// The proxy could not start. It goes on trying.
    #[error("the proxy refused the pod: {0}")]
    Refused(String),
}

/// A pod as a snapshot names it.
#[derive(Debug, Clone)]
enum Entry {
    /// Its network namespace is known.
    Serve(WorkloadInfo, Arc<Netns>),
    /// Its network namespace is not known; a proxy may have it.
    Keep,
}

/// A request on its way to one proxy.
struct Job {
    request: Request,
    netns: Option<Arc<Netns>>,
    reply: Option<oneshot::Sender<Result<(), ServeError>>>,
}

struct Connection {
    id: u64,
    jobs: mpsc::UnboundedSender<Job>,
    knows: HashSet<PodUid>,
}

#[derive(Default)]
struct State {
    pods: BTreeMap<PodUid, Entry>,
    /// The newest is the last.
    connections: Vec<Connection>,
    accepted: u64,
}

/// All proxies and pods of the node.
pub struct Hub {
    state: Mutex<State>,
    count: watch::Sender<usize>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            count: watch::Sender::new(0),
        }
    }
}

impl Hub {
    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics between two steps that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many proxies are connected; changes with each that comes or goes.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// Names a pod for the snapshots to come, without asking the proxies that are there.
    pub fn preload(&self, uid: &PodUid, info: WorkloadInfo, netns: Arc<Netns>) {
        self.state().pods.insert(uid.clone(), Entry::Serve(info, netns));
    }

    /// Lets proxies to come keep a pod whose network namespace is not known yet.
    pub fn keep(&self, uid: &PodUid) {
        self.state().pods.entry(uid.clone()).or_insert(Entry::Keep);
    }

    /// Hands a pod to the newest proxy and waits until it is served.
    ///
    /// # Errors
    /// If no proxy is there, or it does not serve the pod. The pod stays in the snapshots to come.
    pub async fn add(&self, uid: &PodUid, info: WorkloadInfo, netns: Arc<Netns>) -> Result<(), ServeError> {
        let (reply, answer) = oneshot::channel();
        {
            let mut state = self.state();
            state
                .pods
                .insert(uid.clone(), Entry::Serve(info.clone(), netns.clone()));
            let newest = state.connections.last_mut().ok_or(ServeError::NoProxy)?;
            newest.knows.insert(uid.clone());
            let job = Job {
                request: add_request(uid, info),
                netns: Some(netns),
                reply: Some(reply),
            };
            newest.jobs.send(job).map_err(|_| ServeError::Lost)?;
        }
        answer.await.unwrap_or(Err(ServeError::Lost))
    }

    /// Takes a pod from all proxies. Returns when all have answered or are gone.
    pub async fn delete(&self, uid: &PodUid) {
        let mut answers = Vec::new();
        {
            let mut state = self.state();
            state.pods.remove(uid);
            for connection in &mut state.connections {
                connection.knows.remove(uid);
                let (reply, answer) = oneshot::channel();
                let request = Request::Delete { uid: uid.to_string() };
                if connection
                    .jobs
                    .send(Job {
                        request,
                        netns: None,
                        reply: Some(reply),
                    })
                    .is_ok()
                {
                    answers.push(answer);
                }
            }
        }
        for answer in answers {
            if let Ok(Err(error)) = answer.await {
                tracing::warn!(%uid, %error, "a proxy did not let go of a pod");
            }
        }
    }

    /// Takes in proxies for ever.
    pub async fn serve(self: Arc<Self>, listener: AgentListener) {
        loop {
            match listener.accept().await {
                Ok(connection) => {
                    let (id, jobs) = self.register();
                    tracing::info!(connection = id, "a proxy connected");
                    tokio::spawn(self.clone().work(id, connection, jobs));
                }
                Err(error) => tracing::warn!(%error, "a proxy that did not greet"),
            }
            sleep(ACCEPT_INTERVAL).await;
        }
    }

    /// Enters a new connection, with the snapshot as its first jobs: what comes later stands behind it.
    fn register(&self) -> (u64, mpsc::UnboundedReceiver<Job>) {
        let (jobs, queue) = mpsc::unbounded_channel();
        let mut state = self.state();
        let snapshot = state.pods.iter().map(|(uid, entry)| entry.job(uid));
        let end = Job {
            request: Request::SnapshotSent,
            netns: None,
            reply: None,
        };
        for job in snapshot.chain([end]) {
            // The queue's other end is here, so it is open.
            let _ = jobs.send(job);
        }
        state.accepted += 1;
        let id = state.accepted;
        let knows = state.pods.keys().cloned().collect();
        state.connections.push(Connection { id, jobs, knows });
        self.count.send_replace(state.connections.len());
        (id, queue)
    }

    async fn work(
        self: Arc<Self>,
        id: u64,
        connection: AgentConnection,
        mut jobs: mpsc::UnboundedReceiver<Job>,
    ) {
        let ended = loop {
            let job = tokio::select! {
                biased;
                job = jobs.recv() => job,
                error = connection.closed() => break error,
            };
            // The sender lives in the hub as long as this task does.
            let Some(job) = job else { break ZdsError::Closed };
            if let Err(error) = carry_out(&connection, job).await {
                break error;
            }
        };
        tracing::info!(connection = id, reason = %ended, "a proxy is gone");
        self.unregister(id);
    }

    /// Takes out a connection. If it was the newest, the one before it may lack pods: it gets them now.
    fn unregister(&self, id: u64) {
        let mut state = self.state();
        state.connections.retain(|connection| connection.id != id);
        let State {
            pods, connections, ..
        } = &mut *state;
        if let Some(newest) = connections.last_mut() {
            for (uid, entry) in pods.iter() {
                if matches!(entry, Entry::Serve(..)) && newest.knows.insert(uid.clone()) {
                    let _ = newest.jobs.send(entry.job(uid));
                }
            }
        }
        self.count.send_replace(state.connections.len());
    }
}

impl Entry {
    fn job(&self, uid: &PodUid) -> Job {
        let (request, netns) = match self {
            Self::Serve(info, netns) => (add_request(uid, info.clone()), Some(netns.clone())),
            Self::Keep => (Request::Keep { uid: uid.to_string() }, None),
        };
        Job {
            request,
            netns,
            reply: None,
        }
    }
}

fn add_request(uid: &PodUid, info: WorkloadInfo) -> Request {
    Request::Add {
        uid: uid.to_string(),
        info,
    }
}

/// Asks the proxy, and passes its answer on.
async fn carry_out(connection: &AgentConnection, job: Job) -> Result<(), ZdsError> {
    let answer = connection
        .call(&job.request, job.netns.as_ref().map(|netns| netns.as_fd()))
        .await?;
    let outcome = if answer.error.is_empty() {
        Ok(())
    } else {
        Err(ServeError::Refused(answer.error))
    };
    match job.reply {
        // Whoever asked may have given up.
        Some(reply) => drop(reply.send(outcome)),
        None => {
            if let Err(error) = outcome {
                tracing::warn!(%error, request = ?job.request, "a proxy did not take a pod of the snapshot");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proxy::zds::{ProxyConnection, Response};
    use std::path::Path;

    fn uid(text: &str) -> PodUid {
        PodUid::new(text).unwrap()
    }

    fn info(name: &str) -> WorkloadInfo {
        WorkloadInfo {
            name: name.into(),
            namespace: "shop".into(),
            service_account: "web".into(),
        }
    }

    fn netns() -> Arc<Netns> {
        Arc::new(Netns::open(Path::new("/proc/self/ns/net")).unwrap())
    }

    /// What a proxy receives, up to and with the first request for which `last` holds, all answered with `error`.
    async fn receive(proxy: &ProxyConnection, error: &str, last: impl Fn(&Request) -> bool) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let (request, fd) = proxy.receive().await.unwrap();
            seen.push(match &request {
                Request::Add { uid, info } => format!("add {uid} {} {}", info.name, fd.is_some()),
                Request::Keep { uid } => format!("keep {uid}"),
                Request::Delete { uid } => format!("del {uid}"),
                Request::SnapshotSent => "snapshot".into(),
            });
            proxy.answer(&Response { error: error.into() }).await.unwrap();
            if last(&request) {
                return seen;
            }
        }
    }

    fn any(_: &Request) -> bool {
        true
    }

    fn snapshot(request: &Request) -> bool {
        *request == Request::SnapshotSent
    }

    struct Bed {
        hub: Arc<Hub>,
        dir: tempfile::TempDir,
    }

    impl Bed {
        fn new() -> Self {
            let bed = Self {
                hub: Arc::default(),
                dir: tempfile::tempdir().unwrap(),
            };
            let listener = AgentListener::bind(&bed.dir.path().join("s")).unwrap();
            tokio::spawn(bed.hub.clone().serve(listener));
            bed
        }

        async fn proxy(&self) -> ProxyConnection {
            let mut count = self.hub.connected();
            let before = *count.borrow_and_update();
            let proxy = ProxyConnection::connect(&self.dir.path().join("s"))
                .await
                .unwrap();
            count.wait_for(|now| *now > before).await.unwrap();
            proxy
        }
    }

    /// istio/istio#53843: without a proxy no pod is made. That is wanted; it must be said, and it must heal by itself.
    #[tokio::test]
    async fn issue_53843_without_a_proxy_a_pod_is_refused_and_is_in_the_snapshot_of_the_next_one() {
        let bed = Bed::new();
        assert_eq!(
            bed.hub.add(&uid("a"), info("a"), netns()).await,
            Err(ServeError::NoProxy)
        );
        assert_eq!(ServeError::NoProxy.to_string(), "no ztunnel connection");
        bed.hub.keep(&uid("b"));
        bed.hub.keep(&uid("a"));
        let proxy = bed.proxy().await;
        assert_eq!(
            receive(&proxy, "", snapshot).await,
            ["add a a true", "keep b", "snapshot"]
        );
    }

    #[tokio::test]
    async fn new_pods_go_to_the_newest_proxy_and_deletions_to_all() {
        let bed = Bed::new();
        let old = bed.proxy().await;
        receive(&old, "", snapshot).await;
        let new = bed.proxy().await;
        receive(&new, "", snapshot).await;
        let (id, hub) = (uid("a"), bed.hub.clone());
        let (served, seen) = tokio::join!(hub.add(&id, info("a"), netns()), receive(&new, "", any));
        assert_eq!((served, seen), (Ok(()), vec!["add a a true".to_owned()]));
        let ((), old_saw, new_saw) =
            tokio::join!(hub.delete(&id), receive(&old, "", any), receive(&new, "", any));
        assert_eq!(
            (old_saw, new_saw),
            (vec!["del a".to_owned()], vec!["del a".to_owned()])
        );
    }

    #[tokio::test]
    async fn an_older_proxy_that_is_left_gets_what_it_lacks() {
        let bed = Bed::new();
        let old = bed.proxy().await;
        receive(&old, "", snapshot).await;
        let new = bed.proxy().await;
        receive(&new, "", snapshot).await;
        let id = uid("a");
        let (served, _) = tokio::join!(bed.hub.add(&id, info("a"), netns()), receive(&new, "", any));
        assert_eq!(served, Ok(()));
        drop(new);
        assert_eq!(receive(&old, "", any).await, ["add a a true"]);
    }

    #[tokio::test]
    async fn refusals_and_broken_connections_are_told_apart() {
        let bed = Bed::new();
        let proxy = bed.proxy().await;
        receive(&proxy, "", snapshot).await;
        let id = uid("a");
        let (served, _) = tokio::join!(bed.hub.add(&id, info("a"), netns()), receive(&proxy, "busy", any));
        assert_eq!(served, Err(ServeError::Refused("busy".into())));
        let (served, ()) = tokio::join!(bed.hub.add(&id, info("a"), netns()), async {
            proxy.receive().await.unwrap();
            drop(proxy);
        });
        assert_eq!(served, Err(ServeError::Lost));
    }

    #[tokio::test]
    async fn a_proxy_that_speaks_unasked_is_cut_off() {
        let bed = Bed::new();
        let proxy = bed.proxy().await;
        receive(&proxy, "", snapshot).await;
        proxy.answer(&Response::default()).await.unwrap();
        bed.hub.connected().wait_for(|count| *count == 0).await.unwrap();
        assert!(proxy.receive().await.is_err());
    }
}
