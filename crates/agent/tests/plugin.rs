//! The CNI plugin as the runtime starts it: the program itself, its environment, its standard streams, and an agent's socket.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use mesh_agent::cni::event::{AddEvent, SOCKET};
use mesh_agent::node::controller::Event;
use mesh_agent::node::health::Health;
use mesh_agent::node::http;
use mesh_agent::node::plugin::PluginHandler;
use mesh_agent::node::worker::EnrolError;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use tokio::sync::mpsc;

const PREVIOUS: &str = r#"{ "cniVersion":"1.0.0", "ips":[{"address":"10.0.0.7/24","gateway":"10.0.0.1","interface":2}],
    "interfaces": [ {"name":"eth0"} ], "dns":{}, "unknown": 1.50 }"#;

/// What the plugin printed, and whether it ended well.
struct Ended {
    stdout: String,
    success: bool,
}

impl Ended {
    /// Code and details of an error object.
    fn error(&self) -> (u64, String) {
        assert!(!self.success, "{}", self.stdout);
        let error: Value = serde_json::from_str(&self.stdout).unwrap();
        assert!(
            error["msg"].is_string() && error["cniVersion"].is_string(),
            "{error}"
        );
        (
            error["code"].as_u64().unwrap(),
            error["details"].as_str().unwrap().to_owned(),
        )
    }
}

/// Starts the plugin with nothing in its environment but what the specification names: no home, no kubeconfig.
fn plugin(command: &str, pod: &str, stdin: &str) -> Ended {
    let arguments = format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME={pod};K8S_POD_UID=u-1");
    let mut child = Command::new(env!("CARGO_BIN_EXE_mesh-agent"))
        .env_clear()
        .envs([
            ("CNI_COMMAND", command),
            ("CNI_CONTAINERID", "c1"),
            ("CNI_IFNAME", "eth0"),
        ])
        .envs([
            ("CNI_NETNS", "/var/run/netns/cni-1"),
            ("CNI_PATH", "/opt/cni/bin"),
        ])
        .env("CNI_ARGS", arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Ended {
        stdout: String::from_utf8(output.stdout).unwrap(),
        success: output.status.success(),
    }
}

fn config(run_dir: &Path, more: &[(&str, Value)]) -> String {
    let mut config = json!({
        "cniVersion": "1.0.0", "name": "net", "type": "mesh-agent", "cni_agent_run_dir": run_dir,
        "exclude_namespaces": ["kube-system"], "pod_namespace": "istio-system",
    });
    for (key, value) in more {
        config[*key] = value.clone();
    }
    let text = config.to_string();
    format!("{},\"prevResult\":{PREVIOUS}}}", text.strip_suffix('}').unwrap())
}

/// A socket that gives one answer to every request, as an agent of another make would.
fn answer_all(run_dir: &Path, answer: &'static str) {
    let listener = UnixListener::bind(run_dir.join(SOCKET)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
}

/// Our own agent's socket, with `decide` in place of its controller.
fn agent(run_dir: &Path, decide: fn(&AddEvent) -> Result<(), EnrolError>) {
    let socket = run_dir.join(SOCKET);
    let (ready, waiting) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (events, mut queue) = mpsc::unbounded_channel();
            let handler = PluginHandler {
                events,
                health: Arc::new(Health::default()),
            };
            let listener = http::listen(&socket).unwrap();
            tokio::spawn(http::serve_unix(listener, Arc::new(handler)));
            ready.send(()).unwrap();
            while let Some(event) = queue.recv().await {
                if let Event::Plugin(event, reply) | Event::Check(event, reply) = event {
                    let _ = reply.send(decide(&event));
                }
            }
        });
    });
    waiting.recv().unwrap();
}

#[test]
fn the_previous_result_is_passed_on_byte_for_byte_and_the_agent_gets_the_pod() {
    let dir = tempfile::tempdir().unwrap();
    agent(dir.path(), |event| {
        let expected = ("web-1", "shop", Some("u-1"), Path::new("/var/run/netns/cni-1"));
        let found = (
            &*event.pod_name,
            &*event.pod_namespace,
            event.pod_uid.as_deref(),
            &*event.netns,
        );
        let right =
            found == expected && event.addresses() == ["10.0.0.7".parse::<std::net::IpAddr>().unwrap()];
        if right { Ok(()) } else { Err(EnrolError::Gone) }
    });
    for version in ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let config = config(dir.path(), &[("cniVersion", json!(version))]);
        let added = plugin("ADD", "web-1", &config);
        assert_eq!((added.stdout.as_str(), added.success), (PREVIOUS, true));
        let checked = plugin("CHECK", "web-1", &config);
        assert_eq!((checked.stdout.as_str(), checked.success), ("", true));
    }
}

#[test]
fn what_the_agent_refuses_the_plugin_refuses() {
    let dir = tempfile::tempdir().unwrap();
    agent(dir.path(), |_| Err(EnrolError::NodeNamespace));
    for command in ["ADD", "CHECK"] {
        let (code, details) = plugin(command, "web-1", &config(dir.path(), &[])).error();
        assert_eq!(code, 100);
        assert!(
            details.contains("shop/web-1") && details.contains("the node's own"),
            "{details}"
        );
    }
}

/// Stock Istio lets a pod start without redirection if its plugin cannot ask the API server.
#[test]
fn without_an_agent_pods_are_refused_but_for_excluded_namespaces() {
    let dir = tempfile::tempdir().unwrap();
    let strict = ("status_requires_agent", json!(true));
    let (code, details) = plugin("ADD", "web-1", &config(dir.path(), &[])).error();
    assert_eq!(code, 11, "{details}");
    assert_eq!(plugin("CHECK", "web-1", &config(dir.path(), &[])).error().0, 11);
    assert_eq!(
        plugin("STATUS", "web-1", &config(dir.path(), &[strict]))
            .error()
            .0,
        50
    );
    for more in [
        ("exclude_namespaces", json!(["shop"])),
        ("ambient_enabled", json!(false)),
    ] {
        let added = plugin("ADD", "web-1", &config(dir.path(), &[more]));
        assert_eq!((added.stdout.as_str(), added.success), (PREVIOUS, true));
    }
}

/// istio/istio#60668: the plugin's kubeconfig was gone after a power loss, and no pod started any more, not even the agent's.
/// istio/istio#57438: the token in it had expired. Ours has neither: it needs the agent's socket, and lets the agent's own
/// pods through without it.
#[test]
fn issues_60668_and_57438_no_credentials_are_needed_and_the_agent_itself_can_start() {
    let dir = tempfile::tempdir().unwrap();
    let own = [
        ("agent_pod_prefix", json!("mesh-agent-")),
        ("pod_namespace", json!("shop")),
    ];
    assert!(plugin("ADD", "mesh-agent-x2x", &config(dir.path(), &own)).success);
    assert_eq!(
        plugin("ADD", "other-x2x", &config(dir.path(), &own)).error().0,
        11
    );
    // An agent with a network of its own must not be waited for before its network is made.
    assert!(plugin("STATUS", "web-1", &config(dir.path(), &own)).success);
    agent(dir.path(), |_| Ok(()));
    assert!(plugin("ADD", "other-x2x", &config(dir.path(), &own)).success);
}

/// istio/istio.io#16748: pods that could not be deleted. There is nothing to undo, so taking down never fails.
#[test]
fn issue_16748_taking_down_succeeds_without_agent_and_with_any_configuration() {
    let dir = tempfile::tempdir().unwrap();
    for stdin in [
        config(dir.path(), &[]).as_str(),
        "",
        "{",
        r#"{"cniVersion":"9.0.0"}"#,
    ] {
        for command in ["DEL", "GC"] {
            let ended = plugin(command, "web-1", stdin);
            assert_eq!(
                (ended.stdout.as_str(), ended.success),
                ("", true),
                "{command} {stdin}"
            );
        }
    }
}

#[test]
fn a_stock_agent_is_understood() {
    for (answer, added, checked) in [
        ("HTTP/1.0 200 OK\r\n\r\n", None, None),
        (
            "HTTP/1.1 404 Not Found\r\n\r\n404 page not found\n",
            Some(100),
            None,
        ),
        (
            "HTTP/1.0 500 Internal Server Error\r\n\r\ngot an unexpected event for pod web-1 in namespace shop!\n",
            None,
            Some(100),
        ),
        (
            "HTTP/1.0 500 Internal Server Error\r\n\r\nno ztunnel connection\n",
            Some(100),
            Some(100),
        ),
        (
            "HTTP/1.0 500 Internal Server Error\r\n\r\npod a/b is unexpectedly not eligible for ambient enrollment\n",
            None,
            Some(100),
        ),
        ("HTTP/1.0 200", Some(11), Some(11)),
        ("", Some(11), Some(11)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        answer_all(dir.path(), answer);
        for (command, code) in [("ADD", added), ("CHECK", checked)] {
            let ended = plugin(command, "web-1", &config(dir.path(), &[]));
            let found = if ended.success {
                None
            } else {
                Some(ended.error().0)
            };
            assert_eq!(found, code, "{command} {answer:?}: {}", ended.stdout);
        }
    }
}

#[test]
fn wrong_input_is_named_by_the_codes_of_the_specification() {
    let dir = tempfile::tempdir().unwrap();
    let config = |more: &[(&str, Value)]| config(dir.path(), more);
    let without = r#"{"cniVersion":"1.0.0","name":"n","type":"mesh-agent"}"#.to_owned();
    let bad_address = format!(
        "{}{}",
        without.trim_end_matches('}'),
        r#","prevResult":{"ips":[{"address":"10.0.0.1/33"}]}}"#
    );
    for (command, stdin, code) in [
        ("ADD", config(&[("cniVersion", json!("2.0.0"))]), 1),
        ("ADD", config(&[("cniVersion", json!("0.2.0"))]), 1),
        ("NOPE", config(&[]), 4),
        ("", config(&[]), 4),
        ("ADD", "[".into(), 6),
        ("ADD", config(&[("exclude_namespaces", json!("shop"))]), 6),
        ("ADD", without.clone(), 7),
        ("CHECK", without, 7),
        ("ADD", bad_address, 7),
    ] {
        let (found, details) = plugin(command, "web-1", &stdin).error();
        assert_eq!(found, code, "{command} {stdin}: {details}");
    }
    let version = plugin("VERSION", "", r#"{"cniVersion":"0.4.0"}"#);
    let version: Value = serde_json::from_str(&version.stdout).unwrap();
    assert_eq!(version["cniVersion"], "0.4.0");
    assert_eq!(
        version["supportedVersions"],
        json!(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
    );
}
