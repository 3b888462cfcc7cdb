//! Policies: from the pods that a selector selects to the Services that a waypoint serves.

mod attach;
mod authorization_policy;
mod exclude;
mod fit;
mod others;
mod path_edit;
mod pattern;
mod ports;
mod preflight;
mod provider;
mod reach;
mod read_rule;
mod request_authentication;
mod rules;
mod together;
mod translate;
mod waypoints;
mod ways;
mod ztunnel;

use super::context::Context;
use super::notes::Notes;
use super::{Change, Disposition, Sink, is_copy};
use attach::Draft;
use foldhash::{HashMap, HashSet};
use model::security::{Action, AuthorizationPolicy, RequestAuthentication};
use model::{Object, ObjectRef};
use provider::Provider;
use rayon::prelude::*;
use reach::{Coverage, Reach, Selection, Target};
use std::collections::BTreeSet;
use waypoints::Waypoints;

pub use ztunnel::needs_waypoint;

/// The annotation of a policy that is on trial: it counts, but does not act.
const DRY_RUN: &str = "istio.io/dry-run";

/// What converting one object came to.
struct Answer<'a, T> {
    object: &'a Object<T>,
    notes: Notes<'a, T>,
    drafts: Vec<Draft>,
    /// The drafts as they are written.
    copies: Vec<Change>,
    /// Positions of the targets that it is for.
    targets: BTreeSet<usize>,
    /// Whether there is nothing to do.
    idle: bool,
}

impl<'a, T> Answer<'a, T> {
    fn on(object: &'a Object<T>) -> Self {
        Self {
            object,
            notes: Notes::on(object),
            drafts: Vec::new(),
            copies: Vec::new(),
            targets: BTreeSet::new(),
            idle: false,
        }
    }

    fn is_converted(&self) -> bool {
        !self.idle && !self.notes.is_kept()
    }

    /// Writes what there is for now; some of it may be kept in the end.
    fn written(mut self, context: &Context<'_>, annotations: &[&str]) -> Self {
        let drafts = std::mem::take(&mut self.drafts);
        if self.is_converted() {
            let parts = drafts.into_iter().flat_map(|draft| draft.into_parts(context));
            self.copies = attach::written(context, self.object, annotations, parts.collect());
        }
        self.notes.shrink();
        self
    }

    fn put(self, sink: &mut Sink) {
        let (disposition, changes) = if self.notes.is_kept() {
            (Disposition::Kept, Vec::new())
        } else if self.idle {
            (Disposition::NothingToDo, Vec::new())
        } else {
            (Disposition::Converted, self.copies)
        };
        sink.put(self.object, disposition, changes, self.notes.into_findings());
    }
}

/// Everything that policies are judged by.
struct World<'c, 'a> {
    context: &'c Context<'a>,
    reach: Reach<'a>,
    waypoints: Waypoints<'a>,
    providers: HashMap<String, Provider>,
    /// The pods of each policy that allows, by its namespace.
    allowed: HashMap<&'a str, Vec<Selection<'a>>>,
    /// For each target: whether a waypoint has to be in its path.
    needs_waypoint: Vec<bool>,
    /// RequestAuthentications without targets, by namespace.
    authentications: HashMap<&'a str, Vec<&'a Object<RequestAuthentication>>>,
    /// The namespace whose policies are for the whole mesh.
    root: &'a str,
}

impl<'c, 'a> World<'c, 'a> {
    fn of(context: &'c Context<'a>) -> Self {
        let mesh = context.mesh;
        let root = mesh.settings.root_namespace.as_str();
        let mut allowed: HashMap<&str, Vec<_>> = HashMap::default();
        for policy in mesh
            .authorization_policies
            .iter()
            .filter(|policy| is_ruling(policy))
        {
            if policy.spec.action() == Action::Allow && !policy.meta.annotations.contains_key(DRY_RUN) {
                let selection = Selection::new(policy.namespace(), policy.spec.selector.as_ref(), root);
                allowed.entry(policy.namespace()).or_default().push(selection);
            }
        }
        let mut authentications: HashMap<&str, Vec<_>> = HashMap::default();
        for object in &mesh.request_authentications {
            if !object.spec.is_targeted() && !is_copy(object) {
                authentications
                    .entry(object.namespace())
                    .or_default()
                    .push(object);
            }
        }
        let mut world = Self {
            context,
            authentications,
            reach: Reach::of(context),
            waypoints: Waypoints::of(context),
            providers: provider::providers(context),
            allowed,
            needs_waypoint: Vec::new(),
            root,
        };
        world.needs_waypoint = world.needs();
        world
    }

    fn needs(&self) -> Vec<bool> {
        let mesh = self.context.mesh;
        // A route leads requests to them through the waypoint of the Service that was dialled.
        let led_to: HashSet<&ObjectRef> = self
            .reach
            .targets
            .iter()
            .flat_map(|target| &target.ways.list)
            .filter(|way| way.router.is_some())
            .flat_map(|way| &way.places)
            .map(|place| &place.service.id)
            .collect();
        let targeted = others::targeted(self.context);
        let mut needs: Vec<bool> = self
            .reach
            .targets
            .iter()
            .map(|target| {
                let id = &target.service.id;
                target.bound || target.is_routed() || led_to.contains(id) || targeted.contains(id)
            })
            .collect();
        let layer_7: Vec<_> = mesh
            .authorization_policies
            .par_iter()
            .filter(|policy| is_ruling(policy) && needs_waypoint(&policy.spec))
            .map(|policy| Selection::new(policy.namespace(), policy.spec.selector.as_ref(), self.root))
            .collect();
        let tokens = mesh
            .request_authentications
            .iter()
            .filter(|object| !object.spec.is_targeted())
            .map(|object| Selection::new(object.namespace(), object.spec.selector.as_ref(), self.root));
        let selectors = others::selectors(self.context);
        let others = selectors
            .iter()
            .map(|(namespace, selector)| Selection::new(namespace, Some(selector), self.root));
        let selections: Vec<_> = layer_7.into_iter().chain(tokens).chain(others).collect();
        let found: Vec<Vec<usize>> = selections
            .par_iter()
            .map(|selection| {
                let candidates = self.reach.candidates(*selection);
                let candidates = candidates.filter(|&index| !needs.get(index).copied().unwrap_or(true));
                candidates
                    .filter(|&index| {
                        self.target(index)
                            .is_some_and(|target| self.is_for(*selection, target))
                    })
                    .collect()
            })
            .collect();
        for index in found.into_iter().flatten() {
            if let Some(need) = needs.get_mut(index) {
                *need = true;
            }
        }
        needs
    }

    fn target(&self, index: usize) -> Option<&Target<'a>> {
        self.reach.targets.get(index)
    }

    fn is_for(&self, selection: Selection<'_>, target: &Target<'_>) -> bool {
        let mut ways = target.ways.list.iter().filter(|way| !way.answered);
        ways.any(|way| self.reach.coverage(selection, way) != Coverage::None)
    }
}

/// Whether a policy is for pods, and not one of our own copies.
fn is_ruling(policy: &Object<AuthorizationPolicy>) -> bool {
    !policy.spec.is_targeted() && !is_copy(policy)
}

/// Converts all policies of a mesh. Rules on tokens and what verifies the tokens move together or not at all.
pub fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    let mesh = context.mesh;
    if mesh.authorization_policies.is_empty() && mesh.request_authentications.is_empty() {
        return;
    }
    let world = World::of(context);
    let mut authentications: Vec<_> = mesh
        .request_authentications
        .par_iter()
        .map(|object| request_authentication::convert(&world, object).written(context, &[]))
        .collect();
    // A policy on trial stays on trial.
    let mut policies: Vec<_> = mesh
        .authorization_policies
        .par_iter()
        .map(|object| authorization_policy::convert(&world, object).written(context, &[DRY_RUN]))
        .collect();
    together::settle(&world, &mut policies, &mut authentications);
    // Of a large mesh it is large, and what is made from here on is, too.
    drop(world);
    for answer in policies {
        answer.put(sink);
    }
    for answer in authentications {
        answer.put(sink);
    }
}
