//! The traffic policy of a subset, written out so that it no longer needs that of its host.

use serde_json::{Map, Value as Json};

const PORTS: &str = "portLevelSettings";

/// What istiod applies to a subset: the host's policy with the subset's in front of it, block by block. A port's settings
/// replace the blocks of their own policy, present or not; the subset's blocks come before those of the host's port.
///
/// Source: istio/istio:pilot/pkg/networking/util/util.go (`MergeTrafficPolicy`).
pub fn merge(host: Option<Json>, subset: Option<Json>) -> Option<Json> {
    let (mut host, mut subset) = (fields(host), fields(subset));
    let of_host = ports(host.shift_remove(PORTS));
    let of_subset = ports(subset.shift_remove(PORTS));
    let mut merged = over(host, &subset);
    let mut settings: Vec<Json> = Vec::new();
    for entry in &of_host {
        if of_subset.iter().all(|other| number(other) != number(entry)) {
            // Blocks that a port's settings cannot hold stay with the policy as a whole.
            let blocks = subset.iter().filter(|(key, _)| BLOCKS.contains(&key.as_str()));
            let blocks = blocks.map(|(key, block)| (key.clone(), block.clone())).collect();
            settings.push(Json::Object(over(fields(Some(entry.clone())), &blocks)));
        }
    }
    settings.extend(of_subset);
    if !settings.is_empty() {
        merged.insert(PORTS.to_owned(), Json::Array(settings));
    }
    (!merged.is_empty()).then_some(Json::Object(merged))
}

/// The blocks of `portLevelSettings` (`TrafficPolicy.PortTrafficPolicy`).
const BLOCKS: [&str; 4] = ["loadBalancer", "connectionPool", "outlierDetection", "tls"];

fn fields(policy: Option<Json>) -> Map<String, Json> {
    match policy {
        Some(Json::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn ports(settings: Option<Json>) -> Vec<Json> {
    match settings {
        Some(Json::Array(settings)) => settings,
        _ => Vec::new(),
    }
}

fn number(settings: &Json) -> Option<u64> {
    settings.get("port")?.get("number")?.as_u64()
}

fn over(mut below: Map<String, Json>, above: &Map<String, Json>) -> Map<String, Json> {
    for (key, block) in above.iter().filter(|(_, block)| !block.is_null()) {
        below.insert(key.clone(), block.clone());
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_block_of_the_subset_replaces_the_host_s() {
        let host =
            json!({ "connectionPool": { "tcp": { "maxConnections": 1 } }, "tls": { "mode": "DISABLE" } });
        let subset = json!({ "connectionPool": { "http": { "maxRetries": 2 } } });
        let expected =
            json!({ "connectionPool": { "http": { "maxRetries": 2 } }, "tls": { "mode": "DISABLE" } });
        assert_eq!(merge(Some(host.clone()), Some(subset)), Some(expected));
        assert_eq!(merge(Some(host.clone()), None), Some(host));
        assert_eq!(merge(None, None), None);
    }

    #[test]
    fn the_subset_comes_before_a_port_of_the_host_and_its_own_ports_before_all() {
        let host = json!({ "tls": { "mode": "SIMPLE" }, "portLevelSettings": [
            { "port": { "number": 80 }, "tls": { "mode": "DISABLE" }, "loadBalancer": { "simple": "RANDOM" } },
            { "port": { "number": 81 }, "tls": { "mode": "MUTUAL" } },
        ] });
        let subset = json!({ "loadBalancer": { "simple": "ROUND_ROBIN" }, "portLevelSettings": [
            { "port": { "number": 81 }, "outlierDetection": {} },
        ] });
        let expected = json!({ "tls": { "mode": "SIMPLE" }, "loadBalancer": { "simple": "ROUND_ROBIN" }, "portLevelSettings": [
            { "port": { "number": 80 }, "tls": { "mode": "DISABLE" }, "loadBalancer": { "simple": "ROUND_ROBIN" } },
            { "port": { "number": 81 }, "outlierDetection": {} },
        ] });
        assert_eq!(merge(Some(host), Some(subset)), Some(expected));
    }
}
