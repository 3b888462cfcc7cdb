//! AuthorizationPolicy: from the pods that a selector selects to the targets that a waypoint serves.

use super::attach::Draft;
use super::fit::{Fit, Fitted};
use super::provider::Provider;
use super::reach::{Coverage, Selection, Target};
use super::rules::{self, Attributes};
use super::{Answer, World, is_ruling, request_authentication, ztunnel};
use crate::code::Code;
use crate::convert::notes::Notes;
use crate::convert::targets::{self, To};
use model::security::{Action, AuthorizationPolicy, Rule, WorkloadSelector};
use model::{FieldPath, Object};
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, BTreeSet};

type Policy = Object<AuthorizationPolicy>;
type PolicyNotes<'a> = Notes<'a, AuthorizationPolicy>;

/// What is said where a policy for everything is attached to what there is.
pub(super) const ONLY_THESE: &str = "the object is for everything in its scope, the copies are for the Services that are there now; for a new Service convert again";

/// Converts one policy.
pub(super) fn convert<'a>(world: &World<'_, 'a>, object: &'a Policy) -> Answer<'a, AuthorizationPolicy> {
    let mut answer = Answer::on(object);
    if !is_ruling(object) {
        answer.idle = true;
        return answer;
    }
    let attributes = Attributes::of(&object.spec);
    let case = Case {
        world,
        object,
        selection: Selection::new(object.namespace(), object.spec.selector.as_ref(), world.root),
        layer_7: ztunnel::needs_waypoint(&object.spec),
        attributes: &attributes,
    };
    case.convert(&mut answer);
    answer
}

/// A policy with all that is known of it.
struct Case<'r, 'a> {
    world: &'r World<'r, 'a>,
    object: &'r Policy,
    selection: Selection<'r>,
    /// Whether ztunnel alone cannot enforce it.
    layer_7: bool,
    attributes: &'r Attributes,
}

/// Rules, and the Services that have them.
type Group = (Vec<Rule>, Vec<To>);

/// What there is to attach.
#[derive(Default)]
struct Groups {
    /// By namespace.
    by_namespace: BTreeMap<String, Vec<Group>>,
    /// Namespaces with a Service at which the rules are others than those of the policy, or none.
    differing: BTreeSet<String>,
}

impl<'r, 'a> Case<'r, 'a> {
    fn convert(&self, answer: &mut Answer<'a, AuthorizationPolicy>) {
        let waypoints = self.waypoints();
        let is_wide = self.selection.labels.is_none();
        let everywhere = is_wide && self.selection.namespace.is_none() && !self.services_only();
        let targets = self.targets(everywhere || !waypoints.is_empty());
        let local = ztunnel_draft(self, &mut answer.notes);
        if !self.layer_7 && targets.is_empty() && waypoints.is_empty() && !everywhere {
            answer.idle = local.is_none();
            answer.drafts.extend(local);
            if !answer.idle {
                crate::convert::check_certainty(self.world.context, self.object, &mut answer.notes);
            }
            return;
        }
        answer.targets.extend(targets.iter().map(|(index, _)| *index));
        let notes = &mut answer.notes;
        self.check_object(notes);
        let groups = self.groups(&targets, notes);
        if !is_wide || self.layer_7 {
            self.note_other_paths(targets.is_empty() && !everywhere && waypoints.is_empty(), notes);
        }
        if notes.is_kept() {
            return;
        }
        let drafts = if everywhere && groups.differing.is_empty() && self.ports_are_known(&targets) {
            vec![self.draft(self.world.root, &self.object.spec.rules, vec![To::AllWaypoints])]
        } else {
            self.drafts(groups, &waypoints)
        };
        self.finish(&targets, drafts, local, answer);
    }

    fn finish(
        &self,
        targets: &[(usize, &Target<'a>)],
        drafts: Vec<Draft>,
        local: Option<Draft>,
        answer: &mut Answer<'a, AuthorizationPolicy>,
    ) {
        let notes = &mut answer.notes;
        let is_headless = |(_, target): &(usize, &Target<'_>)| target.service.spec.is_headless();
        if drafts.is_empty() {
            if targets.iter().all(is_headless) && !targets.is_empty() {
                notes.keep(Code::HeadlessTarget, &selector_path(), "all ways to the selected pods are by headless Services: their clients dial pods, past every waypoint for Services");
            } else if targets.is_empty() {
                notes.keep(Code::NoServiceKnown, &selector_path(), format!("no Service in the input leads to the pods that the policy is for; give the Services and workloads of `{}` too", self.object.namespace()));
            } else {
                notes.keep(Code::PortNotServed, &FieldPath::spec().key("rules"), format!("no Service leads to the ports that the rules name, so a waypoint has nothing to judge; pods {} can only be reached past it", self.pods()));
            }
            return;
        }
        if !self.layer_7 {
            notes.tell(
                Code::IdentityBehindWaypoint,
                &FieldPath::root(),
                "behind a waypoint ztunnel sees the waypoint's identity instead of the client's, so the rules are judged at the waypoint too; where this policy allows, the waypoint itself must be allowed at ztunnel before it is put in the path",
            );
        }
        if ztunnel::is_read_loosely(&self.object.spec) {
            notes.tell(Code::ReadLooselyAtZtunnel, &FieldPath::spec().key("rules"), "ztunnel does not look at `trustDomains`, and takes a `*` inside of a namespace literally; the waypoint reads both as a sidecar does, and nobody may go past it");
        }
        if self.selection.labels.is_none()
            && drafts
                .iter()
                .any(|draft| matches!(draft.to.first(), Some(To::Service(_))))
        {
            notes.tell(Code::OnlyTheseServices, &FieldPath::root(), ONLY_THESE);
        }
        let elsewhere: BTreeSet<&str> = drafts
            .iter()
            .map(|draft| draft.namespace.as_str())
            .filter(|namespace| *namespace != self.object.namespace())
            .collect();
        if !elsewhere.is_empty() {
            let names = elsewhere.into_iter().collect::<Vec<_>>().join(", ");
            notes.tell(Code::CopiedToNamespace, &FieldPath::root(), format!("a policy can only be attached to Services of its own namespace, so there are copies in {names}"));
        }
        answer.drafts = drafts;
        answer.drafts.extend(local);
    }

    fn services_only(&self) -> bool {
        self.world.context.options.services_only
    }

    /// The waypoints to which a policy for a whole namespace can be attached.
    fn waypoints(&self) -> Vec<To> {
        let namespace = self
            .selection
            .namespace
            .filter(|_| self.selection.labels.is_none());
        let Some(namespace) = namespace.filter(|_| !self.services_only()) else {
            return Vec::new();
        };
        let names = self.world.waypoints.of_namespace(namespace);
        names
            .iter()
            .map(|name| To::Waypoint((*name).to_owned()))
            .collect()
    }

    /// The targets whose requests may reach a selected pod; for layer 4 only those behind a waypoint, if not `all`.
    fn targets(&self, all: bool) -> Vec<(usize, &'r Target<'a>)> {
        let world = self.world;
        world
            .reach
            .candidates(self.selection)
            .filter(|&index| all || self.layer_7 || world.needs_waypoint.get(index).copied().unwrap_or(true))
            .filter_map(|index| Some((index, world.target(index)?)))
            .filter(|(_, target)| world.is_for(self.selection, target))
            .collect()
    }

    /// Without Services nothing is known of ports.
    fn ports_are_known(&self, targets: &[(usize, &Target<'_>)]) -> bool {
        !self.attributes.ports || !targets.is_empty()
    }

    fn groups(&self, targets: &[(usize, &'r Target<'a>)], notes: &mut PolicyNotes<'_>) -> Groups {
        let mut groups = Groups::default();
        let mut remarks = Vec::new();
        for (_, target) in targets {
            if target.service.spec.is_headless() {
                if self.layer_7 {
                    let message = format!(
                        "{} is headless: its clients dial pods, past every waypoint for Services",
                        target.service.id
                    );
                    notes.tell(Code::HeadlessTarget, &selector_path(), message);
                }
                continue;
            }
            let fit = Fit {
                world: self.world,
                object: self.object,
                selection: self.selection,
                attributes: self.attributes,
                target,
            };
            let fitted = self.check_tokens(target).and_then(|()| fit.rules());
            let Fitted {
                rules,
                remarks: found,
            } = match fitted {
                Ok(fitted) => fitted,
                Err((code, path, message)) => {
                    notes.keep(code, &path, message);
                    continue;
                }
            };
            remarks.extend(found);
            if rules != self.object.spec.rules {
                groups.differing.insert(target.service.namespace().to_owned());
            }
            // A DENY, AUDIT or CUSTOM policy without rules is refused, and would do nothing.
            if rules.is_empty() && self.object.spec.action() != Action::Allow {
                continue;
            }
            let to = To::Service(target.service.name().to_owned());
            let of_namespace = groups
                .by_namespace
                .entry(target.service.namespace().to_owned())
                .or_default();
            match of_namespace.iter_mut().find(|(known, _)| *known == rules) {
                Some((_, services)) => services.push(to),
                None => of_namespace.push((rules, vec![to])),
            }
        }
        for (code, path, message) in remarks {
            notes.tell(code, &path, message);
        }
        groups
    }

    /// A route that edits the header in which a token stands changes what is verified.
    fn check_tokens(&self, target: &Target<'_>) -> Result<(), super::translate::Obstacle> {
        if !rules::uses_claims(&self.object.spec) {
            return Ok(());
        }
        let world = self.world;
        let namespaces: BTreeSet<&str> = target
            .ways
            .list
            .iter()
            .flat_map(|way| &way.places)
            .map(|place| place.service.namespace())
            .chain([world.root])
            .collect();
        let own = |namespace: &&str| world.authentications.get(*namespace);
        for object in namespaces.iter().filter_map(own).flatten() {
            let selection = Selection::new(object.namespace(), object.spec.selector.as_ref(), world.root);
            if !world.is_for(selection, target) {
                continue;
            }
            let names = request_authentication::token_headers(object);
            for way in target.ways.list.iter().filter(|way| !way.answered) {
                let edited = names.iter().find(|name| way.edits.headers.contains_key(*name));
                if let (Some(name), Some(router)) = (edited, way.router) {
                    let message = format!(
                        "{router} edits the header `{name}`, in which {} looks for tokens, on the way to or from {}",
                        object.id, target.service.id
                    );
                    return Err((Code::HeaderEdited, FieldPath::spec().key("rules"), message));
                }
            }
        }
        Ok(())
    }

    fn drafts(&self, mut groups: Groups, waypoints: &[To]) -> Vec<Draft> {
        let mut drafts = Vec::new();
        if let Some(namespace) = self.selection.namespace.filter(|_| !waypoints.is_empty())
            && !groups.differing.contains(namespace)
        {
            groups.by_namespace.remove(namespace);
            drafts.push(self.draft(namespace, &self.object.spec.rules, waypoints.to_vec()));
        }
        for (namespace, groups) in groups.by_namespace {
            for (rules, services) in groups {
                drafts.push(self.draft(&namespace, &rules, services));
            }
        }
        drafts
    }

    fn draft(&self, namespace: &str, rules: &[Rule], to: Vec<To>) -> Draft {
        Draft {
            namespace: namespace.to_owned(),
            to,
            fields: self.fields(namespace, rules),
        }
    }

    /// The fields of the policy with the rules for some of its targets; without any, an ALLOW lets nothing in.
    fn fields(&self, namespace: &str, rules: &[Rule]) -> Map<String, Json> {
        let mut fields = targets::unscoped_spec(self.object);
        let rules: Vec<Rule> = if namespace == self.object.namespace() {
            rules.to_vec()
        } else {
            let own = self.object.namespace();
            rules
                .iter()
                .map(|rule| rules::with_namespace(rule, own))
                .collect()
        };
        if rules.is_empty() {
            fields.shift_remove("rules");
        } else if rules != self.object.spec.rules {
            fields.insert(
                "rules".into(),
                Json::Array(rules.iter().map(rules::to_json).collect()),
            );
        }
        fields
    }

    fn check_object(&self, notes: &mut PolicyNotes<'_>) {
        crate::convert::check_certainty(self.world.context, self.object, notes);
        self.check_addresses(notes);
        self.check_mirrors(notes);
        if self.object.spec.action() == Action::Custom {
            self.check_provider(notes);
        }
    }

    /// Inside of a waypoint's tunnel a connection has no address.
    fn check_addresses(&self, notes: &mut PolicyNotes<'_>) {
        if self.object.spec.action() == Action::Audit {
            return;
        }
        let rules = FieldPath::spec().key("rules");
        for (index, rule) in self.object.spec.rules.iter().enumerate() {
            let place = rules.index(index);
            let mut sources = rule.from.iter().map(|from| &from.source);
            if sources.any(|source| !source.ip_blocks.is_empty() || !source.not_ip_blocks.is_empty())
                || rule.when.iter().any(|condition| condition.key == "source.ip")
            {
                notes.keep(Code::AttributeDiffers, &place, "the rule looks at the address of the peer, which a waypoint does not see: the connection comes out of a tunnel");
            }
            let mut sources = rule.from.iter().map(|from| &from.source);
            if sources
                .any(|source| !source.remote_ip_blocks.is_empty() || !source.not_remote_ip_blocks.is_empty())
                || rule.when.iter().any(|condition| condition.key == "remote.ip")
            {
                notes.tell(Code::RemoteAddressAtWaypoint, &place, "the rule looks at the address that proxies in front forward; how many of them are trusted is set per gateway, so check it for the waypoint");
            }
        }
    }

    /// Routes that send copies of requests to selected pods.
    fn check_mirrors(&self, notes: &mut PolicyNotes<'_>) {
        if self.object.spec.action() == Action::Audit
            || self.object.meta.annotations.contains_key(super::DRY_RUN)
        {
            return;
        }
        let world = self.world;
        let candidates = world
            .reach
            .candidates(self.selection)
            .filter_map(|index| world.target(index));
        for target in candidates {
            for (router, mirror) in &target.ways.mirrors {
                if world.reach.of_place(self.selection, mirror) != Coverage::None {
                    let message = format!(
                        "{router} sends copies of requests for {} to {}, which the policy judged there; behind a waypoint nobody judges them",
                        target.service.id, mirror.service.id
                    );
                    notes.keep(Code::MirrorNotJudged, &selector_path(), message);
                }
            }
        }
    }

    fn check_provider(&self, notes: &mut PolicyNotes<'_>) {
        let name = self
            .object
            .spec
            .provider
            .as_ref()
            .map_or("", |provider| provider.name.as_str());
        let path = FieldPath::spec().key("provider");
        let is_found = self.world.context.mesh.settings.found;
        match self.world.providers.get(name) {
            None if is_found => {
                let message = format!("the mesh configuration has no extension provider `{name}`");
                notes.keep(Code::UnknownProvider, &path, message);
            }
            Some(Provider::OtherKind) => {
                let message = format!("the extension provider `{name}` does not authorize requests");
                notes.keep(Code::UnknownProvider, &path, message);
            }
            Some(Provider::Beside(address)) => {
                let message = format!(
                    "the provider `{name}` is asked at {address}, beside the application; a waypoint runs elsewhere and finds nobody there, so it refuses"
                );
                notes.keep(Code::ProviderUnreachable, &path, message);
            }
            None | Some(Provider::Reachable) => {
                let message = format!(
                    "the provider `{name}` is now asked by the waypoint and must be reachable from there; one on localhost is not"
                );
                notes.tell(Code::ProviderAtWaypoint, &path, message);
            }
        }
    }

    /// Ways to the selected pods on which no waypoint for Services is.
    fn note_other_paths(&self, no_target: bool, notes: &mut PolicyNotes<'_>) {
        let covered = self.selection.labels.is_none()
            && self
                .selection
                .namespace
                .is_some_and(|namespace| self.world.waypoints.are_for_pods(namespace));
        let unreached = if covered {
            Vec::new()
        } else {
            self.world.reach.unreached(self.selection)
        };
        if let Some(first) = unreached.first() {
            let message = format!(
                "{} is selected and behind no Service ({} in all): a waypoint for Services is not in the path to it",
                first.id,
                unreached.len()
            );
            if no_target {
                notes.keep(Code::NoServiceForPods, &selector_path(), message);
            } else {
                notes.tell(Code::NoServiceForPods, &selector_path(), message);
            }
        } else if no_target && self.layer_7 {
            let message = format!(
                "no Service in the input leads to pods {}; give the Services and workloads of `{}` too",
                self.pods(),
                self.object.namespace()
            );
            notes.keep(Code::NoServiceKnown, &selector_path(), message);
        }
    }

    /// The pods in words.
    fn pods(&self) -> String {
        match &self.object.spec.selector {
            Some(selector) if !selector.match_labels.is_empty() => format!("with {}", labels(selector)),
            _ => format!("of `{}`", self.object.namespace()),
        }
    }
}

/// What stays at ztunnel, said so that ztunnel reads it as a sidecar does.
fn ztunnel_draft<'a>(case: &Case<'_, 'a>, notes: &mut PolicyNotes<'_>) -> Option<Draft> {
    if case.layer_7 {
        return None;
    }
    ztunnel::copy(case.world.context, case.object, notes)
}

fn selector_path() -> FieldPath {
    FieldPath::spec().key("selector")
}

fn labels(selector: &WorkloadSelector) -> String {
    let pairs: Vec<String> = selector
        .match_labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    format!("`{}`", pairs.join(","))
}
