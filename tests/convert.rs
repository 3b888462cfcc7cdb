//! What becomes of meshes: every file in `testdata/convert` has its answer beside it.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

mod cases;

use cases::Case;
use mesh_migrate::convert::Conversion;
use mesh_migrate::input::Input;
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
        let mut both = original;
        for change in &first.changes {
            write!(both, "\n---\n{}", change.after.text()).unwrap();
        }
        let second = Case::of(both).convert();
        let new: Vec<String> = second.changes.iter().map(|c| c.id.to_string()).collect();
        assert_eq!(new, Vec::<String>::new(), "{}", entry.path().display());
    }
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
