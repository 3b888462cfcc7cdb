//! What is refused before anything is read of the cluster.

use super::error::RolloutError;
use crate::plan::document::{Plan, Step};

/// How many steps are to be done: up to and with the one that is named.
pub(super) fn last_step(plan: &Plan, until: Option<&str>) -> Result<usize, RolloutError> {
    match until {
        None => Ok(plan.steps.len()),
        Some(name) => Ok(step(plan, name)? + 1),
    }
}

/// The place of a step.
pub(super) fn step(plan: &Plan, name: &str) -> Result<usize, RolloutError> {
    let place = plan.steps.iter().position(|step| step.id == name);
    place.ok_or_else(|| {
        unknown(
            "step",
            name,
            plan.steps.iter().map(|step| step.id.clone()).collect(),
        )
    })
}

/// Whether every gap of the plan, and every step without a proof, was taken on by name.
pub(super) fn accepted(plan: &Plan, accepted: &[String], until: usize) -> Result<(), RolloutError> {
    for name in accepted {
        let known =
            plan.gaps.iter().any(|gap| gap.id == *name) || plan.steps.iter().any(|step| step.id == *name);
        if !known {
            return Err(unknown(
                "gap",
                name,
                plan.gaps.iter().map(|gap| gap.id.clone()).collect(),
            ));
        }
    }
    let open: Vec<_> = plan
        .gaps
        .iter()
        .filter(|gap| !accepted.contains(&gap.id))
        .cloned()
        .collect();
    if !open.is_empty() {
        return Err(RolloutError::Gaps(open));
    }
    for step in plan.steps.iter().take(until) {
        let otherwise = uncovered(plan, step, accepted);
        if !otherwise.is_empty() {
            return Err(RolloutError::Unproved {
                step: step.id.clone(),
                otherwise,
            });
        }
    }
    Ok(())
}

/// What a step decides otherwise and nobody took on: neither the step by its id, nor a gap whose id or words the
/// request names.
fn uncovered(plan: &Plan, step: &Step, accepted: &[String]) -> Vec<String> {
    if accepted.contains(&step.id) {
        return Vec::new();
    }
    let covered = |request: &String| {
        let mut gaps = plan.gaps.iter().filter(|gap| accepted.contains(&gap.id));
        gaps.any(|gap| request.contains(&gap.id) || *request == gap.what)
    };
    step.proof
        .otherwise
        .iter()
        .filter(|request| !covered(request))
        .cloned()
        .collect()
}

fn unknown(what: &'static str, name: &str, known: Vec<String>) -> RolloutError {
    let near = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, known)| *distance <= 4.min(known.len() / 2))
        .min()
        // Steps begin with a number, which is hard to remember.
        .or_else(|| known.iter().find(|known| known.contains(name)).map(|known| (0, known)));
    RolloutError::Unknown {
        what,
        name: name.to_owned(),
        similar: near.map(|(_, known)| known.clone()),
        known,
    }
}
