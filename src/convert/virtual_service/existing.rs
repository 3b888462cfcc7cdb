//! Routes of the Gateway API that are in the input already: what of them means less, or more, than it seems to.

use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use crate::convert::waypoint::Bound;
use crate::convert::{Sink, is_ours};
use model::meta::Object;
use model::traffic::{HttpRouteResource, ParentReference};
use model::{FieldPath, Kind, Node};
use std::collections::{HashMap, HashSet};

type RouteNotes<'a> = Notes<'a, HttpRouteResource>;

/// Looks at every route that this program did not write. What becomes of routes is said elsewhere; this adds findings.
pub fn check_all(context: &Context<'_>, sink: &mut Sink) {
    let waypoints: HashSet<(&str, &str)> = context
        .mesh
        .gateways
        .iter()
        .filter(|gateway| gateway.spec.gateway_class_name.starts_with("istio-waypoint"))
        .map(|gateway| (gateway.namespace(), gateway.name()))
        .collect();
    let attached = Attached::of(context);
    for route in context
        .mesh
        .routes
        .iter()
        .filter(|route| !is_ours(&route.meta.labels))
    {
        let mut notes = Notes::on(route);
        for (index, parent) in route.spec.parent_refs.iter().enumerate() {
            let path = FieldPath::spec().key("parentRefs").index(index);
            let namespace = parent.namespace.as_deref().unwrap_or(route.namespace());
            if is_gateway(parent) && waypoints.contains(&(namespace, parent.name.as_str())) {
                let message = format!(
                    "`{}` is a waypoint, whose listener takes no routes: the route has no effect; attach it to the Services that it is for",
                    parent.name
                );
                notes.tell(Code::RouteOnWaypoint, &path, message);
            }
            if is_service(parent) {
                attached.check(route, parent, namespace, &path, &mut notes);
                check_waypoint(context, namespace, parent, &path, &mut notes);
            }
        }
        check_hostnames(route, &mut notes);
        sink.conversion.findings.extend(notes.into_findings());
    }
}

fn is_gateway(parent: &ParentReference) -> bool {
    let group = parent.group.as_deref().unwrap_or("gateway.networking.k8s.io");
    group == "gateway.networking.k8s.io" && parent.kind.as_deref().unwrap_or("Gateway") == "Gateway"
}

fn is_service(parent: &ParentReference) -> bool {
    matches!(parent.group.as_deref(), Some("" | "core")) && parent.kind.as_deref() == Some("Service")
}

fn check_waypoint(
    context: &Context<'_>,
    namespace: &str,
    parent: &ParentReference,
    path: &FieldPath,
    notes: &mut RouteNotes<'_>,
) {
    if let Some(service) = context.mesh.service(namespace, &parent.name)
        && matches!(context.bound(service), Bound::Nowhere | Bound::Unlabelled)
    {
        let message = format!(
            "neither {} nor its namespace uses a waypoint: sidecars take the route, ambient clients do not, whatever its status says",
            service.id
        );
        notes.tell(Code::NoWaypointInPath, path, message);
    }
}

/// For a parent in the mesh the host is the parent's; `hostnames` do not count.
fn check_hostnames(route: &Object<HttpRouteResource>, notes: &mut RouteNotes<'_>) {
    let for_mesh = route.spec.parent_refs.iter().any(is_service);
    if for_mesh
        && !route.spec.hostnames.is_empty()
        && matches!(route.id.kind, Kind::HttpRoute | Kind::GrpcRoute)
    {
        notes.tell(
            Code::HostnamesIgnored,
            &FieldPath::spec().key("hostnames"),
            "for a Service as parent the host names do not count: the rules hold for every request to the Service",
        );
    }
}

/// What the routes of one Service are like.
#[derive(Default)]
struct Shape<'a> {
    /// A route for all ports, and one for a port.
    for_all_ports: Option<&'a Object<HttpRouteResource>>,
    for_one_port: Option<&'a Object<HttpRouteResource>>,
    /// An HTTPRoute with a rule for every path.
    for_all_paths: Option<&'a Object<HttpRouteResource>>,
}

/// The HTTPRoutes and GRPCRoutes of each Service.
struct Attached<'a> {
    services: HashMap<(&'a str, &'a str), Shape<'a>>,
}

impl<'a> Attached<'a> {
    fn of(context: &Context<'a>) -> Self {
        let mut services: HashMap<(&str, &str), Shape<'_>> = HashMap::new();
        for route in context.mesh.routes.iter().filter(|route| is_layer_7(route)) {
            for parent in route.spec.parent_refs.iter().filter(|parent| is_service(parent)) {
                let namespace = parent.namespace.as_deref().unwrap_or(route.namespace());
                let shape = services.entry((namespace, &parent.name)).or_default();
                if parent.port.is_some() {
                    shape.for_one_port.get_or_insert(route);
                } else {
                    shape.for_all_ports.get_or_insert(route);
                }
                if route.id.kind == Kind::HttpRoute && route.spec.rules.iter().any(|r| takes_every_path(&r.0))
                {
                    shape.for_all_paths.get_or_insert(route);
                }
            }
        }
        Self { services }
    }

    fn check(
        &self,
        route: &Object<HttpRouteResource>,
        parent: &ParentReference,
        namespace: &str,
        path: &FieldPath,
        notes: &mut RouteNotes<'_>,
    ) {
        let Some(shape) = self.services.get(&(namespace, parent.name.as_str())) else {
            return;
        };
        if parent.port.is_none()
            && is_layer_7(route)
            && let Some(other) = shape.for_one_port.filter(|other| other.id != route.id)
        {
            let message = format!(
                "{} is for one port of the same Service, this route for all: they are not joined. A sidecar takes only one of them, a waypoint one after the other; give both a port, or none",
                other.id
            );
            notes.tell(Code::RoutesWithAndWithoutPort, path, message);
        }
        let by_header_only =
            route.id.kind == Kind::GrpcRoute && route.spec.rules.iter().any(|rule| names_no_method(&rule.0));
        if by_header_only && let Some(other) = shape.for_all_paths {
            let message = format!(
                "a rule names no service or method, so it comes after every path of {}, which takes everything: it is never tried",
                other.id
            );
            notes.tell(Code::GrpcRuleNeverTried, path, message);
        }
    }
}

fn is_layer_7(route: &Object<HttpRouteResource>) -> bool {
    matches!(route.id.kind, Kind::HttpRoute | Kind::GrpcRoute)
}

/// Whether a rule of an HTTPRoute has a match for every path; that is the default of the API.
fn takes_every_path(rule: &Node) -> bool {
    let matches = rule.get("matches").map_or(&[][..], Node::items);
    matches.is_empty()
        || matches.iter().any(|wanted| {
            let text = |key| wanted.at(&["path", key]).and_then(Node::as_str);
            let only_path = ["headers", "queryParams", "method"]
                .iter()
                .all(|key| wanted.get(key).is_none());
            only_path
                && text("type").unwrap_or("PathPrefix") == "PathPrefix"
                && text("value").unwrap_or("/") == "/"
        })
}

/// Whether a rule of a GRPCRoute has a match without service and method.
fn names_no_method(rule: &Node) -> bool {
    let matches = rule.get("matches").map_or(&[][..], Node::items);
    matches.is_empty() || matches.iter().any(|wanted| wanted.get("method").is_none())
}
