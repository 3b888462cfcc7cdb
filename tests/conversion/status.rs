//! What istiod says of a route or a policy in its status.

use serde_json::Value;
use std::fmt;

/// What there is to say of an object of which nothing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It has its conditions, and all are as they should be.
    Accepted,
    /// It leads to a Service that the case does not have, and istiod says so.
    WithoutBackend,
    /// istiod writes no status for such objects: RequestAuthentications, policies of CUSTOM and AUDIT, and those on trial.
    Unsaid,
    /// It is for a Service that says that it uses no waypoint, and istiod says so.
    OptedOut,
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "accepted",
            Self::WithoutBackend => "without a backend",
            Self::Unsaid => "unsaid",
            Self::OptedOut => "opted out",
        })
    }
}

/// What istiod says of `object`, where `there` are the objects that the cluster has.
pub fn judge(object: &Value, there: &[&Value]) -> Result<Judgement, String> {
    let kind = object["kind"].as_str().unwrap_or_default();
    if kind.ends_with("Route") {
        route(object, there)
    } else if kind == "Gateway" {
        gateway(object)
    } else {
        policy(object, there)
    }
    .map_err(|trouble| {
        let metadata = &object["metadata"];
        format!("{kind} {}/{}: {trouble}", metadata["namespace"], metadata["name"])
    })
}

fn route(object: &Value, there: &[&Value]) -> Result<Judgement, String> {
    let wanted = object["spec"]["parentRefs"].as_array().map_or(0, Vec::len);
    let empty = Vec::new();
    let parents = object["status"]["parents"].as_array().unwrap_or(&empty);
    if parents.len() < wanted {
        return Err(format!(
            "{wanted} parents, of which {} have a status",
            parents.len()
        ));
    }
    let all_there = backends(object).all(|backend| exists(object, backend, there));
    for parent in parents {
        condition(parent, "Accepted")?.is(true, "Accepted")?;
        let resolved = condition(parent, "ResolvedRefs")?;
        if all_there {
            resolved.is(true, "ResolvedRefs")?;
        } else {
            resolved.is(false, "BackendNotFound")?;
        }
    }
    Ok(if all_there {
        Judgement::Accepted
    } else {
        Judgement::WithoutBackend
    })
}

/// Every `backendRef` of the rules, those of mirrors among them.
fn backends(route: &Value) -> impl Iterator<Item = &Value> {
    let rules = route["spec"]["rules"].as_array().into_iter().flatten();
    rules.flat_map(|rule| {
        let filters = rule["filters"].as_array().into_iter().flatten();
        let mirrors = filters
            .map(|filter| &filter["requestMirror"]["backendRef"])
            .filter(|backend| !backend.is_null());
        let backends = rule["backendRefs"].as_array().into_iter().flatten();
        backends.chain(mirrors)
    })
}

fn exists(route: &Value, backend: &Value, there: &[&Value]) -> bool {
    if backend["kind"] == "Hostname" {
        return there.iter().any(|object| {
            let hosts = object["spec"]["hosts"].as_array();
            hosts.is_some_and(|hosts| hosts.contains(&backend["name"]))
        });
    }
    let own = &route["metadata"]["namespace"];
    let namespace = backend.get("namespace").unwrap_or(own);
    there.iter().any(|object| {
        let metadata = &object["metadata"];
        object["kind"] == "Service"
            && metadata["name"] == backend["name"]
            && metadata["namespace"] == *namespace
    })
}

/// Certificates are in no case, so what listeners refer to is not asked for.
fn gateway(object: &Value) -> Result<Judgement, String> {
    condition(&object["status"], "Accepted")?.is(true, "Accepted")?;
    let wanted = object["spec"]["listeners"].as_array().map_or(0, Vec::len);
    let empty = Vec::new();
    let listeners = object["status"]["listeners"].as_array().unwrap_or(&empty);
    if listeners.len() < wanted {
        return Err(format!(
            "{wanted} listeners, of which {} have a status",
            listeners.len()
        ));
    }
    for listener in listeners {
        condition(listener, "Accepted")?.is(true, "Accepted")?;
        condition(listener, "Conflicted")?.is(false, "NoConflicts")?;
    }
    Ok(Judgement::Accepted)
}

fn policy(object: &Value, there: &[&Value]) -> Result<Judgement, String> {
    if object["spec"]["targetRefs"].is_null() {
        return Ok(Judgement::Unsaid);
    }
    let is_silent = object["kind"] == "RequestAuthentication"
        || object["metadata"]["annotations"]["istio.io/dry-run"] == "true"
        || ["CUSTOM", "AUDIT"]
            .iter()
            .any(|action| object["spec"]["action"] == **action);
    match condition(&object["status"], "WaypointAccepted") {
        Err(_) if is_silent => Ok(Judgement::Unsaid),
        Err(trouble) => Err(trouble),
        Ok(condition) if opts_out(object, there) => condition
            .is(false, "AncestorNotBound")
            .map(|()| Judgement::OptedOut),
        Ok(condition) => condition.is(true, "Accepted").map(|()| Judgement::Accepted),
    }
}

/// Whether all targets are Services that say that they use no waypoint.
fn opts_out(policy: &Value, there: &[&Value]) -> bool {
    let targets = policy["spec"]["targetRefs"].as_array().into_iter().flatten();
    let services: Vec<_> = targets
        .filter_map(|target| {
            there.iter().find(|object| {
                object["kind"] == target["kind"]
                    && object["metadata"]["name"] == target["name"]
                    && object["metadata"]["namespace"] == policy["metadata"]["namespace"]
            })
        })
        .collect();
    let is_out = |service: &&&Value| service["metadata"]["labels"]["istio.io/use-waypoint"] == "none";
    !services.is_empty() && services.iter().all(is_out)
}

struct Condition<'a>(&'a Value);

impl Condition<'_> {
    fn is(&self, status: bool, reason: &str) -> Result<(), String> {
        let wanted = if status { "True" } else { "False" };
        if self.0["status"] == wanted && self.0["reason"] == reason {
            return Ok(());
        }
        Err(format!("not {wanted} for {reason}: {}", self.0))
    }
}

fn condition<'a>(of: &'a Value, name: &str) -> Result<Condition<'a>, String> {
    let conditions = of["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == name)
        .map(Condition)
        .ok_or_else(|| format!("no condition {name}"))
}
