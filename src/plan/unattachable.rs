//! Policies that mean something else at a waypoint, though they can be attached to a Service.

use super::landscape::Mover;
use model::security::{Action, AuthorizationPolicy, From, WorkloadSelector};
use model::{Mesh, ObjectRef};

/// Why a waypoint would judge requests to these workloads otherwise than it is done today.
pub fn reason<'a, 'b: 'a>(behind: impl Iterator<Item = &'a Mover<'b>> + Clone) -> Option<String> {
    let mut policies = behind.clone().flat_map(|mover| &mover.policies);
    if let Some(policy) = policies.find(|policy| looks_at_addresses(&policy.spec)) {
        return Some(format!(
            "{} looks at the addresses of clients, which a waypoint does not see",
            policy.id
        ));
    }
    let mut judged = behind.filter(|mover| mover.is_judged());
    let outside = judged.find(|mover| !mover.membership.meshed)?;
    Some(format!(
        "{} has no sidecar, so policies for it hold nowhere today, but would at a waypoint",
        outside.object.id
    ))
}

/// Whether a policy compares the address of the peer: inside of a waypoint's tunnel there is none (`docs/facts.md`).
fn looks_at_addresses(policy: &AuthorizationPolicy) -> bool {
    let by_source = |from: &From| !from.source.ip_blocks.is_empty() || !from.source.not_ip_blocks.is_empty();
    policy.action() != Action::Audit
        && policy.rules.iter().any(|rule| {
            rule.from.iter().any(by_source) || rule.when.iter().any(|condition| condition.key == "source.ip")
        })
}

/// Policies that select no workloads, or those of the whole mesh. Some of their workloads move before others, and meanwhile
/// they would have to say one thing here and another there.
pub fn wide_policies(mesh: &Mesh) -> impl Iterator<Item = &ObjectRef> {
    let root = mesh.settings.root_namespace.as_str();
    let is_wide = move |namespace: &str, selector: Option<&WorkloadSelector>, is_targeted: bool| {
        !is_targeted && (namespace == root || selector.is_none_or(|s| s.match_labels.is_empty()))
    };
    let policies = mesh.authorization_policies.iter().filter(move |policy| {
        is_wide(
            policy.namespace(),
            policy.spec.selector.as_ref(),
            policy.spec.is_targeted(),
        )
    });
    let tokens = mesh.request_authentications.iter().filter(move |object| {
        is_wide(
            object.namespace(),
            object.spec.selector.as_ref(),
            object.spec.is_targeted(),
        )
    });
    policies
        .map(|policy| &policy.id)
        .chain(tokens.map(|object| &object.id))
}
