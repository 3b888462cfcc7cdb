//! Finds the facts of a mesh, once. What they mean is written in the crate `rules`.

mod calico;
mod cilium;
mod cni;
mod control_plane;
mod gateway_api;
pub(crate) mod hbone;
pub(crate) mod index;
mod located;
mod policies;
mod targets;
mod workloads;

use crate::finding::Location;
use index::Index;
pub use index::Membership;
use model::{Coverage, Kind, Mesh, Object};
use rayon::prelude::*;
use rules::facts::MeshFacts;
use rules::{Facts, Subject};
use std::collections::BTreeSet;

/// The minor versions of all istiods; 0 where one does not say it.
pub fn istio_minors(mesh: &Mesh) -> impl Iterator<Item = i64> {
    control_plane::find_istiods(mesh)
        .into_iter()
        .map(|istiod| istiod.minor)
}

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
        .par_iter()
        .map(|subject| {
            let subjects = subjects(*subject, &index, &facts);
            SubjectSet {
                subject: *subject,
                gap: subjects.is_empty().then(|| gap(mesh, *subject)).flatten(),
                subjects,
            }
        })
        .collect();
    MeshOfFacts { mesh: facts, sets }
}

/// The subjects of a sort.
fn subjects(subject: Subject, index: &Index<'_>, mesh: &MeshFacts) -> Vec<SubjectFacts> {
    match subject {
        Subject::MeshFacts => vec![SubjectFacts::new(mesh.clone(), located::of_mesh(index.mesh))],
        Subject::IstioCni => cni::istio_cni(index),
        Subject::Node => cni::nodes(index),
        Subject::CniDirectory => cni::directories(index),
        Subject::Aws => cni::aws(index),
        Subject::Cilium => cilium::settings(index),
        Subject::CiliumPolicy => cilium::policies(index),
        Subject::Calico => calico::data_planes(index),
        Subject::CalicoFeature => calico::features(index),
        Subject::Istiod => control_plane::istiods(index),
        Subject::MeshConfig => control_plane::mesh_configs(index),
        Subject::Component => control_plane::components(index),
        Subject::HboneSetting => hbone::settings(index),
        Subject::ProxyGroup => hbone::proxy_groups(index),
        Subject::GatewayApi => gateway_api::crds_as_one(index),
        Subject::GatewayApiCrd => gateway_api::crds(index),
        Subject::WaypointReference => gateway_api::waypoint_references(index),
        Subject::Namespace => workloads::namespaces(index),
        Subject::Workload => workloads::workloads(index),
        Subject::Policy => policies::authorization(index),
        Subject::RequestAuthentication => policies::request_authentication(index),
        Subject::PeerAuthentication => policies::peer_authentication(index),
        Subject::RootPolicy => policies::in_root_namespace(index),
        Subject::TargetRef => targets::references(index),
    }
}

/// What must have been read to say of a sort of subjects that there are none.
enum Absence {
    /// There is always one.
    Never,
    /// Files of nodes, which no API serves.
    NodeFiles,
    /// All objects of these kinds in a cluster; files cannot show it.
    InCluster(&'static [Kind]),
    /// Objects of these kinds, in files too: if they are there, they are taken to be all.
    InInput(&'static [Kind]),
}

fn absence(subject: Subject) -> Absence {
    use Absence::{InCluster, InInput, Never, NodeFiles};
    match subject {
        Subject::MeshFacts | Subject::IstioCni | Subject::GatewayApi => Never,
        Subject::CniDirectory => NodeFiles,
        Subject::Node => InCluster(&[Kind::Pod]),
        Subject::Aws | Subject::Component => InCluster(&[Kind::DaemonSet]),
        Subject::Cilium | Subject::MeshConfig => InCluster(&[Kind::ConfigMap]),
        Subject::CiliumPolicy => {
            InCluster(&[Kind::CiliumNetworkPolicy, Kind::CiliumClusterwideNetworkPolicy])
        }
        Subject::Calico => InCluster(&[Kind::FelixConfiguration, Kind::CalicoInstallation]),
        Subject::CalicoFeature => InCluster(&[
            Kind::CalicoApplicationLayer,
            Kind::CalicoNetworkPolicy,
            Kind::CalicoGlobalNetworkPolicy,
            Kind::CalicoRemoteCluster,
        ]),
        Subject::Istiod => InCluster(&[Kind::Deployment]),
        Subject::HboneSetting => InCluster(&[Kind::Deployment, Kind::ProxyConfig]),
        Subject::ProxyGroup => InCluster(&[Kind::Pod]),
        Subject::GatewayApiCrd => InCluster(&[Kind::CustomResourceDefinition]),
        Subject::WaypointReference => InInput(&[Kind::Namespace, Kind::Service]),
        Subject::Namespace => InInput(&[Kind::Namespace]),
        Subject::Workload => InInput(&[Kind::Deployment]),
        Subject::Policy => InInput(&[Kind::AuthorizationPolicy]),
        Subject::RequestAuthentication => InInput(&[Kind::RequestAuthentication]),
        Subject::PeerAuthentication => InInput(&[Kind::PeerAuthentication]),
        Subject::RootPolicy => InCluster(&[
            Kind::AuthorizationPolicy,
            Kind::RequestAuthentication,
            Kind::Telemetry,
            Kind::EnvoyFilter,
            Kind::WasmPlugin,
        ]),
        Subject::TargetRef => InInput(&[Kind::AuthorizationPolicy]),
    }
}

/// Why "there is none" cannot be said of a sort of subjects.
fn gap(mesh: &Mesh, subject: Subject) -> Option<String> {
    let nothing = || Some("nothing in the input tells".to_owned());
    let kinds = match absence(subject) {
        Absence::Never => return None,
        Absence::NodeFiles => return nothing(),
        Absence::InCluster(_) if !mesh.coverage.is_cluster() => return nothing(),
        Absence::InCluster(kinds) | Absence::InInput(kinds) => kinds,
    };
    let missing: Vec<&Kind> = kinds
        .iter()
        .filter(|kind| match &mesh.coverage {
            Coverage::Cluster(_) => !mesh.coverage.is_complete(kind),
            Coverage::Files => !is_in_input(mesh, kind),
        })
        .collect();
    let first = missing.first()?;
    Some(match &mesh.coverage {
        Coverage::Cluster(cluster) => match cluster.unreadable.get(first) {
            Some(reason) => format!("{first} could not be read: {reason}"),
            None => format!("only some namespaces were read, and {first} may exist in others"),
        },
        Coverage::Files => {
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

/// The part of every workload of a mesh in it, in the order of `mesh.workloads`.
pub fn memberships(mesh: &Mesh) -> Vec<Membership> {
    Index::new(mesh).workloads
}

/// The workloads of which pods with a sidecar that does not speak HBONE run, as `namespace` and `Kind/name`.
pub fn without_hbone(mesh: &Mesh) -> BTreeSet<(String, String)> {
    let pods = mesh.pods.iter().filter(|pod| {
        let proxy = pod.spec.template.spec.istio_proxy();
        let lacks_it = proxy.is_some_and(|proxy| proxy.env(control_plane::HBONE) != Some("true"));
        // The container of ztunnel goes by the same name.
        lacks_it && !index::is_istio_component(pod)
    });
    pods.map(|pod| (pod.namespace().to_owned(), hbone::owner(pod)))
        .collect()
}
