//! Every rule on cases where it fires and where it is quiet.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its cases has to stop")]

use mesh_migrate::input::files::{Text, read_texts};
use mesh_migrate::precheck::{Precheck, load_rules, precheck};
use model::{ClusterCoverage, Coverage, Mesh, Origin, Resource};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The files of a case, by names relative to the folder of the rule's cases.
fn texts(case: &Path) -> Vec<Text> {
    let mut files = Vec::new();
    if case.is_dir() {
        collect(case, &mut files);
    } else {
        files.push(case.to_owned());
    }
    files.sort();
    let base = case.parent().unwrap();
    let name = |file: &Path| file.strip_prefix(base).unwrap().display().to_string();
    files
        .iter()
        .map(|file| Text {
            name: name(file).into(),
            content: std::fs::read_to_string(file).unwrap(),
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// Reads a case as files, or as if its objects came from a cluster where its name says so.
fn mesh_of(case: &Path) -> Mesh {
    let input = read_texts(&texts(case));
    assert!(input.errors.is_empty(), "{}: {:?}", case.display(), input.errors);
    let stem = case.file_stem().unwrap().to_str().unwrap();
    if !stem.contains("-cluster") {
        return input.mesh;
    }
    let mut coverage = ClusterCoverage::default();
    if stem.contains("-no-gateway-api") {
        coverage.not_installed = BTreeSet::from([
            model::Kind::Gateway,
            model::Kind::GatewayClass,
            model::Kind::HttpRoute,
        ]);
    }
    in_cluster(input.mesh, coverage)
}

fn in_cluster(mesh: Mesh, coverage: ClusterCoverage) -> Mesh {
    fn moved<T>(objects: Vec<model::Object<T>>) -> impl Iterator<Item = model::Object<T>> {
        objects.into_iter().map(|mut object| {
            object.origin = Origin::Cluster;
            object
        })
    }
    let pods = mesh
        .pods
        .into_iter()
        .filter(|pod| !pod.meta.owner_references.is_empty())
        .collect();
    let resources = moved(mesh.virtual_services)
        .map(Resource::VirtualService)
        .chain(moved(mesh.gateways).map(Resource::Gateway))
        .chain(moved(mesh.authorization_policies).map(Resource::AuthorizationPolicy))
        .chain(moved(mesh.request_authentications).map(Resource::RequestAuthentication))
        .chain(moved(mesh.peer_authentications).map(Resource::PeerAuthentication))
        .chain(moved(mesh.services).map(Resource::Service))
        .chain(moved(mesh.service_entries).map(Resource::ServiceEntry))
        .chain(moved(mesh.workloads).map(Resource::Workload))
        .chain(moved(pods).map(Resource::Workload))
        .chain(moved(mesh.others).map(Resource::Untyped));
    Mesh::new(resources, Coverage::Cluster(coverage))
}

/// What a precheck says about one rule.
fn answer(precheck: &Precheck, id: &str) -> String {
    let mut text = String::new();
    for finding in precheck.findings.iter().filter(|f| f.code == id) {
        let _ = writeln!(
            text,
            "{} {}: {}",
            finding.severity, finding.location, finding.message
        );
    }
    for rule in precheck.not_checked.iter().filter(|n| n.code == id) {
        let _ = writeln!(text, "not checked: {}", rule.missing);
    }
    for _ in precheck.passed.iter().filter(|p| p.code == id) {
        text.push_str("passed\n");
    }
    text
}

fn cases() -> BTreeMap<String, Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/rules");
    std::fs::read_dir(root)
        .unwrap()
        .map(|entry| {
            let folder = entry.unwrap().path();
            let mut cases: Vec<PathBuf> = std::fs::read_dir(&folder)
                .unwrap()
                .map(|case| case.unwrap().path())
                .collect();
            cases.sort();
            (folder.file_name().unwrap().to_str().unwrap().to_owned(), cases)
        })
        .collect()
}

#[test]
fn rules_fire_and_are_quiet_as_recorded() {
    let rules = load_rules(&[]).unwrap();
    let mut report = String::new();
    for (id, cases) in cases() {
        for case in cases {
            let name = case.file_stem().unwrap().to_str().unwrap().to_owned();
            let precheck = precheck(&mesh_of(&case), &rules);
            let answer = answer(&precheck, &id);
            let fires = precheck.findings.iter().any(|finding| finding.code == id);
            assert_eq!(fires, name.starts_with("fires-"), "{id}/{name} says:\n{answer}");
            let _ = writeln!(
                report,
                "{id}/{name}\n  {}",
                answer.trim_end().replace('\n', "\n  ")
            );
        }
    }
    insta::assert_snapshot!("rules", report);
}

#[test]
fn every_rule_has_cases_that_fire_and_cases_that_are_quiet() {
    let rules = load_rules(&[]).unwrap();
    let cases = cases();
    let ids: Vec<&String> = rules.rules().iter().map(|rule| &rule.id).collect();
    assert_eq!(ids, cases.keys().collect::<Vec<_>>());
    for (id, cases) in cases {
        for prefix in ["fires-", "quiet-"] {
            let found = cases
                .iter()
                .any(|case| case.file_name().unwrap().to_str().unwrap().starts_with(prefix));
            assert!(found, "{id} has no case that begins with `{prefix}`");
        }
    }
}
