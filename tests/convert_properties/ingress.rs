//! Istio's Gateways with what is bound to them.

use super::routes::http_rule;
use super::{decide_alike, http_port, mesh, routed_mesh, service};
use mesh_migrate::convert::{Conversion, Options, convert};
use model::Kind;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

fn with_ingress() -> Options {
    Options {
        ingress: true,
        ..Options::default()
    }
}

fn front() -> Json {
    let mut front = service(
        "front",
        &json!({ "app": "front" }),
        &json!([http_port(80, 8080), { "name": "https", "port": 443, "targetPort": 8443 }]),
    );
    front["spec"]["type"] = json!("LoadBalancer");
    front
}

fn gateway(name: &str, servers: &Json) -> Json {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": { "name": name, "namespace": "shop" },
        "spec": { "selector": { "app": "front" }, "servers": servers },
    })
}

/// A server for some hosts, with TLS or without.
fn server() -> impl Strategy<Value = Json> {
    let host = prop::sample::select(
        &[
            "*",
            "*.example",
            "a.example",
            "./b.example",
            "shop/c.example",
            "blog/d.example",
        ][..],
    );
    let kind = prop::sample::select(&["plain", "redirect", "tls", "mutual"][..]);
    (prop::collection::vec(host, 1..4), kind).prop_map(|(hosts, kind)| match kind {
        "plain" => json!({ "port": { "number": 80, "name": "http", "protocol": "HTTP" }, "hosts": hosts }),
        "redirect" => json!({ "port": { "number": 80, "name": "http", "protocol": "HTTP" }, "hosts": hosts, "tls": { "httpsRedirect": true } }),
        kind => json!({
            "port": { "number": 443, "name": "https", "protocol": "HTTPS" }, "hosts": hosts,
            "tls": { "mode": if kind == "tls" { "SIMPLE" } else { "MUTUAL" }, "credentialName": "cert" },
        }),
    })
}

/// Rules for gateways, and perhaps for the mesh.
fn bound() -> impl Strategy<Value = Json> {
    let host = prop::sample::select(&["a.example", "b.example", "c.example", "*.example", "*", "d0"][..]);
    let gateways = prop::sample::select(&["one", "two", "mesh"][..]);
    (
        prop::collection::vec(host, 1..3),
        prop::collection::hash_set(gateways, 1..3),
        prop::bool::ANY,
        prop::option::weighted(0.2, prop::sample::select(&[80, 443][..])),
    )
        .prop_map(|(hosts, gateways, catches_all, port)| {
            let mut gateways: Vec<&str> = gateways.into_iter().collect();
            gateways.sort_unstable();
            let mut rule = json!({ "route": [{ "destination": { "host": "d0" } }] });
            if !catches_all {
                rule["match"] = json!([{ "uri": { "exact": "/a" } }]);
                if let Some(port) = port {
                    rule["match"][0]["port"] = json!(port);
                }
            }
            json!({ "hosts": hosts, "gateways": gateways, "http": [rule] })
        })
}

fn ingress_mesh(one: &[Json], two: &[Json], rules: &[Json]) -> Vec<Json> {
    let mut documents = vec![
        front(),
        service("d0", &json!({ "app": "d0" }), &json!([http_port(80, 8080)])),
        gateway("one", &json!(one)),
        gateway("two", &json!(two)),
    ];
    for (index, spec) in rules.iter().enumerate() {
        documents.push(json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": { "name": format!("v{index}"), "namespace": "shop" }, "spec": spec,
        }));
    }
    documents
}

fn shown(conversion: &Conversion) -> (Vec<String>, Vec<String>) {
    let changes = conversion
        .changes
        .iter()
        .map(|change| change.after.text().to_owned());
    let mut said: Vec<String> = conversion
        .findings
        .iter()
        .map(|f| format!("{} {}", f.code, f.message))
        .collect();
    said.sort();
    (changes.collect(), said)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn routes_at_a_gateway_decide_alike(mut rules in prop::collection::vec(http_rule(), 1..6)) {
        let matches = rules.iter_mut().filter_map(|rule| rule.get_mut("match")?.as_array_mut());
        for fields in matches.flatten().filter_map(Json::as_object_mut) {
            // Those of the strategy are for the mesh or for others.
            fields.remove("gateways");
        }
        let mut documents = routed_mesh(&rules);
        let last = documents.len() - 1;
        documents[last]["spec"]["hosts"] = json!(["a.example"]);
        documents[last]["spec"]["gateways"] = json!(["one"]);
        let plain = json!([{ "port": { "number": 80, "name": "http", "protocol": "HTTP" }, "hosts": ["*"] }]);
        documents.extend([front(), gateway("one", &plain)]);
        let mesh = mesh(&documents);
        let conversion = convert(&mesh, with_ingress());
        decide_alike(&mesh, &conversion)?;
    }

    #[test]
    fn the_order_of_gateways_has_no_influence_and_again_nothing_changes(
        one in prop::collection::vec(server(), 1..3),
        two in prop::collection::vec(server(), 1..2),
        rules in prop::collection::vec(bound(), 1..4),
    ) {
        let mut documents = ingress_mesh(&one, &two, &rules);
        let first = convert(&mesh(&documents), with_ingress());
        documents.reverse();
        prop_assert_eq!(shown(&first), shown(&convert(&mesh(&documents), with_ingress())));
        documents.extend(first.changes.iter().map(|change| change.after.to_json()));
        let second = convert(&mesh(&documents), with_ingress());
        prop_assert!(second.changes.is_empty(), "{:?}", second.changes);
    }

    #[test]
    fn a_host_of_a_listener_has_rules_of_one_object(
        one in prop::collection::vec(server(), 1..3),
        two in prop::collection::vec(server(), 1..2),
        rules in prop::collection::vec(bound(), 1..4),
    ) {
        let conversion = convert(&mesh(&ingress_mesh(&one, &two, &rules)), with_ingress());
        let mut owners = BTreeMap::new();
        let mut names = std::collections::BTreeSet::new();
        for change in &conversion.changes {
            prop_assert!(names.insert(change.id.clone()), "{} twice", change.id);
            let route = change.after.to_json();
            let parents = route["spec"]["parentRefs"].as_array().cloned().unwrap_or_default();
            let is_route = change.id.kind == Kind::HttpRoute && change.from.kind == Kind::VirtualService;
            for parent in parents.iter().filter(|parent| is_route && parent["kind"] == "Gateway") {
                let hosts = route["spec"]["hostnames"].as_array().cloned().unwrap_or_else(|| vec![json!("*")]);
                for host in hosts {
                    let key = (parent["name"].to_string(), parent["sectionName"].to_string(), host.to_string());
                    let owner = owners.entry(key).or_insert_with(|| change.from.clone());
                    prop_assert_eq!(&*owner, &change.from);
                }
            }
        }
    }
}
