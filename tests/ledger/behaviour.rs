//! The ledger against what `convert` does: in the cases of `testdata/convert`, and with every field set in turn.

use super::super::root;
use clap::ValueEnum as _;
use mesh_migrate::convert::{
    Conversion, Disposition, Options, Subsets, WaypointPer, assumed_services, convert,
};
use mesh_migrate::input::Input;
use mesh_migrate::input::files::{Text, read_texts};
use mesh_migrate::ledger::{Outcome, Row, Table, gateway_api, table, tables};
use rules::ledger::Pattern;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// Codes that a row names and no case in `testdata/convert` shows for that kind, and since when. A line goes as soon as a
/// case is there.
const NOT_YET: &[(&str, &str, &str)] = &[];

/// Codes that `convert` shows for a field and no row names, and since when.
const NOT_IN_THE_LEDGER: &[(&str, &str, &str)] = &[];

struct Case {
    name: String,
    options: Options,
    conversion: Conversion,
}

fn read(content: String) -> Input {
    read_texts(&[Text {
        name: "input.yaml".into(),
        content,
    }])
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(root().join("testdata/convert")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        let content = std::fs::read_to_string(&path).unwrap();
        let mut options = Options::default();
        let flags = content
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# options: "))
            .unwrap_or_default()
            .to_owned();
        let mut words = flags.split_whitespace();
        while let Some(flag) = words.next() {
            match flag {
                "--ingress" => options.ingress = true,
                "--istio" => options.istio = words.next().unwrap().parse().unwrap(),
                "--subsets" => options.subsets = Subsets::from_str(words.next().unwrap(), false).unwrap(),
                "--waypoint-per" => {
                    options.waypoint_per = Some(WaypointPer::from_str(words.next().unwrap(), false).unwrap());
                }
                "--gateway-api" => options.gateway_api = words.next().unwrap().parse().unwrap(),
                _ => {}
            }
        }
        let mut input = read(content);
        if flags.contains("--assume-services") {
            let assumed = assumed_services(&input.mesh);
            input.mesh = input.mesh.with_services(assumed);
        }
        let conversion = convert(&input.mesh, options);
        cases.push(Case {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            options,
            conversion,
        });
    }
    assert!(!cases.is_empty());
    cases
}

/// The rows for the place of a finding: those at, below or above its path, and those of the object where it is of no field.
fn rows_of(kind: &str, path: &str) -> Vec<&'static Row> {
    let Some(table) = table(kind) else {
        return Vec::new();
    };
    if path.is_empty() || path == "spec" || path.starts_with("metadata") {
        return table.object.iter().collect();
    }
    let mut path = path;
    loop {
        let rows: Vec<_> = table.below(path).into_iter().map(|(row, _)| row).collect();
        match path.rfind(['.', '[']) {
            Some(end) if rows.is_empty() => path = &path[..end],
            _ => return rows,
        }
    }
}

fn all_rows(table: &Table) -> impl Iterator<Item = &'static Row> + use<> {
    table.object.iter().chain(table.rows)
}

#[test]
fn every_code_of_a_row_has_a_case() {
    let mut shown = BTreeSet::new();
    for case in cases() {
        for finding in &case.conversion.findings {
            if let Some(object) = &finding.location.object {
                shown.insert((object.kind.name().to_owned(), finding.code.to_string()));
            }
        }
    }
    let mut wrong = Vec::new();
    for table in tables() {
        let codes: BTreeSet<&str> = all_rows(table).flat_map(|row| row.codes).copied().collect();
        for code in codes {
            let has_case = shown.contains(&(table.kind.to_owned(), code.to_owned()));
            let excused = NOT_YET
                .iter()
                .any(|(_, kind, not_yet)| *kind == table.kind && *not_yet == code);
            if has_case == excused {
                let what = if has_case {
                    "has a case now; take it from the list"
                } else {
                    "has no case"
                };
                wrong.push(format!("{} {code} {what}", table.kind));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// A kind of which nothing is made in any case has no row that says so, and the other way round.
#[test]
fn kinds_that_become_something_say_so() {
    let cases = cases();
    let changes = cases.iter().flat_map(|case| &case.conversion.changes);
    let found: BTreeSet<&str> = changes.map(|change| change.from.kind.name()).collect();
    let says = |table: &&Table| {
        let mut outcomes = all_rows(table).flat_map(|row| row.outcomes);
        outcomes.any(|(outcome, _)| *outcome == Outcome::Converted)
    };
    let said: BTreeSet<&str> = tables().iter().filter(says).map(|table| table.kind).collect();
    let with_table = |kind: &&str| table(kind).is_some();
    assert_eq!(said, found.into_iter().filter(with_table).collect());
}

#[test]
fn findings_of_the_cases_are_in_their_rows() {
    let mut wrong = BTreeSet::new();
    for case in cases() {
        for finding in &case.conversion.findings {
            let Some(object) = &finding.location.object else {
                continue;
            };
            let kind = object.kind.name();
            let path = finding.location.path.to_string();
            // Objects that cannot be read with certainty are kept whatever their fields are.
            let certain = !["MM3114", "MM3116"].contains(&&*finding.code);
            let rows = rows_of(kind, &path);
            let named = rows.iter().any(|row| row.codes.contains(&&*finding.code));
            if table(kind).is_some() && certain && !named && !is_excused(kind, &finding.code) {
                wrong.insert(format!(
                    "{kind} {path} shows {}: no row says so ({})",
                    finding.code, case.name
                ));
            }
        }
    }
    assert_eq!(wrong, BTreeSet::new());
}

fn is_excused(kind: &str, code: &str) -> bool {
    NOT_IN_THE_LEDGER
        .iter()
        .any(|(_, known, excused)| *known == kind && *excused == code)
}

/// What is written has a place in the release and channel that it is written for.
#[test]
fn new_objects_have_only_fields_of_their_release() {
    let mut wrong = BTreeSet::new();
    for case in cases() {
        for change in &case.conversion.changes {
            let object = change.after.to_json();
            let api = object["apiVersion"].as_str().unwrap();
            let Some(version) = api.strip_prefix("gateway.networking.k8s.io/") else {
                continue;
            };
            let kind = object["kind"].as_str().unwrap();
            let has = |field: &str| {
                gateway_api().iter().any(|known| {
                    known.kind == kind
                        && known.version == version
                        && known.field == field
                        && case.options.gateway_api.has(known.standard, known.experimental)
                })
            };
            if !has("(kind)") {
                wrong.insert(format!("{}: {kind} {version}", case.name));
            }
            for (field, value) in written(&object["spec"], "spec") {
                if !has(&field) && !has(&format!("{field}={value}")) {
                    wrong.insert(format!("{}: {kind} {field} = {value}", case.name));
                }
            }
        }
    }
    assert_eq!(wrong, BTreeSet::new());
}

/// The leaves of a value, with `[]` for lists. The options of a listener are a mapping with keys of its own.
fn written(value: &Json, path: &str) -> Vec<(String, String)> {
    match value {
        Json::Object(_) if path == "spec.listeners[].tls.options" => {
            vec![(path.to_owned(), value.to_string())]
        }
        Json::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| written(value, &format!("{path}.{key}")))
            .collect(),
        Json::Array(items) => items
            .iter()
            .flat_map(|item| written(item, &format!("{path}[]")))
            .collect(),
        Json::String(text) => vec![(path.to_owned(), text.clone())],
        other => vec![(path.to_owned(), other.to_string())],
    }
}

/// How a kind is tried: see `testdata/ledger/fields.yaml`.
struct Trial {
    api_version: String,
    spec: Json,
    values: Vec<(Pattern, Json)>,
}

fn trials() -> BTreeMap<String, Trial> {
    let text = std::fs::read_to_string(root().join("testdata/ledger/fields.yaml")).unwrap();
    let kinds: BTreeMap<String, Json> = serde_yaml::from_str(&text).unwrap();
    let trials = kinds.into_iter().map(|(kind, trial)| {
        let values = trial["values"].as_array().cloned().unwrap_or_default();
        let trial = Trial {
            api_version: trial["apiVersion"].as_str().unwrap().to_owned(),
            spec: trial["spec"].clone(),
            values: values
                .into_iter()
                .map(|value| (Pattern::new(value["field"].as_str().unwrap()), value))
                .collect(),
        };
        (kind, trial)
    });
    trials.collect()
}

/// Sets a field given by its path in the schema: in the first element of lists, under `key` in mappings.
fn set(object: &mut Json, path: &[&str], value: &Json, key: &str) {
    let Some((segment, rest)) = path.split_first() else {
        *object = value.clone();
        return;
    };
    let name = segment.trim_end_matches("[]").trim_end_matches("{}");
    // Only one of the three ways to match a text may be given.
    if ["exact", "prefix", "regex"].contains(&name) && rest.is_empty() {
        *object = json!({});
    }
    let field = &mut object[name];
    if segment.ends_with("[]") {
        if field.as_array().is_none_or(Vec::is_empty) {
            *field = json!([null]);
        }
        set(&mut field[0], rest, value, key);
    } else if segment.ends_with("{}") {
        set(&mut field[key], rest, value, key);
    } else {
        set(field, rest, value, key);
    }
}

/// Some value for a field, by the type in the schema.
fn some_value(schema: &Json) -> Json {
    if let Some(words) = schema["enum"].as_array() {
        // The first is the default or unspecified.
        return words.last().unwrap().clone();
    }
    match schema["type"].as_str() {
        Some("integer") => json!(7),
        Some("number") => json!(50),
        Some("boolean") => json!(true),
        Some("object") => json!({ "a": "b" }),
        _ => json!("x"),
    }
}

fn schema_of<'a>(schema: &'a Json, path: &[&str]) -> &'a Json {
    let Some((segment, rest)) = path.split_first() else {
        return schema;
    };
    let name = segment.trim_end_matches("[]").trim_end_matches("{}");
    let field = &schema["properties"][name];
    let field = if segment.ends_with("[]") {
        &field["items"]
    } else if segment.ends_with("{}") {
        &field["additionalProperties"]
    } else {
        field
    };
    schema_of(field, rest)
}

fn schemas() -> BTreeMap<String, Json> {
    use serde::Deserialize;
    let text = std::fs::read_to_string(root().join("testdata/crds/istio.yaml")).unwrap();
    let mut schemas = BTreeMap::new();
    for document in serde_yaml::Deserializer::from_str(&text) {
        let mut document = Json::deserialize(document).unwrap();
        if let Some(kind) = document["spec"]["names"]["kind"].as_str().map(str::to_owned) {
            let spec =
                document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].take();
            schemas.insert(kind, spec);
        }
    }
    schemas
}

/// What became of an object.
#[derive(PartialEq)]
struct Answer {
    disposition: Disposition,
    codes: BTreeSet<String>,
    output: Vec<String>,
    errors: Vec<String>,
}

fn answer(mesh: &str, kind: &str, api_version: &str, spec: &Json) -> Answer {
    let object = json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": { "name": "tried", "namespace": "shop" },
        "spec": spec,
    });
    let input = read(format!("{mesh}\n---\n{object}\n"));
    let conversion = convert(&input.mesh, Options::default());
    let is_tried = |name: &str, of: &str| name == "tried" && of == kind;
    let outcome = conversion
        .outcomes
        .iter()
        .find(|outcome| is_tried(&outcome.id.name, outcome.id.kind.name()));
    let codes = conversion.findings.iter().filter(|finding| {
        let object = finding.location.object.as_ref();
        object.is_some_and(|object| is_tried(&object.name, object.kind.name()))
    });
    Answer {
        // An object that cannot be read is not converted; the errors say why.
        disposition: outcome.map_or(Disposition::NotOurs, |outcome| outcome.disposition),
        codes: codes.map(|finding| finding.code.to_string()).collect(),
        output: conversion
            .changes
            .iter()
            .map(|change| change.after.text().to_owned())
            .collect(),
        errors: input
            .errors
            .iter()
            .chain(&input.notes)
            .map(|finding| format!("{} {}", finding.code, finding.message))
            .collect(),
    }
}

/// What is wrong with the row of a field, given the object without and with the field.
fn disagreement(table: &Table, row: &Row, without: &Answer, with: &Answer) -> Option<String> {
    let says = |wanted: &[Outcome]| row.outcomes.iter().any(|(outcome, _)| wanted.contains(outcome));
    let unnamed: Vec<&String> = with
        .codes
        .difference(&without.codes)
        .filter(|code| {
            let names = |row: &Row| row.codes.contains(&code.as_str());
            !names(row) && !table.object.iter().any(names)
        })
        .collect();
    if !unnamed.is_empty() {
        return Some(format!("{unnamed:?} is not in its row"));
    }
    if with.disposition == Disposition::Kept
        && without.disposition != Disposition::Kept
        && !says(&[Outcome::Kept, Outcome::Stricter, Outcome::Blocker])
    {
        return Some("keeps its object, and its row does not say so".to_owned());
    }
    if with.disposition == Disposition::Converted {
        if !says(&[Outcome::Converted, Outcome::Stricter, Outcome::Told]) {
            return Some("does not keep its object, and its row says that it does".to_owned());
        }
        if with.output == without.output && with.codes == without.codes {
            return Some("is dropped in silence".to_owned());
        }
    }
    None
}

/// Every field of every kind, set alone, does what its row says: no message that the row does not name, no object that is
/// kept or converted against it, and nothing that is dropped in silence.
#[test]
fn every_field_does_what_its_row_says() {
    let mesh = std::fs::read_to_string(root().join("testdata/ledger/mesh.yaml")).unwrap();
    let (trials, schemas) = (trials(), schemas());
    let mut wrong = Vec::new();
    for table in tables() {
        let trial = &trials[table.kind];
        let mut bases: Vec<(&Json, Answer)> = Vec::new();
        for (row, field) in table
            .rows
            .iter()
            .flat_map(|row| row.fields.iter().map(move |(field, _)| (row, *field)))
        {
            let path: Vec<&str> = field.split('.').collect();
            let given = trial
                .values
                .iter()
                .find(|(pattern, _)| pattern.covers(field))
                .map_or(&Json::Null, |(_, given)| given);
            let base = given.get("spec").unwrap_or(&trial.spec);
            let position = bases
                .iter()
                .position(|(known, _)| *known == base)
                .unwrap_or_else(|| {
                    bases.push((base, answer(&mesh, table.kind, &trial.api_version, base)));
                    bases.len() - 1
                });
            let value = match given.get("value") {
                Some(value) => value.clone(),
                None => some_value(schema_of(&schemas[table.kind], &path)),
            };
            let mut spec = base.clone();
            set(&mut spec, &path, &value, given["key"].as_str().unwrap_or("x"));
            let with = answer(&mesh, table.kind, &trial.api_version, &spec);
            let name = format!("{}.{field}", table.kind);
            if !with.errors.is_empty() {
                wrong.push(format!("{name} is tried with a bad value: {:?}", with.errors));
            } else if let Some(fault) = disagreement(table, row, &bases[position].1, &with) {
                wrong.push(format!("{name} {fault}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
