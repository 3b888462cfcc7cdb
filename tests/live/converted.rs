//! What `convert` makes is what a real API server takes, with the rules in CEL of its CRDs.

use super::cases::Case;
use super::{GATEWAY_API, PROGRAMS, bed::Bed, client};
use mesh_migrate::convert::options::Channel;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The definition of the experimental channel in the place of that of the standard one.
const EXPERIMENTAL: &[&str] = &["testdata/crds/experimental/gateway.networking.k8s.io_httproutes.yaml"];

#[test]
fn the_api_server_takes_every_object_that_is_made_of_the_cases() {
    assert!(check(Channel::Standard, &[&["testdata/crds/istio.yaml"], GATEWAY_API]) > 50);
}

#[test]
fn with_the_experimental_channel_it_takes_what_is_made_for_it() {
    assert!(
        check(
            Channel::Experimental,
            &[&["testdata/crds/istio.yaml"], EXPERIMENTAL]
        ) > 0
    );
}

/// The release of the definitions. Older ones of the experimental channel took more: `retry.attempts: 0`.
const RELEASE: u32 = 6;

/// How many objects a server with these definitions was asked about.
fn check(channel: Channel, definitions: &[&[&str]]) -> usize {
    let Some(programs) = &*PROGRAMS else {
        return usize::MAX;
    };
    let bed = Bed::start(programs);
    let kubeconfig = bed.kubeconfig();
    for files in definitions {
        client::create(&kubeconfig, files);
    }
    client::wait_for(&kubeconfig, "/apis/gateway.networking.k8s.io/v1/httproutes");
    client::wait_for(&kubeconfig, "/apis/security.istio.io/v1/authorizationpolicies");
    let mut made: Vec<(String, Value)> = Vec::new();
    for (name, case) in Case::all() {
        let release = case.options.gateway_api;
        if release.channel == channel && (channel == Channel::Standard || release.minor >= RELEASE) {
            let changes = case.convert().changes;
            made.extend(
                changes
                    .iter()
                    .map(|change| (name.clone(), change.after.to_json())),
            );
        }
    }
    let namespaces: BTreeSet<&str> = made
        .iter()
        .filter_map(|(_, object)| object["metadata"]["namespace"].as_str())
        .collect();
    for name in namespaces {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        client::create_value(&kubeconfig, &namespace);
    }
    let refused: Vec<String> = made
        .iter()
        .filter_map(|(name, object)| Some(format!("{name}: {}", client::refusal(&kubeconfig, object)?)))
        .collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    made.len()
}
