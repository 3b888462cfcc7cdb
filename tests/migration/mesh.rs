//! The sample mesh under load: deployed, watched, counted, and taken away.

use crate::counts::{Counts, Row};
use crate::streams::{NAMESPACES, OUTSIDE, SERVERS, of_client};
use bed::layout::Layout;
use bed::{Bed, eventually};
use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/samples/under-load");

/// Requests of a stream in a second.
const RATE: f64 = 0.5;

/// How long a mesh may take until it is ready, on a machine that is busy with other things.
const READY_WITHIN: &str = "--timeout=240s";

/// How long nothing may go wrong before anything is counted.
const CALM: Duration = Duration::from_secs(10);

/// The namespaces have fixed names: one mesh at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// The sample mesh, or the part of it that some servers make.
pub struct Mesh<'a> {
    bed: &'a Bed,
    servers: Vec<&'static str>,
    journals: PathBuf,
    /// When each phase began, in milliseconds since 1970.
    phases: RefCell<Vec<(u64, String)>>,
    _alone: MutexGuard<'static, ()>,
}

impl<'a> Mesh<'a> {
    /// All of it.
    pub fn whole(bed: &'a Bed) -> Self {
        Self::deploy(bed, SERVERS.iter().map(|(name, _)| *name).collect(), &["jobs"])
    }

    /// What a test has time for that is run again and again: both halves of the cycle, two versions, and layer 4.
    pub fn short(bed: &'a Bed) -> Self {
        Self::deploy(bed, vec!["web", "catalog", "accounts", "prices"], &[])
    }

    /// Deploys, waits until all is ready, and until nothing goes wrong for a while.
    fn deploy(bed: &'a Bed, servers: Vec<&'static str>, more: &[&str]) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mesh = Self {
            bed,
            servers,
            journals: Layout::of_user().run().join("load"),
            phases: RefCell::default(),
            _alone: alone,
        };
        mesh.remove(true);
        bed.ready_for_a_plan();
        let _ = fs::remove_dir_all(&mesh.journals);
        let files = ["namespaces"].iter().chain(&mesh.servers).chain(more);
        for file in files {
            let path = format!("{SAMPLE}/{file}.yaml");
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            mesh.apply(&text);
        }
        mesh.wait_ready();
        for client in mesh.clients() {
            let folder = mesh.journals.join(client);
            fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{error}"));
            // The pods' user is not the one of this test.
            let all = fs::Permissions::from_mode(0o777);
            fs::set_permissions(&folder, all).unwrap_or_else(|error| panic!("{error}"));
            mesh.apply(&load(client, &of_client(client, &mesh.servers, RATE), &folder));
        }
        mesh.wait_ready();
        mesh.calm(Duration::from_secs(240));
        mesh.phases.borrow_mut().clear();
        mesh
    }

    /// Everything that asks.
    fn clients(&self) -> impl Iterator<Item = &'static str> {
        NAMESPACES.into_iter().chain([OUTSIDE])
    }

    /// Applies manifests as `kubectl apply` of a user's does.
    pub fn apply(&self, manifests: &str) {
        if let Err(error) = self.bed.kubectl().feed(&["apply", "--filename=-"], manifests) {
            panic!("{error}\n{manifests}");
        }
    }

    /// Runs kubectl.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let said = self.bed.kubectl().run(arguments);
        said.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Deployments, StatefulSets and DaemonSets of a namespace, each as `kind/name`.
    pub fn workloads(&self, namespace: &str, kinds: &str) -> Vec<String> {
        let names = self.kubectl(&["--namespace", namespace, "get", kinds, "--output=name"]);
        names.lines().map(str::to_owned).collect()
    }

    /// Waits for every roll-out, one after the other.
    pub fn wait_ready(&self) {
        for namespace in self.clients() {
            self.wait_ready_in(namespace, "deployment,statefulset,daemonset");
        }
    }

    /// The same for some kinds in one namespace.
    pub fn wait_ready_in(&self, namespace: &str, kinds: &str) {
        for workload in self.workloads(namespace, kinds) {
            self.kubectl(&[
                "--namespace",
                namespace,
                "rollout",
                "status",
                READY_WITHIN,
                &workload,
            ]);
        }
    }

    /// `kubectl rollout restart` of kinds in a namespace, until the new pods are ready and the old ones gone.
    pub fn restart(&self, namespace: &str, kinds: &str) {
        let workloads = self.workloads(namespace, kinds);
        let names: Vec<_> = workloads.iter().map(String::as_str).collect();
        self.kubectl(&[&["--namespace", namespace, "rollout", "restart"], &names[..]].concat());
        self.wait_ready_in(namespace, kinds);
    }

    /// Where the cluster is.
    pub fn kubeconfig(&self) -> PathBuf {
        self.bed.kubeconfig()
    }

    /// Pods of the mesh that have a sidecar; those of Jobs that have ended left out.
    pub fn pods_with_sidecars(&self) -> Vec<String> {
        let running = ["get", "pods", "--field-selector=status.phase=Running"];
        let labelled = ["--selector=security.istio.io/tlsMode", "--output=name"];
        let in_namespace = |namespace: &str| {
            let all = [&["--namespace", namespace], &running[..], &labelled[..]].concat();
            let names = self.kubectl(&all);
            names
                .lines()
                .map(|name| format!("{namespace}/{name}"))
                .collect::<Vec<_>>()
        };
        NAMESPACES.into_iter().flat_map(in_namespace).collect()
    }

    /// Waits until no pod of the mesh is about to end.
    pub fn wait_gone(&self) {
        let ending = "--output=jsonpath={.items[?(@.metadata.deletionTimestamp)].metadata.name}";
        for namespace in self.clients() {
            eventually(Duration::from_secs(180), || {
                let pods = self.kubectl(&["--namespace", namespace, "get", "pods", ending]);
                if pods.trim().is_empty() { Ok(()) } else { Err(pods) }
            });
        }
    }

    /// From now on what happens belongs to this phase.
    #[expect(clippy::print_stderr, reason = "a person waits for half an hour")]
    pub fn phase(&self, name: &str) {
        eprintln!("PHASE {name}");
        self.phases.borrow_mut().push((now(), name.to_owned()));
    }

    /// What all clients counted until now.
    pub fn counts(&self) -> Counts {
        Counts::read(&self.journals)
    }

    /// Waits until every client sends, and nothing has gone wrong for a while.
    pub fn calm(&self, within: Duration) {
        let begun = Instant::now();
        loop {
            let since = now();
            std::thread::sleep(CALM);
            let counts = self.counts();
            let row = counts.between(since, u64::MAX);
            if row.wrong() == 0 && row.sent > 0 {
                return;
            }
            let wrong = counts.describe(since, u64::MAX);
            assert!(begun.elapsed() < within, "not calm: {row:?}\n{wrong}");
        }
    }

    /// The table of the phases until now, and what went wrong in each; the sum of all.
    ///
    /// # Panics
    /// Where a client ended without saying how many requests it had sent.
    #[expect(clippy::print_stderr, reason = "the rows are for a person")]
    pub fn report(&self, title: &str) -> Row {
        // The last sums of clients, and answers that were on their way.
        std::thread::sleep(Duration::from_secs(3));
        let counts = self.counts();
        let end = now();
        let phases = self.phases.borrow();
        eprintln!("TABLE {title}");
        let mut details = String::new();
        for (number, (begin, name)) in phases.iter().enumerate() {
            let until = phases.get(number + 1).map_or(end, |(next, _)| *next);
            let seconds = (until - begin) / 1000;
            eprintln!(
                "ROW | {name} | {seconds} s {}",
                cells(&counts.between(*begin, until))
            );
            let wrong = counts.describe(*begin, until);
            if !wrong.is_empty() {
                details.push_str(&format!("in `{name}`:\n{wrong}"));
            }
        }
        let begin = phases.first().map_or(0, |(begin, _)| *begin);
        let sum = counts.between(begin, end);
        eprintln!("ROW | all | {} s {}", (end - begin) / 1000, cells(&sum));
        eprintln!("refusals: {:?}; clients: {}", counts.refusals(), counts.clients());
        eprint!("{details}");
        let running = self.kubectl(&[
            "get",
            "pods",
            "--all-namespaces",
            "--output=jsonpath={.items[*].metadata.name}",
        ]);
        assert_eq!(
            counts.lost(&running),
            Vec::<String>::new(),
            "not counted to the end"
        );
        sum
    }

    /// What went wrong in the current phase.
    pub fn wrong_now(&self) -> Vec<crate::counts::Wrong> {
        let begin = self.phases.borrow().last().map_or(0, |(begin, _)| *begin);
        self.counts().wrong(begin, u64::MAX).cloned().collect()
    }

    fn remove(&self, wait: bool) {
        let wait = format!("--wait={wait}");
        let delete = ["delete", "namespace", "--ignore-not-found", &wait];
        let names: Vec<_> = self.clients().collect();
        let _ = self.bed.kubectl().run(&[&delete[..], &names].concat());
    }
}

impl Drop for Mesh<'_> {
    fn drop(&mut self) {
        if std::env::var_os("MESH_MIGRATE_BED_KEEP").is_none() {
            self.remove(false);
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn cells(row: &Row) -> String {
    let Row {
        sent,
        failed,
        wrongly_admitted,
        wrongly_refused,
    } = row;
    format!("| {sent} | {failed} | {wrongly_admitted} | {wrongly_refused} |")
}

/// The client of a namespace. Its journal lies on the node, outside of the pod.
fn load(namespace: &str, streams: &serde_json::Value, journal: &std::path::Path) -> String {
    let (image, tag) = (bed::layout::IMAGE_HUB, bed::layout::IMAGE_TAG);
    let journal = journal.display();
    format!(
        r#"apiVersion: v1
kind: ServiceAccount
metadata: {{name: load, namespace: {namespace}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: load, namespace: {namespace}}}
data:
  streams.json: |
    {streams}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: load, namespace: {namespace}}}
spec:
  selector: {{matchLabels: {{app: load}}}}
  template:
    metadata: {{labels: {{app: load}}}}
    spec:
      serviceAccountName: load
      terminationGracePeriodSeconds: 30
      dnsConfig: {{options: [{{name: ndots, value: "2"}}]}}
      containers:
      - name: workload
        image: {image}/workload:{tag}
        imagePullPolicy: Never
        args: [load, /streams/streams.json, --journal, /journal]
        env:
        - {{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
        resources: {{requests: {{cpu: 1m, memory: 8Mi}}}}
        readinessProbe:
          httpGet: {{path: /healthz, port: 8081}}
          periodSeconds: 1
        volumeMounts:
        - {{name: streams, mountPath: /streams}}
        - {{name: journal, mountPath: /journal}}
      volumes:
      - {{name: streams, configMap: {{name: load}}}}
      - {{name: journal, hostPath: {{path: {journal}, type: Directory}}}}
"#
    )
}
