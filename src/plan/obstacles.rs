//! What stands in the way of ambient mode as a whole, out of the findings of `precheck`.

use super::document::{DataPlane, Gap};
use crate::finding::{Finding, Severity};
use std::collections::BTreeMap;

/// Blockers that a plan deals with itself: it restarts sidecars, attaches policies, enrolls pod by pod, and leaves alone
/// what asks to be left.
const DEALT_WITH: &[&str] = &[
    "MM1203", "MM1502", "MM1503", "MM1601", "MM1602", "MM1603", "MM1604", "MM1606", "MM1607", "MM1608",
];
/// Blockers that go with our own data plane.
const ROLLED_OUT: &[&str] = &["MM1101", "MM1102"];

/// A gap for each code of the blockers that remain.
#[must_use]
pub fn of(findings: &[Finding], data_plane: DataPlane) -> Vec<Gap> {
    let mut codes: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in findings
        .iter()
        .filter(|finding| finding.severity == Severity::Blocker)
    {
        let code = &*finding.code;
        let ours = data_plane == DataPlane::MeshProxy && ROLLED_OUT.contains(&code);
        if !DEALT_WITH.contains(&code) && !ours {
            codes.entry(code).or_default().push(finding);
        }
    }
    codes
        .into_iter()
        .filter_map(|(code, findings)| {
            let first = findings.first()?;
            let more = match findings.len() {
                1 => String::new(),
                many => format!(" (and {} more)", many - 1),
            };
            Some(Gap {
                id: code.to_owned(),
                what: format!("{}: {}{more}", first.location, first.message),
                fix: first.fix.to_string(),
            })
        })
        .collect()
}
