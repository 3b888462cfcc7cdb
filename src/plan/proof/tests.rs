//! Plans written by hand, right and wrong.

use super::check;
use crate::input::files::{Text, read_texts};
use crate::plan::document::{Plan, Step};
use model::Mesh;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

#[derive(serde::Deserialize)]
struct Table {
    objects: BTreeMap<String, Json>,
    steps: BTreeMap<String, Json>,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    objects: Vec<String>,
    steps: Vec<String>,
    #[serde(default)]
    otherwise: BTreeMap<String, String>,
}

fn table() -> Table {
    serde_yaml::from_str(include_str!("../../../testdata/plan/proof/one-server.yaml")).unwrap()
}

fn mesh(table: &Table, names: &[String]) -> Mesh {
    let headless = names.iter().any(|name| name == "headless");
    let always = ["namespace", "web", "reviews", "service"];
    let always = always.into_iter().filter(|name| *name != "service" || !headless);
    let objects = always.chain(names.iter().map(String::as_str));
    let content: Vec<String> = objects
        .map(|name| model::yaml::to_text(&table.objects[name]))
        .collect();
    let input = read_texts(&[Text {
        name: "mesh.yaml".into(),
        content: content.join("---\n"),
    }]);
    assert!(input.errors.is_empty(), "{:?}", input.errors);
    input.mesh
}

fn plan(steps: Vec<Step>) -> Plan {
    let mut plan: Plan = serde_json::from_value(json!({
        "apiVersion": "", "kind": "", "source": "", "dataPlane": "stock", "waves": [], "steps": [], "state": {},
    }))
    .unwrap();
    plan.steps = steps;
    plan
}

fn step(table: &Table, name: &str) -> Step {
    let mut step = table.steps[name].clone();
    step["id"] = json!(name);
    for (key, empty) in [
        ("title", json!("")),
        ("undo", json!("")),
        ("proof", json!({"states": 0, "requests": 0})),
    ] {
        step[key] = empty;
    }
    serde_json::from_value(step).unwrap()
}

#[test]
fn every_step_of_a_plan_is_proved_or_its_fault_is_named() {
    let table = table();
    let mut wrong = String::new();
    for case in &table.cases {
        let mesh = mesh(&table, &case.objects);
        let steps = case.steps.iter().map(|name| step(&table, name)).collect();
        let proofs = check(&mesh, &plan(steps));
        for (name, proof) in case.steps.iter().zip(&proofs) {
            let right = match case.otherwise.get(name) {
                Some(words) => proof
                    .otherwise
                    .iter()
                    .any(|sentence| sentence.contains(words.as_str())),
                None => proof.otherwise.is_empty(),
            };
            if !right {
                wrong += &format!("{}: {name}: {:#?}\n", case.name, proof.otherwise);
            }
            assert!(proof.requests > 0 && proof.states > 1, "{}: {name}", case.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
