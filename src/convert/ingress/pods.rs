//! The pods of a gateway: which Service is in front of them, and who else configures them.

use super::servers::Server;
use crate::code::Code;
use crate::convert::assumed::is_assumed;
use crate::convert::context::Context;
use crate::convert::is_ours;
use crate::convert::notes::Notes;
use model::security::is_subset;
use model::traffic::{IstioGateway, Service};
use model::{FieldPath, Kind, Mesh, Node, Object, Workload};
use std::collections::{BTreeMap, BTreeSet};

type GatewayNotes<'a> = Notes<'a, IstioGateway>;
type Labels = BTreeMap<String, String>;

/// Switches off that the port of a server is one of the Service (istio/istio:pilot/pkg/model/gateway.go).
const NO_PORT_TRANSLATION: &str = "experimental.istio.io/disable-gateway-port-translation";

/// The workloads and pods of the input that a selector fits, in all namespaces.
fn selected<'m>(mesh: &'m Mesh, selector: &Labels) -> Vec<&'m Object<Workload>> {
    let all = mesh.workloads.iter().chain(&mesh.pods);
    all.filter(|workload| is_subset(selector, &workload.spec.template.metadata.labels))
        .collect()
}

/// The Service through which clients reach all pods of a gateway, and nothing of which is another gateway's.
pub fn service<'m>(
    context: &Context<'m>,
    object: &Object<IstioGateway>,
    servers: &[Server],
    notes: &mut GatewayNotes<'_>,
) -> Option<&'m Object<Service>> {
    let selector = &object.spec.selector;
    let place = FieldPath::spec().key("selector");
    if selector.is_empty() {
        notes.keep(
            Code::IngressService,
            &place,
            "without a selector the object is for every gateway pod of the mesh",
        );
        return None;
    }
    let mesh = context.mesh;
    let pods = selected(mesh, selector);
    let namespaces: BTreeSet<&str> = pods.iter().map(|pod| pod.namespace()).collect();
    let in_front = |service: &&Object<Service>| {
        let wanted = &service.spec.selector;
        let fits = if pods.is_empty() {
            is_subset(selector, wanted)
        } else {
            let labels = |pod: &&Object<Workload>| is_subset(wanted, &pod.spec.template.metadata.labels);
            namespaces.contains(service.namespace()) && pods.iter().all(labels)
        };
        fits && !wanted.is_empty() && !is_assumed(service) && !service.spec.is_external_name()
    };
    let services: Vec<_> = mesh.services.iter().filter(in_front).collect();
    let homes: BTreeSet<&str> = services.iter().map(|service| service.namespace()).collect();
    if namespaces.len() > 1 || homes.len() > 1 {
        notes.keep(
            Code::IngressService,
            &place,
            "the selector fits pods in several namespaces, and a Gateway is for pods of its own namespace",
        );
        return None;
    }
    if let Some(service) = services
        .iter()
        .find(|service| service.meta.labels.contains_key(NO_PORT_TRANSLATION))
    {
        let message = format!(
            "{} has the label `{NO_PORT_TRANSLATION}`: the ports of the servers are those of the pods, and listeners have the ports of the Service",
            service.id
        );
        notes.keep(Code::IngressService, &place, message);
        return None;
    }
    let chosen = choose(&services, servers, notes)?;
    if pods.is_empty() {
        let message = format!(
            "no pods of the input fit the selector; the new Gateway is for those behind {}, whose selector asks for the same labels",
            chosen.id
        );
        notes.tell(Code::IngressPodsUnknown, &place, message);
    }
    Some(chosen)
}

/// Of several Services the one with all ports; one for clients outside comes first.
fn choose<'m>(
    services: &[&'m Object<Service>],
    servers: &[Server],
    notes: &mut GatewayNotes<'_>,
) -> Option<&'m Object<Service>> {
    let place = FieldPath::spec().key("selector");
    let port_of = |service: &Object<Service>, wanted: u16| {
        let ports = service.spec.ports.iter();
        let mut fitting = ports.filter(|port| port.port.is_some_and(|port| port.0 == wanted));
        fitting.next().map(|port| port.target_port.clone())
    };
    for server in servers {
        let targets: Vec<_> = services
            .iter()
            .filter_map(|service| port_of(service, server.port))
            .collect();
        if targets.windows(2).any(|pair| pair[0] != pair[1]) {
            let message = format!(
                "several Services lead port {} to different ports of the pods, and which of them the server has is not said",
                server.port
            );
            notes.keep(
                Code::IngressService,
                &server.path.key("port").key("number"),
                message,
            );
            return None;
        }
    }
    let has_all = |service: &&&Object<Service>| {
        servers
            .iter()
            .all(|server| port_of(service, server.port).is_some())
    };
    let is_inside = |service: &Object<Service>| service.spec.kind.as_deref() != Some("LoadBalancer");
    let chosen = services
        .iter()
        .filter(has_all)
        .min_by_key(|s| (is_inside(s), &s.id));
    if chosen.is_none() {
        let message = match services.first() {
            None => "no Service of the input is in front of all pods that the selector fits; without one a Gateway would get pods and a load balancer of its own".to_owned(),
            Some(service) => format!(
                "{} lacks a port of the servers, and a listener has ports of the Service only",
                service.id
            ),
        };
        notes.keep(Code::IngressService, &place, message);
    }
    chosen.copied()
}

/// Whether two selectors may fit the same pod.
pub fn may_share(mesh: &Mesh, a: &Object<IstioGateway>, b: &Object<IstioGateway>) -> bool {
    let (a, b) = (&a.spec.selector, &b.spec.selector);
    let of_a = selected(mesh, a);
    if !of_a.is_empty() {
        let is_of_b = |pod: &&Object<Workload>| is_subset(b, &pod.spec.template.metadata.labels);
        return of_a.iter().any(is_of_b);
    }
    a.iter()
        .all(|(key, value)| b.get(key).is_none_or(|other| other == value))
}

/// Keeps a Gateway whose pods are configured by more than Gateways of one namespace.
pub fn check_others(
    context: &Context<'_>,
    object: &Object<IstioGateway>,
    service: &Object<Service>,
    notes: &mut GatewayNotes<'_>,
) {
    let mesh = context.mesh;
    let place = FieldPath::spec().key("selector");
    for other in &mesh.istio_gateways {
        if other.namespace() != object.namespace() && may_share(mesh, object, other) {
            let message = format!(
                "{} is for the same pods and lies in another namespace; pods that several teams configure are left alone",
                other.id
            );
            notes.keep(Code::IngressPodsShared, &place, message);
            break;
        }
    }
    let host = context.service_host(service);
    for gateway in mesh
        .gateways
        .iter()
        .filter(|gateway| !is_ours(&gateway.meta.labels))
    {
        let addresses = gateway
            .raw
            .at(&["spec", "addresses"])
            .map_or(&[][..], Node::items);
        let names_it = |address: &Node| {
            let value = address.get("value").and_then(Node::as_str).unwrap_or_default();
            value == host || (value == service.name() && gateway.namespace() == service.namespace())
        };
        if addresses.iter().any(names_it) {
            let message = format!("{} is bound to {} already", gateway.id, service.id);
            notes.keep(Code::IngressPodsShared, &place, message);
        }
    }
    check_filters(context, object, service, notes);
}

/// An EnvoyFilter finds what it changes by names that istiod makes of the old objects.
fn check_filters(
    context: &Context<'_>,
    object: &Object<IstioGateway>,
    service: &Object<Service>,
    notes: &mut GatewayNotes<'_>,
) {
    let mesh = context.mesh;
    let root = mesh.settings.root_namespace.as_str();
    let pods = selected(mesh, &object.spec.selector);
    for filter in mesh.others_of(&Kind::EnvoyFilter) {
        let spec = |keys: &[&str]| filter.raw.get("spec").and_then(|spec| spec.at(keys));
        let reaches = filter.namespace() == service.namespace() || filter.namespace() == root;
        let is_attached = spec(&["targetRefs"]).is_some_and(|targets| !targets.items().is_empty());
        let wanted: Labels = spec(&["workloadSelector", "labels"])
            .map_or(&[][..], Node::entries)
            .iter()
            .filter_map(|entry| Some((entry.key.to_string(), entry.node.scalar_text()?)))
            .collect();
        let fits = if pods.is_empty() {
            let clash = |(key, value): (&String, &String)| {
                service.spec.selector.get(key).is_some_and(|own| own != value)
            };
            !wanted.iter().any(clash)
        } else {
            pods.iter()
                .any(|pod| is_subset(&wanted, &pod.spec.template.metadata.labels))
        };
        let patches = spec(&["configPatches"]).map_or(&[][..], Node::items);
        let is_for_gateways = |patch: &Node| {
            let context = patch.at(&["match", "context"]).and_then(Node::as_str);
            matches!(context, None | Some("ANY" | "GATEWAY"))
        };
        if reaches && fits && !is_attached && patches.iter().any(is_for_gateways) {
            let message = format!(
                "{} changes what istiod makes for the pods, and finds it by names that come from this object and its VirtualServices",
                filter.id
            );
            notes.keep(
                Code::IngressEnvoyFilter,
                &FieldPath::spec().key("selector"),
                message,
            );
        }
    }
}

/// Whether a proxy in front of the gateway says which requests came by TLS: those the old redirect lets pass.
pub fn trusts_a_proxy(context: &Context<'_>, object: &Object<IstioGateway>) -> bool {
    let of_pods = selected(context.mesh, &object.spec.selector)
        .into_iter()
        .any(|pod| {
            let annotations = &pod.spec.template.metadata.annotations;
            annotations
                .get("proxy.istio.io/config")
                .is_some_and(|text| text.contains("numTrustedProxies"))
        });
    of_pods || context.mesh.settings.trusts_proxies
}
