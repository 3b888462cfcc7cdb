//! Who reads the rules of a VirtualService: sidecars and waypoints, or an ingress gateway.

use model::virtual_service::is_for_mesh;

/// Where rules are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// In the mesh, at sidecars and waypoints.
    Mesh,
    /// At a port of an ingress gateway.
    Gateway {
        /// The gateway, as `namespace/name`.
        name: &'a str,
        /// The namespace of the rules, in which short names of gateways count.
        namespace: &'a str,
        /// Whether clients speak TLS to this port.
        tls: bool,
    },
}

impl Place<'_> {
    /// Whether a list of gateways, of an object or of one match, is for this place.
    pub fn selects(self, gateways: &[String]) -> bool {
        match self {
            Self::Mesh => is_for_mesh(gateways),
            Self::Gateway { name, namespace, .. } => {
                gateways.is_empty()
                    || gateways
                        .iter()
                        .any(|other| gateway_name(other, namespace) == name)
            }
        }
    }

    /// Whether this is the mesh.
    pub fn is_mesh(self) -> bool {
        self == Self::Mesh
    }

    /// The port that Istio leaves out of a redirect's location.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Gateway { tls: true, .. } => 443,
            _ => 80,
        }
    }
}

/// The name of a gateway as `namespace/name`: short ones count in the namespace of the object, names with dots are old
/// names of Services.
///
/// Source: istio/istio:pilot/pkg/model/config.go (`resolveGatewayName`).
pub fn gateway_name(written: &str, namespace: &str) -> String {
    match written.split_once('/') {
        Some((".", name)) => format!("{namespace}/{name}"),
        Some(_) => written.to_owned(),
        None => {
            let mut parts = written.split('.');
            match (parts.next(), parts.next()) {
                (Some(name), Some(namespace)) => format!("{namespace}/{name}"),
                _ => format!("{namespace}/{written}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_gateways_are_completed_as_istiod_does() {
        for (written, whole) in [
            ("edge", "shop/edge"),
            ("./edge", "shop/edge"),
            ("infra/edge", "infra/edge"),
            ("edge.infra.svc.cluster.local", "infra/edge"),
            ("edge.infra", "infra/edge"),
        ] {
            assert_eq!(gateway_name(written, "shop"), whole);
        }
    }

    #[test]
    fn a_match_without_gateways_is_for_every_place() {
        let gateway = Place::Gateway {
            name: "infra/edge",
            namespace: "shop",
            tls: false,
        };
        assert!(gateway.selects(&[]) && Place::Mesh.selects(&[]));
        assert!(!gateway.selects(&["mesh".to_owned()]));
        assert!(gateway.selects(&["mesh".to_owned(), "infra/edge".to_owned()]));
        assert!(!gateway.selects(&["edge".to_owned()]));
    }
}
