//! Lists against a server that answers from a script, for what a real one does only on a bad day.

use super::{Api, Fault, Target};
use crate::input::cluster::ClusterError;
use serde_json::json;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

/// An answer: the status and the body; no status breaks the connection.
type Answer = (u16, String);

/// Lists pods from a server that gives these answers in turn; returns the names, and what was asked.
fn list(answers: Vec<Answer>) -> (Result<Vec<String>, Fault>, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (url, server) = serve(answers);
    let result = runtime.block_on(async {
        let mut config = kube::Config::new(url.parse().unwrap());
        config.default_retry = false;
        let api = Api {
            client: kube::Client::try_from(config).unwrap(),
            server: url,
            page_limit: 2,
            attempts: 4,
        };
        let target = Target {
            path: "/api/v1/pods".to_owned(),
            name: None,
            metadata_only: false,
        };
        api.list(&target, &|_| ()).await
    });
    let name = |item: serde_json::Value| item["metadata"]["name"].as_str().unwrap().to_owned();
    let names = result.map(|items| items.into_iter().map(name).collect());
    (names, server.join().unwrap())
}

fn serve(answers: Vec<Answer>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().unwrap().unwrap();
            asked.push(request.split(' ').nth(1).unwrap().to_owned());
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            if status > 0 {
                let length = body.len();
                write!(
                    stream,
                    "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n\
                     content-length: {length}\r\n\r\n{body}"
                )
                .unwrap();
            }
        }
        asked
    });
    (url, server)
}

fn page(names: &[&str], token: &str) -> Answer {
    let items: Vec<_> = names
        .iter()
        .map(|name| json!({"metadata": {"name": name}}))
        .collect();
    (
        200,
        json!({"metadata": {"continue": token}, "items": items}).to_string(),
    )
}

fn status(code: u16) -> Answer {
    let body =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "m"});
    (code, body.to_string())
}

const FIRST: &str = "/api/v1/pods?limit=2";

#[test]
fn a_list_that_went_stale_begins_again_and_has_nothing_twice() {
    let (names, asked) = list(vec![
        page(&["a", "b"], "x=/1"),
        status(410),
        page(&["a", "c"], "y"),
        page(&["d"], ""),
    ]);
    assert_eq!(names.unwrap(), ["a", "c", "d"]);
    let next = |token| format!("{FIRST}&continue={token}");
    assert_eq!(asked, [FIRST, &next("x%3D%2F1"), FIRST, &next("y")]);
}

#[test]
fn a_list_that_always_goes_stale_ends() {
    let answers = (0..5)
        .flat_map(|_| [page(&["a", "b"], "x"), status(410)])
        .collect();
    let (names, asked) = list(answers);
    assert!(matches!(names, Err(Fault::Restless)), "{names:?}");
    assert_eq!(asked.len(), 10);
}

#[test]
fn a_busy_server_is_asked_again() {
    let (names, asked) = list(vec![
        status(429),
        status(503),
        (0, String::new()),
        page(&["a"], ""),
    ]);
    assert_eq!(names.unwrap(), ["a"]);
    assert_eq!(asked, [FIRST; 4]);
}

#[test]
fn a_server_that_stays_busy_is_left_alone() {
    let (names, asked) = list((0..4).map(|_| status(503)).collect());
    assert!(
        matches!(&names, Err(Fault::Status(status)) if status.code == 503),
        "{names:?}"
    );
    assert_eq!(asked.len(), 4);
}

#[test]
fn what_is_not_allowed_is_not_tried_again() {
    let (names, _) = list(vec![status(403)]);
    assert!(
        matches!(&names, Err(Fault::Status(status)) if status.code == 403),
        "{names:?}"
    );
    let (names, _) = list(vec![status(401)]);
    assert!(
        matches!(names, Err(Fault::Fatal(ClusterError::Unauthorized { .. }))),
        "{names:?}"
    );
}

#[test]
fn answers_that_are_no_lists_are_told() {
    for body in ["<html>login</html>", "{}", "[]", "{\"items\": 3}"] {
        let (names, _) = list(vec![(200, body.to_owned())]);
        assert!(matches!(names, Err(Fault::Malformed(_))), "{body}: {names:?}");
    }
    // Some servers write an empty list as nothing.
    let (names, _) = list(vec![(200, "{\"items\": null}".to_owned())]);
    assert_eq!(names.unwrap(), Vec::<String>::new());
}
