//! The pods of a gateway: which Service is in front of them, and who else configures them.

use super::servers::Server;
use crate::code::Code;
use crate::convert::assumed::is_assumed;
use crate::convert::context::Context;
use crate::convert::is_ours;
use crate::convert::notes::Notes;
use model::security::is_subset;
use model::settings::MeshSettings;
use model::traffic::{IstioGateway, Service};
use model::values::PortRef;
use model::{FieldPath, Kind, Mesh, Node, Object, Workload};
use std::collections::{BTreeMap, BTreeSet};

type GatewayNotes<'a> = Notes<'a, IstioGateway>;
type Labels = BTreeMap<String, String>;

/// Switches off that the port of a server is one of the Service (istio/istio:pilot/pkg/model/gateway.go).
const NO_PORT_TRANSLATION: &str = "experimental.istio.io/disable-gateway-port-translation";

/// The pods of a gateway.
pub struct Pods<'m> {
    mesh: &'m Mesh,
    gateway: &'m Object<IstioGateway>,
    /// The workloads and pods of the input that the selector fits, in all namespaces.
    selected: Vec<&'m Object<Workload>>,
}

fn labels<'m>(pod: &&'m Object<Workload>) -> &'m Labels {
    &pod.spec.template.metadata.labels
}

impl<'m> Pods<'m> {
    /// Looks for the pods of a gateway.
    pub fn of(mesh: &'m Mesh, gateway: &'m Object<IstioGateway>) -> Self {
        let all = mesh.workloads.iter().chain(&mesh.pods);
        let selector = &gateway.spec.selector;
        Self {
            mesh,
            gateway,
            selected: all.filter(|pod| is_subset(selector, labels(pod))).collect(),
        }
    }

    /// The Service through which clients reach all pods of the gateway.
    pub fn service(&self, servers: &[Server], notes: &mut GatewayNotes<'_>) -> Option<&'m Object<Service>> {
        let selector = &self.gateway.spec.selector;
        let place = FieldPath::spec().key("selector");
        if selector.is_empty() {
            notes.keep(
                Code::IngressService,
                &place,
                "without a selector the object is for every gateway pod of the mesh",
            );
            return None;
        }
        let pods = &self.selected;
        let namespaces: BTreeSet<&str> = pods.iter().map(|pod| pod.namespace()).collect();
        let in_front = |service: &&Object<Service>| {
            let wanted = &service.spec.selector;
            let fits = if pods.is_empty() {
                is_subset(selector, wanted)
            } else {
                namespaces.contains(service.namespace())
                    && pods.iter().all(|pod| is_subset(wanted, labels(pod)))
            };
            fits && !wanted.is_empty() && !is_assumed(service) && !service.spec.is_external_name()
        };
        let services: Vec<_> = self.mesh.services.iter().filter(in_front).collect();
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

    /// Whether the selector of another gateway may fit one of the pods.
    pub fn may_share(&self, other: &Labels) -> bool {
        if !self.selected.is_empty() {
            return self.selected.iter().any(|pod| is_subset(other, labels(pod)));
        }
        let own = &self.gateway.spec.selector;
        own.iter()
            .all(|(key, value)| other.get(key).is_none_or(|other| other == value))
    }

    /// Keeps a Gateway whose pods are configured by more than Gateways of one namespace.
    pub fn check_others(
        &self,
        context: &Context<'_>,
        service: &Object<Service>,
        notes: &mut GatewayNotes<'_>,
    ) {
        let (mesh, object) = (self.mesh, self.gateway);
        let place = FieldPath::spec().key("selector");
        for other in &mesh.istio_gateways {
            if other.namespace() != object.namespace() && self.may_share(&other.spec.selector) {
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
        self.check_filters(service, notes);
    }

    /// An EnvoyFilter finds what it changes by names that istiod makes of the old objects.
    fn check_filters(&self, service: &Object<Service>, notes: &mut GatewayNotes<'_>) {
        let mesh = self.mesh;
        let root = mesh.settings.root_namespace.as_str();
        let pods = &self.selected;
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
                pods.iter().any(|pod| is_subset(&wanted, labels(pod)))
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
    pub fn trust_a_proxy(&self, settings: &MeshSettings) -> bool {
        let of_pods = self.selected.iter().any(|pod| {
            let annotations = &pod.spec.template.metadata.annotations;
            let text = annotations.get("proxy.istio.io/config");
            text.is_some_and(|text| text.contains("numTrustedProxies"))
        });
        of_pods || settings.trusts_proxies
    }
}

/// Keeps a Gateway because of the port of one of its servers.
fn keep_port(server: &Server, message: String, notes: &mut GatewayNotes<'_>) {
    let number = server.path.key("port").key("number");
    notes.keep(Code::IngressService, &number, message);
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
            keep_port(server, message, notes);
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
    let mut targets: BTreeMap<_, u16> = BTreeMap::new();
    for server in servers {
        // Without a target the port of the pods is the same.
        let target = chosen.and_then(|service| port_of(service, server.port)).flatten();
        let target = target.unwrap_or(PortRef::Number(server.port));
        let known = targets.entry(target).or_insert(server.port);
        if *known != server.port {
            let message = format!(
                "ports {known} and {} of the Service are one port of the pods, where Istio joins their servers",
                server.port
            );
            keep_port(server, message, notes);
        }
    }
    chosen.copied()
}
