//! ReferenceGrants: at gateways istiod asks the namespace of a Service whether routes of another may lead there.

use super::site::Site;
use crate::code::Code;
use crate::convert::Change;
use crate::convert::notes::Notes;
use model::traffic::IstioGateway;
use model::{FieldPath, Kind};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// Routes of one kind and namespace, and the namespace of Services that they lead to.
type Way = (String, String, Kind);

/// A grant for each namespace that routes lead to from another, for the Services that they name.
pub fn grants(site: &Site<'_>, routes: &[Change], notes: &mut Notes<'_, IstioGateway>) -> Vec<Change> {
    let mut ways: BTreeMap<Way, BTreeSet<String>> = BTreeMap::new();
    for route in routes {
        let from = route.id.namespace.as_deref().unwrap_or_default();
        let rules = route.after.to_json();
        collect(&rules["spec"]["rules"], &mut |namespace, name| {
            if namespace != from {
                let way = (namespace.to_owned(), from.to_owned(), route.id.kind.clone());
                ways.entry(way).or_default().insert(name.to_owned());
            }
        });
    }
    ways.into_iter()
        .map(|((to, from, kind), services)| {
            let base = format!("{}-{}s-of-{from}", site.id.name, kind.name().to_lowercase());
            let gateway = &site.gateway.id;
            let name = site.context.free_name(&to, &Kind::ReferenceGrant, &base, gateway);
            let named = services.iter();
            let named = named.map(|name| json!({ "group": "", "kind": "Service", "name": name }));
            let spec = json!({
                "from": [{ "group": "gateway.networking.k8s.io", "kind": kind.name(), "namespace": from }],
                "to": named.collect::<Vec<_>>(),
            });
            let message = format!(
                "{} lets routes of this Gateway lead to Services of another namespace, which a gateway is not allowed to without",
                name.id
            );
            notes.tell(Code::IngressGrant, &FieldPath::spec().key("servers"), message);
            site.made("v1beta1", name, spec)
        })
        .collect()
}

/// Calls `found` with every reference to a Service that names a namespace: those of destinations and of copies.
fn collect(value: &Json, found: &mut impl FnMut(&str, &str)) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Json::Object(fields) => {
            let text = |key: &str| fields.get(key).and_then(Json::as_str);
            if let (Some(namespace), Some(name), true) =
                (text("namespace"), text("name"), fields.contains_key("port"))
            {
                found(namespace, name);
            }
            fields.values().for_each(|value| collect(value, found));
        }
        _ => {}
    }
}
