//! The new Gateway, and how routes are attached to it.

use super::listeners::Listener;
use crate::convert::Change;
use crate::convert::context::Context;
use crate::convert::names::{FreeName, untaken};
use crate::convert::virtual_service::backend::Backends;
use crate::convert::virtual_service::place::Place;
use crate::convert::virtual_service::versions::Version;
use foldhash::HashSet;
use model::traffic::{IstioGateway, Service};
use model::virtual_service::VirtualService;
use model::{Kind, Object, ObjectRef};
use serde_json::{Map, Value as Json, json};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// `spec.hostnames` of routes.
pub const MAX_HOSTNAMES: usize = 16;

/// An old Gateway and the place of the new one: beside the Service whose pods it is for, since istiod gives Secrets and
/// pods to Gateways of that namespace only.
pub struct Site<'a> {
    /// The look-ups.
    pub context: &'a Context<'a>,
    /// The old Gateway.
    pub gateway: &'a Object<IstioGateway>,
    /// The Service in front of its pods.
    pub service: &'a Object<Service>,
    /// How VirtualServices call the old one.
    pub name: String,
    /// What the new one is called.
    pub id: ObjectRef,
    /// Its listeners.
    pub listeners: &'a [Listener],
}

/// The name of an old Gateway as VirtualServices write it: `namespace/name`.
pub fn name_of(gateway: &Object<IstioGateway>) -> String {
    format!("{}/{}", gateway.namespace(), gateway.name())
}

impl<'a> Site<'a> {
    /// The place for a new Gateway; routes say its name, so it is final.
    pub fn new(
        context: &'a Context<'a>,
        gateway: &'a Object<IstioGateway>,
        service: &'a Object<Service>,
        listeners: &'a [Listener],
        taken: &mut HashSet<ObjectRef>,
    ) -> Self {
        let base = if service.namespace() == gateway.namespace() {
            gateway.name().to_owned()
        } else {
            format!("{}-{}", gateway.namespace(), gateway.name())
        };
        let name = context.free_name(service.namespace(), &Kind::Gateway, &base, &gateway.id);
        let id = untaken(context, &name, &gateway.id, taken);
        Self {
            context,
            gateway,
            service,
            name: name_of(gateway),
            id,
            listeners,
        }
    }

    /// Where the rules of an object are read at a port.
    pub fn place<'p>(name: &'p str, object: &'p Object<VirtualService>, listener: &Listener) -> Place<'p> {
        Place::Gateway {
            name,
            namespace: object.namespace(),
            tls: listener.serves.is_tls(),
        }
    }

    /// Resolves destinations of an object at a listener.
    pub fn backends<'b>(
        &'b self,
        object: &'b Object<VirtualService>,
        listener: &Listener,
        versions: &'b RefCell<BTreeSet<Version>>,
    ) -> Backends<'b> {
        Backends {
            context: self.context,
            namespace: object.namespace(),
            dialled_port: listener.port,
            place: Self::place(&self.name, object, listener),
            versions,
        }
    }

    /// The `parentRef` of a route in `namespace` for one listener.
    pub fn parent(&self, namespace: &str, listener: &Listener) -> Json {
        let mut parent = Map::new();
        parent.insert("group".into(), json!("gateway.networking.k8s.io"));
        parent.insert("kind".into(), json!("Gateway"));
        let own = self.service.namespace();
        if own != namespace {
            parent.insert("namespace".into(), json!(own));
        }
        parent.insert("name".into(), json!(&*self.id.name));
        parent.insert("sectionName".into(), json!(listener.name));
        Json::Object(parent)
    }

    /// The name of a route made of an object.
    pub fn route_name(&self, object: &Object<VirtualService>) -> String {
        format!("{}-at-{}", object.name(), self.id.name)
    }

    /// The new Gateway. Its address is a name, so that Istio neither makes pods nor a Service for it ("manual
    /// deployment").
    pub fn gateway(&self, frontend: Vec<Json>) -> Change {
        let own = self.service.namespace();
        let host = self.context.service_host(self.service);
        let listeners = self.listeners.iter().map(|listener| listener.to_json(own));
        let mut spec = Map::new();
        spec.insert("gatewayClassName".into(), json!("istio"));
        spec.insert("addresses".into(), json!([{ "type": "Hostname", "value": host }]));
        spec.insert("listeners".into(), listeners.collect());
        if !frontend.is_empty() {
            spec.insert(
                "tls".into(),
                json!({ "frontend": { "default": {}, "perPort": frontend } }),
            );
        }
        let name = FreeName {
            id: self.id.clone(),
            instead_of: None,
        };
        self.made("v1", name, Json::Object(spec))
    }

    /// An object that is made of the old Gateway.
    pub fn made(&self, version: &str, name: FreeName, spec: Json) -> Change {
        let FreeName { id, instead_of } = name;
        let after = json!({
            "apiVersion": format!("gateway.networking.k8s.io/{version}"), "kind": id.kind.name(),
            "metadata": crate::convert::metadata(&id, &self.gateway.id), "spec": spec,
        });
        Change {
            after: (&after).into(),
            id,
            instead_of,
            from: self.gateway.id.clone(),
            before: None,
        }
    }
}
