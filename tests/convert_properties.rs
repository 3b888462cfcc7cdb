//! What must hold for every mesh: routes decide alike before and after, policies never let in more, the order
//! of the input has no influence, and converting the output again changes nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

use mesh_migrate::convert::{Conversion, Disposition, Options, convert};
use mesh_migrate::input::files::{Text, read_texts};
use model::security::AuthorizationPolicy;
use model::virtual_service::HttpRoute;
use model::{Kind, Mesh, Node};
use proptest::prelude::*;
use semantics::authorization::{Access, Decision, decide};
use semantics::predicate::{PathMatch, Request, RequestMatch};
use semantics::route::RouteTable;
use semantics::{http_route, virtual_service};
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

// Routes.

const PATHS: [&str; 8] = ["/", "/a", "/a/", "/a/b", "/ab", "/b", "/b/c.d", "/A"];
const REGEXES: [&str; 5] = [".*", "/a.*", "/[ab]", "/a/.+", "/(a|b)/.*"];

fn string_match(
    exact: &'static [&'static str],
    regexes: &'static [&'static str],
) -> impl Strategy<Value = Json> {
    prop_oneof![
        3 => prop::sample::select(exact).prop_map(|v| json!({ "exact": v })),
        3 => prop::sample::select(exact).prop_map(|v| json!({ "prefix": v })),
        2 => prop::sample::select(regexes).prop_map(|v| json!({ "regex": v })),
    ]
}

/// What a header must not be.
fn unwanted() -> impl Strategy<Value = Json> {
    prop_oneof![
        2 => Just(json!({})),
        1 => Just(json!({ "regex": "*" })),
        3 => string_match(&["x", "xy"], &["x.+", "x.*", ".*"]),
    ]
}

fn http_match() -> impl Strategy<Value = Json> {
    let value = || string_match(&["x", "xy", "y"], &["x.*", ".*", "[xy]"]);
    (
        prop::option::weighted(0.8, string_match(&PATHS, &REGEXES)),
        prop::option::weighted(
            0.3,
            prop_oneof![
                3 => prop::sample::select(&["GET", "POST"][..]).prop_map(|m| json!({ "exact": m })),
                1 => prop::sample::select(&["GET|POST", "^(POST)$", ".*", "G.*"][..]).prop_map(|m| json!({ "regex": m })),
            ],
        ),
        prop::option::weighted(0.3, value()),
        prop::option::weighted(0.2, value()),
        prop::option::weighted(0.15, Just(true)),
        prop::option::weighted(0.2, unwanted()),
        prop::option::weighted(0.1, prop::sample::select(&["mesh", "ingress"][..])),
    )
        .prop_map(|(uri, method, header, query, ignore_case, without, gateway)| {
            let mut wanted = serde_json::Map::new();
            wanted.extend(uri.map(|uri| ("uri".to_owned(), uri)));
            wanted.extend(method.map(|m| ("method".to_owned(), m)));
            wanted.extend(header.map(|h| ("headers".to_owned(), json!({ "X-H": h }))));
            wanted.extend(query.map(|q| ("queryParams".to_owned(), json!({ "q": q }))));
            wanted.extend(ignore_case.map(|flag| ("ignoreUriCase".to_owned(), json!(flag))));
            wanted.extend(without.map(|h| ("withoutHeaders".to_owned(), json!({ "x-h": h }))));
            wanted.extend(gateway.map(|name| ("gateways".to_owned(), json!([name]))));
            Json::Object(wanted)
        })
}

fn http_rule() -> impl Strategy<Value = Json> {
    let rewrite = prop::sample::select(&["/", "/n", "/n/", "/a/"][..]);
    (
        prop::collection::vec(http_match(), 0..4),
        0..4u8,
        prop::option::weighted(0.2, rewrite),
    )
        .prop_map(|(matches, destination, rewrite)| {
            let mut rule = json!({ "route": [{ "destination": { "host": format!("d{destination}") } }] });
            if let Some(uri) = rewrite {
                rule["rewrite"] = json!({ "uri": uri });
            }
            if !matches.is_empty() {
                rule["match"] = json!(matches);
            }
            rule
        })
}

fn requests() -> Vec<Request> {
    let mut requests = Vec::new();
    let headers = [None, Some("x"), Some("xy"), Some("")];
    let queries = [None, Some("x"), Some("y")];
    for path in PATHS
        .iter()
        .chain(&["/a/b/c", "/abc", "/b/cxd", "/zz", "/a/x", "/AB"])
    {
        for method in ["GET", "POST"] {
            for header in headers {
                for query in queries {
                    requests.push(Request {
                        method: method.to_owned(),
                        path: (*path).to_owned(),
                        headers: header
                            .map(|v| ("x-h".to_owned(), v.to_owned()))
                            .into_iter()
                            .collect(),
                        query: query
                            .map(|v| ("q".to_owned(), v.to_owned()))
                            .into_iter()
                            .collect(),
                    });
                }
            }
        }
    }
    requests
}

/// What happens to a request: where it goes, and what becomes of its path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sent {
    to: String,
    change: PathChange,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PathChange {
    None,
    /// The whole path is replaced.
    Full(String),
    /// The beginning of the path, of this length, is replaced as text.
    Start(usize, String),
    /// These segments are taken away, as istiod does where a prefix is replaced by `/`.
    Cut(usize),
}

impl PathChange {
    fn of(&self, path: &str) -> String {
        match self {
            Self::None => path.to_owned(),
            Self::Full(new) => new.clone(),
            Self::Start(length, new) => format!("{new}{}", &path[*length..]),
            Self::Cut(length) => {
                let rest = &path[*length..];
                format!("/{}", rest.strip_prefix('/').unwrap_or(rest))
            }
        }
    }
}

fn old_change(rule: &HttpRoute, path: &PathMatch) -> PathChange {
    let Some(uri) = rule.rewrite.as_ref().and_then(|rewrite| rewrite.uri.clone()) else {
        return PathChange::None;
    };
    match path {
        PathMatch::Any => PathChange::Start(1, uri),
        PathMatch::StringPrefix(prefix) | PathMatch::StringPrefixIgnoringCase(prefix) => {
            PathChange::Start(prefix.len(), uri)
        }
        _ => PathChange::Full(uri),
    }
}

fn old_table(rules: &[HttpRoute]) -> RouteTable<Sent> {
    RouteTable::in_order(rules.iter().flat_map(|rule| {
        let to = rule.route[0].destination.host.clone();
        let mut matches: Vec<RequestMatch> = rule
            .matches
            .iter()
            .filter(|wanted| virtual_service::is_for_mesh(wanted))
            .flat_map(|wanted| virtual_service::request_matches(wanted).unwrap())
            .collect();
        if rule.matches.is_empty() {
            matches.push(RequestMatch::any());
        }
        matches.into_iter().map(move |condition| {
            let change = old_change(rule, &condition.path);
            (
                condition,
                Sent {
                    to: to.clone(),
                    change,
                },
            )
        })
    }))
}

fn new_change(rule: &Node, path: &PathMatch) -> PathChange {
    let filters = rule.get("filters").map_or(&[][..], Node::items);
    let Some(change) = filters
        .iter()
        .find_map(|filter| filter.at(&["urlRewrite", "path"]))
    else {
        return PathChange::None;
    };
    if let Some(full) = change.get("replaceFullPath") {
        return PathChange::Full(full.as_str().unwrap().to_owned());
    }
    let value = change.get("replacePrefixMatch").unwrap().as_str().unwrap();
    let PathMatch::SegmentPrefix(prefix) = path else {
        panic!("the API server refuses a replaced prefix with {path:?}")
    };
    match value.strip_suffix('/').unwrap_or(value) {
        "" => PathChange::Cut(prefix.len()),
        value => PathChange::Start(prefix.len(), value.to_owned()),
    }
}

fn new_table(conversion: &Conversion) -> RouteTable<Sent> {
    let rules = conversion
        .changes
        .iter()
        .filter(|c| c.id.kind == Kind::HttpRoute)
        .flat_map(|change| {
            let route = Node::from(change.after.to_json());
            route.at(&["spec", "rules"]).unwrap().items().to_vec()
        });
    RouteTable::by_specificity(rules.flat_map(|rule| {
        let to = rule.get("backendRefs").unwrap().items()[0]
            .get("name")
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned();
        http_route::rule_matches(&rule).into_iter().map(move |condition| {
            let change = new_change(&rule, &condition.path);
            (
                condition,
                Sent {
                    to: to.clone(),
                    change,
                },
            )
        })
    }))
}

/// Where a request goes, with its new path.
fn sent(table: &RouteTable<Sent>, request: &Request) -> Option<(String, String)> {
    let sent = table.evaluate(request)?;
    Some((sent.to.clone(), sent.change.of(&request.path)))
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn routes_decide_alike(rules in prop::collection::vec(http_rule(), 1..7)) {
        let mesh = mesh(&routed_mesh(&rules));
        let conversion = convert(&mesh, Options::default());
        if conversion.changes.is_empty() {
            return Ok(());
        }
        let (old, new) = (old_table(&mesh.virtual_services[0].spec.http), new_table(&conversion));
        for request in requests() {
            prop_assert_eq!(sent(&old, &request), sent(&new, &request), "{:?}\n{:#?}", request, new.entries());
        }
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
