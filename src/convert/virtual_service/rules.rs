//! The rules of a VirtualService for requests that are dialled at one port, in the forms and in the order that
//! an HTTPRoute has.

use super::backend::{self, Backends};
use super::claims;
use super::effective::{Effective, EffectiveRule};
use super::guards::{self, Trouble};
use super::http_action::{self, Action};
use super::http_match::{self, Match};
use super::http_route::{self, Rule};
use super::order::{self, Arrangement, Entry};
use super::path_change::{self, PathChange};
use super::place::Place;
use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use model::virtual_service::{HttpMatchRequest, HttpRoute, VirtualService};
use model::{FieldPath, Object};
use semantics::predicate::PathMatch;

type VsNotes<'a> = Notes<'a, VirtualService>;

/// The rules for requests dialled at one port, where 0 stands for a port that is not known; `None` if something
/// stood in the way.
pub fn rules_for_port(
    backends: &Backends<'_>,
    object: &Object<VirtualService>,
    port: u16,
    notes: &mut VsNotes<'_>,
) -> Option<Vec<Rule>> {
    let effective = Effective::of(backends.context, object);
    effective.tell_gaps(notes);
    let mut reading = Reading {
        backends: Backends {
            dialled_port: port,
            ..*backends
        },
        entries: Vec::new(),
        actions: Vec::new(),
        names: Vec::new(),
    };
    for (index, rule) in effective.http.iter().enumerate() {
        notes.elsewhere(rule.object);
        let ends = reading.take(rule, index, notes);
        if !ends {
            continue;
        }
        // What takes every request of one port leaves those of the others.
        if let Some(next) = effective.http.get(index + 1)
            && claims::takes_every_request(&rule.rule)
        {
            notes.elsewhere(next.object);
            notes.tell(
                Code::DeadRule,
                &next.path,
                "the rule before it takes every request, so this one and all that follow never had an effect",
            );
        }
        break;
    }
    notes.here();
    if notes.is_kept() {
        return None;
    }
    reading.arrange(&effective, notes)
}

/// Whether there are rules, and every one is for gateways only: then sidecars act as if there were none.
pub fn are_for_gateways(context: &Context<'_>, object: &Object<VirtualService>) -> bool {
    let rules = Effective::of(context, object).http;
    let is_for_gateways = |rule: &HttpRoute| {
        let matches = &rule.matches;
        !matches.is_empty() && !matches.iter().any(|wanted| Place::Mesh.selects(&wanted.gateways))
    };
    !rules.is_empty() && rules.iter().all(|rule| is_for_gateways(&rule.rule))
}

/// What has been read of the rules.
struct Reading<'a> {
    backends: Backends<'a>,
    entries: Vec<Entry>,
    /// Different actions, which entries name by number.
    actions: Vec<Action>,
    /// Names of rules by their number.
    names: Vec<Option<String>>,
}

impl Reading<'_> {
    /// Takes a rule; says whether it matches everything.
    fn take(&mut self, effective: &EffectiveRule<'_>, number: usize, notes: &mut VsNotes<'_>) -> bool {
        let (rule, path) = (&*effective.rule, &effective.path);
        let matches = self.matches(effective, notes);
        self.names.push(None);
        let port = self.backends.dialled_port;
        let place = self.backends.place;
        let counts = |wanted: &HttpMatchRequest| place.selects(&wanted.gateways) && is_for_port(wanted, port);
        if !rule.matches.is_empty() && !rule.matches.iter().any(counts) {
            return false;
        }
        if let Some(name) = self.rule_name(rule.name.as_deref(), path, notes)
            && let Some(place) = self.names.last_mut()
        {
            *place = Some(name);
        }
        let base = http_action::convert(rule, path, &self.backends, notes);
        let mut ends = false;
        for (wanted, matched) in matches {
            ends |= matched.meaning.is_catch_all();
            let change = path_change::of(rule, wanted, self.backends.context.options, path, notes);
            if let (Some(base), Some(change)) = (&base, change) {
                self.push(matched, base.with(&change), &change, number);
            }
        }
        ends
    }

    /// The conditions that count in this place at this port, each with the match that it comes from.
    fn matches<'r>(
        &self,
        effective: &'r EffectiveRule<'_>,
        notes: &mut VsNotes<'_>,
    ) -> Vec<(Option<&'r HttpMatchRequest>, Match)> {
        let (rule, path) = (&*effective.rule, &effective.path);
        if rule.matches.is_empty() {
            return vec![(None, Match::any())];
        }
        let port = self.backends.dialled_port;
        let mut matches = Vec::new();
        for (index, wanted) in rule.matches.iter().enumerate() {
            let path = path.key("match").index(index);
            let place = self.backends.place;
            if !place.selects(&wanted.gateways) {
                if place.is_mesh() {
                    notes.tell(
                        Code::MatchGateways,
                        &path.key("gateways"),
                        "this match is for gateways only: sidecars leave it out, and so does the route",
                    );
                }
                continue;
            }
            let converted = http_match::convert(wanted, place, &path, notes);
            if is_for_port(wanted, port) {
                let found = converted.into_iter().flatten();
                matches.extend(found.map(|matched| (Some(wanted), matched)));
            }
        }
        matches
    }

    fn push(&mut self, matched: Match, action: Action, change: &PathChange, rule: usize) {
        let number = self.actions.iter().position(|known| *known == action);
        let number = number.unwrap_or_else(|| {
            self.actions.push(action);
            self.actions.len() - 1
        });
        let mut entry = Entry::new(matched.meaning, number, rule);
        entry.condition = matched.condition;
        if let PathChange::Prefix { segments, .. } = change {
            entry.is_pinned = true;
            if let Some(segments) = segments {
                entry.meaning.path = PathMatch::SegmentPrefix(segments.clone());
                entry.condition.path = entry.meaning.path.clone();
                entry.unless_path = Some(segments.clone());
            }
        }
        self.entries.push(entry);
    }

    fn rule_name(&self, name: Option<&str>, path: &FieldPath, notes: &mut VsNotes<'_>) -> Option<String> {
        let name = name.filter(|n| !n.is_empty())?;
        let has_names = self.backends.context.options.gateway_api.has(Some(4), Some(2));
        let valid = name.len() <= 253 && name.split('.').all(backend::is_dns_label);
        let is_new = self.names.iter().flatten().all(|other| other != name);
        if has_names && valid && is_new {
            return Some(name.to_owned());
        }
        let message = if has_names {
            format!(
                "`{name}` cannot be the name of a rule in an HTTPRoute (RFC 1123, unique); only statistics and logs change"
            )
        } else {
            format!(
                "rules of an HTTPRoute have no names in Gateway API {}; only statistics and logs change",
                self.backends.context.options.gateway_api
            )
        };
        notes.tell(Code::StatisticsName, &path.key("name"), message);
        None
    }

    /// Puts the conditions into forms and an order that istiod keeps.
    fn arrange(self, effective: &Effective<'_>, notes: &mut VsNotes<'_>) -> Option<Vec<Rule>> {
        let mut entries = match guards::resolve(&self.entries) {
            Ok(entries) => entries,
            Err(trouble) => {
                tell_trouble(trouble, effective, notes);
                return None;
            }
        };
        self.tell_guards(effective, notes);
        let place = FieldPath::spec().key("http");
        let ties = http_route::ties(&groups(&entries));
        match order::keep_order(&mut entries, ties) {
            Err(order::Unorderable) => {
                notes.keep(Code::OrderNotKept, &place, "istiod sorts the rules of an HTTPRoute by specificity, and the written order cannot be kept within the limits of the API");
                return None;
            }
            Ok(Arrangement::Padded) if self.is_by_expression_at_gateway(effective, notes) => return None,
            Ok(Arrangement::Padded) => {
                notes.tell(Code::OrderByPadding, &place, "paths became regular expressions of falling lengths, so that istiod tries the rules in the written order");
            }
            Ok(Arrangement::AsWritten) => {}
        }
        self.tell_prefixes(effective, &entries, notes);
        Some(self.rules(&entries))
    }

    /// At a gateway, an order that hangs on the lengths of expressions somebody wrote is left alone.
    fn is_by_expression_at_gateway(&self, effective: &Effective<'_>, notes: &mut VsNotes<'_>) -> bool {
        if self.backends.place.is_mesh() {
            return false;
        }
        let mut found = false;
        for rule in &effective.http {
            for (index, wanted) in rule.rule.matches.iter().enumerate() {
                if matches!(&wanted.uri, Some(model::values::StringMatch::Regex(_))) {
                    found = true;
                    notes.elsewhere(rule.object);
                    let path = rule.path.key("match").index(index).key("uri").key("regex");
                    notes.keep(Code::OrderNotKept, &path, "istiod sorts the rules of an HTTPRoute by specificity, expressions last; at a gateway, rules whose order depends on an expression stay as they are");
                }
            }
        }
        notes.here();
        found
    }

    fn rules(mut self, entries: &[Entry]) -> Vec<Rule> {
        // A rule's name goes to its own conditions, not to copies that catch requests for another.
        let group_of = |group: &[Entry]| group.first().map(|entry| entry.rule);
        let groups = groups(entries);
        let mut rules = Vec::new();
        for (index, group) in groups.iter().enumerate() {
            let Some(first) = group.first() else { continue };
            let is_last = groups
                .get(index + 1..)
                .unwrap_or_default()
                .iter()
                .all(|later| group_of(later) != Some(first.rule));
            let name = self
                .names
                .get_mut(first.rule)
                .filter(|_| is_last)
                .and_then(Option::take);
            rules.push(Rule {
                name,
                matches: group.iter().map(|entry| entry.condition.clone()).collect(),
                action: self.actions.get(first.action).cloned().unwrap_or_default(),
            });
        }
        rules
    }

    fn tell_guards(&self, effective: &Effective<'_>, notes: &mut VsNotes<'_>) {
        for entry in &self.entries {
            let Some(rule) = effective.http.get(entry.rule) else {
                continue;
            };
            notes.elsewhere(rule.object);
            if !entry.meaning.without.is_empty() {
                notes.tell(Code::AbsenceByOrder, &rule.path.key("match"), "an HTTPRoute cannot ask for the absence of a header; requests that have it are caught before, by copies of the rules that would have taken them");
            }
            if let Some(path) = &entry.unless_path {
                let message = format!(
                    "the prefix `{path}/` becomes the segments `{path}`, so that it can be replaced; requests for `{path}` itself are left to the rules that took them"
                );
                notes.tell(Code::PrefixBySegments, &rule.path.key("match"), message);
            }
        }
        notes.here();
    }

    fn tell_prefixes(&self, effective: &Effective<'_>, entries: &[Entry], notes: &mut VsNotes<'_>) {
        for entry in entries {
            let (PathMatch::StringPrefix(prefix), PathMatch::Regex(_)) =
                (&entry.meaning.path, &entry.condition.path)
            else {
                continue;
            };
            let Some(rule) = effective.http.get(entry.rule) else {
                continue;
            };
            notes.elsewhere(rule.object);
            // A copy that catches requests for another rule has that rule's path.
            let Some(place) = place_of_prefix(rule, prefix) else {
                continue;
            };
            notes.tell(
                Code::PrefixAsRegex,
                &place,
                format!("the prefix `{prefix}` is a string and becomes a regular expression: `PathPrefix` goes by segments and would match other paths"),
            );
        }
        notes.here();
    }
}

/// Whether a match counts for requests dialled at a port, 0 standing for a port that is not known.
fn is_for_port(wanted: &HttpMatchRequest, port: u16) -> bool {
    port == 0 || wanted.port.is_none_or(|wanted| wanted.0 == port)
}

/// Where a prefix is written.
fn place_of_prefix(rule: &EffectiveRule<'_>, prefix: &str) -> Option<FieldPath> {
    use model::values::StringMatch::Prefix;
    let has_prefix = |wanted: &HttpMatchRequest| matches!(&wanted.uri, Some(Prefix(text)) if text == prefix);
    let index = rule.rule.matches.iter().position(has_prefix)?;
    Some(rule.path.key("match").index(index).key("uri").key("prefix"))
}

fn tell_trouble(trouble: Trouble, effective: &Effective<'_>, notes: &mut VsNotes<'_>) {
    let Some(rule) = effective.http.get(trouble.rule()) else {
        return;
    };
    let by_absence = rule
        .rule
        .matches
        .iter()
        .any(|wanted| !wanted.without_headers.is_empty());
    let (code, what, path) = if by_absence {
        (
            Code::MatchWithoutHeaders,
            "an HTTPRoute cannot ask for the absence of a header",
            rule.path.key("match"),
        )
    } else {
        (
            Code::RewriteOfPrefix,
            "an HTTPRoute replaces segments of a path, and so matches the prefix without its slash too",
            rule.path.clone(),
        )
    };
    let why = match trouble {
        Trouble::NoAnswer(_) => {
            "and no rule takes all requests that are left out here: they get 404, which an HTTPRoute cannot give"
        }
        Trouble::NotJoined(_) => {
            "and the rules for requests that are left out here have conditions on the same header that cannot be joined"
        }
        Trouble::TooMany(_) => "and saying it by rules before this one would take too many",
    };
    notes.elsewhere(rule.object);
    notes.keep(code, &path, format!("{what}, {why}"));
    notes.here();
}

/// Neighbours that are one rule of an HTTPRoute: the same action for the same reason. A replaced prefix goes
/// with one match only.
fn groups(entries: &[Entry]) -> Vec<&[Entry]> {
    entries
        .chunk_by(|a, b| a.action == b.action && a.rule == b.rule && !a.is_pinned && !b.is_pinned)
        .collect()
}
