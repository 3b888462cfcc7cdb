//! Small values that several kinds share.

use crate::decode::{Decode, Decoder};
use crate::node::{Node, Value};
use std::fmt;

/// How a string is matched (`istio.networking.v1.StringMatch`); `{}` asks only for presence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StringMatch {
    /// The whole value.
    Exact(String),
    /// The beginning of the value, as a string.
    Prefix(String),
    /// RE2, over the whole value.
    Regex(String),
    /// Any value, as long as there is one.
    Presence,
}

impl Decode for StringMatch {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            return decoder.expected(node, "a mapping with `exact`, `prefix` or `regex`");
        };
        let mut found = Vec::new();
        for entry in entries {
            match &*entry.key {
                _ if entry.node.is_null() => {}
                "exact" => found.push(Self::Exact(decoder.entry(entry)?)),
                "prefix" => found.push(Self::Prefix(decoder.entry(entry)?)),
                "regex" => found.push(Self::Regex(decoder.entry(entry)?)),
                other => decoder.unknown_field(other, entry.mark, &["exact", "prefix", "regex"]),
            }
        }
        match found.len() {
            0 => Some(Self::Presence),
            1 => found.pop(),
            _ => decoder.problem(
                node,
                "only one of `exact`, `prefix` and `regex` may be set",
                "keep the one that is meant; split the others into matches of their own",
            ),
        }
    }
}

/// A time span in Go's notation (`1.5s`, `1h30m`), kept in nanoseconds (`google.protobuf.Duration` in JSON).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Duration {
    nanoseconds: u64,
}

impl Duration {
    /// A span of whole nanoseconds.
    #[must_use]
    pub const fn from_nanoseconds(nanoseconds: u64) -> Self {
        Self { nanoseconds }
    }

    /// The span in nanoseconds.
    #[must_use]
    pub fn nanoseconds(self) -> u64 {
        self.nanoseconds
    }

    /// Whether the span is zero, which most fields read as "none".
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.nanoseconds == 0
    }

    /// Reads Go's notation; `None` for anything else, negative spans included.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "0" {
            return Some(Self::default());
        }
        let mut rest = text.strip_prefix('+').unwrap_or(text);
        let mut total: f64 = 0.0;
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let number: f64 = rest[..digits].parse().ok()?;
            rest = &rest[digits..];
            let unit_length = rest
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(rest.len());
            let unit = match &rest[..unit_length] {
                "ns" => 1.0,
                "us" | "µs" | "μs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return None,
            };
            total += number * unit;
            rest = &rest[unit_length..];
        }
        (total < 9.2e18).then(|| Self {
            nanoseconds: total.round() as u64,
        })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.nanoseconds as f64 / 1e9)
    }
}

impl Decode for Duration {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match node.as_str().and_then(Self::parse) {
            Some(duration) => Some(duration),
            None => decoder.expected(node, "a time span such as `5s`, `1.5s` or `1h30m`"),
        }
    }
}

/// A port by number or by name (`k8s.io/apimachinery` `IntOrString`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortRef {
    /// 1 to 65535.
    Number(u16),
    /// The name of a container port.
    Name(String),
}

impl Decode for PortRef {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match &node.value {
            Value::Int(_) => Port::decode(node, decoder).map(|port| Self::Number(port.0)),
            Value::Str(name) if !name.is_empty() => Some(
                name.parse()
                    .map_or_else(|_| Self::Name(name.to_string()), Self::Number),
            ),
            _ => decoder.expected(node, "a port number or name"),
        }
    }
}

/// A port number from 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(pub u16);

impl Decode for Port {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let number = match &node.value {
            Value::Int(number) => u16::try_from(*number).ok().filter(|port| *port > 0),
            _ => None,
        };
        match number {
            Some(port) => Some(Self(port)),
            None => decoder.expected(node, "a port number from 1 to 65535"),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_go_reads_them() {
        for (text, milliseconds) in [
            ("5s", Some(5000)),
            ("1.5s", Some(1500)),
            ("1h30m", Some(5_400_000)),
            ("0", Some(0)),
            ("250ms", Some(250)),
        ] {
            assert_eq!(
                Duration::parse(text).map(|d| d.nanoseconds() / 1_000_000),
                milliseconds,
                "{text}"
            );
        }
        for text in ["", "5", "s", "-1s", "1d", "1e3s", "5 s"] {
            assert_eq!(Duration::parse(text), None, "{text}");
        }
    }
}
