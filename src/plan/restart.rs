//! Whether a workload's pods can be replaced without anybody noticing.

use super::landscape::Landscape;
use model::security::is_subset;
use model::{Kind, Node, Object, Value, Workload};
use std::collections::BTreeMap;

/// Why replacing the pods of a workload would be noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noticed {
    /// What happens, and what to do about it.
    pub why: String,
    /// Whether it may be taken on: nobody may take on the budget of another.
    pub may_be_accepted: bool,
}

/// The id under which a restart that is noticed is accepted.
pub fn gap(object: &Object<Workload>) -> String {
    format!(
        "restart:{}/{}/{}",
        object.namespace(),
        object.id.kind,
        object.name()
    )
}

/// What would be noticed of a restart; none if nothing.
pub fn noticed(landscape: &Landscape<'_>, object: &Object<Workload>, is_served: bool) -> Option<Noticed> {
    let replicas = replicas(landscape, object);
    let at_once = at_once(object, replicas)?;
    if let Some(why) = over_budget(landscape, object, replicas, at_once) {
        return Some(Noticed {
            why,
            may_be_accepted: false,
        });
    }
    let gone = replicas.is_some_and(|replicas| at_once >= replicas && replicas > 0);
    (gone && is_served).then(|| Noticed {
        why: format!("{}, or plan with --accept-gap {}", remedy(object), gap(object)),
        may_be_accepted: true,
    })
}

fn remedy(object: &Object<Workload>) -> &'static str {
    match object.id.kind {
        Kind::Deployment => {
            "its rollout takes all its pods away before new ones are there; set its strategy to RollingUpdate with maxUnavailable 0"
        }
        Kind::StatefulSet => {
            "its only pod is replaced in place, and nobody serves meanwhile; give it two replicas"
        }
        _ => "its only pod is replaced in place, and nobody serves meanwhile; set maxSurge to 1",
    }
}

/// How many pods there shall be; those that run, of a DaemonSet. None if nothing says so.
fn replicas(landscape: &Landscape<'_>, object: &Object<Workload>) -> Option<u64> {
    if object.id.kind == Kind::DaemonSet {
        let status = object
            .raw
            .at(&["status", "desiredNumberScheduled"])
            .and_then(number);
        let labels = &object.spec.template.metadata.labels;
        let pods = landscape.mesh.pods.iter().filter(|pod| {
            pod.namespace() == object.namespace() && is_subset(labels, &pod.spec.template.metadata.labels)
        });
        let running = u64::try_from(pods.count()).unwrap_or(u64::MAX);
        return status.or((running > 0).then_some(running));
    }
    Some(object.raw.at(&["spec", "replicas"]).and_then(number).unwrap_or(1))
}

/// How many pods a rollout may take away at once (`apps/v1`: 25 % of a Deployment, rounded down; one of the others).
/// None for controllers whose pods stay.
fn at_once(object: &Object<Workload>, replicas: Option<u64>) -> Option<u64> {
    let total = replicas.unwrap_or(u64::MAX);
    let value = |path: &[&str]| object.raw.at(path).cloned();
    match object.id.kind {
        Kind::Deployment => {
            let kind = value(&["spec", "strategy", "type"]);
            if kind.as_ref().and_then(Node::as_str) == Some("Recreate") {
                return Some(total);
            }
            let asked = value(&["spec", "strategy", "rollingUpdate", "maxUnavailable"]);
            Some(asked.map_or(total / 4, |asked| share(&asked, total, false)))
        }
        Kind::StatefulSet => {
            let asked = value(&["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"]);
            Some(asked.map_or(1, |asked| share(&asked, total, true).max(1)))
        }
        Kind::DaemonSet => {
            let surge = value(&["spec", "updateStrategy", "rollingUpdate", "maxSurge"]);
            if surge.is_some_and(|surge| share(&surge, total, true) > 0) {
                return Some(0);
            }
            let asked = value(&["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"]);
            Some(asked.map_or(1, |asked| share(&asked, total, true).max(1)))
        }
        _ => None,
    }
}

/// The PodDisruptionBudget that a rollout would break. Rollouts do not ask for them, but who set one meant it.
fn over_budget(
    landscape: &Landscape<'_>,
    object: &Object<Workload>,
    replicas: Option<u64>,
    at_once: u64,
) -> Option<String> {
    let labels = &object.spec.template.metadata.labels;
    let replicas = replicas?;
    let kind = Kind::PodDisruptionBudget;
    landscape.mesh.others_of(&kind).find_map(|budget| {
        if budget.namespace() != object.namespace() || !selects(budget, labels) {
            return None;
        }
        let spec = budget.raw.get("spec")?;
        let allowed = match (spec.get("maxUnavailable"), spec.get("minAvailable")) {
            (Some(most), _) => share(most, replicas, true),
            (None, Some(least)) => replicas.saturating_sub(share(least, replicas, true)),
            (None, None) => return None,
        };
        (at_once > allowed).then(|| {
            format!(
                "its rollout may take {at_once} of {replicas} pods away at once, and {} allows {allowed}; lower maxUnavailable, or add replicas",
                budget.id
            )
        })
    })
}

/// Whether a budget is for pods with these labels; expressions are taken to select them.
fn selects(budget: &Object<()>, labels: &BTreeMap<String, String>) -> bool {
    let Some(selector) = budget.raw.at(&["spec", "selector"]) else {
        return false;
    };
    let wanted = selector.get("matchLabels").map_or(&[][..], Node::entries);
    wanted
        .iter()
        .all(|entry| labels.get(&*entry.key).map(String::as_str) == entry.node.as_str())
}

/// A number, or a percentage of a total (`IntOrString`).
fn share(value: &Node, total: u64, round_up: bool) -> u64 {
    if let Some(number) = number(value) {
        return number;
    }
    let percent = value
        .as_str()
        .and_then(|text| text.strip_suffix('%')?.parse::<u64>().ok());
    let hundredths = percent.unwrap_or(0).saturating_mul(total);
    if round_up {
        hundredths.div_ceil(100)
    } else {
        hundredths / 100
    }
}

fn number(value: &Node) -> Option<u64> {
    match value.value {
        Value::Int(number) => u64::try_from(number).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::share;
    use model::{Node, Value};

    #[test]
    fn percentages_are_of_the_total_and_rounded_as_asked() {
        for (value, total, up, expected) in [
            (Value::Int(2), 10, false, 2),
            (Value::Str("25%".into()), 3, false, 0),
            (Value::Str("25%".into()), 3, true, 1),
            (Value::Str("100%".into()), 7, true, 7),
            (Value::Str("many".into()), 7, true, 0),
        ] {
            assert_eq!(
                share(&Node::unplaced(value.clone()), total, up),
                expected,
                "{value:?}"
            );
        }
    }
}
