//! Rules for TCP and TLS as TCPRoutes and TLSRoutes: one route for each port of a Service, with the first rule that holds
//! there.

use super::backend::Backends;
use super::hosts::{Remark, When};
use super::parent::Parent;
use super::place::Place;
use crate::code::Code;
use crate::convert::Change;
use crate::convert::context::Context;
use crate::convert::names::FreeName;
use crate::convert::notes::Notes;
use model::virtual_service::{L4MatchAttributes, RouteDestination, TlsMatchAttributes, VirtualService};
use model::{FieldPath, Kind, Object};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

type VsNotes<'a> = Notes<'a, VirtualService>;

/// `TCPRouteRule.backendRefs`, `TLSRouteRule.backendRefs`.
const MAX_BACKENDS: usize = 16;

/// What the conditions of both kinds of rules have in common.
pub struct Condition<'a> {
    /// Server names of TLS.
    pub sni_hosts: &'a [String],
    subnets: &'a [String],
    port: Option<u16>,
    labels: &'a BTreeMap<String, String>,
    namespace: Option<&'a str>,
    gateways: &'a [String],
}

/// A rule for TCP or TLS with its place.
pub struct Rule<'a> {
    /// Its place.
    pub path: FieldPath,
    /// Alternatives; empty means every connection.
    pub conditions: Vec<Condition<'a>>,
    /// Destinations with their shares.
    pub route: &'a [RouteDestination],
}

/// Says of all rules what stands in the way of routes of their kind.
pub fn check(context: &Context<'_>, object: &Object<VirtualService>, notes: &mut VsNotes<'_>) {
    let options = context.options;
    for (key, rules, kind, possible, since) in [
        (
            "tcp",
            tcp_rules(object),
            "TCPRoute",
            options.has_tcp_routes(),
            "1.6",
        ),
        (
            "tls",
            tls_rules(object),
            "TLSRoute",
            options.has_tls_routes(),
            "1.5",
        ),
    ] {
        if rules.is_empty() {
            continue;
        }
        if !possible {
            let message = format!(
                "`{key}` rules become a {kind}, which istiod reads for Services from Istio 1.31 and Gateway API {since} on; this is for Istio {} and Gateway API {}",
                options.istio, options.gateway_api
            );
            notes.keep(Code::TcpOrTls, &FieldPath::spec().key(key), message);
        }
        for rule in &rules {
            for (index, condition) in rule.conditions.iter().enumerate() {
                condition.check(&rule.path.key("match").index(index), notes);
            }
        }
    }
}

impl Condition<'_> {
    /// Whether it can hold in a place, at a port.
    pub fn holds_at(&self, place: Place<'_>, port: u16) -> bool {
        place.selects(self.gateways) && self.port.is_none_or(|own| own == port)
    }

    /// Says of conditions on clients and subnets, at which a gateway does not look (`l4SingleMatch` in
    /// istio/istio:pilot/pkg/networking/core/gateway.go), that they never had an effect.
    pub fn tell_ignored(&self, path: &FieldPath, notes: &mut VsNotes<'_>) {
        for (key, is_set) in [
            ("sourceLabels", !self.labels.is_empty()),
            ("sourceNamespace", self.namespace.is_some()),
            ("destinationSubnets", !self.subnets.is_empty()),
        ] {
            if is_set {
                let message =
                    format!("a gateway does not look at `{key}` of connections; neither does the route");
                notes.tell(Code::NoEffect, &path.key(key), message);
            }
        }
    }

    fn check(&self, path: &FieldPath, notes: &mut VsNotes<'_>) {
        if !Place::Mesh.selects(self.gateways) {
            return;
        }
        if !self.labels.is_empty() {
            notes.keep(
                Code::MatchSourceLabels,
                &path.key("sourceLabels"),
                "a waypoint knows no labels of clients: the rule never holds there",
            );
        }
        if let Some(namespace) = self.namespace {
            let message = format!(
                "a waypoint does not know whether clients are in `{namespace}`: the rule never holds there"
            );
            notes.keep(Code::MatchSourceNamespace, &path.key("sourceNamespace"), message);
        }
        if !self.subnets.is_empty() {
            notes.keep(
                Code::SubnetsIgnored,
                &path.key("destinationSubnets"),
                "a waypoint does not look at the subnets, so the rule holds there for every address of the Service",
            );
        }
    }
}

impl<'a> From<&'a L4MatchAttributes> for Condition<'a> {
    fn from(wanted: &'a L4MatchAttributes) -> Self {
        Self {
            sni_hosts: &[],
            subnets: &wanted.destination_subnets,
            port: wanted.port.map(|port| port.0),
            labels: &wanted.source_labels,
            namespace: wanted.source_namespace.as_deref().filter(|n| !n.is_empty()),
            gateways: &wanted.gateways,
        }
    }
}

impl<'a> From<&'a TlsMatchAttributes> for Condition<'a> {
    fn from(wanted: &'a TlsMatchAttributes) -> Self {
        Self {
            sni_hosts: &wanted.sni_hosts,
            subnets: &wanted.destination_subnets,
            port: wanted.port.map(|port| port.0),
            labels: &wanted.source_labels,
            namespace: wanted.source_namespace.as_deref().filter(|n| !n.is_empty()),
            gateways: &wanted.gateways,
        }
    }
}

/// The rules for TCP.
pub fn tcp_rules(object: &Object<VirtualService>) -> Vec<Rule<'_>> {
    let rules = object.spec.tcp.iter();
    numbered(
        "tcp",
        rules.map(|rule| (rule.matches.as_slice(), rule.route.as_slice())),
    )
}

/// The rules for TLS.
pub fn tls_rules(object: &Object<VirtualService>) -> Vec<Rule<'_>> {
    let rules = object.spec.tls.iter();
    numbered(
        "tls",
        rules.map(|rule| (rule.matches.as_slice(), rule.route.as_slice())),
    )
}

fn numbered<'a, M: 'a>(
    key: &str,
    rules: impl Iterator<Item = (&'a [M], &'a [RouteDestination])>,
) -> Vec<Rule<'a>>
where
    Condition<'a>: From<&'a M>,
{
    let path = FieldPath::spec().key(key);
    rules
        .enumerate()
        .map(|(index, (matches, route))| Rule {
            path: path.index(index),
            conditions: matches.iter().map(Condition::from).collect(),
            route,
        })
        .collect()
}

/// The routes for one parent, a Service or ServiceEntry that is known by `hosts`.
pub fn routes(
    object: &Object<VirtualService>,
    parent: Parent<'_>,
    hosts: &[String],
    base: &str,
    backends: &Backends<'_>,
    notes: &mut VsNotes<'_>,
) -> Vec<Change> {
    let (tcp, tls) = (tcp_rules(object), tls_rules(object));
    let mut changes = Vec::new();
    for (port, carries) in parent.ports().unwrap_or_default() {
        let backends = Backends {
            dialled_port: port,
            ..*backends
        };
        let mut add = |kind: Kind, rule: &Rule<'_>, hostnames: &[String], notes: &mut VsNotes<'_>| {
            let refs = backend_refs(rule, &backends, notes);
            let name = format!("{base}-{port}");
            let FreeName { id, instead_of } =
                backends
                    .context
                    .free_name(object.namespace(), &kind, &name, &object.id);
            let mut spec = Map::new();
            spec.insert("parentRefs".into(), json!([parent.reference(Some(port))]));
            if !hostnames.is_empty() {
                spec.insert("hostnames".into(), json!(hostnames));
            }
            spec.insert("rules".into(), json!([{ "backendRefs": refs }]));
            let after = json!({
                "apiVersion": "gateway.networking.k8s.io/v1", "kind": kind.name(),
                "metadata": crate::convert::metadata(&id, &object.id), "spec": spec,
            });
            changes.push(Change {
                after: (&after).into(),
                id,
                instead_of,
                from: object.id.clone(),
                before: None,
            });
        };
        if carries.tcp
            && let Some(rule) = tcp.iter().find(|rule| rule.holds_at(Place::Mesh, port))
        {
            add(Kind::TcpRoute, rule, &[], notes);
        }
        if carries.tls
            && names_match(&tls, port, hosts, notes)
            && let Some(rule) = tls.iter().find(|rule| rule.holds_at(Place::Mesh, port))
        {
            add(Kind::TlsRoute, rule, hosts, notes);
        }
    }
    changes
}

impl Rule<'_> {
    /// Whether it can hold in a place, at a port.
    pub fn holds_at(&self, place: Place<'_>, port: u16) -> bool {
        self.conditions.is_empty()
            || self
                .conditions
                .iter()
                .any(|condition| condition.holds_at(place, port))
    }
}

/// Whether a rule for TCP takes connections at a port.
pub fn has_tcp(object: &Object<VirtualService>, place: Place<'_>, port: u16) -> bool {
    tcp_rules(object).iter().any(|rule| rule.holds_at(place, port))
}

/// The server names of all rules for TLS at a port; one stands twice if two rules name it.
pub fn server_names<'o>(
    object: &'o Object<VirtualService>,
    place: Place<'_>,
    port: u16,
) -> impl Iterator<Item = &'o str> {
    let conditions = tls_rules(object).into_iter().flat_map(|rule| rule.conditions);
    let holding = conditions.filter(move |condition| condition.holds_at(place, port));
    holding
        .flat_map(|condition| condition.sni_hosts)
        .map(String::as_str)
}

/// Whether every server name is the one that a waypoint looks for: a list of one, the host's own name.
///
/// Source: istio/istio:pilot/pkg/networking/core/listener_waypoint.go.
fn names_match(rules: &[Rule<'_>], port: u16, hosts: &[String], notes: &mut VsNotes<'_>) -> bool {
    let mut all = true;
    for rule in rules {
        for (index, condition) in rule.conditions.iter().enumerate() {
            let fits = matches!((condition.sni_hosts, hosts), ([wanted], [host]) if wanted.eq_ignore_ascii_case(host));
            if condition.holds_at(Place::Mesh, port) && !fits {
                let message = format!(
                    "a waypoint looks for one server name only, and only for the host's own ({}); this rule never holds there",
                    hosts.join(", ")
                );
                let path = rule.path.key("match").index(index).key("sniHosts");
                notes.keep(Code::ServerNameNotMatched, &path, message);
                all = false;
            }
        }
    }
    all
}

/// The destinations as `backendRefs`.
pub fn backend_refs(rule: &Rule<'_>, backends: &Backends<'_>, notes: &mut VsNotes<'_>) -> Vec<Json> {
    let path = rule.path.key("route");
    let several = rule.route.len() > 1;
    let weight = |route: &RouteDestination| route.weight.unwrap_or(0);
    if several && rule.route.iter().all(|route| weight(route) == 0) {
        notes.keep(
            Code::WeightsWithoutSum,
            &path,
            "several destinations, and all weights are 0 or absent",
        );
    }
    if rule.route.is_empty() {
        notes.keep(Code::InvalidRule, &rule.path, "the rule has no `route`");
    }
    if rule.route.len() > MAX_BACKENDS || rule.route.iter().any(|r| !(0..=1_000_000).contains(&weight(r))) {
        notes.keep(
            Code::LimitExceeded,
            &path,
            "a route takes 16 destinations with weights from 0 to 1000000",
        );
    }
    let mut refs = Vec::new();
    for (index, route) in rule.route.iter().enumerate() {
        let path = path.index(index).key("destination");
        if let Some(mut backend) = backends.resolve(&route.destination, &path, notes) {
            // The weight of a single destination does not count, and 0 would send its connections nowhere.
            if several {
                backend["weight"] = json!(weight(route));
            }
            refs.push(backend);
        }
    }
    refs
}

/// Ports on which the old object means more at a waypoint than at a sidecar: a rule for TCP without a port holds on ports
/// that carry TLS, too.
pub fn remark_on_tls_ports(object: &Object<VirtualService>, parent: Parent<'_>, remarks: &mut Vec<Remark>) {
    let tls = parent
        .ports()
        .unwrap_or_default()
        .into_iter()
        .find(|(_, carries)| carries.tls);
    let Some((port, _)) = tls else { return };
    let is_open = |rule: &&Rule<'_>| {
        rule.conditions.is_empty()
            || rule
                .conditions
                .iter()
                .any(|c| c.port.is_none() && Place::Mesh.selects(c.gateways))
    };
    if let Some(rule) = tcp_rules(object).iter().find(is_open) {
        remarks.push(Remark {
            code: Code::TcpRuleOnTlsPort,
            place: rule.path.clone(),
            message: format!(
                "the rule names no port: sidecars use it for ports that carry plain TCP, a waypoint for port {port} of {}, too, which carries TLS",
                parent.id()
            ),
            when: When::Always,
        });
    }
}
