//! HTTPRoutes at a gateway: host names, listeners, rules.

use super::claims::Claim;
use super::hosts::{is_hostname, narrower};
use super::servers::Serves;
use super::site::{MAX_HOSTNAMES, Site};
use crate::code::Code;
use crate::convert::Change;
use crate::convert::notes::Notes;
use crate::convert::virtual_service::effective::Effective;
use crate::convert::virtual_service::http_route::{self, MAX_PARENTS, Rule};
use crate::convert::virtual_service::rules::rules_for_port;
use crate::convert::virtual_service::versions::Version;
use model::virtual_service::VirtualService;
use model::{FieldPath, Object};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

type VsNotes<'a> = Notes<'a, VirtualService>;

/// Listeners with the host names that an object has there.
type Members<'c> = Vec<(usize, &'c BTreeSet<String>)>;

/// The HTTPRoutes of an object at a gateway.
pub fn convert(
    site: &Site<'_>,
    object: &Object<VirtualService>,
    claim: &Claim,
    versions: &RefCell<BTreeSet<Version>>,
    notes: &mut VsNotes<'_>,
) -> Vec<Change> {
    if object.spec.http.is_empty() {
        return Vec::new();
    }
    check_delegates(site, object, notes);
    let mut by_port: BTreeMap<u16, Option<Vec<Rule>>> = BTreeMap::new();
    let mut groups: Vec<(Members<'_>, Vec<Rule>)> = Vec::new();
    for (index, hosts) in &claim.hosts {
        let Some(listener) = site.listeners.get(*index) else {
            continue;
        };
        if !matches!(
            listener.serves,
            Serves::Http { redirect: false } | Serves::Https(_)
        ) {
            continue;
        }
        check_hosts(hosts, notes);
        let rules = by_port.entry(listener.port).or_insert_with(|| {
            let backends = site.backends(object, listener, versions);
            rules_for_port(&backends, object, listener.port, notes)
        });
        let Some(rules) = rules.as_ref().filter(|rules| !rules.is_empty()) else {
            continue;
        };
        match groups.iter_mut().find(|(_, known)| known == rules) {
            Some((members, _)) => members.push((*index, hosts)),
            None => groups.push((vec![(*index, hosts)], rules.clone())),
        }
    }
    written(site, object, &groups)
}

/// Rules of another namespace are another team's, and routes cannot leave them there.
fn check_delegates(site: &Site<'_>, object: &Object<VirtualService>, notes: &mut VsNotes<'_>) {
    for rule in Effective::of(site.context, object).http {
        if rule.object.namespace() != object.namespace() {
            let message = format!(
                "rules of {} take part, which lies in another namespace; a route would take them from those who write them",
                rule.object.id
            );
            notes.keep(Code::IngressDelegate, &FieldPath::spec().key("http"), message);
        }
    }
}

fn check_hosts(hosts: &BTreeSet<String>, notes: &mut VsNotes<'_>) {
    let place = FieldPath::spec().key("hosts");
    if let Some(host) = hosts.iter().find(|host| *host != "*" && !is_hostname(host)) {
        let message = format!("`{host}` is no host name that a route can have");
        notes.keep(Code::IngressHost, &place, message);
    }
    if hosts.contains("*") && hosts.len() > 1 {
        notes.keep(
            Code::IngressHost,
            &place,
            "`*` stands beside other hosts; a route without host names is for all, and one with names not for the rest",
        );
    }
}

/// The routes: one for all listeners of a group, where each makes of all host names together what it had, else one for
/// each list of host names.
fn written(
    site: &Site<'_>,
    object: &Object<VirtualService>,
    groups: &[(Members<'_>, Vec<Rule>)],
) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut number = 0_usize;
    for (members, rules) in groups {
        for (hosts, listeners) in parts(site, members) {
            let hosts: Vec<String> = hosts.into_iter().filter(|host| host != "*").collect();
            let parents: Vec<_> = listeners
                .iter()
                .filter_map(|index| site.listeners.get(*index))
                .map(|listener| site.parent(object.namespace(), listener))
                .collect();
            let lists: Vec<&[String]> = if hosts.is_empty() {
                vec![&[]]
            } else {
                hosts.chunks(MAX_HOSTNAMES).collect()
            };
            for hosts in lists {
                for parents in parents.chunks(MAX_PARENTS) {
                    number += 1;
                    let mut base = site.route_name(object);
                    if number > 1 {
                        base.push_str(&format!("-{number}"));
                    }
                    changes.extend(http_route::routes(
                        site.context,
                        object,
                        parents,
                        hosts,
                        &base,
                        rules,
                    ));
                }
            }
        }
    }
    changes
}

fn parts(site: &Site<'_>, members: &Members<'_>) -> Vec<(BTreeSet<String>, Vec<usize>)> {
    let union: BTreeSet<String> = members
        .iter()
        .flat_map(|(_, hosts)| hosts.iter().cloned())
        .collect();
    let is_exact = members.iter().all(|(index, hosts)| {
        let Some(listener) = site.listeners.get(*index) else {
            return false;
        };
        let meeting = union.iter().filter_map(|host| narrower(host, &listener.host));
        meeting.map(str::to_owned).collect::<BTreeSet<_>>() == **hosts
    });
    // Without host names a route is for every host of a listener; beside others the name would be lost.
    if is_exact && !(union.contains("*") && union.len() > 1) {
        return vec![(union, members.iter().map(|(index, _)| *index).collect())];
    }
    let mut parts: Vec<(BTreeSet<String>, Vec<usize>)> = Vec::new();
    for (index, hosts) in members {
        match parts.iter_mut().find(|(known, _)| known == *hosts) {
            Some((_, listeners)) => listeners.push(*index),
            None => parts.push(((*hosts).clone(), vec![*index])),
        }
    }
    parts
}
