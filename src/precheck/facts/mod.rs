//! Finds the facts of a mesh, once. What they mean is written in the crate `rules`.

mod calico;
mod cilium;
mod cni;
mod control_plane;
mod gateway_api;
mod hbone;
mod index;
mod located;
mod policies;
mod targets;
mod workloads;

use crate::finding::Location;
use index::Index;
use model::{Kind, Mesh, Object};
use rules::facts::MeshFacts;
use rules::{Facts, Subject};

/// One subject with the places that prove its facts.
#[derive(Debug)]
pub struct SubjectFacts {
    /// The facts.
    pub facts: Box<dyn Facts>,
    /// Where the subject itself stands.
    pub place: Location,
    /// Where single facts stand, by their names.
    pub places: Vec<(&'static str, Location)>,
}

impl SubjectFacts {
    fn new(facts: impl Facts + 'static, place: Location) -> Self {
        Self {
            facts: Box::new(facts),
            place,
            places: Vec::new(),
        }
    }

    fn with(mut self, fact: &'static str, place: Option<Location>) -> Self {
        self.places.extend(place.map(|place| (fact, place)));
        self
    }

    /// The place of a fact, or of the subject where the fact has none.
    #[must_use]
    pub fn place_of(&self, fact: Option<&str>) -> &Location {
        fact.and_then(|fact| self.places.iter().find(|(name, _)| *name == fact))
            .map_or(&self.place, |(_, place)| place)
    }
}

/// All subjects of one sort.
#[derive(Debug)]
pub struct SubjectSet {
    /// The sort.
    pub subject: Subject,
    /// The subjects.
    pub subjects: Vec<SubjectFacts>,
    /// Why more of them may exist than were read; `None` if these are all.
    pub gap: Option<String>,
}

/// Everything that conditions can ask about.
#[derive(Debug)]
pub struct MeshOfFacts {
    /// Facts of the mesh as a whole.
    pub mesh: MeshFacts,
    /// Facts by subject, in the order of [`Subject::ALL`].
    pub sets: Vec<SubjectSet>,
}

/// Finds all facts.
#[must_use]
pub fn find(mesh: &Mesh) -> MeshOfFacts {
    let index = Index::new(mesh);
    let facts = MeshFacts {
        in_cluster: mesh.coverage.is_cluster(),
        root_namespace: mesh.settings.root_namespace.clone(),
        sidecar_workloads: workloads::count(index.workloads.iter().filter(|w| w.candidate).count()),
        istiod_minors: index.istiods.iter().map(|i| i.minor).filter(|m| *m > 0).collect(),
    };
    let sets = Subject::ALL
        .iter()
        .map(|subject| {
            let (subjects, kinds) = of_subject(*subject, &index, &facts);
            SubjectSet {
                subject: *subject,
                gap: subjects.is_empty().then(|| gap(mesh, kinds)).flatten(),
                subjects,
            }
        })
        .collect();
    MeshOfFacts { mesh: facts, sets }
}

/// The subjects of a sort, and the kinds whose absence would have to be known to say that there are no more.
fn of_subject(
    subject: Subject,
    index: &Index<'_>,
    mesh: &MeshFacts,
) -> (Vec<SubjectFacts>, &'static [Kind]) {
    match subject {
        Subject::MeshFacts => (
            vec![SubjectFacts::new(mesh.clone(), located::of_mesh(index.mesh))],
            &[],
        ),
        Subject::IstioCni => (cni::istio_cni(index), &[]),
        Subject::Node => (cni::nodes(index), &[Kind::Pod, Kind::Node]),
        Subject::CniDirectory => (cni::directories(index), &[]),
        Subject::Aws => (cni::aws(index), &[Kind::DaemonSet]),
        Subject::Cilium => (cilium::settings(index), &[Kind::ConfigMap]),
        Subject::CiliumPolicy => (
            cilium::policies(index),
            &[Kind::CiliumNetworkPolicy, Kind::CiliumClusterwideNetworkPolicy],
        ),
        Subject::Calico => (
            calico::data_planes(index),
            &[Kind::FelixConfiguration, Kind::CalicoInstallation],
        ),
        Subject::CalicoFeature => (
            calico::features(index),
            &[
                Kind::CalicoApplicationLayer,
                Kind::CalicoNetworkPolicy,
                Kind::CalicoGlobalNetworkPolicy,
                Kind::CalicoRemoteCluster,
            ],
        ),
        Subject::Istiod => (control_plane::istiods(index), &[Kind::Deployment]),
        Subject::MeshConfig => (control_plane::mesh_configs(index), &[Kind::ConfigMap]),
        Subject::Component => (control_plane::components(index), &[Kind::DaemonSet]),
        Subject::HboneSetting => (hbone::settings(index), &[Kind::Deployment, Kind::ProxyConfig]),
        Subject::ProxyGroup => (hbone::proxy_groups(index), &[Kind::Pod]),
        Subject::GatewayApi => (gateway_api::crds_as_one(index), &[]),
        Subject::GatewayApiCrd => (gateway_api::crds(index), &[Kind::CustomResourceDefinition]),
        Subject::WaypointReference => (
            gateway_api::waypoint_references(index),
            &[Kind::Namespace, Kind::Service, Kind::ServiceEntry],
        ),
        Subject::Namespace => (workloads::namespaces(index), &[Kind::Namespace]),
        Subject::Workload => (workloads::workloads(index), &[Kind::Deployment, Kind::StatefulSet]),
        Subject::Policy => (policies::authorization(index), &[Kind::AuthorizationPolicy]),
        Subject::RequestAuthentication => (
            policies::request_authentication(index),
            &[Kind::RequestAuthentication],
        ),
        Subject::PeerAuthentication => (
            policies::peer_authentication(index),
            &[Kind::PeerAuthentication],
        ),
        Subject::RootPolicy => (
            policies::in_root_namespace(index),
            &[
                Kind::AuthorizationPolicy,
                Kind::RequestAuthentication,
                Kind::Telemetry,
                Kind::EnvoyFilter,
                Kind::WasmPlugin,
            ],
        ),
        Subject::TargetRef => (
            targets::references(index),
            &[Kind::AuthorizationPolicy, Kind::RequestAuthentication],
        ),
    }
}

/// Why "there is none" cannot be said of these kinds.
fn gap(mesh: &Mesh, kinds: &[Kind]) -> Option<String> {
    let missing: Vec<&Kind> = kinds
        .iter()
        .filter(|kind| !mesh.coverage.is_complete(kind) && !is_in_input(mesh, kind))
        .collect();
    let first = missing.first()?;
    Some(match &mesh.coverage {
        model::Coverage::Cluster(cluster) => match cluster.unreadable.get(first) {
            Some(reason) => format!("{first} could not be read: {reason}"),
            None => format!("only some namespaces were read, and {first} may exist in others"),
        },
        model::Coverage::Files => {
            let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
            format!("the input holds no {}", names.join(" and no "))
        }
    })
}

fn is_in_input(mesh: &Mesh, kind: &Kind) -> bool {
    fn any<T>(objects: &[Object<T>], kind: &Kind) -> bool {
        objects.iter().any(|object| object.id.kind == *kind)
    }
    match kind {
        Kind::AuthorizationPolicy => !mesh.authorization_policies.is_empty(),
        Kind::RequestAuthentication => !mesh.request_authentications.is_empty(),
        Kind::PeerAuthentication => !mesh.peer_authentications.is_empty(),
        Kind::Service => !mesh.services.is_empty(),
        Kind::ServiceEntry => !mesh.service_entries.is_empty(),
        Kind::Pod => !mesh.pods.is_empty(),
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => any(&mesh.workloads, kind),
        _ => any(&mesh.others, kind),
    }
}
