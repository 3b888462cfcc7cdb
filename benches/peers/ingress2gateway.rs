//! The same manifests through ingress2gateway and through `convert`, in one run.
//!
//! `INGRESS2GATEWAY=PROGRAM cargo bench --bench ingress2gateway`, on a machine that does nothing else, with Debian's `time`.
//! The program is built by hand from its own repository.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot be made is worth nothing; its answer is a table"
)]

#[path = "../mesh/mod.rs"]
#[expect(dead_code, reason = "another bench plans meshes, too")]
mod mesh;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// VirtualServices, as many Services, and as many policies or none.
const SIZES: [usize; 2] = [1_000, 10_000];
const ROUNDS: usize = 3;
const PEER: &str = "INGRESS2GATEWAY";

/// Wall time and the most memory of one run.
#[derive(Debug, Clone, Copy)]
struct Sample {
    seconds: f64,
    megabytes: f64,
}

impl Sample {
    fn of(program: &str, arguments: &[&str]) -> Self {
        let output = Command::new("time")
            .args(["--format", "%e %M", "--output", "/dev/stderr", program])
            .args(arguments)
            .stdout(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        let numbers: Vec<f64> = last.split(' ').filter_map(|number| number.parse().ok()).collect();
        let [seconds, kilobytes] = numbers[..] else {
            panic!("{program} {}: {said}", arguments.join(" "))
        };
        Self {
            seconds,
            megabytes: kilobytes * 1024.0 / 1e6,
        }
    }

    /// The one in the middle by time.
    fn median(program: &str, arguments: &[&str]) -> Self {
        let mut samples: Vec<Self> = (0..ROUNDS).map(|_| Self::of(program, arguments)).collect();
        samples.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        samples[ROUNDS / 2]
    }
}

fn main() {
    let Ok(peer) = std::env::var(PEER) else {
        println!("{PEER} names no program to compare with; nothing is measured");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    println!(
        "| VirtualServices | policies | mesh-migrate convert --dry-run | ingress2gateway print | times faster |"
    );
    println!("|---:|---:|---:|---:|---:|");
    for (size, with_policies) in SIZES.iter().flat_map(|size| [(*size, false), (*size, true)]) {
        let path = folder.path().join("mesh.yaml");
        fs::write(&path, manifests(size, with_policies)).unwrap();
        let (ours, theirs) = compare(&peer, &path);
        let policies = if with_policies { size } else { 0 };
        println!(
            "| {size} | {policies} | {:.2} s, {:.0} MB | {:.2} s, {:.0} MB | {:.1} |",
            ours.seconds,
            ours.megabytes,
            theirs.seconds,
            theirs.megabytes,
            theirs.seconds / ours.seconds
        );
    }
}

/// In the one version that theirs reads. It passes over policies, which ours converts.
fn manifests(size: usize, with_policies: bool) -> String {
    let all = mesh::manifests(size).replace("networking.istio.io/v1\n", "networking.istio.io/v1beta1\n");
    let is_wanted = |document: &&str| with_policies || !document.contains("kind: AuthorizationPolicy\n");
    let wanted: Vec<&str> = all.split("---\n").filter(is_wanted).collect();
    wanted.join("---\n")
}

fn compare(peer: &str, manifests: &Path) -> (Sample, Sample) {
    let file = manifests.to_str().unwrap();
    let ours = Sample::median(
        env!("CARGO_BIN_EXE_mesh-migrate"),
        &["convert", "--dry-run", "--quiet", "-f", file],
    );
    let theirs = Sample::median(
        peer,
        &[
            "print",
            "--providers",
            "istio",
            "--input-file",
            file,
            "--all-namespaces",
        ],
    );
    (ours, theirs)
}
