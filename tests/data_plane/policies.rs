//! Layer-4 authorization at the server's node proxy.

use crate::{SOON, no_answer, pod_address};
use bed::{Bed, Namespace, Settings, eventually, settled};
use std::time::Duration;

/// Who gets through: the clients `one` and `two`, the client `other` of another namespace, and `one` to the TCP
/// port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Through {
    one: bool,
    two: bool,
    other: bool,
    tcp: bool,
}

const ALL: Through = Through {
    one: true,
    two: true,
    other: true,
    tcp: true,
};
const NOBODY: Through = Through {
    one: false,
    two: false,
    other: false,
    tcp: false,
};

/// The spec of a policy, in which `$OWN` and `$OTHER` are namespaces and `$ONE` is the address of client `one`.
const TABLE: &[(&str, Through)] = &[
    (
        "{action: DENY, rules: [{from: [{source: {principals: [cluster.local/ns/$OWN/sa/one]}}]}]}",
        Through {
            one: false,
            tcp: false,
            ..ALL
        },
    ),
    (
        "{rules: [{from: [{source: {principals: [cluster.local/ns/$OWN/sa/one]}}]}]}",
        Through {
            one: true,
            tcp: true,
            ..NOBODY
        },
    ),
    (
        "{rules: [{from: [{source: {principals: ['*/sa/other']}}]}]}",
        Through {
            other: true,
            ..NOBODY
        },
    ),
    (
        "{action: DENY, rules: [{from: [{source: {namespaces: [$OWN]}}]}]}",
        Through {
            other: true,
            ..NOBODY
        },
    ),
    (
        "{rules: [{from: [{source: {notNamespaces: [$OWN]}}]}]}",
        Through {
            other: true,
            ..NOBODY
        },
    ),
    (
        "{rules: [{from: [{source: {ipBlocks: [$ONE]}}]}]}",
        Through {
            one: true,
            tcp: true,
            ..NOBODY
        },
    ),
    (
        "{action: DENY, rules: [{from: [{source: {notIpBlocks: [$ONE]}}]}]}",
        Through {
            one: true,
            tcp: true,
            ..NOBODY
        },
    ),
    (
        "{action: DENY, rules: [{to: [{operation: {ports: ['9000']}}]}]}",
        Through { tcp: false, ..ALL },
    ),
    // The pod's port counts, not the Service's.
    (
        "{action: DENY, rules: [{to: [{operation: {ports: ['80']}}]}]}",
        ALL,
    ),
    (
        "{rules: [{from: [{source: {namespaces: [$OTHER]}}]}, {to: [{operation: {ports: ['9000']}}]}]}",
        Through {
            other: true,
            tcp: true,
            ..NOBODY
        },
    ),
    (
        "{rules: [{from: [{source: {namespaces: [$OWN]}}], to: [{operation: {notPorts: ['9000']}}]}]}",
        Through {
            one: true,
            two: true,
            ..NOBODY
        },
    ),
    (
        "{rules: [{from: [{source: {serviceAccounts: [$OWN/two]}}]}]}",
        Through { two: true, ..NOBODY },
    ),
    (
        "{rules: [{when: [{key: source.namespace, values: [$OTHER]}]}]}",
        Through {
            other: true,
            ..NOBODY
        },
    ),
    // No rule: nothing is allowed.
    ("{action: ALLOW}", NOBODY),
    ("{rules: [{}]}", ALL),
];

fn through(own: &Namespace<'_>, other: &Namespace<'_>) -> Through {
    let url = format!("http://server.{}/", own.name());
    let answered = |mesh: &Namespace<'_>, from: &str| mesh.get(from, &url, &[]).status == Some(200);
    let target = format!("server.{}:9000", own.name());
    Through {
        one: answered(own, "one"),
        two: answered(own, "two"),
        other: answered(other, "other"),
        tcp: own
            .exec("one", &["tcp", &target, "hello"])
            .is_ok_and(|answer| answer.contains("hello")),
    }
}

#[test]
fn policies_of_layer_4_are_enforced() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let own = bed.namespace_with("own", Settings::Ambient);
    let other = bed.namespace_with("other", Settings::Ambient);
    own.server("one");
    own.server("two");
    own.server("server");
    other.server("other");
    let address = pod_address(&own, "one");
    eventually(SOON, || match through(&own, &other) {
        ALL => Ok(()),
        some => Err(format!("{some:?}")),
    });
    for (spec, expected) in TABLE {
        let spec = spec
            .replace("$OWN", own.name())
            .replace("$OTHER", other.name())
            .replace("$ONE", &address);
        own.apply(&format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: policy}}\n\
             spec: {spec}\n"
        ));
        // The last policy may still be in force, and say the same as this one for some.
        settled(SOON, Duration::from_secs(2), || match through(&own, &other) {
            found if found == *expected => Ok(()),
            found => Err(format!("{spec}\nexpected {expected:?}\nfound    {found:?}")),
        });
    }
}

#[test]
fn a_policy_that_selects_pods_ends_connections_that_it_forbids() {
    let Some(bed) = Bed::shared_ambient() else { return };
    let mesh = bed.namespace_with("tunnel", Settings::Ambient);
    mesh.server("client");
    mesh.server("server");
    mesh.server("bystander");
    eventually(SOON, || mesh.get("client", "http://server/", &[]).expect(200));
    mesh.apply(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: none}\n\
         spec: {selector: {matchLabels: {app: server}}}\n",
    );
    // A request that waits for its answer while the policy comes.
    let begun = std::time::Instant::now();
    let slow = mesh.get("client", "http://server/?delay=20000", &[]);
    no_answer(slow).unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "the connection lived on"
    );
    mesh.get("client", "http://bystander/", &[]).expect(200).unwrap();
}
