//! Pushes of istiod's: bytes, to state, to decisions. An input is one or more pushes, each after two bytes of length.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh_fuzz::mesh;
use prost::Message;
use proxy::config::{Config, Environment};
use proxy::control::grpc::Dialer;
use proxy::control::xds::Client;
use proxy::identity::Identity;
use proxy::outbound::route;
use proxy::proto::discovery::DeltaResponse;
use proxy::state::{State, Store};
use proxy::telemetry::Metrics;
use semantics::layer_4::{self, Connection};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};

static CONFIG: LazyLock<Config> = LazyLock::new(|| Config::read(&Environment(&|_| None), &[]).unwrap());
static MESH: LazyLock<State> = LazyLock::new(mesh);

fuzz_target!(|input: &[u8]| {
    let store = Arc::<Store>::default();
    store.replace(MESH.clone());
    let dialer = Dialer::new(&CONFIG.xds, &CONFIG, None);
    let mut client = Client::new(&CONFIG, dialer, store.clone(), Arc::<Metrics>::default());
    // One whole message, or several after each other.
    match DeltaResponse::decode(input) {
        Ok(response) => drop(client.apply(response)),
        Err(_) => {
            let mut rest = input;
            while let Some((length, tail)) = rest.split_first_chunk::<2>() {
                let (push, tail) = tail.split_at(usize::from(u16::from_be_bytes(*length)).min(tail.len()));
                if let Ok(response) = DeltaResponse::decode(push) {
                    client.apply(response);
                }
                rest = tail;
            }
        }
    }
    decide(&store.load());
});

/// Asks about everything that there is.
fn decide(state: &State) {
    let identity = Identity::new("cluster.local", "shop", "client").unwrap();
    let addresses = state.workloads().flat_map(|workload| workload.addresses.clone());
    let vips = state
        .services()
        .flat_map(|service| service.addresses.iter().map(|place| place.address));
    let addresses: Vec<IpAddr> = addresses.chain(vips).take(16).collect();
    for workload in state.workloads().take(8) {
        for &address in &addresses {
            let _ = route::decide(state, workload, address, SocketAddr::new(address, 80));
        }
        let Ok(policies) = state.policies_for(workload) else {
            continue;
        };
        for peer in [None, Some(identity.peer())] {
            let connection = Connection {
                peer,
                source: IpAddr::from([10, 0, 0, 1]),
                destination: addresses.first().copied().unwrap_or(IpAddr::from([0, 0, 0, 0])),
                port: 8080,
            };
            let _ = layer_4::decide(policies.iter().copied(), &connection);
        }
    }
}
