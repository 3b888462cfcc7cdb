//! To which Services gateways send requests.

use super::objects::Name;
use model::{Mesh, Node};
use std::collections::BTreeSet;

/// The Services that a route of an ingress or egress gateway leads to.
pub fn behind_gateways(mesh: &Mesh) -> BTreeSet<Name> {
    let mut found = BTreeSet::new();
    for object in &mesh.virtual_services {
        if object.spec.gateways.iter().any(|gateway| gateway != "mesh") {
            let mut hosts = Vec::new();
            destinations(&object.raw, &mut hosts);
            found.extend(hosts.iter().map(|host| service(host, object.namespace())));
        }
    }
    for route in &mesh.routes {
        let parents = &route.spec.parent_refs;
        if parents
            .iter()
            .all(|parent| parent.kind.as_deref() == Some("Service"))
        {
            continue;
        }
        for backend in route
            .spec
            .rules
            .iter()
            .filter_map(|rule| rule.0.get("backendRefs"))
        {
            for backend in backend.items() {
                let text = |key: &str| backend.get(key).and_then(Node::as_str);
                let namespace = text("namespace").unwrap_or(route.namespace());
                found.extend(text("name").map(|name| (namespace.to_owned(), name.to_owned())));
            }
        }
    }
    found
}

/// The hosts of all destinations in a tree, copies among them.
fn destinations<'a>(node: &'a Node, found: &mut Vec<&'a str>) {
    for entry in node.entries() {
        if matches!(&*entry.key, "destination" | "mirror") {
            found.extend(entry.node.get("host").and_then(Node::as_str));
        }
        destinations(&entry.node, found);
    }
    for item in node.items() {
        destinations(item, found);
    }
}

/// The Service that a host in an object of a namespace names, if it names any.
fn service(host: &str, namespace: &str) -> Name {
    let mut labels = host.split('.');
    let name = labels.next().unwrap_or_default();
    (labels.next().unwrap_or(namespace).to_owned(), name.to_owned())
}
