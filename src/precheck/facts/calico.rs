//! Calico's data plane and the parts of Calico Enterprise.

use super::SubjectFacts;
use super::index::Index;
use super::located::Located;
use crate::finding::Location;
use model::{Kind, Mesh, Object};
use rules::facts::{Calico, CalicoFeature};

/// Subjects: FelixConfigurations and Installations.
pub fn data_planes(index: &Index<'_>) -> Vec<SubjectFacts> {
    let mesh = index.mesh;
    let version = version(mesh);
    let bpf_by_operator = mesh
        .others_of(&Kind::CalicoInstallation)
        .any(|i| linux_data_plane(i).is_some_and(|d| d.text().as_deref() == Some("BPF")));
    let mut found = Vec::new();
    for kind in [&Kind::FelixConfiguration, &Kind::FelixConfigurationV3] {
        for felix in mesh.others_of(kind).filter(|f| f.name() == "default") {
            found.push(of_felix(felix, &version, bpf_by_operator));
        }
    }
    for installation in mesh.others_of(&Kind::CalicoInstallation) {
        let data_plane = linux_data_plane(installation);
        let bpf = data_plane
            .as_ref()
            .is_some_and(|d| d.text().as_deref() == Some("BPF"));
        let (major, minor) = parse(&version);
        let facts = Calico {
            source: installation.id.to_string(),
            bpf,
            bpf_off: data_plane.is_some() && !bpf,
            version: version.clone(),
            major,
            minor,
            ..Calico::default()
        };
        found.push(
            SubjectFacts::new(facts, Location::of_object(installation))
                .with("bpf", data_plane.map(|d| d.place())),
        );
    }
    found
}

fn linux_data_plane<'a>(installation: &'a Object<()>) -> Option<Located<'a>> {
    Located::of_object(installation).at(&["spec", "calicoNetwork", "linuxDataplane"])
}

fn of_felix(felix: &Object<()>, version: &str, bpf_by_operator: bool) -> SubjectFacts {
    let root = Located::of_object(felix);
    let enabled = root.at(&["spec", "bpfEnabled"]);
    let bpf = enabled.as_ref().is_some_and(Located::is_true) || (enabled.is_none() && bpf_by_operator);
    let setting = root.at(&["spec", "bpfConnectTimeLoadBalancing"]);
    let legacy = root.at(&["spec", "bpfConnectTimeLoadBalancingEnabled"]);
    let (value, name) = match (&setting, &legacy) {
        (Some(setting), _) => (setting.text().unwrap_or_default(), "bpfConnectTimeLoadBalancing"),
        (None, Some(legacy)) => {
            let value = if legacy.is_true() { "Enabled" } else { "Disabled" };
            (value.to_owned(), "bpfConnectTimeLoadBalancingEnabled")
        }
        // Felix' own default, which counts with the eBPF data plane only.
        (None, None) if bpf => ("TCP".to_owned(), "bpfConnectTimeLoadBalancing"),
        (None, None) => (String::new(), ""),
    };
    let (major, minor) = parse(version);
    let facts = Calico {
        source: felix.id.to_string(),
        bpf,
        bpf_off: enabled.as_ref().is_some_and(|e| !e.is_true()),
        version: version.to_owned(),
        major,
        minor,
        connect_time_load_balancing: value,
        connect_time_setting: name.to_owned(),
    };
    SubjectFacts::new(facts, Location::of_object(felix))
        .with("bpf", enabled.map(|e| e.place()))
        .with("connectTimeLoadBalancing", setting.or(legacy).map(|s| s.place()))
}

/// The version of calico-node: of its image, or of the status of the Installation.
fn version(mesh: &Mesh) -> String {
    let image = mesh
        .workloads
        .iter()
        .filter(|w| w.id.kind == Kind::DaemonSet && w.name() == "calico-node")
        .flat_map(|w| &w.spec.template.spec.containers)
        .find(|c| c.name == "calico-node")
        .and_then(|c| c.image_tag());
    let status = mesh
        .others_of(&Kind::CalicoInstallation)
        .find_map(|i| i.raw.at(&["status", "calicoVersion"])?.as_str());
    image.or(status).unwrap_or_default().to_owned()
}

fn parse(version: &str) -> (i64, i64) {
    let mut parts = version
        .trim_start_matches('v')
        .split(['.', '-'])
        .map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Subjects: objects that can use a part of Calico Enterprise.
pub fn features(index: &Index<'_>) -> Vec<SubjectFacts> {
    let kinds = [
        &Kind::CalicoApplicationLayer,
        &Kind::CalicoNetworkPolicy,
        &Kind::CalicoGlobalNetworkPolicy,
        &Kind::CalicoRemoteCluster,
    ];
    kinds
        .iter()
        .flat_map(|kind| index.mesh.others_of(kind))
        .map(|object| {
            let (feature, place) = feature(object);
            let facts = CalicoFeature {
                name: object.id.to_string(),
                feature: feature.to_owned(),
            };
            SubjectFacts::new(facts, Location::of_object(object)).with("feature", place)
        })
        .collect()
}

fn feature(object: &Object<()>) -> (&'static str, Option<Location>) {
    let root = Located::of_object(object);
    let spec = root.at(&["spec"]);
    let place = |keys: &[&str]| spec.as_ref().and_then(|s| s.at(keys)).map(|found| found.place());
    match object.id.kind {
        Kind::CalicoRemoteCluster => ("cluster mesh", None),
        Kind::CalicoApplicationLayer => {
            let on = |keys: &[&str]| {
                let value = spec
                    .as_ref()
                    .and_then(|s| s.at(keys))
                    .and_then(|found| found.text());
                value.is_some_and(|v| v == "Enabled" || v == "true")
            };
            if on(&["webApplicationFirewall"]) {
                ("the web application firewall", place(&["webApplicationFirewall"]))
            } else if on(&["logCollection", "collectLogs"]) {
                ("layer-7 logs", place(&["logCollection"]))
            } else {
                ("application-layer inspection", None)
            }
        }
        _ => match http_rule(&root) {
            Some(rule) => ("rules on HTTP", Some(rule.place())),
            None => ("", None),
        },
    }
}

fn http_rule<'a>(root: &Located<'a>) -> Option<Located<'a>> {
    ["ingress", "egress"].iter().find_map(|direction| {
        let rules = root.at(&["spec", direction])?;
        rules
            .items()
            .find_map(|rule| rule.at(&["http"]).filter(|http| !http.node.is_null()))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_are_read_from_tags() {
        for (tag, expected) in [
            ("v3.28.1", (3, 28)),
            ("3.29.0-0.dev", (3, 29)),
            ("latest", (0, 0)),
        ] {
            assert_eq!(super::parse(tag), expected, "{tag}");
        }
    }
}
