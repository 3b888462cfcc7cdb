//! TCPRoutes and TLSRoutes at a gateway.

use super::claims::Claim;
use super::hosts::{covers, is_hostname};
use super::servers::Serves;
use super::site::{MAX_HOSTNAMES, Site};
use crate::code::Code;
use crate::convert::Change;
use crate::convert::names::FreeName;
use crate::convert::notes::Notes;
use crate::convert::virtual_service::http_route::MAX_PARENTS;
use crate::convert::virtual_service::layer_4::{self, Rule};
use crate::convert::virtual_service::place::Place;
use crate::convert::virtual_service::versions::Version;
use model::virtual_service::VirtualService;
use model::{FieldPath, Kind, Object};
use serde_json::{Map, Value as Json, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

type VsNotes<'a> = Notes<'a, VirtualService>;

/// What the routes of an object have in common.
struct Making<'a> {
    site: &'a Site<'a>,
    object: &'a Object<VirtualService>,
    versions: &'a RefCell<BTreeSet<Version>>,
    changes: Vec<Change>,
}

/// The routes for connections of an object at a gateway.
pub fn convert(
    site: &Site<'_>,
    object: &Object<VirtualService>,
    claim: &Claim,
    versions: &RefCell<BTreeSet<Version>>,
    notes: &mut VsNotes<'_>,
) -> Vec<Change> {
    let mut making = Making {
        site,
        object,
        versions,
        changes: Vec::new(),
    };
    let servers: BTreeSet<usize> = claim
        .tcp
        .iter()
        .filter_map(|index| Some(site.listeners.get(*index)?.server))
        .collect();
    for server in servers {
        making.tcp(server, notes);
    }
    let through = |index: &&usize| {
        let listener = site.listeners.get(**index);
        listener.is_some_and(|listener| listener.serves == Serves::Passthrough)
    };
    let listeners: Vec<usize> = claim.hosts.keys().filter(through).copied().collect();
    making.tls(&listeners, notes);
    making.changes
}

impl Making<'_> {
    /// The first rule that holds at the port of a server takes all of its connections.
    fn tcp(&mut self, server: usize, notes: &mut VsNotes<'_>) {
        let site = self.site;
        let listeners: Vec<usize> = (0..site.listeners.len())
            .filter(|index| site.listeners.get(*index).is_some_and(|l| l.server == server))
            .collect();
        let Some(first) = listeners.first().and_then(|index| site.listeners.get(*index)) else {
            return;
        };
        let place = Site::place(&site.name, self.object, first);
        let rules = layer_4::tcp_rules(self.object);
        let Some(rule) = rules.iter().find(|rule| rule.holds_at(place, first.port)) else {
            return;
        };
        let options = site.context.options;
        if !options.has_tcp_routes() {
            let message = format!(
                "`tcp` rules become a TCPRoute, which istiod reads from Istio 1.31 and Gateway API 1.6 on; this is for Istio {} and Gateway API {}",
                options.istio, options.gateway_api
            );
            notes.keep(Code::TcpOrTls, &FieldPath::spec().key("tcp"), message);
        }
        for listener in listeners.iter().filter_map(|index| site.listeners.get(*index)) {
            let namespace = self.object.namespace();
            if !listener.namespaces.admit(namespace) {
                let message = format!(
                    "the rule takes all connections of its server, and `{}` there takes no routes of `{namespace}`",
                    listener.host
                );
                notes.keep(Code::IngressHost, &FieldPath::spec().key("hosts"), message);
            }
        }
        tell_ignored(rule, notes);
        self.route(Kind::TcpRoute, rule, &listeners, &[], notes);
    }

    /// Every rule is for its server names, at the listener that is closest to each.
    fn tls(&mut self, listeners: &[usize], notes: &mut VsNotes<'_>) {
        let site = self.site;
        let ports: BTreeSet<u16> = listeners
            .iter()
            .filter_map(|index| Some(site.listeners.get(*index)?.port))
            .collect();
        for port in ports {
            self.tls_at(port, listeners, notes);
        }
    }

    fn tls_at(&mut self, port: u16, listeners: &[usize], notes: &mut VsNotes<'_>) {
        let (site, object) = (self.site, self.object);
        let at_port: Vec<usize> = listeners
            .iter()
            .filter(|index| site.listeners.get(**index).is_some_and(|l| l.port == port))
            .copied()
            .collect();
        let Some(first) = at_port.first().and_then(|index| site.listeners.get(*index)) else {
            return;
        };
        let place = Site::place(&site.name, object, first);
        let mut seen: BTreeSet<String> = BTreeSet::new();
        for rule in layer_4::tls_rules(object) {
            if !rule.holds_at(place, port) {
                continue;
            }
            let options = site.context.options;
            if !options.has_tls_routes() {
                let message = format!(
                    "`tls` rules become a TLSRoute, which istiod reads from Istio 1.31 and Gateway API 1.5 on; this is for Istio {} and Gateway API {}",
                    options.istio, options.gateway_api
                );
                notes.keep(Code::TcpOrTls, &FieldPath::spec().key("tls"), message);
            }
            let by_listener = self.names(&rule, (place, port), &at_port, &mut seen, notes);
            tell_ignored(&rule, notes);
            for (listener, hosts) in by_listener {
                let hosts: Vec<String> = hosts.into_iter().collect();
                for hosts in hosts.chunks(MAX_HOSTNAMES) {
                    self.route(Kind::TlsRoute, &rule, &[listener], hosts, notes);
                }
            }
        }
    }

    /// The server names of a rule, each at its listener.
    fn names(
        &self,
        rule: &Rule<'_>,
        (place, port): (Place<'_>, u16),
        listeners: &[usize],
        seen: &mut BTreeSet<String>,
        notes: &mut VsNotes<'_>,
    ) -> BTreeMap<usize, BTreeSet<String>> {
        let mut by_listener: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for (index, condition) in rule.conditions.iter().enumerate() {
            if !condition.holds_at(place, port) {
                continue;
            }
            let path = rule.path.key("match").index(index).key("sniHosts");
            for written in condition.sni_hosts {
                let wanted = written.to_lowercase();
                let closest = self.closest(&wanted, listeners);
                let trouble = if !seen.insert(wanted.clone()) {
                    Some("stands twice; Istio leaves out the later match as a whole")
                } else if closest.is_none() {
                    Some(
                        "is no name of a listener that takes routes of this namespace; the old server looks for it all the same",
                    )
                } else if !is_hostname(&wanted) {
                    Some("is no host name that a TLSRoute can have")
                } else {
                    None
                };
                if let Some(trouble) = trouble {
                    notes.keep(Code::IngressServerName, &path, format!("`{wanted}` {trouble}"));
                } else if let Some(listener) = closest {
                    by_listener.entry(listener).or_default().insert(wanted);
                }
            }
        }
        by_listener
    }

    /// The most specific of these listeners whose host covers a name, unless a closer one is for other namespaces.
    fn closest(&self, name: &str, listeners: &[usize]) -> Option<usize> {
        let port = listeners
            .first()
            .and_then(|index| self.site.listeners.get(*index))?
            .port;
        let all = self.site.listeners.iter().enumerate();
        let covering = all.filter(|(_, l)| l.port == port && covers(&l.host, name));
        let (closest, _) = covering.max_by_key(|(_, listener)| listener.host.len())?;
        listeners.contains(&closest).then_some(closest)
    }

    fn route(
        &mut self,
        kind: Kind,
        rule: &Rule<'_>,
        listeners: &[usize],
        hosts: &[String],
        notes: &mut VsNotes<'_>,
    ) {
        let (site, object) = (self.site, self.object);
        let members: Vec<_> = listeners
            .iter()
            .filter_map(|index| site.listeners.get(*index))
            .collect();
        let Some(first) = members.first() else { return };
        let backends = site.backends(object, first, self.versions);
        let refs = layer_4::backend_refs(rule, &backends, notes);
        let parents: Vec<Json> = members
            .iter()
            .map(|listener| site.parent(object.namespace(), listener))
            .collect();
        for parents in parents.chunks(MAX_PARENTS) {
            let taken = self
                .changes
                .iter()
                .filter(|change| change.id.kind == kind)
                .count();
            let mut base = site.route_name(object);
            if taken > 0 {
                base.push_str(&format!("-{}", taken + 1));
            }
            let FreeName { id, instead_of } =
                site.context
                    .free_name(object.namespace(), &kind, &base, &object.id);
            let mut spec = Map::new();
            spec.insert("parentRefs".into(), json!(parents));
            if !hosts.is_empty() {
                spec.insert("hostnames".into(), json!(hosts));
            }
            spec.insert("rules".into(), json!([{ "backendRefs": refs }]));
            let after = json!({
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": kind.name(),
                "metadata": crate::convert::metadata(&id, &object.id), "spec": spec,
            });
            self.changes.push(Change {
                after: (&after).into(),
                id,
                instead_of,
                from: object.id.clone(),
                before: None,
            });
        }
    }
}

fn tell_ignored(rule: &Rule<'_>, notes: &mut VsNotes<'_>) {
    for (index, condition) in rule.conditions.iter().enumerate() {
        condition.tell_ignored(&rule.path.key("match").index(index), notes);
    }
}
