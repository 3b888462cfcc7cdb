//! The ledger against the schemas.

use super::super::root;
use mesh_migrate::code::Code;
use mesh_migrate::finding::Severity;
use mesh_migrate::ledger::gateway_api;
use rules::ledger::{faults, istio_fields, tables};
use serde_yaml::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The leaves of a schema, as `a[].b{}.c`.
pub fn leaves(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_mapping)
        && !properties.is_empty()
    {
        for (key, schema) in properties {
            let key = key.as_str().unwrap();
            let path = if path.is_empty() {
                key.to_owned()
            } else {
                format!("{path}.{key}")
            };
            leaves(schema, &path, found);
        }
    } else if let Some(items) = schema.get("items") {
        leaves(items, &format!("{path}[]"), found);
    } else if let Some(values) = schema.get("additionalProperties").filter(|v| v.is_mapping()) {
        leaves(values, &format!("{path}{{}}"), found);
    } else {
        found.insert(path.to_owned());
    }
}

/// The leaves of `spec` of all kinds and versions in a file of CRDs.
fn crd_leaves(file: &str) -> BTreeMap<String, BTreeSet<String>> {
    use serde::Deserialize;
    let text = std::fs::read_to_string(root().join(file)).unwrap();
    let mut kinds: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for document in serde_yaml::Deserializer::from_str(&text) {
        let document = Value::deserialize(document).unwrap();
        let Some(kind) = document["spec"]["names"]["kind"].as_str() else {
            continue;
        };
        for version in document["spec"]["versions"].as_sequence().unwrap() {
            let spec = &version["schema"]["openAPIV3Schema"]["properties"]["spec"];
            leaves(spec, "", kinds.entry(kind.to_owned()).or_default());
        }
    }
    kinds
}

#[test]
fn every_field_of_the_crds_has_one_row() {
    let codes: BTreeSet<String> = Code::pages().iter().map(|page| page.id.to_owned()).collect();
    let kinds = crd_leaves("testdata/crds/istio.yaml");
    let tables = tables(&root().join("ledger")).unwrap();
    let mut wrong = Vec::new();
    for (path, table) in &tables {
        let file = path.file_stem().unwrap().to_str().unwrap();
        assert_eq!(file, table.kind, "the file's name is the kind");
        let fields: Vec<&str> = kinds[&table.kind].iter().map(String::as_str).collect();
        wrong.extend(
            faults(table, &fields, &codes)
                .iter()
                .map(|fault| format!("{file}: {fault}")),
        );
    }
    assert_eq!(wrong, Vec::<String>::new());
    let with_table: BTreeSet<&String> = tables.iter().map(|(_, table)| &table.kind).collect();
    assert_eq!(with_table, kinds.keys().collect(), "kinds with a table");
}

#[test]
fn the_list_of_fields_is_that_of_the_crds() {
    let mut listed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for field in istio_fields(&root().join("ledger/istio-fields.tsv")).unwrap() {
        assert!((24..=31).contains(&field.since), "{field:?}");
        let fields = listed.entry(field.kind).or_default();
        assert!(fields.insert(field.path.clone()), "{} twice", field.path);
    }
    assert_eq!(listed, crd_leaves("testdata/crds/istio.yaml"));
}

/// The CRDs here are of 1.6, standard channel: what the ledger says is in that channel must be there.
#[test]
fn the_fields_of_the_gateway_api_are_those_of_its_crds() {
    for (kind, plural) in [
        ("HTTPRoute", "httproutes"),
        ("GRPCRoute", "grpcroutes"),
        ("Gateway", "gateways"),
        ("TCPRoute", "tcproutes"),
        ("TLSRoute", "tlsroutes"),
        ("ReferenceGrant", "referencegrants"),
        ("BackendTLSPolicy", "backendtlspolicies"),
    ] {
        let file = format!("testdata/crds/gateway.networking.k8s.io_{plural}.yaml");
        let found = crd_leaves(&file).remove(kind).unwrap();
        let listed: BTreeSet<String> = gateway_api()
            .iter()
            .filter(|field| field.kind == kind && field.version == "v1" && field.standard.is_some())
            .filter_map(|field| field.field.strip_prefix("spec."))
            .map(|field| field.split('=').next().unwrap().to_owned())
            .collect();
        let lost: Vec<&String> = listed
            .difference(&found)
            .filter(|field| !is_whole(field, &found))
            .collect();
        assert_eq!(lost, Vec::<&String>::new(), "{kind}: not in the CRD");
        let missing: Vec<&String> = found
            .difference(&listed)
            .filter(|field| !is_below(field, &listed))
            .collect();
        assert_eq!(missing, Vec::<&String>::new(), "{kind}: not in the ledger");
    }
}

/// Mappings such as `options` stand without their marker in the table of the Gateway API.
fn is_whole(field: &str, found: &BTreeSet<String>) -> bool {
    found.contains(&format!("{field}{{}}"))
}

fn is_below(field: &str, listed: &BTreeSet<String>) -> bool {
    listed.contains(field.trim_end_matches("{}"))
}

/// A message that stands in the way belongs to a row that says so, and the other way round.
#[test]
fn blockers_have_messages_that_block() {
    let blocks = |code: &String| {
        let page = Code::pages().iter().find(|page| page.id == code);
        page.is_some_and(|page| page.severity == Severity::Blocker)
    };
    let mut wrong = Vec::new();
    for (_, table) in tables(&root().join("ledger")).unwrap() {
        for row in table.object.iter().chain(&table.rows) {
            let has_message = row.codes.iter().any(blocks);
            let is_missing = row.codes.iter().any(|code| code == "-");
            match row.blocker.is_some() {
                true if !has_message && !is_missing => {
                    wrong.push(format!(
                        "{}.{} is a blocker without a message that blocks",
                        table.kind, row.field
                    ));
                }
                false if has_message => {
                    wrong.push(format!(
                        "{}.{} is no blocker and has the message of one",
                        table.kind, row.field
                    ));
                }
                _ => {}
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
