//! Redirects of a VirtualService as filters of an HTTPRoute.

use super::backend::{Backends, is_precise_hostname};
use super::http_action::Fields;
use crate::code::Code;
use crate::convert::notes::Notes;
use crate::convert::options::Options;
use model::FieldPath;
use model::virtual_service::{HttpRedirect, VirtualService};
use serde_json::json;

type VsNotes<'a> = Notes<'a, VirtualService>;

/// The fields of `requestRedirect`, except for a replaced prefix.
pub fn fields(
    redirect: &HttpRedirect,
    backends: &Backends<'_>,
    path: &FieldPath,
    notes: &mut VsNotes<'_>,
) -> Fields {
    let mut fields = Fields::new();
    match redirect.scheme.as_deref() {
        None | Some("") => {}
        Some(scheme @ ("http" | "https")) => {
            fields.insert("scheme".into(), json!(scheme));
        }
        Some(scheme) => notes.keep(
            Code::Redirect,
            &path.key("scheme"),
            format!("the scheme `{scheme}` is neither http nor https"),
        ),
    }
    if let Some(authority) = redirect.authority.as_deref().filter(|a| !a.is_empty()) {
        if is_precise_hostname(authority) {
            fields.insert("hostname".into(), json!(authority));
        } else {
            notes.keep(
                Code::Redirect,
                &path.key("authority"),
                format!("`{authority}` is not a plain host name in small letters without a port"),
            );
        }
    }
    // A replaced prefix goes before (`ApplyRedirect` in istio/istio:pilot/pkg/networking/core/route/route.go).
    let replaces_prefix = redirect
        .prefix_rewrite
        .as_deref()
        .is_some_and(|value| !value.is_empty());
    if let Some(uri) = redirect
        .uri
        .as_deref()
        .filter(|u| !u.is_empty() && !replaces_prefix)
    {
        if uri.len() > 1024 {
            notes.keep(
                Code::LimitExceeded,
                &path.key("uri"),
                "the path has more than 1024 characters",
            );
        }
        fields.insert(
            "path".into(),
            json!({ "type": "ReplaceFullPath", "replaceFullPath": uri }),
        );
    }
    port(redirect, backends, path, &mut fields, notes);
    status(redirect, backends.context.options, path, &mut fields, notes);
    fields
}

fn status(
    redirect: &HttpRedirect,
    options: Options,
    path: &FieldPath,
    fields: &mut Fields,
    notes: &mut VsNotes<'_>,
) {
    let code = match redirect.redirect_code.unwrap_or(0) {
        // Istio's default is 301, the Gateway API's is 302.
        0 => 301,
        code @ (301 | 302) => code,
        code @ (303 | 307 | 308) if options.gateway_api.has(Some(5), Some(5)) => code,
        code @ (303 | 307 | 308) => {
            let message = format!(
                "the status {code} is not in Gateway API {}; it came with 1.5",
                options.gateway_api
            );
            return notes.keep(Code::Redirect, &path.key("redirectCode"), message);
        }
        code => {
            let message = format!("{code} is not a status that Istio takes for a redirect");
            return notes.keep(Code::Redirect, &path.key("redirectCode"), message);
        }
    };
    fields.insert("statusCode".into(), json!(code));
}

/// An HTTPRoute without port and scheme writes the listener's port into the location, Istio does not. The port of the
/// scheme (80, or 443 where clients speak TLS) is left out, and so says "none".
fn port(
    redirect: &HttpRedirect,
    backends: &Backends<'_>,
    path: &FieldPath,
    fields: &mut Fields,
    notes: &mut VsNotes<'_>,
) {
    let has_scheme = fields.contains_key("scheme");
    let dialled_port = backends.dialled_port;
    if let Some(port) = redirect.port {
        fields.insert("port".into(), json!(port.0));
        return;
    }
    match redirect.derive_port.as_deref() {
        None | Some("" | "FROM_PROTOCOL_DEFAULT") if has_scheme => {}
        None | Some("" | "FROM_PROTOCOL_DEFAULT") => {
            fields.insert("port".into(), json!(backends.place.default_port()));
        }
        Some("FROM_REQUEST_PORT") if !has_scheme => {}
        // With a scheme, absence means the scheme's own port. The port of the request is the one dialled.
        Some("FROM_REQUEST_PORT") if dialled_port != 0 => {
            fields.insert("port".into(), json!(dialled_port));
        }
        Some("FROM_REQUEST_PORT") => notes.keep(
            Code::Redirect,
            &path.key("derivePort"),
            "the port of the request is not known, and beside a scheme an HTTPRoute has to name it",
        ),
        Some(other) => notes.keep(
            Code::Redirect,
            &path.key("derivePort"),
            format!("`{other}` is not a way to derive a port that is known"),
        ),
    }
}
