//! What becomes of meshes: every file in `testdata/convert` has its answer beside it.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

mod cases;

use cases::Case;
use clap::ValueEnum as _;
use mesh_migrate::convert::{Conversion, WaypointPer};
use mesh_migrate::input::Input;
use model::{Kind, Mesh, Node, ObjectMeta};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;

fn shown(input: &Input, conversion: &Conversion) -> String {
    let mut text = String::new();
    for outcome in &conversion.outcomes {
        writeln!(text, "{}: {:?}", outcome.id, outcome.disposition).unwrap();
    }
    for finding in input
        .errors
        .iter()
        .chain(&input.notes)
        .chain(&conversion.findings)
    {
        let Some(object) = &finding.location.object else {
            panic!("a finding without an object: {finding:?}")
        };
        writeln!(
            text,
            "\n{} {} {}: {object}\n  {}",
            finding.location, finding.severity, finding.code, finding.message
        )
        .unwrap();
    }
    for change in &conversion.changes {
        write!(
            text,
            "\n--- {} from {}\n{}",
            change.id,
            change.from,
            change.after.text()
        )
        .unwrap();
    }
    text
}

#[test]
fn every_case_has_its_answer() {
    insta::glob!("../testdata/convert", "*.yaml", |path| {
        let case = Case::read(path);
        insta::with_settings!({ snapshot_path => "../testdata/convert", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(shown(&case.input, &case.convert()));
        });
    });
}

#[test]
fn converting_the_output_again_changes_nothing() {
    for entry in std::fs::read_dir("testdata/convert")
        .unwrap()
        .flatten()
        .filter(|e| e.path().extension().is_some_and(|e| e == "yaml"))
    {
        let original = std::fs::read_to_string(entry.path()).unwrap();
        let first = Case::read(&entry.path()).convert();
        // In order, so two of one name stand side by side.
        let have_own_names = first.changes.windows(2).all(|pair| pair[0].id != pair[1].id);
        assert!(have_own_names, "{}", entry.path().display());
        let mut both = original;
        for change in &first.changes {
            write!(both, "\n---\n{}", change.after.text()).unwrap();
        }
        let second = Case::of(both).convert();
        let new: Vec<String> = second.changes.iter().map(|c| c.id.to_string()).collect();
        assert_eq!(new, Vec::<String>::new(), "{}", entry.path().display());
    }
}

/// Whoever sets the labels that the findings name finds nothing else to do: what was attached to Services stays there, and
/// no policy is missing at a Service that has a waypoint by now.
#[test]
fn waypoints_that_are_used_change_nothing() {
    let mut labelled = 0;
    for entry in std::fs::read_dir("testdata/convert")
        .unwrap()
        .flatten()
        .filter(|e| e.path().extension().is_some_and(|e| e == "yaml"))
    {
        let original = std::fs::read_to_string(entry.path()).unwrap();
        for per in ["namespace", "service"] {
            let mut case = Case::of(original.clone());
            case.options.waypoint_per = Some(WaypointPer::from_str(per, false).unwrap());
            let first = case.convert();
            let mut both = original.clone();
            for change in &first.changes {
                write!(both, "\n---\n{}", change.after.text()).unwrap();
            }
            let mut second = Case::of(both);
            second.options = case.options;
            labelled += set_labels(&mut second.input.mesh, &first);
            let second = second.convert();
            let new: Vec<String> = second.changes.iter().map(|c| c.id.to_string()).collect();
            assert_eq!(new, Vec::<String>::new(), "{} per {per}", entry.path().display());
            let made = first
                .changes
                .iter()
                .filter(|change| change.id.kind == Kind::Gateway);
            for waypoint in made {
                assert!(second.unchanged.contains(&waypoint.id), "{}", waypoint.id);
            }
        }
    }
    assert!(labelled > 50, "{labelled}");
}

/// Sets the labels that findings of [`WaypointMade`](MM3168) and [`WaypointThere`](MM3169) name, and those that Services of
/// subsets get from theirs. Gives how many.
fn set_labels(mesh: &mut Mesh, conversion: &Conversion) -> usize {
    let mut labels: Vec<(String, String)> = Vec::new();
    for finding in &conversion.findings {
        if !["MM3168", "MM3169"].contains(&&*finding.code) {
            continue;
        }
        let (_, rest) = finding
            .message
            .split_once("the label `istio.io/use-waypoint: ")
            .unwrap();
        let (name, rest) = rest.split_once("` is set on ").unwrap();
        let ids = rest.split(';').next().unwrap();
        labels.extend(ids.split(", ").map(|id| (id.to_owned(), name.to_owned())));
    }
    let mut set = 0;
    let mut label = |id: String, meta: &mut ObjectMeta| {
        if let Some((_, name)) = labels.iter().find(|(wanted, _)| *wanted == id) {
            meta.labels
                .insert("istio.io/use-waypoint".to_owned(), name.clone());
            set += 1;
        }
    };
    for service in &mut mesh.services {
        let origin = service.meta.labels.get("mesh-migrate.io/version-of");
        let id = match origin {
            Some(origin) => format!("{}/Service/{origin}", service.namespace()),
            None => service.id.to_string(),
        };
        label(id, &mut service.meta);
        if service.meta.labels.contains_key("mesh-migrate.io/version-of") {
            let labels = json!({ "metadata": { "labels": service.meta.labels } });
            let spec = Json::from(service.raw.get("spec").unwrap());
            service.raw = Node::from(json!({ "metadata": labels["metadata"], "spec": spec })).into();
        }
    }
    for entry in &mut mesh.service_entries {
        label(entry.id.to_string(), &mut entry.meta);
    }
    set
}

#[test]
fn a_route_with_the_defaults_of_the_api_server_is_the_same_route() {
    let source = std::fs::read_to_string("testdata/convert/trap-13-rewrite-of-an-exact-path.yaml").unwrap();
    let stored = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: web
  namespace: shop
  labels: {app.kubernetes.io/managed-by: mesh-migrate}
  annotations: {mesh-migrate.io/converted-from: shop/VirtualService/web}
spec:
  parentRefs: [{group: '', kind: Service, name: web}]
  rules:
  - matches: [{path: {type: Exact, value: /old}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /new}}}]
    backendRefs: [{group: '', kind: Service, name: new, port: 80, weight: 1}]
  - matches: [{path: {type: PathPrefix, value: /}}]
    backendRefs: [{group: '', kind: Service, name: old, port: 80, weight: WEIGHT}]
";
    for (weight, new) in [("1", 0), ("0", 1)] {
        let content = format!("{source}{}", stored.replace("WEIGHT", weight));
        assert_eq!(Case::of(content).convert().changes.len(), new, "weight {weight}");
    }
}
