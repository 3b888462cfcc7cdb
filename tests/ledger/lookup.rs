//! Fields are found however a person writes them.

use mesh_migrate::ledger::table;

fn fields(path: &str) -> Vec<&'static str> {
    let rows = table("virtualservice").unwrap().below(path);
    let fields = rows.into_iter().flat_map(|(_, fields)| fields);
    fields.map(|(field, _)| field).collect()
}

#[test]
fn a_path_is_found_however_it_is_written() {
    for path in [
        "http.rewrite.uri",
        "spec.http[0].rewrite.uri",
        "http[].rewrite.uri",
        "HTTP.Rewrite.URI",
        "http.0.rewrite.uri",
    ] {
        assert_eq!(fields(path), ["http[].rewrite.uri"], "{path}");
    }
    for path in [
        "http.match.headers.exact",
        "http.match.headers.x-user.exact",
        "http.match.headers.example.com/user.exact",
        "http[].match[].headers{}.exact",
        "http.match.headers[x.y].exact",
    ] {
        assert_eq!(fields(path), ["http[].match[].headers{}.exact"], "{path}");
    }
    assert_eq!(fields("http.match.headers.x-user").len(), 3);
    assert_eq!(fields("http.delegate").len(), 2);
    assert_eq!(fields("http.rewriter"), Vec::<&str>::new());
}

#[test]
fn names_are_those_of_fields_and_of_what_is_above_them() {
    let names = table("PeerAuthentication").unwrap().names();
    let expected = [
        "mtls",
        "mtls.mode",
        "portLevelMtls",
        "portLevelMtls.mode",
        "selector",
        "selector.matchLabels",
    ];
    assert_eq!(names, expected);
}
