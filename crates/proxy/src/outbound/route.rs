//! Where an outbound connection goes: a function of the state, the client and the address dialled.

use crate::config::{PORT_HBONE, PORT_INBOUND, PORT_OUTBOUND};
use crate::identity::Identity;
use crate::state::balance::{self, Chosen, Place};
use crate::state::model::{Balancing, Families, Gateway, Service, Tunnel, Workload};
use crate::state::{Destination, State};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A way to the server.
#[derive(Debug, Clone)]
pub struct Route {
    /// Where the next hop is.
    pub place: Place,
    /// The TCP port there.
    pub port: u16,
    /// How to speak to it.
    pub protocol: Protocol,
    /// The next hop's record.
    pub next_hop: Option<Arc<Workload>>,
    /// The service that was dialled.
    pub service: Option<Arc<Service>>,
}

/// How to speak to the next hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// Plain TCP.
    Tcp,
    /// HBONE.
    Hbone {
        /// What to ask for.
        authority: Authority,
        /// Who the next hop may be. Nobody, if empty.
        expected: Vec<Identity>,
    },
    /// HBONE to a gateway, and HBONE within it to the server.
    DoubleHbone {
        /// What to ask both for.
        authority: String,
        /// Who the gateway may be.
        gateway: Vec<Identity>,
        /// Who the server may be.
        expected: Vec<Identity>,
    },
}

/// The authority of a CONNECT request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authority {
    /// This one.
    Exactly(String),
    /// The next hop's address, with this port.
    NextHop(u16),
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It would come back to us.
    #[error("self call: the proxy's own port is no destination")]
    SelfCall,
    /// The waypoint is not known, or has no endpoint.
    #[error("unknown waypoint")]
    UnknownWaypoint,
    /// No endpoint, or no such port.
    #[error("no healthy upstream")]
    NoHealthyUpstream,
    /// Another network without a known gateway.
    #[error("unknown network gateway")]
    UnknownGateway,
}

/// Decides about a connection of `client`, from `source` to `dialled`. `client.network` is the network of this node.
///
/// # Errors
/// If the connection must not be made.
pub fn decide(
    state: &State,
    client: &Workload,
    source: IpAddr,
    dialled: SocketAddr,
) -> Result<Route, Refusal> {
    if dialled.ip().is_loopback() && is_own_port(dialled.port()) {
        return Err(Refusal::SelfCall);
    }
    let network = &client.network;
    let workload = state.workload_at(network, dialled.ip());
    let service = state.service_at(network, dialled.ip(), &client.namespace);
    match (workload, service) {
        // An address that is both skips the service's waypoint, yet is balanced as the service.
        (Some(workload), _) if workload.waypoint.is_some() => {
            if let Some(route) = to_workload_waypoint(state, workload, client, source, dialled)? {
                return Ok(route);
            }
        }
        (None, Some(service)) => {
            if let Some(gateway) = service.choose_waypoint() {
                return to_waypoint(state, gateway, client, dialled, Some(service));
            }
        }
        _ => {}
    }
    match (service, workload) {
        (Some(service), _) => to_service(state, service, client, dialled),
        (None, Some(workload)) => to_workload(workload, client, dialled),
        (None, None) => Ok(passthrough(dialled, None)),
    }
}

/// Whether a port is one of the proxy's own in the pod.
#[must_use]
pub fn is_own_port(port: u16) -> bool {
    matches!(port, PORT_OUTBOUND | PORT_INBOUND | PORT_HBONE)
}

fn passthrough(dialled: SocketAddr, service: Option<&Arc<Service>>) -> Route {
    Route {
        place: Place::Address(dialled.ip()),
        port: dialled.port(),
        protocol: Protocol::Tcp,
        next_hop: None,
        service: service.cloned(),
    }
}

/// `None` if the client is the waypoint itself: its traffic goes on to the workload.
fn to_workload_waypoint(
    state: &State,
    workload: &Workload,
    client: &Workload,
    source: IpAddr,
    dialled: SocketAddr,
) -> Result<Option<Route>, Refusal> {
    let Some(gateway) = &workload.waypoint else {
        return Ok(None);
    };
    if is_waypoint(state, gateway, client, source) {
        return Ok(None);
    }
    to_waypoint(state, gateway, client, dialled, None).map(Some)
}

/// Whether a client is one of a waypoint's own pods, by its identity and by its address.
fn is_waypoint(state: &State, gateway: &Gateway, client: &Workload, source: IpAddr) -> bool {
    let is = |pod: &Workload| {
        pod.identity.is_some() && pod.identity == client.identity && pod.addresses.contains(&source)
    };
    match state.gateway(gateway, &client.namespace) {
        Some(Destination::Workload(pod)) => is(pod),
        Some(Destination::Service(service)) => state
            .endpoints(service)
            .is_some_and(|endpoints| endpoints.values().any(|endpoint| is(&endpoint.workload))),
        None => false,
    }
}

fn to_waypoint(
    state: &State,
    gateway: &Gateway,
    client: &Workload,
    dialled: SocketAddr,
    service: Option<&Arc<Service>>,
) -> Result<Route, Refusal> {
    let (chosen, extra) = choose_gateway(state, gateway, client, dialled).ok_or(Refusal::UnknownWaypoint)?;
    if chosen.place == Place::Remote {
        return to_other_network(state, &chosen.workload, extra, client, dialled, service);
    }
    Ok(Route {
        protocol: Protocol::Hbone {
            authority: Authority::Exactly(dialled.to_string()),
            expected: expected(&chosen.workload, extra),
        },
        place: chosen.place,
        port: chosen.port,
        next_hop: Some(chosen.workload),
        service: service.cloned(),
    })
}

/// The pod of a gateway and the identities that its service adds.
fn choose_gateway<'a>(
    state: &'a State,
    gateway: &Gateway,
    client: &Workload,
    dialled: SocketAddr,
) -> Option<(Chosen, &'a [Identity])> {
    let dialled = Some(dialled.ip());
    match state.gateway(gateway, &client.namespace)? {
        Destination::Service(service) => {
            let chosen = balance::choose(state, service, client, gateway.hbone_port, dialled)?;
            Some((chosen, &service.identities))
        }
        Destination::Workload(workload) => {
            let chosen = Chosen {
                place: balance::place(workload, client, Families::Any, dialled)?,
                workload: workload.clone(),
                port: gateway.hbone_port,
            };
            Some((chosen, &[]))
        }
    }
}

fn expected(workload: &Workload, extra: &[Identity]) -> Vec<Identity> {
    workload.identity.iter().chain(extra).cloned().collect()
}

fn to_service(
    state: &State,
    service: &Arc<Service>,
    client: &Workload,
    dialled: SocketAddr,
) -> Result<Route, Refusal> {
    if service.balancing == Balancing::Passthrough {
        return Ok(passthrough(dialled, Some(service)));
    }
    if !service.ports.contains_key(&dialled.port()) {
        return Err(Refusal::NoHealthyUpstream);
    }
    let chosen = balance::choose(state, service, client, dialled.port(), Some(dialled.ip()))
        .ok_or(Refusal::NoHealthyUpstream)?;
    if chosen.place == Place::Remote {
        let extra = &service.identities;
        return to_other_network(state, &chosen.workload, extra, client, dialled, Some(service));
    }
    Ok(to_endpoint(chosen, &service.identities, Some(service)))
}

fn to_workload(workload: &Arc<Workload>, client: &Workload, dialled: SocketAddr) -> Result<Route, Refusal> {
    let place = balance::place(workload, client, Families::Any, Some(dialled.ip()));
    let chosen = Chosen {
        place: place.ok_or(Refusal::NoHealthyUpstream)?,
        workload: workload.clone(),
        port: dialled.port(),
    };
    Ok(to_endpoint(chosen, &[], None))
}

fn to_endpoint(chosen: Chosen, extra: &[Identity], service: Option<&Arc<Service>>) -> Route {
    let (port, protocol) = match chosen.workload.tunnel {
        Tunnel::None => (chosen.port, Protocol::Tcp),
        Tunnel::Hbone => (
            PORT_HBONE,
            Protocol::Hbone {
                authority: Authority::NextHop(chosen.port),
                expected: expected(&chosen.workload, extra),
            },
        ),
    };
    Route {
        place: chosen.place,
        port,
        protocol,
        next_hop: Some(chosen.workload),
        service: service.cloned(),
    }
}

/// Through the gateway of another network. Only a service can be named there.
fn to_other_network(
    state: &State,
    remote: &Workload,
    expected_there: &[Identity],
    client: &Workload,
    dialled: SocketAddr,
    service: Option<&Arc<Service>>,
) -> Result<Route, Refusal> {
    let (Some(service), Some(gateway)) = (service, &remote.network_gateway) else {
        return Err(Refusal::UnknownGateway);
    };
    // The gateway's own record lies in its network; its address can be reached from ours.
    let from_there = Workload {
        network: remote.network.clone(),
        ..client.clone()
    };
    let (chosen, extra) =
        choose_gateway(state, gateway, &from_there, dialled).ok_or(Refusal::UnknownGateway)?;
    Ok(Route {
        protocol: Protocol::DoubleHbone {
            authority: format!("{}:{}", service.hostname, dialled.port()),
            gateway: expected(&chosen.workload, extra),
            expected: expected_there.to_vec(),
        },
        place: chosen.place,
        port: chosen.port,
        next_hop: Some(chosen.workload),
        service: Some(service.clone()),
    })
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;
