//! What the API server serves: for each kind the version to ask for.

use super::api::{Api, Fault};
use super::error::ClusterError;
use super::needed::NEEDED;
use model::Kind;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The kinds that can be listed, and those that cannot.
#[derive(Debug, Default)]
pub(super) struct Served {
    /// API version of each kind that is served, such as `networking.istio.io/v1`.
    pub versions: BTreeMap<Kind, String>,
    /// Kinds of which it is not known whether they are served, and why.
    pub unknown: BTreeMap<Kind, String>,
}

/// A group with its versions, the preferred one first.
struct Group {
    name: String,
    versions: Vec<String>,
}

pub(super) async fn discover(api: &Api) -> Result<Served, ClusterError> {
    let groups = groups(api).await?;
    let mut served = Served::default();
    let wanted: BTreeSet<&str> = NEEDED.iter().map(|needed| needed.kind.group()).collect();
    for group in groups.iter().filter(|group| wanted.contains(&*group.name)) {
        for version in &group.versions {
            match resources(api, version).await {
                Ok(kinds) => served.add(group, version, &kinds),
                Err(Fault::Fatal(error)) => return Err(error),
                // The version may have gone since the groups were told.
                Err(Fault::Status(status)) if status.code == 404 => {}
                Err(fault) => served.fail(group, version, &fault),
            }
        }
    }
    served
        .unknown
        .retain(|kind, _| !served.versions.contains_key(kind));
    Ok(served)
}

impl Served {
    fn add(&mut self, group: &Group, version: &str, kinds: &BTreeSet<String>) {
        for kind in kinds_of(group).filter(|kind| kinds.contains(kind.name())) {
            self.versions
                .entry(kind.clone())
                .or_insert_with(|| version.to_owned());
        }
    }

    fn fail(&mut self, group: &Group, version: &str, fault: &Fault) {
        for kind in kinds_of(group) {
            let reason = format!(
                "the API server cannot tell what `{version}` holds: {fault}; try: kubectl get apiservices"
            );
            self.unknown.entry(kind.clone()).or_insert(reason);
        }
    }
}

fn kinds_of(group: &Group) -> impl Iterator<Item = &'static Kind> {
    NEEDED
        .iter()
        .map(|needed| &needed.kind)
        .filter(|kind| kind.group() == group.name)
}

async fn groups(api: &Api) -> Result<Vec<Group>, ClusterError> {
    let answer = match api.get("/apis").await {
        Ok(answer) => answer,
        Err(Fault::Fatal(error)) => return Err(error),
        Err(fault) => {
            return Err(ClusterError::Discovery {
                server: api.server.clone(),
                reason: fault.to_string(),
            });
        }
    };
    let mut groups = vec![Group {
        name: String::new(),
        versions: vec!["v1".to_owned()],
    }];
    groups.extend(elements(&answer, "groups").filter_map(|group| {
        let text = |value: &Value| value.get("groupVersion")?.as_str().map(str::to_owned);
        let mut versions: Vec<String> = group.get("preferredVersion").and_then(text).into_iter().collect();
        for version in elements(group, "versions").filter_map(text) {
            if !versions.contains(&version) {
                versions.push(version);
            }
        }
        let name = group.get("name")?.as_str()?.to_owned();
        Some(Group { name, versions })
    }));
    Ok(groups)
}

/// The kinds of a group's version that can be listed.
async fn resources(api: &Api, version: &str) -> Result<BTreeSet<String>, Fault> {
    let answer = api.get(&root(version)).await?;
    Ok(elements(&answer, "resources")
        .filter(|resource| {
            let subresource = resource["name"].as_str().is_some_and(|name| name.contains('/'));
            !subresource && elements(resource, "verbs").any(|verb| verb == "list")
        })
        .filter_map(|resource| resource["kind"].as_str().map(str::to_owned))
        .collect())
}

/// The path under which the resources of an API version are.
pub(super) fn root(version: &str) -> String {
    if version.contains('/') {
        format!("/apis/{version}")
    } else {
        format!("/api/{version}")
    }
}

fn elements<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}
