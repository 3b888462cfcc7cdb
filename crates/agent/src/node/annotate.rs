//! The annotation by which istiod learns that a pod is redirected.

use crate::pod::{Pod, REDIRECTION};
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Error};
use serde_json::json;

/// Its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirection {
    /// The proxy serves the pod.
    Enabled,
    /// The pod's connections are redirected, but no proxy serves it yet.
    Pending,
    /// The pod is not in the mesh: no annotation.
    None,
}

impl Redirection {
    /// The value; none if there is to be no annotation.
    #[must_use]
    pub fn value(self) -> Option<&'static str> {
        match self {
            Self::Enabled => Some("enabled"),
            Self::Pending => Some("pending"),
            Self::None => None,
        }
    }

    /// What a pod's annotation says; a value that nobody writes counts as none.
    #[must_use]
    pub fn of(pod: &Pod) -> Self {
        match pod.annotations.get(REDIRECTION).map(String::as_str) {
            Some("enabled") => Self::Enabled,
            Some("pending") => Self::Pending,
            _ => Self::None,
        }
    }
}

/// Writes the annotation.
pub trait Annotate: Send + Sync + 'static {
    /// Sets the annotation of a pod, or removes it. A pod that is gone needs none: no error.
    fn annotate<'a>(&'a self, pod: &'a Pod, to: Redirection) -> BoxFuture<'a, Result<(), Error>>;
}

/// Writes through the API server.
pub struct ThroughApi(pub Client);

impl Annotate for ThroughApi {
    fn annotate<'a>(&'a self, pod: &'a Pod, to: Redirection) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let api: Api<v1::Pod> = Api::namespaced(self.0.clone(), &pod.name.namespace);
            // With the UID, a pod of the same name that came after this one is not annotated in its place.
            let patch =
                json!({"metadata": {"uid": pod.uid.as_str(), "annotations": {REDIRECTION: to.value()}}});
            match api
                .patch_status(&pod.name.name, &PatchParams::default(), &Patch::Merge(patch))
                .await
            {
                Err(Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
                outcome => outcome.map(drop),
            }
        })
    }
}
