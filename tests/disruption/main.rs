//! What callers notice when parts of the data plane end, cleanly or not: each test looks at the whole cluster, so
//! they run one after the other, beside nothing else.
//!
//! Each prints one row: what was done, how many requests were sent, how many failed, for how long, and how
//! long the slowest took.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a bed that does not do what it is told is a failure; the rows are for a person"
)]

use bed::load::{control, totals, unexpected};
use bed::{Bed, Namespace, Settings, eventually, settled};
use serde_json::Value;
use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Forty requests a second, half of them each over a connection of its own. Where the proxy is away, so is the
/// answer to who `server` is, and callers wait for that; those who dial an address are refused at once.
const STREAMS: &str = r#"
[
  {"name": "http1", "protocol": "http1", "target": "http://server/", "rate": 10},
  {"name": "http1-new", "protocol": "http1", "target": "http://server/", "rate": 10, "new_connection": true},
  {"name": "http1-address", "protocol": "http1", "target": "http://$ADDRESS/", "rate": 10, "new_connection": true},
  {"name": "http2", "protocol": "http2", "target": "http://server/", "rate": 5},
  {"name": "grpc", "protocol": "grpc", "target": "server:9090", "rate": 3},
  {"name": "tcp", "protocol": "tcp", "target": "server:9000", "rate": 2},
  {"name": "refused", "protocol": "tcp", "target": "closed:9000", "rate": 2, "expect": "refused"}
]
"#;

/// A server of two pods that take their time to end, as H19 asks for, and one that nobody may reach.
const SERVERS: &str = r#"{"spec": {"replicas": 2, "template": {"spec": {"terminationGracePeriodSeconds": 20,
    "containers": [{"name": "workload", "args": ["serve", "--drain", "8"]}]}}}}"#;

const NOBODY: &str = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: closed}\n\
    spec: {selector: {matchLabels: {app: closed}}}\n";

static ALONE: Mutex<()> = Mutex::new(());

struct Scene<'a> {
    mesh: Namespace<'a>,
    begun: Cell<f64>,
    _alone: MutexGuard<'static, ()>,
}

impl Scene<'_> {
    /// The bed with a mesh under load that nothing disturbs.
    fn calm(hint: &str) -> Option<Scene<'static>> {
        let bed = Bed::shared_ambient()?;
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mesh = bed.namespace_with(hint, Settings::Ambient);
        mesh.server("server");
        mesh.kubectl(&["patch", "deployment", "server", "--patch", SERVERS])
            .unwrap();
        mesh.server("closed");
        mesh.wait_ready("deployment/server");
        mesh.apply(NOBODY);
        mesh.load(&STREAMS.replace("$ADDRESS", &mesh.address_of("server").to_string()));
        let scene = Scene {
            mesh,
            begun: Cell::new(0.0),
            _alone: alone,
        };
        settled(Duration::from_secs(60), Duration::from_secs(5), || {
            let report = scene.report();
            scene.begin();
            match unexpected(&report)
                .into_iter()
                .find(|stream| !stream.contains("\"sent\":0"))
            {
                None => Ok(()),
                Some(stream) => Err(stream),
            }
        });
        scene.begin();
        Some(scene)
    }

    fn begin(&self) {
        control(self.mesh.bed(), self.mesh.name(), "POST", "/reset").unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        self.begun.set(now.as_secs_f64() % 86_400.0);
    }

    fn report(&self) -> Value {
        eventually(Duration::from_secs(30), || {
            control(self.mesh.bed(), self.mesh.name(), "GET", "/report")
        })
    }

    /// Waits until nothing fails any more, and says what did until then.
    fn count(&self, what: &str) -> Row {
        std::thread::sleep(Duration::from_secs(3));
        let report = self.report();
        let (sent, failed) = totals(&report);
        let row = Row {
            sent,
            failed,
            lasted: self.failing(),
            streams: unexpected(&report),
        };
        let slowest = report["streams"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(_, count)| count["latency_ms"]["max"].as_f64())
            .fold(0.0, f64::max);
        eprintln!(
            "ROW | {what} | {sent} | {failed} | {:.1} s | {slowest:.0} ms |",
            row.lasted.as_secs_f64()
        );
        settled(Duration::from_secs(60), Duration::from_secs(3), || {
            self.begin();
            std::thread::sleep(Duration::from_secs(1));
            match totals(&self.report()) {
                (sent, 0) if sent > 0 => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        let admitted: u64 = report["streams"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(_, count)| count["wrongly_admitted"].as_u64())
            .sum();
        assert_eq!(admitted, 0, "{report}");
        row
    }

    /// From the first failure to the end of the last one.
    fn failing(&self) -> Duration {
        let log = self
            .mesh
            .kubectl(&["logs", "deployment/load", "--since=5m"])
            .unwrap();
        let times: Vec<_> = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter_map(|line| seconds_of_day(line["time"].as_str()?))
            .filter(|time| *time >= self.begun.get())
            .collect();
        match (times.first(), times.last()) {
            (Some(first), Some(last)) if last > first => Duration::from_secs_f64(last - first),
            _ => Duration::ZERO,
        }
    }
}

struct Row {
    sent: u64,
    failed: u64,
    lasted: Duration,
    streams: Vec<String>,
}

/// Of `2026-11-25T09:45:02.800582Z`.
fn seconds_of_day(time: &str) -> Option<f64> {
    let clock = time.split_once('T')?.1.trim_end_matches('Z');
    let mut parts = clock.split(':').map(str::parse::<f64>);
    let (hours, minutes, seconds) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    Some((hours * 60.0 + minutes) * 60.0 + seconds)
}

/// The label of the pods of the node agent, and its program.
fn agent(bed: &Bed) -> (&'static str, &'static str) {
    match bed.agent() {
        "mesh-agent" => ("app=mesh-agent", "mesh-agent"),
        _ => ("k8s-app=istio-cni-node", "install-cni"),
    }
}

#[test]
fn pods_of_a_server_are_replaced_and_deleted() {
    let Some(scene) = Scene::calm("replaced") else {
        return;
    };
    scene
        .mesh
        .kubectl(&["rollout", "restart", "deployment/server"])
        .unwrap();
    scene.mesh.wait_ready("deployment/server");
    std::thread::sleep(Duration::from_secs(10));
    let row = scene.count("server rolled (2 pods, 8 s of draining each)");
    assert_eq!(row.failed, 0, "{:#?}", row.streams);

    let pods = scene
        .mesh
        .kubectl(&["get", "pods", "--selector=app=server", "--output=name"])
        .unwrap();
    scene.begin();
    scene
        .mesh
        .kubectl(&["delete", pods.lines().next().unwrap()])
        .unwrap();
    scene.mesh.wait_ready("deployment/server");
    let row = scene.count("one pod of the server deleted");
    assert_eq!(row.failed, 0, "{:#?}", row.streams);
}

#[test]
fn a_clean_upgrade_of_the_proxy_loses_nothing() {
    let Some(scene) = Scene::calm("upgrade") else {
        return;
    };
    let system = |arguments: &[&str]| {
        scene
            .mesh
            .bed()
            .kubectl()
            .run(&[&["--namespace=istio-system"], arguments].concat())
            .unwrap()
    };
    let pods = || {
        let names = system(&["get", "pods", "--selector=app=ztunnel", "--output=name"]);
        names.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let before = pods();
    system(&["rollout", "restart", "daemonset/ztunnel"]);
    system(&["rollout", "status", "--timeout=180s", "daemonset/ztunnel"]);
    // The old one goes on until what it carries has ended, or its time is over.
    eventually(Duration::from_secs(60), || match pods() {
        now if now.iter().all(|pod| !before.contains(pod)) => Ok(()),
        now => Err(format!("{now:?}")),
    });
    let row = scene.count("proxy upgraded (rollout restart)");
    assert!(row.sent > 500, "{}", row.sent);
    assert_eq!(row.failed, 0, "{:#?}", row.streams);
}

#[test]
fn the_proxy_is_killed_and_comes_back() {
    let Some(scene) = Scene::calm("killed") else {
        return;
    };
    let bed = scene.mesh.bed();
    let running = || {
        bed.processes("istio-system", "app=ztunnel", "mesh-proxy")
            .unwrap()
    };
    let old = running();
    assert!(!old.is_empty(), "no process of the proxy");
    for process in &old {
        process.kill();
    }
    let begun = Instant::now();
    eventually(Duration::from_secs(60), || match running() {
        new if new.len() == old.len() && new.iter().all(|process| !old.contains(process)) => Ok(()),
        _ => Err("not all of the proxies are back"),
    });
    std::thread::sleep(Duration::from_secs(10));
    let row = scene.count("proxies killed (SIGKILL)");
    assert!(row.failed > 0, "nobody noticed: was anything redirected?");
    assert!(
        row.failed < row.sent,
        "nothing came back within {:?}",
        begun.elapsed()
    );
    assert!(
        row.lasted < Duration::from_secs(15),
        "{:?}: {:#?}",
        row.lasted,
        row.streams
    );
}

#[test]
fn the_agent_is_killed_and_nobody_notices() {
    let Some(scene) = Scene::calm("agent") else { return };
    let bed = scene.mesh.bed();
    let (label, program) = agent(bed);
    let running = || bed.processes("istio-system", label, program).unwrap();
    let old = running();
    for process in &old {
        process.kill();
    }
    eventually(Duration::from_secs(60), || match running() {
        new if !new.is_empty() && new.iter().all(|process| !old.contains(process)) => Ok(()),
        _ => Err("no process of the agent"),
    });
    // A pod that is made while the agent begins anew is enrolled before it starts.
    scene.mesh.server("late");
    std::thread::sleep(Duration::from_secs(5));
    let row = scene.count("node agent killed (SIGKILL)");
    assert_eq!(row.failed, 0, "{:#?}", row.streams);
    let annotation = scene
        .mesh
        .kubectl(&[
            "get",
            "pods",
            "--selector=app=late",
            "--output=jsonpath={.items[0].metadata.annotations.ambient\\.istio\\.io/redirection}",
        ])
        .unwrap();
    assert_eq!(annotation, "enabled");
}
