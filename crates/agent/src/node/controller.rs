//! All pods of the node: what the API server and the plugin say is turned into commands for the pods' workers.

use super::health::Health;
use super::worker::{Command, EnrolError, Shared, Worker};
use crate::cni::event::AddEvent;
use crate::eligibility::{Eligibility, Verdict};
use crate::netns::Netns;
use crate::pod::{Labels, Pod, PodName, PodUid};
use crate::procfs;
use crate::reconcile::{Step, step};
use futures::{StreamExt, stream};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

/// Where the answer to a request of the plugin goes.
pub type Reply = oneshot::Sender<Result<(), EnrolError>>;

/// What the controller is told.
pub enum Event {
    /// A pod as it is now.
    Pod(Pod),
    /// A pod is gone.
    PodGone(PodName, PodUid),
    /// All pods of the node, after a new beginning of the watch.
    Pods(Vec<Pod>),
    /// Labels of a namespace.
    Namespace(String, Labels),
    /// A namespace is gone.
    NamespaceGone(String),
    /// All namespaces, after a new beginning of the watch.
    Namespaces(BTreeMap<String, Labels>),
    /// The plugin made a pod's network.
    Plugin(AddEvent, Reply),
    /// The plugin asks whether a pod is as it should be.
    Check(AddEvent, Reply),
    /// The answer to [`Controller::missing`]: what the API server said about a pod; none if there is no such pod.
    Fetched(Option<(Pod, Labels)>, AddEvent, Reply),
}

/// A request about a pod that the watch has not named yet; the API server is to be asked.
pub type Missing = (AddEvent, Reply);

/// How many pods are gone through at once when the agent starts: the kernel takes its time for each.
const AT_ONCE: usize = 8;

/// Pods and namespaces, and the workers of the pods.
pub struct Controller {
    shared: Arc<Shared>,
    eligibility: Eligibility,
    pods: HashMap<PodName, Arc<Pod>>,
    namespaces: BTreeMap<String, Labels>,
    workers: HashMap<PodUid, mpsc::UnboundedSender<Command>>,
    missing: mpsc::UnboundedSender<Missing>,
}

impl Controller {
    /// Starts with what the API server has, and goes through all pods: rules are put in place, whatever is there, and the
    /// snapshot for the proxies is made. After it, proxies and the plugin may be let in.
    ///
    /// # Errors
    /// If processes are not to be listed.
    pub async fn start(
        shared: Arc<Shared>,
        eligibility: Eligibility,
        pods: Vec<Pod>,
        namespaces: BTreeMap<String, Labels>,
        missing: mpsc::UnboundedSender<Missing>,
    ) -> io::Result<Self> {
        let pods: HashMap<_, _> = pods
            .into_iter()
            .map(|pod| (pod.name.clone(), Arc::new(pod)))
            .collect();
        let mut controller = Self {
            shared,
            eligibility,
            pods,
            namespaces,
            workers: HashMap::new(),
            missing,
        };
        controller.reconcile().await?;
        Ok(controller)
    }

    async fn reconcile(&mut self) -> io::Result<()> {
        let pods: Vec<_> = self
            .pods
            .values()
            .map(|pod| (pod.clone(), self.judge(pod)))
            .collect();
        let wanted: HashMap<_, _> = pods
            .iter()
            .filter(|(pod, verdict)| *verdict == Verdict::Enrol || pod.is_annotated())
            .map(|(pod, _)| (pod.runtime_uid(), pod.addresses.clone()))
            .collect();
        let shared = self.shared.clone();
        let looked =
            spawn_blocking(move || procfs::find(&shared.proc, &wanted, &shared.node_namespaces)).await;
        let mut found = super::joined(looked)?;
        tracing::info!(found = ?procfs::summary(&found), "went through the pods of the node");
        let prepared = pods.into_iter().map(|(pod, verdict)| {
            let netns = found.remove(&pod.runtime_uid()).and_then(Result::ok);
            begin(self.shared.clone(), pod, verdict, netns)
        });
        let workers: Vec<_> = stream::iter(prepared).buffer_unordered(AT_ONCE).collect().await;
        for (uid, worker) in workers.into_iter().flatten() {
            self.spawn(uid, worker);
        }
        if let Err(error) = self.shared.host.apply().await {
            tracing::error!(%error, "the node's rules; tried again with the next pod");
        }
        Ok(())
    }

    fn spawn(&mut self, uid: PodUid, worker: Worker) -> &mpsc::UnboundedSender<Command> {
        let (commands, queue) = mpsc::unbounded_channel();
        tokio::spawn(worker.run(queue));
        self.workers.entry(uid).insert_entry(commands).into_mut()
    }

    fn judge(&self, pod: &Pod) -> Verdict {
        match self.namespaces.get(&pod.name.namespace) {
            Some(labels) => self.eligibility.judge(pod, labels),
            None => self.eligibility.judge(pod, &Labels::new()),
        }
    }

    /// Takes in events until there are no more.
    pub async fn run(mut self, mut events: mpsc::UnboundedReceiver<Event>, health: Arc<Health>) {
        while let Some(event) = events.recv().await {
            if matches!(event, Event::Pod(_) | Event::PodGone(..)) {
                health.pod_events.fetch_add(1, Ordering::Relaxed);
            }
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Pod(pod) => self.pod(pod),
            Event::PodGone(name, uid) => self.pod_gone(&name, &uid),
            Event::Pods(pods) => {
                let mut gone: HashMap<_, _> = self
                    .pods
                    .iter()
                    .map(|(name, pod)| (pod.uid.clone(), name.clone()))
                    .collect();
                for pod in pods {
                    gone.remove(&pod.uid);
                    self.pod(pod);
                }
                for (uid, name) in gone {
                    self.pod_gone(&name, &uid);
                }
            }
            Event::Namespace(name, labels) => self.namespace(name, labels),
            Event::NamespaceGone(name) => self.namespace(name, Labels::new()),
            Event::Namespaces(namespaces) => {
                let gone = self
                    .namespaces
                    .keys()
                    .filter(|name| !namespaces.contains_key(*name))
                    .cloned();
                let gone: Vec<_> = gone.collect();
                for (name, labels) in namespaces {
                    self.namespace(name, labels);
                }
                for name in gone {
                    self.namespace(name, Labels::new());
                }
            }
            Event::Plugin(event, reply) => self.plugin(event, reply),
            Event::Check(event, reply) => self.check(&event, reply),
            Event::Fetched(Some((pod, labels)), event, reply) => {
                let name = pod.name.namespace.clone();
                self.namespaces.entry(name).or_insert(labels);
                self.enrol(Arc::new(pod), event, reply);
            }
            Event::Fetched(None, _, reply) => drop(reply.send(Err(EnrolError::Gone))),
        }
    }

    fn pod(&mut self, pod: Pod) {
        let pod = Arc::new(pod);
        if let Some(before) = self.pods.insert(pod.name.clone(), pod.clone())
            && before.uid != pod.uid
        {
            self.end(&before.uid);
        }
        self.decide(pod);
    }

    fn decide(&mut self, pod: Arc<Pod>) {
        let wanted = self.judge(&pod) == Verdict::Enrol;
        if let Some(worker) = self.workers.get(&pod.uid) {
            // A worker ends only when it is told to.
            let _ = worker.send(Command::Update(pod, wanted));
        } else if wanted || (pod.is_annotated() && !pod.terminal) {
            let worker = Worker::new(self.shared.clone(), pod.clone(), wanted);
            self.spawn(pod.uid.clone(), worker);
        }
    }

    fn pod_gone(&mut self, name: &PodName, uid: &PodUid) {
        if self.pods.get(name).is_some_and(|pod| pod.uid == *uid) {
            self.pods.remove(name);
        }
        self.end(uid);
    }

    fn end(&mut self, uid: &PodUid) {
        if let Some(worker) = self.workers.remove(uid) {
            let _ = worker.send(Command::Gone);
        }
    }

    fn namespace(&mut self, name: String, labels: Labels) {
        if self.namespaces.get(&name) == Some(&labels) {
            return;
        }
        self.namespaces.insert(name.clone(), labels);
        let pods: Vec<_> = self
            .pods
            .values()
            .filter(|pod| pod.name.namespace == name)
            .cloned()
            .collect();
        for pod in pods {
            self.decide(pod);
        }
    }

    /// The pod that a request is about, if the watch named it already.
    fn known(&self, event: &AddEvent) -> Option<Arc<Pod>> {
        let pod = self.pods.get(&event.pod()).filter(|pod| !pod.terminal)?;
        let same = event.is_about(pod);
        let ready = same && self.namespaces.contains_key(&event.pod_namespace);
        ready.then(|| pod.clone())
    }

    fn plugin(&mut self, event: AddEvent, reply: Reply) {
        // Without a UID the pod that the watch knows may be an earlier one of the same name.
        let known = event.pod_uid.is_some().then(|| self.known(&event)).flatten();
        match known {
            Some(pod) => self.enrol(pod, event, reply),
            // Dropping the reply, if nobody listens any more, is an answer: a refusal.
            None => drop(self.missing.send((event, reply))),
        }
    }

    fn enrol(&mut self, pod: Arc<Pod>, event: AddEvent, reply: Reply) {
        if self.judge(&pod) != Verdict::Enrol {
            let _ = reply.send(Ok(()));
            return;
        }
        let uid = pod.uid.clone();
        if !self.workers.contains_key(&uid) {
            let worker = Worker::awaiting(self.shared.clone(), pod.clone());
            self.spawn(uid.clone(), worker);
        }
        if let Some(worker) = self.workers.get(&uid) {
            let addresses = event.addresses();
            let _ = worker.send(Command::Plugin {
                pod,
                netns: event.netns,
                addresses,
                reply,
            });
        }
    }

    fn check(&mut self, event: &AddEvent, reply: Reply) {
        let worker = self.known(event).and_then(|pod| self.workers.get(&pod.uid));
        match worker {
            Some(worker) => drop(worker.send(Command::Check(reply))),
            // Without a worker it is not to be enrolled, or it is new; `ADD` decided on it.
            None => drop(reply.send(Ok(()))),
        }
    }
}

/// The worker of a pod that was there when the agent started, with what is done before proxies are let in. None if there is
/// nothing to do.
async fn begin(
    shared: Arc<Shared>,
    pod: Arc<Pod>,
    verdict: Verdict,
    netns: Option<Netns>,
) -> Option<(PodUid, Worker)> {
    let next = step(&pod, verdict, netns.is_some());
    let mut worker = Worker::new(shared.clone(), pod.clone(), verdict == Verdict::Enrol);
    match (next, netns) {
        (Step::Nothing, _) => return None,
        (Step::Enrol, Some(netns)) => {
            if let Err(error) = worker.prepare(Arc::new(netns)).await {
                tracing::warn!(pod = %pod.name, %error, "not done yet; it is tried again");
            }
        }
        (Step::KeepAndLookAgain, _) => {
            shared.hub.keep(&pod.uid);
            shared.host.preload(&pod.uid, &pod.addresses);
        }
        _ => {}
    }
    Some((pod.uid.clone(), worker))
}
