//! VirtualService to HTTPRoute: which hosts, which ports, which rules.

pub mod backend;
mod cors;
mod delegate;
mod duration;
pub mod effective;
mod guards;
mod header_edits;
mod http_action;
mod http_match;
mod http_route;
mod mirror;
mod order;
mod path_change;
mod redirect;
mod retries;
mod rules;

use crate::code::Code;
use crate::convert::assumed::is_assumed;
use crate::convert::context::{Context, Host};
use crate::convert::notes::Notes;
use crate::convert::{Change, Disposition, Sink};
use effective::Effective;
use http_route::{Rule, routes};
use model::traffic::Service;
use model::virtual_service::VirtualService;
use model::{FieldPath, Object, ObjectRef};
use rules::rules_for_port;
use std::collections::HashMap;

/// Converts all VirtualServices of a mesh.
pub fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    use rayon::prelude::*;
    let all = &context.mesh.virtual_services;
    let converted: Vec<_> = all.par_iter().map(|object| convert(context, object)).collect();
    let dispositions: HashMap<&ObjectRef, Disposition> = all
        .iter()
        .zip(&converted)
        .map(|(object, (disposition, ..))| (&object.id, *disposition))
        .collect();
    for (object, answer) in all.iter().zip(converted) {
        let (disposition, changes, findings) = if object.spec.hosts.is_empty() {
            answer_for_delegate(context, object, &dispositions)
        } else {
            answer
        };
        sink.put(object, disposition, changes, findings);
    }
}

/// What becomes of an object without hosts: its rules are part of the objects that delegate to it.
fn answer_for_delegate(
    context: &Context<'_>,
    object: &Object<VirtualService>,
    dispositions: &HashMap<&ObjectRef, Disposition>,
) -> Answer {
    let mut notes = Notes::on(object);
    let name = FieldPath::root().key("metadata").key("name");
    let mut roots = context.roots_of(object).peekable();
    if roots.peek().is_none() {
        notes.keep(
            Code::DelegateUnused,
            &name,
            "without hosts the object acts only through others that delegate to it, and none of the input does and may see it",
        );
        return (Disposition::Kept, Vec::new(), notes.into_findings());
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
    (disposition, Vec::new(), notes.into_findings())
}

type Answer = (Disposition, Vec<Change>, Vec<crate::finding::Finding>);

fn convert(context: &Context<'_>, object: &Object<VirtualService>) -> Answer {
    let mut notes = Notes::on(object);
    if !object.spec.applies_to_mesh() || object.spec.hosts.is_empty() {
        return (Disposition::NothingToDo, Vec::new(), Vec::new());
    }
    let services = check_object(context, object, &mut notes);
    let mut changes = Vec::new();
    match services.as_slice() {
        // Without a Service nothing is known of ports and namespaces; the rules are still looked at, so that
        // the reader learns of everything that stands in the way at once.
        [] => drop(rules_for_port(context, object, 0, &mut notes)),
        services => {
            for service in services {
                changes.extend(routes_for_service(
                    context,
                    object,
                    service,
                    services.len() > 1,
                    &mut notes,
                ));
            }
        }
    }
    if !notes.is_kept() && changes.is_empty() && rules::are_for_gateways(context, object) {
        return (Disposition::NothingToDo, changes, notes.into_findings());
    }
    let disposition = if notes.is_kept() || changes.is_empty() {
        Disposition::Kept
    } else {
        Disposition::Converted
    };
    if disposition == Disposition::Kept {
        changes.clear();
        if !notes.is_kept() {
            notes.keep(
                Code::NoHttpPort,
                &FieldPath::spec().key("http"),
                "no port of the Service takes HTTP rules, so the rules have no effect",
            );
        }
    }
    (disposition, changes, notes.into_findings())
}

/// The conditions on the object as a whole; gives the Services that its hosts stand for.
fn check_object<'a>(
    context: &Context<'a>,
    object: &Object<VirtualService>,
    notes: &mut Notes<'_, VirtualService>,
) -> Vec<&'a Object<Service>> {
    let spec = &object.spec;
    let path = FieldPath::spec();
    crate::convert::check_certainty(context, object, notes);
    if spec.gateways.iter().any(|gateway| gateway != "mesh") {
        notes.keep(
            Code::GatewayAndMesh,
            &path.key("gateways"),
            "the object is for sidecars and for gateways at once; splitting it is not yet done",
        );
    }
    for (key, present) in [("tls", !spec.tls.is_empty()), ("tcp", !spec.tcp.is_empty())] {
        if present {
            notes.keep(
                Code::TcpOrTls,
                &path.key(key),
                format!("`{key}` rules are not yet converted"),
            );
        }
    }
    check_visibility(context, object, notes);
    let mut services = Vec::new();
    for (index, host) in spec.hosts.iter().enumerate() {
        let place = path.key("hosts").index(index);
        if let Some(service) = check_host(context, object, host, &place, notes) {
            services.push(service);
        }
    }
    services
}

fn check_visibility(
    context: &Context<'_>,
    object: &Object<VirtualService>,
    notes: &mut Notes<'_, VirtualService>,
) {
    let default = &context.mesh.settings.default_virtual_service_export_to;
    let stated = &object.spec.export_to;
    if !stated.is_empty() && stated != default && !stated.iter().any(|to| to == "*") {
        let message = format!(
            "the rules are visible to {} only; an HTTPRoute is visible to every client",
            stated.join(", ")
        );
        notes.keep(Code::Visibility, &FieldPath::spec().key("exportTo"), message);
    } else if stated.iter().any(|to| to == "*") && !default.iter().any(|to| to == "*") {
        let message = format!(
            "an HTTPRoute gets the mesh's default visibility ({}), not `*`",
            default.join(", ")
        );
        notes.keep(Code::Visibility, &FieldPath::spec().key("exportTo"), message);
    }
}

fn check_host<'a>(
    context: &Context<'a>,
    object: &Object<VirtualService>,
    host: &str,
    place: &FieldPath,
    notes: &mut Notes<'_, VirtualService>,
) -> Option<&'a Object<Service>> {
    let service = match context.host(host, object.namespace()) {
        Host::Service(service) => service,
        Host::Wildcard => {
            notes.keep(
                Code::WildcardHost,
                place,
                format!("`{host}` is a pattern; a route is attached to Services by name"),
            );
            return None;
        }
        Host::ServiceEntry(entry) => {
            notes.keep(
                Code::ServiceEntryHost,
                place,
                format!(
                    "`{host}` is a host of {}; routes for it are not yet written",
                    entry.id
                ),
            );
            return None;
        }
        Host::HalfQualified(meant) => {
            let message = format!(
                "`{host}` has a dot and is taken literally: it names no Service, so these rules never had an effect; `{}` is probably meant",
                context.service_host(meant)
            );
            notes.keep(Code::DeadHost, place, message);
            return None;
        }
        Host::Unknown => {
            notes.keep(
                Code::UnknownHost,
                place,
                format!("`{host}` is no Service in the input, so its ports are not known"),
            );
            return None;
        }
    };
    if service.namespace() != object.namespace() {
        let message = format!(
            "the Service is in `{}`, the rules are in `{}`: a waypoint reads rules of the Service's namespace only, rules that clients make for themselves have no form in ambient mode",
            service.namespace(),
            object.namespace()
        );
        notes.keep(Code::ForeignNamespace, place, message);
    }
    if is_assumed(service) {
        let message = format!(
            "{} is not in the input and is taken to exist, with a virtual address",
            service.id
        );
        notes.tell(Code::AssumedService, place, message);
        let by_port = Effective::of(context, object)
            .http
            .iter()
            .flat_map(|rule| &rule.rule.matches)
            .any(|wanted| wanted.port.is_some());
        if by_port {
            let message = format!(
                "rules depend on the port that is dialled, and the ports of {} are not known",
                service.id
            );
            notes.keep(Code::UnknownHost, place, message);
        }
    }
    if service.spec.is_headless() || service.spec.is_external_name() {
        notes.keep(
            Code::NoVirtualAddress,
            place,
            format!(
                "{} has no virtual address, so a waypoint cannot be in its path",
                service.id
            ),
        );
    }
    let name = context.service_host(service);
    for other in context
        .claimants(&name)
        .filter(|other| !std::ptr::eq(*other, object))
    {
        notes.keep(
            Code::HostClaimedTwice,
            place,
            format!(
                "{} has rules for `{host}` too; a sidecar takes one of the two, a waypoint both",
                other.id
            ),
        );
    }
    for route in context
        .routes_of(service)
        .filter(|route| !crate::convert::is_ours(&route.meta.labels))
    {
        notes.keep(
            Code::RouteExists,
            place,
            format!(
                "{} is attached to the same Service; a sidecar takes one of the two, a waypoint both",
                route.id
            ),
        );
    }
    Some(service)
}

/// The routes for one Service: one for all ports, or one per port where destinations or conditions depend on
/// the port that was dialled.
fn routes_for_service(
    context: &Context<'_>,
    object: &Object<VirtualService>,
    service: &Object<Service>,
    several_hosts: bool,
    notes: &mut Notes<'_, VirtualService>,
) -> Vec<Change> {
    let assumed = is_assumed(service);
    let http = service.spec.ports.iter().filter(|p| p.may_be_http());
    // Of an assumed Service the ports are not known, and no rule may depend on them.
    let ports: Vec<u16> = if assumed {
        vec![0]
    } else {
        http.filter_map(|p| p.port).map(|p| p.0).collect()
    };
    let per_port: Vec<(u16, Vec<Rule>)> = ports
        .into_iter()
        .filter_map(|port| rules_for_port(context, object, port, notes).map(|rules| (port, rules)))
        .collect();
    let base = if several_hosts {
        format!("{}-{}", object.name(), service.name())
    } else {
        object.name().to_owned()
    };
    let all_ports = assumed || service.spec.ports.len() == per_port.len();
    let uniform = per_port.windows(2).all(|pair| pair[0].1 == pair[1].1);
    let mut changes = Vec::new();
    match per_port.as_slice() {
        [] => {}
        [(_, rules), ..] if all_ports && uniform => {
            changes.extend(routes(context, object, service, None, &base, rules));
        }
        several => {
            for (port, rules) in several.iter().filter(|(_, rules)| !rules.is_empty()) {
                changes.extend(routes(
                    context,
                    object,
                    service,
                    Some(*port),
                    &format!("{base}-{port}"),
                    rules,
                ));
            }
        }
    }
    changes
}
