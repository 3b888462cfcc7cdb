//! An ingress gateway of Istio's own kind, and the same pods with what `convert --ingress` makes.

use super::alike::convert;
use super::request::Request;
use bed::{Bed, Namespace, Settings, eventually, settled};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(90);
const CALM: Duration = Duration::from_secs(5);

const GATEWAY: &str = include_str!("../../testdata/conversion/ingress/gateway.yaml");

fn answers(clients: &Namespace<'_>, servers: &Namespace<'_>) -> Result<(), String> {
    let service = format!("ingress.{}", servers.name());
    let wrong: Vec<String> = Request::all(GATEWAY)
        .iter()
        .filter_map(|request| {
            let answer = request.answer(clients, &service);
            (answer != request.expected).then(|| {
                let (path, expected) = (&request.path, &request.expected);
                format!(
                    "{path} {:?}\n  expected {expected}\n  got      {answer}",
                    request.headers
                )
            })
        })
        .collect();
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

#[test]
fn a_gateway_of_the_gateway_api_answers_as_the_one_it_was_made_of() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let clients = bed.namespace_with("outside", Settings::OutsideOfMesh);
    clients.server("client");
    let servers = bed.namespace("ingress");
    for name in ["one", "two"] {
        servers.server(name);
    }
    servers.apply(GATEWAY);
    servers.wait_ready("deployment/ingress");
    settled(SOON, CALM, || answers(&clients, &servers));

    convert(bed, &servers, &["--ingress"]);
    eventually(SOON, || {
        servers.kubectl(&[
            "wait",
            "--for=condition=Programmed",
            "--timeout=1s",
            "gateways.gateway.networking.k8s.io/public",
        ])
    });
    // Both are there: the old one goes first, and nobody notices.
    settled(SOON, CALM, || answers(&clients, &servers));
    servers
        .kubectl(&[
            "delete",
            "gateways.networking.istio.io/public",
            "virtualservice/shop",
        ])
        .unwrap();
    settled(SOON, CALM, || answers(&clients, &servers));
    let deployments = servers.kubectl(&["get", "deployments", "--output=name"]).unwrap();
    assert_eq!(
        deployments.lines().count(),
        3,
        "a gateway of its own was made: {deployments}"
    );
}
