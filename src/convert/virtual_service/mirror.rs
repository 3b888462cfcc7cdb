//! Copies of requests as filters of an HTTPRoute.

use super::backend::Backends;
use crate::code::Code;
use crate::convert::notes::Notes;
use model::FieldPath;
use model::virtual_service::{Destination, HttpRoute, Percent, VirtualService};
use serde_json::{Value as Json, json};

type VsNotes<'a> = Notes<'a, VirtualService>;

/// Filters of type `RequestMirror` for all copies that a rule makes.
pub fn filters(
    rule: &HttpRoute,
    path: &FieldPath,
    backends: &Backends<'_>,
    notes: &mut VsNotes<'_>,
) -> Vec<Json> {
    let whole = rule.mirror_percent.map(|value| Percent {
        value: f64::from(value),
    });
    let single = rule.mirror.as_deref().into_iter().map(|destination| {
        (
            path.key("mirror"),
            destination,
            rule.mirror_percentage.as_ref().or(whole.as_ref()),
        )
    });
    let several = rule.mirrors.iter().enumerate().map(|(index, mirror)| {
        (
            path.key("mirrors").index(index).key("destination"),
            &mirror.destination,
            mirror.percentage.as_ref(),
        )
    });
    let mut filters = Vec::new();
    for (place, destination, percentage) in single.chain(several) {
        filters.extend(filter(destination, percentage, &place, backends, notes));
    }
    filters
}

fn filter(
    destination: &Destination,
    percentage: Option<&Percent>,
    place: &FieldPath,
    backends: &Backends<'_>,
    notes: &mut VsNotes<'_>,
) -> Option<Json> {
    let per_million = percentage.map_or(1_000_000.0, |p| (p.value * 10_000.0).trunc());
    if !(0.0..=1_000_000.0).contains(&per_million) {
        notes.keep(
            Code::Mirror,
            place,
            "the share of requests to copy is outside of 0 to 100",
        );
        return None;
    }
    let share = per_million as u32;
    if share == 0 {
        return None;
    }
    let backend = backends.resolve(destination, place, notes)?;
    let mut mirror = json!({ "backendRef": backend });
    let release = backends.context.options.gateway_api;
    if share < 1_000_000 && !release.has(Some(3), Some(2)) {
        let message = format!(
            "Gateway API {release} copies all requests or none; shares came with 1.3, in the experimental channel with 1.2"
        );
        notes.keep(Code::Mirror, place, message);
        return None;
    }
    match share {
        1_000_000 => {}
        share if share.is_multiple_of(10_000) => mirror["percent"] = json!(share / 10_000),
        share => {
            let (numerator, denominator) = fraction(share);
            mirror["fraction"] = json!({ "numerator": numerator, "denominator": denominator });
        }
    }
    if backends.place.is_mesh() {
        notes.tell(Code::MirrorPolicies, place, "copies now reach their target with the waypoint's identity and past the target's own layer-7 policies");
    }
    Some(json!({ "type": "RequestMirror", "requestMirror": mirror }))
}

/// A fraction that istiod makes the same share per million of, although it computes in floating point and cuts
/// off: where the plain one does not do, one that lies in the middle of the range does.
fn fraction(share: u32) -> (u32, u32) {
    let made = |numerator: u32, denominator: u32| {
        let percent = 100.0 * f64::from(numerator) / f64::from(denominator);
        (percent * 10_000.0) as u32
    };
    if made(share, 1_000_000) == share {
        (share, 1_000_000)
    } else {
        (share * 10 + 5, 10_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fraction_makes_its_share() {
        for share in 1..1_000_000 {
            let (numerator, denominator) = fraction(share);
            let percent = 100.0 * f64::from(numerator) / f64::from(denominator);
            assert_eq!((percent * 10_000.0) as u32, share);
        }
    }
}
