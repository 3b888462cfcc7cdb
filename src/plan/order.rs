//! What moves, and in which order.

use super::callers::{Callers, Identities, Traffic};
use super::landscape::{Landscape, ServerIndex, WorkloadIndex, admits_anonymous};
use super::restart;
use crate::plan::Options;
use model::Kind;
use model::virtual_service::{HttpRoute, VirtualService};
use std::collections::{BTreeMap, BTreeSet};

/// The order of everything that moves.
pub struct Order {
    /// Namespaces, each with its workloads in order.
    pub waves: Vec<(String, Vec<WorkloadIndex>)>,
    /// Why a workload with a sidecar stays.
    pub staying: BTreeMap<WorkloadIndex, String>,
    /// Who may call each server.
    pub callers: Vec<Callers>,
    /// Servers that sidecars have to be led to through the waypoint, because callers are left when they move.
    pub taught: BTreeSet<ServerIndex>,
}

/// Finds the order. What cannot be led to a waypoint stays, and so is a caller for good: others may then have to stay,
/// too, until nothing changes any more.
pub fn order(landscape: &Landscape<'_>, options: &Options) -> Order {
    let identities = Identities::of(&landscape.workloads);
    let callers: Vec<Callers> = landscape
        .servers
        .iter()
        .map(|server| identities.callers(landscape, server))
        .collect();
    let mut staying = at_first(landscape, options);
    spread(landscape, &mut staying);
    loop {
        let waves = waves(landscape, &callers, &staying, options);
        let taught = taught(landscape, &callers, &waves, options);
        // One at a time: what stays changes what the others are left with.
        let stuck = taught
            .iter()
            .find_map(|&server| Some((server, cannot_be_taught(landscape, server)?)));
        let Some((server, why)) = stuck else {
            return Order {
                waves,
                staying,
                callers,
                taught,
            };
        };
        for &pod in &landscape.servers[server].pods {
            if landscape.workloads[pod].membership.candidate {
                staying.entry(pod).or_insert_with(|| why.clone());
            }
        }
        spread(landscape, &mut staying);
    }
}

/// Workloads that cannot move whatever the order is.
fn at_first(landscape: &Landscape<'_>, options: &Options) -> BTreeMap<WorkloadIndex, String> {
    let mut staying = BTreeMap::new();
    for (index, mover) in landscape.workloads.iter().enumerate() {
        if mover.membership.candidate
            && let Some(why) = stays(landscape, index, options)
        {
            staying.insert(index, why);
        }
    }
    staying
}

fn stays(landscape: &Landscape<'_>, index: WorkloadIndex, options: &Options) -> Option<String> {
    let mover = &landscape.workloads[index];
    let object = mover.object;
    if !options.namespaces.is_empty() && !options.namespaces.iter().any(|n| n == object.namespace()) {
        return Some("its namespace was not asked for".to_owned());
    }
    if !matches!(
        object.id.kind,
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet
    ) {
        return Some(format!(
            "pods of a {} are not replaced when its template changes; they get what new pods of their namespace get when they are made anew",
            object.id.kind
        ));
    }
    let strategy = object.raw.at(&["spec", "updateStrategy", "type"]);
    if strategy.and_then(model::Node::as_str) == Some("OnDelete") {
        return Some(
            "its update strategy is OnDelete: a new template replaces no pod; set it to RollingUpdate"
                .to_owned(),
        );
    }
    if object
        .raw
        .at(&["spec", "paused"])
        .is_some_and(|node| node.value == model::Value::Bool(true))
    {
        return Some("its rollout is paused; resume it".to_owned());
    }
    let labels = &object.spec.template.metadata.labels;
    for label in ["sidecar.istio.io/inject", "istio.io/dataplane-mode"] {
        if let Some(value) = labels.get(label) {
            return Some(format!(
                "its template says `{label}: {value}`, and what another owner has set is not overwritten; remove the label (`istio-injection` of the namespace injects as well)"
            ));
        }
    }
    if let Some(noticed) = restart::noticed(landscape, object, !mover.servers.is_empty()) {
        let accepted = noticed.may_be_accepted && options.accepted.contains(&restart::gap(object));
        if !accepted {
            return Some(noticed.why);
        }
    }
    judged_stays(landscape, index)
}

/// Why a workload whose requests are judged cannot move: its judge could not come along, or could be passed by.
fn judged_stays(landscape: &Landscape<'_>, index: WorkloadIndex) -> Option<String> {
    let mover = &landscape.workloads[index];
    if !mover.is_judged() {
        return None;
    }
    let layer_7 = !mover.authentications.is_empty()
        || mover
            .policies
            .iter()
            .any(|policy| semantics::ztunnel::needs_waypoint(&policy.spec));
    let servers: Vec<_> = mover
        .servers
        .iter()
        .map(|&server| &landscape.servers[server])
        .collect();
    let protected = servers.iter().any(|server| server.is_protected);
    if !layer_7 && !protected {
        return None;
    }
    if let Some(headless) = servers.iter().find(|server| server.service.spec.is_headless()) {
        return Some(format!(
            "clients of the headless {} dial its pods, where no waypoint judges",
            headless.service.id
        ));
    }
    if servers.is_empty() {
        return Some("no Service selects it, so no waypoint would judge its requests by layer 7".to_owned());
    }
    if let Some(why) = servers.iter().find_map(|server| server.obstacle.clone()) {
        return Some(why);
    }
    if let Some(server) = servers
        .iter()
        .find(|server| server.behind_gateway && !server.routes.is_empty())
    {
        return Some(format!(
            "a gateway routes to {}: behind its waypoint the routes of the mesh would act on these requests as well",
            server.service.id
        ));
    }
    if !mover.strict && admits_anonymous(&mover.policies) {
        return Some(
            "requests without mutual TLS are let in today, and could not pass a waypoint; ask for it with a PeerAuthentication of mode STRICT"
                .to_owned(),
        );
    }
    None
}

/// A policy that is narrowed to sidecars must have come along for every workload that it selects: where it cannot, its
/// other workloads stay.
fn spread(landscape: &Landscape<'_>, staying: &mut BTreeMap<WorkloadIndex, String>) {
    let is_served = |index: WorkloadIndex| {
        let servers = &landscape.workloads[index].servers;
        servers
            .iter()
            .any(|&server| landscape.servers[server].is_protected)
    };
    let mut narrowed: BTreeMap<String, WorkloadIndex> = BTreeMap::new();
    for (index, mover) in landscape.workloads.iter().enumerate() {
        if mover.membership.candidate && !staying.contains_key(&index) && is_served(index) {
            for policy in &mover.policies {
                narrowed.entry(policy.id.to_string()).or_insert(index);
            }
        }
    }
    for (index, mover) in landscape.workloads.iter().enumerate() {
        if !mover.membership.candidate || staying.contains_key(&index) || is_served(index) {
            continue;
        }
        let shared = mover.policies.iter().find_map(|policy| {
            let other = narrowed.get(&policy.id.to_string())?;
            Some((policy, *other))
        });
        if let Some((policy, other)) = shared {
            let why = format!(
                "{} is also for {}, and is judged at a waypoint there; requests to this workload pass none",
                policy.id, landscape.workloads[other].object.id
            );
            staying.insert(index, why);
        }
    }
}

/// Namespaces in an order in which callers of protected servers come before them, as far as there is one; in each the
/// workloads likewise.
fn waves(
    landscape: &Landscape<'_>,
    callers: &[Callers],
    staying: &BTreeMap<WorkloadIndex, String>,
    options: &Options,
) -> Vec<(String, Vec<WorkloadIndex>)> {
    let movers: Vec<WorkloadIndex> = (0..landscape.workloads.len())
        .filter(|index| landscape.workloads[*index].membership.candidate && !staying.contains_key(index))
        .collect();
    let edges = edges(landscape, callers, &movers, &options.traffic);
    let namespace = |index: WorkloadIndex| landscape.workloads[index].object.namespace();
    let names: Vec<&str> = movers
        .iter()
        .map(|&index| namespace(index))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let position: BTreeMap<&str, usize> = names.iter().enumerate().map(|(i, name)| (*name, i)).collect();
    let (mut between, mut within) = (Edges::new(), vec![Edges::new(); names.len()]);
    let mut own: Vec<Vec<WorkloadIndex>> = vec![Vec::new(); names.len()];
    let mut place: BTreeMap<WorkloadIndex, usize> = BTreeMap::new();
    for &index in &movers {
        let own = &mut own[position[namespace(index)]];
        place.insert(index, own.len());
        own.push(index);
    }
    for (&(from, to), &cost) in &edges {
        let (one, other) = (position[namespace(from)], position[namespace(to)]);
        if one == other {
            *within[one].entry((place[&from], place[&to])).or_default() += cost;
        } else {
            *between.entry((one, other)).or_default() += cost;
        }
    }
    callers_first(names.len(), &between)
        .into_iter()
        .map(|name| {
            let order = callers_first(own[name].len(), &within[name]);
            let own = order.into_iter().map(|index| own[name][index]).collect();
            (names[name].to_owned(), own)
        })
        .collect()
}

/// Pairs of a caller and a workload behind a protected server, where it is known or was seen who calls.
fn edges(
    landscape: &Landscape<'_>,
    callers: &[Callers],
    movers: &[WorkloadIndex],
    traffic: &Traffic,
) -> Edges {
    let moving: BTreeSet<WorkloadIndex> = movers.iter().copied().collect();
    let mut edges = Edges::new();
    for (index, (server, callers)) in landscape.servers.iter().zip(callers).enumerate() {
        if !server.is_protected {
            continue;
        }
        let seen = || {
            let service = (
                server.service.namespace().to_owned(),
                server.service.name().to_owned(),
            );
            movers.iter().copied().filter(move |&index| {
                let object = landscape.workloads[index].object;
                let client = (object.namespace().to_owned(), object.name().to_owned());
                traffic
                    .calls
                    .get(&client)
                    .is_some_and(|called| called.contains(&service))
            })
        };
        let known: Vec<WorkloadIndex> = match callers {
            Callers::These(these) => these
                .iter()
                .copied()
                .filter(|index| moving.contains(index))
                .collect(),
            // Nobody can be led to it, so everybody has to move before.
            Callers::Anyone if cannot_be_taught(landscape, index).is_some() => movers.to_vec(),
            Callers::Anyone => seen().collect(),
        };
        let cost = if cannot_be_taught(landscape, index).is_some() {
            HARD
        } else {
            SOFT
        };
        for &pod in server.pods.iter().filter(|pod| moving.contains(pod)) {
            for &caller in known.iter().filter(|&&caller| caller != pod) {
                let known = edges.entry((caller, pod)).or_default();
                *known = cost.max(*known);
            }
        }
    }
    edges
}

/// How much it costs to move a server before a caller, by pairs of both.
type Edges = BTreeMap<(usize, usize), usize>;

/// A server that callers can be led to.
const SOFT: usize = 1;
/// A server that they cannot be led to: it would have to stay.
const HARD: usize = 1 << 20;

/// The nodes of a graph, sources first; where there is a cycle, the node comes first for which that costs least.
fn callers_first(count: usize, edges: &Edges) -> Vec<usize> {
    let mut called_by = vec![0_usize; count];
    let mut calls: Vec<Vec<(usize, usize)>> = vec![Vec::new(); count];
    for (&(from, to), &cost) in edges {
        called_by[to] += cost;
        calls[from].push((to, cost));
    }
    let mut left: BTreeSet<(usize, usize)> = (0..count).map(|node| (called_by[node], node)).collect();
    let mut order = Vec::with_capacity(count);
    let mut done = vec![false; count];
    while let Some((_, node)) = left.pop_first() {
        done[node] = true;
        order.push(node);
        for &(next, cost) in &calls[node] {
            if !done[next] {
                left.remove(&(called_by[next], next));
                called_by[next] -= cost;
                left.insert((called_by[next], next));
            }
        }
    }
    order
}

/// Protected servers that some caller with a sidecar is left for when their pods begin to move.
fn taught(
    landscape: &Landscape<'_>,
    callers: &[Callers],
    waves: &[(String, Vec<WorkloadIndex>)],
    options: &Options,
) -> BTreeSet<ServerIndex> {
    let moved_at: BTreeMap<WorkloadIndex, usize> = waves
        .iter()
        .flat_map(|(_, own)| own)
        .enumerate()
        .map(|(at, &index)| (index, at))
        .collect();
    let candidates: Vec<WorkloadIndex> = (0..landscape.workloads.len())
        .filter(|&index| landscape.workloads[index].membership.candidate)
        .collect();
    let last = candidates
        .iter()
        .map(|index| moved_at.get(index).copied().unwrap_or(usize::MAX))
        .max();
    let mut taught = BTreeSet::new();
    for (index, (server, callers)) in landscape.servers.iter().zip(callers).enumerate() {
        // A tunnel to a waypoint that does not know the Service ends nowhere.
        if !server.is_protected || !server.can_be_bound() {
            continue;
        }
        let Some(first) = server.pods.iter().filter_map(|pod| moved_at.get(pod)).min() else {
            continue;
        };
        let is_left = |caller: &WorkloadIndex| moved_at.get(caller).is_none_or(|at| at >= first);
        let alone = calls_not_itself(landscape, index, options);
        let is_other = |caller: &WorkloadIndex| !(alone && server.pods.contains(caller));
        let some_left = match callers {
            Callers::Anyone if !alone => last.is_some_and(|last| last >= *first),
            Callers::Anyone => candidates.iter().filter(|caller| is_other(caller)).any(is_left),
            Callers::These(these) => these
                .iter()
                .filter(|caller| landscape.workloads[**caller].membership.candidate && is_other(caller))
                .any(is_left),
        };
        if some_left {
            taught.insert(index);
        }
    }
    taught
}

/// Why sidecars cannot be led to a server's waypoint; their own routes act first, and then those of the waypoint.
pub fn cannot_be_taught(landscape: &Landscape<'_>, index: ServerIndex) -> Option<String> {
    let server = &landscape.servers[index];
    let acts = server
        .routes
        .iter()
        .find(|route| !is_harmless_twice(&route.spec))?;
    Some(format!(
        "clients with a sidecar are left that call {}, and {} would act twice on their requests: at the sidecar and at the waypoint; move them first, let it only choose subsets, or, if none but its own pods are left and these do not call it, plan with --accept-gap {}",
        server.service.id,
        acts.id,
        self_calls(landscape, index)
    ))
}

/// The gap of a server whose own pods could not call it for as long as they move.
pub fn self_calls(landscape: &Landscape<'_>, server: ServerIndex) -> String {
    let service = landscape.servers[server].service;
    format!("self-calls:{}/{}", service.namespace(), service.name())
}

/// Whether a server to which sidecars cannot be led is taken not to call itself, because somebody said so.
pub fn calls_not_itself(landscape: &Landscape<'_>, server: ServerIndex, options: &Options) -> bool {
    cannot_be_taught(landscape, server).is_some() && options.accepted.contains(&self_calls(landscape, server))
}

/// Whether it makes no difference if a VirtualService is run again on its own result.
fn is_harmless_twice(spec: &VirtualService) -> bool {
    let harmless = |route: &HttpRoute| {
        route.redirect.is_none()
            && route.direct_response.is_none()
            && route.delegate.is_none()
            && route.rewrite.is_none()
            && route.retries.is_none()
            && route.fault.is_none()
            && route.mirror.is_none()
            && route.mirrors.is_empty()
            && route.cors_policy.is_none()
            && route.headers.is_none()
            && route
                .route
                .iter()
                .all(|destination| destination.headers.is_none())
    };
    spec.tls.is_empty() && spec.tcp.is_empty() && spec.http.iter().all(harmless)
}

#[cfg(test)]
mod tests {
    use super::{Edges, HARD, SOFT, callers_first};

    #[test]
    fn callers_come_first_and_cycles_are_cut_where_it_costs_least() {
        let between = |pairs: &[(usize, usize, usize)]| -> Edges {
            pairs.iter().map(|&(from, to, cost)| ((from, to), cost)).collect()
        };
        for (count, edges, expected) in [
            (3, between(&[(2, 1, SOFT), (1, 0, SOFT)]), vec![2, 1, 0]),
            (
                3,
                between(&[(0, 1, SOFT), (1, 0, SOFT), (1, 2, SOFT)]),
                vec![0, 1, 2],
            ),
            (2, between(&[(0, 1, SOFT), (1, 0, HARD)]), vec![1, 0]),
            (2, between(&[]), vec![0, 1]),
        ] {
            assert_eq!(callers_first(count, &edges), expected);
        }
    }
}
