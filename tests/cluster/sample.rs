//! The sample mesh: every client reaches what it may, is refused what it may not, over every protocol.

use bed::load::{control, unexpected};
use bed::{Bed, eventually, settled};
use std::fs;
use std::time::Duration;

const NAMESPACES: [&str; 3] = ["shop", "orders", "accounts"];

/// How long the mesh is watched.
const WATCHED: Duration = Duration::from_secs(15);

fn manifests() -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/meshes/shop");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    // Namespaces come first.
    files.sort_by_key(|path| (!path.ends_with("namespaces.yaml"), path.clone()));
    let texts: Vec<_> = files
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    texts.join("---\n")
}

#[test]
fn every_client_of_the_sample_mesh_gets_what_it_may_and_nothing_else() {
    let Some(bed) = Bed::shared() else { return };
    bed.kubectl().apply(&manifests()).unwrap();
    for namespace in NAMESPACES {
        let all = ["--namespace", namespace, "rollout", "status", "--timeout=240s"];
        let workloads = bed
            .kubectl()
            .run(&[
                "--namespace",
                namespace,
                "get",
                "deployment,statefulset,daemonset",
                "--output=name",
            ])
            .unwrap();
        for workload in workloads.lines() {
            bed.kubectl().run(&[&all[..], &[workload]].concat()).unwrap();
        }
    }
    let job = [
        "--namespace",
        "orders",
        "wait",
        "--for=condition=Complete",
        "--timeout=120s",
        "job/import",
    ];
    bed.kubectl().run(&job).unwrap();

    // Proxies learn of each other one after the other; then nothing may go wrong any more.
    settled(Duration::from_secs(90), Duration::from_secs(4), || {
        for namespace in NAMESPACES {
            let report = control(bed, namespace, "GET", "/report")?;
            control(bed, namespace, "POST", "/reset")?;
            let wrong = unexpected(&report);
            if wrong.iter().any(|stream| !stream.contains("\"sent\":0")) {
                return Err(format!("{namespace}: {}", wrong.join("\n")));
            }
        }
        Ok(())
    });
    std::thread::sleep(WATCHED);
    for namespace in NAMESPACES {
        let report = eventually(Duration::from_secs(10), || {
            control(bed, namespace, "GET", "/report")
        });
        assert_eq!(unexpected(&report), Vec::<String>::new(), "{namespace}");
        if namespace == "shop" {
            let versions = &report["streams"]["web-split"]["versions"];
            assert!(versions["v1"].as_u64() > versions["v2"].as_u64(), "{versions}");
        }
    }
    for namespace in NAMESPACES {
        bed.kubectl()
            .run(&["delete", "namespace", namespace, "--wait=false"])
            .unwrap();
    }
}
