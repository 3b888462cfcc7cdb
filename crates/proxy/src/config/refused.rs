//! Settings of ztunnel's for what this proxy does not have. They are refused, so that nobody relies on them.

use super::{ConfigError, Environment, parse_duration};
use std::time::Duration;

/// A variable, the only value that says what we do anyway, and why there is no other.
const ONLY: [(&str, &str, &str); 17] = [
    ("ENABLE_PROXY", "true", "there is nothing but the proxy"),
    (
        "PROXY_MODE",
        "shared",
        "the proxy of a single workload is not built",
    ),
    (
        "XDS_ON_DEMAND",
        "false",
        "istiod is always asked for the whole mesh",
    ),
    ("UNSTABLE_ENABLE_SOCKS5", "false", "SOCKS5 is not built"),
    ("TLS12_ENABLED", "false", "TLS is version 1.3 only"),
    (
        "COMPLIANCE_POLICY",
        "",
        "no other key exchange than the default is built",
    ),
    ("LOCAL_XDS", "", "the mesh comes from istiod only"),
    ("LOCAL_XDS_PATH", "", "the mesh comes from istiod only"),
    ("FAKE_CA", "false", "certificates come from istiod only"),
    (
        "INPOD_PORT_REUSE",
        "true",
        "ports are always shared, for upgrades",
    ),
    (
        "LOCALHOST_APP_TUNNEL",
        "true",
        "the PROXY protocol always goes through loopback",
    ),
    ("ENABLE_RESPONSE_BAGGAGE", "true", "answers always carry baggage"),
    ("KEEPALIVE_ENABLED", "true", "connections always have keepalive"),
    ("USER_TIMEOUT_ENABLED", "false", "TCP_USER_TIMEOUT is not set"),
    ("KEEPALIVE_RETRIES", "9", "keepalive is not adjustable"),
    (
        "ISTIO_META_DNS_PROXY_ADDR",
        "127.0.0.1:15053",
        "DNS is always taken at port 15053 of loopback",
    ),
    (
        "PREFERED_SERVICE_NAMESPACE",
        "",
        "the client's namespace is the preferred one",
    ),
];

/// Variables of time, likewise.
const ONLY_TIMES: [(&str, Duration); 2] = [
    ("KEEPALIVE_TIME", Duration::from_secs(180)),
    ("KEEPALIVE_INTERVAL", Duration::from_secs(180)),
];

/// Refuses what is set and not to be had.
///
/// # Errors
/// If there is any such thing.
pub fn refuse(env: &Environment<'_>, names: &[String]) -> Result<(), ConfigError> {
    let error = |name: &str, value: String, reason: &str| ConfigError {
        name: name.to_owned(),
        value,
        reason: format!("not supported: {reason}"),
    };
    for (name, only, reason) in ONLY {
        if let Some(value) = env.find(name)
            && value != only
        {
            return Err(error(name, value, reason));
        }
    }
    for (name, only) in ONLY_TIMES {
        if let Some(value) = env.find(name)
            && parse_duration(&value) != Some(only)
        {
            return Err(error(name, value, "keepalive is not adjustable"));
        }
    }
    for name in ["XDS_ROOT_CA", "CA_ROOT_CA"] {
        if let Some(value) = env.find(name).filter(|value| value == "SYSTEM") {
            return Err(error(
                name,
                value,
                "istiod's roots must be given as a file or as PEM",
            ));
        }
    }
    let header = |name: &&String| name.starts_with("XDS_HEADER_") || name.starts_with("CA_HEADER_");
    match names.iter().find(header) {
        Some(name) => {
            let value = env.find(name).unwrap_or_default();
            Err(error(
                name,
                value,
                "calls to istiod have no more headers than they need",
            ))
        }
        None => Ok(()),
    }
}
