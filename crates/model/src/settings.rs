//! Settings for the whole mesh, found in the `istio` ConfigMap, an IstioOperator, an `Istio` of the Sail
//! operator, or chart values.

use crate::kind::Kind;
use crate::mesh::Mesh;
use crate::node::{Node, Value};
use crate::yaml;
use std::borrow::Cow;

/// The part of Istio's mesh configuration that conversion depends on (`istio.mesh.v1alpha1.MeshConfig`).
#[derive(Debug, Clone, PartialEq)]
pub struct MeshSettings {
    /// Whether a mesh configuration was found, or the values below are only Istio's defaults.
    pub found: bool,
    /// The namespace whose policies are for the whole mesh.
    pub root_namespace: String,
    /// The domain of Services in DNS.
    pub cluster_domain: String,
    /// The trust domain of identities.
    pub trust_domain: String,
    /// Further trust domains that count as our own.
    pub trust_domain_aliases: Vec<String>,
    /// To whom VirtualServices without `exportTo` are visible; `["*"]` unless set.
    pub default_virtual_service_export_to: Vec<String>,
    /// Names of the extension providers.
    pub extension_providers: Vec<String>,
    /// Whether requests without a retry policy of their own get another one than Istio's
    /// (`defaultHttpRetryPolicy`).
    pub has_default_retries: bool,
    /// Whether gateways believe what proxies in front of them say of a client (`gatewayTopology.numTrustedProxies`).
    pub trusts_proxies: bool,
}

impl Default for MeshSettings {
    fn default() -> Self {
        Self {
            found: false,
            root_namespace: "istio-system".to_owned(),
            cluster_domain: "cluster.local".to_owned(),
            trust_domain: "cluster.local".to_owned(),
            trust_domain_aliases: Vec::new(),
            default_virtual_service_export_to: vec!["*".to_owned()],
            extension_providers: Vec::new(),
            has_default_retries: false,
            trusts_proxies: false,
        }
    }
}

impl MeshSettings {
    /// Reads the settings from the first source that has them, in the order of this list: ConfigMap,
    /// IstioOperator, `Istio` of the Sail operator, chart values.
    #[must_use]
    pub fn find(mesh: &Mesh) -> Self {
        let mut settings = Self::default();
        let sources = mesh_configurations(mesh);
        settings.found = !sources.is_empty();
        for source in sources.iter().rev() {
            settings.take(source);
        }
        for domain in mesh
            .chart_values
            .iter()
            .filter_map(|v| v.node.at(&["global", "proxy", "clusterDomain"]))
        {
            settings.cluster_domain = domain.as_str().map_or(settings.cluster_domain, str::to_owned);
        }
        settings
    }

    fn take(&mut self, config: &Node) {
        let text = |key: &str| {
            config
                .get(key)
                .and_then(Node::as_str)
                .filter(|t| !t.is_empty())
                .map(str::to_owned)
        };
        let texts = |key: &str| {
            config.get(key).map(|list| {
                list.items()
                    .iter()
                    .filter_map(Node::as_str)
                    .map(str::to_owned)
                    .collect()
            })
        };
        if let Some(value) = text("rootNamespace") {
            self.root_namespace = value;
        }
        if let Some(value) = text("trustDomain") {
            self.trust_domain = value;
        }
        if let Some(values) = texts("trustDomainAliases") {
            self.trust_domain_aliases = values;
        }
        if let Some(values) = texts("defaultVirtualServiceExportTo") {
            self.default_virtual_service_export_to = values;
        }
        if config
            .get("defaultHttpRetryPolicy")
            .is_some_and(|policy| !policy.is_null())
        {
            self.has_default_retries = true;
        }
        let trusted = config.at(&["defaultConfig", "gatewayTopology", "numTrustedProxies"]);
        if trusted.is_some_and(|number| !number.is_null() && number.value != Value::Int(0)) {
            self.trusts_proxies = true;
        }
        if let Some(providers) = config.get("extensionProviders") {
            self.extension_providers = providers
                .items()
                .iter()
                .filter_map(|p| p.get("name")?.as_str())
                .map(str::to_owned)
                .collect();
        }
    }
}

/// Every mesh configuration among the objects, the most authoritative first.
#[must_use]
pub fn mesh_configurations(mesh: &Mesh) -> Vec<Cow<'_, Node>> {
    let mut found = Vec::new();
    for map in mesh
        .others_of(&Kind::ConfigMap)
        .filter(|m| is_istio_config_map(m.name()))
    {
        if let Some(parsed) = config_map_yaml(&map.raw, "mesh") {
            found.push(Cow::Owned(parsed));
        }
    }
    let paths: [(&Kind, &[&str]); 3] = [
        (&Kind::IstioOperator, &["spec", "meshConfig"]),
        (&Kind::IstioOperator, &["spec", "values", "meshConfig"]),
        (&Kind::SailIstio, &["spec", "values", "meshConfig"]),
    ];
    for (kind, path) in paths {
        found.extend(
            mesh.others_of(kind)
                .filter_map(|o| o.raw.at(path))
                .map(Cow::Borrowed),
        );
    }
    found.extend(
        mesh.chart_values
            .iter()
            .filter_map(|v| v.node.get("meshConfig"))
            .map(Cow::Borrowed),
    );
    found
}

/// Whether a ConfigMap holds the mesh configuration of a revision: `istio`, or `istio-REVISION`.
#[must_use]
pub fn is_istio_config_map(name: &str) -> bool {
    name == "istio"
        || name.strip_prefix("istio-").is_some_and(|rest| {
            !rest.starts_with("cni") && !rest.starts_with("sidecar-injector") && !rest.starts_with("ca-")
        })
}

/// The YAML under a key of a ConfigMap's `data`.
#[must_use]
pub fn config_map_yaml(config_map: &Node, key: &str) -> Option<Node> {
    let text = config_map.at(&["data", key])?.as_str()?;
    yaml::parse(*yaml::documents(text).first()?).ok().flatten()
}
