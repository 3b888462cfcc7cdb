//! Header edits of a VirtualService as filters of an HTTPRoute.

use super::http_match::is_token;
use crate::code::Code;
use crate::convert::notes::Notes;
use crate::convert::options::{GatewayApi, Options};
use model::FieldPath;
use model::virtual_service::{HeaderOperations, Headers, VirtualService};
use serde_json::{Value as Json, json};
use std::collections::HashSet;

type VsNotes<'a> = Notes<'a, VirtualService>;

/// `set`, `add` and `remove` of a header modifier.
const MAX_ITEMS: usize = 16;

/// The host name that edits of the request's headers make: Istio takes those of `host` and `:authority` for a
/// rewrite, `set` before `add`.
///
/// Source: istio/istio:pilot/pkg/networking/core/route/route.go (`TranslateHeadersOperations`).
pub fn authority(headers: &Headers) -> Option<&str> {
    let request = headers.request.as_ref()?;
    let mut edits = request.set.iter().chain(&request.add);
    let (_, value) = edits.find(|(name, value)| is_authority(name) && !value.is_empty())?;
    Some(value)
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

/// Headers that Istio does not edit as such.
fn is_internal(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.starts_with(':')
}

/// Header edits as filters of a rule or backend.
pub fn header_filters(
    headers: &Headers,
    options: Options,
    path: &FieldPath,
    notes: &mut VsNotes<'_>,
) -> Vec<Json> {
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
        let reading = Reading {
            is_request: key == "request",
            release: options.gateway_api,
        };
        if let Some(modifier) = reading.modifier(operations, &path.key(key), notes) {
            filters.push(json!({ "type": kind, field: modifier }));
        }
    }
    filters
}

/// What counts for all edits of one direction.
struct Reading {
    is_request: bool,
    release: GatewayApi,
}

impl Reading {
    fn modifier(
        &self,
        operations: &HeaderOperations,
        path: &FieldPath,
        notes: &mut VsNotes<'_>,
    ) -> Option<Json> {
        let release = self.release;
        let mut modifier = serde_json::Map::new();
        for (key, edits) in [("set", &operations.set), ("add", &operations.add)] {
            let path = path.key(key);
            let mut items = Vec::new();
            for (name, value) in edits {
                let path = path.key(name);
                if is_internal(name) {
                    if !(self.is_request && is_authority(name)) {
                        tell_no_effect(name, &path, notes);
                    }
                    continue;
                }
                check_header_name(name, &path, notes);
                if !is_header_value(value, release) {
                    let message = format!(
                        "the value `{value}` is empty, too long or has spaces at its ends or side by side, which Gateway API {release} refuses"
                    );
                    notes.keep(Code::HeaderEdit, &path, message);
                }
                items.push((name.as_str(), json!({ "name": name, "value": value })));
            }
            check_edits(items.iter().map(|(name, _)| *name), &path, notes);
            if !items.is_empty() {
                modifier.insert(key.to_owned(), items.into_iter().map(|(_, item)| item).collect());
            }
        }
        let path = path.key("remove");
        let mut removed = Vec::new();
        for (index, name) in operations.remove.iter().enumerate() {
            if is_internal(name) {
                tell_no_effect(name, &path.index(index), notes);
                continue;
            }
            check_header_name(name, &path.index(index), notes);
            removed.push(name.as_str());
        }
        // To remove a header twice is to remove it once.
        let mut seen = HashSet::new();
        removed.retain(|name| seen.insert(name.to_lowercase()));
        check_edits(removed.iter().copied(), &path, notes);
        if !removed.is_empty() {
            modifier.insert("remove".to_owned(), json!(removed));
        }
        (!modifier.is_empty()).then_some(Json::Object(modifier))
    }
}

fn tell_no_effect(name: &str, path: &FieldPath, notes: &mut VsNotes<'_>) {
    let message = format!("Istio does not edit `{name}` here, so this never had an effect and is left out");
    notes.tell(Code::NoEffect, path, message);
}

fn check_edits<'a>(names: impl Iterator<Item = &'a str>, path: &FieldPath, notes: &mut VsNotes<'_>) {
    let mut names: Vec<_> = names.map(str::to_lowercase).collect();
    if names.len() > MAX_ITEMS {
        let message = format!("{} header edits, an HTTPRoute takes 16", names.len());
        notes.keep(Code::LimitExceeded, path, message);
    }
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
    if !is_token(name) {
        notes.keep(
            Code::HeaderEdit,
            path,
            format!("`{name}` is not a header that an HTTPRoute can edit"),
        );
    }
}

/// The release whose API server checks header values by a pattern.
const PATTERN: u32 = 5;
/// `HTTPHeader.value`.
const MAX_VALUE: usize = 4096;

/// Whether a header value is taken: by the API server, whose pattern since Gateway API 1.5 asks for visible ASCII
/// with single blanks between, and by istiod, which asks for no control characters.
///
/// Source: istio/istio:pilot/pkg/config/kube/gateway/conversion.go (`isValidHeaderValue`).
fn is_header_value(value: &str, release: GatewayApi) -> bool {
    let bytes = value.as_bytes();
    if bytes.is_empty() || bytes.len() > MAX_VALUE {
        return false;
    }
    if release.minor < PATTERN {
        return bytes.iter().all(|&b| b == b'\t' || (b >= 0x20 && b != 0x7f));
    }
    let is_visible = |b: &u8| (0x21..=0x7e).contains(b);
    let is_blank = |b: &u8| *b == b' ' || *b == b'\t';
    let ends = [bytes.first(), bytes.last()];
    ends.iter().flatten().all(|b| is_visible(b))
        && bytes.iter().all(|b| is_visible(b) || is_blank(b))
        && !bytes.windows(2).any(|pair| pair.iter().all(is_blank))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_judged_as_the_api_server_judges_them() {
        let (old, new) = (
            "1.4".parse().unwrap_or_default(),
            "1.5".parse().unwrap_or_default(),
        );
        for (value, before, since) in [
            ("a b", true, true),
            ("", false, false),
            (" a", true, false),
            ("a ", true, false),
            ("a  b", true, false),
            ("%REQ(x)%", true, true),
            ("a\nb", false, false),
            ("\u{e4}", true, false),
        ] {
            assert_eq!(is_header_value(value, old), before, "{value:?}");
            assert_eq!(is_header_value(value, new), since, "{value:?}");
        }
    }
}
