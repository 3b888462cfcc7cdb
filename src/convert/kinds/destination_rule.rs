//! DestinationRule: a waypoint applies it as the client, if it sees it; ztunnel reads none.

use super::traffic_policy::{self, Block, Surroundings, blocks};
use super::waypoint::{Dialled, Served, Waypoints};
use super::{attach, quoted, some_of, spec};
use crate::code::Code;
use crate::convert::context::{Context, Host};
use crate::convert::notes::Notes;
use crate::convert::targets;
use crate::convert::{Change, Disposition, Sink};
use model::traffic::DestinationRule;
use model::{FieldPath, Object, ObjectRef};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

type Rule = Object<DestinationRule>;
type RuleNotes<'a> = Notes<'a, DestinationRule>;

/// Tells of every DestinationRule what a waypoint makes of it.
pub fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    let rules = Rules {
        context,
        waypoints: Waypoints::of(context),
        by_host: by_host(context),
    };
    for object in &context.mesh.destination_rules {
        if crate::convert::is_ours(&object.meta.labels) {
            sink.put(object, Disposition::NothingToDo, Vec::new(), Vec::new());
            continue;
        }
        let mut notes = Notes::on(object);
        let changes = rules.judge(object, &mut notes);
        let disposition = if changes.is_empty() {
            Disposition::Kept
        } else {
            Disposition::Converted
        };
        sink.put(object, disposition, changes, notes.into_findings());
    }
}

/// The rules that do something at waypoints, each with the hosts whose waypoint reads it.
pub fn read_at_waypoints<'a>(context: &Context<'a>) -> Vec<(&'a ObjectRef, Vec<String>)> {
    let rules = Rules {
        context,
        waypoints: Waypoints::of(context),
        by_host: HashMap::new(),
    };
    let of_users = |object: &&Rule| !crate::convert::is_ours(&object.meta.labels);
    let acting = |object: &&Rule| blocks(object).iter().any(Block::acts);
    let objects = context.mesh.destination_rules.iter();
    objects
        .filter(of_users)
        .filter(acting)
        .map(|object| {
            let hosts = rules.waypoints.dialled(&object.spec.host, object.namespace());
            let seen = hosts
                .into_iter()
                .filter(|(_, dialled)| rules.sight(object, dialled).is_seen());
            (&object.id, seen.map(|(host, _)| host).collect())
        })
        .collect()
}

/// The rules that users wrote, by their qualified host.
fn by_host<'a>(context: &Context<'a>) -> HashMap<String, Vec<&'a Rule>> {
    let mut found: HashMap<String, Vec<&Rule>> = HashMap::new();
    for rule in &context.mesh.destination_rules {
        if !crate::convert::is_ours(&rule.meta.labels) {
            let host = context.qualify(&rule.spec.host, rule.namespace());
            found.entry(host).or_default().push(rule);
        }
    }
    found
}

/// What becomes of a rule for one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sight {
    /// A waypoint reads it, as all clients did.
    AsBefore,
    /// A waypoint reads it for all clients, and it was for some.
    ForAll,
    /// It stands in the namespace of a client.
    OfClient,
    /// `exportTo` leaves the waypoint out.
    NotExported,
    /// It is for some pods of clients.
    ForPods,
    /// There is no waypoint.
    NoWaypoint(&'static str),
}

impl Sight {
    fn is_seen(self) -> bool {
        matches!(self, Self::AsBefore | Self::ForAll)
    }
}

struct Rules<'a> {
    context: &'a Context<'a>,
    waypoints: Waypoints<'a>,
    by_host: HashMap<String, Vec<&'a Rule>>,
}

impl<'a> Rules<'a> {
    fn judge(&self, object: &'a Rule, notes: &mut RuleNotes<'_>) -> Vec<Change> {
        let hosts = self.waypoints.dialled(&object.spec.host, object.namespace());
        if hosts.is_empty() {
            self.names_nothing(object, notes);
            return Vec::new();
        }
        let blocks = blocks(object);
        if let [(host, dialled)] = hosts.as_slice()
            && let Some(change) = self.copy(object, host, dialled)
        {
            let message = format!(
                "`{host}` is visible to `{}` only, so what its clients see may hold for all who come through the waypoint",
                object.namespace()
            );
            notes.tell(Code::RuleCopiedForWaypoint, &spec(&["host"]), message);
            self.tell_blocks(object, &hosts, &blocks, notes);
            return vec![change];
        }
        let mut sights: BTreeMap<Sight, Vec<&(String, Dialled<'a>)>> = BTreeMap::new();
        for host in &hosts {
            sights.entry(self.sight(object, &host.1)).or_default().push(host);
        }
        let acts = !object.spec.subsets.is_empty() || blocks.iter().any(Block::acts);
        if acts {
            for (sight, hosts) in &sights {
                tell_sight(*sight, hosts, &blocks, notes);
            }
        } else {
            let message = "nothing of it acts in ambient mode, with a waypoint or without";
            notes.tell(Code::DestinationRuleKept, &FieldPath::root(), message);
        }
        let seen: Vec<_> = hosts
            .iter()
            .filter(|(_, dialled)| self.sight(object, dialled).is_seen())
            .cloned()
            .collect();
        if !acts || !seen.is_empty() {
            let told = if seen.is_empty() { &hosts } else { &seen };
            self.tell_blocks(object, told, &blocks, notes);
        }
        Vec::new()
    }

    fn names_nothing(&self, object: &Rule, notes: &mut RuleNotes<'_>) {
        let host = &object.spec.host;
        let message = match self.context.host(host, object.namespace()) {
            Host::HalfQualified(meant) => format!(
                "`{host}` is taken literally and names no Service; `{}` is probably meant",
                self.context.service_host(meant)
            ),
            _ => format!(
                "`{host}` is no host of the input, so it is not known whether a waypoint reads the rule"
            ),
        };
        notes.tell(Code::RuleNamesNothing, &spec(&["host"]), message);
    }

    /// Whether the waypoint of a host reads a rule. It looks in its own namespace, in that of the host and in the root
    /// namespace.
    fn sight(&self, object: &Rule, dialled: &Dialled<'_>) -> Sight {
        let waypoint = match dialled.served {
            Served::Nothing(reason) => return Sight::NoWaypoint(reason),
            Served::From(namespace) => namespace,
        };
        let (own, exports) = (object.namespace(), &object.spec.export_to);
        let root = self.context.mesh.settings.root_namespace.as_str();
        let to_all = exports.is_empty() || exports.iter().any(|target| target == "*");
        if object.spec.workload_selector.is_some() {
            return Sight::ForPods;
        }
        if own != waypoint && own != dialled.namespace && own != root {
            return Sight::OfClient;
        }
        let to_waypoint = exports
            .iter()
            .any(|target| target == waypoint || (target == "." && own == waypoint));
        if own != waypoint && !to_all && !to_waypoint {
            return Sight::NotExported;
        }
        let of_client = own != dialled.namespace && own != root;
        if of_client || !(to_all || dialled.is_visible_only_to(own)) {
            Sight::ForAll
        } else {
            Sight::AsBefore
        }
    }

    /// The rule of a client in the namespace of the host, where that client is the only one: the host is visible to
    /// nobody else, and nobody else wrote a rule for it.
    fn copy(&self, object: &Rule, host: &str, dialled: &Dialled<'_>) -> Option<Change> {
        let Served::From(waypoint) = dialled.served else {
            return None;
        };
        let own = object.namespace();
        let exports = &object.spec.export_to;
        let sees_it = exports.is_empty()
            || exports
                .iter()
                .any(|target| ["*", ".", own].contains(&target.as_str()));
        let certain = !object.has_unknown_fields && !self.context.is_duplicate(&object.id);
        let alone = self.by_host.get(host).is_some_and(|rules| rules.len() == 1);
        let exact = self.sight(object, dialled) == Sight::OfClient
            && dialled.is_visible_only_to(own)
            && sees_it
            && certain
            && alone;
        if !exact {
            return None;
        }
        let Json::Object(mut fields) = targets::spec(object) else {
            return None;
        };
        let target = if waypoint == dialled.namespace {
            "."
        } else {
            waypoint
        };
        fields.insert("host".into(), json!(host));
        fields.insert("exportTo".into(), json!([target]));
        Some(attach::written(
            self.context,
            object,
            dialled.namespace,
            object.name(),
            Json::Object(fields),
        ))
    }

    fn tell_blocks(
        &self,
        object: &Rule,
        hosts: &[(String, Dialled<'a>)],
        blocks: &[Block<'_>],
        notes: &mut RuleNotes<'_>,
    ) {
        let foreign = hosts.iter().find_map(|(_, dialled)| match dialled.served {
            Served::From(namespace) if namespace != object.namespace() => Some(namespace.to_owned()),
            _ => None,
        });
        let around = Surroundings {
            routed: hosts.iter().all(|(host, _)| self.has_route(host)),
            hash_needs_route: self.context.options.istio.0 < 31,
            in_mesh: hosts.iter().any(|(host, _)| self.is_in_mesh(host)),
            foreign_waypoint: foreign,
        };
        for block in blocks {
            traffic_policy::tell(block, &around, notes);
        }
    }

    fn has_route(&self, host: &str) -> bool {
        let of_service = match self.context.host(host, "") {
            Host::Service(service) => self.context.routes_of(service).next().is_some(),
            _ => false,
        };
        of_service || self.context.claimants(host).next().is_some()
    }

    fn is_in_mesh(&self, host: &str) -> bool {
        match self.context.host(host, "") {
            Host::ServiceEntry(entry) => entry.spec.location.as_deref() == Some("MESH_INTERNAL"),
            _ => true,
        }
    }
}

/// Tells whether the waypoints of some hosts read the rule, and what it means if they do not.
fn tell_sight(
    sight: Sight,
    hosts: &[&(String, Dialled<'_>)],
    blocks: &[Block<'_>],
    notes: &mut RuleNotes<'_>,
) {
    let names = some_of(hosts.iter().map(|(host, _)| format!("`{host}`")));
    let waypoints: BTreeSet<&str> = hosts
        .iter()
        .filter_map(|(_, dialled)| match dialled.served {
            Served::From(namespace) => Some(namespace),
            Served::Nothing(_) => None,
        })
        .collect();
    let waypoints = quoted(waypoints);
    let why = match sight {
        Sight::AsBefore | Sight::ForAll => {
            let same: BTreeSet<String> = blocks.iter().flat_map(Block::unchanged).collect();
            let unchanged = match quoted(same) {
                fields if fields.is_empty() => String::new(),
                fields => format!("; {fields} as before"),
            };
            let message = format!(
                "the waypoint of {names} applies it as the client{unchanged}; without a waypoint nothing does"
            );
            notes.tell(Code::DestinationRuleKept, &FieldPath::root(), message);
            if sight == Sight::ForAll {
                let message =
                    format!("it was for some clients of {names}; at the waypoint it holds for all of them");
                notes.tell(Code::RuleForAllClients, &FieldPath::root(), message);
            }
            return;
        }
        Sight::OfClient => format!(
            "the rule is in the namespace of a client; the waypoint of {names} looks in {waypoints} and in the namespace of the host"
        ),
        Sight::NotExported => format!("`exportTo` leaves out {waypoints}, where the waypoint of {names} is"),
        Sight::ForPods => format!("the rule is for some pods of clients; the waypoint of {names} skips it"),
        Sight::NoWaypoint(reason) => format!("{names} {reason}"),
    };
    let originates: Vec<FieldPath> = blocks.iter().filter_map(Block::originates_tls).collect();
    if let Some(path) = originates.first() {
        let message = format!(
            "{why}: no proxy opens TLS to the server any more; requests go on as the client writes them, in plaintext"
        );
        notes.tell(Code::TlsOriginationLost, path, message);
        return;
    }
    let (code, path) = match sight {
        Sight::NotExported => (Code::RuleNotExported, spec(&["exportTo"])),
        Sight::ForPods => (Code::RuleForClientPods, spec(&["workloadSelector"])),
        Sight::NoWaypoint(_) => (Code::RuleWithoutWaypoint, spec(&["host"])),
        _ => (Code::RuleOfClient, FieldPath::root()),
    };
    notes.tell(
        code,
        &path,
        format!("{why}: what it says ends with the sidecars of its clients"),
    );
}
