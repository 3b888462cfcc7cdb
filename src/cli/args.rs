//! The arguments.

use crate::exit;
use crate::report::Format;
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
    /// Save what the program reads of a cluster to a file
    #[command(after_help = SNAPSHOT_EXAMPLES)]
    Snapshot(SnapshotArgs),
    /// Print the page of a rule or message, or list them all
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
  mesh-migrate convert --dry-run -f manifests/ -o markdown=comment.md";
const SNAPSHOT_EXAMPLES: &str = "\
Examples:
  mesh-migrate snapshot -o mesh.tar.zst
  mesh-migrate snapshot --context prod-eu -n shop -n billing -o mesh.tar.zst
  mesh-migrate precheck --snapshot mesh.tar.zst";
const EXPLAIN_EXAMPLES: &str = "\
Examples:
  mesh-migrate explain MM2003
  mesh-migrate explain duplicate-key
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
    pub output: Vec<Target>,
}

/// A format, and the file to write it to if it is not standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The format.
    pub format: Format,
    /// The file.
    pub file: Option<PathBuf>,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, file) = match text.split_once('=') {
            Some((_, "")) => return Err("a file name must follow `=`".to_owned()),
            Some((name, file)) => (name, Some(PathBuf::from(file))),
            None => (text, None),
        };
        match Format::from_str(name, false) {
            Ok(format) => Ok(Self { format, file }),
            Err(_) => {
                let names: Vec<String> = Format::value_variants()
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
    /// Take Services that rules name and files do not hold to exist
    #[arg(long, requires = "filename", help_heading = "Input")]
    pub assume_services: bool,
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

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A code such as MM2003, or its name; without it, all are listed
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
