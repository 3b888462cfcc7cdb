//! From the messages of istiod to our records.

use super::model::{
    ApplicationTunnel, Balancing, Families, Gateway, GatewayPlace, Locale, Locality, NetworkAddress, Ports,
    Service, Tunnel, Workload,
};
use crate::identity::Identity;
use crate::proto::{security, workload as wire};
use semantics::layer_4::{self, Action, Block, Clause, Match, Policy, Rule, Scope, Text, Values};
use std::net::IpAddr;
use std::sync::Arc;

/// A resource that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The bytes are not the message.
    #[error("not the message that its type says")]
    Bytes,
    /// Nothing in it.
    #[error("neither a workload nor a service")]
    Empty,
    /// An address of neither 4 nor 16 bytes.
    #[error("an address of {0} bytes")]
    Address(usize),
    /// A number that stands for nothing we know.
    #[error("unknown value {value} of {field}")]
    Value {
        /// The field.
        field: &'static str,
        /// The value.
        value: i32,
    },
    /// A port outside of 0 to 65535.
    #[error("{0} is no port")]
    Port(u32),
    /// A gateway without a destination.
    #[error("a gateway without a destination")]
    Gateway,
    /// A required name is missing.
    #[error("no {0}")]
    Missing(&'static str),
    /// A pattern that matches nothing that we know.
    #[error("a pattern without a kind")]
    Pattern,
}

fn address(bytes: &[u8]) -> Result<IpAddr, Invalid> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Ok(IpAddr::from(v4));
    }
    let v6 = <[u8; 16]>::try_from(bytes).map_err(|_| Invalid::Address(bytes.len()))?;
    Ok(IpAddr::from(v6).to_canonical())
}

fn port(number: u32) -> Result<u16, Invalid> {
    u16::try_from(number).map_err(|_| Invalid::Port(number))
}

fn ports(list: &[wire::Port]) -> Result<Ports, Invalid> {
    list.iter()
        .map(|entry| Ok((port(entry.service_port)?, port(entry.target_port)?)))
        .collect()
}

fn gateway(message: &wire::GatewayAddress) -> Result<Gateway, Invalid> {
    let destination = match message.destination.as_ref().ok_or(Invalid::Gateway)? {
        wire::GatewayDestination::Hostname(name) => {
            GatewayPlace::Service(format!("{}/{}", name.namespace, name.hostname).into())
        }
        wire::GatewayDestination::Address(place) => GatewayPlace::Address(NetworkAddress {
            network: place.network.as_str().into(),
            address: address(&place.address)?,
        }),
    };
    Ok(Gateway {
        destination,
        hbone_port: port(message.hbone_mtls_port)?,
    })
}

fn or(text: &str, default: &str) -> String {
    if text.is_empty() { default } else { text }.to_owned()
}

/// Reads a workload.
///
/// # Errors
/// If any part of it means nothing to us.
pub fn workload(message: wire::Workload) -> Result<Workload, Invalid> {
    if message.uid.is_empty() {
        return Err(Invalid::Missing("uid"));
    }
    let tunnel = match message.tunnel_protocol {
        0 => Tunnel::None,
        1 => Tunnel::Hbone,
        value => {
            let field = "tunnel_protocol";
            return Err(Invalid::Value { field, value });
        }
    };
    let workload_type = match message.workload_type {
        0 => "deployment",
        1 => "cronjob",
        2 => "pod",
        3 => "job",
        value => {
            let field = "workload_type";
            return Err(Invalid::Value { field, value });
        }
    };
    let services = message.services.iter();
    let services = services.map(|(key, list)| Ok((Arc::from(key.as_str()), ports(&list.ports)?)));
    let locality = message.locality.unwrap_or_default();
    let service_account = or(&message.service_account, "default");
    let trust_domain = or(&message.trust_domain, "cluster.local");
    Ok(Workload {
        identity: Identity::new(&trust_domain, &message.namespace, &service_account),
        service_account,
        addresses: message
            .addresses
            .iter()
            .map(|bytes| address(bytes))
            .collect::<Result<_, _>>()?,
        network_gateway: message.network_gateway.as_ref().map(gateway).transpose()?,
        waypoint: message.waypoint.as_ref().map(gateway).transpose()?,
        services: services.collect::<Result<_, Invalid>>()?,
        application_tunnel: message.application_tunnel.map(application_tunnel).transpose()?,
        locality: Locality {
            region: locality.region,
            zone: locality.zone,
            subzone: locality.subzone,
        },
        policies: message
            .authorization_policies
            .iter()
            .map(|name| name.as_str().into())
            .collect(),
        uid: message.uid.into(),
        name: message.name,
        namespace: message.namespace,
        hostname: message.hostname,
        network: message.network.into(),
        tunnel,
        node: message.node,
        cluster: or(&message.cluster_id, "Kubernetes"),
        canonical_name: message.canonical_name,
        canonical_revision: message.canonical_revision,
        workload_name: message.workload_name,
        workload_type,
        healthy: message.status == 0,
        host_network: message.network_mode == 1,
        capacity: message.capacity.map_or(1, |capacity| capacity.value),
    })
}

fn application_tunnel(message: wire::ApplicationTunnel) -> Result<ApplicationTunnel, Invalid> {
    Ok(ApplicationTunnel {
        proxy_protocol: message.protocol == 1,
        port: Some(port(message.port)?).filter(|&port| port != 0),
    })
}

/// Reads a service.
///
/// # Errors
/// If any part of it means nothing to us.
pub fn service(message: wire::Service) -> Result<Service, Invalid> {
    if message.hostname.is_empty() {
        return Err(Invalid::Missing("hostname"));
    }
    let mut addresses = Vec::new();
    let mut blocks = Vec::new();
    for place in &message.addresses {
        let (network, address) = (Arc::from(place.network.as_str()), address(&place.address)?);
        match place.length {
            Some(length) => blocks.push((network, Block::new(address, length).ok_or(Invalid::Address(0))?)),
            None => addresses.push(NetworkAddress { network, address }),
        }
    }
    let weighted = message.weighted_waypoints.iter().map(|entry| {
        let destination = entry.destination.as_ref().ok_or(Invalid::Gateway)?;
        Ok((gateway(destination)?, entry.weight))
    });
    let balancing = message.load_balancing.unwrap_or_default();
    Ok(Service {
        key: format!("{}/{}", message.namespace, message.hostname).into(),
        addresses,
        blocks,
        ports: ports(&message.ports)?,
        identities: message
            .subject_alt_names
            .iter()
            .filter_map(|uri| Identity::parse(uri))
            .collect(),
        waypoint: message.waypoint.as_ref().map(gateway).transpose()?,
        weighted_waypoints: weighted.collect::<Result<_, Invalid>>()?,
        preference: balancing
            .routing_preference
            .iter()
            .map(|&value| locale(value))
            .collect::<Result<_, _>>()?,
        balancing: match balancing.mode {
            0 => Balancing::Any,
            1 => Balancing::Strict,
            2 => Balancing::Failover,
            3 => Balancing::Passthrough,
            value => return Err(Invalid::Value { field: "mode", value }),
        },
        allow_unhealthy: balancing.health_policy == 1,
        families: match message.ip_families {
            1 => Families::V4,
            2 => Families::V6,
            _ => Families::Any,
        },
        canonical: message.canonical,
        private: message.visibility == 1,
        name: message.name,
        namespace: message.namespace,
        hostname: message.hostname,
    })
}

fn locale(value: i32) -> Result<Locale, Invalid> {
    Ok(match value {
        1 => Locale::Region,
        2 => Locale::Zone,
        3 => Locale::Subzone,
        4 => Locale::Node,
        5 => Locale::Cluster,
        6 => Locale::Network,
        value => {
            let field = "routing_preference";
            return Err(Invalid::Value { field, value });
        }
    })
}

/// Reads the scope of a policy.
///
/// # Errors
/// If the number stands for none.
pub fn scope(value: i32) -> Result<Scope, Invalid> {
    let field = "scope";
    match value {
        0 => Ok(Scope::Global),
        1 => Ok(Scope::Namespace),
        2 => Ok(Scope::Selector),
        value => Err(Invalid::Value { field, value }),
    }
}

/// Reads a policy.
///
/// # Errors
/// If any part of it means nothing to us. What to do then is for the caller: a policy must not vanish.
pub fn policy(message: &security::Authorization) -> Result<Policy, Invalid> {
    let scope = scope(message.scope)?;
    let action = match message.action {
        0 => Action::Allow,
        1 => Action::Deny,
        value => {
            let field = "action";
            return Err(Invalid::Value { field, value });
        }
    };
    let clause = |clause: &security::Clause| {
        let matches = clause.matches.iter().map(one_match).collect::<Result<_, _>>()?;
        Ok(Clause { matches })
    };
    let rule = |rule: &security::Rule| {
        let clauses = rule.clauses.iter().map(clause).collect::<Result<_, Invalid>>()?;
        Ok(Rule { clauses })
    };
    Ok(Policy {
        namespace: message.namespace.clone(),
        name: message.name.clone(),
        scope,
        action,
        rules: message.rules.iter().map(rule).collect::<Result<_, Invalid>>()?,
        dry_run: message.dry_run,
    })
}

fn one_match(message: &security::Match) -> Result<Match, Invalid> {
    let m = message;
    Ok(Match {
        namespaces: values(&m.namespaces, &m.not_namespaces, text)?,
        principals: values(&m.principals, &m.not_principals, text)?,
        service_accounts: values(&m.service_accounts, &m.not_service_accounts, |account| {
            Ok(layer_4::ServiceAccount {
                namespace: account.namespace.clone(),
                name: account.service_account.clone(),
            })
        })?,
        source_ips: values(&m.source_ips, &m.not_source_ips, block)?,
        destination_ips: values(&m.destination_ips, &m.not_destination_ips, block)?,
        destination_ports: values(&m.destination_ports, &m.not_destination_ports, |&number| {
            port(number)
        })?,
    })
}

fn values<M, T>(
    any: &[M],
    none: &[M],
    read: impl Fn(&M) -> Result<T, Invalid>,
) -> Result<Values<T>, Invalid> {
    Ok(Values {
        any: any.iter().map(&read).collect::<Result<_, _>>()?,
        none: none.iter().map(&read).collect::<Result<_, _>>()?,
    })
}

fn text(message: &security::StringMatch) -> Result<Text, Invalid> {
    Ok(match message.match_type.as_ref().ok_or(Invalid::Pattern)? {
        security::MatchType::Exact(text) => Text::Exact(text.clone()),
        security::MatchType::Prefix(text) => Text::Prefix(text.clone()),
        security::MatchType::Suffix(text) => Text::Suffix(text.clone()),
        security::MatchType::Presence(_) => Text::Present,
    })
}

fn block(message: &security::Address) -> Result<Block, Invalid> {
    let address = address(&message.address)?;
    Block::new(address, message.length).ok_or(Invalid::Address(message.address.len()))
}
