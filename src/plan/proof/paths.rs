//! The ways from clients to a server's pods in a state, and what is decided on each.

use super::bits::Bits;
use super::clients::{Class, Kind};
use super::judge::{Verdicts, at_sidecar, at_waypoint, at_ztunnel};
use super::objects::Name;
use super::pods::Carrier;
use super::server::Server;
use super::world::{Parts, World};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where clients' requests are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// The waypoint that the Service uses.
    pub waypoint: Option<Name>,
    /// Whether gateways use it, too.
    ingress: bool,
    /// For sidecars of a namespace, or of all: points that pass the waypoint, and points that reach nothing.
    taught: Vec<Taught>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Taught {
    namespace: Option<String>,
    through: Bits,
    lost: Bits,
    partial: bool,
}

/// The points of a client by the way that they take; a point may be in several if clients of a class differ.
#[derive(Debug)]
pub struct Ways {
    /// Through the waypoint.
    pub through: Bits,
    /// Straight to the pods.
    pub direct: Bits,
    /// To nothing.
    pub lost: Bits,
}

impl Routing {
    fn new(world: &World, server: &Server) -> Self {
        let site = world.sites.get(server.site);
        let waypoint = site
            .filter(|_| !server.headless)
            .and_then(|site| world.used_waypoint(site));
        let ingress = site.is_some_and(|site| {
            site.labels
                .get("istio.io/ingress-use-waypoint")
                .is_some_and(|value| value == "true")
        });
        let teachings = world.teachings.get(&server.id).into_iter().flatten();
        let taught = teachings
            .map(|(_, teaching)| Taught {
                namespace: (teaching.namespace != world.root).then(|| teaching.namespace.clone()),
                through: server.points(|pair, _| teaching.ports.contains(&pair.port)),
                lost: server.points(|pair, _| teaching.lost.contains(&pair.port)),
                partial: teaching.partial,
            })
            .collect();
        Self {
            waypoint,
            ingress,
            taught,
        }
    }

    /// The ways that clients of a class take whose requests leave them in one way.
    pub fn ways(&self, world: &World, server: &Server, class: &Class, kind: Kind) -> Ways {
        let (all, none) = (Bits::all(server.width()), Bits::none(server.width()));
        let waypoint = self.waypoint.is_some();
        match kind {
            Kind::Sidecar => self.of_sidecars(world, server, class),
            Kind::Ambient if waypoint => Ways {
                through: all,
                direct: none.clone(),
                lost: none,
            },
            Kind::Gateway if waypoint && self.ingress => Ways {
                through: all,
                direct: none.clone(),
                lost: none,
            },
            _ => Ways {
                through: none.clone(),
                direct: all,
                lost: none,
            },
        }
    }

    fn of_sidecars(&self, world: &World, server: &Server, class: &Class) -> Ways {
        let none = Bits::none(server.width());
        let mut ways = Ways {
            through: none.clone(),
            direct: none.clone(),
            lost: none.clone(),
        };
        let in_namespaces = self.taught.iter().any(|taught| taught.namespace.is_some());
        let namespaces = if in_namespaces {
            world.clients.sidecar_namespaces(class)
        } else {
            BTreeSet::from([""])
        };
        for namespace in namespaces {
            let mut direct = Bits::all(server.width());
            let is_here = |taught: &&Taught| taught.namespace.as_deref().is_none_or(|name| name == namespace);
            for taught in self.taught.iter().filter(is_here) {
                ways.through.add(&taught.through);
                ways.lost.add(&taught.lost);
                if !taught.partial {
                    direct.remove(&taught.through);
                    direct.remove(&taught.lost);
                }
            }
            ways.direct.add(&direct);
        }
        // A tunnel to a waypoint that does not run, or that does not know the Service, ends nowhere.
        if self.waypoint.is_none() {
            ways.lost.add(&ways.through);
            ways.through = none;
        }
        ways
    }
}

/// Pods that are alike, and what is decided at them.
#[derive(Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The workload.
    pub workload: usize,
    /// Who carries its connections.
    pub carrier: Carrier,
    /// Whether it takes tunnels.
    hbone: bool,
    /// The points that lead to it.
    points: Bits,
    /// For every client.
    direct: Vec<Verdicts>,
    /// For every waypoint.
    behind: Vec<Verdicts>,
}

/// A state of a server: what clients' proxies, its waypoint and its pods know. Each may know it a while before the
/// others do, so parts of different states may be true together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// What clients' proxies know.
    pub routing: Arc<Routing>,
    /// What the waypoint knows.
    pub waypoint: Arc<Vec<Verdicts>>,
    /// The pods, and what their proxies know.
    pub arrivals: Arc<Vec<Arrival>>,
    /// The points whose token the waypoint keeps to itself.
    pub kept: Arc<Bits>,
}

impl State {
    /// The state of a server in a world.
    pub fn of(world: &World, server: &mut Server) -> Self {
        let nothing = Self {
            routing: Arc::new(Routing::new(world, server)),
            waypoint: Arc::default(),
            arrivals: Arc::default(),
            kept: Arc::new(Bits::none(server.width())),
        };
        nothing.after(world, server, Parts::ALL)
    }

    /// The state after some parts have changed.
    pub fn after(&self, world: &World, server: &mut Server, parts: Parts) -> Self {
        let mut state = self.clone();
        if parts.routing {
            state.routing = Arc::new(Routing::new(world, server));
        }
        if parts.waypoint {
            let none = Bits::none(server.width());
            let (waypoint, kept) = match &state.routing.waypoint {
                Some(name) => at_waypoint(world, server, name),
                None => (Vec::new(), none),
            };
            state.waypoint = Arc::new(waypoint);
            state.kept = Arc::new(kept);
        }
        if parts.pods || state.kept != self.kept {
            state.arrivals = Arc::new(arrivals(world, server, &state.kept));
        }
        state
    }

    /// What becomes of a client's points straight at the pods, at each kind of pods. A node proxy comes in the clear
    /// to those that take no tunnel.
    pub fn direct(&self, class: usize, kind: Kind) -> impl Iterator<Item = (&Bits, &Verdicts)> {
        self.arrivals.iter().filter_map(move |arrival| {
            let seen = if kind == Kind::Ambient && !arrival.hbone {
                0
            } else {
                class
            };
            Some((&arrival.points, arrival.direct.get(seen)?))
        })
    }

    /// What becomes of them through the waypoint.
    pub fn through<'a>(&'a self, server: &'a Server, class: usize) -> Vec<(&'a Bits, Verdicts)> {
        let place = |name: &Name| server.waypoints.iter().position(|known| known == name);
        let waypoint = self.routing.waypoint.as_ref().and_then(place);
        let (Some(waypoint), Some(first)) = (waypoint, self.waypoint.get(class)) else {
            return Vec::new();
        };
        self.arrivals
            .iter()
            .filter_map(|arrival| Some((&arrival.points, first.and(arrival.behind.get(waypoint)?))))
            .collect()
    }
}

fn arrivals(world: &World, server: &mut Server, kept: &Bits) -> Vec<Arrival> {
    let mut found: Vec<Arrival> = Vec::new();
    let first_waypoint = server.classes.len() - server.waypoints.len();
    for (workload, points) in server.workloads.clone() {
        let Some(pods) = world.pods.get(workload) else {
            continue;
        };
        for generation in &pods.generations {
            let (direct, behind) = match generation.carrier {
                Carrier::Sidecar => at_sidecar(world, server, generation, kept),
                Carrier::Ambient => {
                    let mut direct = at_ztunnel(world, server, &generation.labels);
                    let behind = direct.split_off(first_waypoint.min(direct.len()));
                    (direct, behind)
                }
                Carrier::Nobody => {
                    let all = Verdicts::all(server.width());
                    (
                        vec![all.clone(); first_waypoint],
                        vec![all; server.waypoints.len()],
                    )
                }
            };
            found.push(Arrival {
                workload,
                carrier: generation.carrier,
                hbone: generation.carrier != Carrier::Sidecar || generation.hbone,
                points: points.clone(),
                direct,
                behind,
            });
        }
    }
    found
}
