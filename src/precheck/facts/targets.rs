//! What `targetRefs` bind to.

use super::SubjectFacts;
use super::gateway_api::{condition, gateway_exists, waypoint_of};
use super::index::Index;
use super::located::Located;
use crate::finding::Location;
use model::security::PolicyTargetReference;
use model::{FieldPath, Kind, Object};
use rules::facts::TargetRef;

/// Subjects: every entry of `targetRefs`.
pub fn references(index: &Index<'_>) -> Vec<SubjectFacts> {
    let mut found = Vec::new();
    for policy in &index.mesh.authorization_policies {
        collect(
            index,
            policy,
            &policy.spec.target_ref,
            &policy.spec.target_refs,
            &mut found,
        );
    }
    for policy in &index.mesh.request_authentications {
        collect(
            index,
            policy,
            &policy.spec.target_ref,
            &policy.spec.target_refs,
            &mut found,
        );
    }
    found
}

fn collect<T>(
    index: &Index<'_>,
    policy: &Object<T>,
    one: &Option<PolicyTargetReference>,
    many: &[PolicyTargetReference],
    found: &mut Vec<SubjectFacts>,
) {
    let spec = FieldPath::spec();
    let targets = one.iter().map(|target| (target, spec.key("targetRef"))).chain(
        many.iter()
            .enumerate()
            .map(|(position, target)| (target, spec.key("targetRefs").index(position))),
    );
    let refused = condition(&Located::of_object(policy), "WaypointAccepted")
        .filter(|(status, _)| status == "False")
        .map(|(_, reason)| reason);
    for (target, path) in targets {
        let problem = match (problem(index, policy, target), &refused) {
            (Some(None), Some(reason)) | (None, Some(reason)) => {
                Some(Some(format!("istiod says that it is not accepted ({reason})")))
            }
            (problem, _) => problem,
        };
        let facts = TargetRef {
            policy: format!("{}/{}", policy.id.kind, policy.name()),
            namespace: policy.namespace().to_owned(),
            target: format!("{}/{}", target.kind, target.name),
            known: problem.is_some(),
            problem: problem.flatten().unwrap_or_default(),
        };
        found.push(SubjectFacts::new(facts, Location::of_field(policy, &path)));
    }
}

/// Why a target binds to nothing: `Some(None)` if it binds, `None` if the input does not tell.
fn problem<T>(
    index: &Index<'_>,
    policy: &Object<T>,
    target: &PolicyTargetReference,
) -> Option<Option<String>> {
    let mesh = index.mesh;
    let namespace = policy.namespace();
    if let Some(other) = target.namespace.as_deref().filter(|other| *other != namespace) {
        return Some(Some(format!(
            "it names the namespace `{other}`, which is never matched"
        )));
    }
    match (target.group.as_deref().unwrap_or_default(), target.kind.as_str()) {
        ("gateway.networking.k8s.io", "GatewayClass") => {
            let root = &mesh.settings.root_namespace;
            Some(
                (namespace != root)
                    .then(|| format!("a GatewayClass counts in the root namespace `{root}` only")),
            )
        }
        ("gateway.networking.k8s.io", "Gateway") => {
            let exists = gateway_exists(index, namespace, &target.name)?;
            Some((!exists).then(|| format!("there is no Gateway `{}` in `{namespace}`", target.name)))
        }
        ("" | "core", "Service") => bound(index, mesh.service(namespace, &target.name), &Kind::Service),
        ("networking.istio.io", "ServiceEntry") => {
            let entry = mesh
                .service_entries
                .iter()
                .find(|e| e.namespace() == namespace && e.name() == target.name);
            bound(index, entry, &Kind::ServiceEntry)
        }
        _ => None,
    }
}

fn bound<T>(index: &Index<'_>, object: Option<&Object<T>>, kind: &Kind) -> Option<Option<String>> {
    let Some(object) = object else {
        let complete = index.mesh.coverage.is_complete(kind);
        return complete.then(|| Some(format!("there is no such {kind}")));
    };
    let waypoint = waypoint_of(index, object)?;
    Some(
        waypoint
            .is_none()
            .then(|| format!("that {kind} uses no waypoint")),
    )
}
