//! Datagrams of pods to the DNS proxy, through its answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy::dns::answer::{Answer, answer, failure};
use proxy::state::State;
use std::sync::LazyLock;

static MESH: LazyLock<State> = LazyLock::new(mesh_fuzz::mesh);

fuzz_target!(|request: &[u8]| {
    let client = MESH.workload("Kubernetes//Pod/shop/client").unwrap();
    for limit in [512, usize::MAX] {
        if let Answer::Message(reply) = answer(&MESH, client, "cluster.local", request, limit) {
            // An answer is to be read by who asked, and is about what was asked.
            assert_eq!(reply[..2], request[..2]);
            assert!(reply[2] & 0x80 != 0);
            let again = answer(&MESH, client, "cluster.local", &reply, limit);
            assert_eq!(again, Answer::Forward, "a reply is no question");
        }
    }
    if let Some(reply) = failure(request) {
        assert_eq!(reply[..2], request[..2]);
    }
});
