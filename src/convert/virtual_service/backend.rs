//! Destinations of a VirtualService as references to Services.

use super::place::Place;
use super::versions::{self, Version};
use crate::code::Code;
use crate::convert::assumed::is_assumed;
use crate::convert::context::{Context, Host};
use crate::convert::notes::Notes;
use crate::convert::options::Subsets;
use model::FieldPath;
use model::meta::Object;
use model::traffic::{Service, ServiceEntry};
use model::virtual_service::{Destination, VirtualService};
use serde_json::{Value as Json, json};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Resolves destinations of one VirtualService for requests that were dialled at one port.
#[derive(Clone, Copy)]
pub struct Backends<'a> {
    /// The look-ups.
    pub context: &'a Context<'a>,
    /// The namespace of the VirtualService, in which its short names count.
    pub namespace: &'a str,
    /// The port that the client dialled; 0 if it is not known.
    pub dialled_port: u16,
    /// Who reads the rules.
    pub place: Place<'a>,
    /// Takes the subsets that were resolved to Services of their own.
    pub versions: &'a RefCell<BTreeSet<Version>>,
}

impl Backends<'_> {
    /// A destination as `backendRef`; `None` if something stood in the way. For other namespaces istiod asks for a
    /// ReferenceGrant at gateways only; the caller writes those.
    pub fn resolve(
        &self,
        destination: &Destination,
        path: &FieldPath,
        notes: &mut Notes<'_, VirtualService>,
    ) -> Option<Json> {
        let subset = destination.subset.as_deref().filter(|s| !s.is_empty());
        if let Some(subset) = subset
            && self.context.options.subsets == Subsets::Keep
        {
            let reader = if self.place.is_mesh() {
                "a waypoint"
            } else {
                "the gateway"
            };
            let message = format!(
                "the subset `{subset}` of `{}` has no form in a route; with its DestinationRule the object works at {reader} as it is. `--subsets services` makes a Service of it",
                destination.host
            );
            notes.keep(Code::Subset, &path.key("subset"), message);
            return None;
        }
        let unknown = match self.context.host(&destination.host, self.namespace) {
            Host::Service(service) if service.spec.is_external_name() => {
                format!("`{}` is only an alias (type ExternalName)", destination.host)
            }
            Host::Service(service) => return self.service(service, destination, subset, path, notes),
            Host::ServiceEntry(entry) if subset.is_none() => {
                return self.entry(entry, destination, path, notes);
            }
            Host::ServiceEntry(entry) => {
                let message = format!(
                    "the subset stays: `{}` is a host of {}",
                    destination.host, entry.id
                );
                notes.keep(Code::VersionNotMade, &path.key("subset"), message);
                return None;
            }
            Host::HalfQualified(meant) => format!(
                "`{}` is taken literally and names no Service; `{}` is probably meant",
                destination.host,
                self.context.service_host(meant)
            ),
            Host::Wildcard | Host::Unknown => format!("`{}` is no Service in the input", destination.host),
        };
        notes.keep(Code::UnknownDestination, &path.key("host"), unknown);
        None
    }

    fn service(
        &self,
        service: &Object<Service>,
        destination: &Destination,
        subset: Option<&str>,
        path: &FieldPath,
        notes: &mut Notes<'_, VirtualService>,
    ) -> Option<Json> {
        let ports: Vec<u16> = service
            .spec
            .ports
            .iter()
            .filter_map(|p| p.port)
            .map(|p| p.0)
            .collect();
        let stated = destination.port.as_ref().and_then(|p| p.number);
        if stated.is_none() && is_assumed(service) {
            let message = format!(
                "the destination names no port, and {} is only assumed, so its ports are not known",
                service.id
            );
            notes.keep(Code::UnknownDestination, path, message);
            return None;
        }
        let port = self.port(destination, &service.id, &ports, path, notes)?;
        let name = match subset {
            None => service.name().to_owned(),
            Some(subset) => match versions::find(self.context, service, subset) {
                Ok(version) => {
                    let name = version.name.clone();
                    self.versions.borrow_mut().insert(version);
                    name
                }
                Err((code, message)) => {
                    notes.keep(code, &path.key("subset"), message);
                    return None;
                }
            },
        };
        let mut backend = serde_json::Map::new();
        backend.insert("name".into(), json!(name));
        if service.namespace() != self.namespace {
            backend.insert("namespace".into(), json!(service.namespace()));
        }
        backend.insert("port".into(), json!(port));
        Some(Json::Object(backend))
    }

    /// A host of a ServiceEntry: the kind `Hostname`, which is istiod's own, names it without a namespace.
    fn entry(
        &self,
        entry: &Object<ServiceEntry>,
        destination: &Destination,
        path: &FieldPath,
        notes: &mut Notes<'_, VirtualService>,
    ) -> Option<Json> {
        let ports: Vec<u16> = entry
            .spec
            .ports
            .iter()
            .filter_map(|p| p.number)
            .map(|p| p.0)
            .collect();
        let port = self.port(destination, &entry.id, &ports, path, notes)?;
        let host = self.context.qualify(&destination.host, self.namespace);
        Some(json!({ "group": "networking.istio.io", "kind": "Hostname", "name": host, "port": port }))
    }

    /// The port: as written, the only one, or the one dialled.
    fn port(
        &self,
        destination: &Destination,
        id: &model::ObjectRef,
        ports: &[u16],
        path: &FieldPath,
        notes: &mut Notes<'_, VirtualService>,
    ) -> Option<u16> {
        let wanted = match (destination.port.as_ref().and_then(|p| p.number), ports) {
            (Some(port), _) => port.0,
            (None, [only]) => *only,
            (None, _) => self.dialled_port,
        };
        if ports.contains(&wanted) {
            return Some(wanted);
        }
        let message = if wanted == 0 {
            format!("the destination names no port of {id}, and which one is dialled is not known")
        } else {
            format!("{id} has no port {wanted}")
        };
        notes.keep(Code::UnknownDestination, path, message);
        None
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
