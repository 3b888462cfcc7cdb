//! Rules of a VirtualService by chance, and what the old and the new rules make of requests.

use mesh_migrate::convert::Conversion;
use model::virtual_service::HttpRoute;
use model::{Kind, Node};
use proptest::prelude::*;
use semantics::predicate::{PathMatch, Request, RequestMatch};
use semantics::route::RouteTable;
use semantics::{http_route, virtual_service};
use serde_json::{Value as Json, json};

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

pub fn http_rule() -> impl Strategy<Value = Json> {
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

pub fn requests() -> Vec<Request> {
    let mut requests = Vec::new();
    let headers = [None, Some("x"), Some("xy"), Some("")];
    let queries = [None, Some("x")];
    for path in PATHS.iter().chain(&["/a/b/c", "/abc", "/b/cxd", "/AB"]) {
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
pub struct Sent {
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

pub fn old_table(rules: &[HttpRoute]) -> RouteTable<Sent> {
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

pub fn new_table(conversion: &Conversion) -> RouteTable<Sent> {
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
pub fn sent(table: &RouteTable<Sent>, request: &Request) -> Option<(String, String)> {
    let sent = table.evaluate(request)?;
    Some((sent.to.clone(), sent.change.of(&request.path)))
}
