//! What a route is attached to in the mesh: a Service, or a ServiceEntry with all of its hosts.

use crate::convert::assumed::is_assumed;
use model::ObjectRef;
use model::meta::Object;
use model::traffic::{Carries, Service, ServiceEntry};
use serde_json::{Value as Json, json};

/// A parent of routes.
#[derive(Debug, Clone, Copy)]
pub enum Parent<'a> {
    /// A Service with a virtual address.
    Service(&'a Object<Service>),
    /// Hosts outside of the cluster; Istio takes them as parents since 1.30.
    Entry(&'a Object<ServiceEntry>),
}

impl<'a> Parent<'a> {
    /// What it is called.
    pub fn id(&self) -> &'a ObjectRef {
        match self {
            Self::Service(service) => &service.id,
            Self::Entry(entry) => &entry.id,
        }
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        &self.id().name
    }

    /// Its ports and what they carry; `None` for a Service that is only assumed, of which they are not known.
    pub fn ports(&self) -> Option<Vec<(u16, Carries)>> {
        match self {
            Self::Service(service) if is_assumed(service) => None,
            Self::Service(service) => {
                let ports = service.spec.ports.iter();
                Some(ports.filter_map(|p| Some((p.port?.0, p.carries()))).collect())
            }
            Self::Entry(entry) => {
                let ports = entry.spec.ports.iter();
                let carries = |protocol: Option<&str>| Carries::of(protocol.unwrap_or_default());
                Some(
                    ports
                        .filter_map(|p| Some((p.number?.0, carries(p.protocol.as_deref()))))
                        .collect(),
                )
            }
        }
    }

    /// The `parentRef`, for one port or for all.
    pub fn reference(&self, port: Option<u16>) -> Json {
        let (group, kind) = match self {
            Self::Service(_) => ("", "Service"),
            Self::Entry(_) => ("networking.istio.io", "ServiceEntry"),
        };
        let mut parent = json!({ "group": group, "kind": kind, "name": self.name() });
        if let Some(port) = port {
            parent["port"] = json!(port);
        }
        parent
    }
}
