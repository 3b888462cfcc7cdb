//! Plain connections to a pod: let in as far as policy lets in somebody without an identity.

use super::{Asked, Denied};
use crate::outbound::route::is_own_port;
use crate::pod::Pod;
use crate::sys;
use crate::telemetry::{self, Ends, Flag, Reporter, Tracked};
use crate::transfer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;

/// Serves a connection that was redirected to us.
pub async fn serve(pod: Arc<Pod>, stream: TcpStream, source: SocketAddr) {
    let since = Instant::now();
    sys::reset_on_close(&stream);
    let Ok(destination) = sys::original_destination(&stream) else {
        return;
    };
    let state = pod.node.store.load_full();
    let ends = Ends {
        reporter: Reporter::Destination,
        source,
        client: state.workload_at(&pod.node.config.network, source.ip()).cloned(),
        client_identity: None,
        destination,
        authority: None,
        server: super::own(&pod, &state).cloned(),
        service: None,
    };
    drop(state);
    let metrics = &pod.node.metrics;
    if is_own_port(destination.port()) {
        telemetry::failed_early(metrics, &ends, Flag::Connect, &"self call");
        return;
    }
    let asked = Asked {
        peer: None,
        source,
        destination,
    };
    if let Err(denied) = asked.authorize(&pod).await {
        return if denied == Denied::UnknownPod {
            telemetry::failed_early(metrics, &ends, Flag::Deny, &denied);
        } else {
            telemetry::failed(metrics, ends, since, Flag::Deny, &denied);
        };
    }
    let from = pod.spoofed(source.ip(), destination.ip());
    let server = match pod.sockets.connect(from, destination).await {
        Ok(server) => server,
        Err(error) => {
            telemetry::failed(metrics, ends, since, Flag::Connect, &error);
            return;
        }
    };
    let mut tracked = Tracked::open(metrics, ends, since);
    let result = tokio::select! {
        result = transfer::both_ways(transfer::tcp(stream), transfer::tcp(server), &tracked) => {
            result.map_err(|error| (Flag::Connect, error.to_string()))
        }
        denied = asked.revoked(&pod) => Err((Flag::Deny, denied.to_string())),
    };
    if let Err((flag, error)) = result {
        tracked.fail(flag, &error);
    }
}
