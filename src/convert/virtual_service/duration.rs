//! Time spans in the form of the Gateway API.

use model::values::Duration;

/// A time span in the form of GEP-2257: up to four parts of h, m, s and ms with up to five digits each. `None` for
/// spans that are not whole milliseconds, or too long.
#[must_use]
pub fn gateway_duration(duration: Duration) -> Option<String> {
    let nanoseconds = duration.nanoseconds();
    if nanoseconds == 0 {
        return Some("0s".to_owned());
    }
    if !nanoseconds.is_multiple_of(1_000_000) {
        return None;
    }
    let milliseconds = nanoseconds / 1_000_000;
    let parts = [
        (milliseconds / 3_600_000, "h"),
        (milliseconds / 60_000 % 60, "m"),
        (milliseconds / 1000 % 60, "s"),
        (milliseconds % 1000, "ms"),
    ];
    let text: String = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n}{unit}"))
        .collect();
    (parts[0].0 <= 99_999).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_take_the_form_of_the_gateway_api() {
        for (text, expected) in [
            ("1.5s", Some("1s500ms")),
            ("90s", Some("1m30s")),
            ("1h", Some("1h")),
            ("250ms", Some("250ms")),
            ("0s", Some("0s")),
            ("100us", None),
            ("360000000s", None),
        ] {
            let duration = Duration::parse(text).unwrap_or_default();
            assert_eq!(gateway_duration(duration).as_deref(), expected, "{text}");
        }
    }
}
