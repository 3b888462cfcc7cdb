//! RequestAuthentication: from the pods that a selector selects to the Services that a waypoint serves.

use super::attach;
use super::reach::{Coverage, Reach};
use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use crate::convert::{Change, Disposition, Sink};
use model::security::RequestAuthentication;
use model::{FieldPath, Node, Object, Value};
use std::collections::BTreeMap;

type Authentication = Object<RequestAuthentication>;

/// Converts all RequestAuthentications of a mesh.
pub fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    let mut by_namespace: BTreeMap<&str, Vec<&Authentication>> = BTreeMap::new();
    for object in &context.mesh.request_authentications {
        by_namespace.entry(object.namespace()).or_default().push(object);
    }
    for (namespace, objects) in by_namespace {
        let reach = Reach::of_namespace(context, namespace);
        for object in objects {
            let mut notes = Notes::on(object);
            let changes = if object.spec.is_targeted() {
                Vec::new()
            } else {
                convert(context, &reach, object, &mut notes)
            };
            let (disposition, changes) = match (object.spec.is_targeted(), notes.is_kept()) {
                (true, _) => (Disposition::NothingToDo, Vec::new()),
                (false, true) => (Disposition::Kept, Vec::new()),
                (false, false) => (Disposition::Converted, changes),
            };
            sink.put(object, disposition, changes, notes.into_findings());
        }
    }
}

fn convert(
    context: &Context<'_>,
    reach: &Reach<'_>,
    object: &Authentication,
    notes: &mut Notes<'_, RequestAuthentication>,
) -> Vec<Change> {
    let root = object.namespace() == context.mesh.settings.root_namespace;
    let place = FieldPath::spec().key("selector");
    crate::convert::check_certainty(context, object, notes);
    let Some(selector) = object
        .spec
        .selector
        .as_ref()
        .filter(|s| !s.match_labels.is_empty() && !root)
    else {
        let (scope, code) = if root {
            ("mesh", Code::MeshWidePolicy)
        } else {
            ("namespace", Code::NamespaceWidePolicy)
        };
        notes.keep(code, &FieldPath::root(), format!("the object is for the whole {scope}: ztunnel ignores it and waypoints do not know it, so tokens would no longer be verified; attaching it is not yet done"));
        return Vec::new();
    };
    let mut services = Vec::new();
    for target in &reach.targets {
        match reach.coverage(selector, object.namespace(), target) {
            Coverage::None => {}
            Coverage::Part => {
                let message = format!(
                    "through {} some pods are reached for which the object is not meant: attached to it, it would refuse or strip their tokens",
                    target.service.id
                );
                notes.keep(Code::PartialAuthentication, &place, message);
            }
            Coverage::All if target.service.spec.is_headless() => {
                let message = format!(
                    "{} is headless: its clients dial pods, past every waypoint for Services",
                    target.service.id
                );
                notes.keep(Code::HeadlessTarget, &place, message);
            }
            Coverage::All => services.push(target.service.name()),
        }
    }
    if let Some(first) = reach.unreached(selector).first() {
        let message = format!(
            "{} is selected and behind no Service: a waypoint for Services is not in the path to it",
            first.id
        );
        notes.keep(Code::NoServiceForPods, &place, message);
    } else if services.is_empty() && !notes.is_kept() {
        let message = format!(
            "no Service in the input leads to the selected pods; give the Services and workloads of `{}` too",
            object.namespace()
        );
        notes.keep(Code::NoServiceKnown, &place, message);
    }
    let keeps_token = |rule: &Node| {
        rule.get("forwardOriginalToken")
            .is_some_and(|flag| flag.value == Value::Bool(true))
    };
    if !notes.is_kept() && object.spec.jwt_rules.iter().any(|rule| !keeps_token(&rule.0)) {
        notes.tell(Code::TokenTakenAway, &FieldPath::spec().key("jwtRules"), "the waypoint takes the token away after verifying it; a sidecar that is still behind it finds none, and its own policies on tokens refuse the request");
    }
    if services.is_empty() {
        return Vec::new();
    }
    attach::copies(
        context,
        object,
        &[],
        vec![(attach::unscoped_spec(object), services)],
    )
}
