//! Host names of servers and VirtualServices at a gateway: which meet, and which are seen from which namespace.
//!
//! Source: istio/istio:pilot/pkg/networking/core/gateway.go, pkg/config/host/{name,names}.go.

use crate::convert::virtual_service::backend::is_precise_hostname;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// The namespaces whose VirtualServices a server takes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Namespaces {
    /// All.
    All,
    /// These.
    Only(BTreeSet<String>),
}

impl Namespaces {
    /// Whether a namespace is among them.
    pub fn admit(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(namespace),
        }
    }

    /// Both together.
    pub fn join(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Only(names), Self::Only(more)) => names.extend(more.iter().cloned()),
            _ => *self = Self::All,
        }
    }

    /// As `allowedRoutes.namespaces` of a listener in `own`. What istiod makes of it names the same namespaces as the
    /// old server: that is how it sees that both are for the same host.
    pub fn to_json(&self, own: &str) -> Json {
        match self {
            Self::All => json!({ "from": "All" }),
            Self::Only(names) if names.len() == 1 && names.contains(own) => json!({ "from": "Same" }),
            Self::Only(names) => json!({ "from": "Selector", "selector": { "matchExpressions": [
                { "key": "kubernetes.io/metadata.name", "operator": "In", "values": names },
            ] } }),
        }
    }
}

/// Reads `namespace/host`, `./host`, `*/host` or `host` of a server in `own`; `None` where it is for no namespace.
pub fn of_server(written: &str, own: &str) -> Option<(Namespaces, String)> {
    let only = |namespace: &str| Namespaces::Only(BTreeSet::from([namespace.to_owned()]));
    match written.split_once('/') {
        None | Some(("*", _)) => Some((
            Namespaces::All,
            written.rsplit('/').next().unwrap_or(written).to_owned(),
        )),
        Some(("~", _)) => None,
        Some((".", host)) => Some((only(own), host.to_owned())),
        Some((namespace, host)) => Some((only(namespace), host.to_owned())),
    }
}

/// Whether every name that fits `host` fits `pattern`.
pub fn covers(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        None => pattern == host,
        Some(suffix) => {
            pattern == host || host.strip_prefix('*').unwrap_or(host).ends_with(suffix) && host != suffix
        }
    }
}

/// The names that fit both.
pub fn narrower<'h>(a: &'h str, b: &'h str) -> Option<&'h str> {
    if covers(a, b) {
        Some(b)
    } else {
        covers(b, a).then_some(a)
    }
}

/// Whether the Gateway API takes it as a host name: a precise one, or one behind `*.`; not `*` alone.
pub fn is_hostname(host: &str) -> bool {
    is_precise_hostname(host.strip_prefix("*.").unwrap_or(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_what_ends_like_them() {
        for (pattern, host, expected) in [
            ("*", "a.example", true),
            ("*", "*", true),
            ("*.example", "a.example", true),
            ("*.example", "a.b.example", true),
            ("*.example", "*.b.example", true),
            ("*.example", "example", false),
            ("*.example", "*", false),
            ("a.example", "a.example", true),
            ("a.example", "*.example", false),
        ] {
            assert_eq!(covers(pattern, host), expected, "{pattern} {host}");
        }
        assert_eq!(narrower("*.example", "a.example"), Some("a.example"));
        assert_eq!(narrower("a.example", "*"), Some("a.example"));
        assert_eq!(narrower("a.example", "b.example"), None);
    }

    #[test]
    fn hosts_of_servers_name_namespaces() {
        let only = |name: &str| Namespaces::Only(BTreeSet::from([name.to_owned()]));
        assert_eq!(
            of_server("a.example", "edge"),
            Some((Namespaces::All, "a.example".into()))
        );
        assert_eq!(of_server("*/*", "edge"), Some((Namespaces::All, "*".into())));
        assert_eq!(
            of_server("./a.example", "edge"),
            Some((only("edge"), "a.example".into()))
        );
        assert_eq!(
            of_server("shop/a.example", "edge"),
            Some((only("shop"), "a.example".into()))
        );
        assert_eq!(of_server("~/a.example", "edge"), None);
    }
}
