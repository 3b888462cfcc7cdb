//! Which namespaces are read.

use super::api::{Api, Fault, Target};
use super::error::{ClusterError, similar};
use super::needed::Needed;
use model::{Node, settings};
use serde_json::Value;
use std::collections::BTreeSet;

/// The namespace of Istio unless its configuration says otherwise.
const ISTIO_NAMESPACE: &str = "istio-system";

/// All namespaces, or some.
pub(super) enum Scope {
    /// Everything.
    All,
    /// These; the user's, and those that hold settings and policies for the whole mesh.
    Some(BTreeSet<String>),
}

impl Scope {
    /// All namespaces if none is named; else those and where Istio is.
    pub async fn find(api: &Api, named: &[String]) -> Result<Self, ClusterError> {
        if named.is_empty() {
            return Ok(Self::All);
        }
        check(api, named).await?;
        let mut namespaces: BTreeSet<String> = named.iter().cloned().collect();
        namespaces.extend(istio_namespaces(api).await?);
        Ok(Self::Some(namespaces))
    }

    /// Where to list a kind; `None` stands for everywhere.
    pub fn namespaces_for(&self, needed: &Needed) -> Vec<Option<String>> {
        match self {
            Self::Some(namespaces) if needed.kind.is_namespaced() => {
                let mut namespaces = namespaces.clone();
                namespaces.extend(needed.also_in.iter().map(|&name| name.to_owned()));
                namespaces.into_iter().map(Some).collect()
            }
            Self::All | Self::Some(_) => vec![None],
        }
    }
}

/// A namespace with a typing error is empty, which would look like a clean answer. Who may not see namespaces
/// is not asked to prove that they exist.
async fn check(api: &Api, named: &[String]) -> Result<(), ClusterError> {
    let known = names(api).await?;
    for name in named {
        let is_label = !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !is_label || known.as_ref().is_some_and(|known| !known.contains(name)) {
            return Err(ClusterError::UnknownNamespace {
                name: name.clone(),
                similar: similar(&name.to_lowercase(), &known.unwrap_or_default()),
            });
        }
    }
    Ok(())
}

/// The names of all namespaces, if they may be seen.
async fn names(api: &Api) -> Result<Option<Vec<String>>, ClusterError> {
    let target = Target {
        path: "/api/v1/namespaces".to_owned(),
        name: None,
        metadata_only: true,
    };
    match api.list(&target, &|_| ()).await {
        Ok(items) => Ok(Some(items.iter().filter_map(|item| text(item, "name")).collect())),
        Err(Fault::Fatal(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Where Istio is installed, and the root namespace, if that is another one.
async fn istio_namespaces(api: &Api) -> Result<BTreeSet<String>, ClusterError> {
    let mut found = BTreeSet::new();
    for path in [
        "/api/v1/configmaps".to_owned(),
        format!("/api/v1/namespaces/{ISTIO_NAMESPACE}/configmaps"),
    ] {
        let target = Target {
            path,
            name: Some("istio".to_owned()),
            metadata_only: false,
        };
        let maps = match api.list(&target, &|_| ()).await {
            Ok(maps) => maps,
            Err(Fault::Fatal(error)) => return Err(error),
            Err(_) => continue,
        };
        found.extend(maps.iter().filter_map(|map| text(map, "namespace")));
        found.extend(maps.into_iter().filter_map(root_namespace));
        break;
    }
    if found.is_empty() {
        found.insert(ISTIO_NAMESPACE.to_owned());
    }
    Ok(found)
}

fn root_namespace(config_map: Value) -> Option<String> {
    let mesh = settings::config_map_yaml(&Node::from(config_map), "mesh")?;
    let name = mesh.get("rootNamespace")?.as_str()?;
    (!name.is_empty()).then(|| name.to_owned())
}

fn text(object: &Value, key: &str) -> Option<String> {
    object["metadata"][key].as_str().map(str::to_owned)
}
