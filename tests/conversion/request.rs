//! Requests and their answers as one line each: what a file of configuration is tried with.

use bed::{Answer, Namespace};
use serde_json::Value;

/// A request in a comment `#> METHOD PATH [name: value; …] => ANSWER`, and its answer; after `||` that of a waypoint, where
/// it is meant to be another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<String>,
    pub expected: String,
    pub at_waypoint: String,
}

impl Request {
    /// All of a file.
    pub fn all(text: &str) -> Vec<Self> {
        let lines = text.lines().filter_map(|line| line.strip_prefix("#> "));
        lines
            .map(|line| Self::of(line).unwrap_or_else(|| panic!("no request: {line}")))
            .collect()
    }

    fn of(line: &str) -> Option<Self> {
        let (request, expected) = line.split_once(" => ")?;
        let (expected, at_waypoint) = expected.split_once(" || ").unwrap_or((expected, expected));
        let mut parts = request.splitn(3, ' ');
        let (method, path) = (parts.next()?, parts.next()?);
        let headers = parts.next().unwrap_or_default().split("; ");
        Some(Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: headers
                .filter(|header| !header.is_empty())
                .map(str::to_owned)
                .collect(),
            expected: expected.trim().to_owned(),
            at_waypoint: at_waypoint.trim().to_owned(),
        })
    }

    /// What it gets from a Service of this namespace, in one line.
    pub fn answer(&self, mesh: &Namespace<'_>, service: &str) -> String {
        let url = format!("http://{service}{}", self.path);
        let mut arguments = vec!["get", &url, "--method", &self.method];
        for header in &self.headers {
            arguments.extend(["-H", header]);
        }
        match mesh.exec("client", &arguments) {
            Ok(text) => line(&Answer::parse(&text), service, mesh.name()),
            Err(error) => error.to_string(),
        }
    }
}

/// Headers that proxies write on their own.
fn is_of_a_proxy(name: &str) -> bool {
    !name.starts_with("x-")
        || ["x-forwarded-", "x-envoy-", "x-request-id", "x-b3-"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// `200 one-v1 /path host=other x-set=1 <x-answered=1`, or status, `Location` and text of another answer.
fn line(answer: &Answer, service: &str, namespace: &str) -> String {
    let status = answer
        .status
        .map_or("no status".to_owned(), |status| status.to_string());
    let mut parts = vec![status];
    if answer.body.is_object() {
        let (app, version) = (answer.saw("service_account"), answer.saw("version"));
        parts.push(format!("{app}-{version}"));
        let query = answer.saw("query");
        let mark = if query.is_empty() { "" } else { "?" };
        parts.push(format!("{}{mark}{query}", answer.saw("path")));
        if answer.saw("host") != service {
            parts.push(format!("host={}", answer.saw("host")));
        }
        parts.extend(values(&answer.body["headers"], ""));
    } else {
        let location = answer.headers["location"].as_str();
        parts.extend(location.map(|location| format!("location={location}")));
        let text = answer.body.as_str().unwrap_or_default().trim();
        parts.extend(Some(text.to_owned()).filter(|text| !text.is_empty()));
    }
    parts.extend(values(&answer.headers, "<"));
    parts.join(" ").replace(namespace, "NAMESPACE")
}

fn values(headers: &Value, mark: &str) -> Vec<String> {
    let headers = headers.as_object().into_iter().flatten();
    let mut shown: Vec<String> = headers
        .filter(|(name, _)| !is_of_a_proxy(name))
        .map(|(name, value)| format!("{mark}{name}={}", value.as_str().unwrap_or_default()))
        .collect();
    shown.sort();
    shown
}

#[test]
fn a_request_is_read_of_its_line() {
    let text = "# about it\n#> GET /a?b=1 x-user: me; x-two: 2 => 200 one-v1 /a\n#> PUT / => 200 one-v1 / || 403 RBAC: access denied\n";
    let request = |method: &str, path: &str, headers: &[&str], expected: &str, at_waypoint: &str| Request {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: headers.iter().map(|&header| header.to_owned()).collect(),
        expected: expected.to_owned(),
        at_waypoint: at_waypoint.to_owned(),
    };
    assert_eq!(
        Request::all(text),
        [
            request(
                "GET",
                "/a?b=1",
                &["x-user: me", "x-two: 2"],
                "200 one-v1 /a",
                "200 one-v1 /a"
            ),
            request("PUT", "/", &[], "200 one-v1 /", "403 RBAC: access denied"),
        ]
    );
}
