//! The life of a pod's enrolment: real rules in real network namespaces, a real ZDS connection; the API server and the proc
//! file system are the tests' own.

use crate::bed::{Bed, POD, available};
use futures::future::BoxFuture;
use mesh_agent::cni::event::AddEvent;
use mesh_agent::eligibility::Eligibility;
use mesh_agent::netns::Netns;
use mesh_agent::node::annotate::{Annotate, Redirection};
use mesh_agent::node::controller::{Controller, Event, Missing};
use mesh_agent::node::health::Health;
use mesh_agent::node::hub::Hub;
use mesh_agent::node::probes::HostRules;
use mesh_agent::node::worker::{EnrolError, Shared};
use mesh_agent::pod::{DATAPLANE_MODE, Labels, Pod, PodName, PodUid, REDIRECTION};
use mesh_agent::rules::{Backend, Firewall, ProbeAddresses, RuleSettings};
use proxy::zds::{AgentListener, ProxyConnection, Request, Response};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

const UID: &str = "6ab1e2a4-0c4f-4e2c-9d5e-0123456789ab";
const LIMIT: Duration = Duration::from_secs(10);

/// What would have been written to the API server.
#[derive(Default)]
struct Written(Mutex<Vec<Redirection>>);

impl Annotate for Written {
    fn annotate<'a>(&'a self, pod: &'a Pod, to: Redirection) -> BoxFuture<'a, Result<(), kube::Error>> {
        assert_eq!(pod.uid.as_str(), UID);
        self.0.lock().unwrap().push(to);
        Box::pin(async { Ok(()) })
    }
}

/// An agent around a bed.
struct Agent {
    bed: Bed,
    dir: tempfile::TempDir,
    written: Arc<Written>,
    shared: Arc<Shared>,
    events: mpsc::UnboundedSender<Event>,
    missing: mpsc::UnboundedReceiver<Missing>,
}

fn ambient() -> Labels {
    [(DATAPLANE_MODE.to_owned(), "ambient".to_owned())].into()
}

fn pod(annotation: Option<&str>) -> Pod {
    Pod {
        uid: PodUid::new(UID).unwrap(),
        name: PodName {
            namespace: "shop".into(),
            name: "web-1".into(),
        },
        service_account: "web".into(),
        host_network: false,
        labels: Labels::new(),
        annotations: annotation
            .map(|value| (REDIRECTION.to_owned(), value.to_owned()))
            .into_iter()
            .collect(),
        addresses: vec![POD.parse().unwrap()],
        terminal: false,
    }
}

/// Puts a process of the pod into the tests' proc file system.
fn put_process(proc: &Path, netns: &Path) {
    let process = proc.join("77");
    fs::create_dir_all(process.join("ns")).unwrap();
    fs::create_dir_all(process.join("net")).unwrap();
    symlink(netns, process.join("ns/net")).unwrap();
    fs::write(process.join("stat"), format!("77 (sh) S {}5 0", "0 ".repeat(18))).unwrap();
    fs::write(
        process.join("net/fib_trie"),
        format!("  |-- {POD}\n     /32 host LOCAL\n"),
    )
    .unwrap();
    fs::write(process.join("cgroup"), format!("0::/kubepods/pod{UID}/c\n")).unwrap();
}

impl Agent {
    /// Starts an agent whose node has `pods`, in a namespace with `labels`. With `runs` the pod has a process.
    async fn start(pods: Vec<Pod>, labels: Labels, runs: bool) -> Self {
        let bed = Bed::new();
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("proc")).unwrap();
        let written = Arc::new(Written::default());
        let node = Arc::new(Netns::open(&bed.node_path()).unwrap());
        let shared = Arc::new(Shared {
            hub: Arc::new(Hub::default()),
            firewall: Firewall::new(Backend::Nft),
            rules: RuleSettings {
                probes: ProbeAddresses::default(),
                dns_capture: true,
            },
            node_namespaces: BTreeSet::from([node.id()]),
            host: HostRules::new(Firewall::new(Backend::Nft), node, ProbeAddresses::default(), 0),
            annotate: written.clone(),
            proc: dir.path().join("proc"),
            host_root: "/".into(),
        });
        if runs {
            put_process(&shared.proc, &bed.pod_path());
        }
        let (events, queue) = mpsc::unbounded_channel();
        let (unknown, missing) = mpsc::unbounded_channel();
        let eligibility = Eligibility::standard([]).unwrap();
        let namespaces = BTreeMap::from([("shop".to_owned(), labels)]);
        let controller = Controller::start(shared.clone(), eligibility, pods, namespaces, unknown)
            .await
            .unwrap();
        let listener = AgentListener::bind(&dir.path().join("zds")).unwrap();
        tokio::spawn(shared.hub.clone().serve(listener));
        tokio::spawn(controller.run(queue, Arc::new(Health::default())));
        Self {
            bed,
            dir,
            written,
            shared,
            events,
            missing,
        }
    }

    fn tell(&self, event: Event) {
        assert!(self.events.send(event).is_ok());
    }

    async fn plugin(&self, netns: PathBuf) -> Result<(), EnrolError> {
        let (reply, answer) = oneshot::channel();
        let event = serde_json::json!({
            "Netns": netns, "PodName": "web-1", "PodNamespace": "shop", "PodUID": UID,
            "IPs": [{"Interface": 0, "Address": {"IP": POD, "Mask": "////AA=="}, "Gateway": ""}],
        });
        let event: AddEvent = serde_json::from_value(event).unwrap();
        self.tell(Event::Plugin(event, reply));
        timeout(LIMIT, answer).await.unwrap().unwrap()
    }

    async fn proxy(&self) -> Proxy {
        Proxy(
            ProxyConnection::connect(&self.dir.path().join("zds"))
                .await
                .unwrap(),
        )
    }

    fn annotations(&self) -> Vec<Redirection> {
        self.written.0.lock().unwrap().clone()
    }

    /// Waits until what was written last is `last`.
    async fn annotated(&self, last: Redirection) {
        let wait = async {
            while self.annotations().last() != Some(&last) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(LIMIT, wait).await.is_ok(), "{:?}", self.annotations());
    }

    /// Waits until the annotation was written `times` times.
    async fn annotated_times(&self, times: usize) {
        let wait = async {
            while self.annotations().len() < times {
                sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(LIMIT, wait).await.is_ok(), "{:?}", self.annotations());
    }

    fn has_rules(&self) -> bool {
        self.bed
            .pod_prints("nft", &["list", "tables"])
            .contains("istio-ambient-nat")
    }

    fn node_rules(&self) -> String {
        self.bed.node_prints("nft", &["list", "ruleset"])
    }

    fn pod_inode(&self) -> u64 {
        fs::metadata(self.bed.pod_path()).unwrap().ino()
    }
}

/// A proxy that takes everything.
struct Proxy(ProxyConnection);

impl Proxy {
    /// The next request, answered; with it the inode of the network namespace.
    async fn next(&self) -> (String, Option<u64>) {
        let (request, netns) = timeout(LIMIT, self.0.receive()).await.unwrap().unwrap();
        self.0.answer(&Response::default()).await.unwrap();
        let inode = netns.map(|netns| rustix::fs::fstat(netns.as_fd()).unwrap().st_ino);
        let text = match request {
            Request::Add { uid, info } => {
                assert_eq!(uid, UID);
                format!("add {}/{} {}", info.namespace, info.name, info.service_account)
            }
            Request::Keep { .. } => "keep".into(),
            Request::Delete { .. } => "del".into(),
            Request::SnapshotSent => "snapshot".into(),
        };
        (text, inode)
    }

    async fn expect(&self, text: &str) {
        assert_eq!(self.next().await.0, text);
    }
}

const ADD: &str = "add shop/web-1 web";

#[tokio::test(flavor = "multi_thread")]
async fn a_running_pod_is_enrolled_by_label_and_released_without_a_trace() {
    if !available() {
        return;
    }
    let agent = Agent::start(vec![pod(None)], Labels::new(), true).await;
    let proxy = agent.proxy().await;
    proxy.expect("snapshot").await;
    agent.tell(Event::Namespace("shop".into(), ambient()));
    assert_eq!(proxy.next().await, (ADD.into(), Some(agent.pod_inode())));
    agent.annotated(Redirection::Enabled).await;
    assert!(agent.has_rules() && agent.node_rules().contains(UID));
    // The watch shows the annotation, and then someone removes it.
    for annotation in [Some("enabled"), None] {
        agent.tell(Event::Pod(pod(annotation)));
    }
    agent.annotated_times(2).await;
    // A firewall of the node is reloaded.
    agent.bed.node_prints("nft", &["flush", "ruleset"]);
    agent.shared.host.renew().await.unwrap();
    assert!(agent.node_rules().contains(UID));

    agent.tell(Event::Namespace("shop".into(), Labels::new()));
    proxy.expect("del").await;
    agent.annotated(Redirection::None).await;
    assert!(!agent.has_rules() && !agent.node_rules().contains(UID));
    assert_eq!(
        agent.annotations(),
        [Redirection::Enabled, Redirection::Enabled, Redirection::None]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_gone_leaves_the_proxy_and_the_node() {
    if !available() {
        return;
    }
    let agent = Agent::start(vec![pod(None)], ambient(), true).await;
    let proxy = agent.proxy().await;
    for request in [ADD, "snapshot", ADD] {
        // It is in the snapshot, and asked for until a proxy has said yes.
        proxy.expect(request).await;
    }
    agent.annotated(Redirection::Enabled).await;
    let pod = pod(None);
    agent.tell(Event::PodGone(pod.name, pod.uid));
    proxy.expect("del").await;
    assert!(!agent.node_rules().contains(UID));
}

/// istio/istio#53843: without a proxy the plugin refuses, so that no pod starts past it; it heals when the proxy comes.
#[tokio::test(flavor = "multi_thread")]
async fn issue_53843_a_new_pod_is_refused_until_a_proxy_serves_it() {
    if !available() {
        return;
    }
    let agent = Agent::start(Vec::new(), ambient(), false).await;
    agent.tell(Event::Pod(Pod {
        addresses: Vec::new(),
        ..pod(None)
    }));
    let refused = agent.plugin(agent.bed.pod_path()).await.unwrap_err();
    assert_eq!(refused.to_string(), "no ztunnel connection");
    assert_eq!(agent.annotations(), [Redirection::Pending]);
    assert!(
        !agent.node_rules().contains(UID),
        "nothing is kept of a network that is taken down"
    );
    let proxy = agent.proxy().await;
    proxy.expect("snapshot").await;
    let (served, (request, inode)) = tokio::join!(agent.plugin(agent.bed.pod_path()), proxy.next());
    assert!(served.is_ok(), "{served:?}");
    assert_eq!((request.as_str(), inode), (ADD, Some(agent.pod_inode())));
    assert_eq!(
        agent.annotations().last(),
        Some(&Redirection::Enabled),
        "annotated before the pod starts"
    );
    assert!(agent.has_rules() && agent.node_rules().contains(UID));
}

/// istio/istio#60882 and #55968: after a reboot the pods are annotated, and their processes are not there yet.
#[tokio::test(flavor = "multi_thread")]
async fn issue_60882_an_annotated_pod_whose_process_comes_late_is_enrolled_all_the_same() {
    if !available() {
        return;
    }
    let agent = Agent::start(vec![pod(Some("enabled"))], ambient(), false).await;
    let proxy = agent.proxy().await;
    proxy.expect("keep").await;
    proxy.expect("snapshot").await;
    sleep(Duration::from_millis(100)).await;
    assert!(!agent.has_rules());
    put_process(&agent.shared.proc, &agent.bed.pod_path());
    assert_eq!(proxy.next().await, (ADD.into(), Some(agent.pod_inode())));
    assert!(agent.has_rules());
    assert!(agent.node_rules().contains(UID));
}

/// The same issue: what the annotation says is not taken for true.
#[tokio::test(flavor = "multi_thread")]
async fn issue_60882_rules_of_annotated_pods_are_in_place_before_a_proxy_is_let_in() {
    if !available() {
        return;
    }
    let agent = Agent::start(vec![pod(Some("enabled"))], ambient(), true).await;
    assert!(agent.has_rules());
    let proxy = agent.proxy().await;
    assert_eq!(proxy.next().await, (ADD.into(), Some(agent.pod_inode())));
    proxy.expect("snapshot").await;
    assert_eq!(
        agent.annotations(),
        [],
        "it was enabled and stays so while proxies come and go"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_annotated_pod_that_is_no_longer_wanted_is_released_at_the_start() {
    if !available() {
        return;
    }
    let agent = Agent::start(vec![pod(Some("enabled"))], Labels::new(), true).await;
    agent.annotated(Redirection::None).await;
    assert!(!agent.has_rules());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_made_anew_is_handed_over_with_its_new_namespace() {
    if !available() {
        return;
    }
    let agent = Agent::start(vec![pod(None)], ambient(), true).await;
    let proxy = agent.proxy().await;
    for request in [ADD, "snapshot", ADD] {
        // It is in the snapshot, and asked for until a proxy has said yes.
        proxy.expect(request).await;
    }
    agent.annotated(Redirection::Enabled).await;
    let other = Bed::new();
    let (served, (_, inode)) = tokio::join!(agent.plugin(other.pod_path()), proxy.next());
    assert!(served.is_ok(), "{served:?}");
    assert_eq!(inode, Some(fs::metadata(other.pod_path()).unwrap().ino()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_is_answered_about_pods_that_are_not_enrolled_not_known_or_in_the_nodes_namespace() {
    if !available() {
        return;
    }
    let mut agent = Agent::start(vec![pod(None)], Labels::new(), false).await;
    assert!(agent.plugin(agent.bed.pod_path()).await.is_ok());
    assert!(!agent.has_rules());
    agent.tell(Event::Namespace("shop".into(), ambient()));
    let refused = agent.plugin(agent.bed.node_path()).await;
    assert!(matches!(refused, Err(EnrolError::NodeNamespace)), "{refused:?}");
    assert!(
        !agent
            .bed
            .node_prints("nft", &["list", "tables"])
            .contains("istio-ambient-mangle")
    );
    // A pod of the same name, but another one: the API server is asked.
    let (reply, answer) = oneshot::channel();
    let event = r#"{"Netns":"/n","PodName":"web-1","PodNamespace":"shop","PodUID":"other","IPs":null}"#;
    agent.tell(Event::Plugin(serde_json::from_str(event).unwrap(), reply));
    let (event, reply) = timeout(LIMIT, agent.missing.recv()).await.unwrap().unwrap();
    agent.tell(Event::Fetched(None, event, reply));
    assert!(matches!(answer.await.unwrap(), Err(EnrolError::Gone)));
}
