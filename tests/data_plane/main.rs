//! mesh-proxy as the bed's ambient data plane, with stock istiod and whichever node agent the bed was brought up
//! with.

#![expect(
    clippy::unwrap_used,
    reason = "a bed that does not do what it is told is a failure"
)]

mod destinations;
mod encryption;
mod enrolment;
mod outcomes;
mod policies;
mod waypoints;

use bed::{Answer, Namespace};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// All of a namespace refuses what comes without a certificate.
const STRICT: &str = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default}\n\
    spec: {mtls: {mode: STRICT}}\n";

/// The address of a pod of a Deployment that is not about to go.
fn pod_address(mesh: &Namespace<'_>, app: &str) -> String {
    let selector = format!("--selector=app={app}");
    let arguments = ["--namespace", mesh.name(), "get", "pods", &selector];
    let pods = mesh.bed().kubectl().json(&arguments).unwrap();
    let stays = pods["items"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let address = stays.and_then(|pod| pod["status"]["podIP"].as_str());
    address
        .unwrap_or_else(|| panic!("no pod of {app}: {pods}"))
        .to_owned()
}

/// That there was no answer at all: a proxy of layer 4 refuses by closing.
fn no_answer(answer: Answer) -> Result<(), String> {
    match answer.status {
        None => Ok(()),
        Some(status) => Err(format!("answered with {status}: {}", answer.body)),
    }
}
