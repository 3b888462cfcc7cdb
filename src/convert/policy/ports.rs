//! Ports of pods as ports of the Service that leads to them, and other attributes of the destination.

use super::pattern::{Bound, Found};
use super::reach::Target;
use super::translate::{Obstacle, Reader};
use super::ways::{Condition as When, Way, is_tcp};
use crate::code::Code;
use model::FieldPath;
use model::security::{Operation, Rule};
use std::collections::BTreeSet;

impl<'a> Reader<'_, 'a> {
    /// Ports of pods become ports of the Service; whether some port is left.
    pub(super) fn ports(
        &self,
        operation: &mut Operation,
        place: &FieldPath,
        ways: &[&Way<'a>],
    ) -> Result<Found<bool>, Obstacle> {
        let mut exact = true;
        if !operation.ports.is_empty() {
            let mapped = self.map_ports(&operation.ports, &place.key("ports"), ways, self.bound)?;
            exact &= mapped.exact;
            if mapped.value.is_empty() {
                return Ok(Found { value: false, exact });
            }
            operation.ports = mapped.value;
        }
        if !operation.not_ports.is_empty() {
            let bound = self.bound.opposite();
            let mapped = self.map_ports(&operation.not_ports, &place.key("notPorts"), ways, bound)?;
            exact &= mapped.exact;
            operation.not_ports = mapped.value;
        }
        Ok(Found { value: true, exact })
    }

    /// The same for `destination.port`, and the attributes that a waypoint sees otherwise.
    pub(super) fn destination(
        &self,
        rule: &mut Rule,
        path: &FieldPath,
        ways: &[&Way<'a>],
    ) -> Result<Found<bool>, Obstacle> {
        let mut found = Found::exactly(true);
        for (index, mut condition) in std::mem::take(&mut rule.when).into_iter().enumerate() {
            let place = path.key("when").index(index);
            let differs = |message: &str| Err((Code::AttributeDiffers, place.key("key"), message.to_owned()));
            match condition.key.as_str() {
                "destination.ip" => {
                    return differs(
                        "a waypoint sees the Service's address as `destination.ip`, not the pod's",
                    );
                }
                "connection.sni" => {
                    return differs(
                        "it is not certain that a waypoint sees `connection.sni` as the server's sidecar did",
                    );
                }
                "destination.port" => {}
                _ => {
                    rule.when.push(condition);
                    continue;
                }
            }
            if !condition.values.is_empty() {
                let mapped = self.map_ports(&condition.values, &place.key("values"), ways, self.bound)?;
                found.exact &= mapped.exact;
                found.value &= !mapped.value.is_empty();
                condition.values = mapped.value;
            }
            if !condition.not_values.is_empty() {
                let place = place.key("notValues");
                let mapped = self.map_ports(&condition.not_values, &place, ways, self.bound.opposite())?;
                found.exact &= mapped.exact;
                condition.not_values = mapped.value;
            }
            if !condition.values.is_empty() || !condition.not_values.is_empty() {
                rule.when.push(condition);
            }
        }
        Ok(found)
    }

    /// The Service's ports that lead to one of the pods' ports: where they lead to several, those with some of them
    /// wanted, or those with all.
    fn map_ports(
        &self,
        pod_ports: &[String],
        place: &FieldPath,
        ways: &[&Way<'a>],
        bound: Bound,
    ) -> Result<Found<Vec<String>>, Obstacle> {
        let mut wanted = BTreeSet::new();
        for text in pod_ports {
            let number = text.parse::<u16>().map_err(|_| {
                (
                    Code::AttributeDiffers,
                    place.clone(),
                    format!("`{text}` is no port number"),
                )
            })?;
            wanted.insert(number);
        }
        let mut found = Found::exactly(BTreeSet::new());
        let service = self.target.service;
        for port in service.spec.ports.iter().filter(|port| is_tcp(port)) {
            let Some(dialled) = port.port.map(|port| port.0) else {
                continue;
            };
            let mut reached = BTreeSet::new();
            for way in ways.iter().filter(|way| takes(&way.condition, dialled)) {
                let ports = self.reach.pod_ports(service, dialled, way).ok_or_else(|| {
                    let message = format!(
                        "port {dialled} of {} leads to a named port of the pods, whose number is not in the input",
                        service.id
                    );
                    (Code::NamedTargetPort, place.clone(), message)
                })?;
                reached.extend(ports);
            }
            let some = reached.iter().any(|port| wanted.contains(port));
            let all = some && reached.iter().all(|port| wanted.contains(port));
            found.exact &= some == all;
            if all || (some && bound == Bound::AtLeast) {
                found.value.insert(dialled);
            }
        }
        Ok(Found {
            value: found.value.iter().map(ToString::to_string).collect(),
            exact: found.exact,
        })
    }
}

fn takes(condition: &When, dialled: u16) -> bool {
    condition
        .ports
        .as_ref()
        .is_none_or(|ports| ports.contains(&dialled))
}

/// Limits an operation to ports of the Service; whether some port is left.
pub(super) fn only_ports(operation: &mut Operation, ports: Option<&[u16]>, target: &Target<'_>) -> bool {
    let Some(ports) = ports else { return true };
    let tcp = target.service.spec.ports.iter().filter(|port| is_tcp(port));
    let mut all = tcp.filter_map(|port| Some(port.port?.0));
    if all.all(|port| ports.contains(&port)) {
        return true;
    }
    let named: Vec<String> = ports.iter().map(ToString::to_string).collect();
    if operation.ports.is_empty() {
        operation.ports = named;
    } else {
        operation.ports.retain(|port| named.contains(port));
    }
    !operation.ports.is_empty()
}
