//! Who may send requests to a Service.

use super::landscape::{Landscape, Mover, Server, WorkloadIndex};
use model::security::{Action, Source};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The workloads of the mesh whose requests a Service may let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callers {
    /// Nothing says who: any workload of the mesh.
    Anyone,
    /// The policies let in these alone.
    These(BTreeSet<WorkloadIndex>),
}

/// Workloads by namespace and by service account.
pub struct Identities<'a> {
    namespaces: HashMap<&'a str, Vec<WorkloadIndex>>,
    accounts: HashMap<(&'a str, &'a str), Vec<WorkloadIndex>>,
}

impl<'a> Identities<'a> {
    /// Indexes the workloads.
    pub fn of(workloads: &'a [Mover<'a>]) -> Self {
        let mut identities = Self {
            namespaces: HashMap::new(),
            accounts: HashMap::new(),
        };
        for (index, mover) in workloads.iter().enumerate() {
            let account = mover.identity();
            identities.namespaces.entry(account.0).or_default().push(index);
            identities.accounts.entry(account).or_default().push(index);
        }
        identities
    }

    /// Who may call a Service: what the ALLOW policies of all workloads behind it name, if they name anybody.
    pub fn callers(&self, landscape: &Landscape<'_>, server: &Server<'_>) -> Callers {
        let mut found = BTreeSet::new();
        for &pod in &server.pods {
            let policies = &landscape.workloads[pod].policies;
            let allow: Vec<_> = policies
                .iter()
                .filter(|policy| policy.spec.action() == Action::Allow)
                .collect();
            if allow.is_empty() {
                return Callers::Anyone;
            }
            for rule in allow.iter().flat_map(|policy| &policy.spec.rules) {
                if rule.from.is_empty() {
                    return Callers::Anyone;
                }
                for from in &rule.from {
                    match self.named(&from.source) {
                        Some(named) => found.extend(named),
                        None => return Callers::Anyone,
                    }
                }
            }
        }
        Callers::These(found)
    }

    /// The workloads that a source names; `None` if it describes rather than names.
    fn named(&self, source: &Source) -> Option<Vec<WorkloadIndex>> {
        if !source.service_accounts.is_empty() || !source.trust_domains.is_empty() {
            return None;
        }
        if !source.principals.is_empty() {
            let of = |principal: &String| self.of_principal(principal);
            let named: Option<Vec<_>> = source.principals.iter().map(of).collect();
            return Some(named?.concat());
        }
        if source.namespaces.is_empty() || source.namespaces.iter().any(|name| name.contains('*')) {
            return None;
        }
        let of = |name: &String| self.namespaces.get(name.as_str()).cloned().unwrap_or_default();
        Some(source.namespaces.iter().flat_map(of).collect())
    }

    fn of_principal(&self, principal: &str) -> Option<Vec<WorkloadIndex>> {
        if principal.contains('*') {
            return None;
        }
        let (_, rest) = principal.split_once("/ns/")?;
        let (namespace, account) = rest.split_once("/sa/")?;
        Some(
            self.accounts
                .get(&(namespace, account))
                .cloned()
                .unwrap_or_default(),
        )
    }
}

/// Calls that were seen: pairs of (namespace, workload or service account) of client and server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Client workload (namespace, name) to server Services (namespace, name).
    pub calls: BTreeMap<(String, String), BTreeSet<(String, String)>>,
}
