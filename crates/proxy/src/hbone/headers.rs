//! What a client tells beside a CONNECT request. Nothing of it is proved: it serves telemetry, never policy.

use crate::proto::workload as wire;
use crate::state::decode;
use crate::state::model::Workload;
use http::HeaderMap;

/// The longest text that is believed, in bytes: that of a DNS name.
const LONGEST: usize = 253;

/// The headers, as far as they mean something to us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// Host name of the service that the client dialled, from `forwarded`.
    pub host: Option<String>,
    /// The trace's id, 32 digits in lower case, from `traceparent`.
    pub trace: Option<String>,
    /// The client's network, if it went through a gateway: `x-forwarded-network`. The default network has an empty name.
    pub network: Option<String>,
    /// The client's workload, from `baggage`.
    pub client: Baggage,
}

/// What a workload tells of itself. Empty where it does not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Baggage {
    /// Its cluster.
    pub cluster: String,
    /// Its namespace.
    pub namespace: String,
    /// `deployment`, `cronjob`, `pod` or `job`.
    pub workload_type: &'static str,
    /// Name of the Deployment or the like.
    pub workload_name: String,
    /// Canonical name.
    pub canonical_name: String,
    /// Canonical revision.
    pub canonical_revision: String,
    /// Region.
    pub region: String,
    /// Zone.
    pub zone: String,
}

impl Told {
    /// Reads the headers of a request. What cannot be read is passed over.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        let first = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let mut client = Baggage::default();
        for value in headers.get_all("baggage") {
            for member in value.to_str().unwrap_or_default().split(',') {
                client.take(member);
            }
        }
        Self {
            host: first("forwarded").and_then(forwarded_host).and_then(believed),
            trace: first("traceparent").and_then(trace_id),
            network: first("x-forwarded-network").and_then(network),
            client,
        }
    }

    /// All texts of foreign origin.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let client = &self.client;
        let own = [&self.host, &self.trace, &self.network];
        let baggage = [
            &client.cluster,
            &client.namespace,
            &client.workload_name,
            &client.canonical_name,
            &client.canonical_revision,
            &client.region,
            &client.zone,
        ];
        own.into_iter().flatten().chain(baggage).map(String::as_str)
    }
}

impl Baggage {
    /// The client's workload as far as it told of itself; `None` if it did not.
    #[must_use]
    pub fn workload(&self) -> Option<Workload> {
        if *self == Self::default() {
            return None;
        }
        let record = wire::Workload {
            // No UID names it: it is in no table.
            uid: "baggage".to_owned(),
            name: self.workload_name.clone(),
            namespace: self.namespace.clone(),
            workload_name: self.workload_name.clone(),
            canonical_name: self.canonical_name.clone(),
            canonical_revision: self.canonical_revision.clone(),
            cluster_id: self.cluster.clone(),
            locality: Some(wire::Locality {
                region: self.region.clone(),
                zone: self.zone.clone(),
                ..wire::Locality::default()
            }),
            ..wire::Workload::default()
        };
        decode::workload(record).ok()
    }

    fn take(&mut self, member: &str) {
        // Properties after a semicolon say nothing to us.
        let member = member.split(';').next().unwrap_or_default();
        let Some((name, value)) = member.split_once('=') else {
            return;
        };
        let Some(value) = believed(value.trim()) else {
            return;
        };
        let field = match name.trim() {
            "k8s.cluster.name" => &mut self.cluster,
            "k8s.namespace.name" => &mut self.namespace,
            "service.name" => &mut self.canonical_name,
            "service.version" => &mut self.canonical_revision,
            "cloud.region" => &mut self.region,
            "cloud.availability_zone" => &mut self.zone,
            other => {
                let kinds = [
                    ("k8s.deployment.name", "deployment"),
                    ("k8s.cronjob.name", "cronjob"),
                    ("k8s.pod.name", "pod"),
                    ("k8s.job.name", "job"),
                ];
                let Some((_, kind)) = kinds.iter().find(|(name, _)| *name == other) else {
                    return;
                };
                self.workload_type = kind;
                &mut self.workload_name
            }
        };
        *field = value;
    }
}

/// The host that a `forwarded` header names.
#[must_use]
pub fn forwarded_host(value: &str) -> Option<&str> {
    value.split([';', ',']).find_map(|part| {
        let (name, host) = part.trim().split_once('=')?;
        name.eq_ignore_ascii_case("host").then(|| host.trim_matches('"'))
    })
}

/// The trace's id of a W3C `traceparent` header; `None` if it is none.
fn trace_id(value: &str) -> Option<String> {
    let mut parts = value.trim().split('-');
    let lengths = [2, 32, 16, 2];
    let parts: Vec<_> = lengths.iter().map_while(|_| parts.next()).collect();
    let digits = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let fits = parts.len() == lengths.len()
        && parts
            .iter()
            .zip(lengths)
            .all(|(part, length)| part.len() == length && digits(part));
    let id = parts.get(1).filter(|_| fits)?;
    (parts[0] != "ff" && id.bytes().any(|b| b != b'0')).then(|| (*id).to_owned())
}

fn network(name: &str) -> Option<String> {
    let name = name.trim();
    if name.is_empty() {
        Some(String::new())
    } else {
        believed(name)
    }
}

/// A text that may go into log lines and labels.
fn believed(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|b| b.is_ascii_graphic());
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn read(pairs: &[(&'static str, &str)]) -> Told {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        Told::read(&headers)
    }

    #[test]
    fn the_forwarded_host_is_found() {
        for (value, host) in [
            ("for=\"10.0.0.1:5\";host=web.shop.svc", Some("web.shop.svc")),
            ("for=\"10.0.0.1:5\"; Host=\"web\"", Some("web")),
            ("for=\"10.0.0.1:5\"", None),
            ("host=", None),
            ("host=a b", None),
            ("", None),
            ("host", None),
        ] {
            assert_eq!(read(&[("forwarded", value)]).host.as_deref(), host, "{value}");
        }
    }

    #[test]
    fn a_trace_is_known_by_its_form() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        let whole = format!("00-{id}-b7ad6b7169203331-00");
        for (value, expected) in [
            (whole.clone(), Some(id)),
            (format!("cc-{id}-b7ad6b7169203331-01-more"), Some(id)),
            (format!("ff-{id}-b7ad6b7169203331-01"), None),
            (whole.to_ascii_uppercase(), None),
            (format!("00-{}-b7ad6b7169203331-00", "0".repeat(32)), None),
            (format!("00-{id}-b7ad6b7169203331"), None),
            (String::new(), None),
        ] {
            let told = read(&[("traceparent", &value)]);
            assert_eq!(told.trace.as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn baggage_is_read_member_by_member() {
        let told = read(&[
            (
                "baggage",
                "k8s.cluster.name=c1, k8s.namespace.name=shop;p=1,k8s.job.name=nightly",
            ),
            ("baggage", "service.name=,service.version=v1,other=x,cloud.region"),
            ("x-forwarded-network", "network-2"),
        ]);
        let expected = Baggage {
            cluster: "c1".into(),
            namespace: "shop".into(),
            workload_type: "job",
            workload_name: "nightly".into(),
            canonical_revision: "v1".into(),
            ..Baggage::default()
        };
        assert_eq!(told.client, expected);
        assert_eq!(told.network.as_deref(), Some("network-2"));
        let long = "a".repeat(LONGEST + 1);
        assert_eq!(read(&[("x-forwarded-network", &long)]), Told::default());
    }

    proptest! {
        #[test]
        fn foreign_headers_never_panic(value in "[ -~]{0,80}") {
            for name in ["forwarded", "baggage", "traceparent", "x-forwarded-network"] {
                let told = read(&[(name, &value)]);
                prop_assert!(told.texts().all(|text| text.len() <= LONGEST));
            }
        }
    }
}
