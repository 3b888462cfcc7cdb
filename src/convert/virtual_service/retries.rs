//! Timeouts and retries of a VirtualService in the forms that an HTTPRoute has.

use super::duration::gateway_duration;
use super::http_action::{Action, Fields};
use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use model::FieldPath;
use model::values::Duration;
use model::virtual_service::{HttpRetry, HttpRoute, VirtualService};
use serde_json::json;
use std::collections::BTreeSet;

type VsNotes<'a> = Notes<'a, VirtualService>;

/// What istiod retries on for a `retry` of an HTTPRoute; status codes come on top. Its default has
/// `retriable-status-codes` too, which without codes counts only for clients that name codes in a header.
///
/// Sources: istio/istio:pilot/pkg/config/kube/gateway/conversion.go (`convertHTTPRoute`),
/// pilot/pkg/networking/core/route/retry/retry.go.
const CONDITIONS: [&str; 4] = ["connect-failure", "refused-stream", "unavailable", "cancelled"];
const BY_STATUS: &str = "retriable-status-codes";
/// The tries after the first one if nothing is said.
const DEFAULT_ATTEMPTS: i64 = 2;
/// From this release of the Gateway API on `retry.attempts` is at least 1.
const AT_LEAST_ONE: u32 = 6;

/// Sets `timeouts` and `retry` of an action.
pub fn convert(
    action: &mut Action,
    rule: &HttpRoute,
    context: &Context<'_>,
    path: &FieldPath,
    notes: &mut VsNotes<'_>,
) {
    let release = context.options.gateway_api;
    let timeout = rule.timeout.filter(|timeout| !timeout.is_zero());
    if let Some(timeout) = timeout {
        let place = path.key("timeout");
        if release.has(Some(2), Some(0)) {
            if let Some(text) = span(timeout, Code::Timeout, &place, notes) {
                action.timeouts.insert("request".into(), json!(text));
            }
        } else {
            let message = format!("HTTPRoutes of Gateway API {release} have no timeouts; they came with 1.2");
            notes.keep(Code::Timeout, &place, message);
        }
    }
    let Some(retries) = &rule.retries else { return };
    let path = path.key("retries");
    if is_default(retries, context) {
        return notes.tell(
            Code::RetryDetails,
            &path,
            "the policy is Istio's default, which holds for routes without one; it is left out",
        );
    }
    if !release.has(None, Some(2)) {
        let message = if retries.attempts.unwrap_or(0) <= 0 {
            format!(
                "retries are switched off; an HTTPRoute of Gateway API {release} cannot say that, and without it requests are tried three times"
            )
        } else {
            format!(
                "a retry policy is only in the experimental channel of HTTPRoute, and Gateway API {release} has none"
            )
        };
        return notes.keep(Code::Retries, &path, message);
    }
    if let Some(fields) = retry(retries, release.minor, &path, notes) {
        action.retry = Some(fields);
    }
    if let Some(limit) = retries.per_try_timeout.filter(|limit| !limit.is_zero())
        && retries.attempts.unwrap_or(0) > 0
    {
        per_try(action, limit, timeout, &path.key("perTryTimeout"), notes);
    }
}

/// Envoy does not look at a limit for each try that is not below the limit for all of them.
fn per_try(
    action: &mut Action,
    limit: Duration,
    timeout: Option<Duration>,
    place: &FieldPath,
    notes: &mut VsNotes<'_>,
) {
    if timeout.is_some_and(|timeout| limit >= timeout) {
        notes.tell(
            Code::NoEffect,
            place,
            "`perTryTimeout` is not below `timeout`, so it never had an effect and is left out",
        );
        return;
    }
    if let Some(text) = span(limit, Code::Retries, place, notes) {
        action.timeouts.insert("backendRequest".into(), json!(text));
    }
}

fn span(duration: Duration, code: Code, place: &FieldPath, notes: &mut VsNotes<'_>) -> Option<String> {
    let text = gateway_duration(duration);
    if text.is_none() {
        let message =
            format!("{duration} cannot be written as whole milliseconds in the form of the Gateway API");
        notes.keep(code, place, message);
    }
    text
}

/// Conditions and status codes, as istiod reads them.
fn retry_on(retries: &HttpRetry) -> (BTreeSet<&str>, BTreeSet<u16>) {
    let (mut conditions, mut codes) = (BTreeSet::new(), BTreeSet::new());
    let parts = retries.retry_on.as_deref().unwrap_or_default().split(',');
    for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
        if let Ok(code) = part.parse() {
            codes.insert(code);
        } else {
            conditions.insert(part);
        }
    }
    if conditions.is_empty() && codes.is_empty() {
        conditions.extend(CONDITIONS);
        conditions.insert(BY_STATUS);
    }
    (conditions, codes)
}

/// Whether the policy says what no policy says.
fn is_default(retries: &HttpRetry, context: &Context<'_>) -> bool {
    let (conditions, codes) = retry_on(retries);
    let default: BTreeSet<&str> = CONDITIONS.into_iter().chain([BY_STATUS]).collect();
    retries.attempts == Some(DEFAULT_ATTEMPTS)
        && retries.per_try_timeout.is_none_or(Duration::is_zero)
        && retries.backoff.is_none()
        && retries.retry_ignore_previous_hosts != Some(false)
        && retries.retry_remote_localities != Some(true)
        && codes.is_empty()
        && conditions == default
        && !context.mesh.settings.has_default_retries
}

/// `retry` of a rule; `None` if something stood in the way.
fn retry(retries: &HttpRetry, minor: u32, path: &FieldPath, notes: &mut VsNotes<'_>) -> Option<Fields> {
    let mut fields = Fields::new();
    let attempts = retries.attempts.unwrap_or(0);
    if attempts <= 0 {
        if minor >= AT_LEAST_ONE {
            notes.keep(Code::Retries, path, "retries are switched off; since Gateway API 1.6 an HTTPRoute asks for one at least, and without it requests are tried three times");
            return None;
        }
        fields.insert("attempts".into(), json!(0));
        return Some(fields);
    }
    fields.insert("attempts".into(), json!(attempts));
    let (conditions, codes) = retry_on(retries);
    let fixed = conditions.iter().filter(|condition| **condition != BY_STATUS);
    if !fixed.eq(CONDITIONS.iter().collect::<BTreeSet<_>>()) {
        let message = format!(
            "istiod makes `{}` and status codes of a `retry` in an HTTPRoute, not `{}`",
            CONDITIONS.join(","),
            retries.retry_on.as_deref().unwrap_or_default()
        );
        notes.keep(Code::Retries, &path.key("retryOn"), message);
    }
    if let Some(code) = codes.iter().find(|code| !(400..=599).contains(*code)) {
        let message = format!("the status {code} is outside of 400 to 599");
        notes.keep(Code::Retries, &path.key("retryOn"), message);
    }
    if codes.is_empty() && conditions.contains(BY_STATUS) {
        notes.tell(Code::RetryDetails, path, "clients that name status codes in `x-envoy-retriable-status-codes` are no longer tried again on these");
    }
    if !codes.is_empty() {
        fields.insert("codes".into(), json!(codes));
    }
    if let Some(backoff) = retries.backoff {
        let place = path.key("backoff");
        if backoff.is_zero() {
            notes.keep(
                Code::Retries,
                &place,
                "an empty waiting time has no form in an HTTPRoute",
            );
        } else if let Some(text) = span(backoff, Code::Retries, &place, notes) {
            fields.insert("backoff".into(), json!(text));
        }
    }
    for (key, differs) in [
        (
            "retryRemoteLocalities",
            retries.retry_remote_localities == Some(true),
        ),
        (
            "retryIgnorePreviousHosts",
            retries.retry_ignore_previous_hosts == Some(false),
        ),
    ] {
        if differs {
            let message = format!(
                "`{key}` has no form in an HTTPRoute; only the choice of the pod for another try changes"
            );
            notes.tell(Code::RetryDetails, &path.key(key), message);
        }
    }
    Some(fields)
}
