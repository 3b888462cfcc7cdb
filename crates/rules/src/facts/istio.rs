//! Facts of Istio's installation, its proxies, the Gateway API and waypoints.

use crate::schema::facts;

facts! {
    /// An istiod: a Deployment, an IstioOperator, an `Istio` of the Sail operator, or Helm values.
    pub struct Istiod = "istiod" {
        /// What it is called, in words.
        pub source: String = "source",
        /// Its revision; `default` unless set.
        pub revision: String = "revision",
        /// Version, such as `1.27.1`; empty if unknown.
        pub version: String = "version",
        /// Minor version; 0 if unknown.
        pub minor: i64 = "minor",
        /// Whether `PILOT_ENABLE_AMBIENT` is `true` in its environment, by itself or by the profile.
        pub ambient: bool = "ambient",
        /// The profile it is installed with; empty if unknown.
        pub profile: String = "profile",
    }
}

facts! {
    /// A mesh configuration: the ConfigMap `istio` of a revision, or the settings that will become one.
    pub struct MeshConfig = "meshConfig" {
        /// Where it stands, in words.
        pub source: String = "source",
        /// `defaultConfig.proxyMetadata.ISTIO_META_ENABLE_HBONE`, or `true` where the profile sets it; empty if
        /// unset.
        pub enable_hbone: String = "enableHbone",
    }
}

facts! {
    /// An installed istio-cni or ztunnel of known version, beside the istiods of the input.
    pub struct Component = "component" {
        /// `istio-cni` or `ztunnel`.
        pub name: String = "name",
        /// Version, such as `1.27.1`.
        pub version: String = "version",
        /// Minor version; 0 if unknown.
        pub minor: i64 = "minor",
        /// Minor versions of all istiods whose version is known.
        pub istiod_minors: Vec<i64> = "istiodMinors",
        /// Their versions.
        pub istiod_versions: Vec<String> = "istiodVersions",
    }
}

facts! {
    /// A place that can override HBONE for a part of the mesh: an annotation `proxy.istio.io/config`, a
    /// ProxyConfig, or istiod's environment.
    pub struct HboneSetting = "hboneSetting" {
        /// The object, in words.
        pub object: String = "object",
        /// The setting, such as `ISTIO_META_ENABLE_HBONE`.
        pub setting: String = "setting",
        /// Its value; empty if it is not set there.
        pub value: String = "value",
    }
}

facts! {
    /// Running pods with an Istio proxy that belong to one owner.
    pub struct ProxyGroup = "proxyGroup" {
        /// The namespace.
        pub namespace: String = "namespace",
        /// The owner, as `Deployment/reviews`.
        pub owner: String = "owner",
        /// Whether they are ingress or egress gateways.
        pub gateway: bool = "gateway",
        /// How many pods.
        pub pods: i64 = "pods",
        /// How many of them run without `ISTIO_META_ENABLE_HBONE=true`.
        pub without_hbone: i64 = "withoutHbone",
        /// Whether their pods were seen in a cluster, not in a file.
        pub live: bool = "live",
    }
}

facts! {
    /// The CRDs of the Gateway API. There is always exactly one.
    pub struct GatewayApi = "gatewayApi" {
        /// Whether the input tells if the CRDs are there.
        pub known: bool = "known",
        /// CRDs that are missing of those that waypoints need.
        pub missing: Vec<String> = "missing",
        /// What needs a waypoint, in words; empty if nothing does.
        pub needed_by: String = "neededBy",
    }
}

facts! {
    /// One CRD of the Gateway API.
    pub struct GatewayApiCrd = "gatewayApiCrd" {
        /// The kind.
        pub kind: String = "kind",
        /// Annotation `gateway.networking.k8s.io/bundle-version`; empty if it has none.
        pub version: String = "version",
        /// The oldest version that istiod accepts for the kind; empty if it accepts all.
        pub floor: String = "floor",
        /// Whether the version is below that.
        pub too_old: bool = "tooOld",
        /// How many objects of the kind are in the input.
        pub objects: i64 = "objects",
    }
}

facts! {
    /// A label `istio.io/use-waypoint` with the waypoint it names.
    pub struct WaypointReference = "waypointReference" {
        /// The labelled object.
        pub object: String = "object",
        /// The waypoint, as `namespace/name`.
        pub waypoint: String = "waypoint",
        /// Whether a Gateway of that name is in the input.
        pub exists: bool = "exists",
        /// Whether all Gateways of that namespace are known to be in the input.
        pub known: bool = "known",
        /// Whether the Gateway's status says that it is not ready: not programmed, or without an address.
        pub not_ready: bool = "notReady",
    }
}
