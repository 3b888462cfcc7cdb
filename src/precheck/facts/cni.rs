//! Istio's CNI agent, nodes, the CNI configurations on them, and the AWS VPC CNI.

use super::SubjectFacts;
use super::control_plane::installs_istiod;
use super::index::{Index, sidecar_label};
use super::located::{Located, file_of, folder_of, of_mesh};
use super::workloads::count;
use crate::finding::Location;
use model::{FieldPath, Kind, Mark, Mesh, Node, Object, Origin, SettingsFile, Workload};
use rules::facts::{Aws, CniDirectory, IstioCni, Node as NodeFacts};
use std::collections::{BTreeMap, BTreeSet};

/// A statement about the CNI agent.
struct Statement {
    source: String,
    installed: Option<bool>,
    ambient: Option<bool>,
    place: Location,
}

/// Subject: Istio's CNI agent.
pub fn istio_cni(index: &Index<'_>) -> Vec<SubjectFacts> {
    let mesh = index.mesh;
    let statements = statements(mesh);
    let daemon_sets = &Kind::DaemonSet;
    let installed = statements
        .iter()
        .filter_map(|s| s.installed)
        .reduce(|a, b| a || b);
    let ambient = statements.iter().filter_map(|s| s.ambient).reduce(|a, b| a || b);
    let absence_known = mesh.coverage.is_complete(daemon_sets);
    let decisive = |test: &dyn Fn(&&Statement) -> bool| statements.iter().find(test);
    let presence = decisive(&|s| s.installed == installed && s.installed.is_some());
    let setting = decisive(&|s| s.ambient == ambient && s.ambient.is_some());
    let facts = IstioCni {
        known: installed.is_some() || absence_known,
        installed: installed.unwrap_or(false),
        source: setting
            .or(presence)
            .map_or_else(|| "the cluster".to_owned(), |s| s.source.clone()),
        ambient_known: ambient.is_some(),
        ambient: ambient.unwrap_or(false),
        init_containers: count(istio_inits(mesh)),
    };
    let place = presence.map_or_else(|| of_mesh(mesh), |s| s.place.clone());
    vec![SubjectFacts::new(facts, place).with("ambient", setting.map(|s| s.place.clone()))]
}

/// How many workloads, or pods where those were read, redirect their traffic with an init container.
fn istio_inits(mesh: &Mesh) -> usize {
    let has_init = |workload: &&Object<Workload>| {
        let containers = &workload.spec.template.spec.init_containers;
        containers.iter().any(|c| c.name == "istio-init")
    };
    let pods = mesh.pods.iter().filter(has_init).count();
    if pods > 0 {
        pods
    } else {
        mesh.workloads.iter().filter(has_init).count()
    }
}

fn statements(mesh: &Mesh) -> Vec<Statement> {
    let mut found = Vec::new();
    for workload in &mesh.workloads {
        let labels = &workload.spec.template.metadata.labels;
        if workload.id.kind == Kind::DaemonSet
            && labels.get("k8s-app").is_some_and(|app| app == "istio-cni-node")
        {
            found.push(Statement {
                source: format!("DaemonSet `{}/{}`", workload.namespace(), workload.name()),
                installed: Some(true),
                ambient: None,
                place: Location::of_object(workload),
            });
        }
    }
    for map in mesh
        .others_of(&Kind::ConfigMap)
        .filter(|m| m.name() == "istio-cni-config")
    {
        let located = Located::of_object(map);
        let setting = located.at(&["data", "AMBIENT_ENABLED"]);
        let data = located.at(&["data"]).unwrap_or(located);
        found.push(Statement {
            source: format!("ConfigMap `{}/{}`", map.namespace(), map.name()),
            installed: None,
            ambient: Some(setting.as_ref().is_some_and(Located::is_true)),
            place: setting.unwrap_or(data).place(),
        });
    }
    if !mesh.coverage.is_cluster() {
        found.extend(mesh.others_of(&Kind::IstioOperator).map(of_operator));
        found.extend(mesh.others_of(&Kind::SailIstioCni).map(of_sail));
        found.extend(mesh.chart_values.iter().filter_map(of_values));
    }
    found
}

fn of_operator(object: &Object<()>) -> Statement {
    let root = Located::of_object(object);
    let profile = root.at(&["spec", "profile"]);
    let ambient_profile = profile
        .as_ref()
        .is_some_and(|p| p.text().as_deref() == Some("ambient"));
    let component = root.at(&["spec", "components", "cni", "enabled"]);
    let installed = component.as_ref().map_or(ambient_profile, Located::is_true);
    // An operator for gateways only says nothing about the agent.
    let decides = component.is_some() || installs_istiod(&root);
    let setting = root.at(&["spec", "values", "cni", "ambient", "enabled"]);
    let ambient = setting.as_ref().map_or(ambient_profile, Located::is_true);
    Statement {
        source: format!("IstioOperator `{}`", object.name()),
        installed: decides.then_some(installed),
        ambient: installed.then_some(ambient),
        place: setting.or(component).or(profile).unwrap_or(root).place(),
    }
}

fn of_sail(object: &Object<()>) -> Statement {
    let root = Located::of_object(object);
    let profile = root.at(&["spec", "profile"]);
    let setting = root.at(&["spec", "values", "cni", "ambient", "enabled"]);
    let by_profile = profile
        .as_ref()
        .is_some_and(|p| p.text().as_deref() == Some("ambient"));
    Statement {
        source: format!("IstioCNI `{}`", object.name()),
        installed: Some(true),
        ambient: Some(setting.as_ref().map_or(by_profile, Located::is_true)),
        place: setting.or(profile).unwrap_or(root).place(),
    }
}

fn of_values(file: &SettingsFile) -> Option<Statement> {
    let root = Located::of_settings(file);
    let (values, profile) = cni_values(&root)?;
    let setting = values.at(&["ambient", "enabled"]);
    let by_profile = profile
        .as_ref()
        .is_some_and(|p| p.text().as_deref() == Some("ambient"));
    Some(Statement {
        source: "the values file of istio-cni".to_owned(),
        installed: Some(true),
        ambient: Some(setting.as_ref().map_or(by_profile, Located::is_true)),
        place: setting.or(profile).unwrap_or(values).place(),
    })
}

/// The settings of istio-cni in chart values, with the profile; `None` if the values are another chart's.
pub fn cni_values<'a>(root: &Located<'a>) -> Option<(Located<'a>, Option<Located<'a>>)> {
    const KEYS: [&str; 5] = [
        "ambient",
        "excludeNamespaces",
        "cniBinDir",
        "cniConfDir",
        "chained",
    ];
    let is_ours = |part: &Located<'_>| KEYS.iter().any(|key| part.at(&[key]).is_some());
    let by_name = root.is_named_after("cni") && !root.is_named_after("cilium");
    for chart in [Some(root.clone()), root.at(&["istio-cni"])]
        .into_iter()
        .flatten()
    {
        let profile = chart.at(&["profile"]);
        if let Some(inner) = chart.at(&["cni"]).filter(|inner| is_ours(inner)) {
            return Some((inner, profile));
        }
        let named = by_name || chart.place().path != FieldPath::root();
        if named && (is_ours(&chart) || profile.is_some()) {
            return Some((chart, profile));
        }
    }
    None
}

/// Namespaces that the agent passes over, with where that is written; `None` if the input does not tell.
pub fn excluded_namespaces(mesh: &Mesh) -> Option<Vec<(String, String, Location)>> {
    let mut known = false;
    let mut found = Vec::new();
    let mut take = |source: String, list: Option<Located<'_>>| {
        known = true;
        let Some(list) = list else {
            // The chart's default.
            return;
        };
        let names: Vec<String> = match list.text() {
            Some(text) => text.split(',').map(|n| n.trim().to_owned()).collect(),
            None => list.items().filter_map(|item| item.text()).collect(),
        };
        found.extend(names.into_iter().map(|n| (n, source.clone(), list.place())));
    };
    for map in mesh
        .others_of(&Kind::ConfigMap)
        .filter(|m| m.name() == "istio-cni-config")
    {
        let list = Located::of_object(map).at(&["data", "EXCLUDE_NAMESPACES"]);
        take(
            "EXCLUDE_NAMESPACES of ConfigMap `istio-cni-config`".to_owned(),
            list,
        );
    }
    if !mesh.coverage.is_cluster() {
        for kind in [&Kind::IstioOperator, &Kind::SailIstioCni] {
            for object in mesh.others_of(kind) {
                let list = Located::of_object(object).at(&["spec", "values", "cni", "excludeNamespaces"]);
                take(format!("`excludeNamespaces` of {kind} `{}`", object.name()), list);
            }
        }
        for file in &mesh.chart_values {
            if let Some((values, _)) = cni_values(&Located::of_settings(file)) {
                let list = values.at(&["excludeNamespaces"]);
                take(
                    "`excludeNamespaces` in the Helm values of istio-cni".to_owned(),
                    list,
                );
            }
        }
    }
    known.then_some(found)
}

/// Subjects: nodes with pods of the mesh, or of which there is an object.
pub fn nodes(index: &Index<'_>) -> Vec<SubjectFacts> {
    let mesh = index.mesh;
    if !mesh.coverage.is_cluster() {
        return Vec::new();
    }
    let objects: BTreeMap<&str, &Object<()>> = mesh.others_of(&Kind::Node).map(|n| (n.name(), n)).collect();
    let mut nodes: BTreeMap<&str, NodeFacts> =
        objects.keys().map(|name| (*name, NodeFacts::default())).collect();
    for pod in &mesh.pods {
        let Some(name) = pod.spec.template.spec.node_name.as_deref() else {
            continue;
        };
        let node = nodes.entry(name).or_default();
        let labels = &pod.spec.template.metadata.labels;
        if labels.get("k8s-app").is_some_and(|app| app == "istio-cni-node") {
            node.cni_present = true;
            node.cni_ready |= is_ready(&pod.raw);
        } else if is_mesh_pod(index, pod) {
            node.mesh_pods += 1;
        }
    }
    let cni_installed = nodes.values().any(|node| node.cni_present);
    nodes
        .into_iter()
        .map(|(name, facts)| {
            let place = objects
                .get(name)
                .map_or_else(|| of_mesh(mesh), |n| Location::of_object(n));
            let facts = NodeFacts {
                name: name.to_owned(),
                cni_installed,
                pods_known: mesh.coverage.is_complete(&Kind::Pod),
                ..facts
            };
            SubjectFacts::new(facts, place)
        })
        .collect()
}

fn is_mesh_pod(index: &Index<'_>, pod: &Object<Workload>) -> bool {
    let template = &pod.spec.template;
    let namespace = index.namespace(pod.namespace());
    template.spec.host_network != Some(true)
        && !super::index::is_istio_component(pod)
        && (template.spec.istio_proxy().is_some() || namespace.is_some_and(|n| sidecar_label(n).is_some()))
}

fn is_ready(pod: &Node) -> bool {
    let conditions = pod
        .at(&["status", "conditions"])
        .map(Node::items)
        .unwrap_or_default();
    conditions.iter().any(|c| {
        c.get("type").and_then(Node::as_str) == Some("Ready")
            && c.get("status").and_then(Node::as_str) == Some("True")
    })
}

/// Subjects: folders of CNI configurations.
pub fn directories(index: &Index<'_>) -> Vec<SubjectFacts> {
    let mut folders: BTreeMap<&str, Vec<&SettingsFile>> = BTreeMap::new();
    for file in &index.mesh.cni_configurations {
        folders
            .entry(folder_of(file_of(&file.origin)))
            .or_default()
            .push(file);
    }
    folders
        .into_iter()
        .filter_map(|(path, mut files)| {
            files.sort_by(|a, b| a.origin.cmp(&b.origin));
            let first = files.first()?;
            let chain = plugins(&first.node);
            let facts = CniDirectory {
                path: if path.is_empty() {
                    ".".to_owned()
                } else {
                    path.to_owned()
                },
                first: base_name(&first.origin),
                chained: chain.iter().any(|plugin| plugin == "istio-cni"),
                istio_file: files
                    .iter()
                    .find(|file| plugins(&file.node).iter().any(|p| p == "istio-cni"))
                    .map(|file| base_name(&file.origin))
                    .unwrap_or_default(),
                cilium: chain.iter().any(|plugin| plugin == "cilium-cni"),
                multus: chain
                    .iter()
                    .any(|plugin| plugin == "multus" || plugin == "multus-shim"),
                chain,
                files: files.iter().map(|file| base_name(&file.origin)).collect(),
            };
            let plugins = FieldPath::root().key("plugins");
            let mark = first.node.mark_of(&plugins);
            let mark = if mark.is_known() {
                mark
            } else {
                Mark { line: 1, column: 1 }
            };
            Some(SubjectFacts::new(
                facts,
                Location::of_document(first.origin.clone(), mark),
            ))
        })
        .collect()
}

fn base_name(origin: &Origin) -> String {
    let file = file_of(origin);
    file.rsplit('/').next().unwrap_or(file).to_owned()
}

fn plugins(configuration: &Node) -> Vec<String> {
    let kind = |plugin: &Node| plugin.get("type").and_then(Node::as_str).map(str::to_owned);
    match configuration.get("plugins") {
        Some(plugins) => plugins.items().iter().filter_map(kind).collect(),
        None => kind(configuration).into_iter().collect(),
    }
}

/// Subjects: the AWS VPC CNI.
pub fn aws(index: &Index<'_>) -> Vec<SubjectFacts> {
    let mesh = index.mesh;
    let minors: BTreeSet<i64> = index.istiods.iter().map(|i| i.minor).collect();
    mesh.workloads
        .iter()
        .filter(|w| w.id.kind == Kind::DaemonSet && w.name() == "aws-node")
        .map(|daemon_set| {
            let containers = &daemon_set.spec.template.spec.containers;
            let env = |name: &str| containers.iter().find_map(|c| c.env(name));
            let facts = Aws {
                pod_eni: env("ENABLE_POD_ENI") == Some("true"),
                enforcing_mode: env("POD_SECURITY_GROUP_ENFORCING_MODE")
                    .unwrap_or("strict")
                    .to_owned(),
                security_group_policies: security_group_policies(index),
                policies_known: mesh.coverage.is_complete(&Kind::SecurityGroupPolicy),
                fixed_in_istio: minors.first().is_some_and(|oldest| *oldest >= 29),
            };
            SubjectFacts::new(facts, Location::of_object(daemon_set)).with(
                "enforcingMode",
                place_of_env(daemon_set, "POD_SECURITY_GROUP_ENFORCING_MODE"),
            )
        })
        .collect()
}

fn place_of_env(workload: &Object<Workload>, name: &str) -> Option<Location> {
    let containers = &workload.spec.template.spec.containers;
    containers.iter().enumerate().find_map(|(position, container)| {
        let variable = container.env.iter().position(|e| e.name == name)?;
        let path = Workload::template_path(&workload.id.kind)
            .key("spec")
            .key("containers");
        let path = path.index(position).key("env").index(variable).key("value");
        Some(Location::of_field(workload, &path))
    })
}

fn security_group_policies(index: &Index<'_>) -> Vec<String> {
    let policies = index.mesh.others_of(&Kind::SecurityGroupPolicy);
    policies
        .filter(|policy| {
            let labels = policy.raw.at(&["spec", "podSelector", "matchLabels"]);
            let labels = labels.map(super::cilium::label_map).unwrap_or_default();
            super::cilium::selects_mesh(index, policy.namespace(), &labels)
        })
        .map(|policy| format!("{}/{}", policy.namespace(), policy.name()))
        .collect()
}
