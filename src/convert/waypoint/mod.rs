//! Waypoints: which are needed, and as objects where that is asked for.
//!
//! A waypoint that nothing uses yet changes no request. The label that binds Services to it is not written: it has to come
//! after the policies, which only a plan sees to. Policies are converted as if the waypoints made here were not there, so
//! what they are attached to is the same before and after. What is converted is attached to Services, so waypoints are for
//! Services, too.

pub mod bound;
pub mod gateway;
mod needs;
mod reference;

pub use bound::{Bound, of_labels};
pub use needs::targets_of;
pub use reference::{Reference, references};

use super::context::Context;
use super::kinds::some_of;
use super::virtual_service::versions;
use super::{Change, Conversion, Sink, WaypointPer};
use crate::code::Code;
use crate::finding::Location;
use crate::report::counted;
use bound::USE_WAYPOINT;
use foldhash::HashSet;
use gateway::Choice;
use model::{Kind, Mesh, Object, ObjectRef};
use needs::Target;
use rayon::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

/// Tells which namespaces need a waypoint, and makes them.
pub(super) fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    // A plan makes the waypoints itself.
    if context.options.services_only {
        return;
    }
    let mut by_namespace: BTreeMap<&str, Vec<Target<'_>>> = BTreeMap::new();
    for target in needs::find(context, &sink.conversion) {
        let namespace = target.id.namespace.as_deref().unwrap_or_default();
        by_namespace.entry(namespace).or_default().push(target);
    }
    let made = sink.conversion.changes.iter().map(|change| &change.id);
    let taken: HashSet<ObjectRef> = made.filter(|id| id.kind == Kind::Gateway).cloned().collect();
    let answers: Vec<Conversion> = by_namespace
        .into_par_iter()
        .map(|(namespace, targets)| {
            let mut needed = Needed {
                context,
                namespace,
                taken: taken.clone(),
                answer: Conversion::default(),
            };
            needed.answer(&targets);
            needed.answer
        })
        .collect();
    for answer in answers {
        sink.conversion.changes.extend(answer.changes);
        sink.conversion.findings.extend(answer.findings);
    }
}

/// The waypoints of one namespace.
struct Needed<'c, 'a> {
    context: &'c Context<'a>,
    namespace: &'c str,
    /// Names that are given to waypoints.
    taken: HashSet<ObjectRef>,
    answer: Conversion,
}

impl Needed<'_, '_> {
    fn answer(&mut self, targets: &[Target<'_>]) {
        let (out, others): (Vec<_>, Vec<_>) =
            targets.iter().partition(|target| target.bound == Bound::Nowhere);
        let (bound, without): (Vec<_>, Vec<_>) = others
            .into_iter()
            .partition(|target| matches!(target.bound, Bound::To { .. }));
        if !out.is_empty() {
            self.tell_opted_out(&out);
        }
        let Some(per) = self.context.options.waypoint_per else {
            if !without.is_empty() {
                self.tell_needed(&without);
            }
            return;
        };
        match per {
            WaypointPer::Namespace if without.is_empty() => {}
            WaypointPer::Namespace => self.make(&without, None, &bound),
            WaypointPer::Service => {
                for target in without {
                    self.make(&[target], Some(&target.id.name), &bound);
                }
            }
        }
        self.keep_in_use(&bound);
    }

    /// Waypoints of an earlier run that are used by now are made again, just so.
    fn keep_in_use(&mut self, bound: &[&Target<'_>]) {
        let mut used: BTreeMap<&ObjectRef, Vec<&Target<'_>>> = BTreeMap::new();
        for target in bound {
            let Bound::To { namespace, name } = target.bound else {
                continue;
            };
            if namespace != self.namespace {
                continue;
            }
            let mut gateways = gateway::in_namespace(self.context.mesh, namespace).iter();
            if let Some(gateway) = gateways.find(|found| found.name() == name && super::is_copy(*found)) {
                used.entry(&gateway.id).or_default().push(target);
            }
        }
        for (id, targets) in used {
            self.write(id.clone(), &targets);
        }
    }

    /// A waypoint for targets that have none; others may be bound to one of its name already.
    fn make(&mut self, targets: &[&Target<'_>], service: Option<&str>, bound: &[&Target<'_>]) {
        match gateway::choose(self.context, self.namespace, service, &self.taken) {
            Choice::There(there) => {
                let purpose = match gateway::serves_services(there) {
                    true => String::new(),
                    false => format!("it has the label `{}: all` and ", gateway::WAYPOINT_FOR),
                };
                let message = format!(
                    "{} is there, so no other is made for {}, needed by {}; it is used when {purpose}{}",
                    there.id,
                    ids(targets),
                    acts(targets),
                    self.label(&there.id, targets)
                );
                self.tell(Code::WaypointThere, targets, message);
            }
            Choice::New { id, instead_of } => self.make_new(&id, instead_of, targets, bound),
        }
    }

    fn make_new(
        &mut self,
        id: &ObjectRef,
        instead_of: Option<ObjectRef>,
        targets: &[&Target<'_>],
        bound: &[&Target<'_>],
    ) {
        if let Some(owner) = instead_of {
            let message = format!(
                "the name is taken by {owner}: the waypoint is called `{}`, and so are the Service and the Deployment that istiod makes for it",
                id.name
            );
            self.tell(Code::WaypointNameTaken, targets, message);
        }
        let own = Bound::To {
            namespace: self.namespace,
            name: &id.name,
        };
        let bound: Vec<_> = bound
            .iter()
            .copied()
            .filter(|target| target.bound == own)
            .collect();
        let when = match bound.as_slice() {
            [] => "nothing uses it before".to_owned(),
            bound => format!("{} names it already and uses it at once, others when", ids(bound)),
        };
        let message = format!(
            "{id} is for {}, needed by {}; {when} {}",
            ids(targets),
            acts(targets),
            self.label(id, targets)
        );
        self.tell(Code::WaypointMade, targets, message);
        let users: Vec<_> = targets.iter().copied().chain(bound).collect();
        self.write(id.clone(), &users);
    }

    /// Which label on which objects makes use of a waypoint, as the end of a sentence. Not on the Namespace: policies that
    /// ztunnel can decide are attached to nothing at Services that need no waypoint, and would judge the waypoint itself.
    fn label(&self, waypoint: &ObjectRef, targets: &[&Target<'_>]) -> String {
        let ids: Vec<String> = targets.iter().map(|target| target.id.to_string()).collect();
        let services = targets.iter().filter(|target| target.id.kind == Kind::Service);
        let services =
            services.filter_map(|target| self.context.mesh.service(self.namespace, &target.id.name));
        let versions: Vec<&String> = services
            .flat_map(|service| versions::of(self.context, service))
            .collect();
        let again = match versions.as_slice() {
            [] => String::new(),
            versions => format!(
                "; convert again after that, for Services of subsets ({}) get it from there",
                some_of(versions)
            ),
        };
        format!(
            "the label `{USE_WAYPOINT}: {}` is set on {}{again}",
            waypoint.name,
            ids.join(", ")
        )
    }

    /// A Gateway; beside the Namespace where that is in the input, else beside the first object that needs it.
    fn write(&mut self, id: ObjectRef, targets: &[&Target<'_>]) {
        if !self.taken.insert(id.clone()) {
            return;
        }
        let context = self.context;
        let namespace = namespace_id(self.namespace);
        let is_usable = |id: &&ObjectRef| !context.is_duplicate(id);
        let known = context.is_known(&namespace).then_some(&namespace);
        let from = known.filter(is_usable).cloned();
        let Some(from) = from.or_else(|| {
            let causes = causes(targets);
            causes
                .clone()
                .find(is_usable)
                .or_else(|| causes.clone().next())
                .cloned()
        }) else {
            return;
        };
        let mut metadata = super::metadata(&id, &from);
        metadata["labels"][gateway::WAYPOINT_FOR] = json!("service");
        let after = json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": metadata,
            "spec": gateway::spec(),
        });
        self.answer.changes.push(Change {
            after: (&after).into(),
            id,
            instead_of: None,
            from,
            before: None,
        });
    }

    fn tell_needed(&mut self, targets: &[&Target<'_>]) {
        let mut gateways = gateway::in_namespace(self.context.mesh, self.namespace).iter();
        let there = gateways
            .find(|gateway| gateway::serves_services(gateway))
            .map(|gateway| format!("; {} is there and not used", gateway.id));
        let message = format!(
            "no label in the input binds {} to a waypoint, needed by {}{}",
            ids(targets),
            acts(targets),
            there.unwrap_or_default()
        );
        self.tell(Code::WaypointNeeded, targets, message);
    }

    fn tell_opted_out(&mut self, targets: &[&Target<'_>]) {
        let namespace = namespace_id(self.namespace);
        let labelled: HashSet<&ObjectRef> = targets
            .iter()
            .map(|target| if target.own_label { target.id } else { &namespace })
            .collect();
        let mut labelled: Vec<_> = labelled.into_iter().collect();
        labelled.sort_unstable();
        let message = format!(
            "by the label `{USE_WAYPOINT}` of {} no waypoint is used for {}, so for clients in ambient mode these have no effect there: {}",
            some_of(labelled),
            ids(targets),
            acts(targets)
        );
        self.tell(Code::WaypointOptedOut, targets, message);
    }

    fn tell(&mut self, code: Code, targets: &[&Target<'_>], message: String) {
        let place = causes(targets).next().and_then(|id| place(self.context.mesh, id));
        self.answer
            .findings
            .extend(place.map(|place| code.finding(place, message)));
    }
}

fn namespace_id(name: &str) -> ObjectRef {
    ObjectRef {
        namespace: None,
        kind: Kind::Namespace,
        name: name.into(),
    }
}

/// The objects of the input for which waypoints are needed, in order.
fn causes<'t>(targets: &'t [&Target<'_>]) -> impl Iterator<Item = &'t ObjectRef> + Clone + use<'t> {
    let mut causes: Vec<_> = targets
        .iter()
        .flat_map(|target| target.acts.iter().map(|act| act.from))
        .collect();
    causes.sort_unstable();
    causes.dedup();
    causes.into_iter()
}

fn ids(targets: &[&Target<'_>]) -> String {
    some_of(targets.iter().map(|target| target.id))
}

/// How many objects of each kind act at the waypoints.
fn acts(targets: &[&Target<'_>]) -> String {
    let acting: HashSet<&ObjectRef> = targets
        .iter()
        .flat_map(|target| target.acts.iter().map(|act| act.id))
        .collect();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for id in acting {
        *kinds.entry(id.kind.name()).or_default() += 1;
    }
    let counted = kinds
        .into_iter()
        .map(|(kind, count)| match kind.strip_suffix('y') {
            Some(stem) if count > 1 => format!("{count} {stem}ies"),
            _ => counted(count, kind),
        });
    counted.collect::<Vec<_>>().join(", ")
}

/// Where an object of the input stands.
fn place(mesh: &Mesh, id: &ObjectRef) -> Option<Location> {
    fn of<T>(objects: &[Object<T>], id: &ObjectRef) -> Option<Location> {
        found(objects, id).map(Location::of_object)
    }
    of(&mesh.virtual_services, id)
        .or_else(|| of(&mesh.destination_rules, id))
        .or_else(|| of(&mesh.authorization_policies, id))
        .or_else(|| of(&mesh.request_authentications, id))
        .or_else(|| of(&mesh.routes, id))
        .or_else(|| of(&mesh.others, id))
}

/// The first object of that name; a mesh has the objects of each kind in order.
fn found<'a, T>(objects: &'a [Object<T>], id: &ObjectRef) -> Option<&'a Object<T>> {
    let first = objects.partition_point(|object| object.id < *id);
    objects.get(first).filter(|object| object.id == *id)
}
