//! What must hold for every mesh: routes decide alike before and after, policies never let in more, the order
//! of the input has no influence, and converting the output again changes nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

#[path = "convert_properties/ingress.rs"]
mod ingress;
#[path = "convert_properties/routes.rs"]
mod routes;

use mesh_migrate::convert::{Conversion, Disposition, Options, Subsets, convert};
use mesh_migrate::input::files::{Text, read_texts};
use model::security::AuthorizationPolicy;
use model::{Kind, Mesh};
use proptest::prelude::*;
use routes::{http_rule, new_table, old_table, requests, sent};
use semantics::authorization::{Access, Decision, decide};
use serde_json::{Value as Json, json};
use std::collections::HashSet;

fn mesh(documents: &[Json]) -> Mesh {
    let content: Vec<String> = documents.iter().map(model::yaml::to_text).collect();
    let input = read_texts(&[Text {
        name: "mesh.yaml".into(),
        content: content.join("---\n"),
    }]);
    assert!(input.errors.is_empty(), "{:?}", input.errors);
    input.mesh
}

fn service(name: &str, selector: &Json, ports: &Json) -> Json {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": "shop" },
        "spec": { "selector": selector, "ports": ports },
    })
}

fn http_port(port: u16, target: u16) -> Json {
    json!({ "name": format!("http-{port}"), "port": port, "targetPort": target })
}

fn routed_mesh(rules: &[Json]) -> Vec<Json> {
    let mut documents: Vec<Json> = (0..4)
        .map(|n| {
            service(
                &format!("d{n}"),
                &json!({ "app": format!("d{n}") }),
                &json!([http_port(80, 8080)]),
            )
        })
        .collect();
    documents.push(service(
        "web",
        &json!({ "app": "web" }),
        &json!([http_port(80, 8080)]),
    ));
    documents.push(json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "hosts": ["web"], "http": rules },
    }));
    documents
}

// Policies.

fn labels(app: u8, version: Option<u8>) -> Json {
    let mut labels = json!({ "app": format!("a{app}") });
    if let Some(version) = version {
        labels["version"] = json!(format!("v{version}"));
    }
    labels
}

fn selector() -> impl Strategy<Value = Json> {
    (0..2u8, prop::option::weighted(0.3, 0..2u8)).prop_map(|(app, version)| labels(app, version))
}

fn policy_rule() -> impl Strategy<Value = Json> {
    let ports = || prop::option::weighted(0.3, prop::sample::subsequence(vec!["8080", "9090", "7070"], 1..3));
    (
        prop::option::weighted(0.4, prop::sample::select(&["GET", "POST"][..])),
        prop::option::weighted(0.4, prop::sample::select(&["/a", "/a*", "*b"][..])),
        ports(),
        ports(),
        prop::option::weighted(
            0.3,
            prop::sample::select(&["cluster.local/ns/web/sa/x", "*/sa/y"][..]),
        ),
        prop::option::weighted(0.2, prop::sample::subsequence(vec!["8080", "9090"], 1..2)),
    )
        .prop_map(|(method, path, ports, not_ports, principal, when)| {
            let mut operation = serde_json::Map::new();
            operation.extend(method.map(|m| ("methods".to_owned(), json!([m]))));
            operation.extend(path.map(|p| ("paths".to_owned(), json!([p]))));
            operation.extend(ports.map(|p| ("ports".to_owned(), json!(p))));
            operation.extend(not_ports.map(|p| ("notPorts".to_owned(), json!(p))));
            let mut rule = serde_json::Map::new();
            if !operation.is_empty() {
                rule.insert("to".to_owned(), json!([{ "operation": operation }]));
            }
            rule.extend(principal.map(|p| ("from".to_owned(), json!([{ "source": { "principals": [p] } }]))));
            rule.extend(when.map(|p| {
                (
                    "when".to_owned(),
                    json!([{ "key": "destination.port", "values": p }]),
                )
            }));
            Json::Object(rule)
        })
}

fn policy() -> impl Strategy<Value = Json> {
    (selector(), prop::bool::ANY, prop::collection::vec(policy_rule(), 1..3)).prop_map(|(selector, deny, rules)| {
        json!({ "selector": { "matchLabels": selector }, "action": if deny { "DENY" } else { "ALLOW" }, "rules": rules })
    })
}

fn guarded_mesh(policies: &[Json], versions: u8, route: Option<u8>) -> Vec<Json> {
    let mut documents = Vec::new();
    for app in 0..2 {
        documents.push(service(
            &format!("s{app}"),
            &json!({ "app": format!("a{app}") }),
            &json!([http_port(80, 8080), http_port(9090, 9090)]),
        ));
        for version in 0..versions {
            documents.push(json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": { "name": format!("a{app}-v{version}"), "namespace": "shop" },
                "spec": { "template": { "metadata": { "labels": labels(app, Some(version)) }, "spec": {} } },
            }));
        }
    }
    if let Some(to) = route {
        documents.push(json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": { "name": "route", "namespace": "shop" },
            "spec": { "hosts": ["s0"], "http": [{ "route": [{ "destination": { "host": format!("s{to}") } }] }] },
        }));
    }
    for (index, spec) in policies.iter().enumerate() {
        documents.push(json!({
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": { "name": format!("p{index}"), "namespace": "shop" }, "spec": spec,
        }));
    }
    documents
}

fn accesses() -> Vec<Access> {
    let mut all = Vec::new();
    for method in ["GET", "POST", "PUT"] {
        for path in ["/a", "/ab", "/c"] {
            for principal in [
                None,
                Some("cluster.local/ns/web/sa/x"),
                Some("cluster.local/ns/web/sa/y"),
            ] {
                all.push(Access {
                    principal: principal.map(str::to_owned),
                    method: method.to_owned(),
                    path: path.to_owned(),
                    ..Access::default()
                });
            }
        }
    }
    all
}

/// The policies that a waypoint applies to requests for a Service.
fn attached(conversion: &Conversion, name: &str) -> Vec<AuthorizationPolicy> {
    let policies = conversion
        .changes
        .iter()
        .filter(|c| c.id.kind == Kind::AuthorizationPolicy);
    let specs = policies.map(|change| {
        let content = change.after.text().to_owned();
        read_texts(&[Text {
            name: "new.yaml".into(),
            content,
        }])
        .mesh
        .authorization_policies
        .remove(0)
        .spec
    });
    specs
        .filter(|spec| spec.target_refs.iter().any(|target| target.name == name))
        .collect()
}

/// Whether every policy that may count was carried over, so that the waypoint alone decides.
fn all_converted(conversion: &Conversion) -> bool {
    let mut policies = conversion
        .outcomes
        .iter()
        .filter(|o| o.id.kind == Kind::AuthorizationPolicy);
    policies.all(|outcome| outcome.disposition == Disposition::Converted)
}

/// Whether the routes that were made, if any, send every request where the rules of the one VirtualService did.
fn decide_alike(mesh: &Mesh, conversion: &Conversion) -> Result<(), TestCaseError> {
    if conversion.changes.is_empty() {
        return Ok(());
    }
    let (old, new) = (
        old_table(&mesh.virtual_services[0].spec.http),
        new_table(conversion),
    );
    for request in requests() {
        prop_assert_eq!(
            sent(&old, &request),
            sent(&new, &request),
            "{:?}\n{:#?}",
            request,
            new.entries()
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn routes_decide_alike(rules in prop::collection::vec(http_rule(), 1..7)) {
        let mesh = mesh(&routed_mesh(&rules));
        let conversion = convert(&mesh, Options::default());
        decide_alike(&mesh, &conversion)?;
    }

    #[test]
    fn rules_of_a_delegate_decide_alike(rules in prop::collection::vec(http_rule(), 1..5)) {
        let mut documents = routed_mesh(&[json!({ "delegate": { "name": "part" } })]);
        documents.push(json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": { "name": "part", "namespace": "shop" }, "spec": { "http": rules },
        }));
        let specs = |conversion: &Conversion| -> Vec<Json> {
            conversion.changes.iter().map(|c| c.after.to_json()["spec"].clone()).collect()
        };
        let joined = convert(&mesh(&documents), Options::default());
        let plain = convert(&mesh(&routed_mesh(&rules)), Options::default());
        prop_assert_eq!(specs(&joined), specs(&plain));
        let dispositions: HashSet<Disposition> = joined
            .outcomes
            .iter()
            .filter(|outcome| outcome.id.kind == Kind::VirtualService)
            .map(|outcome| outcome.disposition)
            .collect();
        prop_assert_eq!(dispositions.len(), 1, "root and delegate share their fate");
    }

    #[test]
    fn policies_never_let_in_more(
        policies in prop::collection::vec(policy(), 1..5),
        versions in 1..3u8,
        route in prop::option::weighted(0.4, 0..2u8),
    ) {
        let mesh = mesh(&guarded_mesh(&policies, versions, route));
        let conversion = convert(&mesh, Options::default());
        if !all_converted(&conversion) {
            return Ok(());
        }
        for (dialled, port, pod_port) in [("s0", 80, 8080), ("s0", 9090, 9090), ("s1", 80, 8080), ("s1", 9090, 9090)] {
            let new = attached(&conversion, dialled);
            let reached = if dialled == "s0" { route.map_or(0, |to| to) } else { 1 };
            for access in accesses() {
                let at_waypoint = Access { port, ..access.clone() };
                if decide(&new, &at_waypoint) != Ok(Decision::Allowed) {
                    continue;
                }
                for version in 0..versions {
                    let pod = serde_json::from_value(labels(reached, Some(version))).unwrap();
                    let old = mesh.authorization_policies.iter().map(|p| &p.spec)
                        .filter(|spec| spec.selector.as_ref().is_some_and(|s| s.selects(&pod)));
                    let at_pod = Access { port: pod_port, ..access.clone() };
                    prop_assert_eq!(decide(old, &at_pod), Ok(Decision::Allowed), "{} {:?}", dialled, at_pod);
                }
            }
        }
    }

    #[test]
    fn the_order_of_the_input_has_no_influence(
        rules in prop::collection::vec(http_rule(), 1..4),
        policies in prop::collection::vec(policy(), 0..4),
    ) {
        let mut documents = routed_mesh(&rules);
        documents.extend(guarded_mesh(&policies, 2, Some(1)));
        let shown = |documents: &[Json]| {
            let conversion = convert(&mesh(documents), Options::default());
            conversion.changes.iter().map(|c| c.after.text().to_owned()).collect::<Vec<_>>()
        };
        let forwards = shown(&documents);
        documents.reverse();
        prop_assert_eq!(forwards, shown(&documents));
    }

    #[test]
    fn converting_again_changes_nothing(
        rules in prop::collection::vec(http_rule(), 1..4),
        policies in prop::collection::vec(policy(), 0..4),
    ) {
        let mut documents = routed_mesh(&rules);
        documents.extend(guarded_mesh(&policies, 2, None));
        let first = convert(&mesh(&documents), Options::default());
        documents.extend(first.changes.iter().map(|c| c.after.to_json()));
        let second = convert(&mesh(&documents), Options::default());
        prop_assert!(second.changes.is_empty(), "{:?}", second.changes);
    }
}

// Several objects for the same hosts, and versions.

fn claim() -> impl Strategy<Value = Json> {
    let host = prop::sample::select(
        &[
            "d0",
            "d1",
            "d1.shop.svc.cluster.local",
            "*.shop.svc.cluster.local",
            "*",
            "d2.shop",
            "ext.example.com",
        ][..],
    );
    let to = prop::sample::select(&["d0", "d1", "d2", "ext.example.com"][..]);
    let year = prop::option::weighted(0.8, 2020..2023u16);
    let export = prop::option::weighted(0.2, prop::sample::select(&[".", "*", "~"][..]));
    let subset = prop::option::weighted(0.5, prop::sample::select(&["v1", "v2"][..]));
    (
        prop::collection::vec(host, 1..3),
        to,
        year,
        export,
        subset,
        prop::bool::ANY,
    )
        .prop_map(|(hosts, to, year, export, subset, catches_all)| {
            let mut destination = json!({ "host": to });
            if let Some(subset) = subset {
                destination["subset"] = json!(subset);
            }
            let mut rule = json!({ "route": [{ "destination": destination }] });
            if !catches_all {
                rule["match"] = json!([{ "uri": { "exact": "/a" } }]);
            }
            let mut object = json!({ "metadata": {}, "spec": { "hosts": hosts, "http": [rule] } });
            if let Some(year) = year {
                object["metadata"]["creationTimestamp"] = json!(format!("{year}-01-01T00:00:00Z"));
            }
            if let Some(export) = export {
                object["spec"]["exportTo"] = json!([export]);
            }
            object
        })
}

fn claimed_mesh(claims: &[Json], policies: &[Json]) -> Vec<Json> {
    let mut documents: Vec<Json> = (0..3)
        .map(|n| {
            service(
                &format!("d{n}"),
                &json!({ "app": format!("d{n}") }),
                &json!([http_port(80, 8080)]),
            )
        })
        .collect();
    for n in 0..3 {
        documents.push(json!({
            "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
            "metadata": { "name": format!("d{n}"), "namespace": "shop" },
            "spec": { "host": format!("d{n}"), "trafficPolicy": { "outlierDetection": { "consecutive5xxErrors": n } }, "subsets": [
                { "name": "v1", "labels": { "version": "v1" } },
                { "name": "v2", "labels": { "version": "v2" }, "trafficPolicy": { "loadBalancer": { "simple": "RANDOM" } } },
            ] },
        }));
    }
    documents.push(json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": { "name": "ext", "namespace": "shop" },
        "spec": { "hosts": ["ext.example.com"], "resolution": "DNS", "ports": [{ "number": 80, "name": "http", "protocol": "HTTP" }] },
    }));
    for (index, claim) in claims.iter().enumerate() {
        let mut object = json!({ "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {}, "spec": claim["spec"] });
        object["metadata"] = claim["metadata"].clone();
        object["metadata"]["name"] = json!(format!("claim-{index}"));
        object["metadata"]["namespace"] = json!("shop");
        documents.push(object);
    }
    for (index, spec) in policies.iter().enumerate() {
        documents.push(json!({
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": { "name": format!("p{index}"), "namespace": "shop" }, "spec": spec,
        }));
    }
    documents
}

fn with_versions() -> Options {
    Options {
        subsets: Subsets::Services,
        ..Options::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_objects_for_the_same_hosts_has_no_influence(claims in prop::collection::vec(claim(), 1..5)) {
        let mut documents = claimed_mesh(&claims, &[]);
        let shown = |documents: &[Json]| {
            let conversion = convert(&mesh(documents), with_versions());
            let changes = conversion.changes.iter().map(|c| c.after.text().to_owned()).collect::<Vec<_>>();
            let said = conversion.findings.iter().map(|f| format!("{} {}", f.code, f.message)).collect::<std::collections::BTreeSet<_>>();
            (changes, said)
        };
        let forwards = shown(&documents);
        documents.reverse();
        prop_assert_eq!(forwards, shown(&documents));
    }

    #[test]
    fn a_host_has_routes_of_one_object_at_most(claims in prop::collection::vec(claim(), 1..5)) {
        let conversion = convert(&mesh(&claimed_mesh(&claims, &[])), with_versions());
        let mut owners = std::collections::BTreeMap::new();
        for change in conversion.changes.iter().filter(|c| c.id.kind == Kind::HttpRoute) {
            let route = change.after.to_json();
            for parent in route["spec"]["parentRefs"].as_array().unwrap() {
                let owner = owners.entry(parent["name"].to_string()).or_insert_with(|| change.from.clone());
                prop_assert_eq!(&*owner, &change.from);
            }
        }
    }

    #[test]
    fn converting_again_with_services_for_versions_changes_nothing(
        claims in prop::collection::vec(claim(), 1..4),
        policies in prop::collection::vec(policy(), 0..3),
    ) {
        let mut documents = claimed_mesh(&claims, &policies);
        let first = convert(&mesh(&documents), with_versions());
        documents.extend(first.changes.iter().map(|c| c.after.to_json()));
        let second = convert(&mesh(&documents), with_versions());
        prop_assert!(second.changes.is_empty(), "{:?}", second.changes);
    }
}
