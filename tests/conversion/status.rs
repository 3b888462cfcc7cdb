//! What istiod says of a route or a policy in its status.

use serde_json::Value;
use std::fmt;

/// What there is to say of an object of which nothing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It has its conditions, and all are as they should be.
    Accepted,
    /// istiod writes no status for such objects: RequestAuthentications, policies of CUSTOM and AUDIT, and those on trial.
    Unsaid,
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "accepted",
            Self::Unsaid => "unsaid",
        })
    }
}

/// What istiod says of `object`.
pub fn judge(object: &Value) -> Result<Judgement, String> {
    let kind = object["kind"].as_str().unwrap_or_default();
    if kind.ends_with("Route") {
        route(object)
    } else if kind == "Gateway" {
        gateway(object)
    } else {
        policy(object)
    }
    .map_err(|trouble| {
        let metadata = &object["metadata"];
        format!("{kind} {}/{}: {trouble}", metadata["namespace"], metadata["name"])
    })
}

/// What the status says of each part of the spec; no part may be left out.
fn of_each<'a>(object: &'a Value, in_spec: &str, in_status: &str) -> Result<&'a [Value], String> {
    let list = |of: &'a Value| of.as_array().map_or(&[][..], Vec::as_slice);
    let (wanted, said) = (list(&object["spec"][in_spec]), list(&object["status"][in_status]));
    if said.len() < wanted.len() {
        return Err(format!(
            "{} {in_status}, of which {} have a status",
            wanted.len(),
            said.len()
        ));
    }
    Ok(said)
}

fn route(object: &Value) -> Result<Judgement, String> {
    for parent in of_each(object, "parentRefs", "parents")? {
        condition(parent, "Accepted")?.is(true, "Accepted")?;
        condition(parent, "ResolvedRefs")?.is(true, "ResolvedRefs")?;
    }
    Ok(Judgement::Accepted)
}

fn gateway(object: &Value) -> Result<Judgement, String> {
    condition(&object["status"], "Accepted")?.is(true, "Accepted")?;
    for listener in of_each(object, "listeners", "listeners")? {
        condition(listener, "Accepted")?.is(true, "Accepted")?;
        condition(listener, "ResolvedRefs")?.is(true, "ResolvedRefs")?;
        condition(listener, "Conflicted")?.is(false, "NoConflicts")?;
    }
    Ok(Judgement::Accepted)
}

fn policy(object: &Value) -> Result<Judgement, String> {
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
        Ok(condition) => condition.is(true, "Accepted").map(|()| Judgement::Accepted),
    }
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
