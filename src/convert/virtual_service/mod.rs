//! VirtualService to routes of the Gateway API: which hosts, which ports, which rules.

pub mod automation;
pub mod backend;
pub mod claims;
mod cors;
mod delegate;
mod duration;
pub mod effective;
pub mod existing;
mod guards;
mod header_edits;
mod hosts;
mod http_action;
mod http_match;
pub mod http_route;
pub mod layer_4;
mod mirror;
mod order;
mod parent;
mod path_change;
pub mod place;
mod redirect;
mod retries;
pub mod rules;
mod traffic_policy;
pub mod versions;
pub mod visibility;

use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use crate::convert::{Change, Disposition, Sink};
use crate::finding::Finding;
use backend::Backends;
use claims::Index;
use hosts::{Hosts, Remark, When};
use http_route::{MAX_PARENTS, Rule, routes};
use model::virtual_service::VirtualService;
use model::{FieldPath, Object, ObjectRef};
use parent::Parent;
use place::Place;
use rules::rules_for_port;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use versions::Version;

/// Converts all VirtualServices of a mesh, and makes Services of the subsets that their routes use.
pub fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    use rayon::prelude::*;
    let objects = &context.mesh.virtual_services;
    let converted: Vec<_> = (0..objects.len())
        .into_par_iter()
        .map(|index| convert(context, index))
        .collect();
    let at_gateways = std::mem::take(&mut sink.ingress.rules);
    let dispositions: HashMap<&ObjectRef, Disposition> = objects
        .iter()
        .zip(&converted)
        .map(|(object, answer)| (&object.id, answer.with(at_gateways.get(&object.id))))
        .collect();
    let mut used = std::mem::take(&mut sink.ingress.versions);
    let mut with_routes = Vec::new();
    for (object, answer) in objects.iter().zip(converted) {
        if object.spec.hosts.is_empty() {
            let (disposition, findings) = answer_for_delegate(context, object, &dispositions);
            sink.put(object, disposition, Vec::new(), findings);
            continue;
        }
        let disposition = answer.with(at_gateways.get(&object.id));
        if answer.disposition == Disposition::Converted {
            used.extend(answer.versions);
            with_routes.push(object);
        }
        sink.put(object, disposition, answer.changes, answer.findings);
    }
    versions::put_all(context, used, sink);
    // Said once of the whole mesh: it is the same of every two hosts.
    if let [first, _, ..] = with_routes.as_slice() {
        let mut notes = Notes::on(*first);
        notes.tell(Code::HostDiffersFromAddress, &FieldPath::spec().key("hosts"), "a sidecar chooses the rules by the Host header of a request, a waypoint by the address that was dialled: requests that dial one Service and name another in Host meet other rules than before");
        sink.conversion.findings.extend(notes.into_findings());
    }
}

/// What becomes of an object without hosts: its rules are part of the objects that delegate to it.
fn answer_for_delegate(
    context: &Context<'_>,
    object: &Object<VirtualService>,
    dispositions: &HashMap<&ObjectRef, Disposition>,
) -> (Disposition, Vec<Finding>) {
    let mut notes = Notes::on(object);
    let name = FieldPath::root().key("metadata").key("name");
    let mut roots = context.roots_of(object).peekable();
    if roots.peek().is_none() {
        notes.keep(
            Code::DelegateUnused,
            &name,
            "without hosts the object acts only through others that delegate to it, and none of the input does and may see it",
        );
        return (Disposition::Kept, notes.into_findings());
    }
    let mut joined = Disposition::NothingToDo;
    for root in roots {
        match dispositions.get(&root.id) {
            Some(Disposition::Converted) => joined = joined.min(Disposition::Converted),
            Some(Disposition::Kept) => {
                let message = format!(
                    "{} delegates to it and is kept, so it is needed as it is",
                    root.id
                );
                notes.keep(Code::Delegate, &name, message);
            }
            _ => {}
        }
    }
    let disposition = if notes.is_kept() {
        Disposition::Kept
    } else {
        joined
    };
    (disposition, notes.into_findings())
}

/// What becomes of one object.
struct Answer {
    disposition: Disposition,
    changes: Vec<Change>,
    findings: Vec<Finding>,
    versions: BTreeSet<Version>,
}

impl Answer {
    /// With what became of the rules for gateways: these count where there are none for the mesh.
    fn with(&self, at_gateways: Option<&Disposition>) -> Disposition {
        match (self.disposition, at_gateways) {
            (Disposition::NothingToDo, Some(other)) => *other,
            (own, _) => own,
        }
    }

    fn nothing(findings: Vec<Finding>) -> Self {
        Self {
            disposition: Disposition::NothingToDo,
            changes: Vec::new(),
            findings,
            versions: BTreeSet::new(),
        }
    }
}

fn convert(context: &Context<'_>, index: Index) -> Answer {
    let object = &context.mesh.virtual_services[index];
    let mut notes = Notes::on(object);
    if !object.spec.applies_to_mesh() || object.spec.hosts.is_empty() {
        return Answer::nothing(Vec::new());
    }
    if object.spec.http.is_empty() && object.spec.tls.is_empty() && object.spec.tcp.is_empty() {
        notes.tell(
            Code::NoRules,
            &FieldPath::spec(),
            "without `http`, `tls` and `tcp` it changes nothing, at sidecars and at waypoints",
        );
        return Answer::nothing(notes.into_findings());
    }
    check_object(context, object, &mut notes);
    let Hosts { parents, mut remarks } = hosts::find(context, index, object);
    let versions = RefCell::default();
    let backends = Backends {
        context,
        namespace: object.namespace(),
        dialled_port: 0,
        place: Place::Mesh,
        versions: &versions,
    };
    layer_4::check(context, object, &mut notes);
    let mut changes = Vec::new();
    if parents.is_empty() {
        // Without a Service nothing is known of ports and namespaces; the rules are still looked at, so that
        // the reader learns of everything that stands in the way at once.
        drop(rules_for_port(&backends, object, 0, &mut notes));
    } else {
        changes.extend(http_routes(&backends, object, &parents, &mut notes));
        for parent in &parents {
            let base = base_name(object, *parent, parents.len() > 1);
            let names = host_names(context, *parent);
            changes.extend(layer_4::routes(
                object, *parent, &names, &base, &backends, &mut notes,
            ));
            layer_4::remark_on_tls_ports(object, *parent, &mut remarks);
        }
    }
    if !notes.is_kept() && changes.is_empty() && rules::are_for_gateways(context, object) {
        return Answer::nothing(notes.into_findings());
    }
    let kept = notes.is_kept() || changes.is_empty();
    say(remarks, kept, &mut notes);
    if kept && !notes.is_kept() {
        notes.keep(
            Code::NoHttpPort,
            &FieldPath::spec(),
            "no port of the Service takes the rules, so they have no effect",
        );
    }
    Answer {
        disposition: if kept {
            Disposition::Kept
        } else {
            Disposition::Converted
        },
        changes: if kept { Vec::new() } else { changes },
        findings: notes.into_findings(),
        versions: versions.into_inner(),
    }
}

/// Says what there is to say of single hosts, as far as it is true of what became of the object.
fn say(remarks: Vec<Remark>, kept: bool, notes: &mut Notes<'_, VirtualService>) {
    for remark in remarks {
        match remark.when {
            When::Converted if kept => {}
            When::Kept if !kept => {}
            _ if kept => notes.keep(remark.code, &remark.place, remark.message),
            _ => notes.tell(remark.code, &remark.place, remark.message),
        }
    }
}

/// The conditions on the object as a whole.
fn check_object(
    context: &Context<'_>,
    object: &Object<VirtualService>,
    notes: &mut Notes<'_, VirtualService>,
) {
    let spec = &object.spec;
    let path = FieldPath::spec();
    crate::convert::check_certainty(context, object, notes);
    // With `--ingress` it is said what becomes of them.
    let others = spec.gateways.iter().find(|gateway| *gateway != "mesh");
    if let Some(gateway) = others.filter(|_| !context.options.ingress) {
        let message = format!(
            "the routes are for the mesh; the rules for gateways (`{gateway}`) stay in this object, so it is still needed"
        );
        notes.tell(Code::GatewayAndMesh, &path.key("gateways"), message);
    }
    if let Some(editor) = context.automation.editor_of(object) {
        let message =
            format!("{editor} changes the object while it runs; a route made of it would stay as it is now");
        notes.keep(Code::EditedByAutomation, &FieldPath::root(), message);
    }
    visibility::check(context, object, notes);
}

fn host_names(context: &Context<'_>, parent: Parent<'_>) -> Vec<String> {
    match parent {
        Parent::Service(service) => vec![context.service_host(service)],
        Parent::Entry(entry) => entry.spec.hosts.clone(),
    }
}

fn base_name(object: &Object<VirtualService>, parent: Parent<'_>, several: bool) -> String {
    if several {
        format!("{}-{}", object.name(), parent.name())
    } else {
        object.name().to_owned()
    }
}

/// Parents, each for one port or for all, and the rules that hold for them.
type Group<'a> = (Vec<(Parent<'a>, Option<u16>)>, Rc<Vec<Rule>>);

/// The HTTPRoutes for all parents. A parent has one for all ports, or one per port where destinations or conditions depend
/// on the port that was dialled; parents with the same rules share one.
fn http_routes(
    backends: &Backends<'_>,
    object: &Object<VirtualService>,
    parents: &[Parent<'_>],
    notes: &mut Notes<'_, VirtualService>,
) -> Vec<Change> {
    if object.spec.http.is_empty() {
        return Vec::new();
    }
    let mut by_port: BTreeMap<u16, Option<Rc<Vec<Rule>>>> = BTreeMap::new();
    let mut groups: Vec<Group<'_>> = Vec::new();
    for parent in parents {
        let all = parent.ports();
        // Of an assumed Service the ports are not known, and no rule may depend on them.
        let ports: Vec<u16> = match &all {
            None => vec![0],
            Some(ports) => ports
                .iter()
                .filter(|(_, c)| c.http)
                .map(|(port, _)| *port)
                .collect(),
        };
        for port in &ports {
            by_port
                .entry(*port)
                .or_insert_with(|| rules_for_port(backends, object, *port, notes).map(Rc::new));
        }
        let rules_at = |port: &u16| by_port.get(port)?.as_ref();
        let rules: Vec<(u16, &Rc<Vec<Rule>>)> =
            ports.iter().filter_map(|p| Some((*p, rules_at(p)?))).collect();
        let is_uniform = rules.windows(2).all(|pair| pair[0].1 == pair[1].1);
        let is_for_all = all.is_none_or(|all| all.len() == rules.len());
        for (index, (port, rules)) in rules.iter().enumerate() {
            let port = (!is_uniform || !is_for_all).then_some(*port);
            if rules.is_empty() || (port.is_none() && index > 0) {
                continue;
            }
            // The standard channel refuses a route that names one parent twice, for two of its ports.
            let is_new =
                |members: &[(Parent<'_>, _)]| members.iter().all(|(known, _)| known.id() != parent.id());
            match groups
                .iter_mut()
                .find(|(members, known)| known == *rules && is_new(members))
            {
                Some((members, _)) => members.push((*parent, port)),
                None => groups.push((vec![(*parent, port)], Rc::clone(rules))),
            }
        }
    }
    if groups.is_empty() && by_port.is_empty() {
        notes.tell(
            Code::NoHttpPort,
            &FieldPath::spec().key("http"),
            "no port of the Service takes HTTP rules, so the rules have no effect",
        );
    }
    written(backends.context, object, &groups, parents.len() > 1)
}

fn written(
    context: &Context<'_>,
    object: &Object<VirtualService>,
    groups: &[Group<'_>],
    several_parents: bool,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (members, rules) in groups {
        for (part, members) in members.chunks(MAX_PARENTS).enumerate() {
            let [(parent, port), ..] = members else { continue };
            let mut base = base_name(object, *parent, several_parents && groups.len() > 1);
            if let Some(port) = port {
                base.push_str(&format!("-{port}"));
            }
            if part > 0 {
                base.push_str(&format!("-hosts{}", part + 1));
            }
            let parents: Vec<_> = members
                .iter()
                .map(|(parent, port)| parent.reference(*port))
                .collect();
            changes.extend(routes(context, object, &parents, &[], &base, rules));
        }
    }
    changes
}
