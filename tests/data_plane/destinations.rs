//! Every kind of address that a pod can dial.

use crate::{SOON, STRICT, no_answer, pod_address};
use bed::layout::{API_PORT, CONTROL_PLANE};
use bed::{Bed, Namespace, Settings, eventually};

/// A namespace that is strict, with a client and a server in two pods.
fn scene<'a>(bed: &'a Bed, hint: &str) -> Namespace<'a> {
    let mesh = bed.namespace_with(hint, Settings::Ambient);
    mesh.apply(STRICT);
    mesh.server("client");
    mesh.server("server");
    eventually(SOON, || mesh.get("client", "http://server/", &[]).expect(200));
    mesh
}

const HEADLESS: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: headless}\n\
    spec: {clusterIP: None, selector: {app: server}, ports: [{name: http, port: 8080}]}\n";

#[test]
fn services_by_address_headless_services_and_pods() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = scene(bed, "dialled");
    mesh.apply(HEADLESS);
    let (service, pod) = (mesh.address_of("server"), pod_address(&mesh, "server"));
    for url in [
        format!("http://{service}/"),
        format!("http://server.{}.svc.cluster.local/", mesh.name()),
        "http://headless:8080/".to_owned(),
        format!("http://{pod}:8080/"),
    ] {
        eventually(SOON, || mesh.get("client", &url, &[]).expect(200));
    }
}

#[test]
fn ports_that_a_service_does_not_have_are_refused() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = scene(bed, "no-port");
    no_answer(mesh.get("client", "http://server:81/", &[])).unwrap();
    // The ports of the proxy itself lead nowhere.
    let pod = pod_address(&mesh, "server");
    for port in [15001, 15006] {
        no_answer(mesh.get("client", &format!("http://{pod}:{port}/"), &[])).unwrap();
    }
}

#[test]
fn what_the_mesh_does_not_know_is_passed_on() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = scene(bed, "unknown");
    // The API server speaks TLS, and says so to who does not.
    let answer = mesh.get("client", &format!("http://{CONTROL_PLANE}:{API_PORT}/"), &[]);
    answer.expect(400).unwrap();
    let outside = bed.namespace_with("outside", Settings::OutsideOfMesh);
    outside.server("server");
    let url = format!("http://server.{}/", outside.name());
    eventually(SOON, || mesh.get("client", &url, &[]).expect(200));
}

#[test]
fn a_pod_reaches_itself_by_its_own_service_and_address() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = scene(bed, "hairpin");
    let own = pod_address(&mesh, "server");
    for url in [
        "http://server/".to_owned(),
        format!("http://{own}:8080/"),
        "http://127.0.0.1:8080/".to_owned(),
    ] {
        let answer = eventually(SOON, || mesh.get("server", &url, &[]).expect(200));
        assert!(answer.saw("pod").starts_with("server-"), "{url}: {answer:?}");
    }
}

#[test]
fn servers_see_the_address_of_the_client() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = scene(bed, "source");
    let client = pod_address(&mesh, "client");
    let answer = mesh.get("client", "http://server/", &[]).expect(200).unwrap();
    assert_eq!(answer.saw("peer").split(':').next(), Some(&*client));
}

#[test]
fn grpc_websockets_and_lines_pass_as_http_does() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = scene(bed, "protocols");
    for arguments in [
        &["grpc", "server:9090"][..],
        &["tcp", "server:9000", "hello"],
        &["ws", "ws://server/ws"],
        &["get", "http://server/", "--http2"],
    ] {
        let answer = mesh.exec("client", arguments).unwrap();
        assert!(answer.contains("server-"), "{arguments:?}: {answer}");
    }
}

/// A name that only istiod knows, with an address of istiod's choice.
const ONLY_IN_THE_MESH: &str = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: named}\n\
    spec:\n  hosts: [named.mesh.test, '*.wild.test']\n  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]\n  \
    resolution: STATIC\n  workloadSelector: {labels: {app: server}}\n";

#[test]
fn names_are_answered_by_the_proxy() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = scene(bed, "names");
    let own = mesh.name();
    for name in [
        "server".to_owned(),
        format!("server.{own}"),
        format!("server.{own}.svc"),
        format!("server.{own}.svc.cluster.local"),
    ] {
        mesh.get("client", &format!("http://{name}/"), &[])
            .expect(200)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    no_answer(mesh.get("client", "http://named.mesh.test/", &[])).unwrap();
    mesh.apply(ONLY_IN_THE_MESH);
    let answer = eventually(SOON, || {
        mesh.get("client", "http://named.mesh.test/", &[]).expect(200)
    });
    assert!(answer.saw("pod").starts_with("server-"));
    // What istiod does not know, the cluster's DNS may.
    let pod = pod_address(&mesh, "server").replace('.', "-");
    let record = format!("http://{pod}.{own}.pod.cluster.local:8080/");
    mesh.get("client", &record, &[]).expect(200).unwrap();
    let nowhere = mesh.get("client", "http://nowhere.mesh.test/", &[]);
    assert!(nowhere.body.to_string().contains("resolve"), "{nowhere:?}");
}
