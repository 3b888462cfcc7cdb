//! Which endpoint of a service takes a connection.

use super::State;
use super::model::{Balancing, Endpoint, Families, Locale, Service, Workload};
use std::net::IpAddr;
use std::sync::Arc;

/// Where a workload is to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// At an address.
    Address(IpAddr),
    /// At a name that is still to be resolved.
    Hostname(String),
    /// In another network, behind the gateway that its record names.
    Remote,
}

/// An endpoint chosen.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Who.
    pub workload: Arc<Workload>,
    /// Where.
    pub place: Place,
    /// The port there.
    pub port: u16,
}

/// Chooses an endpoint of `service` for its port `port`. `dialled` is the address that the application asked for,
/// whose family goes first.
#[must_use]
pub fn choose(
    state: &State,
    service: &Service,
    client: &Workload,
    port: u16,
    dialled: Option<IpAddr>,
) -> Option<Chosen> {
    let endpoints = state.endpoints(service)?;
    let usable = endpoints.values().filter_map(|endpoint| {
        let workload = &endpoint.workload;
        if !(workload.healthy || service.allow_unhealthy) {
            return None;
        }
        let port = target_port(service, endpoint, port)?;
        let place = place(workload, client, service.families, dialled)?;
        Some((workload, place, port))
    });
    let candidates: Vec<_> = match service.balancing {
        Balancing::Any | Balancing::Passthrough => usable.collect(),
        Balancing::Strict => usable
            .filter(|(workload, ..)| {
                shared(&service.preference, workload, client) == service.preference.len()
            })
            .collect(),
        Balancing::Failover => {
            let ranked: Vec<_> = usable
                .map(|candidate| (shared(&service.preference, candidate.0, client), candidate))
                .collect();
            let best = ranked.iter().map(|(rank, _)| *rank).max()?;
            let best = ranked.into_iter().filter(|(rank, _)| *rank == best);
            best.map(|(_, candidate)| candidate).collect()
        }
    };
    let (workload, place, port) = by_weight(candidates)?;
    Some(Chosen {
        workload: workload.clone(),
        place,
        port,
    })
}

fn by_weight(candidates: Vec<(&Arc<Workload>, Place, u16)>) -> Option<(&Arc<Workload>, Place, u16)> {
    let weight = |workload: &Workload| u64::from(workload.capacity);
    let total: u64 = candidates.iter().map(|(workload, ..)| weight(workload)).sum();
    if total == 0 {
        return None;
    }
    let mut left = fastrand::u64(0..total);
    candidates
        .into_iter()
        .find(|(workload, ..)| match left.checked_sub(weight(workload)) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        })
}

/// The port of an endpoint behind a port of its service: its own word first.
#[must_use]
pub fn target_port(service: &Service, endpoint: &Endpoint, port: u16) -> Option<u16> {
    let own = endpoint.ports.get(&port).copied().filter(|&port| port != 0);
    let common = service.ports.get(&port).copied().filter(|&port| port != 0);
    let tunnelled = endpoint.workload.application_tunnel.map(|_| port);
    own.or(common).or(tunnelled)
}

/// Where a workload is to be found from `client`; `None` if nowhere.
#[must_use]
pub fn place(
    workload: &Workload,
    client: &Workload,
    families: Families,
    dialled: Option<IpAddr>,
) -> Option<Place> {
    if workload.network != client.network {
        return workload.network_gateway.is_some().then_some(Place::Remote);
    }
    if workload.addresses.is_empty() {
        return (!workload.hostname.is_empty()).then(|| Place::Hostname(workload.hostname.clone()));
    }
    if let Some(address) = dialled.filter(|address| workload.addresses.contains(address)) {
        return Some(Place::Address(address));
    }
    let allowed = workload.addresses.iter().filter(|address| match families {
        Families::Any => true,
        Families::V4 => address.is_ipv4(),
        Families::V6 => address.is_ipv6(),
    });
    let other_family =
        |address: &IpAddr| dialled.is_some_and(|dialled| dialled.is_ipv4() != address.is_ipv4());
    allowed.copied().min_by_key(other_family).map(Place::Address)
}

/// How many of the first preferences a workload shares with the client.
fn shared(preference: &[Locale], workload: &Workload, client: &Workload) -> usize {
    let (theirs, ours) = (&workload.locality, &client.locality);
    let same = |locale: &&Locale| match locale {
        Locale::Region => theirs.region == ours.region,
        Locale::Zone => theirs.zone == ours.zone,
        Locale::Subzone => theirs.subzone == ours.subzone,
        Locale::Node => workload.node == client.node,
        Locale::Cluster => workload.cluster == client.cluster,
        Locale::Network => workload.network == client.network,
    };
    preference.iter().take_while(same).count()
}
