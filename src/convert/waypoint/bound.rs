//! The labels by which a Service, or all of a namespace, uses a waypoint.

use std::collections::BTreeMap;

/// Names the waypoint of an object or of a whole namespace; `none` opts out.
pub const USE_WAYPOINT: &str = "istio.io/use-waypoint";
/// The namespace of that waypoint, if it is another one.
const WAYPOINT_NAMESPACE: &str = "istio.io/use-waypoint-namespace";

/// Whether requests for a Service, or for all of a namespace, pass a waypoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound<'a> {
    /// They pass this one.
    To {
        /// The namespace of the waypoint.
        namespace: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// They pass none, because a label says so.
    Nowhere,
    /// They pass none, because no label says which.
    Unlabelled,
    /// The input does not say.
    Unknown,
}

/// What the labels of an object in `namespace`, or of that namespace, say; `None` where they say nothing.
///
/// An empty name is that of no waypoint, and hides the one of the namespace as every other name does.
///
/// Source: istio/istio:pilot/pkg/serviceregistry/ambient/waypoints.go
#[must_use]
pub fn of_labels<'a>(labels: &'a BTreeMap<String, String>, namespace: &'a str) -> Option<Bound<'a>> {
    let name = labels.get(USE_WAYPOINT)?.as_str();
    let namespace = labels.get(WAYPOINT_NAMESPACE).map_or(namespace, String::as_str);
    Some(match (namespace, name) {
        ("", _) | (_, "" | "none") => Bound::Nowhere,
        _ => Bound::To { namespace, name },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_name_is_that_of_no_waypoint() {
        let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            let owned = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            owned.collect()
        };
        let own = labels(&[(USE_WAYPOINT, "w")]);
        let to = |namespace| Some(Bound::To { namespace, name: "w" });
        assert_eq!(of_labels(&own, "shop"), to("shop"));
        let elsewhere = labels(&[(USE_WAYPOINT, "w"), (WAYPOINT_NAMESPACE, "infra")]);
        assert_eq!(of_labels(&elsewhere, "shop"), to("infra"));
        assert_eq!(of_labels(&labels(&[(WAYPOINT_NAMESPACE, "infra")]), "shop"), None);
        for name in ["", "none"] {
            assert_eq!(
                of_labels(&labels(&[(USE_WAYPOINT, name)]), "shop"),
                Some(Bound::Nowhere)
            );
        }
    }
}
