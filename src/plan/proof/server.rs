//! A Service with the witnesses that are put to it.

use super::bits::Bits;
use super::clients::{Class, Members};
use super::objects::{Labels, Name, Policy, Rules, TLS_MODE};
use super::policies::Policies;
use super::witness::{Request, requests};
use super::world::World;
use model::traffic::ServicePort;
use model::values::PortRef;
use model::workload::PodTemplate;
use model::{Mesh, Object};
use semantics::authorization::{Access, rule_holds};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// A port of the Service and the port of its pods behind it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// What clients dial.
    pub port: u16,
    /// What the pods listen on.
    pub pod_port: u16,
    /// Whether Istio reads it as HTTP.
    pub http: bool,
}

/// Where a policy is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Judge {
    /// At the waypoint, which sees the Service's port and no address.
    Waypoint,
    /// At the server's sidecar, which sees the client.
    Sidecar,
    /// At the server's sidecar, which sees the waypoint.
    BehindWaypoint,
}

/// For whom and for what a policy matches: any of these.
#[derive(Debug)]
pub struct Matches {
    /// Classes.
    pub classes: Bits,
    /// Points, where no token is verified.
    pub plain: Bits,
    /// Points, where tokens are.
    pub verified: Bits,
}

/// The address of a waypoint, which no policy should count on (RFC 5737).
pub const WAYPOINT_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A Service and its witnesses. A *point* is a pair of ports and a request: `pair * requests + request`.
#[derive(Debug)]
pub struct Server {
    /// Its place in the world.
    pub site: usize,
    /// What it is called.
    pub id: Name,
    /// Whether clients dial its pods.
    pub headless: bool,
    /// Ports.
    pub pairs: Vec<Pair>,
    /// Workloads, each with the points that lead to it.
    pub workloads: Vec<(usize, Bits)>,
    /// Witnesses.
    pub requests: Vec<Request>,
    /// Clients, waypoints last.
    pub classes: Vec<Class>,
    /// The waypoints that it may ever use, in the order of their classes.
    pub waypoints: Vec<Name>,
    host: String,
    known: HashMap<(usize, Judge), Arc<Vec<Matches>>>,
}

/// What will ever be there, for choosing witnesses.
pub struct Pool<'a> {
    /// Every policy in every version.
    pub policies: &'a Policies,
    /// Labels that workloads will ever have.
    pub labels: &'a HashMap<usize, Labels>,
    /// Waypoints that Services will ever name.
    pub waypoints: &'a BTreeMap<usize, BTreeSet<Name>>,
    /// Issuers of all RequestAuthentications that will ever be there, by namespace.
    pub issuers: &'a BTreeMap<String, BTreeSet<String>>,
}

impl Server {
    /// The Service at a place in the world; `None` if it has no pods that could be asked, or only such as another
    /// Service leads to by an address of its own.
    pub fn new(site: usize, mesh: &Mesh, world: &World, pool: &Pool<'_>) -> Option<Self> {
        let service = mesh.services.get(site)?;
        let place = world.sites.get(site)?;
        let has_address = |site: &usize| {
            mesh.services
                .get(*site)
                .is_some_and(|other| !other.spec.is_headless())
        };
        let dialled_otherwise = |workload: &usize| world.sites_of(*workload).iter().any(has_address);
        let headless = service.spec.is_headless();
        if place.workloads.is_empty() || (headless && place.workloads.iter().all(dialled_otherwise)) {
            return None;
        }
        let waypoints: Vec<Name> = pool.waypoints.get(&site).into_iter().flatten().cloned().collect();
        let policies = policies(place.workloads.as_slice(), &place.id, &waypoints, world, pool);
        let issuers: BTreeSet<&str> = [&place.id.0, &world.root]
            .into_iter()
            .filter_map(|namespace| pool.issuers.get(namespace))
            .flatten()
            .map(String::as_str)
            .collect();
        let requests = requests(&policies, &issuers);
        let classes = world
            .clients
            .classes(&policies, &waypoints, &mesh.settings.trust_domain);
        let (pairs, of_workloads) = pairs(service, mesh, world, &place.workloads);
        let width = pairs.len() * requests.len();
        let workloads = of_workloads
            .into_iter()
            .map(|(workload, mine)| {
                let points = Bits::of(width, |point| mine.contains(&(point / requests.len())));
                (workload, points)
            })
            .collect();
        Some(Self {
            site,
            id: place.id.clone(),
            headless,
            host: format!(
                "{}.{}.svc.{}",
                place.id.1, place.id.0, mesh.settings.cluster_domain
            ),
            pairs,
            workloads,
            requests,
            classes,
            waypoints,
            known: HashMap::new(),
        })
    }

    /// How many points there are.
    pub fn width(&self) -> usize {
        self.pairs.len() * self.requests.len()
    }

    /// How many requests it is asked, by all clients together.
    pub fn requests(&self) -> usize {
        self.clients().count() * self.width()
    }

    /// The pair and the request of a point.
    pub fn point(&self, point: usize) -> Option<(&Pair, &Request)> {
        let requests = self.requests.len().max(1);
        Some((
            self.pairs.get(point / requests)?,
            self.requests.get(point % requests)?,
        ))
    }

    /// The points of which something is true.
    pub fn points(&self, holds: impl Fn(&Pair, &Request) -> bool) -> Bits {
        Bits::of(self.width(), |point| {
            self.point(point)
                .is_some_and(|(pair, request)| holds(pair, request))
        })
    }

    /// The clients, by the place of their class.
    pub fn clients(&self) -> impl Iterator<Item = (usize, &Class)> {
        self.classes
            .iter()
            .enumerate()
            .filter(|(_, class)| !matches!(class.members, Members::Waypoint))
    }

    /// For whom and what rules match at a judge.
    pub fn matches(&mut self, rules: &Rules, judge: Judge) -> Arc<Vec<Matches>> {
        if let Some(known) = self.known.get(&(rules.number, judge)) {
            return Arc::clone(known);
        }
        let mut found = self.match_parts(&rules.parts, judge, true);
        if self.pairs.iter().any(|pair| !pair.http) {
            found.extend(self.match_parts(&rules.tcp_parts, judge, false));
        }
        let found = Arc::new(found);
        self.known.insert((rules.number, judge), Arc::clone(&found));
        found
    }

    fn match_parts(
        &self,
        parts: &[semantics::authorization::Part],
        judge: Judge,
        http: bool,
    ) -> Vec<Matches> {
        let with_token = self.requests.iter().any(|request| request.token.is_some());
        let accesses: Vec<(usize, Access, Option<Access>)> = (0..self.width())
            .filter_map(|point| {
                let (pair, request) = self.point(point)?;
                (pair.http == http).then(|| {
                    let verified = with_token && request.token.is_some();
                    let with = verified.then(|| self.access(pair, request, judge, true));
                    (point, self.access(pair, request, judge, false), with)
                })
            })
            .collect();
        let peers: Vec<Access> = self
            .classes
            .iter()
            .map(|class| Access {
                principal: class.principal.clone(),
                ..Access::default()
            })
            .collect();
        parts
            .iter()
            .map(|part| {
                let classes = Bits::of(self.classes.len(), |class| {
                    peers
                        .get(class)
                        .is_some_and(|peer| rule_holds(&part.peer, peer) == Ok(true))
                });
                let (mut plain, mut verified) = (Bits::none(self.width()), Bits::none(self.width()));
                for (point, without, with) in &accesses {
                    let holds = rule_holds(&part.request, without) == Ok(true);
                    if holds {
                        plain.set(*point);
                    }
                    let also = match with {
                        Some(with) => rule_holds(&part.request, with) == Ok(true),
                        None => holds,
                    };
                    if also {
                        verified.set(*point);
                    }
                }
                Matches {
                    classes,
                    plain,
                    verified,
                }
            })
            .collect()
    }

    fn access(&self, pair: &Pair, request: &Request, judge: Judge, verified: bool) -> Access {
        let attributes = request.attributes.iter();
        let is_known = |key: &str| verified || !key.starts_with("request.auth.");
        Access {
            principal: None,
            source_ip: match judge {
                Judge::Waypoint => None,
                Judge::Sidecar => Some(request.source),
                Judge::BehindWaypoint => Some(WAYPOINT_ADDRESS),
            },
            remote_ip: Some(request.remote.unwrap_or(request.source)),
            port: if judge == Judge::Waypoint {
                pair.port
            } else {
                pair.pod_port
            },
            host: request.host.clone().unwrap_or_else(|| self.host.clone()),
            method: request.method.clone(),
            path: request.path.clone(),
            headers: request.headers.clone(),
            request_principal: request.token.clone().filter(|_| verified),
            attributes: attributes
                .filter(|(key, _)| is_known(key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        }
    }
}

/// The policies that may ever speak of requests to a Service.
fn policies<'a>(
    workloads: &[usize],
    id: &Name,
    waypoints: &[Name],
    world: &World,
    pool: &Pool<'a>,
) -> Vec<&'a Policy> {
    let mut found: BTreeMap<usize, &Policy> = BTreeMap::new();
    for workload in workloads {
        let Some(labels) = pool.labels.get(workload) else {
            continue;
        };
        for policy in pool.policies.for_pods(&id.0, labels, &world.root) {
            if policy.binding.is_for_sidecar(labels) {
                found.insert(policy.rules.number, policy);
            }
        }
    }
    let none = (String::new(), String::new());
    for waypoint in waypoints.iter().chain([&none]) {
        for policy in pool.policies.for_waypoint(id, waypoint) {
            found.insert(policy.rules.number, policy);
        }
    }
    found.into_values().collect()
}

/// Workloads, each with the places of the pairs that lead to it.
type OfWorkloads = Vec<(usize, BTreeSet<usize>)>;

fn pairs(
    service: &Object<model::traffic::Service>,
    mesh: &Mesh,
    world: &World,
    workloads: &[usize],
) -> (Vec<Pair>, OfWorkloads) {
    let mut of_workloads: Vec<(usize, Vec<Pair>)> = Vec::new();
    for &workload in workloads {
        let Some(pods) = world.pods.get(workload) else {
            continue;
        };
        let template = mesh
            .workloads_in(&pods.id.0)
            .find(|found| found.id.kind == pods.kind && found.name() == pods.id.1)
            .map(|found| &found.spec.template);
        let tcp = |port: &&ServicePort| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP");
        let pair = |port: &ServicePort| {
            let number = port.port?.0;
            Some(Pair {
                port: number,
                pod_port: pod_port(port, template).unwrap_or(number),
                http: port.may_be_http(),
            })
        };
        let ports = service.spec.ports.iter().filter(tcp).filter_map(pair);
        of_workloads.push((workload, ports.collect()));
    }
    let all: BTreeSet<&Pair> = of_workloads.iter().flat_map(|(_, pairs)| pairs).collect();
    let all: Vec<Pair> = all.into_iter().cloned().collect();
    let place = |pair: &Pair| all.iter().position(|known| known == pair);
    let places = of_workloads
        .iter()
        .map(|(workload, pairs)| (*workload, pairs.iter().filter_map(place).collect()))
        .collect();
    (all, places)
}

fn pod_port(port: &ServicePort, template: Option<&PodTemplate>) -> Option<u16> {
    match port.target_port.as_ref()? {
        PortRef::Number(number) => Some(*number),
        PortRef::Name(name) => template?
            .spec
            .containers
            .iter()
            .flat_map(|container| &container.ports)
            .find(|found| found.name.as_ref() == Some(name))
            .and_then(|found| Some(found.container_port?.0)),
    }
}

/// The labels that a workload's pods have from the start, with the injector's.
pub fn all_labels(world: &World, workload: usize) -> Labels {
    let mut labels = Labels::from([(TLS_MODE.to_owned(), "istio".to_owned())]);
    let generations = world.pods.get(workload).map(|pods| &pods.generations);
    for generation in generations.into_iter().flatten() {
        labels.extend(generation.labels.clone());
    }
    labels
}
