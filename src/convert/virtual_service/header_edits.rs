//! Header edits of a VirtualService as filters of an HTTPRoute.

use super::http_match::is_token;
use crate::code::Code;
use crate::convert::notes::Notes;
use model::FieldPath;
use model::virtual_service::{HeaderOperations, Headers, VirtualService};
use serde_json::{Value as Json, json};

type VsNotes<'a> = Notes<'a, VirtualService>;

/// `set`, `add` and `remove` of a header modifier.
const MAX_ITEMS: usize = 16;

/// Header edits as filters of a rule or backend.
pub fn header_filters(headers: &Headers, path: &FieldPath, notes: &mut VsNotes<'_>) -> Vec<Json> {
    let directions = [
        (
            "request",
            "RequestHeaderModifier",
            "requestHeaderModifier",
            &headers.request,
        ),
        (
            "response",
            "ResponseHeaderModifier",
            "responseHeaderModifier",
            &headers.response,
        ),
    ];
    let mut filters = Vec::new();
    for (key, kind, field, operations) in directions {
        let Some(operations) = operations else { continue };
        if let Some(modifier) = header_modifier(operations, &path.key(key), notes) {
            filters.push(json!({ "type": kind, field: modifier }));
        }
    }
    filters
}

fn header_modifier(operations: &HeaderOperations, path: &FieldPath, notes: &mut VsNotes<'_>) -> Option<Json> {
    let mut modifier = serde_json::Map::new();
    for (key, edits) in [("set", &operations.set), ("add", &operations.add)] {
        let path = path.key(key);
        for (name, value) in edits {
            check_header_name(name, &path.key(name), notes);
            if !is_header_value(value) {
                let message = format!(
                    "the value `{value}` is empty or has spaces at its ends, which the Gateway API refuses"
                );
                notes.keep(Code::HeaderEdit, &path.key(name), message);
            }
        }
        check_edits(edits.len(), edits.keys().map(String::as_str), &path, notes);
        if !edits.is_empty() {
            modifier.insert(
                key.to_owned(),
                edits
                    .iter()
                    .map(|(name, value)| json!({ "name": name, "value": value }))
                    .collect(),
            );
        }
    }
    let path = path.key("remove");
    for (index, name) in operations.remove.iter().enumerate() {
        check_header_name(name, &path.index(index), notes);
    }
    check_edits(
        operations.remove.len(),
        operations.remove.iter().map(String::as_str),
        &path,
        notes,
    );
    if !operations.remove.is_empty() {
        modifier.insert("remove".to_owned(), json!(operations.remove));
    }
    (!modifier.is_empty()).then_some(Json::Object(modifier))
}

fn check_edits<'a>(
    count: usize,
    names: impl Iterator<Item = &'a str>,
    path: &FieldPath,
    notes: &mut VsNotes<'_>,
) {
    if count > MAX_ITEMS {
        notes.keep(
            Code::LimitExceeded,
            path,
            format!("{count} header edits, an HTTPRoute takes 16"),
        );
    }
    let mut names: Vec<_> = names.map(str::to_lowercase).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        notes.keep(
            Code::HeaderEdit,
            path,
            "one header is edited twice under spellings that differ in case",
        );
    }
}

fn check_header_name(name: &str, path: &FieldPath, notes: &mut VsNotes<'_>) {
    if name.eq_ignore_ascii_case("host") || name.starts_with(':') || !is_token(name) {
        notes.keep(
            Code::HeaderEdit,
            path,
            format!("`{name}` is not a header that an HTTPRoute can edit"),
        );
    }
}

/// The pattern of header values since Gateway API 1.5: visible ASCII, single blanks between.
fn is_header_value(value: &str) -> bool {
    let visible = |b: u8| (0x21..=0x7e).contains(&b);
    let bytes = value.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    bytes.len() <= 4096
        && visible(first)
        && visible(last)
        && bytes.windows(2).all(|pair| {
            let blank = |b: u8| b == b' ' || b == b'\t';
            (visible(pair[0]) || blank(pair[0]))
                && (visible(pair[1]) || blank(pair[1]))
                && !(blank(pair[0]) && blank(pair[1]))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_judged_as_the_api_server_judges_them() {
        for (value, expected) in [
            ("a b", true),
            ("", false),
            (" a", false),
            ("a ", false),
            ("a  b", false),
            ("%REQ(x)%", true),
        ] {
            assert_eq!(is_header_value(value), expected, "{value:?}");
        }
    }
}
