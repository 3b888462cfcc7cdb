//! Whole readings from a server of which we decide what it serves.

use super::{ClusterError, ClusterOptions, RawCluster, fetch_blocking};
use model::Kind;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// Answers by path without query; everything else is an empty list.
type Routes = BTreeMap<&'static str, (u16, Value)>;

/// Reads a cluster with these answers; returns also what was asked.
fn fetch(routes: Routes) -> (Result<RawCluster, ClusterError>, Vec<String>) {
    let (url, asked) = serve(routes);
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let config = json!({
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": url}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        "users": []
    });
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    let options = ClusterOptions {
        kubeconfig: Some(kubeconfig),
        ..ClusterOptions::default()
    };
    let result = fetch_blocking(&options, &mut |_| ());
    let asked = asked.lock().unwrap().clone();
    (result, asked)
}

fn serve(routes: Routes) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().unwrap().unwrap();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let path = request.split(' ').nth(1).unwrap().to_owned();
            let route = path.split_once('?').map_or(&*path, |(route, _)| route);
            let empty = (200, json!({"items": []}));
            let (status, body) = routes.get(route).unwrap_or(&empty);
            let body = body.to_string();
            log.lock().unwrap().push(path);
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    (url, asked)
}

fn failure(code: u16, message: &str) -> (u16, Value) {
    let status = json!({"kind": "Status", "status": "Failure", "code": code, "message": message});
    (code, status)
}

fn resources(kinds: &[(&str, &str)]) -> (u16, Value) {
    let resources: Vec<Value> = kinds
        .iter()
        .map(|(kind, verb)| json!({"name": format!("{}s", kind.to_lowercase()), "kind": kind, "verbs": [verb]}))
        .collect();
    (200, json!({"resources": resources}))
}

fn groups(groups: &[(&str, &[&str])]) -> (u16, Value) {
    let groups: Vec<Value> = groups
        .iter()
        .map(|(name, versions)| {
            let full: Vec<Value> = versions
                .iter()
                .map(|version| json!({"groupVersion": format!("{name}/{version}")}))
                .collect();
            json!({"name": name, "versions": full, "preferredVersion": full.last()})
        })
        .collect();
    (200, json!({"groups": groups}))
}

#[test]
fn each_kind_is_read_at_a_version_that_has_it() {
    let (raw, asked) = fetch(Routes::from([
        ("/version", (200, json!({"major": "1", "minor": "27+"}))),
        (
            "/api/v1",
            resources(&[
                ("Service", "list"),
                ("Secret", "list"),
                ("ConfigMap", "list"),
                ("Pod", "get"),
            ]),
        ),
        (
            "/apis",
            groups(&[
                ("networking.istio.io", &["v1alpha3", "v1"]),
                ("example.com", &["v1"]),
            ]),
        ),
        (
            "/apis/networking.istio.io/v1",
            resources(&[("VirtualService", "list")]),
        ),
        (
            "/apis/networking.istio.io/v1alpha3",
            resources(&[("VirtualService", "list"), ("EnvoyFilter", "list")]),
        ),
        (
            "/apis/networking.istio.io/v1/virtualservices",
            (
                200,
                json!({"items": [{"metadata": {"name": "web", "namespace": "a"}}]}),
            ),
        ),
    ]));
    let raw = raw.unwrap();
    assert_eq!(raw.server_version.as_deref(), Some("1.27"));
    assert_eq!(
        raw.objects,
        [json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": "web", "namespace": "a"}
        })]
    );
    assert!(raw.not_installed.contains(&Kind::Pod), "it cannot be listed");
    assert!(raw.gaps().is_empty());
    let asked_for = |part: &str| asked.iter().filter(|path| path.contains(part)).count();
    assert_eq!(asked_for("/apis/networking.istio.io/v1alpha3/envoyfilters?"), 1);
    assert_eq!(asked_for("/apis/networking.istio.io/v1alpha3/virtualservices"), 0);
    assert_eq!((asked_for("secrets"), asked_for("example.com")), (0, 0));
    assert_eq!(
        asked_for("/configmaps?"),
        asked_for("fieldSelector=metadata.name%3D")
    );
}

#[test]
fn what_is_forbidden_broken_or_gone_is_told_apart() {
    let (raw, _) = fetch(Routes::from([
        ("/version", failure(403, "no")),
        ("/api/v1", resources(&[("Service", "list"), ("Pod", "list")])),
        (
            "/apis",
            groups(&[("networking.istio.io", &["v1"]), ("projectcalico.org", &["v3"])]),
        ),
        (
            "/apis/networking.istio.io/v1",
            resources(&[("VirtualService", "list"), ("Sidecar", "list")]),
        ),
        ("/apis/projectcalico.org/v3", failure(503, "service unavailable")),
        ("/apis/networking.istio.io/v1/sidecars", failure(404, "gone")),
        (
            "/api/v1/pods",
            failure(
                403,
                "pods is forbidden: User \"eve\" cannot list resource \"pods\"",
            ),
        ),
        ("/api/v1/services", (200, json!({"kind": "Login"}))),
    ]));
    let raw = raw.unwrap();
    assert_eq!(raw.server_version, None);
    assert!(raw.not_installed.contains(&Kind::Sidecar));
    assert!(raw.read.contains(&Kind::VirtualService));
    assert_eq!(
        raw.gaps(),
        [
            "the list of `services` in all namespaces failed: the answer to `/api/v1/services` is not a list; \
             ask who runs the API server",
            "the user `eve` may not `list` `pods` in all namespaces; bind the ClusterRole of docs/rbac.yaml, or \
             read only some namespaces with --namespace",
            "`felixconfigurations.projectcalico.org`, `networkpolicies.projectcalico.org`, \
             `globalnetworkpolicies.projectcalico.org`, `remoteclusterconfigurations.projectcalico.org`: the API \
             server cannot tell what `projectcalico.org/v3` holds: service unavailable (HTTP status 503); try: \
             kubectl get apiservices",
        ]
    );
}

#[test]
fn a_server_that_hides_what_it_serves_cannot_be_read() {
    let (raw, _) = fetch(Routes::from([("/apis", failure(403, "forbidden"))]));
    let error = raw.unwrap_err();
    assert!(matches!(error, ClusterError::Discovery { .. }), "{error}");
}

#[test]
fn the_settings_of_a_revision_are_found_by_its_istiod() {
    let istiod = |name: &str, revision: &str| {
        json!({"metadata": {
            "name": name, "namespace": "mesh", "labels": {"app": "istiod", "istio.io/rev": revision}
        }})
    };
    let (_, asked) = fetch(Routes::from([
        ("/api/v1", resources(&[("ConfigMap", "list")])),
        ("/apis", groups(&[("apps", &["v1"])])),
        ("/apis/apps/v1", resources(&[("Deployment", "list")])),
        (
            "/apis/apps/v1/deployments",
            (
                200,
                json!({"items": [istiod("a", "1-31"), istiod("b", "1-31"), istiod("c", "default")]}),
            ),
        ),
    ]));
    let own: Vec<&String> = asked
        .iter()
        .filter(|path| path.contains("/namespaces/mesh/"))
        .collect();
    assert_eq!(
        own,
        ["/api/v1/namespaces/mesh/configmaps?limit=500&fieldSelector=metadata.name%3Distio-1-31"]
    );
}
