//! Destinations of a VirtualService as references to Services.

use crate::code::Code;
use crate::convert::assumed::is_assumed;
use crate::convert::context::{Context, Host};
use crate::convert::notes::Notes;
use model::traffic::Service;
use model::virtual_service::{Destination, VirtualService};
use model::{FieldPath, Object};
use serde_json::{Value as Json, json};

/// Resolves destinations of one VirtualService for requests that were dialled at one port.
pub struct Backends<'a> {
    /// The look-ups.
    pub context: &'a Context<'a>,
    /// The namespace of the VirtualService, in which its short names count.
    pub namespace: &'a str,
    /// The port that the client dialled.
    pub dialled_port: u16,
}

impl Backends<'_> {
    /// A destination as `backendRef`; `None` if something stood in the way.
    pub fn resolve(
        &self,
        destination: &Destination,
        path: &FieldPath,
        notes: &mut Notes<'_, VirtualService>,
    ) -> Option<Json> {
        if let Some(subset) = destination.subset.as_deref().filter(|s| !s.is_empty()) {
            let message = format!(
                "the subset `{subset}` of `{}` has no form in an HTTPRoute; a Service per version is not yet made",
                destination.host
            );
            notes.keep(Code::Subset, &path.key("subset"), message);
            return None;
        }
        let service = match self.context.host(&destination.host, self.namespace) {
            Host::Service(service) => service,
            other => {
                let message = match other {
                    Host::ServiceEntry(_) => format!(
                        "`{}` is a host of a ServiceEntry; such backends are not yet written",
                        destination.host
                    ),
                    Host::HalfQualified(meant) => format!(
                        "`{}` is taken literally and names no Service; `{}` is probably meant",
                        destination.host,
                        self.context.service_host(meant)
                    ),
                    _ => format!("`{}` is no Service in the input", destination.host),
                };
                notes.keep(Code::UnknownDestination, &path.key("host"), message);
                return None;
            }
        };
        if service.spec.is_external_name() {
            notes.keep(
                Code::UnknownDestination,
                &path.key("host"),
                format!("`{}` is only an alias (type ExternalName)", destination.host),
            );
            return None;
        }
        let port = self.port(destination, service, path, notes)?;
        let mut backend = serde_json::Map::new();
        backend.insert("name".into(), json!(service.name()));
        if service.namespace() != self.namespace {
            backend.insert("namespace".into(), json!(service.namespace()));
        }
        backend.insert("port".into(), json!(port));
        Some(Json::Object(backend))
    }

    /// The port: as written, the Service's only one, or the one dialled.
    fn port(
        &self,
        destination: &Destination,
        service: &Object<Service>,
        path: &FieldPath,
        notes: &mut Notes<'_, VirtualService>,
    ) -> Option<u16> {
        let ports: Vec<u16> = service
            .spec
            .ports
            .iter()
            .filter_map(|p| p.port)
            .map(|p| p.0)
            .collect();
        let wanted = match (destination.port.as_ref().and_then(|p| p.number), ports.as_slice()) {
            (Some(port), _) => port.0,
            (None, [only]) if !is_assumed(service) => *only,
            (None, _) if is_assumed(service) => {
                let message = format!(
                    "the destination names no port, and {} is only assumed, so its ports are not known",
                    service.id
                );
                notes.keep(Code::UnknownDestination, path, message);
                return None;
            }
            (None, _) => self.dialled_port,
        };
        if !ports.contains(&wanted) {
            let message = if wanted == 0 {
                format!(
                    "the destination names no port of {}, and which one is dialled is not known",
                    service.id
                )
            } else {
                format!("{} has no port {wanted}", service.id)
            };
            notes.keep(Code::UnknownDestination, path, message);
            return None;
        }
        Some(wanted)
    }
}

/// A label of RFC 1123 as Kubernetes and the Gateway API want it: small letters, digits and inner hyphens.
pub fn is_dns_label(label: &str) -> bool {
    let inner = label
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    inner && !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
}

/// `PreciseHostname` of the Gateway API.
pub fn is_precise_hostname(name: &str) -> bool {
    name.len() <= 253 && name.parse::<std::net::IpAddr>().is_err() && name.split('.').all(is_dns_label)
}
