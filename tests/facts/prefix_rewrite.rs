//! What a rewritten prefix sends: VirtualService by string, HTTPRoute by path segment.

use crate::until_routed;
use bed::{Bed, Namespace};

/// Prefix of the match, the rewrite, the path of the request, what a VirtualService sends, what an HTTPRoute
/// sends; nothing where the rule does not match.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
);

const ROWS: &[Row] = &[
    ("/api", "/", "/api/x", Some("//x"), Some("/x")),
    ("/api", "/", "/api", Some("/"), Some("/")),
    ("/api", "/", "/apix", Some("/x"), None),
    ("/api/", "/", "/api/x", Some("/x"), Some("/x")),
    ("/api/", "/", "/api", None, Some("/")),
    ("/api", "/v1", "/api/x", Some("/v1/x"), Some("/v1/x")),
    ("/api", "/v1/", "/api/x", Some("/v1//x"), Some("/v1/x")),
    ("/", "/v1", "/x", Some("/v1x"), Some("/v1x")),
];

/// One VirtualService with a rule for each row, told apart by a header, and a default.
fn virtual_service() -> String {
    let rules: String = ROWS
        .iter()
        .enumerate()
        .map(|(number, (prefix, rewrite, ..))| {
            format!(
                "  - match: [{{uri: {{prefix: {prefix}}}, headers: {{x-row: {{exact: \"{number}\"}}}}}}]\n    \
                 rewrite: {{uri: {rewrite}}}\n    headers: {{response: {{set: {{x-route: rewritten}}}}}}\n    \
                 route: [{{destination: {{host: server, port: {{number: 80}}}}}}]\n"
            )
        })
        .collect();
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: server}}\n\
         spec:\n  hosts: [server]\n  http:\n{rules}  - headers: {{response: {{set: {{x-route: default}}}}}}\n    \
         route: [{{destination: {{host: server, port: {{number: 80}}}}}}]\n"
    )
}

fn http_route() -> String {
    let answer = |marker: &str| {
        format!(
            "    - type: ResponseHeaderModifier\n      \
             responseHeaderModifier: {{set: [{{name: x-route, value: {marker}}}]}}\n"
        )
    };
    let rules: String = ROWS
        .iter()
        .enumerate()
        .map(|(number, (prefix, rewrite, ..))| {
            format!(
                "  - matches: [{{path: {{type: PathPrefix, value: {prefix}}}, headers: [{{name: x-row, value: \"{number}\"}}]}}]\n    \
                 filters:\n{}    - type: URLRewrite\n      urlRewrite: \
                 {{path: {{type: ReplacePrefixMatch, replacePrefixMatch: {rewrite}}}}}\n    \
                 backendRefs: [{{name: server, port: 80}}]\n",
                answer("rewritten")
            )
        })
        .collect();
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: server}}\n\
         spec:\n  parentRefs: [{{group: \"\", kind: Service, name: server}}]\n  rules:\n{rules}  - filters:\n{}    \
         backendRefs: [{{name: server, port: 80}}]\n",
        answer("default")
    )
}

/// The path that the server saw, where a row's rule matched.
fn sent(mesh: &Namespace<'_>, host: &str, number: usize, path: &str) -> Option<String> {
    let url = format!("http://{host}{path}");
    let answer = mesh
        .get("client", &url, &[&format!("x-row: {number}")])
        .expect(200)
        .unwrap();
    (answer.headers["x-route"] == "rewritten").then(|| answer.saw("path").to_owned())
}

#[test]
fn prefix_rewrites_of_a_virtual_service_replace_the_string() {
    let Some(bed) = Bed::shared() else { return };
    let mesh = bed.namespace("rewrite-vs");
    mesh.server("client");
    mesh.server("server");
    mesh.apply(&virtual_service());
    until_routed(&mesh, "http://server/", &[], "default");
    for (number, (prefix, rewrite, path, expected, _)) in ROWS.iter().enumerate() {
        let seen = sent(&mesh, "server", number, path);
        assert_eq!(
            seen.as_deref(),
            *expected,
            "{prefix} to {rewrite}, request {path}"
        );
    }
}

#[test]
fn prefix_rewrites_of_a_route_replace_segments() {
    let Some(bed) = Bed::shared() else { return };
    let mesh = bed.namespace("rewrite-route");
    mesh.server("client");
    mesh.server("server");
    mesh.apply(&http_route());
    until_routed(&mesh, "http://server/", &[], "default");
    for (number, (prefix, rewrite, path, _, expected)) in ROWS.iter().enumerate() {
        let seen = sent(&mesh, "server", number, path);
        assert_eq!(
            seen.as_deref(),
            *expected,
            "{prefix} to {rewrite}, request {path}"
        );
    }
}

#[test]
fn prefix_rewrites_at_a_waypoint_are_those_at_a_sidecar() {
    let Some(bed) = Bed::shared_ambient() else { return };
    for (route, of_row) in [
        (
            virtual_service(),
            (|row| row.3) as fn(&Row) -> Option<&'static str>,
        ),
        (http_route(), |row| row.4),
    ] {
        let mesh = bed.namespace("rewrite-waypoint");
        mesh.server("client");
        mesh.server("server");
        mesh.waypoint("waypoint");
        mesh.gateway_through_waypoint("server");
        mesh.apply(&route);
        until_routed(&mesh, "http://front-istio/", &[], "default");
        for (number, row) in ROWS.iter().enumerate() {
            let seen = sent(&mesh, "front-istio", number, row.2);
            assert_eq!(
                seen.as_deref(),
                of_row(row),
                "{} to {}, request {}",
                row.0,
                row.1,
                row.2
            );
        }
    }
}
