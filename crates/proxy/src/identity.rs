//! SPIFFE identities in the only form that the mesh uses: `spiffe://TD/ns/NS/sa/SA`.

use semantics::layer_4::Peer;
use std::fmt;
use std::sync::Arc;

const SCHEME: &str = "spiffe://";

/// An identity. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(Arc<Parts>);

#[derive(PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Parts {
    uri: String,
    trust_domain: String,
    namespace: String,
    service_account: String,
}

impl Identity {
    /// The identity of a service account. None of the parts may be empty or hold a slash: such parts would be read
    /// back as another identity.
    #[must_use]
    pub fn new(trust_domain: &str, namespace: &str, service_account: &str) -> Option<Self> {
        let parts = [trust_domain, namespace, service_account];
        if parts.iter().any(|part| part.is_empty() || part.contains('/')) {
            return None;
        }
        Some(Self(Arc::new(Parts {
            uri: format!("{SCHEME}{trust_domain}/ns/{namespace}/sa/{service_account}"),
            trust_domain: trust_domain.to_owned(),
            namespace: namespace.to_owned(),
            service_account: service_account.to_owned(),
        })))
    }

    /// Reads a URI; `None` if it has another form.
    #[must_use]
    pub fn parse(uri: &str) -> Option<Self> {
        let mut parts = uri.strip_prefix(SCHEME)?.split('/');
        let trust_domain = parts.next()?;
        let ("ns", namespace) = (parts.next()?, parts.next()?) else {
            return None;
        };
        let ("sa", service_account) = (parts.next()?, parts.next()?) else {
            return None;
        };
        if parts.next().is_some() {
            return None;
        }
        Self::new(trust_domain, namespace, service_account)
    }

    /// The whole URI.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.0.uri
    }

    /// The trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.0.trust_domain
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.0.namespace
    }

    /// The identity as policies see it.
    #[must_use]
    pub fn peer(&self) -> Peer<'_> {
        Peer {
            principal: &self.0.uri[SCHEME.len()..],
            namespace: &self.0.namespace,
            service_account: &self.0.service_account,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.uri())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_form_of_the_mesh_is_read() {
        let identity = Identity::parse("spiffe://td.example/ns/shop/sa/web").unwrap();
        assert_eq!(identity, Identity::new("td.example", "shop", "web").unwrap());
        assert_eq!(identity.peer().principal, "td.example/ns/shop/sa/web");
        for uri in [
            "",
            "spiffe://",
            "https://td/ns/a/sa/b",
            "spiffe://td/ns/a/sa/",
            "spiffe:///ns/a/sa/b",
            "spiffe://td/ns//sa/b",
            "spiffe://td/ns/a/sa/b/c",
            "spiffe://td/ns/a/sb/b",
            "spiffe://td/sa/a/ns/b",
            "spiffe://td/ns/a",
            "SPIFFE://td/ns/a/sa/b",
        ] {
            assert_eq!(Identity::parse(uri), None, "{uri}");
        }
        assert_eq!(Identity::new("td", "a/sa/b", "c"), None);
    }
}
