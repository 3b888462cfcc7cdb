//! What ends a run early, with advice.

use crate::exit::Exit;
use crate::input::cluster::ClusterError;
use crate::input::snapshot::SnapshotError;
use crate::input::traffic::TrafficError;
use crate::input::witness::WitnessError;
use crate::payload::extract::ExtractError;
use crate::payload::image::ImageError;
use crate::payload::push::PushError;
use crate::rollout::RolloutError;
use crate::rollout::file::PlanFileError;
use miette::Diagnostic;
use std::fmt;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// A run that gives no answer.
#[derive(Debug, Error)]
pub enum CliError {
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The file of a plan.
    #[error(transparent)]
    Plan(#[from] PlanFileError),
    /// A plan that was not carried out to its end.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
    /// Programs out of the executable.
    #[error(transparent)]
    Extract(#[from] ExtractError),
    /// Images of them.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Images to a registry.
    #[error(transparent)]
    Push(#[from] PushError),
    /// Calls that were seen.
    #[error(transparent)]
    Traffic(#[from] TrafficError),
    /// Witnesses.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// Rules of the user.
    #[error("the rules cannot be used: {}", .0.join("; "))]
    Rules(Vec<String>),
    /// Arguments that do not belong together.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        help: String,
    },
    /// Output that could not be written.
    #[error("cannot write to {target}: {source}")]
    Output {
        /// Where to.
        target: String,
        /// Why.
        source: io::Error,
    },
    /// A file that is not ours stands where a new one should.
    #[error("`{}` was not written by this program and is not replaced", .0.display())]
    Foreign(PathBuf),
    /// A file is not any more what was read.
    #[error("`{}` has changed since it was read", .0.display())]
    Changed(PathBuf),
}

impl CliError {
    /// How the run ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Cluster(_) => Exit::Cluster,
            Self::Rollout(error) => error.exit(),
            Self::Output { .. } | Self::Extract(ExtractError::Io { .. }) | Self::Push(_) => Exit::Stopped,
            Self::Extract(_)
            | Self::Image(_)
            | Self::Plan(_)
            | Self::Foreign(_)
            | Self::Changed(_)
            | Self::Snapshot(_)
            | Self::Rules(_)
            | Self::Traffic(_)
            | Self::Witness(_)
            | Self::Usage { .. } => Exit::BadInput,
        }
    }
}

const DAMAGED: &str = "get this executable anew; its programs are not what was built";

impl Diagnostic for CliError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = match self {
            Self::Cluster(error) => error.help(),
            Self::Snapshot(error) => error.help(),
            Self::Plan(error) => error.advice.clone(),
            Self::Rollout(error) => error.help(),
            Self::Extract(error) => match error {
                ExtractError::Foreign(_) => {
                    "use --force to replace it, or another --output-dir; nothing was written".to_owned()
                }
                ExtractError::Io { .. } => "check that the folder may be written to".to_owned(),
                ExtractError::Corrupt(_) => DAMAGED.to_owned(),
            },
            Self::Image(_) => DAMAGED.to_owned(),
            Self::Push(error) => match error {
                PushError::Credentials { .. } => {
                    "correct the config.json of Docker (DOCKER_CONFIG names its folder), or use --username and \
                     --password-stdin"
                }
                PushError::IdentityToken(_) => "use --username and --password-stdin with a token for pushing",
                PushError::Name { .. } => "correct --hub and --tag",
                PushError::Registry { .. } | PushError::Io(_) => {
                    "check --hub and that you may push there (`docker login`, or --username and --password-stdin); \
                     --plain-http for a registry without TLS"
                }
            }
            .to_owned(),
            Self::Witness(_) => {
                "each is a list item with name, namespace, workload, container, command and output; see \
                 docs/migration.md"
                    .to_owned()
            }
            Self::Traffic(_) => {
                "save the answer of /api/v1/query?query=sum by (source_workload, source_workload_namespace, \
                 destination_service_name, destination_service_namespace) (istio_requests_total)"
                    .to_owned()
            }
            Self::Rules(_) => "correct the rule files; nothing was checked".to_owned(),
            Self::Usage { help, .. } => help.clone(),
            Self::Output { .. } => "check that the path exists and may be written".to_owned(),
            Self::Changed(_) => "run the command again; nothing was written".to_owned(),
            Self::Foreign(_) => {
                "choose an empty folder with --output-dir, or move the file away; nothing was written"
                    .to_owned()
            }
        };
        Some(Box::new(help))
    }
}
