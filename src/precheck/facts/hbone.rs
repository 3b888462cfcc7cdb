//! Which proxies speak HBONE, and what overrides it.

use super::SubjectFacts;
use super::control_plane::{HBONE, installations};
use super::index::{Index, is_gateway, is_istio_component};
use super::located::Located;
use crate::finding::Location;
use model::{FieldPath, Kind, Node, Object, Workload, yaml};
use rayon::prelude::*;
use rules::facts::{HboneSetting, ProxyGroup};
use std::collections::BTreeMap;

/// Switches in istiod's environment that take HBONE away from sidecars.
const ISTIOD_SWITCHES: [&str; 2] = [
    "PILOT_ENABLE_SENDING_HBONE",
    "PILOT_ENABLE_SIDECAR_LISTENING_HBONE",
];

/// Subjects: places that can override HBONE.
pub fn settings(index: &Index<'_>) -> Vec<SubjectFacts> {
    let mesh = index.mesh;
    let own = |workload: &&Object<Workload>| workload.meta.owner_references.is_empty();
    let mut found: Vec<SubjectFacts> = mesh.workloads.par_iter().filter(own).map(of_workload).collect();
    for config in mesh.others_of(&Kind::ProxyConfig) {
        let setting = Located::of_object(config).at(&["spec", "environmentVariables", HBONE]);
        let value = setting.as_ref().and_then(Located::text).unwrap_or_default();
        found.push(subject(
            config.id.to_string(),
            HBONE,
            value,
            Location::of_object(config),
            setting.map(|s| s.place()),
        ));
    }
    for istiod in &index.istiods {
        let Some(deployment) = istiod.deployment else {
            continue;
        };
        for (position, container) in deployment.spec.template.spec.containers.iter().enumerate() {
            for switch in ISTIOD_SWITCHES {
                let Some(entry) = container.env.iter().position(|e| e.name == switch) else {
                    continue;
                };
                let path = Workload::template_path(&Kind::Deployment)
                    .key("spec")
                    .key("containers");
                let path = path.index(position).key("env").index(entry).key("value");
                found.push(subject(
                    istiod.source.clone(),
                    switch,
                    container.env(switch).unwrap_or_default().to_owned(),
                    Location::of_object(deployment),
                    Some(Location::of_field(deployment, &path)),
                ));
            }
        }
    }
    for installation in installations(mesh) {
        for switch in ISTIOD_SWITCHES {
            if let Some(setting) = installation.env(switch) {
                let value = setting.text().unwrap_or_default();
                let place = Some(setting.place());
                found.push(subject(
                    installation.source.clone(),
                    switch,
                    value,
                    installation.place(),
                    place,
                ));
            }
        }
    }
    found
}

fn subject(
    object: String,
    setting: &str,
    value: String,
    place: Location,
    at: Option<Location>,
) -> SubjectFacts {
    let facts = HboneSetting {
        object,
        setting: setting.to_owned(),
        value,
    };
    SubjectFacts::new(facts, place).with("value", at)
}

/// The annotation `proxy.istio.io/config` of a template: YAML in a text.
fn of_workload(workload: &Object<Workload>) -> SubjectFacts {
    const ANNOTATION: &str = "proxy.istio.io/config";
    let text = workload.spec.template.metadata.annotations.get(ANNOTATION);
    let value = text
        .and_then(|text| yaml::parse(*yaml::documents(text).first()?).ok().flatten())
        .and_then(|config| config.at(&["proxyMetadata", HBONE]).and_then(Node::scalar_text));
    let path = Workload::template_path(&workload.id.kind)
        .key("metadata")
        .key("annotations")
        .key(ANNOTATION);
    let at = text.map(|_| Location::of_field(workload, &path));
    subject(
        workload.id.to_string(),
        HBONE,
        value.unwrap_or_default(),
        Location::of_object(workload),
        at,
    )
}

/// Subjects: running pods with a proxy, by owner.
pub fn proxy_groups(index: &Index<'_>) -> Vec<SubjectFacts> {
    let mesh = index.mesh;
    let mut groups: BTreeMap<(&str, String), (ProxyGroup, &Object<Workload>)> = BTreeMap::new();
    for pod in &mesh.pods {
        let Some(proxy) = pod.spec.template.spec.istio_proxy() else {
            continue;
        };
        if is_istio_component(pod) {
            continue;
        }
        let owner = owner(pod);
        let (group, first) = groups.entry((pod.namespace(), owner.clone())).or_insert_with(|| {
            let group = ProxyGroup {
                namespace: pod.namespace().to_owned(),
                owner,
                gateway: is_gateway(pod),
                live: mesh.coverage.is_cluster(),
                ..ProxyGroup::default()
            };
            (group, pod)
        });
        group.pods += 1;
        if proxy.env(HBONE) != Some("true") {
            if group.without_hbone == 0 {
                *first = pod;
            }
            group.without_hbone += 1;
        }
    }
    groups
        .into_values()
        .map(|(group, pod)| SubjectFacts::new(group, place_of_env(pod)))
        .collect()
}

fn place_of_env(pod: &Object<Workload>) -> Location {
    let spec = &pod.spec.template.spec;
    let is_proxy = |c: &model::workload::Container| c.name == "istio-proxy";
    let (list, index) = match spec.containers.iter().position(is_proxy) {
        Some(index) => ("containers", index),
        None => (
            "initContainers",
            spec.init_containers.iter().position(is_proxy).unwrap_or_default(),
        ),
    };
    Location::of_field(pod, &FieldPath::spec().key(list).index(index).key("env"))
}

/// The owner as a person restarts it: the Deployment behind a ReplicaSet, or the pod itself.
pub fn owner(pod: &Object<Workload>) -> String {
    let reference = pod.meta.owner_references.first().map(|o| &o.0);
    let text = |key: &str| reference.and_then(|r| r.get(key)).and_then(Node::as_str);
    match (text("kind"), text("name")) {
        (Some("ReplicaSet"), Some(name)) => {
            let hash = pod.meta.labels.get("pod-template-hash");
            let deployment = hash.and_then(|hash| name.strip_suffix(hash.as_str())?.strip_suffix('-'));
            match deployment {
                Some(deployment) => format!("Deployment/{deployment}"),
                None => format!("ReplicaSet/{name}"),
            }
        }
        (Some(kind), Some(name)) => format!("{kind}/{name}"),
        _ => format!("Pod/{}", pod.name()),
    }
}
