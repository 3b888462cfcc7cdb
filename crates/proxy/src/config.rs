//! Settings, by the environment variables that ztunnel knows, so that its manifests fit.

mod refused;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Ports of the pod that are the proxy's own; nothing is forwarded to them.
pub const PORT_OUTBOUND: u16 = 15001;
/// Plain inbound connections.
pub const PORT_INBOUND: u16 = 15006;
/// HBONE.
pub const PORT_HBONE: u16 = 15008;
/// DNS.
pub const PORT_DNS: u16 = 15053;

/// The default mark of the proxy's sockets.
const MARK: u32 = 1337;

/// A setting that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{name}={value:?} cannot be read: {reason}")]
pub struct ConfigError {
    /// The variable.
    pub name: String,
    /// Its value.
    pub value: String,
    /// What is wrong.
    pub reason: String,
}

/// Where the roots of istiod's own certificate come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// A file, read for each new connection.
    File(PathBuf),
    /// PEM text.
    Text(String),
}

/// How to reach istiod for one purpose.
#[derive(Debug, Clone)]
pub struct ControlPlane {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `http://` in the address: no TLS and no token. For tests.
    pub plaintext: bool,
    /// Roots of its certificate.
    pub roots: Roots,
    /// Another name that its certificate may have.
    pub alternative_host: Option<String>,
}

/// All settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// xDS.
    pub xds: ControlPlane,
    /// The certificate authority.
    pub ca: ControlPlane,
    /// File with the service account token.
    pub token: PathBuf,
    /// This node.
    pub node: String,
    /// The proxy's own pod.
    pub pod_name: String,
    /// Its namespace.
    pub pod_namespace: String,
    /// Its service account.
    pub service_account: String,
    /// Its trust domain.
    pub trust_domain: String,
    /// Its address.
    pub instance_ip: IpAddr,
    /// The cluster's id at istiod.
    pub cluster_id: String,
    /// The cluster's DNS domain.
    pub cluster_domain: String,
    /// The network of this node's pods.
    pub network: Arc<str>,
    /// Validity asked of the certificate authority.
    pub secret_ttl: Duration,
    /// File with lists of revoked certificates.
    pub revoked: PathBuf,
    /// The agent's socket.
    pub zds: PathBuf,
    /// Threads of the data path.
    pub workers: usize,
    /// Mark of sockets.
    pub mark: u32,
    /// Whether to listen on IPv6.
    pub ipv6: bool,
    /// Whether to keep client addresses; `None`: if the kernel lets us.
    pub original_source: Option<bool>,
    /// Whether to answer DNS.
    pub dns: bool,
    /// How long connections may go on when the proxy ends.
    pub drain: Duration,
    /// Log filter.
    pub log: String,
    /// JSON lines in place of text.
    pub log_json: bool,
    /// Streams of one pooled connection.
    pub pool_streams: usize,
    /// How long an unused pooled connection stays.
    pub pool_idle: Duration,
    /// Window of one stream, in bytes.
    pub stream_window: u32,
    /// Window of one connection, in bytes.
    pub connection_window: u32,
    /// Frame size, in bytes.
    pub frame_size: u32,
    /// Additional metadata of the node for istiod.
    pub metadata: HashMap<String, serde_json::Value>,
    /// Address of the admin endpoint.
    pub admin: (IpAddr, u16),
    /// Port of metrics, on all addresses.
    pub stats_port: u16,
    /// Port of readiness, on all addresses.
    pub readiness_port: u16,
}

/// Environment variables by name.
pub struct Environment<'a>(pub &'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    fn text(&self, name: &str, default: &str) -> String {
        self.find(name).unwrap_or_else(|| default.to_owned())
    }

    fn find(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    fn parse<T: std::str::FromStr>(&self, name: &'static str, default: T) -> Result<T, ConfigError>
    where
        T::Err: std::fmt::Display,
    {
        let Some(value) = self.find(name) else {
            return Ok(default);
        };
        value.parse().map_err(|error: T::Err| ConfigError {
            name: name.to_owned(),
            reason: error.to_string(),
            value,
        })
    }

    fn bool(&self, name: &'static str, default: bool) -> Result<bool, ConfigError> {
        self.parse(name, default)
    }

    fn duration(&self, name: &'static str, default: Duration) -> Result<Duration, ConfigError> {
        let Some(value) = self.find(name) else {
            return Ok(default);
        };
        parse_duration(&value).ok_or_else(|| ConfigError {
            name: name.to_owned(),
            value,
            reason: "neither seconds nor a number with ms, s, m or h".to_owned(),
        })
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

impl Config {
    /// Reads the settings of a node proxy.
    ///
    /// # Errors
    /// If a variable has a value that it cannot have, or asks for what is not to be had.
    pub fn read(env: &Environment<'_>, names: &[String]) -> Result<Self, ConfigError> {
        refused::refuse(env, names)?;
        const ISTIOD: &str = "https://istiod.istio-system.svc:15012";
        const ROOT: &str = "./var/run/secrets/istio/root-cert.pem";
        let xds_address = env.text("XDS_ADDRESS", ISTIOD);
        let ca_address = env.text("CA_ADDRESS", &xds_address);
        let grace = env.duration("TERMINATION_GRACE_PERIOD_SECONDS", Duration::from_secs(10))?;
        let margin = Duration::from_secs(if grace > Duration::from_secs(10) { 5 } else { 1 });
        let known_grace = env.find("TERMINATION_GRACE_PERIOD_SECONDS").is_some();
        let drain = if known_grace {
            grace.saturating_sub(margin)
        } else {
            Duration::from_secs(5)
        };
        Ok(Self {
            xds: ControlPlane::read(
                env,
                "XDS_ADDRESS",
                xds_address,
                "XDS_ROOT_CA",
                "ALT_XDS_HOSTNAME",
                ROOT,
            )?,
            ca: ControlPlane::read(
                env,
                "CA_ADDRESS",
                ca_address,
                "CA_ROOT_CA",
                "ALT_CA_HOSTNAME",
                ROOT,
            )?,
            token: env
                .text("AUTH_TOKEN", "./var/run/secrets/tokens/istio-token")
                .into(),
            node: env.text("NODE_NAME", ""),
            pod_name: env.text("POD_NAME", ""),
            pod_namespace: env.text("POD_NAMESPACE", ""),
            service_account: env.text("SERVICE_ACCOUNT", ""),
            instance_ip: env.parse("INSTANCE_IP", IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)))?,
            // Istio's own chart names it as metadata only.
            cluster_id: env.text("CLUSTER_ID", &env.text("ISTIO_META_CLUSTER_ID", "Kubernetes")),
            cluster_domain: env.text("CLUSTER_DOMAIN", "cluster.local"),
            network: env.text("NETWORK", "").into(),
            secret_ttl: env.duration("SECRET_TTL", Duration::from_secs(86_400))?,
            revoked: env
                .text("CRL_PATH", "/var/run/secrets/istio/crl/ca-crl.pem")
                .into(),
            zds: env.text("INPOD_UDS", "/var/run/ztunnel/ztunnel.sock").into(),
            workers: env.parse("ZTUNNEL_WORKER_THREADS", 2_usize)?.max(1),
            mark: env.parse("PACKET_MARK", MARK)?,
            ipv6: env.bool("IPV6_ENABLED", true)?,
            original_source: match env.find("ENABLE_ORIG_SRC") {
                Some(_) => Some(env.bool("ENABLE_ORIG_SRC", true)?),
                None => None,
            },
            dns: env.bool("DNS_CAPTURE", env.bool("ISTIO_META_DNS_CAPTURE", true)?)?,
            drain: env.duration("CONNECTION_TERMINATION_DEADLINE", drain)?,
            log: env.text("RUST_LOG", "info"),
            log_json: match env.text("LOG_FORMAT", "plain").as_str() {
                "plain" => false,
                "json" => true,
                other => {
                    return Err(ConfigError {
                        name: "LOG_FORMAT".to_owned(),
                        value: other.to_owned(),
                        reason: "neither plain nor json".to_owned(),
                    });
                }
            },
            trust_domain: env.text("TRUST_DOMAIN", "cluster.local"),
            pool_streams: env.parse("POOL_MAX_STREAMS_PER_CONNECTION", 100_usize)?.max(1),
            pool_idle: env.duration("POOL_UNUSED_RELEASE_TIMEOUT", Duration::from_secs(300))?,
            stream_window: window(env, "HTTP2_STREAM_WINDOW_SIZE", 4 << 20)?,
            connection_window: window(env, "HTTP2_CONNECTION_WINDOW_SIZE", 16 << 20)?,
            frame_size: env
                .parse("HTTP2_FRAME_SIZE", 1_u32 << 20)?
                .clamp(1 << 14, (1 << 24) - 1),
            metadata: metadata(env, names),
            admin: (Ipv4Addr::LOCALHOST.into(), env.parse("ADMIN_PORT", 15000)?),
            stats_port: env.parse("STATS_PORT", 15020)?,
            readiness_port: env.parse("READINESS_PORT", 15021)?,
        })
    }
}

fn window(env: &Environment<'_>, name: &'static str, default: u32) -> Result<u32, ConfigError> {
    Ok(env.parse(name, default)?.clamp(1 << 16, (1 << 31) - 1))
}

/// `ISTIO_METAJSON_<KEY>` holds JSON, `ISTIO_META_<KEY>` text.
fn metadata(env: &Environment<'_>, names: &[String]) -> HashMap<String, serde_json::Value> {
    let mut found = HashMap::new();
    for name in names {
        let value = env.find(name).unwrap_or_default();
        if let Some(key) = name.strip_prefix("ISTIO_METAJSON_") {
            if let Ok(value) = serde_json::from_str(&value) {
                found.insert(key.to_owned(), value);
            }
        } else if let Some(key) = name.strip_prefix("ISTIO_META_") {
            found.insert(key.to_owned(), value.into());
        }
    }
    found
}

impl ControlPlane {
    fn read(
        env: &Environment<'_>,
        name: &'static str,
        address: String,
        root_name: &str,
        alternative_name: &str,
        root: &str,
    ) -> Result<Self, ConfigError> {
        let wrong = |reason: &str| ConfigError {
            name: name.to_owned(),
            value: address.clone(),
            reason: reason.to_owned(),
        };
        let (plaintext, rest) = match address.split_once("://") {
            Some(("http", rest)) => (true, rest),
            Some(("https", rest)) => (false, rest),
            Some(_) => return Err(wrong("the scheme is neither http nor https")),
            None => (false, address.as_str()),
        };
        let (host, port) = rest
            .trim_end_matches('/')
            .rsplit_once(':')
            .ok_or_else(|| wrong("no port"))?;
        let port = port.parse().map_err(|_| wrong("no port number"))?;
        let roots = env.text(root_name, root);
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            plaintext,
            roots: if roots.contains("-----BEGIN") {
                Roots::Text(roots)
            } else {
                Roots::File(roots.into())
            },
            alternative_host: env.find(alternative_name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let find = |name: &str| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        let names: Vec<_> = pairs.iter().map(|(key, _)| (*key).to_owned()).collect();
        Config::read(&Environment(&find), &names)
    }

    #[test]
    fn the_environment_of_ztunnels_daemon_set_is_read() {
        let config = read(&[
            ("PROXY_MODE", "shared"),
            ("KEEPALIVE_TIME", "180s"),
            ("ISTIO_META_DNS_PROXY_ADDR", "127.0.0.1:15053"),
            ("XDS_ADDRESS", "istiod.istio-system.svc:15012"),
            ("CA_ADDRESS", "http://[::1]:15010"),
            ("INSTANCE_IP", "10.1.2.3"),
            ("TERMINATION_GRACE_PERIOD_SECONDS", "30"),
            ("ISTIO_META_DNS_CAPTURE", "false"),
            ("ISTIO_METAJSON_X", "{\"a\": [1]}"),
            ("ISTIO_META_ENABLE_HBONE", "true"),
            ("ISTIO_META_CLUSTER_ID", "west"),
            ("CONNECTION_TERMINATION_DEADLINE", ""),
        ])
        .unwrap();
        assert_eq!(
            (config.xds.host.as_str(), config.xds.port),
            ("istiod.istio-system.svc", 15012)
        );
        assert_eq!(
            (config.ca.host.as_str(), config.ca.port, config.ca.plaintext),
            ("::1", 15010, true)
        );
        assert_eq!((config.drain.as_secs(), config.dns), (25, false));
        assert_eq!(config.metadata["X"]["a"][0], 1);
        assert_eq!(config.metadata["ENABLE_HBONE"], "true");
        assert_eq!(config.cluster_id, "west");
        assert_eq!(read(&[]).unwrap().drain.as_secs(), 5);
        assert_eq!(read(&[("SECRET_TTL", "90m")]).unwrap().secret_ttl.as_secs(), 5400);
    }

    #[test]
    fn values_that_cannot_be_are_named() {
        for (name, value) in [
            ("XDS_ADDRESS", "istiod"),
            ("XDS_ADDRESS", "ftp://istiod:1"),
            ("XDS_ADDRESS", "istiod:port"),
            ("INSTANCE_IP", "here"),
            ("SECRET_TTL", "1d"),
            ("ZTUNNEL_WORKER_THREADS", "-1"),
            ("LOG_FORMAT", "xml"),
            ("PROXY_MODE", "dedicated"),
            ("XDS_ON_DEMAND", "true"),
            ("UNSTABLE_ENABLE_SOCKS5", "true"),
            ("TLS12_ENABLED", "true"),
            ("KEEPALIVE_TIME", "10s"),
            ("XDS_ROOT_CA", "SYSTEM"),
            ("XDS_HEADER_X", "y"),
        ] {
            assert_eq!(read(&[(name, value)]).unwrap_err().name, name);
        }
    }
}
