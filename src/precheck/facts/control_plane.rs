//! Istiods, mesh configurations, and the versions of the node components.

use super::SubjectFacts;
use super::index::Index;
use super::located::Located;
use crate::finding::Location;
use model::settings::is_istio_config_map;
use model::{FieldPath, Kind, Mesh, Object, Workload, settings};
use rules::facts::{Component, Istiod, MeshConfig};
use std::collections::BTreeMap;

/// The key in proxy metadata by which sidecars speak HBONE.
pub const HBONE: &str = "ISTIO_META_ENABLE_HBONE";
/// The switch of ambient in istiod's environment.
const AMBIENT: &str = "PILOT_ENABLE_AMBIENT";

/// Settings that install a control plane.
pub struct Installation<'a> {
    /// What they are, in words.
    pub source: String,
    /// The documents, the last of which wins: one object, or the values in one folder.
    documents: Vec<Located<'a>>,
    /// Where chart values begin in them.
    values: &'static [&'static str],
    /// Whether this is an IstioOperator, which has settings outside of its values.
    operator: bool,
}

impl<'a> Installation<'a> {
    /// A setting among the chart values.
    pub fn value(&self, keys: &[&str]) -> Option<Located<'a>> {
        let path: Vec<&str> = self.values.iter().chain(keys).copied().collect();
        self.raw(&path)
    }

    /// A setting by its path from the root of the document.
    pub fn raw(&self, keys: &[&str]) -> Option<Located<'a>> {
        self.documents.iter().rev().find_map(|document| document.at(keys))
    }

    /// The profile, wherever it may be written.
    pub fn profile(&self) -> Option<Located<'a>> {
        let outer = if self.values.is_empty() {
            None
        } else {
            self.raw(&["spec", "profile"])
        };
        outer
            .or_else(|| self.value(&["profile"]))
            .or_else(|| self.value(&["global", "profile"]))
    }

    fn is_ambient_profile(&self) -> bool {
        self.profile()
            .is_some_and(|p| p.text().as_deref() == Some("ambient"))
    }

    fn text(&self, keys: &[&str]) -> Option<String> {
        self.value(keys).and_then(|found| found.text())
    }

    /// A variable of istiod's environment.
    pub fn env(&self, name: &str) -> Option<Located<'a>> {
        let direct = self
            .value(&["pilot", "env", name])
            .or_else(|| self.value(&["env", name]));
        direct.or_else(|| {
            let list = self.raw(&["spec", "components", "pilot", "k8s", "env"])?;
            let entry = list
                .items()
                .find(|item| item.at(&["name"]).and_then(|n| n.text()).as_deref() == Some(name))?;
            entry.at(&["value"])
        })
    }

    fn version(&self) -> String {
        let found = match self.operator {
            true => self.raw(&["spec", "tag"]).and_then(|t| t.text()),
            false => self
                .raw(&["spec", "version"])
                .filter(|_| !self.values.is_empty())
                .and_then(|t| t.text()),
        };
        found
            .or_else(|| self.text(&["pilot", "tag"]))
            .or_else(|| self.text(&["global", "tag"]))
            .unwrap_or_default()
    }

    fn revision(&self) -> String {
        self.raw(&["spec", "revision"])
            .filter(|_| self.operator)
            .and_then(|r| r.text())
            .or_else(|| self.text(&["revision"]))
            .filter(|r| !r.is_empty())
            .unwrap_or_else(|| "default".to_owned())
    }

    /// Where the installation itself stands.
    pub fn place(&self) -> Location {
        self.documents.last().map_or_else(
            || Location::of_document(model::Origin::Cluster, model::Mark::NONE),
            Located::place,
        )
    }
}

/// Everything in the input that installs a control plane. In a cluster, what runs counts instead.
pub fn installations(mesh: &Mesh) -> Vec<Installation<'_>> {
    if mesh.coverage.is_cluster() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (kind, operator) in [(&Kind::IstioOperator, true), (&Kind::SailIstio, false)] {
        let objects = mesh
            .others_of(kind)
            .filter(|object| installs_istiod(&Located::of_object(object)));
        found.extend(objects.map(|object| Installation {
            source: format!("{} `{}`", kind, object.name()),
            documents: vec![Located::of_object(object)],
            values: &["spec", "values"],
            operator,
        }));
    }
    let mut folders: BTreeMap<&str, Vec<Located<'_>>> = BTreeMap::new();
    for file in &mesh.chart_values {
        if let Some(values) = istiod_values(&Located::of_settings(file)) {
            folders.entry(values.folder()).or_default().push(values);
        }
    }
    found.extend(folders.into_values().map(|documents| Installation {
        source: "istiod's values file".to_owned(),
        documents,
        values: &[],
        operator: false,
    }));
    found
}

/// Whether an object installs a control plane, not only gateways: false for the profile `empty` and where
/// the component is switched off.
pub fn installs_istiod(object: &Located<'_>) -> bool {
    let component = object.at(&["spec", "components", "pilot", "enabled"]);
    let profile = object.at(&["spec", "profile"]).and_then(|p| p.text());
    component.map_or(profile.as_deref() != Some("empty"), |enabled| enabled.is_true())
}

/// The part of chart values that is istiod's: the document itself, or what stands under the chart's name.
fn istiod_values<'a>(document: &Located<'a>) -> Option<Located<'a>> {
    let is_istiods = |part: &Located<'_>| {
        let has = |keys: &[&str]| part.at(keys).is_some();
        has(&["pilot", "env"])
            || has(&["pilot", "cni"])
            || has(&["meshConfig"])
            || has(&["pilot", "image"])
            || has(&["istio_cni"])
            || part
                .at(&["env"])
                .is_some_and(|env| env.node.entries().iter().any(|e| e.key.starts_with("PILOT_")))
            || (has(&["profile"]) && part.is_named_after("istiod"))
    };
    if is_istiods(document) {
        return Some(document.clone());
    }
    ["istiod", "istio", "istio-discovery"]
        .iter()
        .filter_map(|name| document.at(&[name]))
        .find(is_istiods)
}

/// An istiod with the places of its settings.
pub struct IstiodFound<'a> {
    /// What it is called, in words.
    pub source: String,
    /// The minor version; 0 if unknown.
    pub minor: i64,
    revision: String,
    version: String,
    ambient: bool,
    profile: String,
    place: Location,
    setting: Option<Location>,
    /// Its Deployment, where it was read.
    pub deployment: Option<&'a Object<Workload>>,
}

/// Every istiod in the input.
pub fn find_istiods(mesh: &Mesh) -> Vec<IstiodFound<'_>> {
    let mut found: Vec<IstiodFound<'_>> = mesh
        .workloads
        .iter()
        .filter(|w| w.id.kind == Kind::Deployment && is_istiod(w))
        .map(of_deployment)
        .collect();
    found.extend(installations(mesh).iter().map(of_installation));
    found
}

fn is_istiod(workload: &Object<Workload>) -> bool {
    let labels = &workload.spec.template.metadata.labels;
    labels.get("app").is_some_and(|app| app == "istiod")
        && workload
            .spec
            .template
            .spec
            .containers
            .iter()
            .any(|c| c.name == "discovery")
}

fn of_deployment(deployment: &Object<Workload>) -> IstiodFound<'_> {
    let template = &deployment.spec.template;
    let container = template
        .spec
        .containers
        .iter()
        .position(|c| c.name == "discovery");
    let discovery = container.map(|index| &template.spec.containers[index]);
    let path = FieldPath::spec()
        .key("template")
        .key("spec")
        .key("containers")
        .index(container.unwrap_or_default())
        .key("env");
    let setting = discovery.and_then(|d| {
        let position = d.env.iter().position(|e| e.name == AMBIENT)?;
        Some(Location::of_field(deployment, &path.index(position).key("value")))
    });
    let version = discovery.and_then(|d| d.image_tag()).unwrap_or_default();
    IstiodFound {
        source: format!("Deployment `{}/{}`", deployment.namespace(), deployment.name()),
        minor: minor_of(version),
        revision: template
            .metadata
            .labels
            .get("istio.io/rev")
            .cloned()
            .unwrap_or_else(|| "default".to_owned()),
        version: version.to_owned(),
        ambient: discovery.and_then(|d| d.env(AMBIENT)) == Some("true"),
        profile: String::new(),
        setting: setting.or_else(|| Some(Location::of_field(deployment, &path))),
        place: Location::of_object(deployment),
        deployment: Some(deployment),
    }
}

fn of_installation<'a>(installation: &Installation<'a>) -> IstiodFound<'a> {
    let env = installation.env(AMBIENT);
    let profile = installation.profile();
    let version = installation.version();
    IstiodFound {
        source: installation.source.clone(),
        minor: minor_of(&version),
        revision: installation.revision(),
        version,
        ambient: match &env {
            Some(env) => env.is_true(),
            None => installation.is_ambient_profile(),
        },
        setting: env.or_else(|| profile.clone()).map(|found| found.place()),
        profile: profile.and_then(|p| p.text()).unwrap_or_default(),
        place: installation.place(),
        deployment: None,
    }
}

/// The minor version in `1.27.1`, `v1.27.1` or `1.27-alpha`; 0 if there is none.
pub fn minor_of(version: &str) -> i64 {
    let mut parts = version.trim_start_matches('v').split(['.', '-']);
    match (parts.next(), parts.next().and_then(|minor| minor.parse().ok())) {
        (Some("1"), Some(minor)) => minor,
        _ => 0,
    }
}

/// Subjects: istiods.
pub fn istiods(index: &Index<'_>) -> Vec<SubjectFacts> {
    index
        .istiods
        .iter()
        .map(|found| {
            let facts = Istiod {
                source: found.source.clone(),
                revision: found.revision.clone(),
                version: found.version.clone(),
                minor: found.minor,
                ambient: found.ambient,
                profile: found.profile.clone(),
            };
            SubjectFacts::new(facts, found.place.clone()).with("ambient", found.setting.clone())
        })
        .collect()
}

/// Subjects: mesh configurations.
pub fn mesh_configs(index: &Index<'_>) -> Vec<SubjectFacts> {
    let mut found = Vec::new();
    for map in index
        .mesh
        .others_of(&Kind::ConfigMap)
        .filter(|m| is_istio_config_map(m.name()))
    {
        let Some(config) = settings::config_map_yaml(&map.raw, "mesh") else {
            continue;
        };
        let value = config
            .at(&["defaultConfig", "proxyMetadata", HBONE])
            .and_then(model::Node::scalar_text);
        let facts = MeshConfig {
            source: format!("ConfigMap `{}/{}`", map.namespace(), map.name()),
            enable_hbone: value.unwrap_or_default(),
        };
        let mesh = FieldPath::root().key("data").key("mesh");
        let place = Location::of_field(map, &mesh);
        found.push(SubjectFacts::new(facts, place));
    }
    found.extend(installations(index.mesh).iter().map(mesh_config_of));
    found
}

fn mesh_config_of(installation: &Installation<'_>) -> SubjectFacts {
    let key = ["meshConfig", "defaultConfig", "proxyMetadata", HBONE];
    let outer: Vec<&str> = ["spec"].into_iter().chain(key).collect();
    let setting = installation
        .raw(&outer)
        .filter(|_| installation.operator)
        .or_else(|| installation.value(&key));
    let config = installation
        .raw(&["spec", "meshConfig"])
        .filter(|_| installation.operator)
        .or_else(|| installation.value(&["meshConfig"]));
    let value = match &setting {
        Some(setting) => setting.text().unwrap_or_default(),
        None if installation.is_ambient_profile() => "true".to_owned(),
        None => String::new(),
    };
    let facts = MeshConfig {
        source: installation.source.clone(),
        enable_hbone: value,
    };
    SubjectFacts::new(facts, installation.place())
        .with("enableHbone", setting.or(config).map(|found| found.place()))
}

/// Subjects: istio-cni and ztunnel with their versions.
pub fn components(index: &Index<'_>) -> Vec<SubjectFacts> {
    let mut found = Vec::new();
    for workload in index
        .mesh
        .workloads
        .iter()
        .filter(|w| w.id.kind == Kind::DaemonSet)
    {
        let labels = &workload.spec.template.metadata.labels;
        let name = if labels.get("k8s-app").is_some_and(|app| app == "istio-cni-node") {
            "istio-cni"
        } else if labels.get("app").is_some_and(|app| app == "ztunnel") {
            "ztunnel"
        } else {
            continue;
        };
        let containers = &workload.spec.template.spec.containers;
        let image = containers
            .iter()
            .position(|c| c.name == "install-cni" || c.name == "istio-proxy")
            .unwrap_or_default();
        let version = containers
            .get(image)
            .and_then(|c| c.image_tag())
            .unwrap_or_default();
        let path = FieldPath::spec()
            .key("template")
            .key("spec")
            .key("containers")
            .index(image)
            .key("image");
        found.push((name, version.to_owned(), Location::of_field(workload, &path)));
    }
    for (kind, name) in [
        (&Kind::SailIstioCni, "istio-cni"),
        (&Kind::SailZtunnel, "ztunnel"),
    ] {
        for object in index.mesh.others_of(kind) {
            let version = object
                .raw
                .at(&["spec", "version"])
                .and_then(model::Node::scalar_text)
                .unwrap_or_default();
            let path = FieldPath::spec().key("version");
            found.push((name, version, Location::of_field(object, &path)));
        }
    }
    let known: Vec<_> = index.istiods.iter().filter(|i| i.minor > 0).collect();
    found
        .into_iter()
        .map(|(name, version, place)| {
            let facts = Component {
                name: name.to_owned(),
                minor: minor_of(&version),
                version,
                istiod_minors: known.iter().map(|i| i.minor).collect(),
                istiod_versions: known.iter().map(|i| i.version.clone()).collect(),
            };
            SubjectFacts::new(facts, place)
        })
        .collect()
}
