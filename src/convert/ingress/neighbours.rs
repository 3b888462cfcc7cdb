//! What stands in the way between several Gateways, and between objects at one: hosts and servers that meet.

use super::Reading;
use super::claims::Taken;
use crate::code::Code;
use model::FieldPath;
use std::collections::BTreeMap;

/// Keeps objects that share a host at the same pods: Istio tries the rules of old objects one after the other by age, and
/// those of routes by how specific they are.
pub(super) fn keep_shared_hosts(readings: &mut [Reading<'_>]) {
    let mut owners: BTreeMap<&Taken, Vec<(usize, usize)>> = BTreeMap::new();
    for (at, reading) in readings.iter().enumerate() {
        for (place, bound) in reading.bound.iter().enumerate() {
            for taken in &bound.taken {
                owners.entry(taken).or_default().push((at, place));
            }
        }
    }
    let mut found: Vec<(usize, usize, String)> = Vec::new();
    for (taken, owners) in owners {
        for (at, place) in &owners {
            let rival = owners.iter().find_map(|(other_at, other_place)| {
                let (own, other) = (readings.get(*at)?, readings.get(*other_at)?);
                let meets = at == other_at || own.pods.may_share(&other.object.spec.selector);
                let rival = &other.bound.get(*other_place)?.object.id;
                (meets && *rival != own.bound.get(*place)?.object.id).then_some(rival)
            });
            if let Some(rival) = rival {
                let message = format!(
                    "{rival} has rules for {}, too; Istio tries those of both by age, and routes by how specific they are",
                    taken.shown()
                );
                found.push((*at, *place, message));
            }
        }
    }
    for (at, place, message) in found {
        if let Some(bound) = readings
            .get_mut(at)
            .and_then(|reading| reading.bound.get_mut(place))
        {
            let path = FieldPath::spec().key("hosts");
            bound.notes.keep(Code::IngressHostShared, &path, message);
        }
    }
}

/// Keeps Gateways for the same pods of whose servers Istio takes one, by age, or joins them.
pub(super) fn keep_servers_that_clash(readings: &mut [Reading<'_>]) {
    let mut by_port: BTreeMap<u16, Vec<(usize, usize)>> = BTreeMap::new();
    for (at, reading) in readings.iter().enumerate() {
        for (index, listener) in reading.listeners.iter().enumerate() {
            by_port.entry(listener.port).or_default().push((at, index));
        }
    }
    let mut found: Vec<(usize, FieldPath, String)> = Vec::new();
    for (at, index) in by_port.values().flatten() {
        let Some(own) = readings.get(*at) else { continue };
        let Some(listener) = own.listeners.get(*index) else {
            continue;
        };
        let rival = by_port
            .get(&listener.port)
            .into_iter()
            .flatten()
            .find_map(|(other_at, other)| {
                let other_reading = readings.get(*other_at)?;
                let other = other_reading.listeners.get(*other)?;
                let meets = at != other_at && own.pods.may_share(&other_reading.object.spec.selector);
                (meets && listener.clashes_with(other)).then_some(&other_reading.object.id)
            });
        if let Some(rival) = rival {
            let message = format!(
                "a server of {rival} is for the same pods, port and host, or speaks differently there: Istio takes the older of both, or joins them"
            );
            found.push((*at, listener.path.clone(), message));
        }
    }
    for (at, path, message) in found {
        if let Some(reading) = readings.get_mut(at) {
            reading.notes.keep(Code::IngressServersClash, &path, message);
        }
    }
}
