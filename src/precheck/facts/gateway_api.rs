//! CRDs of the Gateway API, and labels that name waypoints.

use super::SubjectFacts;
use super::index::Index;
use super::located::{Located, of_mesh};
use super::workloads::count;
use crate::finding::Location;
use model::traffic::Gateway;
use model::{FieldPath, Kind, Mesh, Node, Object, Workload};
use rules::facts::{GatewayApi, GatewayApiCrd, WaypointReference};
use semantics::ztunnel;
use std::collections::HashMap;

const GROUP: &str = "gateway.networking.k8s.io";
/// CRDs without which there are no waypoints.
const NEEDED: [(&str, Kind); 3] = [
    ("gateways", Kind::Gateway),
    ("gatewayclasses", Kind::GatewayClass),
    ("httproutes", Kind::HttpRoute),
];
/// The oldest bundle whose CRD istiod accepts, by kind. Source: istio/istio
/// `pkg/config/schema/gatewayapi/minimumversions.go`.
const FLOORS: [(&str, &str); 4] = [
    ("GRPCRoute", "v1.1.0"),
    ("BackendTLSPolicy", "v1.4.0"),
    ("TLSRoute", "v1.5.0"),
    ("TCPRoute", "v1.6.0"),
];

/// Subject: the CRDs together.
pub fn crds_as_one(index: &Index<'_>) -> Vec<SubjectFacts> {
    let mesh = index.mesh;
    let present: Vec<&str> = mesh
        .others_of(&Kind::CustomResourceDefinition)
        .filter_map(|crd| crd.name().strip_suffix(GROUP)?.strip_suffix('.'))
        .collect();
    let (known, missing): (bool, Vec<&str>) = match &mesh.coverage {
        model::Coverage::Cluster(cluster) => {
            let absent = NEEDED
                .iter()
                .filter(|(_, kind)| cluster.not_installed.contains(kind));
            (true, absent.map(|(plural, _)| *plural).collect())
        }
        model::Coverage::Files => {
            let absent = NEEDED.iter().map(|(plural, _)| *plural);
            (
                !present.is_empty(),
                absent.filter(|p| !present.contains(p)).collect(),
            )
        }
    };
    let facts = GatewayApi {
        known,
        missing: missing.iter().map(|plural| format!("{plural}.{GROUP}")).collect(),
        needed_by: needed_by(mesh).unwrap_or_default(),
    };
    vec![SubjectFacts::new(facts, of_mesh(mesh))]
}

/// The first thing in the input that needs a waypoint.
fn needed_by(mesh: &Mesh) -> Option<String> {
    let policy = mesh
        .authorization_policies
        .iter()
        .find(|policy| policy.spec.is_targeted() || ztunnel::needs_waypoint(&policy.spec));
    let authentication = mesh.request_authentications.first();
    let service = mesh
        .virtual_services
        .iter()
        .find(|vs| !vs.spec.http.is_empty() && vs.spec.applies_to_mesh());
    policy
        .map(|p| p.id.to_string())
        .or_else(|| authentication.map(|a| a.id.to_string()))
        .or_else(|| service.map(|s| s.id.to_string()))
}

/// Subjects: single CRDs.
pub fn crds(index: &Index<'_>) -> Vec<SubjectFacts> {
    let mesh = index.mesh;
    mesh.others_of(&Kind::CustomResourceDefinition)
        .filter(|crd| crd.name().ends_with(GROUP))
        .map(|crd| {
            let annotation = format!("{GROUP}/bundle-version");
            let kind = crd
                .raw
                .at(&["spec", "names", "kind"])
                .and_then(Node::as_str)
                .unwrap_or_default();
            let version = crd.meta.annotations.get(&annotation).cloned().unwrap_or_default();
            let floor = FLOORS
                .iter()
                .find(|(k, _)| *k == kind)
                .map_or("", |(_, floor)| *floor);
            let facts = GatewayApiCrd {
                kind: kind.to_owned(),
                too_old: !floor.is_empty() && !version.is_empty() && parts(&version) < parts(floor),
                version,
                floor: floor.to_owned(),
                objects: count(mesh.ids().filter(|id| id.kind == Kind::new(GROUP, kind)).count()),
            };
            let path = FieldPath::root()
                .key("metadata")
                .key("annotations")
                .key(&annotation);
            SubjectFacts::new(facts, Location::of_object(crd))
                .with("version", Some(Location::of_field(crd, &path)))
        })
        .collect()
}

fn parts(version: &str) -> Vec<u32> {
    version
        .trim_start_matches('v')
        .split(['.', '-'])
        .take(3)
        .map(|part| part.parse().unwrap_or(0))
        .collect()
}

/// A label that names a waypoint.
struct Reference {
    object: String,
    waypoint: String,
    namespace: String,
    place: Location,
}

/// Subjects: labels that name waypoints.
pub fn waypoint_references(index: &Index<'_>) -> Vec<SubjectFacts> {
    let mesh = index.mesh;
    let gateways: HashMap<(&str, &str), &Object<Gateway>> = mesh
        .gateways
        .iter()
        .map(|g| ((g.namespace(), g.name()), g))
        .collect();
    references(mesh)
        .into_iter()
        .map(|reference| {
            let gateway = gateways.get(&(reference.namespace.as_str(), reference.waypoint.as_str()));
            let neighbours = mesh.gateways.iter().any(|g| g.namespace() == reference.namespace);
            let facts = WaypointReference {
                object: reference.object,
                waypoint: format!("{}/{}", reference.namespace, reference.waypoint),
                exists: gateway.is_some(),
                known: neighbours || mesh.coverage.is_complete(&Kind::Gateway),
                not_ready: gateway.is_some_and(|g| is_not_ready(&g.raw)),
            };
            SubjectFacts::new(facts, reference.place)
        })
        .collect()
}

/// Whether the status says that a Gateway is not ready; without a status nothing is said.
fn is_not_ready(gateway: &Node) -> bool {
    let Some(status) = gateway.get("status").filter(|s| !s.entries().is_empty()) else {
        return false;
    };
    let conditions = status.get("conditions").map(Node::items).unwrap_or_default();
    let programmed = conditions
        .iter()
        .find(|c| c.get("type").and_then(Node::as_str) == Some("Programmed"))
        .and_then(|c| c.get("status")?.as_str());
    let addresses = status.get("addresses").map(Node::items).unwrap_or_default();
    programmed.is_some_and(|p| p != "True") || addresses.is_empty()
}

fn references(mesh: &Mesh) -> Vec<Reference> {
    fn of_labels<T>(object: &Object<T>) -> Option<Reference> {
        let path = FieldPath::root().key("metadata").key("labels");
        let namespace = if object.id.kind == Kind::Namespace {
            object.name()
        } else {
            object.namespace()
        };
        reference(object, namespace, &object.meta.labels, &path)
    }
    let of_template = |workload: &Object<Workload>| {
        let path = Workload::template_path(&workload.id.kind)
            .key("metadata")
            .key("labels");
        let labels = &workload.spec.template.metadata.labels;
        reference(workload, workload.namespace(), labels, &path)
    };
    let mut found: Vec<Reference> = mesh.others_of(&Kind::Namespace).filter_map(of_labels).collect();
    found.extend(mesh.services.iter().filter_map(of_labels));
    found.extend(mesh.service_entries.iter().filter_map(of_labels));
    found.extend(mesh.workloads.iter().filter_map(of_template));
    found
}

fn reference<T>(
    object: &Object<T>,
    namespace: &str,
    labels: &std::collections::BTreeMap<String, String>,
    path: &FieldPath,
) -> Option<Reference> {
    let waypoint = labels
        .get("istio.io/use-waypoint")
        .filter(|name| *name != "none")?;
    let elsewhere = labels.get("istio.io/use-waypoint-namespace");
    Some(Reference {
        object: object.id.to_string(),
        waypoint: waypoint.clone(),
        namespace: elsewhere.map_or(namespace, String::as_str).to_owned(),
        place: Location::of_field(object, &path.key("istio.io/use-waypoint")),
    })
}

/// The waypoint that a Service uses, by its own label or its namespace's: `Some(None)` if it uses none, `None`
/// if the input does not tell.
pub fn waypoint_of<T>(index: &Index<'_>, object: &Object<T>) -> Option<Option<String>> {
    let own = object.meta.labels.get("istio.io/use-waypoint");
    if let Some(name) = own {
        return Some(Some(name.clone()).filter(|name| name != "none"));
    }
    let namespace = index.namespace(object.namespace())?;
    let inherited = namespace.meta.labels.get("istio.io/use-waypoint");
    Some(inherited.filter(|name| *name != "none").cloned())
}

/// Whether a Gateway of that name exists; `None` if the input does not tell.
pub fn gateway_exists(index: &Index<'_>, namespace: &str, name: &str) -> Option<bool> {
    let mesh = index.mesh;
    let found = mesh
        .gateways
        .iter()
        .any(|g| g.namespace() == namespace && g.name() == name);
    (found || mesh.coverage.is_complete(&Kind::Gateway)).then_some(found)
}

/// A condition in an object's status.
pub fn condition<'a>(object: &Located<'a>, kind: &str) -> Option<(String, String)> {
    let conditions = object.at(&["status", "conditions"])?;
    let found = conditions
        .items()
        .find(|c| c.at(&["type"]).and_then(|t| t.text()).as_deref() == Some(kind))?;
    let text = |key: &str| found.at(&[key]).and_then(|t| t.text()).unwrap_or_default();
    Some((text("status"), text("reason")))
}
