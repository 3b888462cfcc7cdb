//! What each client asks of each server, and what must come of it.

use serde_json::{Value, json};

/// Namespaces of the mesh, each with a client `load`.
pub const NAMESPACES: [&str; 3] = ["market", "stock", "pay"];

/// A namespace outside of the mesh, with a client that nobody may serve.
pub const OUTSIDE: &str = "street";

/// A token of a buyer's, valid until 2100.
const TOKEN: &str = include_str!("../../testdata/samples/under-load/token");

const MARKET: &[&str] = &["market"];
const STOCK: &[&str] = &["market", "stock"];
const PAY: &[&str] = &["market", "pay"];
const ALL: &[&str] = &NAMESPACES;
const NONE: &[&str] = &[];

/// Headers of a stream.
#[derive(Clone, Copy)]
enum With {
    Nothing,
    Header(&'static str),
    Token,
    /// The token with another signature.
    ForgedToken,
}

/// One kind of request: server, name, protocol, path, what it carries, and the clients that are served.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    With,
    &'static [&'static str],
);

const POST: &str = "post";
const NEW: &str = "http1-new";

/// `http1-new` opens a connection for each request; `post` is HTTP/1.1 with that method. Of forbidden requests there
/// is one for every part of every rule: method, path, header, principal, token, and the decision of another server.
const ROWS: &[Row] = {
    use With::{ForgedToken, Header, Nothing, Token};
    &[
        ("web", "page", "http1", "/", Nothing, ALL),
        ("web", "new", NEW, "/", Nothing, ALL),
        ("web", "http2", "http2", "/", Nothing, ALL),
        ("web", "grpc", "grpc", "", Nothing, ALL),
        ("web", "beta", "http1", "/", Header("x-beta: yes"), ALL),
        ("web", "admin", "http1", "/admin/users", Nothing, NONE),
        ("web", "debug", "http2", "/", Header("x-debug: yes"), NONE),
        ("catalog", "items", "http1", "/items/1", Nothing, MARKET),
        ("catalog", "new", NEW, "/items/2", Nothing, MARKET),
        ("catalog", "http2", "http2", "/items/3", Nothing, MARKET),
        ("catalog", "grpc", "grpc", "", Nothing, STOCK),
        ("catalog", "method", POST, "/items/1", Nothing, NONE),
        ("catalog", "path", "http1", "/other", Nothing, NONE),
        (
            "catalog",
            "calls",
            "http1",
            "/call?url=http://accounts.pay.svc.cluster.local/profile/1",
            Nothing,
            MARKET,
        ),
        (
            "catalog",
            "calls-wrong",
            "http1",
            "/call?url=http://accounts.pay.svc.cluster.local/other",
            Nothing,
            NONE,
        ),
        ("accounts", "profile", "http1", "/profile/1", Nothing, MARKET),
        ("accounts", "new", NEW, "/profile/2", Nothing, MARKET),
        ("accounts", "http2", "http2", "/profile/3", Nothing, MARKET),
        ("accounts", "grpc", "grpc", "", Nothing, PAY),
        ("accounts", "method", POST, "/profile/1", Nothing, NONE),
        ("accounts", "path", "http2", "/other", Nothing, NONE),
        (
            "accounts",
            "calls",
            "http1",
            "/call?url=http://catalog.stock.svc.cluster.local/items/1",
            Nothing,
            MARKET,
        ),
        (
            "accounts",
            "calls-wrong",
            "http1",
            "/call?url=http://catalog.stock.svc.cluster.local/other",
            Nothing,
            NONE,
        ),
        ("vault", "open", "http1", "/open", Nothing, ALL),
        ("vault", "grpc", "grpc", "", Nothing, ALL),
        (
            "vault",
            "secret",
            "http1",
            "/secret/1",
            Header("x-allow: yes"),
            ALL,
        ),
        (
            "vault",
            "http2",
            "http2",
            "/secret/2",
            Header("x-allow: yes"),
            ALL,
        ),
        ("vault", "refused", NEW, "/secret/1", Nothing, NONE),
        ("orders", "token", "http1", "/orders/1", Token, ALL),
        ("orders", "new", NEW, "/orders/2", Token, ALL),
        ("orders", "http2", "http2", "/orders/3", Token, ALL),
        ("orders", "no-token", "http1", "/orders/1", Nothing, NONE),
        ("orders", "forged", "http1", "/orders/1", ForgedToken, NONE),
        ("orders", "path", "http1", "/other", Token, NONE),
        ("orders", "grpc", "grpc", "", Nothing, NONE),
        ("prices", "http1", "http1", "/", Nothing, STOCK),
        ("prices", "new", NEW, "/", Nothing, STOCK),
        ("prices", "http2", "http2", "/", Nothing, STOCK),
        ("prices", "grpc", "grpc", "", Nothing, STOCK),
        ("prices", "tcp", "tcp", "", Nothing, STOCK),
        ("notices", "http1", "http1", "/", Nothing, ALL),
        ("notices", "new", NEW, "/", Nothing, ALL),
        ("notices", "http2", "http2", "/", Nothing, ALL),
        ("notices", "grpc", "grpc", "", Nothing, ALL),
        ("notices", "tcp", "tcp", "", Nothing, ALL),
        ("ledger", "http1", "http1", "/", Nothing, ALL),
        ("ledger", "new", NEW, "/", Nothing, ALL),
        ("ledger", "http2", "http2", "/", Nothing, ALL),
        ("ledger", "grpc", "grpc", "", Nothing, ALL),
        ("ledger", "tcp", "tcp", "", Nothing, ALL),
        ("agent", "http1", "http1", "/", Nothing, ALL),
        ("agent", "new", NEW, "/", Nothing, ALL),
        ("agent", "http2", "http2", "/", Nothing, ALL),
        ("agent", "grpc", "grpc", "", Nothing, ALL),
        ("agent", "tcp", "tcp", "", Nothing, ALL),
    ]
};

/// The namespace of each server.
pub const SERVERS: [(&str, &str); 9] = [
    ("web", "market"),
    ("notices", "market"),
    ("catalog", "stock"),
    ("prices", "stock"),
    ("ledger", "stock"),
    ("accounts", "pay"),
    ("vault", "pay"),
    ("orders", "pay"),
    ("agent", "pay"),
];

fn namespace_of(server: &str) -> &'static str {
    let found = SERVERS.iter().find(|(name, _)| *name == server);
    found.map_or("", |(_, namespace)| namespace)
}

/// The streams of the client of a namespace to these servers, each at this rate, as the load client reads them.
pub fn of_client(client: &str, servers: &[&str], rate: f64) -> Value {
    let rows = ROWS.iter().filter(|row| servers.contains(&row.0));
    // From outside nothing gets as far as a rule: one row of each protocol does.
    let rows = rows.filter(|row| client != OUTSIDE || ["new", "http2", "grpc", "tcp"].contains(&row.1));
    // A call that needs the other half of the cycle.
    let rows = rows.filter(|row| !row.3.starts_with("/call") || servers.contains(&called(row.0)));
    rows.map(|row| stream(client, row, rate)).collect()
}

fn called(server: &str) -> &'static str {
    if server == "catalog" {
        "accounts"
    } else {
        "catalog"
    }
}

fn stream(client: &str, row: &Row, rate: f64) -> Value {
    let (server, name, protocol, path, with, served) = *row;
    // One question of DNS for a request, and not one for each domain in which a short name could lie.
    let host = format!("{server}.{}.svc.cluster.local", namespace_of(server));
    let target = match protocol {
        "grpc" => format!("{host}:9090"),
        "tcp" => format!("{host}:9000"),
        _ => format!("http://{host}{path}"),
    };
    let mut stream = json!({
        "name": format!("{server}-{name}"),
        "protocol": match protocol { NEW | POST => "http1", other => other },
        "target": target,
        "rate": rate,
        "new_connection": protocol == NEW,
        "method": if protocol == POST { "POST" } else { "GET" },
        "expect": if served.contains(&client) { "served" } else { "refused" },
    });
    match with {
        With::Nothing => {}
        With::Header(header) => stream["headers"] = json!([header]),
        With::Token => stream["headers"] = json!([bearer(TOKEN.trim())]),
        With::ForgedToken => stream["headers"] = json!([bearer(&forged(TOKEN.trim()))]),
    }
    if server == "web" && served.contains(&client) {
        stream["version"] = if name == "beta" { "v2".into() } else { "v1".into() };
    }
    stream
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}")
}

fn forged(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    let reversed: String = signature.chars().rev().collect();
    format!("{signed}.{reversed}")
}

#[test]
fn every_server_is_asked_over_every_protocol_that_it_speaks_and_every_rule_has_forbidden_requests() {
    for (server, _) in SERVERS {
        let of = |client: &str| of_client(client, &[server], 1.0);
        let streams: Vec<Value> = NAMESPACES
            .iter()
            .flat_map(|client| of(client).as_array().cloned().unwrap_or_default())
            .collect();
        for protocol in ["http1", "http2", "grpc"] {
            let has = |stream: &Value| stream["protocol"] == protocol;
            assert!(streams.iter().any(has), "{server}: {protocol}");
        }
        let open = ["notices", "ledger", "agent"].contains(&server);
        let refused = streams
            .iter()
            .filter(|stream| stream["expect"] == "refused")
            .count();
        assert_eq!(refused == 0, open, "{server}");
        let outside = of(OUTSIDE);
        let outside = outside.as_array().map(Vec::as_slice).unwrap_or_default();
        assert!(outside.len() >= 2, "{server}");
        assert!(
            outside.iter().all(|stream| stream["expect"] == "refused"),
            "{server}"
        );
    }
}
