//! The manifests of the data plane are what a real API server takes.

use super::{MESH_BED, client};
use serde_json::Value;
use std::process::Command;

fn objects(arguments: &[&str]) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_mesh-migrate"))
        .args(["payload", "manifests", "--hub", "registry.example.com/mesh"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    client::parse(&String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_api_server_takes_every_object_and_knows_every_field() {
    let Some(bed) = &*MESH_BED else { return };
    let all = [
        "--revision=1-31",
        "--cluster-id=0x1f",
        "--cluster-domain=mesh.example",
        "--network=1e3",
        "--image-pull-secret=null",
        "--cni-bin-dir=/home/kubernetes/bin",
        "--cni-conf-name=10-x.conflist",
        "--no-dns-capture",
        "--log-level=debug",
    ];
    for arguments in [&[][..], &all] {
        let objects = objects(arguments);
        assert_eq!(objects.len(), 8);
        for object in &objects {
            assert_eq!(client::refusal(&bed.kubeconfig(), object), None);
        }
    }
    // The server would have said so.
    let mut wrong = objects(&[]).pop().unwrap();
    wrong["spec"]["template"]["spec"]["containers"][0]["securityContext"]["capability"] = "x".into();
    assert!(
        client::refusal(&bed.kubeconfig(), &wrong)
            .unwrap()
            .contains("capability")
    );
}
