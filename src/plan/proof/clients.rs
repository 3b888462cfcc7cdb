//! Who may ask: identities of the mesh, and for each server the classes of them that its policies cannot tell apart.

use super::objects::{Name, Policy};
use super::pods::{Carrier, Pods};
use model::security::{From, Rule, Source};
use semantics::authorization::{Access, rule_holds};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An identity, and how many workloads with it have pods of each kind.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// `<trust domain>/ns/<namespace>/sa/<service account>`.
    pub principal: String,
    /// Its namespace.
    pub namespace: String,
    sidecars: usize,
    ambient: usize,
    gateways: usize,
}

impl Identity {
    /// Whether pods with this identity may send requests in this way.
    pub fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::Sidecar => self.sidecars > 0,
            Kind::Ambient => self.ambient > 0,
            Kind::Gateway => self.gateways > 0,
            Kind::Outside => false,
        }
    }
}

/// How a client's requests leave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Through its sidecar.
    Sidecar,
    /// Through its node's proxy.
    Ambient,
    /// It is an ingress or egress gateway.
    Gateway,
    /// In the clear: it has no part in the mesh.
    Outside,
}

/// All kinds.
pub const KINDS: [Kind; 4] = [Kind::Sidecar, Kind::Ambient, Kind::Gateway, Kind::Outside];

/// All identities, with what they are found by.
#[derive(Debug, Default)]
pub struct Clients {
    /// The identities.
    pub all: Vec<Identity>,
    by_principal: HashMap<String, usize>,
    by_namespace: HashMap<String, Vec<usize>>,
    by_account: HashMap<String, usize>,
    totals: [usize; 3],
    sidecar_namespaces: BTreeMap<String, usize>,
}

impl Clients {
    /// Gives a workload its identity.
    pub fn identity(&mut self, pods: &Pods, trust_domain: &str) -> usize {
        let (namespace, account) = (&pods.id.0, &pods.account);
        let principal = format!("{trust_domain}/ns/{namespace}/sa/{account}");
        if let Some(&known) = self.by_principal.get(&principal) {
            return known;
        }
        let index = self.all.len();
        self.by_principal.insert(principal.clone(), index);
        self.by_namespace
            .entry(namespace.clone())
            .or_default()
            .push(index);
        self.by_account.insert(format!("{namespace}/{account}"), index);
        self.all.push(Identity {
            principal,
            namespace: namespace.clone(),
            ..Identity::default()
        });
        index
    }

    /// Counts the pods of a workload, or counts them no more.
    pub fn count(&mut self, index: usize, pods: &Pods, there: bool) {
        let Some(identity) = self.all.get_mut(index) else {
            return;
        };
        let change = |number: &mut usize, has: bool| {
            let before = *number > 0;
            if has && there {
                *number += 1;
            } else if has {
                *number = number.saturating_sub(1);
            }
            (before, *number > 0)
        };
        let kinds = [
            (Kind::Sidecar, !pods.gateway && pods.has(Carrier::Sidecar)),
            (Kind::Ambient, !pods.gateway && pods.has(Carrier::Ambient)),
            (Kind::Gateway, pods.gateway),
        ];
        for ((kind, has), total) in kinds.into_iter().zip(&mut self.totals) {
            let number = match kind {
                Kind::Sidecar => &mut identity.sidecars,
                Kind::Ambient => &mut identity.ambient,
                _ => &mut identity.gateways,
            };
            let (before, after) = change(number, has);
            if before == after {
                continue;
            }
            *total = if after {
                *total + 1
            } else {
                total.saturating_sub(1)
            };
            if kind == Kind::Sidecar {
                let namespace = self
                    .sidecar_namespaces
                    .entry(identity.namespace.clone())
                    .or_default();
                *namespace = if after {
                    *namespace + 1
                } else {
                    namespace.saturating_sub(1)
                };
            }
        }
    }

    /// Whether anybody of a class may send requests in this way.
    pub fn has(&self, class: &Class, kind: Kind) -> bool {
        let of = |members: &[usize]| {
            members
                .iter()
                .filter(|&&member| self.all.get(member).is_some_and(|identity| identity.has(kind)))
                .count()
        };
        match &class.members {
            Members::Nobody => kind == Kind::Outside,
            Members::These(members) => of(members) > 0,
            Members::AllBut(members) => self.total(kind) > of(members),
            Members::Waypoint => false,
        }
    }

    fn total(&self, kind: Kind) -> usize {
        match kind {
            Kind::Sidecar => self.totals[0],
            Kind::Ambient => self.totals[1],
            Kind::Gateway => self.totals[2],
            Kind::Outside => 0,
        }
    }

    /// The namespaces in which members of a class have sidecars.
    pub fn sidecar_namespaces(&self, class: &Class) -> BTreeSet<&str> {
        match &class.members {
            Members::These(members) => members
                .iter()
                .filter_map(|&member| self.all.get(member))
                .filter(|identity| identity.has(Kind::Sidecar))
                .map(|identity| identity.namespace.as_str())
                .collect(),
            Members::AllBut(_) => self
                .sidecar_namespaces
                .iter()
                .filter(|(_, count)| **count > 0)
                .map(|(namespace, _)| namespace.as_str())
                .collect(),
            Members::Nobody | Members::Waypoint => BTreeSet::new(),
        }
    }

    /// The classes that some policies tell apart: without identity first, the waypoints last.
    pub fn classes(&self, policies: &[&Policy], waypoints: &[Name], trust_domain: &str) -> Vec<Class> {
        let mut signatures: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (number, (field, value)) in named(policies).into_iter().enumerate() {
            for identity in self.matching(field, &value) {
                signatures.entry(identity).or_default().push(number);
            }
        }
        let mut groups: BTreeMap<&Vec<usize>, Vec<usize>> = BTreeMap::new();
        for (identity, signature) in &signatures {
            groups.entry(signature).or_default().push(*identity);
        }
        let principal = |member: usize| self.all.get(member).map(|identity| identity.principal.clone());
        let mut classes = vec![Class {
            principal: None,
            members: Members::Nobody,
        }];
        classes.extend(groups.into_values().map(|members| Class {
            principal: members.first().and_then(|&first| principal(first)),
            members: Members::These(members),
        }));
        let other = (0..self.all.len()).find(|index| !signatures.contains_key(index));
        if let Some(other) = other {
            classes.push(Class {
                principal: principal(other),
                members: Members::AllBut(signatures.into_keys().collect()),
            });
        }
        classes.extend(waypoints.iter().map(|(namespace, name)| Class {
            principal: Some(format!("{trust_domain}/ns/{namespace}/sa/{name}")),
            members: Members::Waypoint,
        }));
        classes
    }

    fn matching(&self, field: Field, value: &str) -> Vec<usize> {
        let plain = !value.contains('*');
        match field {
            // Everybody has an identity; those without are a class of their own.
            _ if value == "*" => Vec::new(),
            Field::Principal if plain => self.by_principal.get(value).copied().into_iter().collect(),
            Field::Account => self.by_account.get(value).copied().into_iter().collect(),
            Field::Namespace if plain => self.by_namespace.get(value).cloned().unwrap_or_default(),
            _ => {
                let rule = rule_of(field, value);
                let holds = |identity: &Identity| {
                    let access = Access {
                        principal: Some(identity.principal.clone()),
                        ..Access::default()
                    };
                    rule_holds(&rule, &access) == Ok(true)
                };
                (0..self.all.len())
                    .filter(|&index| self.all.get(index).is_some_and(holds))
                    .collect()
            }
        }
    }
}

/// Clients that no policy of a server tells apart.
#[derive(Debug, Clone)]
pub struct Class {
    /// One of them.
    pub principal: Option<String>,
    /// All of them.
    pub members: Members,
}

/// Who belongs to a class.
#[derive(Debug, Clone)]
pub enum Members {
    /// Those without identity.
    Nobody,
    /// These identities.
    These(Vec<usize>),
    /// All identities but these.
    AllBut(Vec<usize>),
    /// A waypoint.
    Waypoint,
}

/// What a value is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Principal,
    Namespace,
    Account,
    TrustDomain,
}

fn rule_of(field: Field, value: &str) -> Rule {
    let mut source = Source::default();
    let values = match field {
        Field::Principal => &mut source.principals,
        Field::Namespace => &mut source.namespaces,
        Field::Account => &mut source.service_accounts,
        Field::TrustDomain => &mut source.trust_domains,
    };
    values.push(value.to_owned());
    Rule {
        from: vec![From { source }],
        ..Rule::default()
    }
}

/// What policies compare identities with.
fn named(policies: &[&Policy]) -> BTreeSet<(Field, String)> {
    let mut found = BTreeSet::new();
    let mut name = |field: Field, lists: [&[String]; 2]| {
        let values = lists.into_iter().flatten();
        found.extend(values.map(|value| (field, value.clone())));
    };
    for rule in policies.iter().flat_map(|policy| &policy.rules.http.rules) {
        for source in rule.from.iter().map(|from| &from.source) {
            name(Field::Principal, [&source.principals, &source.not_principals]);
            name(Field::Namespace, [&source.namespaces, &source.not_namespaces]);
            name(
                Field::Account,
                [&source.service_accounts, &source.not_service_accounts],
            );
            name(
                Field::TrustDomain,
                [&source.trust_domains, &source.not_trust_domains],
            );
        }
        for condition in &rule.when {
            let field = match condition.key.as_str() {
                "source.principal" => Field::Principal,
                "source.namespace" => Field::Namespace,
                "source.serviceAccount" => Field::Account,
                "source.trustDomain" => Field::TrustDomain,
                _ => continue,
            };
            name(field, [&condition.values, &condition.not_values]);
        }
    }
    found
}
