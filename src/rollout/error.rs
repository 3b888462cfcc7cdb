//! Why a plan was not carried out, or not to its end.

use super::api::Fault;
use super::lease::Holder;
use crate::exit::Exit;
use crate::input::cluster::ClusterError;
use crate::plan::document::Gap;
use thiserror::Error;

/// A run that did not come to its end.
#[derive(Debug, Error)]
pub enum RolloutError {
    /// The cluster cannot be reached.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The cluster refused a request.
    #[error("{doing}: {fault}")]
    Fault {
        /// What was being done.
        doing: String,
        /// The answer.
        fault: Fault,
    },
    /// The cluster is not the one that the plan was made from.
    #[error("the cluster differs from what the plan was made from:\n{}", listed(.0))]
    Differs(Vec<String>),
    /// The cluster cannot be compared with the plan.
    #[error("the cluster cannot be compared with the plan, because it cannot be read as a whole:\n{}", listed(.0))]
    Partial(Vec<String>),
    /// Gaps that nobody accepted.
    #[error("the plan has gaps that nobody has accepted:\n{}", gaps(.0))]
    Gaps(Vec<Gap>),
    /// A step without a proof.
    #[error("the step `{step}` decides requests otherwise than before:\n{}", listed(.otherwise))]
    Unproved {
        /// The step.
        step: String,
        /// The requests.
        otherwise: Vec<String>,
    },
    /// A name that the plan does not have.
    #[error("the plan has no {what} `{name}`")]
    Unknown {
        /// `step` or `gap`.
        what: &'static str,
        /// What was given.
        name: String,
        /// What was probably meant.
        similar: Option<String>,
        /// What there is.
        known: Vec<String>,
    },
    /// The journal is of another plan.
    #[error("another plan is being carried out here: {source_of}, {done} of {steps} steps are done")]
    OtherPlan {
        /// What that plan was made from.
        source_of: String,
        /// Steps in effect.
        done: usize,
        /// Its steps.
        steps: usize,
    },
    /// There is nothing to roll back.
    #[error("nothing was applied here: the namespace `{0}` has no journal")]
    NoJournal(String),
    /// The journal cannot be read.
    #[error("the journal in the namespace `{namespace}` cannot be read: {reason}")]
    BadJournal {
        /// The root namespace.
        namespace: String,
        /// Why.
        reason: String,
    },
    /// The journal was changed by someone else.
    #[error("the journal was changed by someone else ({0})")]
    JournalChanged(String),
    /// Another run holds the lease.
    #[error("{} is at work here, since {}", .0.who, .0.since)]
    Held(Holder),
    /// Another run took the lease.
    #[error("the lease was lost to {0}")]
    LeaseLost(String),
    /// Nobody could be asked.
    #[error("nobody can be asked: {0}")]
    NotAsked(String),
    /// The answer was no.
    #[error("nothing was {0}: the answer was not yes")]
    Declined(&'static str),
    /// Someone wanted it to stop.
    #[error("stopped between two writes, as asked: {0}")]
    Interrupted(String),
    /// A step failed.
    #[error("the step `{step}` failed: {why}\n{undone}")]
    Stopped {
        /// The step.
        step: String,
        /// What failed.
        why: String,
        /// What became of it.
        undone: String,
    },
    /// Something could not be undone.
    #[error("the step `{step}` cannot be undone now: {why}")]
    Stuck {
        /// The step.
        step: String,
        /// Why.
        why: String,
    },
    /// Signals cannot be heard.
    #[error("signals cannot be heard: {0}")]
    Signals(std::io::Error),
}

impl RolloutError {
    /// For `map_err`: what was being done.
    pub(super) fn doing(doing: impl Into<String>) -> impl FnOnce(Fault) -> Self {
        move |fault| match fault {
            Fault::Unreachable(error) => Self::Cluster(error),
            fault => Self::Fault {
                doing: doing.into(),
                fault,
            },
        }
    }

    /// How the run ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Cluster(_)
            | Self::Fault { .. }
            | Self::Held(_)
            | Self::Partial(_)
            | Self::BadJournal { .. } => Exit::Cluster,
            Self::Differs(_)
            | Self::Gaps(_)
            | Self::Unproved { .. }
            | Self::Unknown { .. }
            | Self::OtherPlan { .. }
            | Self::NoJournal(_)
            | Self::NotAsked(_)
            | Self::Declined(_) => Exit::BadInput,
            Self::JournalChanged(_)
            | Self::LeaseLost(_)
            | Self::Interrupted(_)
            | Self::Stopped { .. }
            | Self::Stuck { .. }
            | Self::Signals(_) => Exit::Stopped,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Cluster(ClusterError::NoKubeconfig { .. }) => "set KUBECONFIG to a kubeconfig".to_owned(),
            Self::Cluster(error @ (ClusterError::Timeout { .. } | ClusterError::Connection { .. })) => format!(
                "{}; what was written so far is in the journal: go on with the same command once the server answers",
                error.help()
            ),
            Self::Cluster(error) => error.help(),
            Self::Fault { fault: Fault::Status(status), .. } if status.code == 403 => {
                "the user needs the rights of docs/rbac-apply.yaml; go on with the same command then".to_owned()
            }
            Self::Fault { .. } => {
                "what was written is in the journal: go on with the same command, or undo it with: mesh-migrate \
                 rollback"
                    .to_owned()
            }
            Self::Differs(_) => {
                "make a new plan from the cluster as it is now (mesh-migrate plan), or undo these changes".to_owned()
            }
            Self::Partial(_) => "bind the ClusterRole of docs/rbac.yaml to the user, then try again".to_owned(),
            Self::Gaps(gaps) => {
                let flags: Vec<String> = gaps.iter().map(|gap| format!("--accept-gap {}", gap.id)).collect();
                format!("close them and plan again, or take them on by name: {}", flags.join(" "))
            }
            Self::Unproved { step, .. } => {
                format!("plan again without this step, or take it on by name: --accept-gap {step}")
            }
            Self::Unknown { similar: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::Unknown { known, .. } if known.is_empty() => "the plan has none".to_owned(),
            Self::Unknown { known, .. } => format!("there are: {}", known.join(", ")),
            Self::OtherPlan { .. } => {
                "see it with `mesh-migrate status`; finish it with its own file, or undo it with `mesh-migrate rollback`"
                    .to_owned()
            }
            Self::NoJournal(_) => {
                "is this the right context? name another control plane's namespace with --root-namespace".to_owned()
            }
            Self::BadJournal { .. } => {
                "it may be of a newer version of this program; look at it with: kubectl get configmaps -l \
                 app.kubernetes.io/managed-by=mesh-migrate"
                    .to_owned()
            }
            Self::JournalChanged(_) | Self::LeaseLost(_) => {
                "only one run can be at work; see where it stands with: mesh-migrate status".to_owned()
            }
            Self::Held(holder) => format!(
                "wait until it ends; if it is dead, its lease ends by itself at {}",
                holder.expires
            ),
            Self::NotAsked(_) => "give the answer beforehand with --yes".to_owned(),
            Self::Declined(_) => "answer `yes`, or the name that is asked for, to go on".to_owned(),
            Self::Interrupted(_) => {
                "go on with the same command, or undo with: mesh-migrate rollback".to_owned()
            }
            Self::Stopped { .. } => {
                "put right what failed, then go on with the same command; or go back with: mesh-migrate rollback"
                    .to_owned()
            }
            Self::Stuck { .. } => {
                "put right what is in the way, then go on with: mesh-migrate rollback (or forward again, with: \
                 mesh-migrate apply)"
                    .to_owned()
            }
            Self::Signals(_) => "check the limits of the process: ulimit -a".to_owned(),
        }
    }
}

/// How many lines a message has at most.
const SHOWN: usize = 25;

fn listed(lines: &[String]) -> String {
    let mut text: Vec<String> = lines
        .iter()
        .take(SHOWN)
        .map(|line| format!("  - {line}"))
        .collect();
    if lines.len() > SHOWN {
        text.push(format!("  … and {} more", lines.len() - SHOWN));
    }
    text.join("\n")
}

fn gaps(gaps: &[Gap]) -> String {
    let lines: Vec<String> = gaps
        .iter()
        .map(|gap| format!("{}: {}; to close it: {}", gap.id, gap.what, gap.fix))
        .collect();
    listed(&lines)
}
