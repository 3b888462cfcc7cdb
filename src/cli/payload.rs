//! `mesh-migrate payload`.

use super::CliError;
use super::output::Terminal;
use crate::exit::Exit;
use crate::payload::extract::Outcome;
use crate::payload::manifests::{LogLevel, Settings, is_trusted_by_default, manifest};
use crate::payload::push::{self, Credentials};
use crate::payload::setting::{Address, FileName, Hub, Identifier, Image, Label, Name, NodePath, Tag};
use crate::payload::{Program, Role, embedded, extract, image};
use crate::progress::Progress;
use clap::{Args, Subcommand, ValueEnum, ValueHint};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;
use std::io::{self, Read as _};
use std::path::PathBuf;

const LIST_EXAMPLES: &str = "\
Examples:
  mesh-migrate payload list
  mesh-migrate payload list -o json";
const EXTRACT_EXAMPLES: &str = "\
Examples:
  mesh-migrate payload extract --output-dir bin/
  mesh-migrate payload extract --only proxy --output-dir /usr/local/bin --force";
const IMAGE_EXAMPLES: &str = "\
Examples:
  mesh-migrate payload image --hub registry.example.com/mesh --push
  mesh-migrate payload image --hub registry.example.com/mesh --output data-plane.tar
  ctr -n k8s.io images import data-plane.tar
  mesh-migrate payload image --hub localhost:5000/mesh --push --plain-http";
const MANIFESTS_EXAMPLES: &str = "\
Examples:
  mesh-migrate payload manifests --hub registry.example.com/mesh > data-plane.yaml
  mesh-migrate payload manifests --only proxy --image registry.example.com/mesh/mesh-proxy@sha256:…
  mesh-migrate payload manifests --hub registry.example.com/mesh --cni-bin-dir /home/kubernetes/bin";

/// What to do with the data plane.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the programs inside of the executable
    #[command(after_help = LIST_EXAMPLES)]
    List(ListArgs),
    /// Write the programs to files
    #[command(after_help = EXTRACT_EXAMPLES)]
    Extract(ExtractArgs),
    /// Write images of the programs to an archive, or push them to a registry
    #[command(after_help = IMAGE_EXAMPLES)]
    Image(MakeImageArgs),
    /// Print the DaemonSets and roles that run the data plane
    #[command(after_help = MANIFESTS_EXAMPLES)]
    Manifests(Box<ManifestsArgs>),
}

/// One of the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Only {
    /// mesh-proxy, in the place of ztunnel
    Proxy,
    /// mesh-agent, in the place of istio-cni
    Agent,
}

impl Only {
    fn roles(only: Option<Self>) -> &'static [Role] {
        match only {
            Some(Self::Proxy) => &[Role::Proxy],
            Some(Self::Agent) => &[Role::Agent],
            None => &Role::ALL,
        }
    }
}

/// The image of a program below a hub.
fn image_name(hub: &Hub, role: Role, tag: &Tag) -> Result<Image, CliError> {
    let name = format!("{hub}/{}:{tag}", role.name());
    name.parse().map_err(|_| CliError::Usage {
        message: format!("`{name}` is no name of an image"),
        help: "shorten --hub or --tag".to_owned(),
    })
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// How to write it
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "Output"
    )]
    pub output: ListFormat,
}

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// A table
    Text,
    /// JSON
    Json,
}

/// Arguments of `extract`.
#[derive(Debug, Args)]
pub struct ExtractArgs {
    /// Only one of the programs
    #[arg(long, value_name = "PROGRAM")]
    pub only: Option<Only>,
    /// The folder to write them to
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub output_dir: PathBuf,
    /// Replace other files of these names
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `image`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("destination").required(true).args(["output", "push"])))]
pub struct MakeImageArgs {
    /// Only one of the programs
    #[arg(long, value_name = "PROGRAM")]
    pub only: Option<Only>,
    /// The registry and path below which the images are: HUB/mesh-proxy:TAG and HUB/mesh-agent:TAG
    #[arg(long, value_name = "REGISTRY/PATH", help_heading = "Images")]
    pub hub: Hub,
    /// The tag of the images
    #[arg(long, value_name = "TAG", default_value = env!("CARGO_PKG_VERSION"), help_heading = "Images")]
    pub tag: Tag,
    /// Write an OCI archive
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Push to the registry
    #[arg(long)]
    pub push: bool,
    /// The user's name at the registry [default: from Docker's configuration]
    #[arg(
        long,
        value_name = "NAME",
        requires = "push",
        requires = "password_stdin",
        help_heading = "Registry"
    )]
    pub username: Option<String>,
    /// Read the user's password from standard input
    #[arg(long, requires = "username", help_heading = "Registry")]
    pub password_stdin: bool,
    /// Speak HTTP with the registry, not HTTPS
    #[arg(long, requires = "push", help_heading = "Registry")]
    pub plain_http: bool,
}

/// Arguments of `manifests`.
#[derive(Debug, Args)]
pub struct ManifestsArgs {
    /// Only one of the programs
    #[arg(long, value_name = "PROGRAM")]
    pub only: Option<Only>,
    /// The registry and path below which the images are: HUB/mesh-proxy:TAG and HUB/mesh-agent:TAG
    #[arg(long, value_name = "REGISTRY/PATH", help_heading = "Images")]
    pub hub: Option<Hub>,
    /// The tag of the images
    #[arg(long, value_name = "TAG", default_value = env!("CARGO_PKG_VERSION"), help_heading = "Images")]
    pub tag: Tag,
    /// The one image, by tag or digest
    #[arg(long, conflicts_with_all = ["hub", "tag"], requires = "only", help_heading = "Images")]
    pub image: Option<Image>,
    /// The Secret with the registry's credentials
    #[arg(long, value_name = "NAME", help_heading = "Images")]
    pub image_pull_secret: Option<Name>,
    /// The namespace of everything; istiod trusts proxies of istio-system and kube-system
    #[arg(short, long, default_value = "istio-system", help_heading = "Mesh")]
    pub namespace: Label,
    /// The revision of istiod
    #[arg(long, help_heading = "Mesh")]
    pub revision: Option<Label>,
    /// Where istiod answers [default: istiod.NAMESPACE.svc:15012, or istiod-REVISION…]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Mesh")]
    pub istiod_address: Option<Address>,
    /// The name that istiod has for the cluster [default: Kubernetes]
    #[arg(long, value_name = "NAME", help_heading = "Mesh")]
    pub cluster_id: Option<Identifier>,
    /// The domain of the cluster's DNS [default: cluster.local]
    #[arg(long, value_name = "DOMAIN", help_heading = "Mesh")]
    pub cluster_domain: Option<Name>,
    /// The network of the cluster, in a mesh of several
    #[arg(long, value_name = "NAME", help_heading = "Mesh")]
    pub network: Option<Identifier>,
    /// Leave the pods' questions to DNS alone
    #[arg(long, help_heading = "Mesh")]
    pub no_dns_capture: bool,
    /// How much the programs log [default: info]
    #[arg(long, value_name = "LEVEL", help_heading = "Mesh")]
    pub log_level: Option<LogLevel>,
    /// The nodes' folder of CNI configurations
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/etc/cni/net.d",
        help_heading = "Nodes"
    )]
    pub cni_net_dir: NodePath,
    /// The nodes' folder of CNI programs
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/opt/cni/bin",
        help_heading = "Nodes"
    )]
    pub cni_bin_dir: NodePath,
    /// The CNI configuration that the nodes use [default: the first by name]
    #[arg(long, value_name = "FILE", help_heading = "Nodes")]
    pub cni_conf_name: Option<FileName>,
}

/// Does it.
pub fn run(command: &Command, terminal: &Terminal) -> Result<Exit, CliError> {
    match command {
        Command::List(args) => list(args, terminal),
        Command::Extract(args) => extract_programs(args, terminal),
        Command::Image(args) => make_images(args, terminal),
        Command::Manifests(args) => manifests(args, terminal),
    }
}

/// The programs inside that are asked for.
fn programs(only: Option<Only>) -> Result<Vec<Program>, CliError> {
    let inside = embedded().iter().copied();
    let wanted: Vec<_> = inside
        .filter(|program| Only::roles(only).contains(&program.role))
        .collect();
    if wanted.is_empty() {
        return Err(CliError::Usage {
            message: "no data plane is inside of this executable".to_owned(),
            help: "use a released `mesh-migrate`, or build one with it inside: cargo xtask dist".to_owned(),
        });
    }
    Ok(wanted)
}

fn list(args: &ListArgs, terminal: &Terminal) -> Result<Exit, CliError> {
    let programs = programs(None)?;
    match args.output {
        ListFormat::Text => terminal.print(|out| writeln!(out, "{}", table(&programs)))?,
        ListFormat::Json => {
            let rows: Vec<_> = programs.iter().map(row).collect();
            terminal.print(|out| writeln!(out, "{:#}", json!({"programs": rows})))?;
        }
    }
    Ok(Exit::Good)
}

fn row(program: &Program) -> serde_json::Value {
    json!({
        "name": program.role.name(),
        "version": program.version,
        "target": program.target,
        "size": program.size,
        "compressedSize": program.compressed_size(),
        "sha256": program.sha256,
    })
}

fn table(programs: &[Program]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "NAME",
        "VERSION",
        "TARGET",
        "SIZE",
        "COMPRESSED",
        "SHA-256",
    ]);
    for program in programs {
        table.add_row([
            program.role.name().to_owned(),
            program.version.to_owned(),
            program.target.to_owned(),
            megabytes(program.size),
            megabytes(program.compressed_size()),
            program.sha256.to_owned(),
        ]);
    }
    for column in table.column_iter_mut().skip(3).take(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// A size in megabytes of 1,000,000 bytes, with one digit behind the point.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes.saturating_add(50_000) / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

fn extract_programs(args: &ExtractArgs, terminal: &Terminal) -> Result<Exit, CliError> {
    let done = extract::extract(&programs(args.only)?, &args.output_dir, args.force)?;
    for (path, outcome) in done {
        let said = match outcome {
            Outcome::Written => "wrote",
            Outcome::Same => "unchanged:",
            Outcome::Replaced => "replaced",
        };
        terminal.remark(&format!("{said} `{}`", path.display()));
    }
    Ok(Exit::Good)
}

fn make_images(args: &MakeImageArgs, terminal: &Terminal) -> Result<Exit, CliError> {
    let mut images = Vec::new();
    for program in programs(args.only)? {
        let name = image_name(&args.hub, program.role, &args.tag)?;
        images.push(image::image(&program, &name)?);
    }
    if let Some(path) = &args.output {
        let mut archive = Vec::new();
        oci::archive(&images, &mut archive).map_err(image::ImageError::from)?;
        super::write::whole_file(path, &archive)?;
    } else {
        let options = push::Options {
            credentials: credentials(args)?,
            plain_http: args.plain_http,
        };
        let mut progress = Progress::start("connecting", terminal.progress);
        push::push_blocking(&images, &options, &mut |text| progress.say(text))?;
        progress.done();
    }
    // For scripts: each line can be given to `manifests --image` as it is.
    terminal.print(|out| {
        images
            .iter()
            .try_for_each(|image| writeln!(out, "{}@{}", image.name, image.digest()))
    })?;
    Ok(Exit::Good)
}

fn credentials(args: &MakeImageArgs) -> Result<Option<Credentials>, CliError> {
    let Some(username) = args.username.clone() else {
        return Ok(None);
    };
    /// No password or token is longer, in bytes.
    const LONGEST: u64 = 1 << 20;
    let mut password = String::new();
    let read = io::stdin().lock().take(LONGEST).read_to_string(&mut password);
    read.map_err(|error| CliError::Usage {
        message: format!("the password cannot be read from standard input: {error}"),
        help: "give it as text, as in: pass show registry | mesh-migrate payload image --push …".to_owned(),
    })?;
    let password = password.trim_end_matches(['\r', '\n']).to_owned();
    Ok(Some(Credentials { username, password }))
}

fn manifests(args: &ManifestsArgs, terminal: &Terminal) -> Result<Exit, CliError> {
    let settings = args.settings();
    let mut texts = Vec::new();
    for role in Only::roles(args.only) {
        let image = match (&args.image, &args.hub) {
            (Some(image), _) => image.clone(),
            (None, Some(hub)) => image_name(hub, *role, &args.tag)?,
            (None, None) => {
                return Err(CliError::Usage {
                    message: "the manifests need to name the images".to_owned(),
                    help: "use --hub REGISTRY/PATH for where `payload image --push` put them, or --only and --image"
                        .to_owned(),
                });
            }
        };
        texts.push(manifest(*role, &image, &settings));
    }
    terminal.print(|out| write!(out, "{}", texts.join("---\n")))?;
    if args.only != Some(Only::Agent) && !is_trusted_by_default(&args.namespace) {
        terminal.remark(&format!(
            "istiod must trust the proxy of this namespace: add {}/ztunnel to its CA_TRUSTED_NODE_ACCOUNTS",
            args.namespace
        ));
    }
    Ok(Exit::Good)
}

impl ManifestsArgs {
    fn settings(&self) -> Settings {
        Settings {
            namespace: self.namespace.clone(),
            revision: self.revision.clone(),
            istiod: self.istiod_address.clone(),
            cluster_id: self.cluster_id.clone(),
            cluster_domain: self.cluster_domain.clone(),
            network: self.network.clone(),
            pull_secret: self.image_pull_secret.clone(),
            cni_net_dir: self.cni_net_dir.clone(),
            cni_bin_dir: self.cni_bin_dir.clone(),
            cni_conf_name: self.cni_conf_name.clone(),
            dns_capture: !self.no_dns_capture,
            log_level: self.log_level,
        }
    }
}
