//! `cargo xtask bed …`: a real cluster, one command up, one command down.

mod control_plane;
mod image;
mod images;
mod install;
mod network;
mod node;
mod pki;
mod processes;
mod shell;
mod test;
mod tools;

use bed::layout::{Layout, Node};
use clap::{Args, Subcommand};
use install::{Agent, Profile};
use miette::{IntoDiagnostic, Result, miette};
use serde_json::{Value, json};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};
use tools::eprint_step;

/// What can be done with the bed.
#[derive(Subcommand)]
pub enum Command {
    /// Bring the cluster up, as it is asked for; a cluster that is up and alike stays.
    Up(Up),
    /// Take everything away: processes, mounts, namespaces, links, rules.
    Down,
    /// What is up, and whether it is well.
    Status,
    /// Take away what tests left in the cluster: every namespace that is not the bed's own.
    Reset,
    /// What a part printed; without a name, the parts.
    Logs {
        /// A part, as listed.
        part: Option<String>,
    },
    /// Run the tests that need the bed; what fails is run once more, alone, and told apart.
    Test(test::Test),
}

/// What `up` brings up.
#[derive(Args)]
pub struct Up {
    /// How many nodes.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=i64::from(Node::MOST)))]
    nodes: u8,
    /// The release of Istio, as 1.31; the newest that is pinned, if none is given.
    #[arg(long, value_name = "VERSION", value_parser = pinned_release)]
    istio: Option<String>,
    /// Istio for sidecars alone, or for both modes.
    #[arg(long, value_enum, default_value_t = Profile::Ambient)]
    profile: Profile,
    /// Who redirects the pods of ambient mode.
    #[arg(long, value_enum, default_value_t = Agent::IstioCni)]
    agent: Agent,
}

fn pinned_release(text: &str) -> Result<String, String> {
    let releases = tools::istio_releases();
    if releases.iter().any(|release| release == text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "pinned below tests/bed/tools are: {}",
        releases.join(", ")
    ))
}

/// Does it.
pub fn run(command: &Command) -> Result<()> {
    let layout = Layout::of_user();
    match command {
        Command::Up(up) => bring_up(&layout, up),
        Command::Down => take_down(&layout),
        Command::Status => status(&layout),
        Command::Reset => reset(&layout),
        Command::Logs { part } => logs(&layout, part.as_deref()),
        Command::Test(test) => test::run(test),
    }
}

fn bring_up(layout: &Layout, up: &Up) -> Result<()> {
    let begun = Instant::now();
    let newest = || tools::istio_releases().pop();
    let istio = up
        .istio
        .clone()
        .or_else(newest)
        .ok_or_else(|| miette!("no release of Istio is pinned"))?;
    let wanted = json!({
        "nodes": up.nodes,
        "istio": istio,
        "profile": up.profile.to_string(),
        "agent": up.agent.to_string(),
    });
    tools::provide(layout, &istio)?;
    if state(layout).is_some_and(|state| state == wanted) && unwell(layout).is_empty() {
        return refresh(layout, up.nodes, &istio);
    }
    let provided = begun.elapsed();
    take_down(layout)?;
    let archives = images::write(layout, &istio)?;
    eprint_step("starting the control plane and the nodes");
    network::make(up.nodes)?;
    thread::scope(|scope| {
        let nodes: Vec<_> = Node::first(up.nodes)
            .map(|node| {
                let archives = &archives;
                scope.spawn(move || import(layout, node, archives))
            })
            .collect();
        control_plane::start(layout, up.nodes)?;
        for node in Node::first(up.nodes) {
            node::start(layout, node)?;
        }
        eprint_step("installing DNS and Istio");
        install::dns(layout)?;
        install::istio(layout, &istio, up.profile, up.agent)?;
        for node in nodes {
            node.join().map_err(|_| miette!("an import panicked"))??;
        }
        Ok::<_, miette::Report>(())
    })?;
    install::wait(layout, up.profile, up.agent)?;
    shell::write(&layout.state(), wanted.to_string())?;
    eprint_step(&format!(
        "is up after {:.0} s ({:.0} s of it for programs); use it with\n  export KUBECONFIG={}",
        begun.elapsed().as_secs_f64(),
        provided.as_secs_f64(),
        layout.kubeconfig().display()
    ));
    Ok(())
}

/// Gives a cluster that is up the images that changed since: pods that start from now on use them.
fn refresh(layout: &Layout, nodes: u8, istio: &str) -> Result<()> {
    let changed_at = |path: &std::path::Path| {
        fs::metadata(path)
            .and_then(|about| about.modified())
            .into_diagnostic()
    };
    let given_at = changed_at(&layout.state())?;
    let mut newer = Vec::new();
    for archive in images::write(layout, istio)? {
        if changed_at(&archive)? > given_at {
            newer.push(archive);
        }
    }
    for node in Node::first(nodes) {
        images::import(layout, node, &newer)?;
    }
    let state = fs::read_to_string(layout.state()).into_diagnostic()?;
    shell::write(&layout.state(), state)?;
    eprint_step(&format!("is up; images that changed: {}", newer.len()));
    Ok(())
}

/// Gives a node its images as soon as its containerd listens.
fn import(layout: &Layout, node: Node, archives: &[std::path::PathBuf]) -> Result<()> {
    let socket = layout.node(node).join("run/containerd/containerd.sock");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !socket.exists() {
        if Instant::now() > deadline {
            return Err(miette!("containerd of {} did not start", node.name()));
        }
        thread::sleep(Duration::from_millis(50));
    }
    images::import(layout, node, archives)
}

fn take_down(layout: &Layout) -> Result<()> {
    if !processes::end(layout) {
        return Err(miette!(
            "some processes of the bed do not end; see `cargo xtask bed status`"
        ));
    }
    network::remove()?;
    for node in Node::first(Node::MOST) {
        node::remove_traces(node);
    }
    if layout.run().exists() {
        fs::remove_dir_all(layout.run()).into_diagnostic()?;
    }
    Ok(())
}

/// What the cluster is, if it is complete.
fn state(layout: &Layout) -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(layout.state()).ok()?).ok()
}

/// The programs that should run and do not.
fn unwell(layout: &Layout) -> Vec<String> {
    let running: Vec<_> = processes::all(layout)
        .into_iter()
        .map(|process| process.program)
        .collect();
    let nodes = state(layout)
        .and_then(|state| state["nodes"].as_u64())
        .unwrap_or(1);
    let on_each = |name: &str| (name.to_owned(), usize::try_from(nodes).unwrap_or(1));
    let once = |name: &str| (name.to_owned(), 1);
    [
        once("etcd"),
        once("kube-apiserver"),
        once("kube-controller-manager"),
        once("kube-scheduler"),
        on_each("containerd"),
        on_each("kubelet"),
        on_each("kube-proxy"),
    ]
    .into_iter()
    .filter(|(name, count)| running.iter().filter(|program| *program == name).count() < *count)
    .map(|(name, _)| name)
    .collect()
}

#[expect(clippy::print_stdout, reason = "the answer of a developers' task")]
fn status(layout: &Layout) -> Result<()> {
    let Some(state) = state(layout) else {
        let left = processes::all(layout);
        if left.is_empty() {
            println!("no bed is up; `cargo xtask bed up` brings one up");
        } else {
            println!("a bed is half up; `cargo xtask bed up` begins anew. Its processes:");
            for process in left {
                println!("  {:>7} {}", process.id, process.program);
            }
        }
        return Ok(());
    };
    let text = |key: &str| state[key].to_string().replace('"', "");
    println!(
        "Istio {}, profile {}, nodes: {}",
        text("istio"),
        text("profile"),
        text("nodes")
    );
    println!("kubeconfig: {}", layout.kubeconfig().display());
    let unwell = unwell(layout);
    if !unwell.is_empty() {
        return Err(miette!(
            help = "`cargo xtask bed logs NAME` shows why; `cargo xtask bed up` begins anew",
            "not running: {}",
            unwell.join(", ")
        ));
    }
    let mut pods = control_plane::kubectl(layout);
    pods.args(["get", "nodes,pods", "--all-namespaces"]);
    print!("{}", shell::run(&mut pods)?);
    Ok(())
}

fn reset(layout: &Layout) -> Result<()> {
    if state(layout).is_none() {
        return Err(miette!(
            help = "`cargo xtask bed up` brings one up",
            "no bed is up"
        ));
    }
    let mut list = control_plane::kubectl(layout);
    list.args(["get", "namespaces", "--output=jsonpath={.items[*].metadata.name}"]);
    let own = [
        "default",
        "istio-system",
        "kube-node-lease",
        "kube-public",
        "kube-system",
    ];
    let names = shell::run(&mut list)?;
    let foreign: Vec<_> = names
        .split_whitespace()
        .filter(|name| !own.contains(name))
        .collect();
    if !foreign.is_empty() {
        eprint_step(&format!("removing {}", foreign.join(" ")));
        let mut delete = control_plane::kubectl(layout);
        delete
            .args(["delete", "namespace", "--timeout=120s"])
            .args(foreign);
        shell::run(&mut delete)?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the answer of a developers' task")]
fn logs(layout: &Layout, part: Option<&str>) -> Result<()> {
    let mut parts: Vec<_> = [layout.logs()]
        .into_iter()
        .chain(Node::first(Node::MOST).map(|node| layout.node(node)))
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    parts.sort();
    let name = |path: &std::path::Path| {
        let file = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        match path.parent() {
            Some(folder) if *folder != layout.logs() => {
                format!(
                    "{}/{file}",
                    folder.file_name().unwrap_or_default().to_string_lossy()
                )
            }
            _ => file,
        }
    };
    let Some(part) = part else {
        for path in &parts {
            println!("{}", name(path));
        }
        return Ok(());
    };
    let path = parts.iter().find(|path| name(path) == part).ok_or_else(|| {
        miette!(
            help = "`cargo xtask bed logs` lists the parts",
            "no part of the bed is called `{part}`"
        )
    })?;
    print!("{}", String::from_utf8_lossy(&fs::read(path).into_diagnostic()?));
    Ok(())
}
