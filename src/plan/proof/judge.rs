//! What waypoints, sidecars and node proxies decide about the witnesses of a server.

use super::bits::Bits;
use super::objects::{Authentication, Binding, Labels, Name, Peers, Policy};
use super::pods::Generation;
use super::server::{Judge, Server, WAYPOINT_ADDRESS};
use super::world::World;
use model::security::{Action, MtlsMode, is_subset};
use semantics::layer_4;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// What becomes of the points of one class; what is in neither set is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdicts {
    /// Let in.
    pub allowed: Bits,
    /// A provider is asked.
    pub asked: Bits,
}

impl Verdicts {
    /// Everything is let in.
    pub fn all(width: usize) -> Self {
        Self {
            allowed: Bits::all(width),
            asked: Bits::none(width),
        }
    }

    /// What both let in.
    pub fn and(&self, other: &Self) -> Self {
        let mut through = self.allowed.clone();
        through.add(&self.asked);
        let mut further = other.allowed.clone();
        further.add(&other.asked);
        let mut asked = self.asked.clone();
        asked.add(&other.asked);
        through.keep(&further);
        asked.keep(&through);
        Self {
            allowed: through.minus(&asked),
            asked,
        }
    }
}

/// What a waypoint decides for every class, and the points whose token it keeps to itself.
pub fn at_waypoint(world: &World, server: &mut Server, waypoint: &Name) -> (Vec<Verdicts>, Bits) {
    let policies = world.policies.for_waypoint(&server.id, waypoint);
    let here = |authentication: &&Authentication| match &authentication.binding {
        Binding::Targets(targets) => targets.iter().any(|target| {
            let named = (authentication.id.0.clone(), target.name.clone());
            match target.kind.as_str() {
                "Service" => named == server.id,
                "Gateway" => named == *waypoint,
                "GatewayClass" => authentication.id.0 == world.root && target.name == "istio-waypoint",
                _ => false,
            }
        }),
        Binding::Pods(_) => false,
    };
    let issuers = issuers(
        world
            .authentications
            .values()
            .flat_map(BTreeMap::values)
            .filter(here),
    );
    let verified = verified(server, &issuers);
    let kept = server.points(|_, request| {
        issuer_of(request.token.as_deref()).is_some_and(|issuer| issuers.get(issuer) == Some(&false))
    });
    let classes = 0..server.classes.len();
    let verdicts = envoy(server, &policies, Judge::Waypoint, &verified, classes);
    (verdicts, kept)
}

/// What a sidecar decides, for clients that come to it and for those that come through a waypoint. `kept` are the
/// points whose token the waypoint has taken away.
pub fn at_sidecar(
    world: &World,
    server: &mut Server,
    pods: &Generation,
    kept: &Bits,
) -> (Vec<Verdicts>, Vec<Verdicts>) {
    let (labels, namespace) = (&pods.labels, server.id.0.clone());
    let mut policies = world.policies.for_pods(&namespace, labels, &world.root);
    policies.retain(|policy| policy.binding.is_for_sidecar(labels));
    let found = [&namespace, &world.root]
        .into_iter()
        .filter_map(|namespace| world.authentications.get(namespace))
        .flat_map(BTreeMap::values)
        .filter(|authentication| authentication.binding.is_for_sidecar(labels));
    let verified = verified(server, &issuers(found));
    let first_waypoint = server.classes.len() - server.waypoints.len();
    let mut direct = envoy(server, &policies, Judge::Sidecar, &verified, 0..first_waypoint);
    peer_modes(world, server, labels, &mut direct);
    // Without a tunnel a waypoint comes in the clear, as nobody.
    let classes = if pods.hbone {
        first_waypoint..server.classes.len()
    } else {
        0..1
    };
    let mut behind = envoy(
        server,
        &policies,
        Judge::BehindWaypoint,
        &verified.minus(kept),
        classes,
    );
    if !pods.hbone {
        peer_modes(world, server, labels, &mut behind);
        behind = server.waypoints.iter().flat_map(|_| behind.clone()).collect();
    }
    (direct, behind)
}

fn peer_modes(world: &World, server: &Server, labels: &Labels, verdicts: &mut [Verdicts]) {
    let modes = modes(world, &server.id.0, labels);
    let strict = server.points(|pair, _| modes.of(pair.pod_port) == MtlsMode::Strict);
    let disabled = server.points(|pair, _| modes.of(pair.pod_port) == MtlsMode::Disable);
    if let Some(nobody) = verdicts.first_mut() {
        nobody.allowed.remove(&strict);
        nobody.asked.remove(&strict);
    }
    if disabled.is_empty() {
        return;
    }
    // Where mutual TLS is off nobody has an identity.
    if let Some((nobody, others)) = verdicts.split_first_mut() {
        for other in others {
            for (theirs, mine) in [
                (&mut other.allowed, &nobody.allowed),
                (&mut other.asked, &nobody.asked),
            ] {
                theirs.remove(&disabled);
                theirs.add_both(mine, &disabled);
            }
        }
    }
}

/// Issuers, each with whether all that verify its tokens pass them on.
fn issuers<'a>(found: impl Iterator<Item = &'a Authentication>) -> BTreeMap<&'a str, bool> {
    let mut issuers = BTreeMap::new();
    for (issuer, forwards) in found.flat_map(|authentication| &authentication.issuers) {
        *issuers.entry(issuer.as_str()).or_insert(true) &= *forwards;
    }
    issuers
}

fn issuer_of(token: Option<&str>) -> Option<&str> {
    Some(token?.rsplit_once('/')?.0)
}

fn verified(server: &Server, issuers: &BTreeMap<&str, bool>) -> Bits {
    if issuers.is_empty() {
        return Bits::none(server.width());
    }
    server.points(|_, request| {
        issuer_of(request.token.as_deref()).is_some_and(|issuer| issuers.contains_key(issuer))
    })
}

/// CUSTOM, DENY, ALLOW as Envoy decides them.
fn envoy(
    server: &mut Server,
    policies: &[&Policy],
    judge: Judge,
    verified: &Bits,
    classes: std::ops::Range<usize>,
) -> Vec<Verdicts> {
    let width = server.width();
    let enforced = policies.iter().filter(|policy| !policy.dry_run);
    let matches: Vec<_> = enforced
        .map(|policy| (policy.rules.action, server.matches(&policy.rules, judge)))
        .collect();
    let has_allow = matches.iter().any(|(action, _)| *action == Action::Allow);
    classes
        .map(|class| {
            let matched = |wanted: Action| {
                let mut points = Bits::none(width);
                let of = matches.iter().filter(|(action, _)| *action == wanted);
                for found in of.flat_map(|(_, found)| found.iter()) {
                    if found.classes.has(class) {
                        points.add(&found.plain.minus(verified));
                        points.add_both(&found.verified, verified);
                    }
                }
                points
            };
            let mut allowed = if has_allow {
                matched(Action::Allow)
            } else {
                Bits::all(width)
            };
            allowed.remove(&matched(Action::Deny));
            let asked = allowed.and(&matched(Action::Custom));
            allowed.remove(&asked);
            Verdicts { allowed, asked }
        })
        .collect()
}

/// What the node's proxy of the server decides, for clients and for waypoints, in the order of the classes.
pub fn at_ztunnel(world: &World, server: &Server, labels: &Labels) -> Vec<Verdicts> {
    let mut policies = world.policies.for_pods(&server.id.0, labels, &world.root);
    policies.retain(|policy| policy.binding.is_for_ztunnel(labels) && !policy.dry_run);
    let policies: Vec<&layer_4::Policy> = policies
        .iter()
        .filter_map(|policy| policy.rules.layer_4.as_ref())
        .collect();
    let modes = modes(world, &server.id.0, labels);
    let first_waypoint = server.classes.len() - server.waypoints.len();
    let mut verdicts = Vec::with_capacity(server.classes.len());
    for (index, class) in server.classes.iter().enumerate() {
        let mut known: BTreeMap<(u16, IpAddr), bool> = BTreeMap::new();
        let mut allowed = Bits::none(server.width());
        for point in 0..server.width() {
            let Some((pair, request)) = server.point(point) else {
                continue;
            };
            let source = if index < first_waypoint {
                request.source
            } else {
                WAYPOINT_ADDRESS
            };
            let admitted = known.entry((pair.pod_port, source)).or_insert_with(|| {
                let principal = class.principal.as_deref();
                let strict = modes.at_ztunnel(pair.pod_port) && principal.is_none();
                !strict && admits(&policies, principal, source, pair.pod_port)
            });
            if *admitted {
                allowed.set(point);
            }
        }
        verdicts.push(Verdicts {
            allowed,
            asked: Bits::none(server.width()),
        });
    }
    verdicts
}

fn admits(policies: &[&layer_4::Policy], principal: Option<&str>, source: IpAddr, port: u16) -> bool {
    let peer = principal.and_then(|principal| {
        let (namespace, service_account) = principal.split_once("/ns/")?.1.split_once("/sa/")?;
        Some(layer_4::Peer {
            principal,
            namespace,
            service_account,
        })
    });
    let connection = layer_4::Connection {
        peer,
        source,
        // The address of a pod is not known before it runs (RFC 5737).
        destination: IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
        port,
    };
    layer_4::decide(policies.iter().copied(), &connection) == layer_4::Verdict::Allowed
}

/// The modes of mutual TLS for some pods.
struct Modes {
    mode: MtlsMode,
    ports: BTreeMap<u16, MtlsMode>,
    /// Whether the mode comes from the object that names the ports.
    own: bool,
}

impl Modes {
    fn of(&self, port: u16) -> MtlsMode {
        self.ports.get(&port).copied().unwrap_or(self.mode)
    }

    /// Whether the node's proxy refuses whoever has no identity. A port with DISABLE under an inherited STRICT is
    /// not an exception there.
    fn at_ztunnel(&self, port: u16) -> bool {
        match self.ports.get(&port) {
            Some(MtlsMode::Strict) => true,
            Some(MtlsMode::Disable) if !self.own => self.mode == MtlsMode::Strict,
            Some(_) => false,
            None => self.mode == MtlsMode::Strict,
        }
    }
}

/// Mesh, namespace, workload: the nearest counts, of several the oldest.
fn modes(world: &World, namespace: &str, labels: &Labels) -> Modes {
    let oldest = |namespace: &str, selected: bool| {
        let fits = |peers: &&Peers| {
            if selected {
                !peers.selector.is_empty() && is_subset(&peers.selector, labels)
            } else {
                peers.selector.is_empty()
            }
        };
        let here = world.peers.get(namespace).into_iter().flat_map(BTreeMap::values);
        here.filter(fits).min_by_key(|peers| (&peers.created, &peers.id))
    };
    let workload = if namespace == world.root {
        None
    } else {
        oldest(namespace, true)
    };
    let own = workload.and_then(|peers| peers.mode);
    let mode = own
        .or_else(|| oldest(namespace, false).and_then(|peers| peers.mode))
        .or_else(|| oldest(&world.root, false).and_then(|peers| peers.mode));
    Modes {
        mode: mode.unwrap_or(MtlsMode::Permissive),
        ports: workload.map(|peers| peers.ports.clone()).unwrap_or_default(),
        own: own.is_some(),
    }
}
