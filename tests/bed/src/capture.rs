//! What crosses the wires between pods.

use crate::Bed;
use crate::layout::{Node, POD_NETWORK};
use std::ffi::OsString;
use std::io::BufReader;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::NamedTempFile;

/// Packets from and to pods that were seen on the interfaces of the nodes. What a pod says to itself is not among
/// them.
#[derive(Debug)]
pub struct Capture {
    /// One for each node.
    files: Vec<NamedTempFile>,
}

impl Capture {
    /// Whether these bytes were seen, unencrypted and in one piece.
    ///
    /// # Panics
    /// Where the capture cannot be read.
    #[must_use]
    pub fn contains(&self, text: &str) -> bool {
        self.files.iter().any(|file| {
            let bytes = std::fs::read(file.path()).unwrap_or_else(|error| panic!("{error}"));
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    }

    /// How many packets match a filter of tcpdump's; a packet between two nodes counts on both.
    ///
    /// # Panics
    /// Where tcpdump does not understand the filter.
    #[must_use]
    pub fn count(&self, filter: &str) -> usize {
        self.files.iter().map(|file| count(file, filter)).sum()
    }
}

fn count(file: &NamedTempFile, filter: &str) -> usize {
    let output = run(&tcpdump(&["-nn", "-r"], file.path(), filter))
        .output()
        .unwrap_or_else(|error| panic!("tcpdump: {error}"));
    assert!(
        output.status.success(),
        "{filter}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).lines().count()
}

impl Bed {
    /// Watches the nodes' interfaces while something is done.
    ///
    /// # Panics
    /// Where tcpdump cannot watch.
    pub fn capture(&self, deed: impl FnOnce()) -> Capture {
        let nodes = Node::first(u8::try_from(self.nodes()).unwrap_or(Node::MOST));
        let (files, mut watching): (Vec<_>, Vec<_>) = nodes.map(watch).unzip();
        deed();
        // Packets are written a moment after they were seen.
        std::thread::sleep(std::time::Duration::from_millis(500));
        for child in &mut watching {
            let _ = child.kill();
            let _ = child.wait();
        }
        Capture { files }
    }
}

/// Begins to watch a node.
fn watch(node: Node) -> (NamedTempFile, Child) {
    let file = NamedTempFile::new().unwrap_or_else(|error| panic!("{error}"));
    // The node's own programs speak to each other, too: what a test asks for, and what it gets, on the loopback.
    let pods = format!("tcp and net {POD_NETWORK}");
    let watch = tcpdump(
        &["--immediate-mode", "-i", "any", "-s", "0", "-U", "-w"],
        file.path(),
        &pods,
    );
    let mut child = inside(node, &watch)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("tcpdump: {error}"));
    let said = child.stderr.take().map(BufReader::new);
    let listens = said
        .into_iter()
        .flat_map(std::io::BufRead::lines)
        .map_while(Result::ok)
        .any(|line| line.contains("listening on"));
    assert!(listens, "tcpdump does not listen on {}", node.name());
    (file, child)
}

fn tcpdump(flags: &[&str], file: &Path, filter: &str) -> Vec<OsString> {
    ["tcpdump"]
        .iter()
        .chain(flags)
        .map(OsString::from)
        .chain([file.into(), filter.into()])
        .collect()
}

fn run(command: &[OsString]) -> Command {
    let mut run = Command::new(&command[0]);
    run.args(&command[1..]);
    run
}

fn inside(node: Node, command: &[OsString]) -> Command {
    let mut run = Command::new("ip");
    run.args(["netns", "exec", &node.network_namespace()])
        .args(command);
    run
}
