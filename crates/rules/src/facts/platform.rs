//! Facts of nodes and of what gives pods their network.

use crate::schema::facts;

facts! {
    /// Istio's CNI node agent, taken together from everything in the input that speaks of it. There is
    /// always exactly one.
    pub struct IstioCni = "istioCni" {
        /// Whether the input tells if the agent is installed: a cluster whose DaemonSets could be read, or a
        /// manifest that installs it or decides against it.
        pub known: bool = "known",
        /// Whether the agent is installed.
        pub installed: bool = "installed",
        /// What says so, in words.
        pub source: String = "source",
        /// Whether the input tells if ambient is switched on in the agent.
        pub ambient_known: bool = "ambientKnown",
        /// Whether ambient is switched on in the agent.
        pub ambient: bool = "ambient",
        /// How many workloads carry the init container `istio-init`, which only meshes without the agent need.
        pub init_containers: i64 = "initContainers",
    }
}

facts! {
    /// A node of the cluster.
    pub struct Node = "node" {
        /// Its name.
        pub name: String = "name",
        /// Whether the pods of the cluster could all be read.
        pub pods_known: bool = "podsKnown",
        /// Whether `istio-cni-node` runs anywhere in the cluster; where it does not, MM1101 says so once.
        pub cni_installed: bool = "cniInstalled",
        /// How many pods of the sidecar mesh run on it.
        pub mesh_pods: i64 = "meshPods",
        /// Whether a ready pod of `istio-cni-node` runs on it.
        pub cni_ready: bool = "cniReady",
        /// Whether any pod of `istio-cni-node` runs on it.
        pub cni_present: bool = "cniPresent",
    }
}

facts! {
    /// A folder of CNI configurations as it lies on a node (`/etc/cni/net.d`); the container runtime reads
    /// only the file whose name sorts first.
    pub struct CniDirectory = "cniDirectory" {
        /// The folder.
        pub path: String = "path",
        /// Name of the file that sorts first.
        pub first: String = "first",
        /// Types of the plugins in that file, in their order.
        pub chain: Vec<String> = "chain",
        /// Whether `istio-cni` is one of them.
        pub chained: bool = "chained",
        /// The file in which `istio-cni` stands; empty if in none.
        pub istio_file: String = "istioFile",
        /// Whether the first file is Cilium's own.
        pub cilium: bool = "cilium",
        /// Whether the first file belongs to Multus, which calls further plugins by itself.
        pub multus: bool = "multus",
        /// All files in their order.
        pub files: Vec<String> = "files",
    }
}

facts! {
    /// Cilium, once for each source of its settings: the ConfigMap `cilium-config`, or Helm values; or once
    /// without settings if only its policies are in the input.
    pub struct Cilium = "cilium" {
        /// Where the settings stand, in words.
        pub source: String = "source",
        /// Whether there are settings at all; the facts on settings mean nothing without.
        pub configured: bool = "configured",
        /// `cni-exclusive` (Helm `cni.exclusive`); on unless switched off.
        pub exclusive: bool = "exclusive",
        /// Whether that setting is written out.
        pub exclusive_set: bool = "exclusiveSet",
        /// `enable-bpf-masquerade` (Helm `bpf.masquerade`).
        pub bpf_masquerade: bool = "bpfMasquerade",
        /// `kube-proxy-replacement` (Helm `kubeProxyReplacement`).
        pub kube_proxy_replacement: bool = "kubeProxyReplacement",
        /// `enable-host-legacy-routing` (Helm `bpf.hostLegacyRouting`).
        pub host_legacy_routing: bool = "hostLegacyRouting",
        /// `bpf-lb-sock` (Helm `socketLB.enabled`).
        pub socket_lb: bool = "socketLb",
        /// `bpf-lb-sock-hostns-only` (Helm `socketLB.hostNamespaceOnly`).
        pub socket_lb_host_namespace_only: bool = "socketLbHostNamespaceOnly",
        /// `enable-policy` (Helm `policyEnforcementMode`): `default`, `always` or `never`.
        pub policy_enforcement_mode: String = "policyEnforcementMode",
        /// Policies that select pods of the mesh and so turn their ingress to default deny.
        pub ingress_policies: Vec<String> = "ingressPolicies",
        /// Whether a CiliumClusterwideNetworkPolicy admits 169.254.7.127/32 to every pod.
        pub probes_admitted: bool = "probesAdmitted",
    }
}

facts! {
    /// A CiliumNetworkPolicy or CiliumClusterwideNetworkPolicy.
    pub struct CiliumPolicy = "ciliumPolicy" {
        /// `Kind/name`, with the namespace in front if it has one.
        pub name: String = "name",
        /// Whether it can select pods of the sidecar mesh.
        pub selects_mesh: bool = "selectsMesh",
        /// Fields with rules on layer 7, but for DNS on egress.
        pub l7: Vec<String> = "l7",
    }
}

facts! {
    /// Calico's data plane, once for each FelixConfiguration or Installation.
    pub struct Calico = "calico" {
        /// `Kind/name`.
        pub source: String = "source",
        /// Whether the eBPF data plane is on.
        pub bpf: bool = "bpf",
        /// Whether the eBPF data plane is switched off in so many words.
        pub bpf_off: bool = "bpfOff",
        /// Version of calico-node, such as `v3.28.1`; empty if it is not in the input.
        pub version: String = "version",
        /// Major version; 0 if unknown.
        pub major: i64 = "major",
        /// Minor version; 0 if unknown.
        pub minor: i64 = "minor",
        /// Connect-time load balancing in effect: `TCP`, `Enabled`, `Disabled`, or empty if nothing is said.
        pub connect_time_load_balancing: String = "connectTimeLoadBalancing",
        /// The setting that says so, such as `bpfConnectTimeLoadBalancing`.
        pub connect_time_setting: String = "connectTimeSetting",
    }
}

facts! {
    /// An object of Calico that can use a part of Calico Enterprise or Calico Cloud.
    pub struct CalicoFeature = "calicoFeature" {
        /// `Kind/name`, with the namespace in front if it has one.
        pub name: String = "name",
        /// The part that does not work with ambient, in words; empty if it uses none.
        pub feature: String = "feature",
    }
}

facts! {
    /// The AWS VPC CNI, from its DaemonSet `aws-node`.
    pub struct Aws = "aws" {
        /// `ENABLE_POD_ENI`: security groups for pods.
        pub pod_eni: bool = "podEni",
        /// `POD_SECURITY_GROUP_ENFORCING_MODE`; `strict` unless set.
        pub enforcing_mode: String = "enforcingMode",
        /// SecurityGroupPolicies that can select pods of the sidecar mesh.
        pub security_group_policies: Vec<String> = "securityGroupPolicies",
        /// Whether all SecurityGroupPolicies could be read.
        pub policies_known: bool = "policiesKnown",
        /// Whether every istiod in the input is known to be 1.29 or later, which probes branch interfaces.
        pub fixed_in_istio: bool = "fixedInIstio",
    }
}
