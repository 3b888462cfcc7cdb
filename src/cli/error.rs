//! What ends a run early, with advice.

use crate::exit::Exit;
use crate::input::cluster::ClusterError;
use crate::input::snapshot::SnapshotError;
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
}

impl CliError {
    /// How the run ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Cluster(_) => Exit::Cluster,
            Self::Output { .. } => Exit::Stopped,
            Self::Foreign(_) | Self::Snapshot(_) | Self::Rules(_) | Self::Usage { .. } => Exit::BadInput,
        }
    }
}

impl Diagnostic for CliError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = match self {
            Self::Cluster(error) => error.help(),
            Self::Snapshot(error) => error.help(),
            Self::Rules(_) => "correct the rule files; nothing was checked".to_owned(),
            Self::Usage { help, .. } => help.clone(),
            Self::Output { .. } => "check that the path exists and may be written".to_owned(),
            Self::Foreign(_) => {
                "choose an empty folder with --output-dir, or move the file away; nothing was written"
                    .to_owned()
            }
        };
        Some(Box::new(help))
    }
}
