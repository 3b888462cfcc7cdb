//! What must move together: rules on tokens with what verifies the tokens, and providers that share a Service.

use super::rules::uses_claims;
use super::{Answer, World};
use crate::code::Code;
use model::FieldPath;
use model::security::{Action, AuthorizationPolicy, RequestAuthentication};
use std::collections::{BTreeMap, BTreeSet};

type Policies<'a> = [Answer<'a, AuthorizationPolicy>];
type Authentications<'a> = [Answer<'a, RequestAuthentication>];

/// Takes back what cannot stand without what is kept, until nothing changes any more.
pub fn settle(world: &World<'_, '_>, policies: &mut Policies<'_>, authentications: &mut Authentications<'_>) {
    several_providers(world, policies);
    let on_tokens: Vec<usize> = policies
        .iter()
        .enumerate()
        .filter(|(_, answer)| !answer.idle && uses_claims(&answer.object.spec))
        .map(|(index, _)| index)
        .collect();
    let mut by_target: BTreeMap<usize, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for &index in &on_tokens {
        for &target in policies.get(index).into_iter().flat_map(|answer| &answer.targets) {
            by_target.entry(target).or_default().0.push(index);
        }
    }
    for (index, answer) in authentications.iter().enumerate() {
        for &target in &answer.targets {
            by_target.entry(target).or_default().1.push(index);
        }
    }
    let mut changed = true;
    while changed {
        changed = false;
        for (target, (rules, tokens)) in &by_target {
            let Some(service) = world.target(*target).map(|target| &target.service.id) else {
                continue;
            };
            let kept = tokens.iter().filter_map(|&index| authentications.get(index));
            let kept = kept
                .filter(|answer| answer.notes.is_kept())
                .map(|answer| answer.object.id.clone())
                .next();
            if let Some(id) = kept {
                for &index in rules {
                    let Some(answer) = policies.get_mut(index).filter(|answer| answer.is_converted()) else {
                        continue;
                    };
                    let message = format!(
                        "the rules look at tokens that {id} verifies, which is not attached to {service}"
                    );
                    let path = FieldPath::spec().key("rules");
                    answer
                        .notes
                        .keep(Code::ClaimsWithoutAuthentication, &path, message);
                    changed = true;
                }
            }
            let kept = rules.iter().filter_map(|&index| policies.get(index));
            let kept = kept
                .filter(|answer| answer.notes.is_kept())
                .map(|answer| answer.object.id.clone())
                .next();
            if let Some(id) = kept {
                for &index in tokens {
                    let Some(answer) = authentications
                        .get_mut(index)
                        .filter(|answer| answer.is_converted())
                    else {
                        continue;
                    };
                    let message = format!(
                        "{id} looks at the tokens and is not attached to {service}: the waypoint would take them away, and pods behind it would find none"
                    );
                    answer
                        .notes
                        .keep(Code::AuthenticationWithoutPolicy, &FieldPath::root(), message);
                    changed = true;
                }
            }
        }
    }
}

/// Of several providers for one Service none is asked: everything is refused.
fn several_providers(world: &World<'_, '_>, policies: &mut Policies<'_>) {
    let mut asked: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    let custom = |answer: &Answer<'_, AuthorizationPolicy>| {
        (answer.is_converted() && answer.object.spec.action() == Action::Custom).then(|| {
            let provider = answer.object.spec.provider.as_ref();
            provider.map_or_else(String::new, |provider| provider.name.clone())
        })
    };
    for answer in policies.iter() {
        if let Some(provider) = custom(answer) {
            for &target in &answer.targets {
                asked.entry(target).or_default().insert(provider.clone());
            }
        }
    }
    asked.retain(|_, providers| providers.len() > 1);
    for answer in policies.iter_mut().filter(|answer| custom(answer).is_some()) {
        let clash = answer.targets.iter().find_map(|target| {
            let providers = asked.get(target)?;
            Some((&world.target(*target)?.service.id, providers))
        });
        if let Some((service, providers)) = clash {
            let names: Vec<&str> = providers.iter().map(String::as_str).collect();
            let message = format!(
                "for {service} several providers would be asked ({}), and Istio refuses everything then",
                names.join(", ")
            );
            answer.notes.keep(
                Code::SeveralProviders,
                &FieldPath::spec().key("provider"),
                message,
            );
        }
    }
}
