//! WasmPlugin and TrafficExtension: from pods that a selector selects to Services that a waypoint serves.

use super::attach;
use super::behind::{Attachable, Namespace, Target};
use super::{field, is_targeted, spec, text};
use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use crate::convert::targets::{self, To};
use crate::convert::{Change, Disposition, Sink};
use model::traffic::ServicePort;
use model::values::PortRef;
use model::virtual_service::VirtualService;
use model::workload::PodTemplate;
use model::{Kind, Node, Object};
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

type Extension = Object<()>;
type ExtensionNotes<'a> = Notes<'a, ()>;

/// Filters of an HTTPRoute that change what the server sees.
const EDITS: [&str; 2] = ["URLRewrite", "RequestHeaderModifier"];

/// Converts all extensions of a mesh.
pub fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    let mut by_namespace: BTreeMap<&str, Vec<&Extension>> = BTreeMap::new();
    for kind in [&Kind::WasmPlugin, &Kind::TrafficExtension] {
        for object in context.mesh.others_of(kind) {
            by_namespace.entry(object.namespace()).or_default().push(object);
        }
    }
    for (namespace, objects) in by_namespace {
        let namespace = Namespace::of(context, namespace);
        for object in objects {
            let mut notes = Notes::on(object);
            if is_targeted(object) {
                sink.put(object, Disposition::NothingToDo, Vec::new(), Vec::new());
                continue;
            }
            let changes = convert(context, &namespace, object, &mut notes);
            let (disposition, changes) = if notes.is_kept() {
                (Disposition::Kept, Vec::new())
            } else {
                (Disposition::Converted, changes)
            };
            sink.put(object, disposition, changes, notes.into_findings());
        }
    }
}

fn convert(
    context: &Context<'_>,
    namespace: &Namespace<'_>,
    object: &Extension,
    notes: &mut ExtensionNotes<'_>,
) -> Vec<Change> {
    crate::convert::check_certainty(context, object, notes);
    let Some(traffic) = Traffic::of(object, notes) else {
        return Vec::new();
    };
    let selects = !attach::selector(object).match_labels.is_empty();
    let groups = if object.namespace() != context.mesh.settings.root_namespace {
        for_services(namespace, object, &traffic, notes)
    } else if selects {
        let message = "in the root namespace the selector counts for the whole mesh, but targetRefs name Services of their own namespace only";
        notes.keep(Code::ExtensionOfMeshPods, &spec(&["selector"]), message);
        Vec::new()
    } else {
        for_mesh(context, object, &traffic, notes)
    };
    if notes.is_kept() {
        return Vec::new();
    }
    tell_differences(&traffic, notes);
    attach::copies(context, object, groups)
}

type Groups = Vec<(Map<String, Json>, Vec<To>)>;

fn for_mesh(
    context: &Context<'_>,
    object: &Extension,
    traffic: &Traffic,
    notes: &mut ExtensionNotes<'_>,
) -> Groups {
    let routers = context
        .mesh
        .virtual_services
        .iter()
        .filter(|router| router.spec.applies_to_mesh());
    if let Some(router) = routers.into_iter().find(|router| edits(&router.spec)) {
        let message = format!(
            "{} changes requests before the extension saw them; at a waypoint it sees them first",
            router.id
        );
        notes.keep(Code::ExtensionSeesOtherRequest, &spec(&[]), message);
    }
    let routes = context
        .mesh
        .routes
        .iter()
        .filter(|route| !crate::convert::is_ours(&route.meta.labels));
    if let Some(route) = routes
        .into_iter()
        .find(|route| route.spec.rules.iter().any(|rule| edits_in(&rule.0)))
    {
        let message = format!(
            "{} changes requests before the extension saw them; at a waypoint it sees them first",
            route.id
        );
        notes.keep(Code::ExtensionSeesOtherRequest, &spec(&[]), message);
    }
    if traffic.ports.is_some() {
        let message = "the ports are those of pods; which ports of which Services they are differs, and one object is for all waypoints";
        notes.keep(Code::ExtensionPorts, &spec(&["match"]), message);
    }
    if let Some((path, secret)) = pull_secret(object) {
        let message =
            format!("the Secret `{secret}` must be in the namespace of every waypoint that loads the module");
        notes.tell(Code::ExtensionPullSecret, &path, message);
    }
    vec![(traffic.fields(object, None), vec![To::AllWaypoints])]
}

fn for_services(
    namespace: &Namespace<'_>,
    object: &Extension,
    traffic: &Traffic,
    notes: &mut ExtensionNotes<'_>,
) -> Groups {
    let place = spec(&["selector"]);
    let selector = attach::selector(object);
    let targets = match namespace.attachable(&selector, object.namespace()) {
        Attachable::To(targets) => targets,
        Attachable::Partly(message) => {
            notes.keep(Code::ExtensionPartial, &place, message);
            return Vec::new();
        }
        Attachable::Nowhere(message) => {
            notes.keep(Code::ExtensionNotAttached, &place, message);
            return Vec::new();
        }
    };
    if let Some(router) = namespace.foreign(&selector) {
        let message = format!(
            "{} leads requests for a Service of another namespace to the pods; the waypoint of that Service would not run the extension",
            router.id
        );
        notes.keep(Code::ExtensionSeesOtherRequest, &place, message);
    }
    let mut groups: BTreeMap<Option<Vec<u16>>, Vec<To>> = BTreeMap::new();
    for target in targets {
        check_routes(object, target, notes);
        match traffic.at(target, &target.pods) {
            Ports::Every => groups.entry(None).or_default(),
            Ports::These(ports) => groups.entry(Some(ports)).or_default(),
            Ports::None => continue,
            Ports::Unclear(message) => {
                notes.keep(Code::ExtensionPorts, &spec(&["match"]), message);
                continue;
            }
        }
        .push(To::Service(target.service.name().to_owned()));
    }
    if groups.is_empty() && !notes.is_kept() {
        let message = "no Service leads to the ports that the extension is for";
        notes.keep(Code::ExtensionNotAttached, &spec(&["match"]), message);
    }
    groups
        .into_iter()
        .map(|(ports, refs)| (traffic.fields(object, ports.as_deref()), refs))
        .collect()
}

/// An extension at the server saw what a route had made of a request; at a waypoint it runs before the route.
fn check_routes(object: &Extension, target: &Target<'_>, notes: &mut ExtensionNotes<'_>) {
    let place = spec(&["selector"]);
    for router in &target.routers {
        if edits(&router.spec) {
            let message = format!(
                "{} changes requests to or from {} before the extension saw them; at the waypoint it sees them first",
                router.id, target.service.id
            );
            notes.keep(Code::ExtensionSeesOtherRequest, &place, message);
        }
        let answers = router
            .spec
            .http
            .iter()
            .any(|rule| rule.fault.is_some() || rule.cors_policy.is_some());
        if answers
            && matches!(
                field(object, &["phase"]).and_then(Node::as_str),
                None | Some("STATS" | "UNSPECIFIED_PHASE" | "UNSPECIFIED")
            )
        {
            let message = format!(
                "{} injects faults or answers preflights of {}; the extension comes behind these, so it does not see such requests",
                router.id, target.service.id
            );
            notes.tell(Code::ExtensionAfterFault, &spec(&["phase"]), message);
        }
    }
    if target.rules.iter().any(|rule| edits_in(rule)) {
        let message = format!(
            "a route of {} changes requests before the extension saw them; at the waypoint it sees them first",
            target.service.id
        );
        notes.keep(Code::ExtensionSeesOtherRequest, &place, message);
    }
}

/// Whether a rule of an HTTPRoute changes what the server sees.
fn edits_in(rule: &Node) -> bool {
    let backends = rule.get("backendRefs").map_or(&[][..], Node::items);
    std::iter::once(rule)
        .chain(backends)
        .flat_map(|part| part.get("filters").map_or(&[][..], Node::items))
        .any(|filter| text(filter, "type").is_some_and(|kind| EDITS.contains(&kind)))
}

/// Whether a rule of a VirtualService changes what the server sees.
fn edits(service: &VirtualService) -> bool {
    service.http.iter().any(|rule| {
        let mut headers = rule
            .headers
            .iter()
            .chain(rule.route.iter().filter_map(|route| route.headers.as_ref()));
        rule.rewrite.is_some() || headers.any(|headers| headers.request.is_some())
    })
}

fn tell_differences(traffic: &Traffic, notes: &mut ExtensionNotes<'_>) {
    if traffic.outbound {
        let message = "it ran on requests that the pods send, too; at the waypoint it runs on those that the Services receive";
        notes.tell(Code::ExtensionOutboundEnds, &spec(&["match"]), message);
    }
    let message = "it runs once per pod of the waypoint: counters and caches in it are shared by all pods of the program";
    notes.tell(Code::ExtensionShared, &spec(&[]), message);
}

/// The Secret with which the module is fetched.
fn pull_secret(object: &Extension) -> Option<(model::FieldPath, &str)> {
    [&["imagePullSecret"][..], &["wasm", "imagePullSecret"]]
        .into_iter()
        .find_map(|keys| Some((spec(keys), field(object, keys)?.as_str()?)))
}

/// For which requests an extension is.
struct Traffic {
    /// Whether it has a `match`, which is then written anew.
    restricted: bool,
    /// Whether it ran on requests that pods send, too.
    outbound: bool,
    /// Ports of pods; `None` for all.
    ports: Option<BTreeSet<u16>>,
    /// Whether it works below HTTP, where a waypoint compares ports.
    network: bool,
}

/// On which ports of a Service an extension is to run.
enum Ports {
    Every,
    These(Vec<u16>),
    None,
    Unclear(String),
}

impl Traffic {
    /// Reads `match`, of which one entry suffices; `None` where nothing of it is for incoming requests.
    fn of(object: &Extension, notes: &mut ExtensionNotes<'_>) -> Option<Self> {
        let entries = field(object, &["match"]).map_or(&[][..], Node::items);
        let is_for_clients = |entry: &&Node| text(entry, "mode") == Some("CLIENT");
        let inbound: Vec<&Node> = entries.iter().filter(|entry| !is_for_clients(entry)).collect();
        if !entries.is_empty() && inbound.is_empty() {
            let message = "it is for requests that the pods send (mode CLIENT); a waypoint counts as SERVER and never runs it";
            notes.keep(Code::ExtensionForClients, &spec(&["match"]), message);
            return None;
        }
        let ports_of = |entry: &&Node| -> Vec<u16> {
            let ports = entry.get("ports").map_or(&[][..], Node::items).iter();
            ports.filter_map(|port| number(port.get("number")?)).collect()
        };
        let any_port = inbound.iter().any(|entry| ports_of(entry).is_empty());
        let kind = [&["type"][..], &["wasm", "type"]]
            .into_iter()
            .find_map(|keys| field(object, keys)?.as_str());
        Some(Self {
            restricted: !entries.is_empty(),
            outbound: entries.is_empty() || entries.iter().any(|entry| text(entry, "mode") != Some("SERVER")),
            ports: (!inbound.is_empty() && !any_port).then(|| inbound.iter().flat_map(ports_of).collect()),
            network: kind == Some("NETWORK"),
        })
    }

    fn at(&self, target: &Target<'_>, templates: &[&PodTemplate]) -> Ports {
        let Some(wanted) = &self.ports else {
            return Ports::Every;
        };
        let candidates = target
            .service
            .spec
            .ports
            .iter()
            .filter(|port| self.network || port.may_be_http());
        let (mut chosen, mut others) = (Vec::new(), Vec::new());
        for port in candidates {
            let Some(number) = port.port else { continue };
            match pod_port(port, number.0, templates) {
                Some(target) if wanted.contains(&target) => chosen.push(number.0),
                Some(_) => others.push(number.0),
                None => {
                    return Ports::Unclear(format!(
                        "port {number} of {} leads to a named port of the pods, whose number is not in the input or not the same for all of them",
                        target.service.id
                    ));
                }
            }
        }
        match (chosen.is_empty(), others.first()) {
            (true, _) => Ports::None,
            (false, None) if !self.network => Ports::Every,
            (false, _) if self.network => Ports::These(chosen),
            (false, other) => Ports::Unclear(format!(
                "it is for some ports of {}, but at the waypoint it would run on port {} too",
                target.service.id,
                other.copied().unwrap_or_default()
            )),
        }
    }

    /// The fields of a copy: a waypoint counts as SERVER, and takes no ports for HTTP.
    fn fields(&self, object: &Extension, ports: Option<&[u16]>) -> Map<String, Json> {
        let mut fields = targets::unscoped_spec(object);
        if self.restricted {
            let mut only = json!({ "mode": "SERVER" });
            if let Some(ports) = ports {
                only["ports"] = ports.iter().map(|port| json!({ "number": port })).collect();
            }
            fields.insert("match".into(), json!([only]));
        }
        fields
    }
}

fn number(node: &Node) -> Option<u16> {
    node.scalar_text()?.parse().ok()
}

/// The port of the pods to which a port of a Service leads; `None` where that is not known.
fn pod_port(port: &ServicePort, number: u16, templates: &[&PodTemplate]) -> Option<u16> {
    let name = match &port.target_port {
        None => return Some(number),
        Some(PortRef::Number(target)) => return Some(*target),
        Some(PortRef::Name(name)) => name,
    };
    let of_template = |template: &&PodTemplate| {
        let mut ports = template
            .spec
            .containers
            .iter()
            .flat_map(|container| &container.ports);
        let found = ports.find(|port| port.name.as_deref() == Some(name))?;
        found.container_port.map(|port| port.0)
    };
    let numbers: BTreeSet<Option<u16>> = templates.iter().map(of_template).collect();
    match numbers.into_iter().collect::<Vec<_>>().as_slice() {
        [Some(only)] => Some(*only),
        _ => None,
    }
}
