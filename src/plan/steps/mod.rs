//! The steps of a plan: one file for each phase, in the order in which they come.

mod admit;
mod bind;
mod clean_up;
mod data_plane;
mod enroll;
mod guard;
mod hbone;
mod moving;
mod policies;
mod teach;
mod waypoint;

use super::document::{Check, FIELD_MANAGER, Phase, Proof, Step, Target, Write};
use super::landscape::{Landscape, Mover, Server, ServerIndex, WorkloadIndex};
use super::order::Order;
use crate::convert::MANAGED_BY;
use crate::plan::Options;
use model::{Kind, Object, Workload};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// What the phases share.
pub struct Scope<'a> {
    /// The mesh.
    pub landscape: &'a Landscape<'a>,
    /// What moves when.
    pub order: &'a Order,
    /// What was asked for.
    pub options: &'a Options,
    /// Servers that get a waypoint, by namespace.
    pub prepared: BTreeMap<&'a str, Vec<ServerIndex>>,
    /// The names of waypoints, by namespace.
    pub waypoints: BTreeMap<&'a str, String>,
    /// When each workload moves.
    pub moves_at: BTreeMap<WorkloadIndex, usize>,
    /// For servers that sidecars are led to: the waves before which they must be, and after which they need not.
    taught: BTreeMap<ServerIndex, teach::Span>,
}

/// A step without its number and proof.
pub struct Draft {
    /// What it is for.
    pub phase: Phase,
    /// The namespace, or another word that tells it from its neighbours.
    pub about: String,
    /// What it does.
    pub title: String,
    /// What must hold before.
    pub requires: Vec<Check>,
    /// What is written.
    pub writes: Vec<Write>,
    /// What must hold after.
    pub checks: Vec<Check>,
    /// What undoing it comes to.
    pub undo: &'static str,
}

/// All steps.
pub fn steps(scope: &Scope<'_>) -> Vec<Step> {
    let mut drafts = data_plane::steps(scope);
    drafts.extend(hbone::steps(scope));
    for phase in [waypoint::steps, policies::steps, admit::steps, bind::steps] {
        drafts.extend(
            scope
                .prepared
                .keys()
                .filter_map(|namespace| phase(scope, namespace)),
        );
    }
    for wave in 0..scope.order.waves.len() {
        drafts.extend(teach::steps(scope, wave));
        drafts.extend(guard::steps(scope, wave));
        drafts.extend(moving::steps(scope, wave));
        drafts.extend(enroll::steps(scope, wave));
        drafts.extend(teach::undone(scope, wave));
    }
    drafts.extend(clean_up::steps(scope));
    let width = if drafts.len() > 99 { 3 } else { 2 };
    let number = |(index, draft): (usize, Draft)| Step {
        id: format!("{:0width$}-{}-{}", index + 1, draft.phase.name(), draft.about),
        title: draft.title,
        phase: draft.phase,
        asks: draft.phase == Phase::CleanUp,
        requires: draft.requires,
        writes: draft.writes,
        checks: draft.checks,
        undo: draft.undo.to_owned(),
        proof: Proof::default(),
    };
    drafts.into_iter().enumerate().map(number).collect()
}

impl<'a> Scope<'a> {
    /// Decides which servers get waypoints.
    pub fn new(landscape: &'a Landscape<'a>, order: &'a Order, options: &'a Options) -> Self {
        let flat = order.waves.iter().flat_map(|(_, own)| own);
        let moves_at: BTreeMap<WorkloadIndex, usize> =
            flat.enumerate().map(|(at, &index)| (index, at)).collect();
        let mut prepared: BTreeMap<&str, Vec<ServerIndex>> = BTreeMap::new();
        for (index, server) in landscape.servers.iter().enumerate() {
            if moves_at.is_empty() || !server.needs_waypoint || !server.can_be_bound() {
                continue;
            }
            let moves = server.pods.iter().any(|pod| moves_at.contains_key(pod));
            let is_called = || may_be_called(landscape, options, moves_at.keys(), server);
            if moves || (server.is_routed() && is_called()) {
                prepared
                    .entry(server.service.namespace())
                    .or_default()
                    .push(index);
            }
        }
        let waypoints = prepared
            .keys()
            .map(|&namespace| (namespace, waypoint::name(landscape, namespace)))
            .collect();
        Self {
            landscape,
            order,
            options,
            prepared,
            waypoints,
            moves_at,
            taught: teach::spans(landscape, order),
        }
    }

    /// The identity of the waypoint of a namespace, as policies name it.
    fn principal(&self, namespace: &str) -> String {
        let domain = &self.landscape.mesh.settings.trust_domain;
        format!("{domain}/ns/{namespace}/sa/{}", self.waypoint(namespace))
    }

    /// The name of the waypoint of a namespace.
    fn waypoint(&self, namespace: &str) -> &str {
        self.waypoints.get(namespace).map_or("waypoint", String::as_str)
    }

    /// Workloads with a sidecar whose requests are judged, behind protected servers that get a waypoint. Others behind
    /// these have nothing to guard, and may be behind Services without a waypoint, too.
    fn judged(&self, namespace: &str) -> BTreeSet<WorkloadIndex> {
        let servers = self.prepared.get(namespace).into_iter().flatten();
        servers
            .map(|&server| &self.landscape.servers[server])
            .filter(|server| server.is_protected)
            .flat_map(|server| server.pods.iter().copied())
            .filter(|&pod| self.mover(pod).membership.candidate && self.mover(pod).is_judged())
            .collect()
    }

    fn mover(&self, index: WorkloadIndex) -> &Mover<'a> {
        &self.landscape.workloads[index]
    }
}

/// Whether something that moves may call a server: anything may, unless calls were seen.
pub fn may_be_called<'a>(
    landscape: &Landscape<'_>,
    options: &Options,
    mut movers: impl Iterator<Item = &'a WorkloadIndex>,
    server: &Server<'_>,
) -> bool {
    let calls = &options.traffic.calls;
    let service = (
        server.service.namespace().to_owned(),
        server.service.name().to_owned(),
    );
    calls.is_empty()
        || movers.any(|&mover| {
            let object = landscape.workloads[mover].object;
            let client = (object.namespace().to_owned(), object.name().to_owned());
            calls.get(&client).is_some_and(|called| called.contains(&service))
        })
}

/// A new object of ours.
fn created(api_version: &str, kind: &str, namespace: &str, name: &str, spec: &Json) -> Write {
    annotated(api_version, kind, namespace, name, &json!({}), spec)
}

/// A new object of ours with annotations.
fn annotated(
    api_version: &str,
    kind: &str,
    namespace: &str,
    name: &str,
    annotations: &Json,
    spec: &Json,
) -> Write {
    let mut metadata = json!({
        "name": name,
        "namespace": namespace,
        "labels": { MANAGED_BY: FIELD_MANAGER },
    });
    if annotations.as_object().is_some_and(|map| !map.is_empty()) {
        metadata["annotations"] = annotations.clone();
    }
    Write::Create {
        manifest: json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec }),
    }
}

/// Labels of an object of someone else.
fn labelled<T>(object: &Object<T>, labels: &Json) -> Write {
    let mut manifest = identity(&target(object));
    manifest["metadata"]["labels"] = labels.clone();
    Write::Set { manifest }
}

/// A manifest that says no more than which object it is about.
fn identity(target: &Target) -> Json {
    let mut manifest = json!({
        "apiVersion": target.api_version, "kind": target.kind, "metadata": { "name": target.name },
    });
    if let Some(namespace) = &target.namespace {
        manifest["metadata"]["namespace"] = json!(namespace);
    }
    manifest
}

/// The object as its manifest names it.
fn target<T>(object: &Object<T>) -> Target {
    let version = object.raw.get("apiVersion").and_then(model::Node::as_str);
    Target {
        api_version: version.unwrap_or_default().to_owned(),
        kind: object.id.kind.name().to_owned(),
        namespace: object.id.namespace.as_deref().map(str::to_owned),
        name: object.name().to_owned(),
    }
}

/// The labels by which a controller knows its pods; policies of ours select by them.
fn pod_labels(workload: &Object<Workload>) -> BTreeMap<String, String> {
    let selector = workload.raw.at(&["spec", "selector", "matchLabels"]);
    let entries = selector.map_or(&[][..], model::Node::entries);
    let labels: BTreeMap<_, _> = entries
        .iter()
        .filter_map(|entry| Some((entry.key.to_string(), entry.node.as_str()?.to_owned())))
        .collect();
    if labels.is_empty() {
        workload.spec.template.metadata.labels.clone()
    } else {
        labels
    }
}

/// A name, or its beginning with a digest of it where it is longer than a label's value may be.
fn label_value(name: &str) -> String {
    if name.len() <= 63 {
        return name.to_owned();
    }
    let cut: String = name.chars().take(50).collect();
    let sum = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{cut}-{:012x}", sum & 0xffff_ffff_ffff)
}

/// What is checked of a controller's kind.
fn is_controller(kind: &Kind) -> bool {
    matches!(kind, Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet)
}

/// The name under which Envoy knows the first rule of a policy.
fn in_envoy(namespace: &str, policy: &str) -> String {
    format!("ns[{namespace}]-policy[{policy}]-rule[0]")
}
