//! Sidecars of clients are led through a waypoint, each with its own certificate: an EnvoyFilter replaces their clusters
//! for the Service. `docs/taught-sidecars.md` explains the object and what was measured of it.

use super::admit::WITH_SIDECAR;
use super::{Draft, Scope, annotated};
use crate::plan::callers::Callers;
use crate::plan::document::{Check, Phase, TAUGHT, Target, Write};
use crate::plan::landscape::{Landscape, Server, ServerIndex};
use crate::plan::order::Order;
use model::traffic::ServicePort;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// The servers whose first pods move in a wave.
pub fn steps(scope: &Scope<'_>, wave: usize) -> Option<Draft> {
    let servers: Vec<ServerIndex> = scope
        .taught
        .iter()
        .filter(|(_, span)| span.first == wave)
        .map(|(&server, _)| server)
        .collect();
    if servers.is_empty() {
        return None;
    }
    let (namespace, _) = scope.order.waves.get(wave)?;
    let (mut writes, mut present) = (Vec::new(), Vec::new());
    for server in servers {
        let server = &scope.landscape.servers[server];
        writes.push(envoy_filter(scope, server));
        present.extend(server.service.spec.ports.iter().filter_map(|port| {
            let number = port.port?;
            Some(format!("\"{}\"", endpoint_id(server, number.0, "")))
        }));
    }
    Some(Draft {
        phase: Phase::Teach,
        about: namespace.clone(),
        title: format!("clients that still have a sidecar pass the waypoint of {namespace}, as themselves"),
        requires: Vec::new(),
        writes,
        checks: vec![
            Check::ProxyHolds {
                namespace: None,
                labels: BTreeMap::from([(WITH_SIDECAR.0.to_owned(), WITH_SIDECAR.1.to_owned())]),
                present,
                absent: Vec::new(),
            },
            Check::Settled { seconds: 5 },
        ],
        undo: "the EnvoyFilters are deleted; sidecars go to the pods again",
    })
}

/// What leads sidecars goes, once the last caller has moved.
pub fn undone(scope: &Scope<'_>, wave: usize) -> Option<Draft> {
    let root = &scope.landscape.mesh.settings.root_namespace;
    let writes: Vec<Write> = scope
        .taught
        .iter()
        .filter(|(_, span)| span.last == Some(wave))
        .map(|(&server, _)| Write::Delete {
            object: Target {
                api_version: API_VERSION.to_owned(),
                kind: "EnvoyFilter".to_owned(),
                namespace: Some(root.clone()),
                name: name(&scope.landscape.servers[server]),
            },
        })
        .collect();
    if writes.is_empty() {
        return None;
    }
    Some(Draft {
        phase: Phase::Unteach,
        about: scope.order.waves.get(wave)?.0.clone(),
        title: "no client has a sidecar any more: what led sidecars to waypoints goes".to_owned(),
        requires: Vec::new(),
        writes,
        checks: vec![Check::Settled { seconds: 1 }],
        undo: "the EnvoyFilters are written again",
    })
}

const API_VERSION: &str = "networking.istio.io/v1alpha3";

/// For how long sidecars are led to a server.
pub struct Span {
    /// The wave in which its first pods move.
    first: usize,
    /// The wave in which the last caller with a sidecar moves; none if some stay.
    last: Option<usize>,
}

/// The spans of all servers that sidecars are led to.
pub fn spans(landscape: &Landscape<'_>, order: &Order) -> BTreeMap<ServerIndex, Span> {
    let mut waves: Vec<Option<usize>> = vec![None; landscape.workloads.len()];
    for (wave, (_, own)) in order.waves.iter().enumerate() {
        for &index in own {
            waves[index] = Some(wave);
        }
    }
    let has_sidecar = |index: &usize| landscape.workloads[*index].membership.candidate;
    let everybody: Vec<usize> = (0..landscape.workloads.len()).filter(has_sidecar).collect();
    let last_of = |callers: &[usize]| -> Option<Option<usize>> {
        let mut callers = callers.iter();
        callers.try_fold(None, |last: Option<usize>, &caller| {
            Some(last.max(Some(waves[caller]?)))
        })
    };
    let of_everybody = last_of(&everybody);
    let span = |&server: &ServerIndex| {
        let moving = landscape.servers[server]
            .pods
            .iter()
            .filter_map(|&pod| waves[pod]);
        let own = moving.clone().max();
        let last = match order.callers.get(server) {
            Some(Callers::These(these)) => {
                let callers: Vec<usize> = these.iter().copied().filter(has_sidecar).collect();
                last_of(&callers)
            }
            Some(Callers::Anyone) | None => of_everybody,
        };
        let span = Span {
            first: moving.min()?,
            // A server's own pods may be its only callers.
            last: last.and_then(|last| last.max(own)),
        };
        Some((server, span))
    };
    order.taught.iter().filter_map(span).collect()
}

/// The name of the EnvoyFilter of a Service.
fn name(server: &Server<'_>) -> String {
    format!("taught-{}-{}", server.service.namespace(), server.service.name())
}

fn endpoint_id(server: &Server<'_>, port: u16, subset: &str) -> String {
    format!("{}/{port}/{subset}", name(server))
}

fn envoy_filter(scope: &Scope<'_>, server: &Server<'_>) -> Write {
    let service = server.service;
    let namespace = service.namespace();
    let subsets: BTreeSet<&str> = server
        .rules
        .iter()
        .flat_map(|rule| rule.spec.subsets.iter().map(|subset| subset.name.as_str()))
        .collect();
    let waypoint = format!(
        "$(service-address {namespace}/{}):15008",
        scope.waypoint(namespace)
    );
    let mut patches = Vec::new();
    for port in &service.spec.ports {
        let Some(number) = port.port.map(|port| port.0) else {
            continue;
        };
        patches.push(json!({
            "applyTo": "CLUSTER",
            "match": {
                "context": "SIDECAR_OUTBOUND",
                "cluster": { "service": server.host, "portNumber": number },
            },
            "patch": { "operation": "REMOVE" },
        }));
        for subset in std::iter::once("").chain(subsets.iter().copied()) {
            patches.push(json!({
                "applyTo": "CLUSTER",
                "match": { "context": "SIDECAR_OUTBOUND" },
                "patch": { "operation": "ADD", "value": cluster(server, port, number, subset, &waypoint) },
            }));
        }
    }
    annotated(
        API_VERSION,
        "EnvoyFilter",
        &scope.landscape.mesh.settings.root_namespace,
        &name(server),
        &json!({ TAUGHT: format!("{namespace}/{}", service.name()) }),
        &json!({ "configPatches": patches }),
    )
}

/// A cluster under istiod's name for it, whose only endpoint is the listener that opens tunnels.
fn cluster(server: &Server<'_>, port: &ServicePort, number: u16, subset: &str, waypoint: &str) -> Json {
    let name = format!("outbound|{number}|{subset}|{}", server.host);
    let service = server.service;
    let address = service.spec.cluster_ip.clone().filter(|ip| !ip.is_empty());
    let address = address.map(|ip| if ip.contains(':') { format!("[{ip}]") } else { ip });
    let address =
        address.unwrap_or_else(|| format!("$(service-address {}/{})", service.namespace(), service.name()));
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "10s",
        "transport_socket": {
            "name": "envoy.transport_sockets.internal_upstream",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
                "passthrough_metadata": [{ "name": "envoy.filters.listener.original_dst", "kind": { "host": {} } }],
                "transport_socket": {
                    "name": "envoy.transport_sockets.raw_buffer",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
                    },
                },
            },
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{
                "endpoint": { "address": { "envoy_internal_address": {
                    "server_listener_name": "connect_originate",
                    "endpoint_id": endpoint_id(server, number, subset),
                } } },
                "metadata": { "filter_metadata": { "envoy.filters.listener.original_dst": {
                    "local": format!("{address}:{number}"),
                    "waypoint": waypoint,
                } } },
            }] }],
        },
    });
    if is_http_2(port) {
        cluster["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": { "http2_protocol_options": {} },
            },
        });
    }
    cluster
}

/// Whether Istio takes a port for HTTP/2 ("Protocol Selection").
fn is_http_2(port: &ServicePort) -> bool {
    let declared = port
        .app_protocol
        .as_deref()
        .or(port.name.as_deref())
        .unwrap_or_default();
    let word = declared.split('-').next().unwrap_or_default().to_lowercase();
    matches!(word.as_str(), "grpc" | "http2" | "kubernetes.io/h2c") || declared == "kubernetes.io/h2c"
}
