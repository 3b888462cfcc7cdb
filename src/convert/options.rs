//! What a conversion may write: the releases that it is for.

use crate::precheck::istio_minors;
use model::{Kind, Mesh};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// What is asked of a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// The release of Istio that will read the new objects.
    pub istio: Istio,
    /// The release of the Gateway API whose CRDs will hold them.
    pub gateway_api: GatewayApi,
    /// What becomes of subsets.
    pub subsets: Subsets,
    /// Whether waypoints are made, and for what; `None` only tells which are needed.
    pub waypoint_per: Option<WaypointPer>,
    /// Whether policies are attached to Services only, never to waypoints or their class: a plan binds Service by
    /// Service.
    pub services_only: bool,
    /// Whether Istio's Gateways become Gateways of the Gateway API, with the routes for them.
    pub ingress: bool,
}

/// What becomes of rules that send requests to subsets of a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, clap::ValueEnum)]
pub enum Subsets {
    /// Such a VirtualService stays with its DestinationRule; a waypoint reads both exactly as sidecars do.
    #[default]
    Keep,
    /// Every subset that is used becomes a Service of its own, with a DestinationRule where the subset has a policy.
    Services,
}

/// For what a waypoint is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum WaypointPer {
    /// One for all Services of a namespace.
    Namespace,
    /// One for every Service that needs one.
    Service,
}

impl Options {
    /// Whether istiod attaches routes to a ServiceEntry.
    #[must_use]
    pub fn has_entries_as_parents(&self) -> bool {
        self.istio >= Istio(30)
    }

    /// Whether istiod reads TCPRoutes for Services without a flag, and the Gateway API has them outside of its alpha.
    #[must_use]
    pub fn has_tcp_routes(&self) -> bool {
        self.istio >= Istio(31) && self.gateway_api.has(Some(6), Some(6))
    }

    /// The same of TLSRoutes.
    #[must_use]
    pub fn has_tls_routes(&self) -> bool {
        self.istio >= Istio(31) && self.gateway_api.has(Some(5), Some(5))
    }

    /// Whether istiod reads what a Gateway asks of all clients at a port (`spec.tls.frontend`).
    #[must_use]
    pub fn has_frontend_validation(&self) -> bool {
        self.istio >= Istio(31) && self.gateway_api.has(Some(5), Some(5))
    }

    /// Whether istiod gives a listener with OPTIONAL_MUTUAL the authority that stands beside its certificate
    /// (istio/istio#60618).
    #[must_use]
    pub fn has_optional_mutual(&self) -> bool {
        self.istio >= Istio(32)
    }

    /// Whether istiod reads the ciphers of a listener from an option.
    #[must_use]
    pub fn has_cipher_option(&self) -> bool {
        self.istio >= Istio(29)
    }

    /// What the mesh itself says: the oldest istiod, and the oldest CRD of the Gateway API. Where it says nothing, the
    /// default releases.
    #[must_use]
    pub fn of(mesh: &Mesh) -> Self {
        Self {
            istio: istio_minors(mesh)
                .into_iter()
                .min()
                .map(Istio)
                .unwrap_or_default(),
            gateway_api: GatewayApi::of(mesh).unwrap_or_default(),
            subsets: Subsets::default(),
            waypoint_per: None,
            services_only: false,
            ingress: false,
        }
    }
}

/// A release of Istio by its minor version: the 31 of 1.31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Istio(pub u32);

impl Default for Istio {
    /// The oldest release that is still maintained: what it takes, later ones take too.
    fn default() -> Self {
        Self(30)
    }
}

impl fmt::Display for Istio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

/// Why a text names no release.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct NoRelease(String);

impl FromStr for Istio {
    type Err = NoRelease;

    fn from_str(text: &str) -> Result<Self, NoRelease> {
        let minor = minor_of(text)
            .ok_or_else(|| NoRelease("not a release of Istio; written as `1.31` or `1.31.0`".to_owned()))?;
        if minor < 24 {
            return Err(NoRelease(
                "ambient mode is stable since Istio 1.24; upgrade first".to_owned(),
            ));
        }
        Ok(Self(minor))
    }
}

/// A release of the Gateway API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GatewayApi {
    /// The minor version: the 4 of 1.4.
    pub minor: u32,
    /// Which of its two sets of CRDs.
    pub channel: Channel,
}

/// A set of CRDs of the Gateway API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Kinds and fields that stay.
    Standard,
    /// Those that may still change, too.
    Experimental,
}

impl Default for GatewayApi {
    /// The release whose rules have names, in the channel that is installed everywhere.
    fn default() -> Self {
        Self {
            minor: 4,
            channel: Channel::Standard,
        }
    }
}

impl GatewayApi {
    /// Whether a field is there that came into the standard channel with `standard` and into the experimental one with
    /// `experimental`; `None` where it never came.
    #[must_use]
    pub fn has(self, standard: Option<u32>, experimental: Option<u32>) -> bool {
        let since = match self.channel {
            Channel::Standard => standard,
            Channel::Experimental => standard.into_iter().chain(experimental).min(),
        };
        since.is_some_and(|since| self.minor >= since)
    }

    /// What the annotations of the HTTPRoute's CRD say.
    fn of(mesh: &Mesh) -> Option<Self> {
        let crd = mesh
            .others_of(&Kind::CustomResourceDefinition)
            .find(|crd| crd.name() == "httproutes.gateway.networking.k8s.io")?;
        let annotation = |name: &str| {
            let key = format!("gateway.networking.k8s.io/{name}");
            crd.meta.annotations.get(&key)
        };
        Some(Self {
            minor: minor_of(annotation("bundle-version")?)?,
            channel: match annotation("channel").map(String::as_str) {
                Some("experimental") => Channel::Experimental,
                _ => Channel::Standard,
            },
        })
    }
}

impl fmt::Display for GatewayApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channel = match self.channel {
            Channel::Standard => "standard",
            Channel::Experimental => "experimental",
        };
        write!(f, "1.{}/{channel}", self.minor)
    }
}

impl FromStr for GatewayApi {
    type Err = NoRelease;

    fn from_str(text: &str) -> Result<Self, NoRelease> {
        let (version, channel) = text.split_once('/').unwrap_or((text, "standard"));
        let channel = match channel {
            "standard" => Channel::Standard,
            "experimental" => Channel::Experimental,
            other => {
                return Err(NoRelease(format!(
                    "`{other}` is no channel of the Gateway API; `standard` and `experimental` are"
                )));
            }
        };
        let minor = minor_of(version).ok_or_else(|| {
            NoRelease(
                "not a release of the Gateway API; written as `1.4`, `1.4/standard` or `1.4/experimental`"
                    .to_owned(),
            )
        })?;
        Ok(Self { minor, channel })
    }
}

/// The minor version in `1.4`, `v1.4.1` or `1.4.0-rc.1`.
fn minor_of(version: &str) -> Option<u32> {
    let mut parts = version.trim_start_matches('v').split(['.', '-']);
    let major = parts.next()?;
    let minor = parts.next()?.parse().ok()?;
    (major == "1").then_some(minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_as_they_are_written() {
        assert_eq!("1.31".parse(), Ok(Istio(31)));
        assert_eq!("v1.31.0-rc.0".parse(), Ok(Istio(31)));
        assert!("1.20".parse::<Istio>().is_err());
        assert!("31".parse::<Istio>().is_err());
        for text in ["1.4/standard", "1.6/experimental"] {
            let parsed: Result<GatewayApi, _> = text.parse();
            assert_eq!(parsed.map(|release| release.to_string()), Ok(text.to_owned()));
        }
        assert!("1.4/beta".parse::<GatewayApi>().is_err());
    }

    #[test]
    fn a_channel_has_what_came_into_it() {
        let release = |text: &str| text.parse::<GatewayApi>().unwrap_or_default();
        assert!(release("1.5").has(Some(5), Some(2)));
        assert!(!release("1.4").has(Some(5), Some(2)));
        assert!(release("1.4/experimental").has(Some(5), Some(2)));
        assert!(!release("1.6").has(None, Some(2)));
    }
}
