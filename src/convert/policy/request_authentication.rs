//! RequestAuthentication: from the pods that a selector selects to the targets that a waypoint serves.

use super::attach::Draft;
use super::reach::{Coverage, Selection, Target};
use super::{Answer, World, is_copy};
use crate::code::Code;
use crate::convert::notes::Notes;
use crate::convert::targets::{self, To};
use model::security::RequestAuthentication;
use model::{FieldPath, Node, Object, Value};
use std::collections::BTreeMap;

type Authentication = Object<RequestAuthentication>;
type AuthenticationNotes<'a> = Notes<'a, RequestAuthentication>;

/// Converts one object.
pub(super) fn convert<'a>(
    world: &World<'_, 'a>,
    object: &'a Authentication,
) -> Answer<'a, RequestAuthentication> {
    let mut answer = Answer::on(object);
    if object.spec.is_targeted() || is_copy(object) {
        answer.idle = true;
        return answer;
    }
    let notes = &mut answer.notes;
    crate::convert::check_certainty(world.context, object, notes);
    let selection = Selection::new(object.namespace(), object.spec.selector.as_ref(), world.root);
    let mut services: BTreeMap<String, Vec<To>> = BTreeMap::new();
    for index in world.reach.candidates(selection) {
        let Some(target) = world
            .target(index)
            .filter(|target| world.is_for(selection, target))
        else {
            continue;
        };
        answer.targets.insert(index);
        if target.service.spec.is_headless() {
            let message = format!(
                "{} is headless: its clients dial pods, past every waypoint for Services",
                target.service.id
            );
            notes.tell(Code::HeadlessTarget, &place(), message);
        } else if accepts(world, object, selection, target, notes) {
            let of_namespace = services.entry(target.service.namespace().to_owned()).or_default();
            of_namespace.push(To::Service(target.service.name().to_owned()));
        }
    }
    let is_wide = selection.labels.is_none();
    if !is_wide {
        note_other_paths(world, selection, notes);
    }
    if !notes.is_kept() {
        answer.drafts = drafts(world, object, selection, services);
    }
    let notes = &mut answer.notes;
    if answer.drafts.is_empty() && !notes.is_kept() {
        let message = format!(
            "no Service in the input leads to the pods that the object is for; give the Services and workloads of `{}` too",
            object.namespace()
        );
        notes.keep(Code::NoServiceKnown, &place(), message);
    }
    let keeps_token = |rule: &Node| {
        rule.get("forwardOriginalToken")
            .is_some_and(|flag| flag.value == Value::Bool(true))
    };
    if !notes.is_kept() && object.spec.jwt_rules.iter().any(|rule| !keeps_token(&rule.0)) {
        notes.tell(Code::TokenTakenAway, &FieldPath::spec().key("jwtRules"), "the waypoint takes the token away after verifying it; a sidecar that is still behind it finds none, and its own policies on tokens refuse the request");
    }
    if is_wide
        && !notes.is_kept()
        && answer
            .drafts
            .iter()
            .any(|draft| matches!(draft.to.first(), Some(To::Service(_))))
    {
        notes.tell(
            Code::OnlyTheseServices,
            &FieldPath::root(),
            super::authorization_policy::ONLY_THESE,
        );
    }
    answer
}

fn place() -> FieldPath {
    FieldPath::spec().key("selector")
}

/// Whether the object is for all pods that requests to the target reach, and sees the tokens that it saw there.
fn accepts(
    world: &World<'_, '_>,
    object: &Authentication,
    selection: Selection<'_>,
    target: &Target<'_>,
    notes: &mut AuthenticationNotes<'_>,
) -> bool {
    let headers = token_headers(object);
    for way in target.ways.list.iter().filter(|way| !way.answered) {
        if world.reach.coverage(selection, way) != Coverage::All {
            let message = format!(
                "through {} some pods are reached for which the object is not meant: attached to it, it would refuse or strip their tokens",
                target.service.id
            );
            notes.keep(Code::PartialAuthentication, &place(), message);
            return false;
        }
        let edited = headers
            .iter()
            .find(|name| way.edits.unknown || way.edits.headers.contains_key(*name));
        if let (Some(name), Some(router)) = (edited, way.router) {
            let message = format!(
                "{router} edits the header `{name}` on the way to or from {}; tokens were looked for afterwards, a waypoint looks for them before",
                target.service.id
            );
            notes.keep(Code::HeaderEdited, &FieldPath::spec().key("jwtRules"), message);
            return false;
        }
    }
    true
}

/// The headers in which tokens are looked for, by lower-case name.
pub(super) fn token_headers(object: &Authentication) -> Vec<String> {
    let mut found = Vec::new();
    for rule in object.spec.jwt_rules.iter().map(|rule| &rule.0) {
        let places = ["fromHeaders", "fromParams", "fromCookies"];
        let list = |key: &str| rule.get(key).map_or(&[][..], Node::items);
        if places.iter().all(|key| list(key).is_empty()) {
            found.push("authorization".to_owned());
        }
        let named = list("fromHeaders")
            .iter()
            .filter_map(|header| header.get("name")?.as_str());
        found.extend(named.map(str::to_lowercase));
        if !list("fromCookies").is_empty() {
            found.push("cookie".to_owned());
        }
    }
    found
}

fn drafts(
    world: &World<'_, '_>,
    object: &Authentication,
    selection: Selection<'_>,
    mut services: BTreeMap<String, Vec<To>>,
) -> Vec<Draft> {
    let draft = |namespace: &str, to: Vec<To>| Draft {
        namespace: namespace.to_owned(),
        to,
        fields: targets::unscoped_spec(object),
    };
    let widest = !world.context.options.services_only && selection.labels.is_none();
    if widest && selection.namespace.is_none() {
        return vec![draft(world.root, vec![To::AllWaypoints])];
    }
    let mut drafts = Vec::new();
    if let Some(namespace) = selection.namespace.filter(|_| widest) {
        let waypoints = world.waypoints.of_namespace(namespace);
        if !waypoints.is_empty() {
            services.remove(namespace);
            let to = waypoints
                .iter()
                .map(|name| To::Waypoint((*name).to_owned()))
                .collect();
            drafts.push(draft(namespace, to));
        }
    }
    drafts.extend(services.into_iter().map(|(namespace, to)| draft(&namespace, to)));
    drafts
}

fn note_other_paths(world: &World<'_, '_>, selection: Selection<'_>, notes: &mut AuthenticationNotes<'_>) {
    let unreached = world.reach.unreached(selection);
    if let Some(first) = unreached.first() {
        let message = format!(
            "{} is selected and behind no Service ({} in all): a waypoint for Services is not in the path to it",
            first.id,
            unreached.len()
        );
        notes.tell(Code::NoServiceForPods, &place(), message);
    }
}
