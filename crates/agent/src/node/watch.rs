//! Pods and namespaces as the API server tells of them.

use super::controller::{Event, Missing};
use crate::pod::{Labels, Pod, PodName, PodUid};
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1;
use kube::api::{Api, PartialObjectMeta};
use kube::runtime::watcher::{self, Config};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Client, ResourceExt};
use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

type WatchResult<K> = Result<watcher::Event<K>, watcher::Error>;

/// Watches the pods of one node for ever.
pub async fn pods(client: Client, node: &str, events: UnboundedSender<Event>) {
    let config = Config::default().fields(&format!("spec.nodeName={node}"));
    let stream = watch(Api::<v1::Pod>::all(client), config).default_backoff();
    let mut listed = HashMap::new();
    each(stream, |event| {
        let event = match event {
            watcher::Event::Apply(pod) => Event::Pod(Pod::read(&pod)?),
            watcher::Event::Delete(pod) => gone(&pod)?,
            watcher::Event::Init => {
                listed = HashMap::new();
                return None;
            }
            watcher::Event::InitApply(pod) => {
                let pod = Pod::read(&pod)?;
                listed.insert(pod.name.clone(), pod);
                return None;
            }
            watcher::Event::InitDone => Event::Pods(std::mem::take(&mut listed).into_values().collect()),
        };
        Some(events.send(event).is_ok())
    })
    .await;
}

fn gone(pod: &v1::Pod) -> Option<Event> {
    let name = PodName {
        namespace: pod.namespace()?,
        name: pod.name_any(),
    };
    Some(Event::PodGone(name, PodUid::new(&pod.uid()?)?))
}

/// Watches the labels of all namespaces for ever.
pub async fn namespaces(client: Client, events: UnboundedSender<Event>) {
    let stream = watch(
        Api::<PartialObjectMeta<v1::Namespace>>::all(client),
        Config::default(),
    )
    .default_backoff();
    let mut listed = BTreeMap::new();
    let labels = |namespace: PartialObjectMeta<v1::Namespace>| {
        (
            namespace.name_any(),
            namespace.metadata.labels.unwrap_or_default(),
        )
    };
    each(stream, |event| {
        let event = match event {
            watcher::Event::Apply(namespace) => {
                let (name, labels) = labels(namespace);
                Event::Namespace(name, labels)
            }
            watcher::Event::Delete(namespace) => Event::NamespaceGone(namespace.name_any()),
            watcher::Event::Init => {
                listed = BTreeMap::new();
                return None;
            }
            watcher::Event::InitApply(namespace) => {
                listed.extend([labels(namespace)]);
                return None;
            }
            watcher::Event::InitDone => Event::Namespaces(std::mem::take(&mut listed)),
        };
        Some(events.send(event).is_ok())
    })
    .await;
}

/// Gives `take` every event until it says `Some(false)`: nobody listens. Errors heal by themselves.
async fn each<K>(
    stream: impl Stream<Item = WatchResult<K>>,
    mut take: impl FnMut(watcher::Event<K>) -> Option<bool>,
) {
    let mut stream = pin!(stream);
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => {
                if take(event) == Some(false) {
                    return;
                }
            }
            Err(error) => tracing::warn!(%error, "watching; tried again"),
        }
    }
}

/// Answers questions about pods that the watch has not named yet.
pub async fn fetch(client: Client, mut missing: UnboundedReceiver<Missing>, events: UnboundedSender<Event>) {
    while let Some((event, reply)) = missing.recv().await {
        let (client, events) = (client.clone(), events.clone());
        tokio::spawn(async move {
            let name = PodName {
                namespace: event.pod_namespace.clone(),
                name: event.pod_name.clone(),
            };
            match pod(client, &name).await {
                Ok(found) => {
                    let found = found.filter(|(pod, _)| event.is_about(pod));
                    drop(events.send(Event::Fetched(found, event, reply)));
                }
                Err(error) => {
                    tracing::warn!(pod = %name, %error, "asking for a pod that is being made");
                    drop(reply.send(Err(super::worker::EnrolError::Unknown(Box::new(error)))));
                }
            }
        });
    }
}

async fn pod(client: Client, name: &PodName) -> Result<Option<(Pod, Labels)>, kube::Error> {
    let pods: Api<v1::Pod> = Api::namespaced(client.clone(), &name.namespace);
    let Some(pod) = pods.get_opt(&name.name).await?.as_ref().and_then(Pod::read) else {
        return Ok(None);
    };
    let namespaces: Api<v1::Namespace> = Api::all(client);
    let namespace = namespaces.get_metadata_opt(&name.namespace).await?;
    Ok(namespace.map(|namespace| (pod, namespace.metadata.labels.unwrap_or_default())))
}
