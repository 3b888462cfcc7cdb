//! What the person who owns the files should know, and do where the program does not.

use super::trees::{Trees, chart_of};
use super::{Planner, Reading};
use crate::code::Code;
use crate::convert::{Change, Conversion};
use crate::edit::kustomization::Effect;
use crate::edit::{self, Layout, chart};
use crate::finding::{Finding, Location, Severity};
use crate::input::DocumentKind;
use model::{Kind, Mark, Mesh, Object, ObjectRef, Origin};
use std::collections::{BTreeSet, HashSet};
use std::path::Path;

/// How many values a message names.
const MAX_VALUES: usize = 8;

/// What is to be said whatever is written: templates that nobody edits, and objects that are no longer made.
pub fn beforehand(reading: &Reading, mesh: &Mesh, conversion: &Conversion) -> Vec<Finding> {
    let mut findings = templates(reading);
    let made: HashSet<&ObjectRef> = conversion
        .changes
        .iter()
        .map(|change| &change.id)
        .chain(&conversion.unchanged)
        .collect();
    patch_files(reading, &mut findings);
    left_over(&mesh.routes, &made, &mut findings);
    left_over(&mesh.authorization_policies, &made, &mut findings);
    left_over(&mesh.request_authentications, &made, &mut findings);
    left_over(&mesh.peer_authentications, &made, &mut findings);
    left_over(&mesh.gateways, &made, &mut findings);
    left_over(&mesh.services, &made, &mut findings);
    left_over(&mesh.destination_rules, &made, &mut findings);
    left_over(&mesh.service_entries, &made, &mut findings);
    left_over(&mesh.others, &made, &mut findings);
    findings
}

fn left_over<T>(objects: &[Object<T>], made: &HashSet<&ObjectRef>, findings: &mut Vec<Finding>) {
    let is_old = |object: &&Object<T>| edit::is_ours(&object.raw) && !made.contains(&object.id);
    for object in objects.iter().filter(is_old) {
        findings.push(Code::LeftOver.finding(
            Location::of_object(object),
            format!("{} is of an earlier run and is not made any more", object.id),
        ));
    }
}

/// Files that look like objects and are patches of such: why an object is there twice.
fn patch_files(reading: &Reading, findings: &mut Vec<Finding>) {
    let mut twice = reading
        .places
        .iter()
        .filter(|(_, files)| files.len() > 1)
        .peekable();
    if twice.peek().is_none() {
        return;
    }
    let trees = Trees::of(&reading.fingerprints);
    for (id, files) in twice {
        for name in files {
            let path = Path::new(&**name).canonicalize().unwrap_or_default();
            if let Some((reason, fix)) = trees.other_use(&path) {
                let mut location = Location::of_document(Origin::File(name.clone()), Mark::NONE);
                location.object = Some(id.clone());
                findings.push(Code::KustomizePatch.finding_with_fix(location, reason, fix));
            }
        }
    }
}

/// Objects in templates of charts, with what to write by hand.
fn templates(reading: &Reading) -> Vec<Finding> {
    let names: BTreeSet<_> = reading
        .documents
        .iter()
        .filter_map(|document| match (&document.kind, &document.origin) {
            (DocumentKind::Template(_), Origin::File(name)) => Some(name),
            _ => None,
        })
        .collect();
    let mut findings = Vec::new();
    for name in names {
        let path = Path::new(&**name);
        let (Some(chart), Ok(text)) = (chart_of(path), std::fs::read_to_string(path)) else {
            continue;
        };
        let folder = chart.folder.to_string_lossy();
        let folder = if folder.is_empty() { "." } else { &folder };
        for object in chart::objects(&text) {
            let values = match object.values.as_slice() {
                [] => String::new(),
                values => {
                    let shown: Vec<&str> = values.iter().take(MAX_VALUES).map(String::as_str).collect();
                    let more = if values.len() > MAX_VALUES {
                        " and others"
                    } else {
                        ""
                    };
                    format!(
                        ", taking what comes from {}{more} from the same values",
                        shown.join(", ")
                    )
                }
            };
            let mark = Mark {
                line: object.line,
                column: 1,
            };
            findings.push(Code::ChartTemplate.finding_with_fix(
                Location::of_document(Origin::File(name.clone()), mark),
                format!(
                    "the template `{name}` of the chart `{}` holds a {}, and templates are not edited",
                    chart.name, object.kind
                ),
                format!(
                    "look at the new object with `helm template {folder} | mesh-migrate convert --dry-run -f -`, and \
                     write it into `{name}` by hand{values}"
                ),
            ));
        }
    }
    findings
}

impl Planner<'_> {
    /// What happens to the old object and will not happen to the new one. Gives whether the new one may be written.
    pub(super) fn advise(&mut self, name: &str, path: &Path, layout: &Layout<'_>, change: &Change) -> bool {
        let spot = layout.only(&change.from).ok().flatten();
        let mark = spot.map_or(Mark::NONE, |spot| spot.node.mark);
        let mut location = Location::of_document(Origin::File(name.into()), mark);
        location.object = Some(change.from.clone());
        let new = format!("{}/{}", change.id.kind, change.id.name);
        let document = spot.and_then(|spot| layout.text.get(spot.document..));
        if let Some(template) = document.and_then(chart::source) {
            self.findings.push(Code::RenderedFromChart.finding_with_fix(
                location.clone(),
                format!("the object was rendered from `{template}`, so the next rendering is without {new}"),
                format!("write {new} into `{template}` by hand, as it is written here"),
            ));
        }
        let mut is_safe = true;
        for tree in self.trees.building(path) {
            for effect in tree.says.effects(&change.from, &|file| tree.text_of(file)) {
                let (code, message, fix) = words(&effect, &new, change, &tree.name);
                let fix = format!(
                    "{fix}; or build the tree and convert what comes out: kustomize build {} | mesh-migrate convert -f - \
                     --output-dir DIR",
                    tree.shown_folder()
                );
                let finding = code.finding_with_fix(location.clone(), message, fix);
                is_safe &= finding.severity != Severity::Blocker;
                self.findings.push(finding);
            }
        }
        is_safe
    }
}

fn words(effect: &Effect, new: &str, change: &Change, file: &str) -> (Code, String, String) {
    match effect {
        Effect::Patch(field) => (
            Code::NotPlaced,
            format!("`{file}` patches it ({field}); {new} would not get that patch, and so decide otherwise"),
            format!("write {new} by hand, and the same change for it into `{file}`"),
        ),
        Effect::Replacement(field) => (
            Code::NotPlaced,
            format!("`{file}` copies a value into it ({field}), and would not into {new}"),
            format!("write {new} by hand, and add it to the targets of {field} in `{file}`"),
        ),
        Effect::Name(field) => (
            Code::KustomizeNames,
            format!("`{file}` sets {field}: Services get other names, and {new} goes on with the old ones"),
            format!(
                "tell Kustomize of the names in a {} with a nameReference of the kind Service ({}), in `configurations` \
                 of `{file}`",
                change.id.kind,
                references(&change.id.kind)
            ),
        ),
    }
}

/// Where an object names Services, in the notation of Kustomize.
fn references(kind: &Kind) -> &'static str {
    match kind {
        Kind::HttpRoute | Kind::GrpcRoute | Kind::TcpRoute | Kind::TlsRoute => {
            "spec/parentRefs/name, spec/rules/backendRefs/name"
        }
        _ => "spec/targetRefs/name",
    }
}
