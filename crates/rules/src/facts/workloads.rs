//! Facts of the mesh as a whole, of namespaces and of workloads.

use crate::schema::facts;
use std::collections::BTreeMap;

facts! {
    /// The mesh as a whole, which every condition may speak of.
    pub struct MeshFacts = "mesh" {
        /// Whether the input is a cluster or a snapshot of one, not files.
        pub in_cluster: bool = "inCluster",
        /// The root namespace.
        pub root_namespace: String = "rootNamespace",
        /// How many workloads are in the mesh by a sidecar.
        pub sidecar_workloads: i64 = "sidecarWorkloads",
        /// Minor versions of all istiods whose version is known.
        pub istiod_minors: Vec<i64> = "istiodMinors",
    }
}

facts! {
    /// A namespace; `namespace` itself is a reserved word of CEL.
    pub struct Namespace = "ns" {
        /// Its name.
        pub name: String = "name",
        /// Its labels.
        pub labels: BTreeMap<String, String> = "labels",
        /// Whether its pods get a sidecar: `istio-injection=enabled` or `istio.io/rev`.
        pub sidecar_label: String = "sidecarLabel",
        /// Whether it has the label `istio.io/dataplane-mode=ambient`.
        pub ambient_label: bool = "ambientLabel",
        /// Whether it is to be migrated: labelled for sidecars, or with workloads that have one.
        pub candidate: bool = "candidate",
        /// Whether the exclude list of istio-cni is in the input.
        pub cni_excludes_known: bool = "cniExcludesKnown",
        /// Where that list names this namespace, in words; empty if it does not.
        pub excluded_by: String = "excludedBy",
    }
}

facts! {
    /// A controller of pods, or a pod without one.
    pub struct Workload = "workload" {
        /// `Kind/name`.
        pub name: String = "name",
        /// Its namespace.
        pub namespace: String = "namespace",
        /// Labels of its pods.
        pub labels: BTreeMap<String, String> = "labels",
        /// Annotations of its pods.
        pub annotations: BTreeMap<String, String> = "annotations",
        /// Whether it is in the mesh by a sidecar, by its own labels or containers or by its namespace.
        pub candidate: bool = "candidate",
        /// Whether the labels of its namespace are in the input.
        pub namespace_known: bool = "namespaceKnown",
        /// Whether its namespace is labelled for sidecars.
        pub namespace_injected: bool = "namespaceInjected",
        /// Whether it is an ingress or egress gateway.
        pub gateway: bool = "gateway",
        /// The label or annotation by which its pods ask for a sidecar; empty if they do not.
        pub asks_for_sidecar: String = "asksForSidecar",
        /// Whether its pods refuse a sidecar with `sidecar.istio.io/inject: "false"`.
        pub refuses_sidecar: bool = "refusesSidecar",
        /// Label `istio.io/dataplane-mode` of its pods; empty if unset.
        pub dataplane_mode: String = "dataplaneMode",
        /// Further networks of its pods (`k8s.v1.cni.cncf.io/networks`), without Istio's own.
        pub networks: Vec<String> = "networks",
        /// Annotation `traffic.sidecar.istio.io/excludeInterfaces`; empty if unset.
        pub exclude_interfaces: String = "excludeInterfaces",
        /// Whether its pods use the network of the node.
        pub host_network: bool = "hostNetwork",
    }
}
