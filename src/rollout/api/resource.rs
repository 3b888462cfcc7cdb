//! Where the objects of a kind are: what discovery tells, asked once for each group and version.

use super::{Cluster, Fault};
use crate::input::cluster::api::encoded;
use crate::plan::document::Target;
use http::Method;
use serde_json::Value as Json;
use std::collections::HashMap;
use tokio::sync::Mutex;

/// The resource of a kind.
#[derive(Debug, Clone)]
struct Resource {
    plural: String,
    namespaced: bool,
}

/// What is known so far: for each group and version, the resources by kind.
#[derive(Debug, Default)]
pub(super) struct Resources(Mutex<HashMap<String, HashMap<String, Resource>>>);

impl Cluster {
    /// The path of an object.
    pub(super) async fn path(&self, target: &Target) -> Result<String, Fault> {
        let collection = self
            .collection(&target.api_version, &target.kind, target.namespace.as_deref())
            .await?;
        Ok(format!("{collection}/{}", encoded(&target.name)))
    }

    /// The path of a kind's objects in a namespace, or everywhere.
    pub(super) async fn collection(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Result<String, Fault> {
        let root = if api_version.contains('/') { "apis" } else { "api" };
        let resource = self.resource(root, api_version, kind).await?;
        Ok(match namespace.filter(|_| resource.namespaced) {
            Some(namespace) => format!(
                "/{root}/{api_version}/namespaces/{}/{}",
                encoded(namespace),
                resource.plural
            ),
            None => format!("/{root}/{api_version}/{}", resource.plural),
        })
    }

    async fn resource(&self, root: &str, api_version: &str, kind: &str) -> Result<Resource, Fault> {
        let mut known = self.resources.0.lock().await;
        if let Some(resource) = known.get(api_version).and_then(|kinds| kinds.get(kind)) {
            return Ok(resource.clone());
        }
        let unknown = || Fault::UnknownKind {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        };
        // Asked again each time for what is not served: its definition may come.
        let answer = match self
            .send(Method::GET, &format!("/{root}/{api_version}"), None)
            .await
        {
            Err(fault) if fault.is_not_found() => return Err(unknown()),
            answer => answer?,
        };
        let kinds = kinds(&answer);
        let found = kinds.get(kind).cloned().ok_or_else(unknown);
        known.insert(api_version.to_owned(), kinds);
        found
    }
}

fn kinds(answer: &Json) -> HashMap<String, Resource> {
    let resources = answer
        .get("resources")
        .and_then(Json::as_array)
        .into_iter()
        .flatten();
    resources
        .filter_map(|resource| {
            let plural = resource["name"].as_str().filter(|name| !name.contains('/'))?;
            let found = Resource {
                plural: plural.to_owned(),
                namespaced: resource["namespaced"] == true,
            };
            Some((resource["kind"].as_str()?.to_owned(), found))
        })
        .collect()
}
