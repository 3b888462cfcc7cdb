//! Reading a live cluster: only what the table [`NEEDED`] names, page by page, never a Secret.

pub(crate) mod api;
mod connect;
mod discovery;
mod error;
mod fault;
mod needed;
mod raw;
mod scope;

pub(crate) use connect::connect;
pub use error::ClusterError;
pub use needed::{CONFIG_MAPS, How, NEEDED, Needed, cluster_role};
pub use raw::{REDACTED, RawCluster};
pub(in crate::input) use raw::{identity, kind_of};

use super::Input;
use api::{Api, Fault, Target};
use discovery::{Served, discover, root};
use futures::StreamExt;
use k8s_openapi::jiff;
use model::Kind;
use scope::Scope;
use serde_json::Value;
use std::cell::RefCell;
use std::path::PathBuf;

/// How many lists are read at the same time: the API server has other work, too.
const CONCURRENCY: usize = 4;
/// How many objects a page has.
const PAGE_LIMIT: u32 = 500;
/// How often a request is made before its failure counts, where nothing depends on it but a report.
const ATTEMPTS: u32 = 4;

/// Which cluster, and how much of it.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The context of the kubeconfig; the current one if not given.
    pub context: Option<String>,
    /// Only these namespaces; all if empty.
    pub namespaces: Vec<String>,
    /// The kubeconfig; that of `KUBECONFIG` or the home directory if not given.
    pub kubeconfig: Option<PathBuf>,
    /// How many objects to ask for at a time.
    pub page_limit: u32,
    /// How often a request is made before its failure counts.
    pub attempts: u32,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            context: None,
            namespaces: Vec::new(),
            kubeconfig: None,
            page_limit: PAGE_LIMIT,
            attempts: ATTEMPTS,
        }
    }
}

/// Reads a cluster to a mesh. What could not be read is in the coverage and the gaps.
///
/// # Errors
/// If not even a part of the cluster can be read.
pub async fn read(options: &ClusterOptions, progress: &mut dyn FnMut(&str)) -> Result<Input, ClusterError> {
    let raw = fetch(options, progress).await?;
    let description = format!("context `{}`", raw.context);
    Ok(raw.into_input(description))
}

/// [`read`], for callers without a runtime.
///
/// # Errors
/// As [`read`].
pub fn read_blocking(
    options: &ClusterOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<Input, ClusterError> {
    runtime()?.block_on(read(options, progress))
}

/// [`fetch`], for callers without a runtime.
///
/// # Errors
/// As [`read`].
pub fn fetch_blocking(
    options: &ClusterOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<RawCluster, ClusterError> {
    runtime()?.block_on(fetch(options, progress))
}

fn runtime() -> Result<tokio::runtime::Runtime, ClusterError> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// Reads a cluster without giving its objects types.
///
/// # Errors
/// As [`read`].
pub async fn fetch(
    options: &ClusterOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<RawCluster, ClusterError> {
    let progress = RefCell::new(progress);
    let tell = |text: &str| (progress.borrow_mut())(text);
    let connection = connect(options).await?;
    tell(&format!("connecting to {}", connection.server));
    let api = Api {
        client: connection.client,
        server: connection.server,
        page_limit: options.page_limit.max(1),
        attempts: options.attempts.max(1),
    };
    let server_version = server_version(&api).await?;
    let served = discover(&api).await?;
    let scope = Scope::find(&api, &options.namespaces).await?;
    let mut raw = RawCluster {
        context: connection.context,
        taken_at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        server_version,
        namespaces: (!options.namespaces.is_empty()).then(|| options.namespaces.iter().cloned().collect()),
        ..RawCluster::default()
    };
    raw.take_discovery(&served);
    let lists = lists(&served, &scope);
    raw.take_lists(&api, lists, &tell).await?;
    let revisions = revision_lists(&raw);
    raw.take_lists(&api, revisions, &tell).await?;
    raw.arrange();
    Ok(raw)
}

async fn server_version(api: &Api) -> Result<Option<String>, ClusterError> {
    match api.get("/version").await {
        Ok(version) => {
            let number = |key: &str| {
                let digits = |text: &str| text.trim_end_matches(|c: char| !c.is_ascii_digit()).to_owned();
                version[key].as_str().map(digits)
            };
            Ok(number("major")
                .zip(number("minor"))
                .map(|(major, minor)| format!("{major}.{minor}")))
        }
        Err(Fault::Fatal(error)) => Err(error),
        Err(Fault::Timeout) => Err(ClusterError::Timeout {
            server: api.server.clone(),
        }),
        Err(_) => Ok(None),
    }
}

/// One list to read.
struct List {
    kind: Kind,
    api_version: String,
    namespace: Option<String>,
    target: Target,
}

impl List {
    fn new(kind: &Kind, api_version: &str, namespace: Option<String>, how: How, name: Option<&str>) -> Self {
        let root = root(api_version);
        let path = match &namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", kind.plural()),
            None => format!("{root}/{}", kind.plural()),
        };
        Self {
            kind: kind.clone(),
            api_version: api_version.to_owned(),
            namespace,
            target: Target {
                path,
                name: name.map(str::to_owned),
                metadata_only: how == How::Metadata,
            },
        }
    }
}

impl List {
    fn key(&self) -> (&Kind, &Option<String>, &Option<String>) {
        (&self.kind, &self.namespace, &self.target.name)
    }
}

fn lists(served: &Served, scope: &Scope) -> Vec<List> {
    let mut lists = Vec::new();
    for needed in NEEDED {
        let Some(version) = served.versions.get(&needed.kind) else {
            continue;
        };
        let names: Vec<Option<&str>> = match needed.how {
            How::Named(names) => names.iter().copied().map(Some).collect(),
            How::All | How::Unowned | How::Metadata => vec![None],
        };
        for namespace in scope.namespaces_for(needed) {
            for name in &names {
                lists.push(List::new(
                    &needed.kind,
                    version,
                    namespace.clone(),
                    needed.how,
                    *name,
                ));
            }
        }
    }
    lists
}

/// The ConfigMaps of revisions, whose names are known only when the istiods are.
fn revision_lists(raw: &RawCluster) -> Vec<List> {
    let deployments = raw.objects.iter().filter(|o| kind_of(o) == Kind::Deployment);
    let mut lists: Vec<List> = deployments
        .filter(|o| o["metadata"]["labels"]["app"] == "istiod")
        .filter_map(|o| {
            let revision = o["metadata"]["labels"]["istio.io/rev"].as_str()?;
            let namespace = o["metadata"]["namespace"].as_str()?.to_owned();
            (revision != "default" && !revision.is_empty()).then(|| {
                let name = format!("istio-{revision}");
                List::new(&Kind::ConfigMap, "v1", Some(namespace), How::All, Some(&name))
            })
        })
        .collect();
    lists.sort_by(|a, b| a.key().cmp(&b.key()));
    lists.dedup_by(|a, b| a.key() == b.key());
    lists
}

impl RawCluster {
    fn take_discovery(&mut self, served: &Served) {
        for kind in NEEDED.iter().map(|needed| &needed.kind) {
            if let Some(reason) = served.unknown.get(kind) {
                self.unreadable.insert(kind.clone(), reason.clone());
            } else if !served.versions.contains_key(kind) {
                self.not_installed.insert(kind.clone());
            }
        }
    }

    async fn take_lists(
        &mut self,
        api: &Api,
        lists: Vec<List>,
        tell: &dyn Fn(&str),
    ) -> Result<(), ClusterError> {
        let reading = lists.into_iter().map(async |list| {
            let plural = list.kind.plural();
            let result = api
                .list(&list.target, &|count| tell(&format!("reading {plural}: {count}")))
                .await;
            (list, result)
        });
        let mut faults = Vec::new();
        let mut results = futures::stream::iter(reading).buffer_unordered(CONCURRENCY);
        while let Some((list, result)) = results.next().await {
            match result {
                Ok(items) => self.take_items(&list, items),
                Err(Fault::Fatal(error)) => return Err(error),
                // The definition was removed after discovery told of it.
                Err(Fault::Status(status)) if status.code == 404 => {
                    self.not_installed.insert(list.kind);
                }
                Err(fault) => faults.push((list, fault)),
            }
        }
        self.take_faults(faults);
        Ok(())
    }

    fn take_items(&mut self, list: &List, items: Vec<Value>) {
        self.objects.extend(
            items
                .into_iter()
                .filter_map(|item| raw::clean(item, &list.api_version, &list.kind)),
        );
        self.read.insert(list.kind.clone());
    }

    /// Tells once for each kind why it could not be read.
    fn take_faults(&mut self, mut faults: Vec<(List, Fault)>) {
        // Lists end in any order, which must not show.
        faults.sort_by(|(a, _), (b, _)| a.key().cmp(&b.key()));
        for group in faults.chunk_by(|(a, _), (b, _)| a.kind == b.kind) {
            let [(list, fault), ..] = group else { continue };
            let namespaces = group
                .iter()
                .filter_map(|(list, _)| list.namespace.as_deref())
                .collect();
            let names = group
                .iter()
                .filter_map(|(list, _)| list.target.name.as_deref())
                .collect();
            let reason = fault.explain(&list.kind, &namespaces, &names);
            self.unreadable.entry(list.kind.clone()).or_insert(reason);
        }
    }
}

#[cfg(test)]
mod tests;
