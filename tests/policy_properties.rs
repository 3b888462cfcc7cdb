//! What must hold of policies on every mesh: a waypoint, which judges before it routes, admits nothing that a sidecar,
//! which judges after its client has routed, refuses; and the same where the answer says so.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

use mesh_migrate::convert::{Conversion, Disposition, Options, convert};
use mesh_migrate::input::files::{Text, read_texts};
use model::security::{AuthorizationPolicy, is_subset};
use model::virtual_service::HttpRoute;
use model::{Kind, Mesh, Object};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use semantics::authorization::{Access, Decision, decide};
use semantics::predicate::{Request, RequestMatch};
use semantics::virtual_service::request_matches;
use serde_json::{Value as Json, json};
use std::cell::Cell;
use std::collections::BTreeMap;

fn mesh(documents: &[Json]) -> Mesh {
    let content: Vec<String> = documents.iter().map(model::yaml::to_text).collect();
    let input = read_texts(&[Text {
        name: "mesh.yaml".into(),
        content: content.join("---\n"),
    }]);
    assert!(input.errors.is_empty(), "{:?}", input.errors);
    input.mesh
}

// Objects.

/// Port 80 leads to 8080 and 90 to 9090 at `s0`; at `s1` port 80 leads to 9090 and 90 to 8080.
fn service(number: u8) -> Json {
    let targets = if number == 0 { [8080, 9090] } else { [9090, 8080] };
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": format!("s{number}"), "namespace": "shop", "labels": { "istio.io/use-waypoint": "w" } },
        "spec": { "selector": { "app": format!("a{number}") }, "ports": [
            { "name": "http-80", "port": 80, "targetPort": targets[0] },
            { "name": "http-90", "port": 90, "targetPort": targets[1] },
        ] },
    })
}

fn labels(app: u8, version: u8) -> Json {
    json!({ "app": format!("a{app}"), "version": format!("v{version}") })
}

fn deployment(app: u8, version: u8) -> Json {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": format!("a{app}-v{version}"), "namespace": "shop" },
        "spec": { "template": { "metadata": { "labels": labels(app, version) }, "spec": {} } },
    })
}

fn subsets(number: u8) -> Json {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": { "name": format!("s{number}"), "namespace": "shop" },
        "spec": { "host": format!("s{number}"), "subsets": [
            { "name": "v0", "labels": { "version": "v0" } },
            { "name": "v1", "labels": { "version": "v1" } },
        ] },
    })
}

fn http_match() -> impl Strategy<Value = Json> {
    let uri = prop_oneof![
        3 => prop::sample::select(&["/api", "/api/", "/x", "/"][..]).prop_map(|v| json!({ "prefix": v })),
        1 => prop::sample::select(&["/api", "/x/admin"][..]).prop_map(|v| json!({ "exact": v })),
        1 => prop::sample::select(&["/x.*", "/[ax].*"][..]).prop_map(|v| json!({ "regex": v })),
    ];
    (
        prop::option::weighted(0.8, uri),
        prop::option::weighted(0.2, prop::sample::select(&["GET", "POST"][..])),
        prop::option::weighted(0.3, prop::sample::select(&["1", "2"][..])),
        prop::option::weighted(0.2, prop::sample::select(&["1", "2"][..])),
    )
        .prop_map(|(uri, method, header, without)| {
            let mut wanted = serde_json::Map::new();
            wanted.extend(uri.map(|uri| ("uri".to_owned(), uri)));
            wanted.extend(method.map(|m| ("method".to_owned(), json!({ "exact": m }))));
            wanted.extend(header.map(|h| ("headers".to_owned(), json!({ "x": { "exact": h } }))));
            wanted.extend(without.map(|h| ("withoutHeaders".to_owned(), json!({ "x": { "exact": h } }))));
            Json::Object(wanted)
        })
}

fn http_rule() -> impl Strategy<Value = Json> {
    (
        prop::collection::vec(http_match(), 0..3),
        (
            0..2u8,
            prop::option::weighted(0.4, 0..2u8),
            prop::option::weighted(0.2, prop::sample::select(vec![80, 90])),
        ),
        prop::option::weighted(0.4, prop::sample::select(&["/", "/v1", "/v1/", "/admin"][..])),
        prop::option::weighted(0.2, prop::sample::select(&["x.test", "y.test"][..])),
        prop::option::weighted(0.3, prop::sample::select(&["set", "remove", "add"][..])),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(matches, (to, subset, port), path, host, header, answered)| {
            let mut destination = json!({ "host": format!("s{to}") });
            if let Some(subset) = subset {
                destination["subset"] = json!(format!("v{subset}"));
            }
            if let Some(port) = port {
                destination["port"] = json!({ "number": port });
            }
            let mut rule = json!({});
            if !matches.is_empty() {
                rule["match"] = json!(matches);
            }
            if answered {
                rule["redirect"] = json!({ "uri": "/elsewhere" });
                return rule;
            }
            rule["route"] = json!([{ "destination": destination }]);
            if path.is_some() || host.is_some() {
                rule["rewrite"] = json!({});
                for (key, value) in [("uri", path), ("authority", host)] {
                    if let Some(value) = value {
                        rule["rewrite"][key] = json!(value);
                    }
                }
            }
            match header {
                Some("remove") => rule["headers"] = json!({ "request": { "remove": ["x"] } }),
                Some(edit) => rule["headers"] = json!({ "request": { edit: { "x": "2" } } }),
                None => {}
            }
            rule
        })
}

fn policy_rule() -> impl Strategy<Value = Json> {
    let paths = || {
        prop::sample::select(
            &[
                "/admin", "/admin*", "*admin", "/v1/*", "/api*", "/x/{*}", "/x/admin",
            ][..],
        )
    };
    (
        (
            prop::option::weighted(0.5, paths()),
            prop::option::weighted(0.2, paths()),
        ),
        prop::option::weighted(0.3, prop::sample::select(&["GET", "POST"][..])),
        prop::option::weighted(0.2, prop::sample::select(&["s0", "*.test", "x.test"][..])),
        (
            prop::option::weighted(0.2, prop::sample::select(&["8080", "9090"][..])),
            prop::option::weighted(0.1, prop::sample::select(&["8080", "9090"][..])),
        ),
        prop::option::weighted(0.3, (prop::sample::select(&["1", "2", "*"][..]), prop::bool::ANY)),
        prop::option::weighted(0.2, Just("cluster.local/ns/web/sa/x")),
    )
        .prop_map(
            |((path, not_path), method, host, (port, not_port), header, principal)| {
                let mut operation = serde_json::Map::new();
                for (key, value) in [
                    ("paths", path),
                    ("notPaths", not_path),
                    ("methods", method),
                    ("hosts", host),
                    ("ports", port),
                    ("notPorts", not_port),
                ] {
                    operation.extend(value.map(|value| (key.to_owned(), json!([value]))));
                }
                let mut rule = serde_json::Map::new();
                rule.extend(
                    principal.map(|p| ("from".to_owned(), json!([{ "source": { "principals": [p] } }]))),
                );
                if !operation.is_empty() {
                    rule.insert("to".to_owned(), json!([{ "operation": operation }]));
                }
                rule.extend(header.map(|(value, is_wanted)| {
                    let list = if is_wanted { "values" } else { "notValues" };
                    (
                        "when".to_owned(),
                        json!([{ "key": "request.headers[x]", list: [value] }]),
                    )
                }));
                Json::Object(rule)
            },
        )
}

fn policy() -> impl Strategy<Value = (Json, bool)> {
    let selector = prop_oneof![
        1 => Just(None),
        4 => (0..2u8).prop_map(|app| Some(json!({ "app": format!("a{app}") }))),
        2 => (0..2u8, 0..2u8).prop_map(|(app, version)| Some(labels(app, version))),
    ];
    (
        selector,
        prop::bool::ANY,
        prop::collection::vec(policy_rule(), 1..3),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(selector, deny, rules, root)| {
            let mut spec = json!({ "action": if deny { "DENY" } else { "ALLOW" }, "rules": rules });
            if let Some(labels) = selector {
                spec["selector"] = json!({ "matchLabels": labels });
            }
            (spec, root)
        })
}

fn documents(rules: &[Json], policies: &[(Json, bool)]) -> Vec<Json> {
    let mut documents: Vec<Json> = (0..2)
        .flat_map(|n| [service(n), subsets(n), deployment(n, 0), deployment(n, 1)])
        .collect();
    if !rules.is_empty() {
        documents.push(json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": { "name": "route", "namespace": "shop" },
            "spec": { "hosts": ["s0"], "http": rules },
        }));
    }
    for (index, (spec, root)) in policies.iter().enumerate() {
        documents.push(json!({
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": { "name": format!("p{index}"), "namespace": if *root { "istio-system" } else { "shop" } },
            "spec": spec,
        }));
    }
    documents
}

// The sidecar's side.

/// As the server's sidecar does before it judges.
fn normal(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    for (index, segment) in segments.iter().enumerate() {
        let last = index + 1 == segments.len();
        match *segment {
            "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
        if last && matches!(*segment, "." | "..") {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

/// The rule that a request takes, and the text that it matched at the beginning of the path.
fn taken<'m>(
    mesh: &'m Mesh,
    dialled: &str,
    access: &Access,
) -> Option<Option<(&'m HttpRoute, Option<String>)>> {
    let Some(object) = mesh.virtual_services.first().filter(|_| dialled == "s0") else {
        return Some(None);
    };
    let request = Request {
        method: access.method.clone(),
        path: access.path.clone(),
        headers: access.headers.clone(),
        query: BTreeMap::new(),
    };
    for rule in &object.spec.http {
        if rule.matches.is_empty() {
            return Some(Some((rule, None)));
        }
        for wanted in &rule.matches {
            let mut wanted = wanted.clone();
            let without = std::mem::take(&mut wanted.without_headers);
            let inverted = model::virtual_service::HttpMatchRequest {
                headers: without,
                ..Default::default()
            };
            let excluded: Vec<RequestMatch> = request_matches(&inverted).unwrap();
            let is_excluded = excluded
                .iter()
                .flat_map(|excluded| &excluded.headers)
                .any(|(name, value)| value.matches(request.headers.get(name).map(String::as_str)));
            if !is_excluded
                && request_matches(&wanted)
                    .unwrap()
                    .iter()
                    .any(|known| known.matches(&request))
            {
                let from = match &wanted.uri {
                    Some(model::values::StringMatch::Prefix(from)) => Some(from.clone()),
                    Some(_) => None,
                    None => Some("/".to_owned()),
                };
                return Some(Some((rule, from)));
            }
        }
    }
    None
}

/// What the policies of every pod that a request may reach say; `None` if it reaches none.
fn at_sidecars(mesh: &Mesh, dialled: &str, access: &Access) -> Option<bool> {
    let found = taken(mesh, dialled, access)?;
    let mut seen = access.clone();
    let (mut service, mut subset, mut port) = (dialled.to_owned(), None, access.port);
    if let Some((rule, from)) = found {
        let destination = &rule.route.first()?.destination;
        service.clone_from(&destination.host);
        subset.clone_from(&destination.subset);
        port = destination
            .port
            .as_ref()
            .map_or(port, |port| port.number.unwrap().0);
        if let Some(rewrite) = &rule.rewrite {
            if let Some(uri) = &rewrite.uri {
                let from = if rule.matches.is_empty() {
                    Some("/".to_owned())
                } else {
                    from
                };
                let rest = from.and_then(|from| Some(access.path.strip_prefix(&from)?.to_owned()));
                seen.path = normal(&rest.map_or_else(|| uri.clone(), |rest| format!("{uri}{rest}")));
            }
            if let Some(host) = &rewrite.authority {
                seen.host.clone_from(host);
            }
        }
        if let Some(request) = rule.headers.as_ref().and_then(|headers| headers.request.as_ref()) {
            for name in &request.remove {
                seen.headers.remove(name);
            }
            seen.headers.extend(request.set.clone());
            for (name, value) in &request.add {
                let joined = seen
                    .headers
                    .get(name)
                    .map_or_else(|| value.clone(), |old| format!("{old},{value}"));
                seen.headers.insert(name.clone(), joined);
            }
        }
    }
    let app = service.trim_start_matches('s').parse::<u16>().unwrap();
    seen.port = if (port == 80) == (app == 0) { 8080 } else { 9090 };
    let mut pods = mesh.workloads.iter().filter(|pod| {
        let labels = &pod.spec.template.metadata.labels;
        labels.get("app") == Some(&format!("a{app}"))
            && subset
                .as_ref()
                .is_none_or(|subset| labels.get("version") == Some(subset))
    });
    Some(pods.all(|pod| {
        let labels = &pod.spec.template.metadata.labels;
        let policies = mesh
            .authorization_policies
            .iter()
            .map(|policy| &policy.spec)
            .filter(|spec| {
                spec.selector
                    .as_ref()
                    .is_none_or(|selector| is_subset(&selector.match_labels, labels))
            });
        decide(policies, &seen) == Ok(Decision::Allowed)
    }))
}

// The waypoint's side.

fn copies(conversion: &Conversion) -> Vec<Object<AuthorizationPolicy>> {
    let policies = conversion
        .changes
        .iter()
        .filter(|c| c.id.kind == Kind::AuthorizationPolicy);
    let texts = policies.map(|change| {
        read_texts(&[Text {
            name: "new.yaml".into(),
            content: change.after.text().to_owned(),
        }])
    });
    texts
        .map(|mut input| input.mesh.authorization_policies.remove(0))
        .collect()
}

fn attached<'c>(copies: &'c [Object<AuthorizationPolicy>], name: &str) -> Vec<&'c AuthorizationPolicy> {
    let holds = |copy: &&Object<AuthorizationPolicy>| {
        copy.spec
            .target_refs
            .iter()
            .any(|target| match target.kind.as_str() {
                "Service" => target.name == name && copy.namespace() == "shop",
                "GatewayClass" => copy.namespace() == "istio-system",
                _ => false,
            })
    };
    copies.iter().filter(holds).map(|copy| &copy.spec).collect()
}

fn accesses() -> Vec<Access> {
    let paths = [
        "/",
        "/admin",
        "/adminx",
        "/api",
        "/api/admin",
        "/apiadmin",
        "/api/x",
        "/api../admin",
        "/x",
        "/x/admin",
        "/x/y",
        "/v1/x",
        "/v1/admin",
        "/xadmin",
        "/api/v1/x",
    ];
    let mut all = Vec::new();
    for path in paths {
        for method in ["GET", "POST"] {
            for header in [None, Some("1"), Some("2")] {
                for principal in [None, Some("cluster.local/ns/web/sa/x")] {
                    for port in [80, 90] {
                        all.push(Access {
                            principal: principal.map(str::to_owned),
                            method: method.to_owned(),
                            path: path.to_owned(),
                            headers: header
                                .map(|v| ("x".to_owned(), v.to_owned()))
                                .into_iter()
                                .collect(),
                            port,
                            ..Access::default()
                        });
                    }
                }
            }
        }
    }
    all
}

/// Remarks that say that the copies refuse more.
const STRICTER: [&str; 2] = ["MM3207", "MM3221"];

/// How many meshes were compared, and how many of them exactly and with a route.
#[derive(Default)]
struct Seen {
    compared: Cell<usize>,
    exact_behind_route: Cell<usize>,
}

#[test]
fn a_waypoint_admits_no_more_than_sidecars_did() {
    let seen = Seen::default();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let meshes = (
        prop::collection::vec(http_rule(), 0..4),
        prop::collection::vec(policy(), 1..4),
    );
    runner
        .run(&meshes, |(rules, policies)| compare(&rules, &policies, &seen))
        .unwrap();
    // Else nothing was shown.
    assert!(seen.compared.get() > 80, "{}", seen.compared.get());
    assert!(
        seen.exact_behind_route.get() > 20,
        "{}",
        seen.exact_behind_route.get()
    );
}

fn compare(rules: &[Json], policies: &[(Json, bool)], seen: &Seen) -> Result<(), TestCaseError> {
    let mesh = mesh(&documents(rules, policies));
    let conversion = convert(&mesh, Options::default());
    let mut outcomes = conversion
        .outcomes
        .iter()
        .filter(|o| o.id.kind == Kind::AuthorizationPolicy);
    if !outcomes.all(|outcome| outcome.disposition == Disposition::Converted) {
        return Ok(());
    }
    let exact = !conversion
        .findings
        .iter()
        .any(|finding| STRICTER.contains(&&*finding.code));
    let written = conversion.findings.iter().any(|finding| finding.code == "MM3230");
    seen.compared.set(seen.compared.get() + 1);
    seen.exact_behind_route
        .set(seen.exact_behind_route.get() + usize::from(exact && written));
    let copies = copies(&conversion);
    for dialled in ["s0", "s1"] {
        let new = attached(&copies, dialled);
        for mut access in accesses() {
            access.host = dialled.to_owned();
            let Some(before) = at_sidecars(&mesh, dialled, &access) else {
                continue;
            };
            let after = decide(new.iter().copied(), &access) == Ok(Decision::Allowed);
            prop_assert!(
                before || !after,
                "let in at {}: {:?}\n{:#?}",
                dialled,
                access,
                new
            );
            prop_assert!(
                !exact || before == after,
                "refused at {}: {:?}\n{:#?}",
                dialled,
                access,
                new
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn converting_again_changes_nothing(
        rules in prop::collection::vec(http_rule(), 0..3),
        policies in prop::collection::vec(policy(), 1..4),
    ) {
        let mut documents = documents(&rules, &policies);
        let first = convert(&mesh(&documents), Options::default());
        documents.extend(first.changes.iter().map(|c| c.after.to_json()));
        documents.reverse();
        let second = convert(&mesh(&documents), Options::default());
        let policies = second.changes.iter().filter(|c| c.id.kind == Kind::AuthorizationPolicy);
        prop_assert_eq!(policies.count(), 0);
    }
}
