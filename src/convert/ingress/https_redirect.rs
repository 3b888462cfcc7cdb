//! `httpsRedirect` as a route: every request of a listener for plain HTTP is sent to HTTPS, with 301.

use super::claims::Claim;
use super::hosts::Namespaces;
use super::pods::Pods;
use super::servers::Serves;
use super::site::{MAX_HOSTNAMES, Site};
use crate::code::Code;
use crate::convert::Change;
use crate::convert::notes::Notes;
use crate::convert::virtual_service::http_route::MAX_PARENTS;
use model::Kind;
use model::traffic::IstioGateway;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeSet;

/// The routes for all servers that redirect. Without a namespace, a host of a server is redirected whether a
/// VirtualService is for it or not; with one, Istio redirects only hosts of VirtualServices.
pub fn routes<'c>(
    site: &Site<'_>,
    pods: &Pods<'_>,
    claims: impl Iterator<Item = &'c Claim> + Clone,
    notes: &mut Notes<'_, IstioGateway>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut for_all: Vec<Json> = Vec::new();
    let own = site.service.namespace();
    for (index, listener) in site.listeners.iter().enumerate() {
        if listener.serves != (Serves::Http { redirect: true }) {
            continue;
        }
        let place = listener.path.key("tls").key("httpsRedirect");
        if pods.trust_a_proxy(&site.context.mesh.settings) {
            notes.keep(Code::IngressRedirectBehindProxy, &place, "a proxy in front says which requests came by HTTPS (numTrustedProxies), and the old redirect lets these pass; a route would send them in circles");
        }
        notes.tell(Code::IngressRedirect, &place, "the redirect becomes a route for every request of the listener, with status 301; a port that a client put into Host is no longer in the new address");
        let parent = site.parent(own, listener);
        if listener.namespaces == Namespaces::All {
            for_all.push(parent);
            continue;
        }
        let hosts: BTreeSet<&String> = claims
            .clone()
            .filter_map(|claim| claim.hosts.get(&index))
            .flatten()
            .collect();
        let hosts: Vec<&String> = hosts.into_iter().collect();
        if hosts.iter().any(|host| *host == "*") {
            for_all.push(parent);
            continue;
        }
        for hosts in hosts.chunks(MAX_HOSTNAMES) {
            changes.push(redirect(
                site,
                changes.len(),
                std::slice::from_ref(&parent),
                hosts,
            ));
        }
    }
    for parents in for_all.chunks(MAX_PARENTS) {
        changes.push(redirect(site, changes.len(), parents, &[]));
    }
    changes
}

fn redirect(site: &Site<'_>, number: usize, parents: &[Json], hosts: &[&String]) -> Change {
    let mut base = format!("{}-to-https", site.id.name);
    if number > 0 {
        base.push_str(&format!("-{}", number + 1));
    }
    let own = site.service.namespace();
    let name = site
        .context
        .free_name(own, &Kind::HttpRoute, &base, &site.gateway.id);
    let mut spec = Map::new();
    spec.insert("parentRefs".into(), json!(parents));
    if !hosts.is_empty() {
        spec.insert("hostnames".into(), json!(hosts));
    }
    spec.insert(
        "rules".into(),
        json!([{ "filters": [{
        "type": "RequestRedirect", "requestRedirect": { "scheme": "https", "statusCode": 301 },
    }] }]),
    );
    site.made("v1", name, Json::Object(spec))
}
