//! What a CONNECT request asks for.

use std::fmt;
use std::net::SocketAddr;

/// The destination in a CONNECT request: an address, or the name of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An address.
    Address(SocketAddr),
    /// A name and a port of its service.
    Name(String, u16),
}

impl Target {
    /// Reads the authority of a request. The port is required.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            let canonical = SocketAddr::new(address.ip().to_canonical(), address.port());
            return (address.port() != 0).then_some(Self::Address(canonical));
        }
        let (host, port) = text.rsplit_once(':')?;
        let port = port
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| port.parse().ok())
            .flatten()?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let starts_well = host
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        if port == 0 || host.len() > 253 || !starts_well || !host.bytes().all(is_name) {
            return None;
        }
        Some(Self::Name(host.to_ascii_lowercase(), port))
    }

    /// The port asked for.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Address(address) => address.port(),
            Self::Name(_, port) => *port,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Name(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn authorities_are_addresses_or_names_with_ports() {
        let address = |text: &str| Some(Target::Address(text.parse().unwrap()));
        let name = |host: &str, port| Some(Target::Name(host.to_owned(), port));
        for (text, expected) in [
            ("10.0.0.1:80", address("10.0.0.1:80")),
            ("[fd00::1]:80", address("[fd00::1]:80")),
            ("[::ffff:10.0.0.1]:80", address("10.0.0.1:80")),
            (
                "web.shop.svc.cluster.local:80",
                name("web.shop.svc.cluster.local", 80),
            ),
            ("WEB:65535", name("web", 65535)),
            ("", None),
            (":80", None),
            ("10.0.0.1", None),
            ("10.0.0.1:0", None),
            ("10.0.0.1:65536", None),
            ("10.0.0.1:+80", None),
            ("fd00::1:80", None),
            ("[fd00::1]", None),
            ("web", None),
            ("web:", None),
            ("web:x", None),
            ("user@web:80", None),
            ("we b:80", None),
            ("web/:80", None),
            ("web:80:80", None),
            ("-web:80", None),
        ] {
            assert_eq!(Target::parse(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn foreign_text_never_panics_and_what_is_read_is_written_again(text in ".{0,40}") {
            if let Some(target) = Target::parse(&text) {
                prop_assert_eq!(Target::parse(&target.to_string()), Some(target));
            }
        }
    }
}
