//! What istiod said of the mesh: an immutable snapshot, replaced as a whole by each push.

pub mod balance;
pub mod decode;
#[cfg(test)]
pub mod fixture;
pub mod model;
mod store;

use model::{Endpoint, Gateway, GatewayPlace, NetworkAddress, Service, Workload};
use rpds::HashTrieMapSync;
use semantics::layer_4::{Policy, Scope};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
pub use store::{Hearing, Received, Store};

/// The endpoints of a service, by UID.
pub type Endpoints = BTreeMap<Arc<str>, Endpoint>;

/// One change of a push.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "lives for one push")]
pub enum Change {
    /// A workload, new or changed.
    Workload(Workload),
    /// A service, new or changed.
    Service(Service),
    /// A policy, new or changed.
    Policy(Policy),
    /// An address resource is gone; the name says which.
    RemoveAddress(String),
    /// A policy is gone.
    RemovePolicy(String),
}

/// The mesh as last heard of. A clone is cheap and independent of later changes.
#[derive(Debug, Clone, Default)]
pub struct State {
    workloads: HashTrieMapSync<Arc<str>, Arc<Workload>>,
    by_address: HashTrieMapSync<NetworkAddress, Vec<Arc<Workload>>>,
    by_pod: HashTrieMapSync<(String, String), Vec<Arc<Workload>>>,
    services: HashTrieMapSync<Arc<str>, Arc<Service>>,
    by_vip: HashTrieMapSync<NetworkAddress, Vec<Arc<Service>>>,
    by_hostname: HashTrieMapSync<String, Vec<Arc<Service>>>,
    with_blocks: Vec<Arc<Service>>,
    endpoints: HashTrieMapSync<Arc<str>, Arc<Endpoints>>,
    policies: HashTrieMapSync<Arc<str>, Arc<Policy>>,
    wide_policies: Vec<Arc<Policy>>,
}

impl State {
    /// The state after these changes. Removals come first: one push may take a name away and give it anew.
    #[must_use]
    pub fn with(&self, changes: Vec<Change>) -> Self {
        let mut next = self.clone();
        let (removals, additions): (Vec<_>, Vec<_>) = changes
            .into_iter()
            .partition(|change| matches!(change, Change::RemoveAddress(_) | Change::RemovePolicy(_)));
        for change in removals.into_iter().chain(additions) {
            match change {
                Change::Workload(workload) => next.put_workload(workload),
                Change::Service(service) => next.put_service(service),
                Change::Policy(policy) => next.put_policy(policy),
                Change::RemoveAddress(name) if is_service_name(&name) => next.remove_service(&name),
                Change::RemoveAddress(name) => next.remove_workload(&name),
                Change::RemovePolicy(name) => next.remove_policy(&name),
            }
        }
        next
    }

    fn put_workload(&mut self, workload: Workload) {
        self.remove_workload(&workload.uid.clone());
        let workload = Arc::new(workload);
        if !workload.host_network {
            for key in workload_keys(&workload) {
                put(&mut self.by_address, key, &workload, |other| {
                    other.uid == workload.uid
                });
            }
        }
        let pod = (workload.namespace.clone(), workload.name.clone());
        put(&mut self.by_pod, pod, &workload, |other| {
            other.uid == workload.uid
        });
        for (key, ports) in &workload.services {
            let endpoint = Endpoint {
                workload: workload.clone(),
                ports: ports.clone(),
            };
            match self.endpoints.get_mut(key) {
                Some(endpoints) => {
                    Arc::make_mut(endpoints).insert(workload.uid.clone(), endpoint);
                }
                None => {
                    let endpoints = BTreeMap::from([(workload.uid.clone(), endpoint)]);
                    self.endpoints.insert_mut(key.clone(), Arc::new(endpoints));
                }
            }
        }
        self.workloads.insert_mut(workload.uid.clone(), workload);
    }

    fn remove_workload(&mut self, uid: &str) {
        let Some(workload) = self.workloads.get(uid).cloned() else {
            return;
        };
        self.workloads.remove_mut(uid);
        for key in workload_keys(&workload) {
            take(&mut self.by_address, &key, |other| other.uid == workload.uid);
        }
        let pod = (workload.namespace.clone(), workload.name.clone());
        take(&mut self.by_pod, &pod, |other| other.uid == workload.uid);
        for key in workload.services.keys() {
            if let Some(endpoints) = self.endpoints.get_mut(key) {
                Arc::make_mut(endpoints).remove(uid);
            }
            if self
                .endpoints
                .get(key)
                .is_some_and(|endpoints| endpoints.is_empty())
            {
                self.endpoints.remove_mut(key);
            }
        }
    }

    fn put_service(&mut self, service: Service) {
        self.remove_service(&service.key.clone());
        let service = Arc::new(service);
        for key in &service.addresses {
            put(&mut self.by_vip, key.clone(), &service, |other| {
                other.key == service.key
            });
        }
        put(
            &mut self.by_hostname,
            service.hostname.clone(),
            &service,
            |other| other.key == service.key,
        );
        if !service.blocks.is_empty() {
            self.with_blocks.push(service.clone());
        }
        self.services.insert_mut(service.key.clone(), service);
    }

    fn remove_service(&mut self, key: &str) {
        let Some(service) = self.services.get(key).cloned() else {
            return;
        };
        self.services.remove_mut(key);
        for address in &service.addresses {
            take(&mut self.by_vip, address, |other| other.key == service.key);
        }
        take(&mut self.by_hostname, &service.hostname, |other| {
            other.key == service.key
        });
        self.with_blocks.retain(|other| other.key != service.key);
    }

    fn put_policy(&mut self, policy: Policy) {
        let key = policy_key(&policy);
        self.remove_policy(&key);
        let policy = Arc::new(policy);
        if policy.scope != Scope::Selector {
            self.wide_policies.push(policy.clone());
        }
        self.policies.insert_mut(key.into(), policy);
    }

    fn remove_policy(&mut self, key: &str) {
        self.policies.remove_mut(key);
        self.wide_policies.retain(|policy| policy_key(policy) != key);
    }

    /// A workload by its UID.
    #[must_use]
    pub fn workload(&self, uid: &str) -> Option<&Arc<Workload>> {
        self.workloads.get(uid)
    }

    /// All workloads.
    pub fn workloads(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.workloads.values()
    }

    /// All services.
    pub fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.services.values()
    }

    /// All policies.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.policies.values()
    }

    /// The workload at an address. Where several share it, a pod comes first.
    #[must_use]
    pub fn workload_at(&self, network: &Arc<str>, address: IpAddr) -> Option<&Arc<Workload>> {
        let found = self.by_address.get(&at(network, address))?;
        found
            .iter()
            .min_by_key(|workload| (!workload.uid.contains("//Pod/"), &workload.uid))
    }

    /// A pod of a node, exactly as the agent names it.
    #[must_use]
    pub fn pod(
        &self,
        namespace: &str,
        name: &str,
        service_account: &str,
        node: &str,
    ) -> Option<&Arc<Workload>> {
        let found = self.by_pod.get(&(namespace.to_owned(), name.to_owned()))?;
        found
            .iter()
            .find(|pod| pod.service_account == service_account && (node.is_empty() || pod.node == node))
    }

    /// A policy by its key.
    #[must_use]
    pub fn policy(&self, key: &str) -> Option<&Arc<Policy>> {
        self.policies.get(key)
    }

    /// A service by its key.
    #[must_use]
    pub fn service(&self, key: &str) -> Option<&Arc<Service>> {
        self.services.get(key)
    }

    /// The service at an address, as a client of this namespace sees it: exact addresses first, then blocks.
    #[must_use]
    pub fn service_at(&self, network: &Arc<str>, address: IpAddr, client: &str) -> Option<&Arc<Service>> {
        if let Some(found) = self.by_vip.get(&at(network, address)) {
            return preferred(found.iter(), client);
        }
        let length = |service: &Service| {
            let blocks = service.blocks.iter();
            let fitting = blocks.filter(|(net, block)| net == network && block.contains(address));
            fitting.map(|(_, block)| block.length()).max()
        };
        let longest = self
            .with_blocks
            .iter()
            .filter_map(|service| length(service))
            .max()?;
        let found = self
            .with_blocks
            .iter()
            .filter(|service| length(service) == Some(longest));
        preferred(found, client)
    }

    /// The service of a host name, as a client of this namespace sees it.
    #[must_use]
    pub fn service_named(&self, hostname: &str, client: &str) -> Option<&Arc<Service>> {
        preferred(self.by_hostname.get(hostname)?.iter(), client)
    }

    /// The endpoints of a service, ready or not.
    #[must_use]
    pub fn endpoints(&self, service: &Service) -> Option<&Arc<Endpoints>> {
        self.endpoints.get(&service.key)
    }

    /// The policies for a workload. `Err` names one that its record demands and that has not come.
    ///
    /// # Errors
    /// If what is known is not all: it must not be taken for all.
    pub fn policies_for<'a>(&'a self, workload: &'a Workload) -> Result<Vec<&'a Policy>, &'a str> {
        let wide = self.wide_policies.iter().map(Arc::as_ref);
        let mut found: Vec<_> = wide
            .filter(|policy| policy.scope == Scope::Global || policy.namespace == workload.namespace)
            .collect();
        for key in &workload.policies {
            found.push(self.policies.get(key).ok_or(key.as_ref())?);
        }
        Ok(found)
    }

    /// The service or the workload that a gateway is. `client` is the namespace of who asks.
    #[must_use]
    pub fn gateway(&self, gateway: &Gateway, client: &str) -> Option<Destination<'_>> {
        match &gateway.destination {
            GatewayPlace::Service(key) => self.service(key).map(Destination::Service),
            GatewayPlace::Address(place) => self
                .workload_at(&place.network, place.address)
                .map(Destination::Workload)
                .or_else(|| {
                    self.service_at(&place.network, place.address, client)
                        .map(Destination::Service)
                }),
        }
    }
}

/// A service or a workload.
#[derive(Debug, Clone, Copy)]
pub enum Destination<'a> {
    /// A service.
    Service(&'a Arc<Service>),
    /// A workload.
    Workload(&'a Arc<Workload>),
}

/// The key of a policy, `<namespace>/<name>`.
#[must_use]
pub fn policy_key(policy: &Policy) -> String {
    format!("{}/{}", policy.namespace, policy.name)
}

fn is_service_name(name: &str) -> bool {
    name.matches('/').count() == 1
}

fn at(network: &Arc<str>, address: IpAddr) -> NetworkAddress {
    NetworkAddress {
        network: network.clone(),
        address,
    }
}

fn workload_keys(workload: &Workload) -> impl Iterator<Item = NetworkAddress> {
    workload
        .addresses
        .iter()
        .map(|&address| at(&workload.network, address))
}

fn preferred<'a>(found: impl Iterator<Item = &'a Arc<Service>>, client: &str) -> Option<&'a Arc<Service>> {
    let visible = found.filter(|service| service.is_visible(client));
    visible.min_by_key(|service| (service.namespace != client, !service.canonical, &service.key))
}

fn put<K, V>(map: &mut HashTrieMapSync<K, Vec<Arc<V>>>, key: K, value: &Arc<V>, same: impl Fn(&V) -> bool)
where
    K: Eq + std::hash::Hash + Clone,
{
    match map.get_mut(&key) {
        Some(list) => {
            list.retain(|other| !same(other));
            list.push(value.clone());
        }
        None => map.insert_mut(key, vec![value.clone()]),
    }
}

fn take<K, V>(map: &mut HashTrieMapSync<K, Vec<Arc<V>>>, key: &K, same: impl Fn(&V) -> bool)
where
    K: Eq + std::hash::Hash + Clone,
{
    if let Some(list) = map.get_mut(key) {
        list.retain(|other| !same(other));
        if list.is_empty() {
            map.remove_mut(key);
        }
    }
}
