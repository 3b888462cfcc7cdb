//! The kinds of objects that the program knows.

use std::fmt;
use std::sync::Arc;

/// What a kind that the program passes over is called. Apart, so that every name of an object is the smaller.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OtherKind {
    /// API group, empty for the core group.
    pub group: Box<str>,
    /// Kind.
    pub name: Box<str>,
}

macro_rules! kinds {
    ($( $variant:ident = $group:literal / $name:literal / $plural:literal, $scope:ident; )*) => {
        /// A kind of object, independent of the version of its API.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $( #[doc = concat!("`", $name, "` of the group `", $group, "`.")] $variant, )*
            /// A kind that the program passes over.
            Other(Arc<OtherKind>),
        }

        impl Kind {
            /// Every kind that the program knows.
            pub const KNOWN: &'static [Kind] = &[$( Kind::$variant ),*];

            /// The kind by API group (empty for the core group) and name.
            #[must_use]
            pub fn new(group: &str, name: &str) -> Self {
                match (group, name) {
                    $( ($group, $name) => Self::$variant, )*
                    _ => Self::Other(Arc::new(OtherKind { group: group.into(), name: name.into() })),
                }
            }

            /// The API group, empty for the core group.
            #[must_use]
            pub fn group(&self) -> &str {
                match self { $( Self::$variant => $group, )* Self::Other(other) => &other.group }
            }

            /// The kind as it is written in manifests.
            #[must_use]
            pub fn name(&self) -> &str {
                match self { $( Self::$variant => $name, )* Self::Other(other) => &other.name }
            }

            /// The plural of the resource, as in RBAC rules; empty for kinds we do not know.
            #[must_use]
            pub fn plural(&self) -> &str {
                match self { $( Self::$variant => $plural, )* Self::Other(_) => "" }
            }

            /// Whether objects of the kind live in a namespace; kinds we do not know are taken to.
            #[must_use]
            pub fn is_namespaced(&self) -> bool {
                match self { $( Self::$variant => kinds!(@scope $scope), )* Self::Other(_) => true }
            }
        }
    };
    (@scope namespaced) => { true };
    (@scope cluster) => { false };
}

kinds! {
    VirtualService = "networking.istio.io" / "VirtualService" / "virtualservices", namespaced;
    DestinationRule = "networking.istio.io" / "DestinationRule" / "destinationrules", namespaced;
    ServiceEntry = "networking.istio.io" / "ServiceEntry" / "serviceentries", namespaced;
    IstioGateway = "networking.istio.io" / "Gateway" / "gateways", namespaced;
    Sidecar = "networking.istio.io" / "Sidecar" / "sidecars", namespaced;
    EnvoyFilter = "networking.istio.io" / "EnvoyFilter" / "envoyfilters", namespaced;
    ProxyConfig = "networking.istio.io" / "ProxyConfig" / "proxyconfigs", namespaced;
    WorkloadEntry = "networking.istio.io" / "WorkloadEntry" / "workloadentries", namespaced;
    WorkloadGroup = "networking.istio.io" / "WorkloadGroup" / "workloadgroups", namespaced;
    AuthorizationPolicy = "security.istio.io" / "AuthorizationPolicy" / "authorizationpolicies", namespaced;
    RequestAuthentication = "security.istio.io" / "RequestAuthentication" / "requestauthentications", namespaced;
    PeerAuthentication = "security.istio.io" / "PeerAuthentication" / "peerauthentications", namespaced;
    Telemetry = "telemetry.istio.io" / "Telemetry" / "telemetries", namespaced;
    WasmPlugin = "extensions.istio.io" / "WasmPlugin" / "wasmplugins", namespaced;
    TrafficExtension = "extensions.istio.io" / "TrafficExtension" / "trafficextensions", namespaced;
    IstioOperator = "install.istio.io" / "IstioOperator" / "istiooperators", namespaced;
    SailIstio = "sailoperator.io" / "Istio" / "istios", cluster;
    SailIstioCni = "sailoperator.io" / "IstioCNI" / "istiocnis", cluster;
    SailZtunnel = "sailoperator.io" / "ZTunnel" / "ztunnels", cluster;
    Gateway = "gateway.networking.k8s.io" / "Gateway" / "gateways", namespaced;
    GatewayClass = "gateway.networking.k8s.io" / "GatewayClass" / "gatewayclasses", cluster;
    HttpRoute = "gateway.networking.k8s.io" / "HTTPRoute" / "httproutes", namespaced;
    GrpcRoute = "gateway.networking.k8s.io" / "GRPCRoute" / "grpcroutes", namespaced;
    TcpRoute = "gateway.networking.k8s.io" / "TCPRoute" / "tcproutes", namespaced;
    TlsRoute = "gateway.networking.k8s.io" / "TLSRoute" / "tlsroutes", namespaced;
    ReferenceGrant = "gateway.networking.k8s.io" / "ReferenceGrant" / "referencegrants", namespaced;
    BackendTlsPolicy = "gateway.networking.k8s.io" / "BackendTLSPolicy" / "backendtlspolicies", namespaced;
    Namespace = "" / "Namespace" / "namespaces", cluster;
    Node = "" / "Node" / "nodes", cluster;
    Service = "" / "Service" / "services", namespaced;
    Pod = "" / "Pod" / "pods", namespaced;
    ConfigMap = "" / "ConfigMap" / "configmaps", namespaced;
    Deployment = "apps" / "Deployment" / "deployments", namespaced;
    StatefulSet = "apps" / "StatefulSet" / "statefulsets", namespaced;
    DaemonSet = "apps" / "DaemonSet" / "daemonsets", namespaced;
    ReplicaSet = "apps" / "ReplicaSet" / "replicasets", namespaced;
    Job = "batch" / "Job" / "jobs", namespaced;
    CronJob = "batch" / "CronJob" / "cronjobs", namespaced;
    Rollout = "argoproj.io" / "Rollout" / "rollouts", namespaced;
    PodDisruptionBudget = "policy" / "PodDisruptionBudget" / "poddisruptionbudgets", namespaced;
    NetworkPolicy = "networking.k8s.io" / "NetworkPolicy" / "networkpolicies", namespaced;
    CiliumNetworkPolicy = "cilium.io" / "CiliumNetworkPolicy" / "ciliumnetworkpolicies", namespaced;
    CiliumClusterwideNetworkPolicy = "cilium.io" / "CiliumClusterwideNetworkPolicy" / "ciliumclusterwidenetworkpolicies", cluster;
    FelixConfiguration = "crd.projectcalico.org" / "FelixConfiguration" / "felixconfigurations", cluster;
    FelixConfigurationV3 = "projectcalico.org" / "FelixConfiguration" / "felixconfigurations", cluster;
    CalicoInstallation = "operator.tigera.io" / "Installation" / "installations", cluster;
    CalicoApplicationLayer = "operator.tigera.io" / "ApplicationLayer" / "applicationlayers", cluster;
    CalicoNetworkPolicy = "projectcalico.org" / "NetworkPolicy" / "networkpolicies", namespaced;
    CalicoGlobalNetworkPolicy = "projectcalico.org" / "GlobalNetworkPolicy" / "globalnetworkpolicies", cluster;
    CalicoRemoteCluster = "projectcalico.org" / "RemoteClusterConfiguration" / "remoteclusterconfigurations", cluster;
    SecurityGroupPolicy = "vpcresources.k8s.aws" / "SecurityGroupPolicy" / "securitygrouppolicies", namespaced;
    CustomResourceDefinition = "apiextensions.k8s.io" / "CustomResourceDefinition" / "customresourcedefinitions", cluster;
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
