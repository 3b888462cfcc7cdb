use super::*;
use crate::proto::workload as wire;
use crate::state::fixture::{bytes, hostname, in_service, pod, service, state, waypoint};

const CLIENT: &str = "10.0.0.1";

fn plain(mut workload: wire::Workload) -> wire::Workload {
    workload.tunnel_protocol = 0;
    workload
}

fn waypoint_service(name: &str, address: &str) -> wire::Service {
    let mut found = service(name, &[address]);
    found.ports[0].service_port = 15008;
    found.ports[0].target_port = 15008;
    found
}

/// A route in a line: protocol, place, port, authority, identities.
fn line(result: Result<Route, Refusal>) -> String {
    let route = match result {
        Ok(route) => route,
        Err(refusal) => return format!("refused: {refusal}"),
    };
    let place = match route.place {
        Place::Address(address) => SocketAddr::new(address, route.port).to_string(),
        Place::Hostname(name) => format!("{name}:{}", route.port),
        Place::Remote => "remote".to_owned(),
    };
    let accounts = |identities: &[Identity]| {
        let names = identities
            .iter()
            .map(|identity| identity.peer().service_account.to_owned());
        names.collect::<Vec<_>>().join(",")
    };
    let name = |authority: &Authority| match authority {
        Authority::Exactly(text) => text.clone(),
        Authority::NextHop(port) => format!("*:{port}"),
    };
    match &route.protocol {
        Protocol::Tcp => format!("tcp {place}"),
        Protocol::Hbone { authority, expected } => {
            format!("hbone {place} {} [{}]", name(authority), accounts(expected))
        }
        Protocol::DoubleHbone {
            authority,
            gateway,
            expected,
        } => format!(
            "double {place} {} [{}] [{}]",
            authority,
            accounts(gateway),
            accounts(expected)
        ),
    }
}

fn mesh() -> State {
    let gateway_of_n2 = Some(wire::GatewayAddress {
        destination: Some(wire::GatewayDestination::Address(wire::NetworkAddress {
            network: "n2".into(),
            address: bytes("172.16.0.1"),
            length: None,
        })),
        hbone_mtls_port: 15443,
    });
    let remote = |name: &str, gateway| wire::Workload {
        network: "n2".into(),
        network_gateway: gateway,
        ..pod(name, "")
    };
    let own_port = wire::Port {
        service_port: 80,
        target_port: 9090,
        app_protocol: 0,
    };
    let with = |service: wire::Service, change: fn(&mut wire::Service)| {
        let mut service = service;
        change(&mut service);
        service
    };
    let mut behind = pod("behind", "10.0.0.5");
    behind.waypoint = waypoint("way");
    let mut lost = pod("lost", "10.0.0.6");
    lost.waypoint = waypoint("nowhere");
    let mut dns = plain(pod("dns", ""));
    dns.hostname = "db.example".into();
    let mut sick = pod("sick", "10.0.0.9");
    sick.status = 1;
    let mut gateway = pod("gateway", "172.16.0.1");
    gateway.network = "n2".into();
    let workloads = vec![
        pod("client", CLIENT),
        in_service(pod("web", "10.0.0.2"), "web", vec![]),
        in_service(plain(pod("old", "10.0.0.3")), "old", vec![own_port]),
        in_service(pod("way", "10.0.0.4"), "way", vec![]),
        behind,
        lost,
        in_service(dns, "dns", vec![]),
        in_service(sick, "sick", vec![]),
        in_service(pod("guarded", "10.0.0.10"), "guarded", vec![]),
        in_service(remote("remote", gateway_of_n2), "remote", vec![]),
        in_service(remote("stranded", None), "stranded", vec![]),
        in_service(plain(pod("both", "10.1.0.20")), "both", vec![]),
        gateway,
    ];
    let services = vec![
        with(service("web", &["10.1.0.1"]), |s| {
            s.subject_alt_names = vec!["spiffe://cluster.local/ns/shop/sa/extra".into(), "urn:x".into()];
        }),
        service("old", &["10.1.0.2"]),
        waypoint_service("way", "10.1.0.3"),
        with(service("guarded", &["10.1.0.4"]), |s| {
            s.waypoint = waypoint("way");
        }),
        with(service("unguarded", &["10.1.0.5"]), |s| {
            s.waypoint = waypoint("nowhere");
        }),
        with(service("deserted", &["10.1.0.6"]), |s| {
            s.waypoint = waypoint("empty");
        }),
        waypoint_service("empty", "10.1.0.7"),
        with(service("through", &["10.1.0.8"]), |s| {
            s.load_balancing = Some(wire::LoadBalancing {
                mode: 3,
                ..wire::LoadBalancing::default()
            });
        }),
        service("dns", &["10.1.0.9"]),
        service("sick", &["10.1.0.10"]),
        with(service("remote", &["10.1.0.11"]), |s| {
            s.subject_alt_names = vec!["spiffe://cluster.local/ns/shop/sa/there".into()];
        }),
        service("stranded", &["10.1.0.12"]),
        with(service("both", &["10.1.0.20"]), |s| s.waypoint = waypoint("way")),
        with(service("weighted", &["10.1.0.13"]), |s| {
            s.weighted_waypoints = vec![
                wire::WeightedWaypoint {
                    destination: waypoint("way"),
                    weight: 1,
                },
                wire::WeightedWaypoint {
                    destination: waypoint("nowhere"),
                    weight: 0,
                },
            ];
        }),
    ];
    state(workloads, services)
}

#[test]
fn every_case_of_the_table_goes_where_it_must() {
    let mesh = mesh();
    let network = "".into();
    let client = mesh.workload_at(&network, CLIENT.parse().unwrap()).unwrap();
    for (dialled, expected, why) in [
        (
            "127.0.0.1:15001",
            "refused: self call: the proxy's own port is no destination",
            "1",
        ),
        (
            "[::1]:15008",
            "refused: self call: the proxy's own port is no destination",
            "1",
        ),
        (
            "10.1.0.4:80",
            "hbone 10.0.0.4:15008 10.1.0.4:80 [way]",
            "3 service with waypoint",
        ),
        (
            "10.1.0.4:9999",
            "hbone 10.0.0.4:15008 10.1.0.4:9999 [way]",
            "3 the waypoint judges the port",
        ),
        (
            "10.1.0.13:80",
            "hbone 10.0.0.4:15008 10.1.0.13:80 [way]",
            "3 weighted waypoints",
        ),
        ("10.1.0.5:80", "refused: unknown waypoint", "3a waypoint unknown"),
        (
            "10.1.0.6:80",
            "refused: unknown waypoint",
            "3a waypoint without endpoint",
        ),
        ("10.1.0.8:7", "tcp 10.1.0.8:7", "4 passthrough service, any port"),
        (
            "10.1.0.1:81",
            "refused: no healthy upstream",
            "5 port not in the service",
        ),
        (
            "10.1.0.10:80",
            "refused: no healthy upstream",
            "5 no ready endpoint",
        ),
        (
            "10.1.0.12:80",
            "refused: no healthy upstream",
            "5 other network without gateway",
        ),
        (
            "10.1.0.11:80",
            "double 172.16.0.1:15443 remote.shop.svc.cluster.local:80 [gateway] [there]",
            "6 other network",
        ),
        (
            "10.1.0.1:80",
            "hbone 10.0.0.2:15008 *:8080 [web,extra]",
            "7 service with HBONE",
        ),
        (
            "10.0.0.2:4321",
            "hbone 10.0.0.2:15008 *:4321 [web]",
            "7 pod address, any port",
        ),
        (
            "10.0.0.10:80",
            "hbone 10.0.0.10:15008 *:80 [guarded]",
            "7 behind a service waypoint only",
        ),
        (
            "10.1.0.2:80",
            "tcp 10.0.0.3:9090",
            "8 plain, port of the endpoint",
        ),
        ("10.0.0.3:22", "tcp 10.0.0.3:22", "8 plain pod"),
        ("10.1.0.9:80", "tcp db.example:8080", "8 a name to resolve"),
        (
            "10.0.0.5:8080",
            "hbone 10.0.0.4:15008 10.0.0.5:8080 [way]",
            "9 workload waypoint",
        ),
        ("10.0.0.6:8080", "refused: unknown waypoint", "9 fails closed"),
        ("192.0.2.1:443", "tcp 192.0.2.1:443", "11 unknown"),
        ("[2001:db8::1]:443", "tcp [2001:db8::1]:443", "11 unknown"),
        (
            "10.1.0.20:80",
            "tcp 10.1.0.20:8080",
            "an address that is both skips the service waypoint",
        ),
    ] {
        let route = decide(&mesh, client, CLIENT.parse().unwrap(), dialled.parse().unwrap());
        assert_eq!(line(route), expected, "{why}: {dialled}");
    }
}

#[test]
fn the_waypoint_itself_goes_on_to_the_workload() {
    let mesh = mesh();
    let network = "".into();
    let way = mesh.workload_at(&network, "10.0.0.4".parse().unwrap()).unwrap();
    let dialled = "10.0.0.5:8080".parse().unwrap();
    for (source, expected) in [
        ("10.0.0.4", "hbone 10.0.0.5:15008 *:8080 [behind]"),
        // The identity alone is not enough.
        ("10.0.0.99", "hbone 10.0.0.4:15008 10.0.0.5:8080 [way]"),
    ] {
        assert_eq!(
            line(decide(&mesh, way, source.parse().unwrap(), dialled)),
            expected
        );
    }
}

#[test]
fn a_private_service_is_not_seen_from_elsewhere() {
    let mut private = service("web", &["10.1.0.1"]);
    private.visibility = 1;
    let mesh = state(
        vec![
            pod("client", CLIENT),
            in_service(pod("web", "10.0.0.2"), "web", vec![]),
        ],
        vec![private],
    );
    let network = "".into();
    let client = mesh.workload_at(&network, CLIENT.parse().unwrap()).unwrap();
    let dialled = "10.1.0.1:80".parse().unwrap();
    let source = CLIENT.parse().unwrap();
    assert!(line(decide(&mesh, client, source, dialled)).starts_with("hbone"));
    let stranger = Workload {
        namespace: "other".into(),
        ..Workload::clone(client)
    };
    assert_eq!(line(decide(&mesh, &stranger, source, dialled)), "tcp 10.1.0.1:80");
    assert_eq!(mesh.service_named(&hostname("web"), "other"), None);
}

#[test]
fn preferences_narrow_the_choice() {
    let on = |name: &str, address: &str, node: &str| {
        let mut found = in_service(pod(name, address), "web", vec![]);
        found.node = node.into();
        found
    };
    let balanced = |mode, routing_preference: &[i32]| {
        let mut found = service("web", &["10.1.0.1"]);
        found.load_balancing = Some(wire::LoadBalancing {
            mode,
            routing_preference: routing_preference.to_vec(),
            health_policy: 0,
        });
        found
    };
    for (mode, preference, nodes, expected) in [
        (1, [4], ["n2", "n1"], "hbone 10.0.0.3:15008 *:8080 [b]"),
        (1, [4], ["n2", "n3"], "refused: no healthy upstream"),
        (2, [4], ["n2", "n1"], "hbone 10.0.0.3:15008 *:8080 [b]"),
    ] {
        let mesh = state(
            vec![
                pod("client", CLIENT),
                on("a", "10.0.0.2", nodes[0]),
                on("b", "10.0.0.3", nodes[1]),
            ],
            vec![balanced(mode, &preference)],
        );
        let network = "".into();
        let client = mesh.workload_at(&network, CLIENT.parse().unwrap()).unwrap();
        for _ in 0..20 {
            let route = decide(
                &mesh,
                client,
                CLIENT.parse().unwrap(),
                "10.1.0.1:80".parse().unwrap(),
            );
            assert_eq!(line(route), expected);
        }
    }
}
