//! Facts of security policies.

use crate::schema::facts;

facts! {
    /// An AuthorizationPolicy.
    pub struct Policy = "policy" {
        /// Its name.
        pub name: String = "name",
        /// Its namespace.
        pub namespace: String = "namespace",
        /// `ALLOW`, `DENY`, `AUDIT` or `CUSTOM`.
        pub action: String = "action",
        /// Whether it has `targetRefs` (or `targetRef`).
        pub targeted: bool = "targeted",
        /// `workload`, `namespace`, `mesh` or `targets`.
        pub scope: String = "scope",
        /// Whether it can be for pods that are in the mesh; false only where the input shows that it is not.
        pub meshed: bool = "meshed",
        /// What ztunnel makes of it: `same`, `dropped`, `narrowed`, `widened`, `deniesAll` or `ignored`.
        pub ztunnel_effect: String = "ztunnelEffect",
        /// Fields on layer 7.
        pub l7: Vec<String> = "l7",
        /// Rules, and alternatives within rules, that never match at ztunnel.
        pub dropped: Vec<String> = "dropped",
        /// Rules that match more at ztunnel than at a sidecar.
        pub widened: Vec<String> = "widened",
        /// The policy with `targetRefs` that says the same at waypoints; empty if there is none.
        pub twin: String = "twin",
    }
}

facts! {
    /// A RequestAuthentication.
    pub struct RequestAuthentication = "requestAuthentication" {
        /// Its name.
        pub name: String = "name",
        /// Its namespace.
        pub namespace: String = "namespace",
        /// Whether it has `targetRefs` (or `targetRef`).
        pub targeted: bool = "targeted",
        /// `workload`, `namespace`, `mesh` or `targets`.
        pub scope: String = "scope",
        /// Whether it can be for pods that are in the mesh; false only where the input shows that it is not.
        pub meshed: bool = "meshed",
        /// The object with `targetRefs` that says the same at waypoints; empty if there is none.
        pub twin: String = "twin",
    }
}

facts! {
    /// A PeerAuthentication.
    pub struct PeerAuthentication = "peerAuthentication" {
        /// Its name.
        pub name: String = "name",
        /// Its namespace.
        pub namespace: String = "namespace",
        /// `workload`, `namespace` or `mesh`.
        pub scope: String = "scope",
        /// `STRICT`, `PERMISSIVE`, `DISABLE`, or empty if it inherits.
        pub mode: String = "mode",
        /// Ports with the mode DISABLE.
        pub disabled_ports: Vec<String> = "disabledPorts",
        /// The mode that it inherits from the namespace or the mesh.
        pub inherited_mode: String = "inheritedMode",
        /// Whether the input tells that mode.
        pub inherited_known: bool = "inheritedKnown",
        /// Whether it can be for pods that are in the mesh; false only where the input shows that it is not.
        pub meshed: bool = "meshed",
    }
}

facts! {
    /// An object in the root namespace that is for the whole mesh: AuthorizationPolicy,
    /// RequestAuthentication, Telemetry, WasmPlugin or EnvoyFilter.
    pub struct RootPolicy = "rootPolicy" {
        /// The kind.
        pub kind: String = "kind",
        /// Its name.
        pub name: String = "name",
        /// Its namespace.
        pub namespace: String = "namespace",
        /// Whether it has `targetRefs` (or `targetRef`).
        pub targeted: bool = "targeted",
        /// Whether it is for gateways only, which keep reading it.
        pub gateways_only: bool = "gatewaysOnly",
        /// The object that says the same to the GatewayClass `istio-waypoint`; empty if there is none.
        pub twin: String = "twin",
    }
}

facts! {
    /// One entry of `targetRefs` of an AuthorizationPolicy or RequestAuthentication.
    pub struct TargetRef = "targetRef" {
        /// `Kind/name` of the object that has it.
        pub policy: String = "policy",
        /// Its namespace.
        pub namespace: String = "namespace",
        /// `Kind/name` of the target.
        pub target: String = "target",
        /// Whether the input tells if it binds.
        pub known: bool = "known",
        /// Why it binds to nothing, in words; empty if it binds or that is unknown.
        pub problem: String = "problem",
    }
}
