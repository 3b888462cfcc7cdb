//! The addresses of enrolled pods in the node's rules.

use crate::netns::Netns;
use crate::pod::PodUid;
use crate::rules::host::ProbeTargets;
use crate::rules::{Firewall, ProbeAddresses, RulesError};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::spawn_blocking;

/// The node's rules, which are replaced as a whole with each change. Changes that come while one is put in place go together.
pub struct HostRules {
    firewall: Firewall,
    netns: Arc<Netns>,
    probes: ProbeAddresses,
    kubelet: u32,
    wanted: Mutex<Wanted>,
    /// The change up to which the kernel has the rules.
    applied: AsyncMutex<u64>,
}

struct Wanted {
    targets: ProbeTargets,
    /// The number of the last change. The first is that there are rules at all.
    change: u64,
}

impl HostRules {
    /// Rules for the network namespace of the node. `kubelet` is the kubelet's user id.
    #[must_use]
    pub fn new(firewall: Firewall, netns: Arc<Netns>, probes: ProbeAddresses, kubelet: u32) -> Self {
        let wanted = Wanted {
            targets: ProbeTargets::default(),
            change: 1,
        };
        Self {
            firewall,
            netns,
            probes,
            kubelet,
            wanted: Mutex::new(wanted),
            applied: AsyncMutex::new(0),
        }
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        // No code panics between two steps that belong together.
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names a pod without touching the rules. For the start, before [`Self::apply`].
    pub fn preload(&self, uid: &PodUid, addresses: &[IpAddr]) {
        let mut wanted = self.wanted();
        wanted.change += u64::from(wanted.targets.add(uid, addresses));
    }

    /// Adds a pod.
    ///
    /// # Errors
    /// If the rules are refused; the next change tries again.
    pub async fn add(&self, uid: &PodUid, addresses: &[IpAddr]) -> Result<(), RulesError> {
        self.preload(uid, addresses);
        self.apply().await
    }

    /// Removes a pod.
    ///
    /// # Errors
    /// If the rules are refused; the next change tries again.
    pub async fn remove(&self, uid: &PodUid) -> Result<(), RulesError> {
        {
            let mut wanted = self.wanted();
            wanted.change += u64::from(wanted.targets.remove(uid));
        }
        self.apply().await
    }

    /// Puts the rules in place anew, whatever became of them: reloading a node's firewall may have taken them away.
    ///
    /// # Errors
    /// If the rules are refused.
    pub async fn renew(&self) -> Result<(), RulesError> {
        self.wanted().change += 1;
        self.apply().await
    }

    /// Puts the rules in place if they lack anything.
    ///
    /// # Errors
    /// If the rules are refused; the next change tries again.
    pub async fn apply(&self) -> Result<(), RulesError> {
        let needed = self.wanted().change;
        let mut applied = self.applied.lock().await;
        if *applied >= needed {
            return Ok(());
        }
        let (targets, change) = {
            let wanted = self.wanted();
            (wanted.targets.clone(), wanted.change)
        };
        let (firewall, netns, probes, kubelet) = (
            self.firewall.clone(),
            self.netns.clone(),
            self.probes,
            self.kubelet,
        );
        let work = move || firewall.install_host(&netns, probes, &targets, kubelet);
        super::joined(spawn_blocking(work).await)?;
        *applied = change;
        Ok(())
    }

    /// Takes the rules away.
    ///
    /// # Errors
    /// If they stay.
    pub async fn clear(&self) -> Result<(), RulesError> {
        let (firewall, netns) = (self.firewall.clone(), self.netns.clone());
        super::joined(spawn_blocking(move || firewall.remove_host(&netns)).await)
    }
}
