//! Texts that go into manifests. What they may hold is checked when they are read, so no text can become more than the
//! one value that it stands for.

use std::fmt;
use std::str::FromStr;

/// A text that is not what a setting may be. It says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct SettingError(&'static str);

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident: $what:literal, $check:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl FromStr for $name {
            type Err = SettingError;

            fn from_str(text: &str) -> Result<Self, SettingError> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(SettingError($what))
                }
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

settings! {
    /// A DNS label (RFC 1123): a namespace or a revision.
    Label: "lower-case letters, digits and `-`, 63 at most, with a letter or digit at both ends", is_label;
    /// A DNS subdomain (RFC 1123): most names of Kubernetes, and domains.
    Name: "DNS labels joined by dots, 253 characters at most", is_name;
    /// The value of a label of Kubernetes: what istiod takes for a cluster's or a network's name.
    Identifier: "letters, digits, `-`, `_` and `.`, 63 at most, with a letter or digit at both ends", is_identifier;
    /// Where istiod answers: host and port.
    Address: "HOST:PORT, as in istiod.istio-system.svc:15012", is_address;
    /// A folder of a node.
    NodePath: "an absolute path of letters, digits, `-`, `_`, `.` and `/`, without `..`", is_node_path;
    /// A file in a folder that is named elsewhere.
    FileName: "a file name of letters, digits, `-`, `_` and `.`", is_file_name;
    /// A registry with the path below which images lie.
    Hub: "REGISTRY[:PORT]/PATH in lower case, as in registry.example.com/mesh", is_hub;
    /// The tag of an image.
    Tag: "letters, digits, `-`, `_` and `.`, 128 at most, not starting with `-` or `.`", is_tag;
    /// An image, by tag or digest.
    Image: "REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:DIGEST", is_image;
}

fn is_word(text: &str, longest: usize, within: impl Fn(u8) -> bool) -> bool {
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= longest && ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(|b| within(*b))
}

fn is_label(text: &str) -> bool {
    is_word(text, 63, |b| {
        b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'
    })
}

fn is_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_identifier(text: &str) -> bool {
    is_word(text, 63, |b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = v6.map_or_else(|| is_name(host), |v6| v6.parse::<std::net::Ipv6Addr>().is_ok());
    host && is_port(port)
}

fn is_part(text: &str) -> bool {
    !text.is_empty()
        && ![".", ".."].contains(&text)
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn is_node_path(text: &str) -> bool {
    text.strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(is_part))
}

fn is_file_name(text: &str) -> bool {
    is_part(text) && text.len() <= 255
}

fn is_registry(text: &str) -> bool {
    match text.split_once(':') {
        Some((host, port)) => is_name(host) && is_port(port),
        None => is_name(text),
    }
}

fn is_repository(text: &str) -> bool {
    let part = |part: &str| {
        is_word(part, 128, |b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b)
        })
    };
    text.split('/').all(part)
}

fn is_hub(text: &str) -> bool {
    match text.split_once('/') {
        Some((registry, path)) => text.len() <= 200 && is_registry(registry) && is_repository(path),
        None => is_registry(text),
    }
}

fn is_tag(text: &str) -> bool {
    text.len() <= 128
        && !text.is_empty()
        && !text.starts_with(['-', '.'])
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn is_digest(text: &str) -> bool {
    let hexadecimal = |hex: &str| {
        hex.len() == 64
            && hex
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    text.strip_prefix("sha256:").is_some_and(hexadecimal)
}

fn is_image(text: &str) -> bool {
    let (text, digest) = text
        .split_once('@')
        .map_or((text, None), |(text, digest)| (text, Some(digest)));
    // A colon before the last slash is that of the registry's port.
    let path = text.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match text.get(path..).and_then(|last| last.split_once(':')) {
        Some((last, tag)) => (text.get(..path + last.len()).unwrap_or_default(), Some(tag)),
        None => (text, None),
    };
    let named = is_hub(name) && (path > 0 || is_repository(name));
    named && digest.is_none_or(is_digest) && tag.is_none_or(is_tag) && (digest.is_some() || tag.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good<T: FromStr>(texts: &[&str]) {
        for text in texts {
            assert!(text.parse::<T>().is_ok(), "{text:?}");
        }
    }

    fn bad<T: FromStr>(texts: &[&str]) {
        for text in texts {
            assert!(text.parse::<T>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_settings_may_be() {
        good::<Label>(&["istio-system", "1-31-0", "true"]);
        bad::<Label>(&["", "-a", "a-", "A", "a.b", "a\nb", "a\" b", &"a".repeat(64)]);
        good::<Name>(&["cluster.local", "a"]);
        bad::<Name>(&["a..b", ".a", "a.", "", "a b"]);
        good::<Identifier>(&["Kubernetes", "network_1", "eu.west-1"]);
        bad::<Identifier>(&["", "_a", "a:b", "é", "a}"]);
        good::<Address>(&[
            "istiod.istio-system.svc:15012",
            "10.0.0.1:15012",
            "[fd00::1]:15012",
        ]);
        bad::<Address>(&[
            "istiod",
            "istiod:",
            "istiod:0",
            "istiod:99999",
            "http://istiod:1",
            "[::g]:1",
            ":1",
            "a:+1",
        ]);
        good::<NodePath>(&["/opt/cni/bin", "/var/lib/rancher/k3s/data/cni"]);
        bad::<NodePath>(&["", "/", "opt", "/a/../b", "/a//b", "/a b", "/a\"b", "/a/"]);
        good::<FileName>(&["10-calico.conflist"]);
        bad::<FileName>(&["", "..", "a/b", "a b"]);
        good::<Hub>(&[
            "registry.example.com/mesh",
            "localhost:5000",
            "localhost:5000/a/b-c",
            "docker.io/istio",
        ]);
        bad::<Hub>(&["", "https://r/x", "r/X", "r/", "/x", "r:x/y", "r/x:1", "r/x@y"]);
        good::<Tag>(&["0.1.0", "v1_x-y", "_a"]);
        bad::<Tag>(&["", "-a", ".a", "a b", "a/b", "a:b", &"a".repeat(129)]);
        let digest = format!("r.example/mesh-proxy@sha256:{}", "0a".repeat(32));
        let both = digest.replace('@', ":1.0@");
        good::<Image>(&[
            "r.example:5000/mesh/mesh-proxy:1.0",
            "mesh-proxy:1",
            &digest,
            &both,
        ]);
        bad::<Image>(&[
            "",
            "r.example:5000/mesh-proxy",
            "mesh-proxy",
            "a:b:c",
            ":1",
            "x/:1",
            "r/a@sha256:00",
            "r/a:1@",
        ]);
    }
}
