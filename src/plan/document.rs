//! The plan as a value and as a file: everything that `apply` will do, with no decision left to it.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt;

/// `apiVersion` of a plan's file.
pub const API_VERSION: &str = "mesh-migrate.io/v1alpha1";
/// `kind` of a plan's file.
pub const KIND: &str = "MigrationPlan";
/// The field manager of every write, and the value of `app.kubernetes.io/managed-by`.
pub const FIELD_MANAGER: &str = crate::convert::PROGRAM;
/// The label of pods that run without a sidecar because of a plan; its value is the name of their workload.
pub const MOVED: &str = "mesh-migrate.io/moved";
/// The annotation of an EnvoyFilter that leads sidecars to a waypoint: `namespace/name` of the Service.
pub const TAUGHT: &str = "mesh-migrate.io/taught";
/// A label that no pod has: a policy that asks for it selects nothing.
pub const REPLACED: &str = "mesh-migrate.io/replaced-by";

/// A whole migration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// [`API_VERSION`].
    pub api_version: String,
    /// [`KIND`].
    pub kind: String,
    /// What the plan was made from, in words.
    pub source: String,
    /// Whose node proxies carry the moved pods.
    pub data_plane: DataPlane,
    /// What must be accepted by name before `apply` begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// What is taken to be true without having been seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumptions: Vec<String>,
    /// What moves, in order.
    pub waves: Vec<Wave>,
    /// What stays on sidecars, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub staying: Vec<Staying>,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// The state that the plan was made from.
    pub state: State,
}

impl Plan {
    /// Whether no request is decided otherwise than before, and nobody has to accept anything.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        self.gaps.is_empty() && self.steps.iter().all(|step| step.proof.otherwise.is_empty())
    }
}

/// Whose node proxies carry the moved pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DataPlane {
    /// Istio's ztunnel and CNI node agent, which must be there already.
    Stock,
    /// mesh-proxy and mesh-agent, which the first step rolls out.
    MeshProxy,
}

/// Requests that would be decided otherwise than before, or an obstacle; nobody but a person can accept it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gap {
    /// What `--accept-gap` names.
    pub id: String,
    /// What would be otherwise: from whom, to whom, for how long.
    pub what: String,
    /// What closes it.
    pub fix: String,
}

/// Workloads that move together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wave {
    /// Their namespaces.
    pub namespaces: Vec<String>,
    /// The workloads, each as `namespace/Kind/name`, in the order in which they move.
    pub workloads: Vec<String>,
    /// Why they come at this place.
    pub why: String,
}

/// A workload that stays on its sidecars.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Staying {
    /// `namespace/Kind/name`.
    pub workload: String,
    /// Why.
    pub why: String,
}

/// What a step is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The data plane of ambient mode is rolled out, or looked at.
    DataPlane,
    /// Sidecars that do not speak HBONE yet are restarted.
    Hbone,
    /// Waypoints are made.
    Waypoint,
    /// Policies are attached to what waypoints serve.
    Policies,
    /// Sidecars of servers let the waypoint in.
    Admit,
    /// Services use their waypoint.
    Bind,
    /// Sidecars of clients pass the waypoint.
    Teach,
    /// Old policies are for sidecars only, and moved pods are guarded.
    Guard,
    /// Pods are restarted without a sidecar.
    Move,
    /// Namespaces get the label of ambient mode.
    Enroll,
    /// What led sidecars to the waypoint goes.
    Unteach,
    /// What nobody reads any more goes.
    CleanUp,
}

/// One step: it is done as a whole, or undone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// Unique in the plan, such as `07-move-shop`.
    pub id: String,
    /// What it does, in words.
    pub title: String,
    /// What it is for.
    pub phase: Phase,
    /// Whether a person is asked before it, even with `--yes`-less runs in pipelines.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asks: bool,
    /// What must hold before the first write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Check>,
    /// What is written, in order.
    pub writes: Vec<Write>,
    /// What must come to hold after each write of a [`Phase::Move`], and after the last one of other phases.
    pub checks: Vec<Check>,
    /// Undone by dropping what was written, in reverse order; in words.
    pub undo: String,
    /// What was proved of the states that the step passes through.
    pub proof: Proof,
}

/// A write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "op",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Write {
    /// A new object. Undone by deleting it.
    Create {
        /// The whole object.
        manifest: Json,
    },
    /// Fields of an object of someone else, by server-side apply. Undone by giving up their ownership.
    Set {
        /// `apiVersion`, `kind`, `metadata.name`, `metadata.namespace` and the fields.
        manifest: Json,
    },
    /// A label of an object of someone else goes. Undone by writing it back under its old owner's name.
    Unlabel {
        /// The object.
        object: Target,
        /// The label.
        label: String,
        /// The value that it has.
        value: String,
    },
    /// An object goes. Undone by creating it again as it was, from the journal.
    Delete {
        /// The object.
        object: Target,
    },
}

/// An object of the API, as its manifest names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Target {
    /// Group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace, for kinds that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl Target {
    /// The object that a manifest is about; empty names where it has none.
    #[must_use]
    pub fn of(manifest: &Json) -> Self {
        let text = |pointer: &str| {
            manifest
                .pointer(pointer)
                .and_then(Json::as_str)
                .map(str::to_owned)
        };
        Self {
            api_version: text("/apiVersion").unwrap_or_default(),
            kind: text("/kind").unwrap_or_default(),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name").unwrap_or_default(),
        }
    }

    /// The API group; empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

impl fmt::Display for Target {
    /// `namespace/Kind/name`, without the first part for kinds that have no namespace.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl Write {
    /// The object that is written.
    #[must_use]
    pub fn target(&self) -> Target {
        match self {
            Self::Create { manifest } | Self::Set { manifest } => Target::of(manifest),
            Self::Unlabel { object, .. } | Self::Delete { object } => object.clone(),
        }
    }
}

/// Something that can be seen in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "check",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Check {
    /// The DaemonSet runs on every node that it is meant for.
    DaemonSetReady {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The waypoint's Gateway is programmed, and the pods of its Deployment are ready.
    WaypointReady {
        /// The namespace of the Gateway.
        namespace: String,
        /// The name of the Gateway.
        name: String,
    },
    /// istiod says of every target that its waypoint took the policy (H9).
    AcceptedByWaypoint {
        /// The policy.
        policy: Target,
        /// How many targets there are.
        targets: usize,
    },
    /// All pods of the workload are those of its newest template, and ready.
    RolledOut {
        /// The Deployment, StatefulSet or DaemonSet.
        workload: Target,
    },
    /// [`Check::RolledOut`], and every pod is without a sidecar and redirected to the node proxy.
    Moved {
        /// The Deployment, StatefulSet or DaemonSet.
        workload: Target,
    },
    /// [`Check::RolledOut`], and every pod has a sidecar; with `hbone`, one that speaks HBONE.
    HasSidecars {
        /// The Deployment, StatefulSet or DaemonSet.
        workload: Target,
        /// Whether the sidecars must speak HBONE.
        hbone: bool,
    },
    /// The configuration of every Envoy of these pods (the container `istio-proxy`) holds these texts, and not those.
    ProxyHolds {
        /// The namespace; all of the mesh if there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        /// Labels of the pods.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<String, String>,
        /// Texts that must be there.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        present: Vec<String>,
        /// Texts that must not be there.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        absent: Vec<String>,
    },
    /// A command in a pod is answered as it should be: a request of the owner's own, allowed or refused.
    Witness(Witness),
    /// Time for a control plane to tell its proxies what cannot be seen from outside.
    Settled {
        /// How long.
        seconds: u32,
    },
}

/// A command that shows by its output whether a request is let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Witness {
    /// What it shows.
    pub name: String,
    /// The namespace of the client.
    pub namespace: String,
    /// The workload of the client, as `Kind/name`; one of its ready pods is asked.
    pub workload: String,
    /// The container.
    pub container: String,
    /// The command, without a shell.
    pub command: Vec<String>,
    /// What its output must hold.
    pub output: String,
}

/// What was proved of a step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Proof {
    /// States that were looked at: before, between and after the writes.
    pub states: usize,
    /// Requests that were decided in each of them: clients, paths and witnesses together.
    pub requests: usize,
    /// Requests that are decided otherwise than before the migration, in words; empty if the step is safe.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub otherwise: Vec<String>,
}

/// What the plan relies on: for each object (as `namespace/Kind/name`) each part that counts, as a short digest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct State {
    /// The objects.
    pub objects: BTreeMap<String, BTreeMap<String, String>>,
}
