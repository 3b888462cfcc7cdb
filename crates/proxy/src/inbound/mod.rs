//! Connections to the pods.

mod calm;
pub mod hbone;
pub mod passthrough;

use crate::identity::Identity;
use crate::pod::{PATIENCE, Pod};
use crate::state::State;
use crate::state::model::Workload;
use semantics::layer_4::{self, Connection, Policy, Verdict};
use std::net::SocketAddr;
use std::sync::Arc;

/// Why a connection is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A policy refuses it.
    #[error("connection closed due to policy rejection: explicitly denied by: {0}")]
    By(String),
    /// No policy allows it.
    #[error("connection closed due to policy rejection: allow policies exist, but none allowed")]
    NotAllowed,
    /// Not all policies have come: what has not come may forbid it.
    #[error("connection closed due to policy rejection: policy {0} is not known yet")]
    NotKnown(String),
    /// istiod does not know the pod.
    #[error("unknown destination: istiod has not told of this pod")]
    UnknownPod,
}

/// A connection, as policies see it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who connects.
    pub peer: Option<Identity>,
    /// From where.
    pub source: SocketAddr,
    /// To which address and port of the pod.
    pub destination: SocketAddr,
}

impl Asked {
    /// Asks the policies, waiting up to five seconds for what istiod has still to send.
    ///
    /// # Errors
    /// If the connection is not to be let in.
    pub async fn authorize(&self, pod: &Pod) -> Result<(), Denied> {
        let settled = pod.node.store.wait_for(PATIENCE, |state, received| {
            let known = received.all().then(|| self.judge(pod, state))?;
            match known {
                Err(Denied::NotKnown(_) | Denied::UnknownPod) => None,
                verdict => Some(verdict),
            }
        });
        match settled.await {
            Some(verdict) => verdict,
            None if pod.node.store.received().all() => self.judge(pod, &pod.node.store.load()),
            None => Err(Denied::NotKnown("*".to_owned())),
        }
    }

    fn judge(&self, pod: &Pod, state: &State) -> Result<(), Denied> {
        let workload = own(pod, state).ok_or(Denied::UnknownPod)?;
        let policies = state.policies_for(workload);
        let policies = policies.map_err(|missing| Denied::NotKnown(missing.to_owned()))?;
        self.decide(&policies)
    }

    /// What these policies say.
    ///
    /// # Errors
    /// If the connection is not to be let in.
    pub fn decide(&self, policies: &[&Policy]) -> Result<(), Denied> {
        let connection = Connection {
            peer: self.peer.as_ref().map(Identity::peer),
            source: self.source.ip(),
            destination: self.destination.ip(),
            port: self.destination.port(),
        };
        match layer_4::decide(policies.iter().copied(), &connection) {
            Verdict::Allowed => Ok(()),
            Verdict::DeniedBy(policy) => Err(Denied::By(crate::state::policy_key(policy))),
            Verdict::NotAllowed => Err(Denied::NotAllowed),
        }
    }

    /// Completes when policy no longer lets this connection be. What is missing for the moment is waited for.
    pub async fn revoked(&self, pod: &Pod) -> Denied {
        let mut changes = pod.node.store.changes();
        loop {
            if let Err(denied @ (Denied::By(_) | Denied::NotAllowed)) =
                self.judge(pod, &pod.node.store.load())
            {
                return denied;
            }
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

fn own<'a>(pod: &Pod, state: &'a State) -> Option<&'a Arc<Workload>> {
    let info = &pod.info;
    state.pod(
        &info.namespace,
        &info.name,
        &info.service_account,
        &pod.node.config.node,
    )
}
