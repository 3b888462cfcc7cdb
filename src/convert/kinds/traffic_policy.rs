//! The policies inside of a DestinationRule, field by field: what a waypoint does with each.

use super::{quoted, text};
use crate::code::Code;
use crate::convert::notes::Notes;
use model::traffic::DestinationRule;
use model::{FieldPath, Node, Object};

type RuleNotes<'a> = Notes<'a, DestinationRule>;

/// Fields of `connectionPool` that limit how much one proxy sends.
const LIMITS: [(&str, &str); 4] = [
    ("tcp", "maxConnections"),
    ("http", "http1MaxPendingRequests"),
    ("http", "http2MaxRequests"),
    ("http", "maxRetries"),
];

/// Fields of `tls` that are paths of files in the proxy.
const FILES: [&str; 4] = ["caCertificates", "clientCertificate", "privateKey", "caCrl"];

/// A block of policies and where it stands.
pub struct Block<'a> {
    path: FieldPath,
    node: &'a Node,
}

/// All blocks of a rule: for the host and for each subset, and in each for single ports.
pub fn blocks(object: &Object<DestinationRule>) -> Vec<Block<'_>> {
    let spec = FieldPath::spec();
    let of_host = object.spec.traffic_policy.iter().map(|policy| Block {
        path: spec.key("trafficPolicy"),
        node: &policy.0,
    });
    let subsets = object.spec.subsets.iter().enumerate();
    let of_subsets = subsets.filter_map(|(index, subset)| {
        Some(Block {
            path: spec.key("subsets").index(index).key("trafficPolicy"),
            node: &subset.traffic_policy.as_ref()?.0,
        })
    });
    let whole: Vec<Block<'_>> = of_host.chain(of_subsets).collect();
    let mut all = Vec::new();
    for block in whole {
        let ports = block.node.get("portLevelSettings").map_or(&[][..], Node::items);
        let path = block.path.key("portLevelSettings");
        all.push(block);
        all.extend(ports.iter().enumerate().map(|(index, node)| Block {
            path: path.index(index),
            node,
        }));
    }
    all
}

impl Block<'_> {
    fn tls_mode(&self) -> Option<&str> {
        text(self.node.get("tls")?, "mode")
    }

    /// Where the block makes the proxy open TLS of its own, past that of the mesh.
    pub fn originates_tls(&self) -> Option<FieldPath> {
        let mode = self.tls_mode()?;
        matches!(mode, "SIMPLE" | "MUTUAL").then(|| self.path.key("tls").key("mode"))
    }

    /// Whether the end of the block would be noticed: modes of TLS inside of the mesh have no effect anyway.
    pub fn acts(&self) -> bool {
        self.node.entries().iter().any(|entry| match &*entry.key {
            "tls" => self.originates_tls().is_some(),
            "port" | "portLevelSettings" => false,
            _ => true,
        })
    }

    /// The fields that a waypoint applies as a sidecar did, for the block as a whole.
    pub fn unchanged(&self) -> Vec<String> {
        let mut found = Vec::new();
        for group in ["tcp", "http"] {
            let fields = self
                .node
                .at(&["connectionPool", group])
                .map_or(&[][..], Node::entries);
            let same = fields
                .iter()
                .filter(|entry| !LIMITS.contains(&(group, &*entry.key)));
            found.extend(same.map(|entry| entry.key.to_string()));
        }
        for key in ["simple", "consistentHash"] {
            let value = self.node.at(&["loadBalancer", key]);
            if value.is_some_and(|value| value.as_str() != Some("PASSTHROUGH")) {
                found.push(key.to_owned());
            }
        }
        for key in ["tunnel", "proxyProtocol"] {
            found.extend(self.node.get(key).map(|_| key.to_owned()));
        }
        if self.originates_tls().is_some() {
            found.push("tls".to_owned());
        }
        found
    }
}

/// What a judgement about a block depends on.
pub struct Surroundings {
    /// Whether every host of the rule has a route, on which a hash policy can stand.
    pub routed: bool,
    /// Whether a hash policy needs a route (Istio 1.30).
    pub hash_needs_route: bool,
    /// Whether some host is inside of the mesh, so that ztunnel encrypts what is sent there.
    pub in_mesh: bool,
    /// The namespace of a waypoint that is not that of the rule.
    pub foreign_waypoint: Option<String>,
}

/// Tells what changes in a block although it is kept.
pub fn tell(block: &Block<'_>, around: &Surroundings, notes: &mut RuleNotes<'_>) {
    limits(block, notes);
    state(block, notes);
    if let Some(balancer) = block.node.get("loadBalancer") {
        load_balancer(balancer, &block.path.key("loadBalancer"), around, notes);
    }
    if let Some(tls) = block.node.get("tls") {
        tls_settings(tls, &block.path.key("tls"), around, notes);
    }
}

fn limits(block: &Block<'_>, notes: &mut RuleNotes<'_>) {
    let set = LIMITS.into_iter().filter_map(|(group, key)| {
        let value = block.node.at(&["connectionPool", group, key])?.scalar_text()?;
        Some(format!("{group}.{key}: {value}"))
    });
    let fields = quoted(set);
    if !fields.is_empty() {
        let message = format!(
            "{fields}: counted by each pod of the waypoint for all clients together, and no longer by each client for itself"
        );
        notes.tell(Code::LimitsShared, &block.path.key("connectionPool"), message);
    }
}

fn state(block: &Block<'_>, notes: &mut RuleNotes<'_>) {
    for key in ["outlierDetection", "retryBudget"] {
        if block.node.get(key).is_some_and(|node| !node.is_null()) {
            let message = format!("`{key}` is counted by each pod of the waypoint, for all clients together");
            notes.tell(Code::StateOfWaypoint, &block.path.key(key), message);
        }
    }
    for key in ["warmup", "warmupDurationSecs"] {
        if block.node.at(&["loadBalancer", key]).is_some() {
            let message = format!("`{key}` begins when a pod of the waypoint first sees an endpoint");
            notes.tell(
                Code::StateOfWaypoint,
                &block.path.key("loadBalancer").key(key),
                message,
            );
        }
    }
}

fn load_balancer(node: &Node, path: &FieldPath, around: &Surroundings, notes: &mut RuleNotes<'_>) {
    if let Some(setting) = node.get("localityLbSetting")
        && !setting
            .get("enabled")
            .is_some_and(|flag| flag.value == model::Value::Bool(false))
    {
        let chosen = ["distribute", "failover", "failoverPriority"]
            .into_iter()
            .filter(|key| setting.get(key).is_some());
        let fields = match quoted(chosen) {
            fields if fields.is_empty() => "locality-aware load balancing".to_owned(),
            fields => fields,
        };
        let message = format!("{fields}: begins at the zone of the waypoint's pod instead of the client's");
        notes.tell(Code::LocalityOfWaypoint, &path.key("localityLbSetting"), message);
    }
    if node.get("zoneAwareLbSetting").is_some() {
        let message = "a waypoint ignores `zoneAwareLbSetting`: endpoints are chosen without regard to zones";
        notes.tell(Code::ZoneAwareIgnored, &path.key("zoneAwareLbSetting"), message);
    }
    if node.get("consistentHash").is_some() && around.hash_needs_route && !around.routed {
        let message = "a waypoint of Istio 1.30 hashes requests only on routes, and the host has none: requests of one client go to any endpoint";
        notes.tell(Code::HashNeedsRoute, &path.key("consistentHash"), message);
    }
    if text(node, "simple") == Some("PASSTHROUGH") {
        let message =
            "the client's address of choice is the Service: behind it the waypoint chooses the endpoint";
        notes.tell(Code::PassthroughBalancingEnds, &path.key("simple"), message);
    }
}

fn tls_settings(tls: &Node, path: &FieldPath, around: &Surroundings, notes: &mut RuleNotes<'_>) {
    match text(tls, "mode") {
        Some("ISTIO_MUTUAL") => {
            let message = "ISTIO_MUTUAL has no effect in ambient mode and needs none";
            notes.tell(Code::MeshTlsImplied, &path.key("mode"), message);
        }
        None | Some("DISABLE") if around.in_mesh => {
            let message = "DISABLE has no effect in ambient mode: what was plaintext becomes mutual TLS between ztunnels";
            notes.tell(Code::PlaintextOfClientEnds, &path.key("mode"), message);
        }
        Some("SIMPLE" | "MUTUAL") => originated(tls, path, around, notes),
        _ => {}
    }
}

fn originated(tls: &Node, path: &FieldPath, around: &Surroundings, notes: &mut RuleNotes<'_>) {
    let credential = text(tls, "credentialName").filter(|name| !name.is_empty());
    let files = FILES.into_iter().filter(|key| {
        // `system` names the certificates of the image, which a waypoint has too.
        credential.is_none() && text(tls, key).is_some_and(|file| !file.is_empty() && file != "system")
    });
    let files = quoted(files);
    if !files.is_empty() {
        let message =
            format!("{files}: the files must be in the pods of the waypoint, which have none of them");
        notes.tell(Code::TlsFilesInWaypoint, path, message);
    }
    if let (Some(name), Some(namespace)) = (credential, &around.foreign_waypoint) {
        let message = format!("the Secret `{name}` must be in `{namespace}`, where the waypoint is");
        notes.tell(Code::TlsSecretInWaypoint, &path.key("credentialName"), message);
    }
}
