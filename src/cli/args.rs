//! The arguments.

use crate::convert::options::{GatewayApi, Istio, Subsets, WaypointPer};
use crate::exit;
use crate::plan::document::DataPlane;
use crate::report::Format;
use crate::report::plan::PlanFormat;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use std::path::PathBuf;
use std::str::FromStr;

/// Moves an Istio mesh from sidecars to ambient mode without a maintenance window
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    max_term_width = 100,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(after_help = format!("{TOP_EXAMPLES}\n\n{}", exit::HELP))]
pub struct Cli {
    /// How output looks.
    #[command(flatten)]
    pub look: LookArgs,
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find what stands in the way of ambient mode
    #[command(after_help = format!("{PRECHECK_EXAMPLES}\n\n{}", exit::HELP))]
    Precheck(PrecheckArgs),
    /// Rewrite the configuration that ambient mode reads differently
    #[command(after_help = format!("{CONVERT_EXAMPLES}\n\n{}", exit::HELP))]
    Convert(ConvertArgs),
    /// Work out the steps in which the mesh moves, and prove each of them
    #[command(after_help = format!("{PLAN_EXAMPLES}\n\n{}", exit::HELP))]
    Plan(PlanArgs),
    /// Save what the program reads of a cluster to a file
    #[command(after_help = SNAPSHOT_EXAMPLES)]
    Snapshot(SnapshotArgs),
    /// Carry a plan out, step by step; go on with one that was stopped
    #[command(after_help = format!("{APPLY_EXAMPLES}\n\n{}", exit::HELP))]
    Apply(ApplyArgs),
    /// Show where a plan stands, what is next, and what is waited for
    #[command(after_help = STATUS_EXAMPLES)]
    Status(StatusArgs),
    /// Undo what was applied, back to the start or to a step
    #[command(after_help = format!("{ROLLBACK_EXAMPLES}\n\n{}", exit::HELP))]
    Rollback(RollbackArgs),
    /// Take the data plane out of the executable: programs, images, manifests
    #[command(subcommand, arg_required_else_help = true)]
    Payload(super::payload::Command),
    /// Print the page of a rule or message, or what becomes of a kind or field
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArgs),
    /// Print the completions of a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
}

const TOP_EXAMPLES: &str = "\
Examples:
  mesh-migrate convert --dry-run --sample bookinfo
  mesh-migrate precheck --context prod-eu
  mesh-migrate convert --dry-run -f manifests/";
const PRECHECK_EXAMPLES: &str = "\
Examples:
  mesh-migrate precheck
  mesh-migrate precheck -f manifests/ --fail-on warning
  helm template charts/shop | mesh-migrate precheck -f -
  mesh-migrate precheck -f manifests/ -o text -o sarif=mesh.sarif -o junit=mesh.xml";
const CONVERT_EXAMPLES: &str = "\
Examples:
  mesh-migrate convert --dry-run --sample bookinfo
  mesh-migrate convert --dry-run -f manifests/ -n shop
  mesh-migrate convert -f manifests/ --output-dir ambient/
  mesh-migrate convert -f manifests/ --in-place
  mesh-migrate convert -f manifests/ --check
  mesh-migrate convert --dry-run -f manifests/ -o markdown=comment.md";
const PLAN_EXAMPLES: &str = "\
Examples:
  mesh-migrate plan
  mesh-migrate plan -n shop -n billing -o text -o yaml=plan.yaml
  mesh-migrate plan --snapshot mesh.tar.zst -v";
const SNAPSHOT_EXAMPLES: &str = "\
Examples:
  mesh-migrate snapshot -o mesh.tar.zst
  mesh-migrate snapshot --context prod-eu -n shop -n billing -o mesh.tar.zst
  mesh-migrate precheck --snapshot mesh.tar.zst";
const APPLY_EXAMPLES: &str = "\
Examples:
  mesh-migrate apply plan.yaml
  mesh-migrate apply plan.yaml --until 04-bind-shop
  mesh-migrate apply plan.yaml --yes -o jsonl --context prod-eu";
const STATUS_EXAMPLES: &str = "\
Examples:
  mesh-migrate status
  mesh-migrate status --context prod-eu -o json";
const ROLLBACK_EXAMPLES: &str = "\
Examples:
  mesh-migrate rollback
  mesh-migrate rollback --to 04-bind-shop --yes";
const EXPLAIN_EXAMPLES: &str = "\
Examples:
  mesh-migrate explain MM2003
  mesh-migrate explain duplicate-key
  mesh-migrate explain VirtualService.http.retries
  mesh-migrate explain";
const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  mesh-migrate completions bash > /etc/bash_completion.d/mesh-migrate
  mesh-migrate completions zsh > ~/.zfunc/_mesh-migrate
  mesh-migrate completions fish > ~/.config/fish/completions/mesh-migrate.fish";

/// How output looks.
#[derive(Debug, Args, Clone)]
pub struct LookArgs {
    /// Only what is wrong, and the closing line
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        help_heading = "Output"
    )]
    pub quiet: bool,
    /// Also rules that passed or were not checked, and all of long lists
    #[arg(short, long, global = true, help_heading = "Output")]
    pub verbose: bool,
    /// When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Output"
    )]
    pub color: ColorChoice,
    /// Do not show what is being done
    #[arg(long, global = true, help_heading = "Output")]
    pub no_progress: bool,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to read.
#[derive(Debug, Args, Clone)]
pub struct InputArgs {
    /// Read manifests from a file, a folder with everything below it, or standard input (-)
    #[arg(short, long, value_name = "FILE|DIR|-", value_hint = ValueHint::AnyPath, help_heading = "Input")]
    pub filename: Vec<PathBuf>,
    /// Read the cluster of this context of the kubeconfig [default: the current one]
    #[arg(long, conflicts_with_all = ["filename", "snapshot", "sample"], help_heading = "Input")]
    pub context: Option<String>,
    /// Only answer for objects of this namespace; repeatable
    #[arg(short, long, help_heading = "Input")]
    pub namespace: Vec<String>,
    /// Read a file that `mesh-migrate snapshot` saved
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["filename", "sample"], help_heading = "Input")]
    pub snapshot: Option<PathBuf>,
    /// Read a sample mesh that is inside the executable
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with = "filename",
        help_heading = "Input"
    )]
    pub sample: Option<Sample>,
}

/// A mesh inside the executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sample {
    /// The bookshop of Istio's documentation, with policies
    Bookinfo,
}

/// Where to write, and when to fail.
#[derive(Debug, Args, Clone)]
pub struct GateArgs {
    /// text, concise, json, sarif, junit, github or markdown; with =FILE to a file. Repeatable
    #[arg(
        short,
        long,
        value_name = "FORMAT[=FILE]",
        default_value = "text",
        help_heading = "Output"
    )]
    pub output: Vec<Target<Format>>,
}

/// A format, and the file to write it to if it is not standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<F> {
    /// The format.
    pub format: F,
    /// The file.
    pub file: Option<PathBuf>,
}

impl<F: ValueEnum> FromStr for Target<F> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, file) = match text.split_once('=') {
            Some((_, "")) => return Err("a file name must follow `=`".to_owned()),
            Some((name, file)) => (name, Some(PathBuf::from(file))),
            None => (text, None),
        };
        match F::from_str(name, false) {
            Ok(format) => Ok(Self { format, file }),
            Err(_) => {
                let names: Vec<String> = F::value_variants()
                    .iter()
                    .filter_map(|f| f.to_possible_value().map(|v| v.get_name().to_owned()))
                    .collect();
                let hint = super::explain::nearest(name, names.iter().map(String::as_str))
                    .map(|near| format!("; did you mean `{near}`?"))
                    .unwrap_or_default();
                Err(format!("`{name}` is not one of {}{hint}", names.join(", ")))
            }
        }
    }
}

/// From which severity on a finding fails the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// A blocker
    Blocker,
    /// A warning or a blocker
    Warning,
    /// Any finding
    Info,
    /// Nothing
    Never,
}

/// Arguments of `precheck`.
#[derive(Debug, Args)]
pub struct PrecheckArgs {
    /// What to read.
    #[command(flatten)]
    pub input: InputArgs,
    /// Where to write.
    #[command(flatten)]
    pub gate: GateArgs,
    /// The severity from which on the exit code is 1
    #[arg(
        long,
        value_name = "SEVERITY",
        default_value = "blocker",
        help_heading = "Output"
    )]
    pub fail_on: FailOn,
    /// Also judge the rules in this folder; repeatable
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, help_heading = "Input")]
    pub rules: Vec<PathBuf>,
}

/// Arguments of `convert`.
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// What to read.
    #[command(flatten)]
    pub input: InputArgs,
    /// Show what would be written
    #[arg(long, help_heading = "Output")]
    pub dry_run: bool,
    /// Write the new objects below this folder, one file each
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "dry_run", help_heading = "Output")]
    pub output_dir: Option<PathBuf>,
    /// Write the new objects into the files, each beside the one that it was made from; all other bytes stay
    #[arg(long, conflicts_with_all = ["dry_run", "output_dir"], help_heading = "Output")]
    pub in_place: bool,
    /// Write nothing, and end with exit code 1 if --in-place would change a file
    #[arg(long, conflicts_with_all = ["dry_run", "output_dir"], help_heading = "Output")]
    pub check: bool,
    /// Take Services that rules name and files do not hold to exist
    #[arg(long, requires = "filename", help_heading = "Input")]
    pub assume_services: bool,
    /// The release of Istio that reads the new objects, as 1.31; read from the input if it says so, else 1.30
    #[arg(long, value_name = "VERSION", help_heading = "Output")]
    pub istio: Option<Istio>,
    /// The release of the Gateway API that holds them, as 1.4/standard, with /experimental for that channel; read from
    /// the input if it says so, else 1.4/standard
    #[arg(long, value_name = "VERSION[/CHANNEL]", help_heading = "Output")]
    pub gateway_api: Option<GatewayApi>,
    /// What becomes of rules that send requests to subsets
    #[arg(long, value_name = "HOW", default_value = "keep", help_heading = "Output")]
    pub subsets: Subsets,
    /// Make Gateways and routes of the Gateway API of Istio's Gateways and the VirtualServices for them
    #[arg(long, help_heading = "Output")]
    pub ingress: bool,
    /// Make the waypoints that are needed and missing; nothing uses them before a label says so
    #[arg(long, value_name = "WHAT", help_heading = "Output")]
    pub waypoint_per: Option<WaypointPer>,
    /// Where to write.
    #[command(flatten)]
    pub gate: GateArgs,
    /// The severity from which on the exit code is 1
    #[arg(
        long,
        value_name = "SEVERITY",
        default_value = "never",
        help_heading = "Output"
    )]
    pub fail_on: FailOn,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// What to read. With namespaces, only their workloads move; the whole mesh is read all the same.
    #[command(flatten)]
    pub input: InputArgs,
    /// Whose node proxies and CNI agent carry the moved pods
    #[arg(long, value_name = "WHOSE", default_value = "stock", help_heading = "Plan")]
    pub data_plane: DataPlane,
    /// What `payload manifests` printed, for --data-plane mesh-proxy
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Plan")]
    pub data_plane_manifests: Option<PathBuf>,
    /// Requests that must be answered as before after every step: commands in pods, in a file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Plan")]
    pub witness: Option<PathBuf>,
    /// Plan with this gap, which `apply` asks to be accepted again; repeatable
    #[arg(long, value_name = "ID", help_heading = "Plan")]
    pub accept_gap: Vec<String>,
    /// Calls that were seen: the answer of Prometheus to a query for istio_requests_total, in a file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Plan")]
    pub traffic: Option<PathBuf>,
    /// text, yaml or json; with =FILE to a file. Repeatable
    #[arg(
        short,
        long,
        value_name = "FORMAT[=FILE]",
        default_value = "text",
        help_heading = "Output"
    )]
    pub output: Vec<Target<PlanFormat>>,
}

/// Arguments of `snapshot`.
#[derive(Debug, Args)]
pub struct SnapshotArgs {
    /// The context of the kubeconfig [default: the current one]
    #[arg(long)]
    pub context: Option<String>,
    /// Only this namespace; repeatable
    #[arg(short, long)]
    pub namespace: Vec<String>,
    /// The file to write
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
}

/// Which cluster is written to.
#[derive(Debug, Args, Clone)]
pub struct RolloutArgs {
    /// The context of the kubeconfig [default: the current one]
    #[arg(long)]
    pub context: Option<String>,
    /// The namespace of the control plane, which holds the journal
    #[arg(long, value_name = "NAMESPACE", default_value = crate::rollout::ROOT_NAMESPACE)]
    pub root_namespace: String,
}

/// How a run is told about, and asked for.
#[derive(Debug, Args, Clone)]
pub struct RunArgs {
    /// Answer every question beforehand
    #[arg(short, long)]
    pub yes: bool,
    /// How long a gate may take, such as 90s, 15m or 1h [default: 10m for pods, 3m for others]
    #[arg(long, value_name = "TIME", value_parser = super::tell::duration)]
    pub step_timeout: Option<std::time::Duration>,
    /// How it is told: lines of text, or one JSON object for each event
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "Output"
    )]
    pub output: Telling,
}

/// How a run is told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Telling {
    /// For a person
    Text,
    /// One JSON object for each event
    Jsonl,
}

/// How a state is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatusFormat {
    /// For a person
    Text,
    /// One JSON object
    Json,
}

/// Arguments of `apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The file of the plan, YAML or JSON; - is standard input
    #[arg(value_name = "PLAN", value_hint = ValueHint::FilePath)]
    pub plan: PathBuf,
    /// Stop after this step
    #[arg(long, value_name = "STEP")]
    pub until: Option<String>,
    /// Take on this gap of the plan, or this step without a proof; repeatable
    #[arg(long, value_name = "ID")]
    pub accept_gap: Vec<String>,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: RolloutArgs,
    /// How it is told.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Which cluster.
    #[command(flatten)]
    pub cluster: RolloutArgs,
    /// text or json
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "Output"
    )]
    pub output: StatusFormat,
}

/// Arguments of `rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The last step that stays in effect [default: none]
    #[arg(long, value_name = "STEP")]
    pub to: Option<String>,
    /// Which cluster.
    #[command(flatten)]
    pub cluster: RolloutArgs,
    /// How it is told.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A code such as MM2003, or its name; a kind such as VirtualService, or a field of it such as
    /// VirtualService.http.retries; without it, all codes are listed
    pub code: Option<String>,
    /// Also know the rules in this folder; repeatable
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub rules: Vec<PathBuf>,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}
