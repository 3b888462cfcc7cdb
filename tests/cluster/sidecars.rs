//! Sidecars talk to sidecars.

use crate::NO_ADMIN;
use bed::{Bed, Settings, eventually};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

#[test]
fn sidecars_speak_mutual_tls_where_it_is_strict() {
    let Some(bed) = Bed::shared() else { return };
    let mesh = bed.namespace("strict");
    let outside = bed.namespace_with("outside", Settings::OutsideOfMesh);
    mesh.apply(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default}\n\
         spec: {mtls: {mode: STRICT}}\n",
    );
    mesh.server("client");
    mesh.server("server");
    outside.server("client");
    let url = format!("http://server.{}/", mesh.name());
    let answer = eventually(SOON, || mesh.get("client", &url, &[]).expect(200));
    assert_eq!(
        answer.saw("identity"),
        format!("spiffe://cluster.local/ns/{}/sa/client", mesh.name())
    );
    // Without a certificate there is no answer at all, not even a refusal.
    eventually(SOON, || match outside.get("client", &url, &[]).status {
        None => Ok(()),
        Some(status) => Err(format!("plaintext was answered with {status}")),
    });
}

#[test]
fn a_virtual_service_splits_by_weight() {
    let Some(bed) = Bed::shared() else { return };
    let mesh = bed.namespace("split");
    mesh.server("client");
    mesh.server_in_versions("server");
    mesh.apply(
        r"
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: server}
spec:
  host: server
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: server}
spec:
  hosts: [server]
  http:
  - route:
    - {destination: {host: server, subset: v1}, weight: 80}
    - {destination: {host: server, subset: v2}, weight: 20}
    headers: {response: {set: {x-route: split}}}
",
    );
    let url = "http://server/";
    eventually(SOON, || match mesh.get("client", url, &[]) {
        answer if answer.headers["x-route"] == "split" => Ok(()),
        answer => Err(format!("not yet routed: {answer:?}")),
    });
    let sent = 400;
    let versions = mesh.get_many("client", url, sent);
    let first = versions
        .iter()
        .filter(|answer| answer.saw("version") == "v1")
        .count();
    let second = versions
        .iter()
        .filter(|answer| answer.saw("version") == "v2")
        .count();
    assert_eq!(first + second, sent, "every request is answered by a version");
    // Five standard deviations of a binomial distribution: one run in a million is outside by chance.
    let deviation = (sent as f64 * 0.8 * 0.2).sqrt();
    let distance = (first as f64 - sent as f64 * 0.8).abs();
    assert!(distance < 5.0 * deviation, "{first} of {sent} to v1");
}

#[test]
fn a_deny_by_path_refuses_that_path_alone() {
    let Some(bed) = Bed::shared() else { return };
    let mesh = bed.namespace("deny");
    mesh.server("client");
    mesh.server("server");
    mesh.apply(NO_ADMIN);
    eventually(SOON, || {
        mesh.get("client", "http://server/admin/x", &[]).expect(403)
    });
    mesh.get("client", "http://server/open", &[]).expect(200).unwrap();
}

#[test]
fn istiod_says_which_policies_a_waypoint_took() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = bed.namespace("status");
    mesh.server("server");
    mesh.waypoint("waypoint");
    mesh.apply(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: bound}\n\
         spec:\n  targetRefs: [{kind: Service, group: \"\", name: server}]\n  action: DENY\n  \
         rules: [{to: [{operation: {paths: [/admin/*]}}]}]\n",
    );
    // istiod first says that it waits, and takes that back when the waypoint is there.
    eventually(SOON, || mesh.accepted_by_waypoint("bound"));
}
