//! Namespaces and workloads.

use super::SubjectFacts;
use super::cni::excluded_namespaces;
use super::index::{Index, injection, is_ambient, sidecar_label};
use super::located::of_mesh;
use crate::finding::Location;
use model::{FieldPath, Object, Workload};
use rayon::prelude::*;
use rules::facts::{Namespace, Workload as WorkloadFacts};

/// A number of things as CEL counts.
pub fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Subjects: namespaces.
pub fn namespaces(index: &Index<'_>) -> Vec<SubjectFacts> {
    let excluded = excluded_namespaces(index.mesh);
    index
        .namespace_names()
        .into_iter()
        .map(|name| {
            let object = index.namespace(name);
            let exclusion = excluded.iter().flatten().find(|(n, _, _)| n == name);
            let label = object.and_then(sidecar_label);
            let facts = Namespace {
                name: name.to_owned(),
                labels: object.map(|o| o.meta.labels.clone()).unwrap_or_default(),
                sidecar_label: label.map_or(String::new(), |(key, value)| format!("{key}={value}")),
                ambient_label: object.is_some_and(is_ambient),
                candidate: index.is_candidate_namespace(name),
                cni_excludes_known: excluded.is_some(),
                excluded_by: exclusion.map(|(_, source, _)| source.clone()).unwrap_or_default(),
            };
            let first = || index.mesh.workloads_in(name).next().map(Location::of_object);
            let place = object.map(Location::of_object).or_else(first);
            let labels = FieldPath::root().key("metadata").key("labels");
            let of_label = |key: &str| object.map(|object| Location::of_field(object, &labels.key(key)));
            SubjectFacts::new(facts, place.unwrap_or_else(|| of_mesh(index.mesh)))
                .with("excludedBy", exclusion.map(|(_, _, place)| place.clone()))
                .with("ambientLabel", of_label("istio.io/dataplane-mode"))
                .with("sidecarLabel", label.and_then(|(key, _)| of_label(key)))
        })
        .collect()
}

/// Subjects: workloads, without those that another one made.
pub fn workloads(index: &Index<'_>) -> Vec<SubjectFacts> {
    index
        .mesh
        .workloads
        .par_iter()
        .enumerate()
        .filter(|(_, workload)| workload.meta.owner_references.is_empty())
        .map(|(position, workload)| of_workload(index, position, workload))
        .collect()
}

const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
const EXCLUDE_INTERFACES: &str = "traffic.sidecar.istio.io/excludeInterfaces";

fn of_workload(index: &Index<'_>, position: usize, workload: &Object<Workload>) -> SubjectFacts {
    let membership = index.workloads[position];
    let metadata = &workload.spec.template.metadata;
    let asked = injection(workload);
    let asks = asked.filter(|(key, value, _)| *key == "istio.io/rev" || *value == "true");
    let annotation = |key: &str| metadata.annotations.get(key).cloned().unwrap_or_default();
    let facts = WorkloadFacts {
        name: format!("{}/{}", workload.id.kind, workload.name()),
        namespace: workload.namespace().to_owned(),
        labels: metadata.labels.clone(),
        annotations: metadata.annotations.clone(),
        candidate: membership.candidate,
        namespace_known: membership.namespace_known,
        namespace_injected: index
            .namespace(workload.namespace())
            .is_some_and(|n| sidecar_label(n).is_some()),
        gateway: membership.gateway,
        asks_for_sidecar: asks.map_or(String::new(), |(key, value, is_label)| {
            let what = if is_label { "label" } else { "annotation" };
            format!("{what} `{key}: {value}`")
        }),
        refuses_sidecar: asked.is_some_and(|(key, value, _)| key != "istio.io/rev" && value == "false"),
        dataplane_mode: metadata
            .labels
            .get("istio.io/dataplane-mode")
            .cloned()
            .unwrap_or_default(),
        networks: networks(&annotation(NETWORKS)),
        exclude_interfaces: annotation(EXCLUDE_INTERFACES),
        host_network: workload.spec.template.spec.host_network == Some(true),
    };
    let path = Workload::template_path(&workload.id.kind).key("metadata");
    let annotations = path.key("annotations");
    let at = |path: &FieldPath| Some(Location::of_field(workload, path));
    let injection_place = asked.and_then(|(key, _, is_label)| {
        let map = if is_label {
            path.key("labels")
        } else {
            annotations.clone()
        };
        at(&map.key(key))
    });
    let interfaces = [NETWORKS, EXCLUDE_INTERFACES]
        .into_iter()
        .find(|key| metadata.annotations.contains_key(*key))
        .and_then(|key| at(&annotations.key(key)));
    SubjectFacts::new(facts, Location::of_object(workload))
        .with("asksForSidecar", injection_place.clone())
        .with("refusesSidecar", injection_place)
        .with("networks", interfaces)
}

/// Networks in the annotation of Multus, which is a list of names or JSON, without Istio's own.
fn networks(annotation: &str) -> Vec<String> {
    let names: Vec<String> = match serde_json::from_str::<serde_json::Value>(annotation) {
        Ok(serde_json::Value::Array(list)) => list
            .iter()
            .filter_map(|network| network.get("name")?.as_str())
            .map(str::to_owned)
            .collect(),
        _ => annotation.split(',').map(|name| name.trim().to_owned()).collect(),
    };
    names
        .into_iter()
        .filter(|name| !name.is_empty() && !name.ends_with("istio-cni"))
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn networks_are_names_or_json() {
        for (annotation, expected) in [
            ("", vec![]),
            ("istio-cni", vec![]),
            ("default/istio-cni, storage", vec!["storage"]),
            (
                r#"[{"name": "a", "interface": "net1"}, {"name": "istio-cni"}]"#,
                vec!["a"],
            ),
        ] {
            assert_eq!(super::networks(annotation), expected, "{annotation}");
        }
    }
}
