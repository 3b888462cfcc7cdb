//! In which order a mesh moves, and what is written at each step. A function of the mesh: it reads and writes
//! nothing but values.

mod callers;
pub mod document;
mod landscape;
pub mod obstacles;
mod order;
pub mod proof;
mod restart;
pub mod state;
mod steps;
mod unattachable;
mod words;

pub use callers::Traffic;
pub use document::Plan;

use document::{API_VERSION, Check, DataPlane, Gap, KIND, Phase, State, Staying, Wave, Witness, Write};
use landscape::Landscape;
use model::Mesh;
use steps::Scope;

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only workloads of these namespaces move; all if there is none.
    pub namespaces: Vec<String>,
    /// Whose node proxies.
    pub data_plane: DataPlane,
    /// The objects of our own data plane, if that was asked for.
    pub payload: Vec<Write>,
    /// Calls that were seen.
    pub traffic: Traffic,
    /// Commands that must be answered as before, after every step.
    pub witnesses: Vec<Witness>,
    /// What the mesh was read from.
    pub source: String,
    /// Gaps that someone takes on, by their ids.
    pub accepted: Vec<String>,
    /// What stands in the way of ambient mode as a whole.
    pub obstacles: Vec<Gap>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            namespaces: Vec::new(),
            data_plane: DataPlane::Stock,
            payload: Vec::new(),
            traffic: Traffic::default(),
            witnesses: Vec::new(),
            source: String::new(),
            accepted: Vec::new(),
            obstacles: Vec::new(),
        }
    }
}

/// Plans a migration.
#[must_use]
pub fn plan(mesh: &Mesh, options: &Options) -> Plan {
    let landscape = Landscape::of(mesh);
    let order = order::order(&landscape, options);
    let scope = Scope::new(&landscape, &order, options);
    let steps = steps::steps(&scope);
    let name = |index: usize| landscape.workloads[index].object.id.to_string();
    let waves = order.waves.iter().map(|(namespace, own)| Wave {
        namespaces: vec![namespace.clone()],
        workloads: own.iter().map(|&index| name(index)).collect(),
        why: why(&scope, own),
    });
    let staying = order.staying.iter().map(|(&index, why)| Staying {
        workload: name(index),
        why: why.clone(),
    });
    let mut plan = Plan {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        source: options.source.clone(),
        data_plane: options.data_plane,
        gaps: [options.obstacles.clone(), gaps(&scope)].concat(),
        assumptions: assumptions(&scope),
        waves: waves.collect(),
        staying: staying.collect(),
        steps,
        state: State::default(),
    };
    let witnesses = options.witnesses.iter().cloned().map(Check::Witness);
    if let Some(first) = plan.steps.first_mut() {
        first.requires.extend(witnesses.clone());
    }
    for step in &mut plan.steps {
        step.checks.extend(witnesses.clone());
    }
    plan.state = state::of(mesh, &plan.steps);
    proof::prove(mesh, &mut plan);
    name_gaps(&mut plan);
    plan
}

/// Names the gap by which a request is covered that only a server's own pods can still send.
fn name_gaps(plan: &mut Plan) {
    let prefix = "self-calls:";
    let own: Vec<String> = plan
        .gaps
        .iter()
        .filter_map(|gap| gap.id.strip_prefix(prefix).map(str::to_owned))
        .collect();
    let sentences = plan
        .steps
        .iter_mut()
        .filter(|step| step.phase == Phase::Move)
        .flat_map(|step| &mut step.proof.otherwise);
    for sentence in sentences {
        let server = own.iter().find(|server| {
            sentence.contains("(with a sidecar") && sentence.contains(&format!(" to {server} port "))
        });
        if let Some(server) = server {
            sentence.push_str(&format!(" [{prefix}{server}]"));
        }
    }
}

/// Why the workloads of a wave come when they do.
fn why(scope: &Scope<'_>, own: &[usize]) -> String {
    let servers = own
        .iter()
        .flat_map(|&index| &scope.landscape.workloads[index].servers);
    let taught = servers
        .filter(|server| scope.order.taught.contains(server))
        .count();
    if taught == 0 {
        "everybody who calls its protected servers has moved before, or nobody is kept from them".to_owned()
    } else {
        "callers with sidecars are left, which are led through the waypoint until they have moved".to_owned()
    }
}

/// Requests that would be routed otherwise than before.
fn gaps(scope: &Scope<'_>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    if scope.moves_at.is_empty() {
        return gaps;
    }
    for server in &scope.landscape.servers {
        let movers = scope.moves_at.keys();
        if !server.has_routes()
            || server.can_be_bound()
            || !steps::may_be_called(scope.landscape, scope.options, movers, server)
        {
            continue;
        }
        let id = format!("routes:{}/{}", server.service.namespace(), server.service.name());
        let why = server
            .obstacle
            .clone()
            .unwrap_or_else(|| "it has no address of its own".to_owned());
        gaps.push(Gap {
            what: format!(
                "clients that have moved go straight to {}, past {}: it gets no waypoint, because {why}",
                server.service.id,
                server
                    .routes
                    .first()
                    .map_or_else(|| "its routes".to_owned(), |route| route.id.to_string()),
            ),
            fix: "take the reason away, or move the clients of other Services only (-n)".to_owned(),
            id,
        });
    }
    gaps.extend(unknown_routes(scope));
    gaps.extend(self_calls(scope));
    gaps.extend(restarts(scope));
    gaps
}

/// Servers that cannot call themselves while they move.
fn self_calls(scope: &Scope<'_>) -> impl Iterator<Item = Gap> {
    let servers = 0..scope.landscape.servers.len();
    servers
        .filter(|&index| {
            let server = &scope.landscape.servers[index];
            server.is_protected && server.pods.iter().any(|pod| scope.moves_at.contains_key(pod))
        })
        .filter(|&index| order::calls_not_itself(scope.landscape, index, scope.options))
        .map(|index| Gap {
            id: order::self_calls(scope.landscape, index),
            what: format!(
                "while pods of {} move, those that still have a sidecar may be refused if they call it",
                scope.landscape.servers[index].service.id
            ),
            fix: "nothing, if they never do".to_owned(),
        })
}

/// Workloads whose only pod goes before the new one is there.
fn restarts(scope: &Scope<'_>) -> impl Iterator<Item = Gap> {
    scope.moves_at.keys().filter_map(|&index| {
        let mover = &scope.landscape.workloads[index];
        let noticed = restart::noticed(scope.landscape, mover.object, !mover.servers.is_empty())?;
        Some(Gap {
            id: restart::gap(mover.object),
            what: format!("requests to {} fail while its pods are replaced", mover.object.id),
            fix: noticed.why,
        })
    })
}

/// VirtualServices that no waypoint of a plan runs.
fn unknown_routes(scope: &Scope<'_>) -> Vec<Gap> {
    use crate::convert::context::Host;
    let context = &scope.landscape.context;
    let mut gaps = Vec::new();
    for object in &scope.landscape.mesh.virtual_services {
        if !object.spec.applies_to_mesh() {
            continue;
        }
        let elsewhere =
            object
                .spec
                .hosts
                .iter()
                .find_map(|host| match context.host(host, object.namespace()) {
                    Host::Service(service) => {
                        let hidden = object.spec.export_to.iter().all(|to| to == "." || to == "~");
                        let hidden = hidden && !object.spec.export_to.is_empty();
                        (hidden && service.namespace() != object.namespace()).then(|| {
                            format!("it is for {}, but visible in its own namespace only", service.id)
                        })
                    }
                    Host::ServiceEntry(entry) => {
                        Some(format!("{host} is a host of {}, which has no waypoint", entry.id))
                    }
                    Host::Wildcard | Host::HalfQualified(_) | Host::Unknown => None,
                });
        if let Some(why) = elsewhere {
            gaps.push(Gap {
                id: format!("routes:{}/VirtualService/{}", object.namespace(), object.name()),
                what: format!("{} is not followed by clients that have moved: {why}", object.id),
                fix: "give the host a waypoint, or remove the VirtualService".to_owned(),
            });
        }
    }
    gaps
}

/// What is taken to be true.
fn assumptions(scope: &Scope<'_>) -> Vec<String> {
    let mut found = Vec::new();
    if scope.moves_at.is_empty() {
        return found;
    }
    let protected: Vec<String> = scope
        .prepared
        .values()
        .flatten()
        .map(|&server| &scope.landscape.servers[server])
        .filter(|server| server.is_protected)
        .map(|server| format!("{}/{}", server.service.namespace(), server.service.name()))
        .collect();
    if !protected.is_empty() {
        found.push(format!(
            "nobody dials the pods of these Services by their own addresses; moved pods let in their waypoint alone: {}",
            protected.join(", ")
        ));
    }
    if !scope.options.traffic.calls.is_empty() {
        found.push(
            "workloads that move call no Services with routes but those that they were seen to call"
                .to_owned(),
        );
    }
    let anyone: Vec<String> = scope
        .order
        .taught
        .iter()
        .filter(|&&server| scope.order.callers[server] == callers::Callers::Anyone)
        .map(|&server| scope.landscape.servers[server].host.clone())
        .collect();
    if !anyone.is_empty() {
        found.push(format!(
            "policies do not say who calls these Services, so any workload of the mesh may: {}",
            anyone.join(", ")
        ));
    }
    if scope
        .order
        .taught
        .iter()
        .any(|&server| !scope.landscape.servers[server].rules.is_empty())
    {
        found.push(
            "what DestinationRules say for clients with sidecars is done by the waypoint while these are led through it"
                .to_owned(),
        );
    }
    if !scope.landscape.mesh.coverage.is_cluster() {
        found.push("files show neither running pods nor addresses; apply looks at both".to_owned());
    }
    found
}

impl Phase {
    /// The phase in the ids of steps.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DataPlane => "data-plane",
            Self::Hbone => "hbone",
            Self::Waypoint => "waypoint",
            Self::Policies => "policies",
            Self::Admit => "admit",
            Self::Bind => "bind",
            Self::Teach => "teach",
            Self::Guard => "guard",
            Self::Move => "move",
            Self::Enroll => "enroll",
            Self::Unteach => "unteach",
            Self::CleanUp => "clean-up",
        }
    }
}
