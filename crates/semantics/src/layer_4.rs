//! Whether policies let a connection in, by what is known of it on layer 4.
//!
//! The policies are those that istiod sends to node proxies; which of them apply to a workload is for the caller
//! to say. Source: istio/ztunnel `src/rbac.rs`, `src/state.rs`; istio/api `security/v1beta1`.

use std::net::IpAddr;

/// What a policy that matches does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It lets the connection in, and shuts out what no such policy matches.
    Allow,
    /// It refuses the connection.
    Deny,
}

/// Which workloads a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of the mesh.
    Global,
    /// All of the policy's namespace.
    Namespace,
    /// Those whose records name it.
    Selector,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Which workloads it is for.
    pub scope: Scope,
    /// What it does.
    pub action: Action,
    /// It matches if any of them does; none of none does.
    pub rules: Vec<Rule>,
    /// It is to be logged, not to be enforced.
    pub dry_run: bool,
}

/// Matches if each of its clauses does; without clauses, always.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// The clauses.
    pub clauses: Vec<Clause>,
}

/// Matches if any of its alternatives does; without alternatives, always.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Clause {
    /// The alternatives.
    pub matches: Vec<Match>,
}

/// Matches if each attribute does that has values. An attribute matches by any of its values, its negation by none.
/// Without any value **it never matches**.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Match {
    /// The peer's namespace.
    pub namespaces: Values<Text>,
    /// The peer's identity, without `spiffe://`.
    pub principals: Values<Text>,
    /// The peer's namespace and service account, in any trust domain.
    pub service_accounts: Values<ServiceAccount>,
    /// The peer's address.
    pub source_ips: Values<Block>,
    /// The pod's own address.
    pub destination_ips: Values<Block>,
    /// The pod's own port.
    pub destination_ports: Values<u16>,
}

/// Values of an attribute, and values that it must not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values<T> {
    /// One of these, if there are any.
    pub any: Vec<T>,
    /// None of these.
    pub none: Vec<T>,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self {
            any: Vec::new(),
            none: Vec::new(),
        }
    }
}

/// A pattern of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// This text.
    Exact(String),
    /// A text that begins like this.
    Prefix(String),
    /// A text that ends like this.
    Suffix(String),
    /// Any text but the empty one.
    Present,
}

/// A service account of any trust domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    address: IpAddr,
    length: u8,
}

/// The identity that the peer has proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer<'a> {
    /// `<trust domain>/ns/<namespace>/sa/<service account>`.
    pub principal: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its service account.
    pub service_account: &'a str,
}

/// A connection as policies see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection<'a> {
    /// Who connects; `None` if nobody proved anything.
    pub peer: Option<Peer<'a>>,
    /// From where.
    pub source: IpAddr,
    /// To which address of the pod.
    pub destination: IpAddr,
    /// To which port of the pod.
    pub port: u16,
}

/// What the policies say of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// Let it in.
    Allowed,
    /// This policy refuses it.
    DeniedBy(&'a Policy),
    /// There are policies that allow, and none of them allows this.
    NotAllowed,
}

/// Asks the policies that apply to a workload about a connection to it. DENY comes first. Dry runs count for nothing.
pub fn decide<'a>(
    policies: impl Iterator<Item = &'a Policy> + Clone,
    connection: &Connection<'_>,
) -> Verdict<'a> {
    let enforced = policies.filter(|policy| !policy.dry_run);
    let mut denies = enforced.clone().filter(|policy| policy.action == Action::Deny);
    if let Some(policy) = denies.find(|policy| policy.matches(connection)) {
        return Verdict::DeniedBy(policy);
    }
    let mut allows = enforced
        .filter(|policy| policy.action == Action::Allow)
        .peekable();
    if allows.peek().is_none() || allows.any(|policy| policy.matches(connection)) {
        Verdict::Allowed
    } else {
        Verdict::NotAllowed
    }
}

impl Policy {
    /// Whether any rule matches the connection, be the policy enforced or not.
    #[must_use]
    pub fn matches(&self, connection: &Connection<'_>) -> bool {
        self.rules.iter().any(|rule| rule.matches(connection))
    }
}

impl Rule {
    fn matches(&self, connection: &Connection<'_>) -> bool {
        self.clauses.iter().all(|clause| {
            clause.matches.is_empty()
                || clause
                    .matches
                    .iter()
                    .any(|alternative| alternative.matches(connection))
        })
    }
}

impl Match {
    fn is_empty(&self) -> bool {
        self.namespaces.is_empty()
            && self.principals.is_empty()
            && self.service_accounts.is_empty()
            && self.source_ips.is_empty()
            && self.destination_ips.is_empty()
            && self.destination_ports.is_empty()
    }

    fn matches(&self, connection: &Connection<'_>) -> bool {
        if self.is_empty() {
            return false;
        }
        let peer = connection.peer.as_ref();
        // Without an identity the namespace is the empty text, but there is no principal for a pattern to match.
        let namespace = peer.map_or("", |peer| peer.namespace);
        self.namespaces.admit(|pattern| pattern.matches(namespace))
            && self
                .principals
                .admit(|pattern| peer.is_some_and(|peer| pattern.matches(peer.principal)))
            && self
                .service_accounts
                .admit(|account| peer.is_some_and(|peer| account.is(peer)))
            && self.source_ips.admit(|block| block.contains(connection.source))
            && self
                .destination_ips
                .admit(|block| block.contains(connection.destination))
            && self.destination_ports.admit(|&port| port == connection.port)
    }
}

impl<T> Values<T> {
    fn is_empty(&self) -> bool {
        self.any.is_empty() && self.none.is_empty()
    }

    fn admit(&self, matches: impl Fn(&T) -> bool) -> bool {
        (self.any.is_empty() || self.any.iter().any(&matches)) && !self.none.iter().any(&matches)
    }
}

impl Text {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => text == exact,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::Suffix(suffix) => text.ends_with(suffix.as_str()),
            Self::Present => !text.is_empty(),
        }
    }
}

impl ServiceAccount {
    fn is(&self, peer: &Peer<'_>) -> bool {
        self.namespace == peer.namespace && self.name == peer.service_account
    }
}

impl Block {
    /// The block of addresses that share their first `length` bits with `address`; `None` if it has not so many.
    #[must_use]
    pub fn new(address: IpAddr, length: u32) -> Option<Self> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let length = u8::try_from(length).ok().filter(|&length| length <= bits)?;
        Some(Self { address, length })
    }

    /// How many leading bits the addresses share.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether an address is in the block. Those of the other family never are.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let differing = ours.to_bits() ^ theirs.to_bits();
                differing.leading_zeros() >= u32::from(self.length)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let differing = ours.to_bits() ^ theirs.to_bits();
                differing.leading_zeros() >= u32::from(self.length)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
#[path = "layer_4_tests.rs"]
mod tests;
