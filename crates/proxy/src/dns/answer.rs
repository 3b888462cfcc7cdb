//! Answers about names of the mesh: a function of the state, the client and the request.

use crate::state::State;
use crate::state::model::{Service, Workload};
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use std::net::IpAddr;
use std::sync::Arc;

/// How long an answer holds, in seconds.
const TTL: u32 = 30;

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// These bytes are the answer.
    Message(Vec<u8>),
    /// Others must know.
    Forward,
    /// It is no request.
    Garbage,
}

/// Answers a request of `client`. `domain` is the cluster's, `limit` the largest answer for a client that names none,
/// in bytes.
#[must_use]
pub fn answer(state: &State, client: &Workload, domain: &str, request: &[u8], limit: usize) -> Answer {
    let Ok(message) = Message::from_vec(request) else {
        return Answer::Garbage;
    };
    let [query] = message.queries.as_slice() else {
        return Answer::Forward;
    };
    let wanted = query.query_type();
    let is_question = message.metadata.message_type == MessageType::Query
        && message.metadata.op_code == OpCode::Query
        && query.query_class() == DNSClass::IN
        && matches!(wanted, RecordType::A | RecordType::AAAA);
    if !is_question {
        return Answer::Forward;
    }
    let name = query.name().to_ascii().to_ascii_lowercase();
    let Some(found) = find(state, client, domain, name.trim_end_matches('.')) else {
        return Answer::Forward;
    };
    let Some(mut addresses) = addresses(state, client, domain, found.service) else {
        return Answer::Forward;
    };
    addresses.retain(|address| address.is_ipv4() == (wanted == RecordType::A));
    fastrand::shuffle(&mut addresses);
    let mut owner = query.name().clone();
    let mut records = Vec::with_capacity(addresses.len() + 1);
    if let Some(alias) = found.alias
        && let Ok(target) = Name::from_ascii(format!("{alias}."))
    {
        records.push(Record::from_rdata(
            owner,
            TTL,
            RData::CNAME(CNAME(target.clone())),
        ));
        owner = target;
    }
    records.extend(addresses.into_iter().map(|address| {
        let data = match address {
            IpAddr::V4(v4) => RData::A(A(v4)),
            IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
        };
        Record::from_rdata(owner.clone(), TTL, data)
    }));
    reply(&message, ResponseCode::NoError, records, limit).map_or(Answer::Garbage, Answer::Message)
}

/// The type of record that a request asks for, in lower case.
#[must_use]
pub fn kind(request: &[u8]) -> Option<String> {
    let message = Message::from_vec(request).ok()?;
    let query = message.queries.first()?;
    Some(query.query_type().to_string().to_lowercase())
}

/// The answer when nobody upstream answers.
#[must_use]
pub fn failure(request: &[u8]) -> Option<Vec<u8>> {
    let message = Message::from_vec(request).ok()?;
    reply(&message, ResponseCode::ServFail, Vec::new(), usize::MAX)
}

fn reply(request: &Message, code: ResponseCode, records: Vec<Record>, limit: usize) -> Option<Vec<u8>> {
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.add_queries(request.queries.iter().cloned());
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.metadata.authoritative = code == ResponseCode::NoError;
    response.metadata.response_code = code;
    response.add_answers(records);
    let bytes = response.to_vec().ok()?;
    let limit = if limit == usize::MAX {
        limit
    } else {
        limit.max(usize::from(request.max_payload()))
    };
    if bytes.len() <= limit {
        return Some(bytes);
    }
    // The client asks again by TCP.
    response.answers.clear();
    response.metadata.truncation = true;
    response.to_vec().ok()
}

struct Found<'a> {
    service: &'a Arc<Service>,
    /// The name that was meant, if a search domain of the client's had been added to it.
    alias: Option<String>,
}

fn find<'a>(state: &'a State, client: &Workload, domain: &str, name: &str) -> Option<Found<'a>> {
    let namespace = &client.namespace;
    let search = [
        format!(".{namespace}.svc.{domain}"),
        format!(".svc.{domain}"),
        format!(".{domain}"),
    ];
    let stripped = search
        .iter()
        .filter_map(|suffix| name.strip_suffix(suffix.as_str()));
    let meant: Vec<&str> = std::iter::once(name).chain(stripped).collect();
    let alias = |meant: &str| (meant != name).then(|| meant.to_owned());
    let named = |name: &str| state.service_named(name, namespace);
    for meant in &meant {
        if let Some(service) = expansions(meant, namespace, domain)
            .iter()
            .find_map(|name| named(name))
        {
            let alias = alias(meant);
            return Some(Found { service, alias });
        }
    }
    meant.iter().find_map(|meant| {
        let service = wildcards(meant).find_map(|name| named(&name))?;
        let alias = alias(meant);
        Some(Found { service, alias })
    })
}

/// The names that a short name can stand for, itself first.
fn expansions(name: &str, namespace: &str, domain: &str) -> Vec<String> {
    let labels = name.split('.').count();
    let mut names = vec![name.to_owned()];
    match labels {
        1 => names.push(format!("{name}.{namespace}.svc.{domain}")),
        2 => {
            names.push(format!("{name}.svc.{domain}"));
            names.push(format!("{name}.{namespace}.svc.{domain}"));
        }
        3 => {
            if name.ends_with(".svc") {
                names.push(format!("{name}.{domain}"));
            }
            names.push(format!("{name}.svc.{domain}"));
        }
        4 if name.ends_with(".svc") => names.push(format!("{name}.{domain}")),
        _ => {}
    }
    names
}

/// `*.b.c` and `*.c` for `a.b.c`.
fn wildcards(name: &str) -> impl Iterator<Item = String> {
    name.match_indices('.')
        .map(|(dot, _)| format!("*{}", &name[dot..]))
}

/// The addresses of a service for this client; `None` if others must know them.
fn addresses(state: &State, client: &Workload, domain: &str, service: &Service) -> Option<Vec<IpAddr>> {
    if !service.addresses.is_empty() {
        let own = service
            .addresses
            .iter()
            .filter(|place| place.network == client.network);
        return Some(own.map(|place| place.address).collect());
    }
    if !service.hostname.ends_with(&format!(".svc.{domain}")) {
        return None;
    }
    let endpoints = state.endpoints(service)?;
    let ready = endpoints.values().filter(|endpoint| {
        let workload = &endpoint.workload;
        (workload.healthy || service.allow_unhealthy) && workload.network == client.network
    });
    let found = ready.flat_map(|endpoint| {
        let first = |v4| {
            endpoint
                .workload
                .addresses
                .iter()
                .find(move |address| address.is_ipv4() == v4)
        };
        first(true).into_iter().chain(first(false)).copied()
    });
    Some(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::fixture::{in_service, pod, service, state};
    use hickory_proto::op::Query;
    use proptest::prelude::*;

    fn request(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message.to_vec().unwrap()
    }

    fn mesh() -> State {
        let mut external = service("external", &["240.0.0.1"]);
        external.hostname = "db.example.com".into();
        let mut wild = service("wild", &["240.0.0.2"]);
        wild.hostname = "*.wild.example".into();
        let mut direct = service("direct", &[]);
        direct.hostname = "direct.example.com".into();
        let mut foreign = service("foreign", &[]);
        foreign.namespace = "other".into();
        foreign.hostname = "foreign.other.svc.cluster.local".into();
        foreign.addresses = service("x", &["10.1.0.7"]).addresses;
        let mut sick = in_service(pod("b", "10.0.0.3"), "headless", vec![]);
        sick.status = 1;
        state(
            vec![
                pod("client", "10.0.0.1"),
                in_service(pod("a", "10.0.0.2"), "headless", vec![]),
                sick,
            ],
            vec![
                service("web", &["10.1.0.1", "fd00::1"]),
                service("v4", &["10.1.0.2"]),
                service("headless", &[]),
                external,
                wild,
                direct,
                foreign,
            ],
        )
    }

    fn ask(mesh: &State, name: &str, kind: RecordType) -> String {
        let client = mesh.workload_at(&"".into(), "10.0.0.1".parse().unwrap()).unwrap();
        match answer(mesh, client, "cluster.local", &request(name, kind), 512) {
            Answer::Garbage => "garbage".into(),
            Answer::Forward => "forward".into(),
            Answer::Message(bytes) => {
                let message = Message::from_vec(&bytes).unwrap();
                assert_eq!((message.metadata.id, message.metadata.authoritative), (7, true));
                assert!(message.answers.iter().all(|record| record.ttl == TTL));
                let data = message.answers.iter().map(|record| record.data.to_string());
                data.collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn names_of_the_mesh_are_answered_and_others_forwarded() {
        use RecordType::{AAAA, MX};
        let mesh = mesh();
        let a = RecordType::A;
        for (name, kind, expected) in [
            ("web.", a, "10.1.0.1"),
            ("web.shop.", a, "10.1.0.1"),
            ("web.shop.svc.", a, "10.1.0.1"),
            ("WEB.shop.svc.cluster.local.", a, "10.1.0.1"),
            ("web.shop.svc.cluster.local.", AAAA, "fd00::1"),
            // A family that the service has not: an empty answer, for there is such a name.
            ("v4.shop.svc.cluster.local.", AAAA, ""),
            ("headless.shop.svc.cluster.local.", a, "10.0.0.2"),
            ("foreign.other.", a, "10.1.0.7"),
            ("foreign.", a, "forward"),
            ("db.example.com.", a, "240.0.0.1"),
            (
                "db.example.com.shop.svc.cluster.local.",
                a,
                "db.example.com. 240.0.0.1",
            ),
            ("db.example.com.cluster.local.", a, "db.example.com. 240.0.0.1"),
            ("x.wild.example.", a, "240.0.0.2"),
            ("x.y.wild.example.", a, "240.0.0.2"),
            ("wild.example.", a, "forward"),
            ("direct.example.com.", a, "forward"),
            ("a.headless.shop.svc.cluster.local.", a, "forward"),
            ("example.org.", a, "forward"),
            ("web.shop.svc.cluster.local.", MX, "forward"),
        ] {
            assert_eq!(ask(&mesh, name, kind), expected, "{name} {kind}");
        }
    }

    #[test]
    fn a_long_answer_is_cut_for_datagrams_only() {
        let addresses: Vec<_> = (0..100).map(|n| format!("10.2.0.{n}")).collect();
        let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
        let mesh = state(vec![pod("client", "10.0.0.1")], vec![service("many", &addresses)]);
        let client = mesh.workload_at(&"".into(), "10.0.0.1".parse().unwrap()).unwrap();
        for (limit, count, truncated) in [(512, 0, true), (usize::MAX, 100, false)] {
            let request = request("many.", RecordType::A);
            let Answer::Message(bytes) = answer(&mesh, client, "cluster.local", &request, limit) else {
                panic!("no answer");
            };
            let message = Message::from_vec(&bytes).unwrap();
            assert_eq!(
                (message.answers.len(), message.metadata.truncation),
                (count, truncated)
            );
        }
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mesh = mesh();
            let client = mesh.workload_at(&"".into(), "10.0.0.1".parse().unwrap()).unwrap();
            let _ = answer(&mesh, client, "cluster.local", &bytes, 512);
            let _ = failure(&bytes);
        }
    }
}
