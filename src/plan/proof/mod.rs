//! The proof of a plan: no step, while it is half done either, decides a request otherwise than before.
//!
//! The proof knows nothing of how the planner thinks. It replays the writes on the mesh and asks in every state what
//! becomes of witness requests, on every way that the state makes possible:
//!
//! ```text
//! script ──▶ world ──▶ paths ──▶ compare ──▶ words
//!   what writes change    │  who reaches whom     against the first state
//!                         └─▶ judge: waypoint, sidecar, ztunnel (the crate `semantics`)
//! ```
//!
//! Witnesses come from the boundaries of every rule that is ever there ([`witness`]); clients that no policy tells
//! apart are one ([`clients`]). Proxies learn of a write one after the other, so within a step what clients, waypoint
//! and pods know may be of different states, and all combinations are looked at ([`paths::State`]).
//!
//! Routes are not part of it: a request keeps its path and its Service. Gateways ask only the Services to which their
//! routes lead. Pods that are dialled by their own address are asked only where no other Service leads to them.

mod bits;
mod clients;
mod compare;
mod exposed;
mod judge;
mod objects;
mod paths;
mod pods;
mod policies;
mod script;
mod server;
mod setup;
#[cfg(test)]
mod tests;
mod witness;
mod words;
mod world;

use super::document::{Phase, Plan, Proof, Step};
use compare::{Known, Otherwise, baseline, compare};
use model::Mesh;
use paths::{Arrival, Routing, State};
use pods::Carrier;
use script::{Change, Reader};
use server::Server;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use world::{Parts, Touched, World};

/// How many sentences a step's proof has at most.
const SENTENCES: usize = 5;

/// Puts a proof into every step of a plan.
pub fn prove(mesh: &Mesh, plan: &mut Plan) {
    let proofs = check(mesh, plan);
    for (step, proof) in plan.steps.iter_mut().zip(proofs) {
        step.proof = proof;
    }
}

/// The proofs of a plan's steps, in their order.
#[must_use]
pub fn check(mesh: &Mesh, plan: &Plan) -> Vec<Proof> {
    let mut reader = Reader::new(mesh);
    let first = reader.first(mesh);
    let changes = reader.read(plan);
    let mut world = World::new(mesh);
    for change in &first {
        world.apply(change);
    }
    let all = first.iter().chain(changes.iter().flatten());
    let mut prover = Prover::new(setup::servers(mesh, &world, all), world);
    let steps = plan.steps.iter().zip(&changes);
    steps.map(|(step, changes)| prover.step(step, changes)).collect()
}

/// A server, what was decided about its witnesses at the start, and how it stands.
struct Judged {
    server: Server,
    before: Vec<Known>,
    state: State,
    otherwise: Vec<Otherwise>,
    /// Clients that do not exist, of whom requests would be decided otherwise.
    latent: Vec<(usize, clients::Kind)>,
    /// What proxies may know, since the checks that were the last to pass.
    seen: Seen,
}

/// Parts of states, any of which may be true together.
#[derive(Default)]
struct Seen {
    routings: Vec<Arc<Routing>>,
    waypoints: Vec<Arc<Vec<judge::Verdicts>>>,
    arrivals: Vec<Arc<Vec<Arrival>>>,
}

struct Prover {
    world: World,
    judged: Vec<Option<Judged>>,
    /// Servers about which requests are decided otherwise as things stand.
    wrong: BTreeSet<usize>,
    /// Servers about which they would be if there were other clients.
    latent: BTreeSet<usize>,
    /// Servers that the step has touched since the last checks.
    unsettled: BTreeSet<usize>,
    /// How many requests are decided in each state: witnesses of all servers from all clients that are told apart.
    requests: usize,
}

impl Prover {
    fn new(servers: Vec<Option<Server>>, world: World) -> Self {
        use rayon::prelude::*;
        let judged: Vec<_> = servers
            .into_par_iter()
            .map(|server| server.map(|server| Judged::new(server, &world)))
            .collect();
        let mut prover = Self {
            world,
            requests: judged
                .iter()
                .flatten()
                .map(|judged| judged.server.requests())
                .sum(),
            judged,
            wrong: BTreeSet::new(),
            latent: BTreeSet::new(),
            unsettled: BTreeSet::new(),
        };
        for (site, judged) in prover.judged.iter().enumerate() {
            let Some(judged) = judged else { continue };
            keep(&mut prover.latent, site, !judged.latent.is_empty());
        }
        prover
    }

    fn step(&mut self, step: &Step, changes: &[Change]) -> Proof {
        let mut tally = Tally::default();
        let mut states = 1;
        for &site in &self.wrong {
            if let Some(Some(judged)) = self.judged.get(site) {
                tally.add(site, judged, &judged.otherwise, "already before the step");
            }
        }
        for (number, (change, write)) in changes.iter().zip(&step.writes).enumerate() {
            if let Change::Unreadable(name) = change {
                tally.not_proved(format!("not proved: {name} cannot be read as what it is called"));
            }
            let target = write.target();
            let touched = self.world.apply(change);
            states += 1;
            self.look(
                &touched,
                &format!("after write {} ({target})", number + 1),
                &mut tally,
            );
            if step.phase == Phase::Move {
                let touched = self.world.settle(&step.checks, Some(&target));
                states += 1;
                self.look(&touched, &format!("once {target} has moved"), &mut tally);
                self.forget();
            }
        }
        let touched = self.world.settle(&step.checks, None);
        states += 1;
        self.look(&touched, "when the step's checks have passed", &mut tally);
        self.forget();
        Proof {
            states,
            requests: self.requests,
            otherwise: tally.into_sentences(),
        }
    }

    /// Judges anew what a change touches.
    fn look(&mut self, touched: &Touched, when: &str, tally: &mut Tally) {
        let others = self.others(touched);
        let sites: BTreeSet<usize> = touched.sites.keys().chain(&others).copied().collect();
        for site in sites {
            let Some(Some(judged)) = self.judged.get_mut(site) else {
                continue;
            };
            let parts = touched.sites.get(&site).copied().unwrap_or_default();
            let changed = judged.change(&self.world, parts, |judged, otherwise| {
                tally.add(site, judged, otherwise, when);
            });
            self.unsettled.insert(site);
            if !changed && !others.contains(&site) {
                continue;
            }
            judged.compare(&self.world);
            tally.add(site, judged, &judged.otherwise, when);
            keep(&mut self.latent, site, !judged.latent.is_empty());
            keep(&mut self.wrong, site, !judged.otherwise.is_empty());
        }
    }

    /// Servers whose own state is not touched, but that clients ask now who did not before.
    fn others(&self, touched: &Touched) -> BTreeSet<usize> {
        if touched.gained.contains(&clients::Kind::Sidecar) {
            // Sidecars of one namespace may be led elsewhere than those of another.
            return (0..self.judged.len()).collect();
        }
        let mut found = BTreeSet::new();
        if !touched.gained.is_empty() {
            let concerns = |site: &&usize| {
                let judged = self.judged.get(**site).and_then(Option::as_ref);
                judged.is_some_and(|judged| judged.has_latent(&self.world))
            };
            found.extend(self.latent.iter().filter(concerns));
        }
        if !touched.gained.is_empty() || touched.lost {
            found.extend(&self.wrong);
        }
        found
    }

    /// Every proxy knows the state as it is.
    fn forget(&mut self) {
        for site in std::mem::take(&mut self.unsettled) {
            if let Some(Some(judged)) = self.judged.get_mut(site) {
                judged.seen = Seen::default();
            }
        }
    }
}

fn keep<T: Ord>(set: &mut BTreeSet<T>, member: T, is_member: bool) {
    if is_member {
        set.insert(member);
    } else {
        set.remove(&member);
    }
}

impl Judged {
    fn new(mut server: Server, world: &World) -> Self {
        let state = State::of(world, &mut server);
        let before = baseline(world, &server, &state);
        let latent = compare(world, &server, &state, &before).latent;
        Self {
            server,
            before,
            state,
            otherwise: Vec::new(),
            latent,
            seen: Seen::default(),
        }
    }

    /// Takes over the state of a world, and compares what proxies may take for it; says whether it is another one.
    fn change(&mut self, world: &World, parts: Parts, mut tell: impl FnMut(&Self, &[Otherwise])) -> bool {
        let new = self.state.after(world, &mut self.server, parts);
        if new == self.state {
            return false;
        }
        let old = std::mem::replace(&mut self.state, new);
        self.seen.add(&old);
        for mixed in self.seen.add(&self.state) {
            let found = compare(world, &self.server, &mixed, &self.before);
            tell(self, &found.otherwise);
        }
        true
    }

    /// Compares the state as it is.
    fn compare(&mut self, world: &World) {
        let found = compare(world, &self.server, &self.state, &self.before);
        self.otherwise = found.otherwise;
        self.latent = found.latent;
    }

    /// Whether clients have come to exist of whom requests are decided otherwise.
    fn has_latent(&self, world: &World) -> bool {
        self.latent.iter().any(|&(index, kind)| {
            let class = self.server.classes.get(index);
            class.is_some_and(|class| world.clients.has(class, kind))
        })
    }

    /// Whether pods with and without a sidecar run side by side.
    fn is_mixed(&self) -> bool {
        let has = |carrier: Carrier| {
            self.state
                .arrivals
                .iter()
                .any(|arrival| arrival.carrier == carrier)
        };
        has(Carrier::Sidecar) && has(Carrier::Ambient)
    }
}

impl Seen {
    /// Adds the parts of a state; gives every combination that is new by it, but for the state itself.
    fn add(&mut self, state: &State) -> Vec<State> {
        let routing = put(&mut self.routings, &state.routing);
        let waypoint = put(&mut self.waypoints, &state.waypoint);
        let arrivals = put(&mut self.arrivals, &state.arrivals);
        let mut found = Vec::new();
        for (r, of_clients) in self.routings.iter().enumerate() {
            for (w, of_waypoint) in self.waypoints.iter().enumerate() {
                for (a, of_pods) in self.arrivals.iter().enumerate() {
                    let is_new = (routing.1 && r == routing.0)
                        || (waypoint.1 && w == waypoint.0)
                        || (arrivals.1 && a == arrivals.0);
                    let is_state = (r, w, a) == (routing.0, waypoint.0, arrivals.0);
                    if is_new && !is_state {
                        found.push(State {
                            routing: Arc::clone(of_clients),
                            waypoint: Arc::clone(of_waypoint),
                            arrivals: Arc::clone(of_pods),
                            ..state.clone()
                        });
                    }
                }
            }
        }
        found
    }
}

/// The place of a part among those that are known, and whether it is new.
fn put<T: PartialEq>(known: &mut Vec<Arc<T>>, part: &Arc<T>) -> (usize, bool) {
    if let Some(place) = known.iter().position(|other| other == part) {
        return (place, false);
    }
    known.push(Arc::clone(part));
    (known.len() - 1, true)
}

/// What is otherwise in a step, each once.
#[derive(Default)]
struct Tally {
    found: BTreeMap<(usize, usize, clients::Kind, compare::Way, compare::Verdict), String>,
    not_proved: BTreeSet<String>,
}

impl Tally {
    fn add(&mut self, site: usize, judged: &Judged, otherwise: &[Otherwise], when: &str) {
        for found in otherwise {
            let key = (site, found.class, found.kind, found.way, found.now);
            self.found.entry(key).or_insert_with(|| {
                let side = if judged.is_mixed() {
                    ", while pods with and without a sidecar run"
                } else {
                    ""
                };
                words::sentence(&judged.server, &judged.before, found, &format!("{when}{side}"))
            });
        }
    }

    fn not_proved(&mut self, sentence: String) {
        self.not_proved.insert(sentence);
    }

    fn into_sentences(self) -> Vec<String> {
        let mut all: Vec<String> = self
            .not_proved
            .into_iter()
            .chain(self.found.into_values())
            .collect();
        let more = all.len().saturating_sub(SENTENCES);
        if more > 0 {
            all.truncate(SENTENCES);
            all.push(format!("and {more} more kinds of requests"));
        }
        all
    }
}
