//! Everything that was read, typed and indexed: the value that every judgement is a function of.

use crate::decode::UnknownField;
use crate::kind::Kind;
use crate::meta::{Object, ObjectRef};
use crate::node::Node;
use crate::resource::{Resource, Workload};
use crate::security::{AuthorizationPolicy, PeerAuthentication, RequestAuthentication};
use crate::settings::MeshSettings;
use crate::source::Origin;
use crate::traffic::{DestinationRule, Gateway, HttpRouteResource, IstioGateway, Service, ServiceEntry};
use crate::virtual_service::VirtualService;
use foldhash::HashMap;
use rayon::slice::ParallelSliceMut as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How much of the world the objects show.
#[derive(Debug, Clone, Default)]
pub enum Coverage {
    /// Files: what is absent may exist all the same.
    #[default]
    Files,
    /// A cluster: what is absent does not exist, but for what could not be read.
    Cluster(ClusterCoverage),
}

/// What was and was not read of a cluster.
#[derive(Debug, Clone, Default)]
pub struct ClusterCoverage {
    /// Kinds that could not be read, with the reason.
    pub unreadable: BTreeMap<Kind, String>,
    /// Kinds that the API server does not serve.
    pub not_installed: BTreeSet<Kind>,
    /// Whether only some namespaces were read.
    pub namespaces: Option<BTreeSet<String>>,
    /// Major and minor version of the API server, such as `1.34`.
    pub server_version: Option<String>,
}

impl Coverage {
    /// Whether "there is none" can be said of a kind.
    #[must_use]
    pub fn is_complete(&self, kind: &Kind) -> bool {
        match self {
            Self::Files => false,
            Self::Cluster(cluster) => !cluster.unreadable.contains_key(kind) && cluster.namespaces.is_none(),
        }
    }

    /// Whether the objects come from a cluster.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

/// A document without `kind` that is read for its settings: chart values or a CNI configuration.
#[derive(Debug, Clone)]
pub struct SettingsFile {
    /// The file.
    pub origin: Origin,
    /// Its content.
    pub node: Arc<Node>,
}

/// Fields that a kind does not have, by object.
#[derive(Debug, Clone)]
pub struct UnknownFields {
    /// The object.
    pub id: ObjectRef,
    /// Where it was read.
    pub origin: Origin,
    /// The fields.
    pub fields: Vec<UnknownField>,
}

/// A mesh: its objects by kind, and what can be looked up among them.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "the fields are the kinds")]
pub struct Mesh {
    pub virtual_services: Vec<Object<VirtualService>>,
    pub destination_rules: Vec<Object<DestinationRule>>,
    pub service_entries: Vec<Object<ServiceEntry>>,
    pub istio_gateways: Vec<Object<IstioGateway>>,
    pub gateways: Vec<Object<Gateway>>,
    pub routes: Vec<Object<HttpRouteResource>>,
    pub authorization_policies: Vec<Object<AuthorizationPolicy>>,
    pub request_authentications: Vec<Object<RequestAuthentication>>,
    pub peer_authentications: Vec<Object<PeerAuthentication>>,
    pub services: Vec<Object<Service>>,
    /// Controllers, and pods without one.
    pub workloads: Vec<Object<Workload>>,
    /// All pods that run, in a cluster.
    pub pods: Vec<Object<Workload>>,
    /// Objects of all other kinds.
    pub others: Vec<Object<()>>,
    /// Chart values.
    pub chart_values: Vec<SettingsFile>,
    /// CNI configurations of nodes.
    pub cni_configurations: Vec<SettingsFile>,
    /// Fields that could not be attributed.
    pub unknown_fields: Vec<UnknownFields>,
    /// How much the objects show.
    pub coverage: Coverage,
    /// Settings for the whole mesh, from wherever they were found.
    pub settings: MeshSettings,
    /// In the order of their names.
    services_by_namespace: HashMap<Arc<str>, Vec<usize>>,
    workloads_by_namespace: HashMap<Arc<str>, Vec<usize>>,
}

impl Mesh {
    /// Sorts resources into their kinds and indexes them. Objects are ordered by namespace, kind and name,
    /// so that the order of the input has no influence on any output.
    #[must_use]
    pub fn new(resources: impl IntoIterator<Item = Resource>, coverage: Coverage) -> Self {
        let mut mesh = Self {
            coverage,
            ..Self::default()
        };
        for resource in resources {
            mesh.insert(resource);
        }
        mesh.sort();
        mesh.index();
        mesh.settings = MeshSettings::find(&mesh);
        mesh
    }

    /// Adds chart values and CNI configurations, which may hold settings for the mesh.
    #[must_use]
    pub fn with_settings_files(mut self, chart_values: Vec<SettingsFile>, cni: Vec<SettingsFile>) -> Self {
        self.chart_values = chart_values;
        self.cni_configurations = cni;
        self.settings = MeshSettings::find(&self);
        self
    }

    /// This mesh with further Services.
    #[must_use]
    pub fn with_services(mut self, services: Vec<Object<Service>>) -> Self {
        self.services.extend(services);
        self.sort();
        self.services_by_namespace.clear();
        self.workloads_by_namespace.clear();
        self.index();
        self
    }

    /// The Service of that name.
    #[must_use]
    pub fn service(&self, namespace: &str, name: &str) -> Option<&Object<Service>> {
        let of_namespace = self.services_by_namespace.get(namespace)?;
        let end = of_namespace.partition_point(|&index| self.services[index].name() <= name);
        let found = &self.services[*of_namespace.get(end.checked_sub(1)?)?];
        (found.name() == name).then_some(found)
    }

    /// The Services of a namespace, by name.
    pub fn services_in(&self, namespace: &str) -> impl Iterator<Item = &Object<Service>> {
        self.services_by_namespace
            .get(namespace)
            .into_iter()
            .flatten()
            .map(|&index| &self.services[index])
    }

    /// The workloads of a namespace.
    pub fn workloads_in(&self, namespace: &str) -> impl Iterator<Item = &Object<Workload>> {
        self.workloads_by_namespace
            .get(namespace)
            .into_iter()
            .flatten()
            .map(|&index| &self.workloads[index])
    }

    /// The objects of a kind of which only the tree is kept.
    pub fn others_of<'a>(&'a self, kind: &'a Kind) -> impl Iterator<Item = &'a Object<()>> {
        self.others.iter().filter(move |object| object.id.kind == *kind)
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids().count()
    }

    /// Whether there is nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids().next().is_none()
    }

    /// What every object is called.
    pub fn ids(&self) -> impl Iterator<Item = &ObjectRef> {
        fn ids<T>(objects: &[Object<T>]) -> impl Iterator<Item = &ObjectRef> {
            objects.iter().map(|object| &object.id)
        }
        ids(&self.virtual_services)
            .chain(ids(&self.destination_rules))
            .chain(ids(&self.service_entries))
            .chain(ids(&self.istio_gateways))
            .chain(ids(&self.gateways))
            .chain(ids(&self.routes))
            .chain(ids(&self.authorization_policies))
            .chain(ids(&self.request_authentications))
            .chain(ids(&self.peer_authentications))
            .chain(ids(&self.services))
            .chain(ids(&self.workloads))
            .chain(
                self.pods
                    .iter()
                    .filter(|pod| !pod.meta.owner_references.is_empty())
                    .map(|pod| &pod.id),
            )
            .chain(ids(&self.others))
    }

    fn insert(&mut self, resource: Resource) {
        match resource {
            Resource::VirtualService(object) => self.virtual_services.push(object),
            Resource::DestinationRule(object) => self.destination_rules.push(object),
            Resource::ServiceEntry(object) => self.service_entries.push(object),
            Resource::IstioGateway(object) => self.istio_gateways.push(object),
            Resource::Gateway(object) => self.gateways.push(object),
            Resource::Route(object) => self.routes.push(object),
            Resource::AuthorizationPolicy(object) => self.authorization_policies.push(object),
            Resource::RequestAuthentication(object) => self.request_authentications.push(object),
            Resource::PeerAuthentication(object) => self.peer_authentications.push(object),
            Resource::Service(object) => self.services.push(object),
            Resource::Workload(object) if object.id.kind == Kind::Pod => {
                if object.meta.owner_references.is_empty() {
                    self.workloads.push(object.clone());
                }
                self.pods.push(object);
            }
            Resource::Workload(object) => self.workloads.push(object),
            Resource::Untyped(object) => self.others.push(object),
        }
    }

    fn sort(&mut self) {
        fn sort<T: Send>(objects: &mut [Object<T>]) {
            // In place: what stands in a text more than once stands there at different marks.
            objects.par_sort_unstable_by(|a, b| {
                (&a.id, &a.origin, a.raw.mark).cmp(&(&b.id, &b.origin, b.raw.mark))
            });
        }
        sort(&mut self.virtual_services);
        sort(&mut self.destination_rules);
        sort(&mut self.service_entries);
        sort(&mut self.istio_gateways);
        sort(&mut self.gateways);
        sort(&mut self.routes);
        sort(&mut self.authorization_policies);
        sort(&mut self.request_authentications);
        sort(&mut self.peer_authentications);
        sort(&mut self.services);
        sort(&mut self.workloads);
        sort(&mut self.pods);
        sort(&mut self.others);
    }

    fn index(&mut self) {
        for (position, service) in self.services.iter().enumerate() {
            let Some(namespace) = &service.id.namespace else {
                continue;
            };
            self.services_by_namespace
                .entry(Arc::clone(namespace))
                .or_default()
                .push(position);
        }
        for (position, workload) in self.workloads.iter().enumerate() {
            let Some(namespace) = &workload.id.namespace else {
                continue;
            };
            self.workloads_by_namespace
                .entry(Arc::clone(namespace))
                .or_default()
                .push(position);
        }
    }
}
