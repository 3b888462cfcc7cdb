//! One path, three data planes in one run: none, stock Envoy sidecars, and mesh-proxy at both ends.
//!
//! `cargo bench --bench data_plane` needs a bed for ambient mode (`cargo xtask bed up`) that does nothing else, and
//! Debian's wrk and iperf3. The load, the server, and all proxies share the machine's cores.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot be made is worth nothing; its answer is a table"
)]

use bed::{Bed, Namespace, Process, Settings, eventually};
use std::collections::BTreeMap;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const ROUNDS: usize = 3;
const CONNECTIONS: [u32; 3] = [1, 10, 100];
const SECONDS: u32 = 8;

/// A Service for what iperf3 speaks, so that sidecars know it.
const STREAM: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: stream}\n\
    spec: {selector: {app: server}, ports: [{name: tcp-stream, port: 5201}]}\n";

/// A client and a server with a data plane between them.
struct Path<'a> {
    name: &'static str,
    mesh: Namespace<'a>,
    proxies: Vec<Process>,
}

/// What one run of load was worth.
#[derive(Debug, Clone, Copy)]
struct Sample {
    /// Requests, or megabytes, in a second.
    rate: f64,
    /// Microseconds of the proxies' processors for each request, or megabyte.
    cost: f64,
    /// Milliseconds that half of the requests, and all but a hundredth of them, took at most.
    latency: (f64, f64),
}

impl<'a> Path<'a> {
    fn new(bed: &'a Bed, name: &'static str, settings: Settings) -> Self {
        let mesh = bed.namespace_with("bench", settings);
        mesh.server("client");
        mesh.server("server");
        mesh.apply(STREAM);
        eventually(Duration::from_secs(60), || {
            mesh.get("client", "http://server/", &[]).expect(200)
        });
        let proxies = match settings {
            Settings::OutsideOfMesh => Vec::new(),
            Settings::Ambient => bed
                .processes("istio-system", "app=ztunnel", "mesh-proxy")
                .unwrap(),
            Settings::Sidecar => ["app=client", "app=server"]
                .iter()
                .flat_map(|pod| bed.processes(mesh.name(), pod, "envoy-stock").unwrap())
                .collect(),
        };
        Self { name, mesh, proxies }
    }

    /// A program of this machine in the network namespace of a pod.
    fn inside(&self, app: &str, command: &[&str]) -> Command {
        let pods = self
            .mesh
            .bed()
            .processes(self.mesh.name(), &format!("app={app}"), "mesh-workload")
            .unwrap();
        let network = pods.first().unwrap().folder().join("ns/net");
        let mut run = Command::new("nsenter");
        run.arg(format!("--net={}", network.display()))
            .arg("--")
            .args(command);
        run
    }

    /// Seconds of processors that the proxies have had until now.
    fn processor_time(&self) -> f64 {
        self.proxies.iter().map(|process| processor_time(*process)).sum()
    }

    /// Megabytes that the proxies hold.
    fn memory(&self) -> f64 {
        self.proxies.iter().map(|process| resident(*process)).sum()
    }

    fn requests(&self, connections: u32) -> Sample {
        let url = format!("http://{}/", self.mesh.address_of("server"));
        let (connections, seconds) = (connections.to_string(), format!("{SECONDS}s"));
        let before = self.processor_time();
        let output = self.run(
            "client",
            &[
                "wrk",
                "--latency",
                "-t1",
                "-c",
                &connections,
                "-d",
                &seconds,
                &url,
            ],
        );
        let spent = self.processor_time() - before;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!text.contains("Non-2xx"), "{}: {text}", self.name);
        let after = |label: &str| {
            let line = text.lines().find(|line| line.trim().starts_with(label)).unwrap();
            line.split_whitespace().last().unwrap().to_owned()
        };
        let rate: f64 = after("Requests/sec:").parse().unwrap();
        Sample {
            rate,
            cost: spent * 1e6 / (rate * f64::from(SECONDS)),
            latency: (milliseconds(&after("50%")), milliseconds(&after("99%"))),
        }
    }

    fn stream(&self) -> Sample {
        let mut listening = self.listen();
        let address = self.mesh.address_of("stream").to_string();
        let seconds = SECONDS.to_string();
        let before = self.processor_time();
        let output = self.run("client", &["iperf3", "--json", "-c", &address, "-t", &seconds]);
        let spent = self.processor_time() - before;
        let _ = listening.kill();
        let _ = listening.wait();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let rate = report["end"]["sum_received"]["bits_per_second"].as_f64().unwrap() / 8e6;
        Sample {
            rate,
            cost: spent * 1e6 / (rate * f64::from(SECONDS)),
            latency: (0.0, 0.0),
        }
    }

    fn listen(&self) -> Child {
        let child = self
            .inside("server", &["iperf3", "-s"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_secs(1));
        child
    }

    fn run(&self, app: &str, command: &[&str]) -> Output {
        let output = self.inside(app, command).output().unwrap();
        assert!(
            output.status.success(),
            "{command:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }
}

/// Of `1.23ms`, `456.00us` or `1.20s`.
fn milliseconds(text: &str) -> f64 {
    let unit = text.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    let number: f64 = text.trim_end_matches(unit).parse().unwrap();
    match unit {
        "us" => number / 1000.0,
        "ms" => number,
        "s" => number * 1000.0,
        other => panic!("wrk speaks of {other}"),
    }
}

/// Fields 14 and 15 of `/proc/PID/stat` (proc(5)), which count in hundredths of a second.
fn processor_time(process: Process) -> f64 {
    let stat = std::fs::read_to_string(process.folder().join("stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = [11, 12]
        .iter()
        .map(|field| fields[*field].parse::<f64>().unwrap())
        .sum();
    ticks / 100.0
}

fn resident(process: Process) -> f64 {
    let status = std::fs::read_to_string(process.folder().join("status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn median(samples: &mut [Sample]) -> Sample {
    samples.sort_by(|one, other| one.rate.total_cmp(&other.rate));
    samples[samples.len() / 2]
}

fn main() {
    // `cargo test` runs benchmarks, too, to see that they build.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let bed = Bed::shared_ambient().unwrap();
    let paths = [
        Path::new(bed, "no proxy", Settings::OutsideOfMesh),
        Path::new(bed, "stock Envoy sidecars", Settings::Sidecar),
        Path::new(bed, "mesh-proxy", Settings::Ambient),
    ];
    println!("| data plane | memory of its proxies, idle |\n|---|---:|");
    for path in &paths {
        println!("| {} | {:.1} MB |", path.name, path.memory());
    }
    let mut samples: BTreeMap<(u32, usize), Vec<Sample>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for connections in CONNECTIONS {
            for (number, path) in paths.iter().enumerate() {
                let sample = path.requests(connections);
                samples.entry((connections, number)).or_default().push(sample);
            }
        }
        for (number, path) in paths.iter().enumerate() {
            samples.entry((0, number)).or_default().push(path.stream());
        }
    }
    println!(
        "\n| load | data plane | per second | to no proxy | CPU of proxies per request or MB | p50 | p99 |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|");
    for connections in CONNECTIONS.into_iter().chain([0]) {
        let load = match connections {
            0 => "one stream, MB".to_owned(),
            count => format!("{count} connections, requests"),
        };
        let base = median(samples.get_mut(&(connections, 0)).unwrap()).rate;
        for (number, path) in paths.iter().enumerate() {
            let Sample { rate, cost, latency } = median(samples.get_mut(&(connections, number)).unwrap());
            let latency = match latency {
                (0.0, 0.0) => "| ".to_owned(),
                (half, most) => format!("{half:.2} ms | {most:.2} ms"),
            };
            println!(
                "| {load} | {} | {rate:.0} | {:.2} | {cost:.0} µs | {latency} |",
                path.name,
                rate / base
            );
        }
    }
}
