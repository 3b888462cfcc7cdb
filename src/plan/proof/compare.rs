//! Whether what is decided in a state was decided before the migration, too.

use super::bits::Bits;
use super::clients::{Class, KINDS, Kind};
use super::judge::Verdicts;
use super::paths::State;
use super::server::Server;
use super::world::World;

/// What may become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It gets in.
    Allowed,
    /// It does not.
    Refused,
    /// A provider is asked.
    Asked,
}

/// What became of a client's points before the migration.
#[derive(Debug, Clone)]
pub struct Known {
    /// Points that were let in, on some way.
    pub allowed: Bits,
    /// Points that were refused, on some way.
    pub refused: Bits,
    /// Points of which a provider was asked, on some way.
    pub asked: Bits,
}

impl Known {
    fn none(width: usize) -> Self {
        Self {
            allowed: Bits::none(width),
            refused: Bits::none(width),
            asked: Bits::none(width),
        }
    }

    fn is_empty(&self) -> bool {
        self.allowed.is_empty() && self.refused.is_empty() && self.asked.is_empty()
    }

    /// Adds verdicts for some points.
    fn add(&mut self, verdicts: &Verdicts, points: &Bits) {
        self.allowed.add_both(&verdicts.allowed, points);
        self.asked.add_both(&verdicts.asked, points);
        self.refused
            .add(&points.minus(&verdicts.allowed).minus(&verdicts.asked));
    }

    /// What is here and not there.
    fn minus(&self, other: &Self) -> Self {
        Self {
            allowed: self.allowed.minus(&other.allowed),
            refused: self.refused.minus(&other.refused),
            asked: self.asked.minus(&other.asked),
        }
    }

    /// The sets, each with its verdict.
    pub fn sets(&self) -> [(Verdict, &Bits); 3] {
        [
            (Verdict::Allowed, &self.allowed),
            (Verdict::Refused, &self.refused),
            (Verdict::Asked, &self.asked),
        ]
    }
}

/// Requests that are decided otherwise than before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Otherwise {
    /// The class of the clients.
    pub class: usize,
    /// How their requests leave them.
    pub kind: Kind,
    /// Which way they take.
    pub way: Way,
    /// What becomes of them now.
    pub now: Verdict,
    /// One of them.
    pub point: usize,
    /// How many there are.
    pub count: usize,
}

/// A way to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Through the waypoint.
    Through,
    /// Straight to the pods.
    Direct,
    /// Nowhere.
    Lost,
}

/// What comparing a state gives.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Requests that are decided otherwise.
    pub otherwise: Vec<Otherwise>,
    /// Clients that do not exist, of whom requests would be decided otherwise: their class and kind.
    pub latent: Vec<(usize, Kind)>,
}

/// What becomes of each client's points in a state.
pub fn baseline(world: &World, server: &Server, state: &State) -> Vec<Known> {
    let mut known: Vec<Known> = Vec::new();
    for (index, class) in server.clients() {
        let mut mine = Known::none(server.width());
        let exists = |kind: &Kind| may_have(world, server, class, *kind) && world.clients.has(class, *kind);
        for kind in KINDS.into_iter().filter(exists) {
            for (_, found) in outcomes(world, server, state, index, class, kind) {
                mine.allowed.add(&found.allowed);
                mine.refused.add(&found.refused);
                mine.asked.add(&found.asked);
            }
        }
        // Whoever was not in the mesh came in the clear.
        let mine = if mine.is_empty() {
            known.first().cloned().unwrap_or(mine)
        } else {
            mine
        };
        known.push(mine);
    }
    known
}

/// Holds a state against what was before.
pub fn compare(world: &World, server: &Server, state: &State, before: &[Known]) -> Comparison {
    let mut comparison = Comparison::default();
    for ((index, class), before) in server.clients().zip(before) {
        for kind in KINDS {
            if !may_have(world, server, class, kind) {
                continue;
            }
            let exists = world.clients.has(class, kind);
            for (way, found) in outcomes(world, server, state, index, class, kind) {
                for (now, points) in found.minus(before).sets() {
                    let Some(point) = points.iter().next() else {
                        continue;
                    };
                    if exists {
                        comparison.otherwise.push(Otherwise {
                            class: index,
                            kind,
                            way,
                            now,
                            point,
                            count: points.len(),
                        });
                    } else {
                        comparison.latent.push((index, kind));
                    }
                }
            }
        }
    }
    comparison
}

/// Whether clients of the class may ever ask in this way.
fn may_have(world: &World, server: &Server, class: &Class, kind: Kind) -> bool {
    let exposed = || {
        world
            .sites
            .get(server.site)
            .is_some_and(|site| site.behind_gateway)
    };
    class.principal.is_none() == (kind == Kind::Outside) && (kind != Kind::Gateway || exposed())
}

fn outcomes(
    world: &World,
    server: &Server,
    state: &State,
    index: usize,
    class: &Class,
    kind: Kind,
) -> Vec<(Way, Known)> {
    let ways = state.routing.ways(world, server, class, kind);
    let mut found = Vec::new();
    if !ways.direct.is_empty() {
        let mut known = Known::none(server.width());
        for (points, verdicts) in state.direct(index, kind) {
            known.add(verdicts, &points.and(&ways.direct));
        }
        found.push((Way::Direct, known));
    }
    if !ways.through.is_empty() {
        let mut known = Known::none(server.width());
        for (points, verdicts) in state.through(server, index) {
            known.add(&verdicts, &points.and(&ways.through));
        }
        found.push((Way::Through, known));
    }
    if !ways.lost.is_empty() {
        let mut known = Known::none(server.width());
        known.refused.add(&ways.lost);
        found.push((Way::Lost, known));
    }
    found
}
