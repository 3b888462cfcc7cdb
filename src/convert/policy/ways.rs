//! The ways that a request to a Service can take: which routes act on it, before the policies of a pod see it.

use super::path_edit::PathEdit;
use super::read_rule::RuleReader;
use crate::convert::context::{Context, Host};
use crate::convert::virtual_service::effective::Effective;
use foldhash::HashMap;
use model::meta::Object;
use model::room::exact;
use model::traffic::{HttpRouteResource, Service, Subset};
use model::virtual_service::{CorsPolicy, HttpMatchRequest, RouteDestination, VirtualService};
use model::{Node, ObjectRef};
use semantics::http_route;
use semantics::predicate::{RequestMatch, ValueMatch};
use semantics::virtual_service::is_for_mesh;
use std::collections::BTreeMap;

/// When a way is taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// What is asked of the request, as far as it can be said.
    pub known: RequestMatch,
    /// Headers that must not be so; an absent one is not.
    pub without: Vec<(String, ValueMatch)>,
    /// Whether nothing else is asked.
    pub complete: bool,
    /// The ports of the Service for which the way is there; `None` for all.
    pub ports: Option<Vec<u16>>,
}

impl Condition {
    fn always() -> Self {
        Self {
            known: RequestMatch::any(),
            without: Vec::new(),
            complete: true,
            ports: None,
        }
    }

    /// Whether istiod takes this for the end of a VirtualService.
    fn ends(&self) -> bool {
        self.complete && self.ports.is_none() && self.without.is_empty() && self.known.is_catch_all()
    }
}

/// What becomes of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderEdit {
    /// It gets this value.
    Set(String),
    /// It is taken away.
    Removed,
    /// It cannot be said what it is afterwards.
    Opaque,
}

/// What a route does to a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edits {
    /// To its path.
    pub path: Option<PathEdit>,
    /// To its authority.
    pub host: Option<HeaderEdit>,
    /// To its headers, by lower-case name.
    pub headers: BTreeMap<String, HeaderEdit>,
    /// Whether it may do more than that.
    pub unknown: bool,
}

impl Edits {
    /// Whether the request stays as it is.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Pods that a way leads to: those of a Service, or of a subset of them.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// The Service.
    pub service: &'a Object<Service>,
    /// Its port; `None` for its only one, or the one that was dialled.
    pub port: Option<u16>,
    /// Labels that the pods have beside the Service's.
    pub labels: Option<&'a BTreeMap<String, String>>,
}

/// One way.
#[derive(Debug, Clone)]
pub struct Way<'a> {
    /// When it is taken.
    pub condition: Condition,
    /// What happens to the request on it.
    pub edits: Edits,
    /// Where it leads.
    pub places: Vec<Place<'a>>,
    /// Whether it leads to more, of which nothing is known.
    pub elsewhere: bool,
    /// Whether the client's proxy answers instead.
    pub answered: bool,
    /// The object that makes it.
    pub router: Option<&'a ObjectRef>,
    /// Its answer to browsers that ask before they ask.
    pub cors: Option<Box<CorsPolicy>>,
}

/// All ways from a Service.
#[derive(Debug, Clone)]
pub struct Ways<'a> {
    /// The ways.
    pub list: Vec<Way<'a>>,
    /// Whether all clients have these, and take the first whose condition holds; else any of them may be taken.
    pub ordered: bool,
    /// Where copies of requests go, and who sends them.
    pub mirrors: Vec<(&'a ObjectRef, Place<'a>)>,
}

/// What is looked up to find ways.
pub struct Routing<'c, 'a> {
    /// Look-ups by host.
    pub context: &'c Context<'a>,
    /// Subsets by the full name of their host.
    subsets: HashMap<String, Vec<&'a Subset>>,
}

impl<'c, 'a> Routing<'c, 'a> {
    /// Looks at the routes of a mesh.
    pub fn of(context: &'c Context<'a>) -> Self {
        let mut subsets: HashMap<String, Vec<&Subset>> = HashMap::default();
        for rule in &context.mesh.destination_rules {
            let host = context.qualify(&rule.spec.host, rule.namespace());
            subsets.entry(host).or_default().extend(&rule.spec.subsets);
        }
        Self { context, subsets }
    }

    /// Whether a DestinationRule is for a Service.
    pub fn has_rule(&self, service: &Object<Service>) -> bool {
        self.subsets.contains_key(&self.context.service_host(service))
    }

    /// The labels of a subset, if they are certain.
    pub fn labels(&self, service: &Object<Service>, subset: &str) -> Option<&'a BTreeMap<String, String>> {
        let of_host = self.subsets.get(&self.context.service_host(service))?;
        let mut found = of_host
            .iter()
            .filter(|candidate| candidate.name == subset)
            .map(|candidate| &candidate.labels);
        let first = found.next()?;
        // Several of the same name: it is not certain which one counts.
        found.all(|labels| labels == first).then_some(first)
    }
}

impl<'a> Ways<'a> {
    /// The ways from a Service.
    pub fn from(routing: &Routing<'_, 'a>, service: &'a Object<Service>) -> Self {
        let context = routing.context;
        let host = &context.service_host(service);
        let claimants: Vec<_> = context.claimants(host).collect();
        let routes: Vec<_> = context
            .routes_of(service)
            .filter(|route| !crate::convert::is_ours(&route.meta.labels))
            .collect();
        let mut ways = Self {
            list: Vec::new(),
            ordered: true,
            mirrors: Vec::new(),
        };
        if let ([only], []) = (claimants.as_slice(), routes.as_slice())
            && is_for_all(context, only, service)
        {
            ways.add_virtual_service(routing, service, only);
            if !ways.list.is_empty() {
                ways.split_ports(service);
                // There are as many lists as Services, and all of them are kept.
                ways.list = exact(ways.list);
                return ways;
            }
        }
        ways.ordered = claimants.is_empty() && routes.is_empty();
        ways.list.clear();
        ways.mirrors.clear();
        ways.list.push(straight(service));
        for claimant in claimants {
            ways.add_virtual_service(routing, service, claimant);
        }
        for route in routes {
            ways.add_route(context, service, route);
        }
        ways
    }

    fn add_virtual_service(
        &mut self,
        routing: &Routing<'_, 'a>,
        service: &'a Object<Service>,
        object: &'a Object<VirtualService>,
    ) {
        let start = self.list.len();
        let effective = Effective::of(routing.context, object);
        if !effective.is_whole() {
            self.ordered = false;
            self.list.push(unknown(service, object));
        }
        'rules: for rule in &effective.http {
            let rule = &*rule.rule;
            let reader = RuleReader {
                routing,
                object,
                service,
                rule,
            };
            self.mirrors.extend(reader.mirrors());
            let any = [HttpMatchRequest::default()];
            let matches = if rule.matches.is_empty() {
                &any[..]
            } else {
                &rule.matches
            };
            for wanted in matches.iter().filter(|wanted| is_for_mesh(wanted)) {
                let way = reader.way(wanted);
                let ends = way.condition.ends();
                self.list.push(way);
                if ends {
                    break 'rules;
                }
            }
        }
        let tcp = object.spec.tcp.iter().map(|rule| &rule.route);
        for routes in tcp.chain(object.spec.tls.iter().map(|rule| &rule.route)) {
            self.ordered = false;
            self.list.push(connection_way(routing.context, object, routes));
        }
        if self.list.len() == start && !effective.http.is_empty() {
            self.ordered = false;
        }
    }

    fn add_route(
        &mut self,
        context: &Context<'a>,
        service: &'a Object<Service>,
        route: &'a Object<HttpRouteResource>,
    ) {
        for rule in route.spec.rules.iter().map(|rule| &rule.0) {
            let backends = rule.get("backendRefs").map_or(&[][..], Node::items);
            let (mut places, mut elsewhere) = (Vec::new(), false);
            for backend in backends {
                let text = |key| backend.get(key).and_then(Node::as_str);
                let namespace = text("namespace").unwrap_or(route.namespace());
                match text("name").and_then(|name| context.mesh.service(namespace, name)) {
                    Some(to) => places.push(place(to, backend.get("port").and_then(port_number))),
                    None => elsewhere = true,
                }
            }
            let edits = route_edits(rule);
            let answered = backends.is_empty();
            for known in http_route::rule_matches(rule) {
                self.list.push(Way {
                    condition: Condition {
                        known,
                        ..Condition::always()
                    },
                    edits: edits.clone(),
                    places: places.clone(),
                    elsewhere,
                    answered,
                    router: Some(&route.id),
                    cors: None,
                });
            }
            let filters = rule.get("filters").map_or(&[][..], Node::items);
            for copy in filters
                .iter()
                .filter_map(|filter| filter.at(&["requestMirror", "backendRef"]))
            {
                let text = |key| copy.get(key).and_then(Node::as_str);
                let namespace = text("namespace").unwrap_or(route.namespace());
                if let Some(to) = text("name").and_then(|name| context.mesh.service(namespace, name))
                    && to.id != service.id
                {
                    self.mirrors.push((&route.id, place(to, None)));
                }
            }
        }
    }

    /// Rules for HTTP do not act on ports that carry something else.
    fn split_ports(&mut self, service: &'a Object<Service>) {
        let numbers = |http: bool| -> Vec<u16> {
            let ports = service.spec.ports.iter().filter(|port| is_tcp(port));
            let ports = ports.filter(|port| port.may_be_http() == http);
            ports.filter_map(|port| Some(port.port?.0)).collect()
        };
        let (http, other) = (numbers(true), numbers(false));
        if other.is_empty() {
            return;
        }
        for way in &mut self.list {
            match &mut way.condition.ports {
                Some(ports) => ports.retain(|port| http.contains(port)),
                none => *none = Some(http.clone()),
            }
        }
        let mut way = straight(service);
        way.condition.ports = Some(other);
        self.list.push(way);
    }
}

/// Whether a port is of those that a mesh carries.
pub fn is_tcp(port: &model::traffic::ServicePort) -> bool {
    port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP")
}

/// All pods of a Service.
pub fn place<'a>(service: &'a Object<Service>, port: Option<u16>) -> Place<'a> {
    Place {
        service,
        port,
        labels: None,
    }
}

/// What a rule of which nothing is known may do.
fn unknown<'a>(service: &'a Object<Service>, object: &'a Object<VirtualService>) -> Way<'a> {
    Way {
        edits: Edits {
            unknown: true,
            ..Edits::default()
        },
        elsewhere: true,
        router: Some(&object.id),
        ..straight(service)
    }
}

fn straight<'a>(service: &'a Object<Service>) -> Way<'a> {
    Way {
        condition: Condition::always(),
        edits: Edits::default(),
        places: vec![place(service, None)],
        elsewhere: false,
        answered: false,
        router: None,
        cors: None,
    }
}

/// Whether all clients of the Service have these rules.
fn is_for_all(context: &Context<'_>, object: &Object<VirtualService>, service: &Object<Service>) -> bool {
    let default = &context.mesh.settings.default_virtual_service_export_to;
    let stated = &object.spec.export_to;
    let visible = if stated.is_empty() { default } else { stated };
    object.namespace() == service.namespace() && visible.iter().any(|to| to == "*")
}

fn port_number(node: &Node) -> Option<u16> {
    match node.value {
        model::Value::Int(number) => u16::try_from(number).ok(),
        _ => None,
    }
}

/// Whether a key stands anywhere in a tree.
fn mentions(node: &Node, key: &str) -> bool {
    node.entries()
        .iter()
        .any(|entry| &*entry.key == key || mentions(&entry.node, key))
        || node.items().iter().any(|item| mentions(item, key))
}

/// A way by a rule for TLS or TCP, of which the conditions are not looked at.
fn connection_way<'a>(
    context: &Context<'a>,
    object: &'a Object<VirtualService>,
    routes: &[RouteDestination],
) -> Way<'a> {
    let mut way = Way {
        condition: Condition {
            complete: false,
            ..Condition::always()
        },
        edits: Edits::default(),
        places: Vec::new(),
        elsewhere: false,
        answered: false,
        router: Some(&object.id),
        cors: None,
    };
    for destination in routes.iter().map(|route| &route.destination) {
        match context.host(&destination.host, object.namespace()) {
            Host::Service(service) => {
                let port = destination.port.as_ref().and_then(|port| port.number);
                way.places.push(place(service, port.map(|port| port.0)));
            }
            _ => way.elsewhere = true,
        }
    }
    way
}

/// What the filters of a rule of an HTTPRoute may change, without looking at the values.
fn route_edits(rule: &Node) -> Edits {
    let mut edits = Edits::default();
    if mentions(rule, "urlRewrite") {
        edits.path = mentions(rule, "path").then_some(PathEdit::Opaque);
        edits.host = mentions(rule, "hostname").then_some(HeaderEdit::Opaque);
    }
    edits.unknown = mentions(rule, "requestHeaderModifier");
    edits
}
