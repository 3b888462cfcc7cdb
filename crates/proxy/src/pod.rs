//! A pod as its connections see it: its sockets, its certificate, its place in the mesh.

use crate::config::Config;
use crate::control::ca::{Authority, Credentials};
use crate::state::Store;
use crate::state::model::Workload;
use crate::sys::Sockets;
use crate::telemetry::Metrics;
use crate::tls::Credential;
use crate::tls::revocation::Revocations;
use crate::zds::WorkloadInfo;
use hickory_resolver::TokioResolver;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a connection waits for what istiod has still to say.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// What all pods of the node share.
#[derive(Debug)]
pub struct Node {
    /// Settings.
    pub config: Config,
    /// The mesh.
    pub store: Arc<Store>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Lists of revoked certificates.
    pub revocations: Arc<Revocations>,
    /// The node's resolver, for workloads that have only a name.
    pub resolver: Option<Arc<TokioResolver>>,
    /// DNS servers for names that are not of the mesh.
    pub upstream: Vec<SocketAddr>,
}

/// How far a pod's proxy is from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It serves.
    Running,
    /// It takes no new connections; those that are open go on.
    Draining,
    /// Everything ends now.
    Stopped,
}

/// A pod that we serve.
#[derive(Debug)]
pub struct Pod {
    /// The node.
    pub node: Arc<Node>,
    /// Who the pod is, in the agent's words.
    pub info: WorkloadInfo,
    /// How its sockets are made.
    pub sockets: Sockets,
    /// Its certificate.
    pub credential: Credentials,
    /// How far it is.
    pub phase: watch::Receiver<Phase>,
    /// The only port that is let in by HBONE; `None`: all but the proxy's own.
    pub only_port: Option<u16>,
}

/// Why a connection has no identity to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// istiod does not know the pod.
    #[error("unknown source: istiod has not told of this pod")]
    Unknown,
    /// No certificate came.
    #[error("no certificate for this pod")]
    NoCertificate,
    /// The certificate is no longer valid.
    #[error("the certificate of this pod has expired")]
    Expired,
}

impl Pod {
    /// The pod's record. Waits for it for five seconds.
    ///
    /// # Errors
    /// If it does not come.
    pub async fn workload(&self) -> Result<Arc<Workload>, NotReady> {
        let info = &self.info;
        let node = &self.node.config.node;
        let find = |state: &crate::state::State, _| {
            state
                .pod(&info.namespace, &info.name, &info.service_account, node)
                .cloned()
        };
        self.node
            .store
            .wait_for(PATIENCE, find)
            .await
            .ok_or(NotReady::Unknown)
    }

    /// The pod's certificate. Waits for it for five seconds.
    ///
    /// # Errors
    /// If there is none that is valid.
    pub async fn credential(&self) -> Result<Arc<Credential>, NotReady> {
        let mut receiver = self.credential.clone();
        let found = tokio::time::timeout(PATIENCE, receiver.wait_for(Option::is_some)).await;
        let found = found.ok().and_then(Result::ok).and_then(|value| value.clone());
        let credential = found.ok_or(NotReady::NoCertificate)?;
        if credential.is_valid() {
            Ok(credential)
        } else {
            Err(NotReady::Expired)
        }
    }

    /// Which address to bind to, to look like `client`. None when the client is the pod itself: an answer to its own
    /// address would never come back to us.
    #[must_use]
    pub fn spoofed(&self, client: IpAddr, own: IpAddr) -> Option<IpAddr> {
        (client != own && !client.is_loopback()).then_some(client)
    }

    /// Completes when the phase is at least `phase`.
    pub async fn reached(&self, phase: Phase) {
        let mut receiver = self.phase.clone();
        let reached = |now: &Phase| match phase {
            Phase::Running => true,
            Phase::Draining => *now != Phase::Running,
            Phase::Stopped => *now == Phase::Stopped,
        };
        // Without a sender, nobody is left who could want the pod served.
        let _ = receiver.wait_for(reached).await;
    }
}

/// Follows a pod's identity, as istiod tells it, and hands on the certificates for it, until nobody wants them.
pub async fn follow_identity(
    node: Arc<Node>,
    info: WorkloadInfo,
    authority: Arc<Authority>,
    credential: watch::Sender<Option<Arc<Credential>>>,
) {
    let mut changes = node.store.changes();
    let mut current: Option<(crate::identity::Identity, Credentials)> = None;
    loop {
        changes.mark_unchanged();
        let identity = {
            let state = node.store.load();
            let pod = state.pod(
                &info.namespace,
                &info.name,
                &info.service_account,
                &node.config.node,
            );
            pod.and_then(|pod| pod.identity.clone())
        };
        if let Some(identity) = identity
            && current.as_ref().is_none_or(|(known, _)| *known != identity)
        {
            let receiver = authority.subscribe(&identity);
            current = Some((identity, receiver));
        }
        if let Some((_, receiver)) = &mut current {
            let latest = receiver.borrow_and_update().clone();
            credential.send_replace(latest);
        }
        let renewed = async {
            match &mut current {
                Some((_, receiver)) => receiver.changed().await.is_ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = changes.changed() => {}
            _ = renewed => {}
            () = credential.closed() => return,
        }
    }
}
