//! Putting rules in place with the programs of the node or of the agent's image.

use super::host::{self, ProbeTargets};
use super::iptables::{self, Family};
use super::programs::Programs;
use super::{PodRules, ProbeAddresses, RuleSettings, nft};
use crate::netlink;
use crate::netns::{self, Netns};
use crate::pod::Labels;
use std::io;
use std::path::PathBuf;

/// Why rules could not be put in place.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Neither program is on the path.
    #[error("neither nft nor iptables-restore is to be found")]
    NoProgram,
    /// A program did not start, or the network namespace was not to be entered.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A program refused the rules.
    #[error("{program} refused the rules: {message}")]
    Refused {
        /// The program.
        program: &'static str,
        /// What it printed.
        message: String,
    },
}

impl RulesError {
    pub(super) fn io(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

/// The kind of program that rules are given to. One is chosen for the whole node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// `nft`.
    Nft,
    /// `iptables-restore` and its kin.
    Iptables,
}

/// The iptables programs of one address family.
struct Kin {
    family: Family,
    save: &'static str,
    restore: &'static str,
}

impl Kin {
    const fn new(family: Family, save: &'static str, restore: &'static str) -> Self {
        Self {
            family,
            save,
            restore,
        }
    }
}

/// Those that rules are put in place with: of the variant that the node's administrator chose.
const CHOSEN: [Kin; 2] = [
    Kin::new(Family::V4, "iptables-save", "iptables-restore"),
    Kin::new(Family::V6, "ip6tables-save", "ip6tables-restore"),
];

/// Both variants. Another agent may have used the one that was not chosen, and neither shows the other's rules.
const VARIANTS: [Kin; 4] = [
    Kin::new(Family::V4, "iptables-nft-save", "iptables-nft-restore"),
    Kin::new(Family::V6, "ip6tables-nft-save", "ip6tables-nft-restore"),
    Kin::new(Family::V4, "iptables-legacy-save", "iptables-legacy-restore"),
    Kin::new(Family::V6, "ip6tables-legacy-save", "ip6tables-legacy-restore"),
];

/// Puts rules in place. Every method blocks for some milliseconds.
#[derive(Debug, Clone)]
pub struct Firewall {
    backend: Backend,
    programs: Programs,
}

impl Firewall {
    /// Uses the programs of the agent's own image.
    #[must_use]
    pub fn new(backend: Backend) -> Self {
        Self {
            backend,
            programs: Programs::default(),
        }
    }

    /// Takes `nft` if it and the kernel know all that the rules need, else iptables. `mounts` is the file of the mount namespace whose programs are used, such as
    /// `/proc/1/ns/mnt` for those of the node; the agent's own if there is none.
    ///
    /// # Errors
    /// If neither is there.
    pub fn detect(mounts: Option<PathBuf>) -> Result<Self, RulesError> {
        let programs = Programs { mounts };
        let all = nft::install(
            &PodRules::of(
                RuleSettings {
                    dns_capture: true,
                    ..RuleSettings::default()
                },
                &Labels::new(),
            )
            .0,
        );
        let backend = if programs.run("nft", &["-c", "-f", "-"], &all).is_ok() {
            Backend::Nft
        } else if programs.run("iptables-save", &[], "").is_ok() {
            Backend::Iptables
        } else {
            return Err(RulesError::NoProgram);
        };
        Ok(Self { backend, programs })
    }

    /// Which kind of program is used.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Puts the rules and routes of a pod in place, whatever of them is there already.
    ///
    /// # Errors
    /// If the namespace is not to be entered or the rules are refused.
    pub fn install(&self, netns: &Netns, rules: &PodRules) -> Result<(), RulesError> {
        let inside = || {
            let ipv6 = rules.ipv6 && netns::has_ipv6();
            let rules = PodRules {
                ipv6,
                ..rules.clone()
            };
            netlink::install(ipv6).map_err(RulesError::io("adding the routing rule"))?;
            match self.backend {
                Backend::Nft => {
                    self.nft(&nft::install(&rules))?;
                    // An agent that uses iptables may have been here before; only now its rules are doubled.
                    self.remove_iptables();
                    Ok(())
                }
                Backend::Iptables => {
                    self.each_family(ipv6, |saved, family| iptables::install(&rules, family, saved))
                }
            }
        };
        netns
            .run(inside)
            .map_err(RulesError::io("entering the pod's network namespace"))?
    }

    /// Removes the rules and routes of a pod, those of the other kind of program, too.
    ///
    /// # Errors
    /// If the namespace is not to be entered, or the rules stay.
    pub fn remove(&self, netns: &Netns) -> Result<(), RulesError> {
        let inside = || {
            match self.backend {
                Backend::Nft => self.nft(&nft::remove())?,
                Backend::Iptables => {
                    self.each_family(netns::has_ipv6(), |saved, _| iptables::remove(saved))?;
                }
            }
            self.remove_iptables();
            netlink::remove(netns::has_ipv6()).map_err(RulesError::io("removing the routing rule"))
        };
        netns
            .run(inside)
            .map_err(RulesError::io("entering the pod's network namespace"))?
    }

    /// Puts the node's rules in place, with the addresses of all enrolled pods. `kubelet` is the kubelet's user id.
    ///
    /// # Errors
    /// If the rules are refused.
    pub fn install_host(
        &self,
        netns: &Netns,
        probes: ProbeAddresses,
        targets: &ProbeTargets,
        kubelet: u32,
    ) -> Result<(), RulesError> {
        let inside = || match self.backend {
            Backend::Nft => self.nft(&host::nft(probes, targets, kubelet)),
            Backend::Iptables => {
                self.programs
                    .run("ipset", &["restore", "-exist"], &host::ipset(targets))?;
                self.each_family(netns::has_ipv6(), |saved, family| {
                    host::iptables(probes, family == Family::V4, saved)
                })
            }
        };
        netns
            .run(inside)
            .map_err(RulesError::io("entering the node's network namespace"))?
    }

    /// Removes the node's rules.
    ///
    /// # Errors
    /// If they stay.
    pub fn remove_host(&self, netns: &Netns) -> Result<(), RulesError> {
        let inside = || match self.backend {
            Backend::Nft => self.nft(&host::nft_remove()),
            Backend::Iptables => {
                self.each_family(netns::has_ipv6(), |saved, _| host::iptables_remove(saved))?;
                for set in host::SETS {
                    // A set that is not there is as good as removed.
                    let _ = self.programs.run("ipset", &["destroy", set], "");
                }
                Ok(())
            }
        };
        netns
            .run(inside)
            .map_err(RulesError::io("entering the node's network namespace"))?
    }

    fn nft(&self, text: &str) -> Result<(), RulesError> {
        self.programs.run("nft", &["-f", "-"], text).map(drop)
    }

    /// Removes rules of every variant of iptables that is there.
    fn remove_iptables(&self) {
        let ipv6 = netns::has_ipv6();
        for kin in VARIANTS
            .iter()
            .chain(&CHOSEN)
            .filter(|kin| ipv6 || kin.family == Family::V4)
        {
            if let Err(error) = self.edit(kin, iptables::remove) {
                tracing::debug!(%error, program = kin.save, "no rules removed");
            }
        }
    }

    /// Applies the text that `text` makes of the rules that are there, family by family.
    fn each_family(&self, ipv6: bool, text: impl Fn(&str, Family) -> String) -> Result<(), RulesError> {
        let families = CHOSEN.iter().filter(|kin| ipv6 || kin.family == Family::V4);
        families
            .into_iter()
            .try_for_each(|kin| self.edit(kin, |saved| text(saved, kin.family)))
    }

    /// Applies the text that `text` makes of the rules that are there; an empty text changes nothing.
    fn edit(&self, kin: &Kin, text: impl Fn(&str) -> String) -> Result<(), RulesError> {
        let text = text(&self.programs.run(kin.save, &[], "")?);
        if !text.is_empty() {
            // Others may hold the lock of iptables for a moment.
            self.programs
                .run(kin.restore, &["--noflush", "-w", "10"], &text)?;
        }
        Ok(())
    }
}
