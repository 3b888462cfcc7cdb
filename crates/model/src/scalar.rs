//! Plain YAML scalars as the Kubernetes API machinery reads them: the YAML 1.1 words and number forms of
//! `sigs.k8s.io/yaml`, so that what we see is what the API server would have stored.

use crate::node::Value;

/// The value of an unquoted scalar.
#[must_use]
pub fn resolve_plain(text: &str) -> Value {
    resolve_other(text).unwrap_or_else(|| Value::Str(text.into()))
}

/// Whether an unquoted scalar is text, just as it is written.
pub(crate) fn is_text(text: &str) -> bool {
    resolve_other(text).is_none()
}

/// The value of an unquoted scalar that is no text.
fn resolve_other(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
        "true" | "True" | "TRUE" | "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            return Some(Value::Bool(true));
        }
        "false" | "False" | "FALSE" | "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Some(Value::Bool(false));
        }
        ".inf" | ".Inf" | ".INF" | "+.inf" | "-.inf" | ".nan" | ".NaN" | ".NAN" => {
            return None;
        }
        _ => {}
    }
    let first = text.as_bytes()[0];
    if first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.') {
        if let Some(number) = resolve_integer(text) {
            return Some(Value::Int(number));
        }
        if let Some(number) = resolve_float(text) {
            return Some(Value::Float(number));
        }
    }
    None
}

fn resolve_integer(text: &str) -> Option<i64> {
    let plain = text.replace('_', "");
    let (sign, digits) = match plain.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    i64::from_str_radix(digits, radix)
        .ok()
        .map(|number| sign * number)
}

fn resolve_float(text: &str) -> Option<f64> {
    let looks_numeric = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'))
        && text.bytes().any(|b| b.is_ascii_digit());
    if looks_numeric { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_read_as_the_api_server_reads_them() {
        for (text, expected) in [
            ("yes", Value::Bool(true)),
            ("off", Value::Bool(false)),
            ("~", Value::Null),
            ("0x1F", Value::Int(31)),
            ("010", Value::Int(8)),
            ("-3", Value::Int(-3)),
            ("1_000", Value::Int(1000)),
            ("1e3", Value::Float(1000.0)),
            ("0.5", Value::Float(0.5)),
            ("1.2.3", Value::Str("1.2.3".into())),
            ("5s", Value::Str("5s".into())),
            ("089", Value::Float(89.0)),
            ("-", Value::Str("-".into())),
            ("99999999999999999999", Value::Float(1e20)),
            ("é", Value::Str("é".into())),
        ] {
            assert_eq!(resolve_plain(text), expected, "{text}");
        }
    }
}
