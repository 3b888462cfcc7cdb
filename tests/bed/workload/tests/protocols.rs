//! Every protocol served and asked on loopback, and load whose faults are counted.

#![expect(clippy::unwrap_used, reason = "a program that does not answer is a failure")]

use serde_json::{Value, json};
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mesh-workload");

struct Server {
    process: Child,
    http: u16,
    grpc: u16,
    tcp: u16,
}

impl Server {
    fn start() -> Self {
        let [http, grpc, tcp] = free_ports();
        let process = Command::new(PROGRAM)
            .args(["serve", "--drain", "1"])
            .args([
                "--http",
                &http.to_string(),
                "--grpc",
                &grpc.to_string(),
                "--tcp",
                &tcp.to_string(),
            ])
            .env("VERSION", "v7")
            .env("POD_NAME", "pod-7")
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", tcp)).is_err() {
            assert!(Instant::now() < deadline, "the server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            process,
            http,
            grpc,
            tcp,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = std::array::from_fn::<_, N, _>(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn ask(arguments: &[&str]) -> Value {
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_protocol_is_answered_with_what_was_seen() {
    let server = Server::start();
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", server.http);
    let one = ask(&[
        "get",
        &url("/a?x=1"),
        "-H",
        "x-a: b",
        "-H",
        "Host: name.test",
        "--method",
        "PUT",
    ]);
    assert_eq!(one["status"], 200);
    for (field, value) in [
        ("method", "PUT"),
        ("path", "/a"),
        ("query", "x=1"),
        ("host", "name.test"),
        ("version", "v7"),
        ("pod", "pod-7"),
        ("protocol", "HTTP/1.1"),
    ] {
        assert_eq!(one["body"][field], value);
    }
    assert_eq!(one["body"]["headers"]["x-a"], "b");
    let two = ask(&["get", &url("/a"), "--http2", "-H", "Host: name.test"]);
    assert_eq!(
        (&two["body"]["protocol"], &two["body"]["host"]),
        (&json!("HTTP/2.0"), &json!("name.test"))
    );
    let call = ask(&["grpc", &format!("127.0.0.1:{}", server.grpc)]);
    assert_eq!(
        (&call["grpc_status"], &call["body"]["version"]),
        (&json!(0), &json!("v7"))
    );
    let line = ask(&["tcp", &format!("127.0.0.1:{}", server.tcp), "hello"]);
    assert_eq!(
        (&line["echo"], &line["body"]["version"]),
        (&json!("hello"), &json!("v7"))
    );
    let message = ask(&["ws", &format!("ws://127.0.0.1:{}/ws", server.http)]);
    assert_eq!(
        (&message["status"], &message["body"]["version"]),
        (&json!(101), &json!("v7"))
    );
}

#[test]
fn requests_tell_the_server_how_to_answer() {
    let server = Server::start();
    let status = |path: &str, header: &str| {
        let url = format!("http://127.0.0.1:{}{path}", server.http);
        ask(&["get", &url, "-H", header])["status"].clone()
    };
    assert_eq!(status("/x?status=418", "a: b"), 418);
    assert_eq!(status("/ext-authz/x", "x-allow: yes"), 200);
    assert_eq!(status("/ext-authz/x", "x-allow: no"), 403);
    let failing = "/x?fail_first=2&key=k";
    assert_eq!([(); 3].map(|()| status(failing, "a: b")), [503, 503, 200]);
    assert_eq!(status("/healthz", "a: b"), 200);
    let other = Server::start();
    let url = format!(
        "http://127.0.0.1:{}/call?url=http://127.0.0.1:{}/b",
        server.http, other.http
    );
    let called = ask(&["get", &url]);
    assert_eq!(called["body"]["called"]["body"]["path"], "/b");
}

#[test]
fn load_counts_what_is_served_refused_and_failed() {
    let mut server = Server::start();
    let [control] = free_ports();
    let http = |path: &str| format!("http://127.0.0.1:{}{path}", server.http);
    let streams = json!([
        {"name": "kept", "protocol": "http1", "target": http("/"), "rate": 50},
        {"name": "new", "protocol": "http2", "target": http("/"), "rate": 50, "new_connection": true},
        {"name": "grpc", "protocol": "grpc", "target": format!("127.0.0.1:{}", server.grpc), "rate": 20},
        {"name": "tcp", "protocol": "tcp", "target": format!("127.0.0.1:{}", server.tcp), "rate": 20},
        {"name": "ws", "protocol": "websocket", "target": format!("ws://127.0.0.1:{}/ws", server.http), "rate": 20},
        {"name": "refused", "protocol": "http1", "target": http("/ext-authz/x"), "rate": 20, "expect": "refused"},
        {"name": "admitted", "protocol": "http1", "target": http("/"), "rate": 20, "expect": "refused"},
        {"name": "not-admitted", "protocol": "http1", "target": http("/ext-authz/x"), "rate": 20},
    ]);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(streams.to_string().as_bytes()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let load = Command::new(PROGRAM)
        .arg("load")
        .arg(file.path())
        .arg("--journal")
        .arg(folder.path())
        .env("POD_NAME", "load-7")
        .args(["--duration", "4", "--control", &control.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let report = ask(&["get", &format!("http://127.0.0.1:{control}/report")])["body"].clone();
    for stream in ["kept", "new", "grpc", "tcp", "ws", "refused"] {
        let count = &report["streams"][stream];
        assert!(count["sent"].as_u64().unwrap() > 10, "{stream}: {count}");
        assert_eq!(count["sent"], count["expected"], "{stream}: {count}");
    }
    assert_eq!(
        report["streams"]["kept"]["versions"]["v7"],
        report["streams"]["kept"]["sent"]
    );
    let count = |stream: &str, key: &str| report["streams"][stream][key].clone();
    assert_eq!(count("admitted", "wrongly_admitted"), count("admitted", "sent"));
    assert_eq!(
        count("not-admitted", "wrongly_refused"),
        count("not-admitted", "sent")
    );

    server.process.kill().unwrap();
    let output = load.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (last, told) = lines.split_last().unwrap();
    for stream in ["kept", "new", "grpc", "ws"] {
        let failed: u64 = last["streams"][stream]["failed"]
            .as_object()
            .unwrap()
            .values()
            .filter_map(Value::as_u64)
            .sum();
        let of_stream = told.iter().filter(|line| line["stream"] == stream);
        let mut ids: Vec<_> = of_stream.map(|line| line["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert!(failed > 5, "{stream}: {last}");
        assert_eq!(ids.len() as u64, failed, "{stream}: each failure is told once");
    }
    let journal = std::fs::read_to_string(folder.path().join("load-7.jsonl")).unwrap();
    let noted: Vec<Value> = journal
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let failures = noted.iter().filter(|line| line["outcome"].is_string());
    assert_eq!(failures.count(), told.len(), "the journal has every failure");
    let end = noted.last().unwrap();
    assert_eq!((&end["ended"], &end["open"]), (&json!(true), &json!(0)));
    for (stream, count) in last["streams"].as_object().unwrap() {
        assert_eq!(end["sent"][stream], count["sent"], "{stream}");
    }
    assert!(end["refusals"]["403"].as_u64().unwrap() > 10, "{end}");
}
