//! What a mesh looks like to a planner: workloads, the Services before them, the policies over them.

use super::unattachable;
use crate::convert::{self, Change, Disposition, context::Context, context::Host};
use crate::precheck::{self, Membership};
use model::security::{Action, AuthorizationPolicy, MtlsMode, RequestAuthentication, is_subset};
use model::traffic::{DestinationRule, Service};
use model::virtual_service::VirtualService;
use model::{Kind, Mesh, Object, ObjectRef, Workload};
use semantics::ztunnel::needs_waypoint;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Position of a workload in [`Landscape::workloads`].
pub type WorkloadIndex = usize;
/// Position of a Service in [`Landscape::servers`].
pub type ServerIndex = usize;

/// A workload that runs pods.
pub struct Mover<'a> {
    /// The controller or bare pod.
    pub object: &'a Object<Workload>,
    /// Its part in the mesh.
    pub membership: Membership,
    /// The Services that select its pods.
    pub servers: Vec<ServerIndex>,
    /// AuthorizationPolicies without targets that are for its pods.
    pub policies: Vec<&'a Object<AuthorizationPolicy>>,
    /// RequestAuthentications without targets that are for its pods.
    pub authentications: Vec<&'a Object<RequestAuthentication>>,
    /// Whether only mutual TLS is let in, on every port.
    pub strict: bool,
}

impl Mover<'_> {
    /// Namespace and service account.
    pub fn identity(&self) -> (&str, &str) {
        let account = self.object.spec.template.spec.service_account_name.as_deref();
        (self.object.namespace(), account.unwrap_or("default"))
    }

    /// Whether policies of any kind judge its requests.
    pub fn is_judged(&self) -> bool {
        !self.policies.is_empty() || !self.authentications.is_empty()
    }
}

/// A Service with an address and pods.
pub struct Server<'a> {
    /// The Service.
    pub service: &'a Object<Service>,
    /// Its full name.
    pub host: String,
    /// The workloads behind it.
    pub pods: Vec<WorkloadIndex>,
    /// VirtualServices of the mesh that claim its name.
    pub routes: Vec<&'a Object<VirtualService>>,
    /// Whether HTTPRoutes are attached to it.
    pub has_http_routes: bool,
    /// DestinationRules for it.
    pub rules: Vec<&'a Object<DestinationRule>>,
    /// Whether requests to it need a waypoint: for policies of layer 7, or for routes.
    pub needs_waypoint: bool,
    /// Whether policies judge its requests, and it needs a waypoint: then nobody may go past it.
    pub is_protected: bool,
    /// Why its policies cannot be attached to it.
    pub obstacle: Option<String>,
    /// Whether an ingress gateway sends requests to it.
    pub behind_gateway: bool,
}

impl Server<'_> {
    /// Whether a waypoint can be put before it.
    pub fn can_be_bound(&self) -> bool {
        self.obstacle.is_none() && !self.service.spec.is_headless() && !self.service.spec.is_external_name()
    }

    /// Whether routes or rules for its clients would be lost without a waypoint.
    pub fn is_routed(&self) -> bool {
        self.has_routes() || !self.rules.is_empty()
    }

    /// Whether routes of the mesh act on requests to it.
    pub fn has_routes(&self) -> bool {
        !self.routes.is_empty() || self.has_http_routes
    }
}

/// A copy of a policy for waypoints.
pub struct Copy {
    /// What it is called.
    pub id: ObjectRef,
    /// The object.
    pub manifest: Json,
    /// The Services that it is attached to.
    pub targets: Vec<String>,
}

impl Copy {
    fn of(change: &Change) -> Self {
        let manifest = change.after.to_json();
        let refs = manifest.pointer("/spec/targetRefs").and_then(Json::as_array);
        let names = refs.into_iter().flatten();
        let targets = names
            .filter_map(|target| Some(target.get("name")?.as_str()?.to_owned()))
            .collect();
        Self {
            id: change.id.clone(),
            manifest,
            targets,
        }
    }
}

/// Everything that planning looks at.
pub struct Landscape<'a> {
    /// The mesh.
    pub mesh: &'a Mesh,
    /// Look-ups by host.
    pub context: Context<'a>,
    /// All workloads without an owner.
    pub workloads: Vec<Mover<'a>>,
    /// All Services that select pods.
    pub servers: Vec<Server<'a>>,
    /// Copies of policies for waypoints, by the policy that they were made from.
    pub copies: BTreeMap<ObjectRef, Vec<Copy>>,
    /// Why a policy has no copies.
    pub kept: BTreeMap<ObjectRef, String>,
    /// The workloads that each policy without targets is for.
    pub selected: HashMap<&'a ObjectRef, Vec<WorkloadIndex>>,
    /// Policies and the Services that copies of them are attached to already.
    attached: BTreeSet<(String, String)>,
}

impl<'a> Landscape<'a> {
    /// Looks at a mesh.
    pub fn of(mesh: &'a Mesh) -> Self {
        let options = convert::Options::of(mesh);
        let by_service = convert::Options {
            services_only: true,
            ..options
        };
        let conversion = convert::convert(mesh, by_service);
        let mut kept = BTreeMap::new();
        let mut reasons = HashMap::new();
        for finding in &conversion.findings {
            if let Some(id) = &finding.location.object {
                reasons.entry(id).or_insert(finding);
            }
        }
        for outcome in &conversion.outcomes {
            if outcome.disposition == Disposition::Kept {
                let why = reasons.get(&outcome.id).map_or_else(
                    || "it has no exact form at a waypoint".to_owned(),
                    |finding| format!("{} ({})", finding.message, finding.code),
                );
                kept.insert(outcome.id.clone(), why);
            }
        }
        let mut copies: BTreeMap<ObjectRef, Vec<Copy>> = BTreeMap::new();
        for change in &conversion.changes {
            let is_policy = matches!(
                change.id.kind,
                Kind::AuthorizationPolicy | Kind::RequestAuthentication
            );
            let copy = Copy::of(change);
            // Copies without targets are for ztunnel, and say what the policy says already.
            if is_policy && !copy.targets.is_empty() {
                copies.entry(change.from.clone()).or_default().push(copy);
            }
        }
        for id in unattachable::wide_policies(mesh) {
            copies.remove(id);
            kept.entry(id.clone()).or_insert_with(|| {
                "it is for a whole namespace or mesh, and a plan narrows policies for single workloads only".to_owned()
            });
        }
        let mut landscape = Self {
            mesh,
            context: Context::new(mesh, options),
            workloads: Vec::new(),
            servers: Vec::new(),
            copies,
            kept,
            selected: HashMap::new(),
            attached: attached(mesh),
        };
        landscape.find_workloads();
        for (index, mover) in landscape.workloads.iter().enumerate() {
            for policy in &mover.policies {
                landscape.selected.entry(&policy.id).or_default().push(index);
            }
        }
        landscape.find_servers();
        landscape
    }

    /// The Namespace object of this name.
    pub fn namespace(&self, name: &str) -> Option<&'a Object<()>> {
        let mut others = self.mesh.others.iter();
        others.find(|object| object.id.kind == Kind::Namespace && object.name() == name)
    }

    fn find_workloads(&mut self) {
        let mesh = self.mesh;
        let root = mesh.settings.root_namespace.as_str();
        let policies = by_namespace(&mesh.authorization_policies, |p| !p.is_targeted());
        let authentications = by_namespace(&mesh.request_authentications, |p| !p.is_targeted());
        let modes = Modes::of(mesh);
        for (object, membership) in mesh.workloads.iter().zip(precheck::memberships(mesh)) {
            if !object.meta.owner_references.is_empty() {
                continue;
            }
            let labels = &object.spec.template.metadata.labels;
            let selects = |selector: Option<&model::security::WorkloadSelector>| {
                selector.is_none_or(|selector| selector.selects(labels))
            };
            let scopes = scopes(object.namespace(), root);
            self.workloads.push(Mover {
                object,
                membership,
                servers: Vec::new(),
                policies: in_scopes(&policies, &scopes)
                    .filter(|p| selects(p.spec.selector.as_ref()))
                    .collect(),
                authentications: in_scopes(&authentications, &scopes)
                    .filter(|p| selects(p.spec.selector.as_ref()))
                    .collect(),
                strict: modes.is_strict(object),
            });
        }
    }

    fn find_servers(&mut self) {
        let mut by_label: HashMap<(&str, &str, &str), Vec<WorkloadIndex>> = HashMap::new();
        for (index, mover) in self.workloads.iter().enumerate() {
            for (key, value) in &mover.object.spec.template.metadata.labels {
                let key = (mover.object.namespace(), key.as_str(), value.as_str());
                by_label.entry(key).or_default().push(index);
            }
        }
        let mut rules: HashMap<String, Vec<&'a Object<DestinationRule>>> = HashMap::new();
        for rule in &self.mesh.destination_rules {
            let host = self.context.qualify(&rule.spec.host, rule.namespace());
            rules.entry(host).or_default().push(rule);
        }
        let behind_gateways = self.behind_gateways();
        let targeted = self.targeted();
        for service in &self.mesh.services {
            let Some((key, value)) = service.spec.selector.iter().next() else {
                continue;
            };
            let first = by_label.get(&(service.namespace(), key.as_str(), value.as_str()));
            let pods: Vec<WorkloadIndex> = first
                .into_iter()
                .flatten()
                .copied()
                .filter(|&index| {
                    let labels = &self.workloads[index].object.spec.template.metadata.labels;
                    is_subset(&service.spec.selector, labels)
                })
                .collect();
            let host = self.context.service_host(service);
            let index = self.servers.len();
            for &pod in &pods {
                self.workloads[pod].servers.push(index);
            }
            let mut server = Server {
                service,
                pods,
                routes: self.context.claimants(&host).collect(),
                has_http_routes: self
                    .context
                    .routes_of(service)
                    .any(|route| !route.spec.rules.is_empty()),
                rules: rules.get(&host).cloned().unwrap_or_default(),
                needs_waypoint: targeted.contains(&(service.namespace(), service.name())),
                is_protected: false,
                obstacle: None,
                behind_gateway: behind_gateways.contains(&host),
                host,
            };
            self.judge(&mut server);
            self.servers.push(server);
        }
    }

    fn judge(&self, server: &mut Server<'a>) {
        let judges = || server.pods.iter().map(|&pod| &self.workloads[pod]);
        let layer_7 = judges().any(|mover| {
            !mover.authentications.is_empty()
                || mover.policies.iter().any(|policy| needs_waypoint(&policy.spec))
        });
        server.needs_waypoint |= layer_7 || server.is_routed();
        server.is_protected = server.needs_waypoint && judges().any(Mover::is_judged);
        let policies = judges().flat_map(|mover| {
            let enforced = mover.policies.iter().filter(|p| p.spec.action() != Action::Audit);
            enforced.map(|policy| &policy.id)
        });
        let tokens = judges().flat_map(|mover| mover.authentications.iter().map(|object| &object.id));
        server.obstacle = policies.chain(tokens).find_map(|id| {
            if let Some(why) = self.kept.get(id) {
                return Some(format!("{id} cannot be attached to a waypoint: {why}"));
            }
            let is_copied = self.is_attached(id, server.service);
            (!is_copied).then(|| format!("{id} has no copy that is attached to {}", server.service.id))
        });
        let otherwise = || unattachable::reason(judges());
        server.obstacle = server.obstacle.take().or_else(otherwise);
        let leads_here = self.context.routers_to(&server.host).find(|router| {
            router.namespace() != server.service.namespace()
                && !self
                    .context
                    .claimants(&server.host)
                    .any(|own| own.id == router.id)
        });
        if let Some(router) = leads_here.filter(|_| server.is_protected && server.obstacle.is_none()) {
            server.obstacle = Some(format!(
                "{} leads requests for other Services to it, past its waypoint",
                router.id
            ));
        }
        if !server.needs_waypoint {
            server.obstacle = None;
        }
    }

    /// Whether a copy of a policy for a Service is made, or was made by `convert` before.
    fn is_attached(&self, policy: &ObjectRef, service: &Object<Service>) -> bool {
        let copies = self.copies.get(policy).into_iter().flatten();
        copies
            .filter(|copy| copy.id.namespace == service.id.namespace)
            .flat_map(|copy| &copy.targets)
            .any(|target| *target == service.name())
            || self
                .attached
                .contains(&(policy.to_string(), service.id.to_string()))
    }

    /// Services to which policies are attached already.
    fn targeted(&self) -> BTreeSet<(&'a str, &'a str)> {
        let mesh = self.mesh;
        let policies = mesh.authorization_policies.iter().flat_map(|object| {
            let refs = object.spec.target_refs.iter().chain(&object.spec.target_ref);
            refs.map(|target| (object.namespace(), target))
        });
        let tokens = mesh.request_authentications.iter().flat_map(|object| {
            let refs = object.spec.target_refs.iter().chain(&object.spec.target_ref);
            refs.map(|target| (object.namespace(), target))
        });
        policies
            .chain(tokens)
            .filter(|(_, target)| target.kind == "Service")
            .map(|(namespace, target)| (namespace, target.name.as_str()))
            .collect()
    }

    /// Full names of Services to which a route of a gateway leads.
    fn behind_gateways(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for object in &self.mesh.virtual_services {
            let gateways = &object.spec.gateways;
            if gateways.iter().all(|gateway| gateway == "mesh") {
                continue;
            }
            for host in self.context.destination_hosts_of(object) {
                if let Host::Service(service) = self.context.host(&host, object.namespace()) {
                    found.insert(self.context.service_host(service));
                }
            }
        }
        for route in &self.mesh.routes {
            let parents = &route.spec.parent_refs;
            if parents
                .iter()
                .all(|parent| parent.kind.as_deref() == Some("Service"))
            {
                continue;
            }
            let backends = route
                .spec
                .rules
                .iter()
                .filter_map(|rule| rule.0.get("backendRefs"));
            for backend in backends.flat_map(model::Node::items) {
                let text = |key| backend.get(key).and_then(model::Node::as_str);
                let namespace = text("namespace").unwrap_or(route.namespace());
                if let Some(service) = text("name").and_then(|name| self.mesh.service(namespace, name)) {
                    found.insert(self.context.service_host(service));
                }
            }
        }
        found
    }
}

fn attached(mesh: &Mesh) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let mut see = |namespace: &str, meta: &model::meta::ObjectMeta, target: &str| {
        if let Some(from) = meta.annotations.get(convert::CONVERTED_FROM) {
            found.insert((from.clone(), format!("{namespace}/Service/{target}")));
        }
    };
    for object in &mesh.authorization_policies {
        for target in &object.spec.target_refs {
            see(object.namespace(), &object.meta, &target.name);
        }
    }
    for object in &mesh.request_authentications {
        for target in &object.spec.target_refs {
            see(object.namespace(), &object.meta, &target.name);
        }
    }
    found
}

/// The namespaces whose policies count for a pod.
fn scopes<'a>(namespace: &'a str, root: &'a str) -> Vec<&'a str> {
    if namespace == root {
        vec![root]
    } else {
        vec![namespace, root]
    }
}

fn by_namespace<T>(objects: &[Object<T>], wanted: impl Fn(&T) -> bool) -> HashMap<&str, Vec<&Object<T>>> {
    let mut found: HashMap<&str, Vec<_>> = HashMap::new();
    for object in objects.iter().filter(|object| wanted(&object.spec)) {
        found.entry(object.namespace()).or_default().push(object);
    }
    found
}

fn in_scopes<'a, 'b, T>(
    objects: &'b HashMap<&'a str, Vec<&'a Object<T>>>,
    scopes: &'b [&'a str],
) -> impl Iterator<Item = &'a Object<T>> + 'b {
    scopes
        .iter()
        .filter_map(|scope| objects.get(scope))
        .flatten()
        .copied()
}

/// Which connections are let in, by the objects that say so: the nearest wins.
struct Modes<'a> {
    mesh: &'a Mesh,
    mesh_wide: Option<MtlsMode>,
    namespaces: HashMap<&'a str, MtlsMode>,
}

impl<'a> Modes<'a> {
    fn of(mesh: &'a Mesh) -> Self {
        let root = mesh.settings.root_namespace.as_str();
        let mut modes = Self {
            mesh,
            mesh_wide: None,
            namespaces: HashMap::new(),
        };
        for object in mesh
            .peer_authentications
            .iter()
            .filter(|o| o.spec.selector.is_none())
        {
            let mode = object.spec.mtls.as_ref().and_then(|mtls| mtls.mode);
            let Some(mode) = mode.filter(|mode| *mode != MtlsMode::Unset) else {
                continue;
            };
            if object.namespace() == root {
                modes.mesh_wide = Some(mode);
            } else {
                modes.namespaces.insert(object.namespace(), mode);
            }
        }
        modes
    }

    fn is_strict(&self, workload: &Object<Workload>) -> bool {
        let labels = &workload.spec.template.metadata.labels;
        let own = self.mesh.peer_authentications.iter().find(|object| {
            let selector = object.spec.selector.as_ref();
            object.namespace() == workload.namespace() && selector.is_some_and(|s| s.selects(labels))
        });
        let ports_are_strict = own.is_none_or(|object| {
            let mut ports = object.spec.port_level_mtls.values();
            ports.all(|port| matches!(port.mode, None | Some(MtlsMode::Unset | MtlsMode::Strict)))
        });
        let mode = own
            .and_then(|object| object.spec.mtls.as_ref()?.mode)
            .filter(|mode| *mode != MtlsMode::Unset)
            .or_else(|| self.namespaces.get(workload.namespace()).copied())
            .or(self.mesh_wide);
        ports_are_strict && mode == Some(MtlsMode::Strict)
    }
}

/// Whether some request without an identity gets past the ALLOW policies.
pub fn admits_anonymous(policies: &[&Object<AuthorizationPolicy>]) -> bool {
    let mut allow = policies
        .iter()
        .filter(|policy| policy.spec.action() == Action::Allow)
        .peekable();
    if allow.peek().is_none() {
        return true;
    }
    allow.any(|policy| {
        policy.spec.rules.iter().any(|rule| {
            rule.from.is_empty()
                || rule.from.iter().any(|from| {
                    let source = &from.source;
                    source.principals.is_empty()
                        && source.namespaces.is_empty()
                        && source.service_accounts.is_empty()
                        && source.trust_domains.is_empty()
                })
        })
    })
}
