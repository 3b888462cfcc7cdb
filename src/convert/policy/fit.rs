//! One policy at one target: whether it can stay as it is, is limited to some of the target's ways, or cannot be said.

use super::pattern::Bound;
use super::reach::{Coverage, Selection, Target};
use super::rules::{self, Attributes};
use super::translate::{Obstacle, Reader};
use super::ways::{Edits, HeaderEdit, Way};
use super::{World, preflight};
use crate::code::Code;
use model::security::{Action, AuthorizationPolicy, Rule};
use model::{FieldPath, Object};

/// The rules for a target.
pub struct Fitted {
    /// The rules.
    pub rules: Vec<Rule>,
    /// What there is to know about them.
    pub remarks: Vec<(Code, FieldPath, String)>,
}

/// A policy and a target.
pub struct Fit<'r, 'a> {
    pub world: &'r World<'r, 'a>,
    pub object: &'r Object<AuthorizationPolicy>,
    pub selection: Selection<'r>,
    pub attributes: &'r Attributes,
    pub target: &'r Target<'a>,
}

/// A way with what it means for the policy.
struct Step<'r, 'a> {
    way: &'r Way<'a>,
    coverage: Coverage,
    /// For ways to pods that are not selected: whether no policy allows anything there, so that all get in.
    free: bool,
}

impl<'r, 'a> Fit<'r, 'a> {
    /// The rules for the target.
    ///
    /// # Errors
    /// Why they cannot be said.
    pub fn rules(&self) -> Result<Fitted, Obstacle> {
        let steps: Vec<_> = self.target.ways.list.iter().map(|way| self.step(way)).collect();
        let live: Vec<&Step<'_, 'a>> = steps.iter().filter(|step| !step.way.answered).collect();
        for step in live.iter().filter(|step| step.coverage != Coverage::None) {
            self.check_edits(step.way)?;
        }
        let mut remarks = Vec::new();
        let plain = self.plain(&live)?;
        let mut rules = match plain {
            Some(rules) => rules,
            None => self.limited(&steps, &mut remarks)?,
        };
        if self.object.spec.action() != Action::Allow
            && live.iter().any(|step| step.coverage == Coverage::Part)
        {
            let message = format!(
                "through {} some pods are reached that the policy does not select; at the waypoint it holds for them too, which is stricter",
                self.target.service.id
            );
            remarks.push((Code::PartialDeny, FieldPath::spec().key("selector"), message));
        }
        self.answered(&steps, &mut remarks);
        self.preflights(&mut rules, &mut remarks);
        Ok(Fitted { rules, remarks })
    }

    fn allows(&self) -> bool {
        self.object.spec.action() == Action::Allow
    }

    fn bound(&self) -> Bound {
        if self.allows() {
            Bound::AtMost
        } else {
            Bound::AtLeast
        }
    }

    fn reader(&self) -> Reader<'r, 'a> {
        Reader {
            reach: &self.world.reach,
            target: self.target,
            bound: self.bound(),
        }
    }

    fn step(&self, way: &'r Way<'a>) -> Step<'r, 'a> {
        let coverage = self.world.reach.coverage(self.selection, way);
        let free = coverage == Coverage::None && self.allows() && !way.elsewhere && {
            let own = |place: &super::ways::Place<'_>| self.world.allowed.get(place.service.namespace());
            let policies = way.places.iter().flat_map(own).flatten();
            let mut policies = policies.chain(self.world.allowed.get(self.world.root).into_iter().flatten());
            policies.all(|selection| self.world.reach.coverage(*selection, way) == Coverage::None)
        };
        Step { way, coverage, free }
    }

    /// The rules as they are, where routes make no difference to them.
    fn plain(&self, live: &[&Step<'_, 'a>]) -> Result<Option<Vec<Rule>>, Obstacle> {
        let covered = |step: &&Step<'_, '_>| match step.coverage {
            Coverage::All => true,
            Coverage::Part => !self.allows(),
            Coverage::None => false,
        };
        if !live
            .iter()
            .all(|step| covered(step) && self.relevant(&step.way.edits) == Edits::default())
        {
            return Ok(None);
        }
        let reader = self.reader();
        let ways: Vec<&Way<'a>> = live.iter().map(|step| step.way).collect();
        let mut rules = Vec::new();
        for (index, rule) in self.object.spec.rules.iter().enumerate() {
            let path = FieldPath::spec().key("rules").index(index);
            let found = reader.plain(rule, &path, &ways)?;
            if !found.exact {
                return Ok(None);
            }
            rules.extend(found.value);
        }
        Ok(Some(rules))
    }

    /// The rules by way.
    fn limited(&self, steps: &[Step<'_, 'a>], remarks: &mut Vec<Obstacle>) -> Result<Vec<Rule>, Obstacle> {
        let service = &self.target.service.id;
        let ordered = self.target.ways.ordered;
        self.check_allowed(steps, ordered)?;
        let reader = self.reader();
        let place = FieldPath::spec().key("rules");
        let (mut rules, mut exact) = (Vec::new(), ordered);
        for (number, step) in steps.iter().enumerate().filter(|(_, step)| !step.way.answered) {
            let earlier: Vec<&Way<'a>> = steps
                .iter()
                .take(if ordered { number } else { 0 })
                .filter(|before| !before.way.answered && !self.alike(before, step))
                .map(|before| before.way)
                .collect();
            let open = [Rule::default()];
            let wanted: &[Rule] = match step.coverage {
                Coverage::None if step.free => &open,
                Coverage::None => &[],
                Coverage::Part | Coverage::All => &self.object.spec.rules,
            };
            for (index, rule) in wanted.iter().enumerate() {
                let found = reader.through(rule, &place.index(index), step.way, &earlier)?;
                if self.allows() && !found.exact {
                    let message = format!(
                        "requests for {service} are routed by a condition that has no form in a policy, so it cannot be said there for which of them the rule holds{}",
                        by(step.way)
                    );
                    return Err((Code::RouteNotExpressible, place.index(index), message));
                }
                exact &= found.exact;
                rules.extend(found.value);
            }
        }
        let mut seen: Vec<Rule> = Vec::new();
        rules.retain(|rule| {
            let is_new = !seen.contains(rule);
            if is_new {
                seen.push(rule.clone());
            }
            is_new
        });
        let routers: std::collections::BTreeSet<String> = steps
            .iter()
            .filter_map(|step| step.way.router.map(ToString::to_string))
            .collect();
        let routers = routers.into_iter().collect::<Vec<_>>().join(", ");
        let strays = self.attributes.paths
            && steps.iter().any(|step| {
                step.way
                    .edits
                    .path
                    .as_ref()
                    .is_some_and(|edit| !edit.strays().is_empty())
            });
        if !exact || strays {
            let message = format!(
                "at {service} the copy refuses more than the policy did, because not everything that {routers} does to requests can be said in a policy"
            );
            remarks.push((Code::StricterThroughRoute, place.clone(), message));
        }
        let message = format!(
            "at {service} the rules are written for requests as they are before {routers} acts on them, and for those that lead to the selected pods"
        );
        remarks.push((Code::WrittenForRoute, place, message));
        Ok(rules)
    }

    /// What a policy that allows needs: to know for each way whether its pods are selected.
    fn check_allowed(&self, steps: &[Step<'_, 'a>], ordered: bool) -> Result<(), Obstacle> {
        if !self.allows() {
            return Ok(());
        }
        let mut live = steps.iter().filter(|step| !step.way.answered);
        let apart = live.clone().any(|step| step.coverage != Coverage::All);
        let part = live.any(|step| step.coverage == Coverage::Part);
        let service = &self.target.service.id;
        if part || (apart && !ordered) {
            let message = format!(
                "through {service} some pods are reached that the policy does not select: attached to it, the policy would also open or close those"
            );
            return Err((Code::PartialAllow, FieldPath::spec().key("selector"), message));
        }
        if !ordered {
            let message = format!(
                "several objects route requests for {service}, or not for all clients, so it cannot be said which of them the rules have to be written for"
            );
            return Err((Code::RouteNotExpressible, FieldPath::spec().key("rules"), message));
        }
        Ok(())
    }

    /// Whether two ways are the same to the policy.
    fn alike(&self, x: &Step<'_, 'a>, y: &Step<'_, 'a>) -> bool {
        let places = |way: &Way<'a>| -> Vec<(String, Option<u16>)> {
            let places = way.places.iter();
            places
                .map(|place| (place.service.id.to_string(), place.port))
                .collect()
        };
        x.coverage == y.coverage
            && x.free == y.free
            && (x.coverage == Coverage::None
                || (self.relevant(&x.way.edits) == self.relevant(&y.way.edits)
                    && (!self.attributes.ports || places(x.way) == places(y.way))))
    }

    /// The edits that the policy notices.
    fn relevant(&self, edits: &Edits) -> Edits {
        Edits {
            path: edits.path.clone().filter(|_| self.attributes.paths),
            host: edits.host.clone().filter(|_| self.attributes.hosts),
            headers: edits
                .headers
                .iter()
                .filter(|(name, _)| self.attributes.headers.contains(*name))
                .map(|(name, edit)| (name.clone(), edit.clone()))
                .collect(),
            unknown: false,
        }
    }

    /// What a route does to a request so that the rules cannot be said for the request before it.
    fn check_edits(&self, way: &Way<'a>) -> Result<(), Obstacle> {
        let place = FieldPath::spec().key("rules");
        let service = &self.target.service.id;
        let router = way.router.map(ToString::to_string).unwrap_or_default();
        if self.object.spec.action() == Action::Custom && !way.edits.is_none() {
            let message = format!(
                "{router} changes requests on the way to or from {service}; the provider saw them afterwards, a waypoint shows them to it before"
            );
            return Err((Code::ProviderSeesOther, place, message));
        }
        let looks = self.attributes.paths || self.attributes.hosts || !self.attributes.headers.is_empty();
        if self.attributes.paths && way.edits.path == Some(super::path_edit::PathEdit::Opaque) {
            let message = format!(
                "{router} rewrites paths on the way to or from {service} so that the old path cannot be told from the new one; the policy saw the new path, a waypoint judges the old one"
            );
            return Err((Code::PathRewritten, place, message));
        }
        if self.attributes.hosts && matches!(way.edits.host, Some(HeaderEdit::Opaque | HeaderEdit::Removed)) {
            let message = format!(
                "{router} rewrites the authority on the way to or from {service} to something that is not known; the policy saw the new one, a waypoint judges the old one"
            );
            return Err((Code::HostRewritten, place, message));
        }
        let relevant = self.relevant(&way.edits);
        let opaque = relevant
            .headers
            .iter()
            .find(|(_, edit)| **edit == HeaderEdit::Opaque);
        let unknown = (way.edits.unknown && looks).then_some("of which nothing is known here");
        if let Some(what) = opaque.map(|(name, _)| name.as_str()).or(unknown) {
            let message = format!(
                "{router} edits a header ({what}) on the way to or from {service}; the policy saw the new value, a waypoint judges the client's"
            );
            return Err((Code::HeaderEdited, place, message));
        }
        Ok(())
    }

    fn answered(&self, steps: &[Step<'_, 'a>], remarks: &mut Vec<Obstacle>) {
        let answered = steps.iter().find(|step| step.way.answered);
        if let (Some(router), false) = (
            answered.and_then(|step| step.way.router),
            self.object.spec.action() == Action::Audit,
        ) {
            let message = format!(
                "{router} answers some requests for {} itself; a waypoint judges them first, so some are refused that were answered",
                self.target.service.id
            );
            remarks.push((Code::AnsweredAfterJudged, FieldPath::spec().key("rules"), message));
        }
    }

    /// Browsers ask before they ask; what the waypoint answers itself may pass.
    fn preflights(&self, rules: &mut Vec<Rule>, remarks: &mut Vec<Obstacle>) {
        let action = self.object.spec.action();
        if action == Action::Audit || !preflight::are_answered(self.target) {
            return;
        }
        let service = &self.target.service.id;
        let path = FieldPath::spec().key("rules");
        let looks_at_token = rules::uses_claims(&self.object.spec) || !self.attributes.headers.is_empty();
        match (preflight::origins(self.target), action) {
            (Some(origins), Action::Allow) => {
                rules.push(preflight::let_in(&origins));
                let message = format!(
                    "CORS preflights for {service} were answered before the policy saw them; a rule lets them come to where the waypoint answers them"
                );
                remarks.push((Code::PreflightLetIn, path, message));
            }
            (Some(origins), Action::Deny) if looks_at_token => {
                *rules = rules
                    .iter()
                    .flat_map(|rule| preflight::leave_out(rule, &origins))
                    .collect();
                let message = format!(
                    "CORS preflights for {service} were answered before the policy saw them; the rules leave them out, and the waypoint answers them"
                );
                remarks.push((Code::PreflightLetIn, path, message));
            }
            _ => {
                let message = format!(
                    "a route of {service} answers CORS preflights before the policy; a waypoint judges them first, so a preflight may be refused"
                );
                remarks.push((Code::PreflightJudged, path, message));
            }
        }
    }
}

fn by(way: &Way<'_>) -> String {
    way.router
        .map_or_else(String::new, |router| format!(" ({router})"))
}
