//! AuthorizationPolicy, RequestAuthentication and PeerAuthentication (`security.istio.io`).

use crate::decode::Opaque;
use crate::{record, words};
use std::collections::BTreeMap;

words! {
    /// What a policy does with what its rules match.
    pub enum Action {
        /// Let in; with at least one such policy everything else is refused.
        Allow = "ALLOW",
        /// Refuse.
        Deny = "DENY",
        /// Log.
        Audit = "AUDIT",
        /// Ask an external provider.
        Custom = "CUSTOM",
    }
}

record! { strict;
    /// Which pods a policy is for.
    pub struct WorkloadSelector {
        /// Labels that a pod must have, all of them.
        pub match_labels: BTreeMap<String, String> = "matchLabels",
    }
}

impl WorkloadSelector {
    /// Whether a pod with these labels is selected.
    #[must_use]
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        is_subset(&self.match_labels, labels)
    }
}

/// Whether every pair of `wanted` is among `labels`.
#[must_use]
pub fn is_subset(wanted: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

record! { strict;
    /// What a policy is attached to (`istio.type.v1beta1.PolicyTargetReference`).
    pub struct PolicyTargetReference {
        /// API group; empty for the core group.
        pub group: Option<String> = "group",
        /// Kind.
        pub kind: String = "kind",
        /// Name.
        pub name: String = "name",
        /// Not supported by Istio: the webhook refuses any value.
        pub namespace: Option<String> = "namespace",
    }
}

record! { strict;
    /// Who may do what (`istio.security.v1.AuthorizationPolicy`).
    pub struct AuthorizationPolicy {
        /// Pods; absent together with `targetRefs` means the whole namespace, in the root namespace the mesh.
        pub selector: Option<WorkloadSelector> = "selector",
        /// One target; the older spelling.
        pub target_ref: Option<PolicyTargetReference> = "targetRef",
        /// Targets of a waypoint or gateway.
        pub target_refs: Vec<PolicyTargetReference> = "targetRefs",
        /// Alternatives; none at all never match.
        pub rules: Vec<Rule> = "rules",
        /// Absent is ALLOW.
        pub action: Option<Action> = "action",
        /// Provider of a CUSTOM policy.
        pub provider: Option<ExtensionProvider> = "provider",
    }
}

impl AuthorizationPolicy {
    /// The action with its default.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action.unwrap_or(Action::Allow)
    }

    /// Whether the policy is attached to targets, and so read by waypoints only.
    #[must_use]
    pub fn is_targeted(&self) -> bool {
        self.target_ref.is_some() || !self.target_refs.is_empty()
    }
}

record! { strict;
    /// A provider by its name in the mesh configuration.
    pub struct ExtensionProvider {
        /// The name.
        pub name: String = "name",
    }
}

record! { strict;
    /// Sources, operations and conditions, all of which must hold.
    pub struct Rule {
        /// Alternatives; absent is anyone.
        pub from: Vec<From> = "from",
        /// Alternatives; absent is anything.
        pub to: Vec<To> = "to",
        /// Conditions, all of which must hold.
        pub when: Vec<Condition> = "when",
    }
}

record! { strict;
    /// A wrapper in the API.
    pub struct From {
        /// The source.
        pub source: Source = "source",
    }
}

record! { strict;
    /// A wrapper in the API.
    pub struct To {
        /// The operation.
        pub operation: Operation = "operation",
    }
}

record! { strict;
    /// Who; every field that is set must hold, each by one of its values.
    pub struct Source {
        /// Identities of the peer.
        pub principals: Vec<String> = "principals",
        /// None of these.
        pub not_principals: Vec<String> = "notPrincipals",
        /// `issuer/subject` of a verified token.
        pub request_principals: Vec<String> = "requestPrincipals",
        /// None of these.
        pub not_request_principals: Vec<String> = "notRequestPrincipals",
        /// Namespaces of the peer.
        pub namespaces: Vec<String> = "namespaces",
        /// None of these.
        pub not_namespaces: Vec<String> = "notNamespaces",
        /// Service accounts of the peer, in any trust domain.
        pub service_accounts: Vec<String> = "serviceAccounts",
        /// None of these.
        pub not_service_accounts: Vec<String> = "notServiceAccounts",
        /// Trust domains of the peer (Istio 1.30).
        pub trust_domains: Vec<String> = "trustDomains",
        /// None of these.
        pub not_trust_domains: Vec<String> = "notTrustDomains",
        /// Addresses of the peer.
        pub ip_blocks: Vec<String> = "ipBlocks",
        /// None of these.
        pub not_ip_blocks: Vec<String> = "notIpBlocks",
        /// Addresses of the original client.
        pub remote_ip_blocks: Vec<String> = "remoteIpBlocks",
        /// None of these.
        pub not_remote_ip_blocks: Vec<String> = "notRemoteIpBlocks",
    }
}

record! { strict;
    /// What; every field that is set must hold, each by one of its values.
    pub struct Operation {
        /// `:authority`.
        pub hosts: Vec<String> = "hosts",
        /// None of these.
        pub not_hosts: Vec<String> = "notHosts",
        /// Ports: of the pod at a sidecar and at ztunnel, of the Service at a waypoint.
        pub ports: Vec<String> = "ports",
        /// None of these.
        pub not_ports: Vec<String> = "notPorts",
        /// HTTP methods.
        pub methods: Vec<String> = "methods",
        /// None of these.
        pub not_methods: Vec<String> = "notMethods",
        /// Paths.
        pub paths: Vec<String> = "paths",
        /// None of these.
        pub not_paths: Vec<String> = "notPaths",
    }
}

record! { strict;
    /// A condition on an attribute.
    pub struct Condition {
        /// The attribute.
        pub key: String = "key",
        /// One of these.
        pub values: Vec<String> = "values",
        /// None of these.
        pub not_values: Vec<String> = "notValues",
    }
}

record! { strict;
    /// Which tokens are valid (`istio.security.v1.RequestAuthentication`).
    pub struct RequestAuthentication {
        /// Pods.
        pub selector: Option<WorkloadSelector> = "selector",
        /// One target; the older spelling.
        pub target_ref: Option<PolicyTargetReference> = "targetRef",
        /// Targets of a waypoint or gateway.
        pub target_refs: Vec<PolicyTargetReference> = "targetRefs",
        /// Issuers and where their tokens are found.
        pub jwt_rules: Vec<Opaque> = "jwtRules",
    }
}

impl RequestAuthentication {
    /// Whether the object is attached to targets, and so read by waypoints only.
    #[must_use]
    pub fn is_targeted(&self) -> bool {
        self.target_ref.is_some() || !self.target_refs.is_empty()
    }
}

words! {
    /// Which connections are let in.
    pub enum MtlsMode {
        /// Inherits.
        Unset = "UNSET",
        /// Plaintext only.
        Disable = "DISABLE",
        /// Both.
        Permissive = "PERMISSIVE",
        /// Mutual TLS only.
        Strict = "STRICT",
    }
}

record! { strict;
    /// A mode.
    pub struct MutualTls {
        /// The mode; absent inherits.
        pub mode: Option<MtlsMode> = "mode",
    }
}

record! { strict;
    /// How peers must connect (`istio.security.v1.PeerAuthentication`).
    pub struct PeerAuthentication {
        /// Pods; absent means the namespace, in the root namespace the mesh.
        pub selector: Option<WorkloadSelector> = "selector",
        /// The mode for all ports.
        pub mtls: Option<MutualTls> = "mtls",
        /// Modes by pod port.
        pub port_level_mtls: BTreeMap<String, MutualTls> = "portLevelMtls",
    }
}
