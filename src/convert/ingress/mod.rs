//! Istio's Gateway and the VirtualServices for it, as Gateway and routes of the Gateway API (`--ingress`).
//!
//! A Gateway is converted with all VirtualServices that it reads, or not at all: the same address serves them.

mod claims;
mod connections;
mod hosts;
mod https_redirect;
mod listeners;
mod neighbours;
mod pods;
mod references;
mod routes;
mod servers;
mod site;
mod tls;

use super::context::Context;
use super::notes::Notes;
use super::virtual_service::place::gateway_name;
use super::virtual_service::versions::Version;
use super::{Change, Disposition, Sink};
use crate::code::Code;
use crate::finding::Finding;
use claims::{Claim, Taken};
use foldhash::{HashMap, HashSet};
use listeners::Listener;
use model::traffic::{IstioGateway, Service};
use model::virtual_service::VirtualService;
use model::{FieldPath, Object, ObjectRef};
use pods::Pods;
use servers::Server;
use site::{Site, name_of};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// What the conversion of gateways leaves to other converters.
#[derive(Debug, Default)]
pub struct Answers {
    /// What becomes of each Gateway of the mesh, in its order; none without `--ingress`.
    pub gateways: Vec<Answer>,
    /// What becomes of VirtualServices at their gateways.
    pub rules: HashMap<ObjectRef, Disposition>,
    /// Subsets that routes at gateways use.
    pub versions: BTreeSet<Version>,
}

/// What becomes of a Gateway.
#[derive(Debug)]
pub struct Answer {
    /// Converted or kept.
    pub disposition: Disposition,
    /// The new Gateway, and what belongs to it.
    pub changes: Vec<Change>,
    /// What there is to say.
    pub findings: Vec<Finding>,
}

/// A Gateway with everything that is bound to it.
struct Reading<'a> {
    object: &'a Object<IstioGateway>,
    notes: Notes<'a, IstioGateway>,
    name: String,
    servers: Vec<Server>,
    listeners: Vec<Listener>,
    pods: Pods<'a>,
    service: Option<&'a Object<Service>>,
    bound: Vec<Bound<'a>>,
    /// The new Gateway, the redirect, the grants.
    changes: Vec<Change>,
}

/// A VirtualService at one gateway.
struct Bound<'a> {
    object: &'a Object<VirtualService>,
    notes: Notes<'a, VirtualService>,
    claim: Claim,
    taken: BTreeSet<Taken>,
    /// Whether the gateway reads it.
    is_read: bool,
    changes: Vec<Change>,
    versions: BTreeSet<Version>,
}

/// Converts all Gateways with what is bound to them, if that is asked for.
pub fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    if !context.options.ingress {
        return;
    }
    let mut readings: Vec<Reading<'_>> = context
        .mesh
        .istio_gateways
        .iter()
        .map(|object| Reading::of(context, object))
        .collect();
    bind(context, &mut readings);
    let mut taken = HashSet::default();
    for reading in &mut readings {
        reading.convert(context, &mut taken);
    }
    neighbours::keep_shared_hosts(&mut readings);
    neighbours::keep_servers_that_clash(&mut readings);
    for reading in &mut readings {
        reading.keep_together();
    }
    answer(context, readings, sink);
}

impl<'a> Reading<'a> {
    fn of(context: &Context<'a>, object: &'a Object<IstioGateway>) -> Self {
        let mut notes = Notes::on(object);
        super::check_certainty(context, object, &mut notes);
        let servers = servers::read(object, &mut notes);
        let listeners = listeners::of(object, &servers, &mut notes);
        let pods = Pods::of(context.mesh, object);
        let service = pods.service(&servers, &mut notes);
        if let Some(service) = service {
            pods.check_others(context, service, &mut notes);
        }
        listeners::check_namespaces(context, &listeners, &mut notes);
        Self {
            object,
            notes,
            name: name_of(object),
            servers,
            listeners,
            pods,
            service,
            bound: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Makes everything; what stands in the way is in the notes of each object.
    fn convert(&mut self, context: &Context<'a>, taken: &mut HashSet<ObjectRef>) {
        self.check_use();
        let Some(service) = self.service else {
            // Without its place nothing can be made; the rules are not looked at.
            return;
        };
        let site = Site::new(context, self.object, service, &self.listeners, taken);
        for bound in self.bound.iter_mut().filter(|bound| bound.is_read) {
            bound.convert(&site);
        }
        let notes = &mut self.notes;
        servers::check_release(&self.servers, context.options, notes);
        let terminating = self
            .listeners
            .iter()
            .filter_map(|listener| Some((listener.port, listener.serves.terminate()?)));
        let mut changes = vec![site.gateway(tls::frontend(terminating, context.options, notes))];
        let read = self.bound.iter().filter(|bound| bound.is_read);
        let claims = read.clone().map(|bound| &bound.claim);
        changes.extend(https_redirect::routes(&site, &self.pods, claims, notes));
        let routes: Vec<Change> = read.flat_map(|bound| bound.changes.iter().cloned()).collect();
        changes.extend(references::grants(&site, &routes, notes));
        let message = format!(
            "{} is for the same pods, by the name of {} as its address, so no load balancer and no address is made. While this object is there, it goes first: of two servers with TLS for one host Istio takes the older, and rules for plain HTTP are tried in the order of age. Delete it when the new one is programmed and its routes are accepted; until then the new one has no say for TLS",
            site.id, service.id
        );
        notes.tell(Code::IngressBesideTheOld, &FieldPath::root(), message);
        self.changes = changes;
    }

    /// Keeps what would be a Gateway without listeners or without routes.
    fn check_use(&mut self) {
        if self.bound.is_empty() && self.servers.iter().any(needs_rules) {
            self.notes.keep(
                Code::IngressWithoutRules,
                &FieldPath::root(),
                "no VirtualService of the input is bound to it, and a Gateway without routes answers 404",
            );
        }
        if self.listeners.is_empty() {
            self.notes.keep(
                Code::IngressServer,
                &FieldPath::spec().key("servers"),
                "no server of it can become a listener",
            );
        }
    }

    /// Keeps everything where one part is kept, and says which.
    fn keep_together(&mut self) {
        let kept: Vec<String> = self
            .bound
            .iter()
            .filter(|bound| bound.notes.is_kept())
            .map(|bound| bound.object.id.to_string())
            .collect();
        if let Some(first) = kept.first() {
            let others = match kept.len() {
                1 => String::new(),
                many => format!(" and {} more", many - 1),
            };
            let message = format!(
                "{first}{others} cannot be converted, and one address serves all that is bound to this gateway"
            );
            self.notes
                .keep(Code::IngressTogether, &FieldPath::root(), message);
        }
        if !self.notes.is_kept() {
            return;
        }
        let gateway = &self.object.id;
        for bound in self
            .bound
            .iter_mut()
            .filter(|bound| bound.is_read && !bound.notes.is_kept())
        {
            let message = match kept.first() {
                Some(other) => format!(
                    "its rules for {gateway} stay, because {other} cannot be converted and one address serves both"
                ),
                None => format!("its rules for {gateway} stay, because that one does"),
            };
            bound
                .notes
                .keep(Code::IngressTogether, &FieldPath::spec().key("gateways"), message);
        }
    }
}

/// Whether a server does nothing without a VirtualService.
fn needs_rules(server: &Server) -> bool {
    server.serves != (servers::Serves::Http { redirect: true })
}

/// Finds the VirtualServices that each gateway reads.
fn bind<'a>(context: &Context<'a>, readings: &mut [Reading<'a>]) {
    let mesh = context.mesh;
    for object in mesh
        .virtual_services
        .iter()
        .filter(|object| !object.spec.hosts.is_empty())
    {
        let named = claims::gateways(object);
        for reading in readings
            .iter_mut()
            .filter(|reading| named.contains(&reading.name))
        {
            let mut bound = Bound {
                object,
                notes: Notes::on(object),
                claim: claims::of(context, object, &reading.listeners),
                taken: BTreeSet::new(),
                is_read: true,
                changes: Vec::new(),
                versions: BTreeSet::new(),
            };
            bound.check(context, reading);
            reading.bound.push(bound);
        }
    }
}

impl<'a> Bound<'a> {
    fn check(&mut self, context: &Context<'a>, reading: &Reading<'a>) {
        let object = self.object;
        let pods = reading
            .service
            .map_or(reading.object.namespace(), Object::namespace);
        self.is_read = claims::is_seen(context, object, pods, &mut self.notes);
        // Of a gateway with servers that cannot be read it is not known what it reads.
        let is_for_none = self.claim.is_empty() && self.claim.hidden.is_empty();
        if self.is_read && is_for_none && !reading.notes.is_kept() {
            let message = format!(
                "no server of {} is for one of the hosts and this namespace, so the object has no effect there",
                reading.object.id
            );
            self.notes
                .tell(Code::IngressNotBound, &FieldPath::spec().key("hosts"), message);
            self.is_read = false;
        }
        if !self.is_read {
            self.claim = Claim::default();
            return;
        }
        super::check_certainty(context, object, &mut self.notes);
        for host in &self.claim.hidden {
            let message = format!(
                "`{host}` is for this object by a wider host of {}, and a closer one takes no objects of this namespace; of listeners only the closest counts",
                reading.object.id
            );
            self.notes
                .keep(Code::IngressHost, &FieldPath::spec().key("hosts"), message);
        }
        if let Some(editor) = context.automation.editor_of(object) {
            let message = format!(
                "{editor} changes the object while it runs; a route made of it would stay as it is now"
            );
            self.notes
                .keep(Code::EditedByAutomation, &FieldPath::root(), message);
        }
        for listener in &reading.listeners {
            let place = Site::place(&reading.name, object, listener);
            self.taken
                .extend(claims::taken(object, &self.claim, &reading.listeners, place));
        }
    }

    fn convert(&mut self, site: &Site<'_>) {
        let versions = RefCell::default();
        let (object, claim, notes) = (self.object, &self.claim, &mut self.notes);
        let mut changes = routes::convert(site, object, claim, &versions, notes);
        changes.extend(connections::convert(site, object, claim, &versions, notes));
        if changes.is_empty() && !notes.is_kept() {
            let message = format!(
                "no rule is for what the servers of {} do with its hosts, so the object has no effect there",
                site.gateway.id
            );
            notes.tell(Code::IngressNotBound, &FieldPath::spec().key("gateways"), message);
        }
        if !changes.is_empty() && object.spec.gateways.iter().any(|name| name == "mesh") {
            let message = format!(
                "the rules for {} are in routes of their own; those for the mesh are converted by themselves",
                site.gateway.id
            );
            notes.tell(
                Code::IngressBesideTheMesh,
                &FieldPath::spec().key("gateways"),
                message,
            );
        }
        self.changes = changes;
        self.versions = versions.into_inner();
    }
}

/// Hands out what became of Gateways and VirtualServices.
fn answer(context: &Context<'_>, readings: Vec<Reading<'_>>, sink: &mut Sink) {
    let mut answers = Answers::default();
    let mut said: Vec<Finding> = Vec::new();
    for reading in readings {
        let is_kept = reading.notes.is_kept();
        let disposition = if is_kept {
            Disposition::Kept
        } else {
            Disposition::Converted
        };
        for bound in reading.bound {
            if bound.is_read && (is_kept || !bound.changes.is_empty()) {
                let known = answers
                    .rules
                    .entry(bound.object.id.clone())
                    .or_insert(disposition);
                *known = (*known).max(disposition);
            }
            said.extend(with_advice(bound.notes.into_findings(), is_kept));
            if !is_kept {
                answers.versions.extend(bound.versions);
                sink.conversion.changes.extend(bound.changes);
            }
        }
        answers.gateways.push(Answer {
            disposition,
            changes: if is_kept { Vec::new() } else { reading.changes },
            findings: reading.notes.into_findings(),
        });
    }
    said.extend(unknown_gateways(context));
    sink.conversion.findings.extend(super::without_repetitions(said));
    sink.ingress = answers;
}

/// The advice of a message is for waypoints; at a gateway there is nothing to do.
fn with_advice(mut findings: Vec<Finding>, is_kept: bool) -> Vec<Finding> {
    for finding in findings.iter_mut().filter(|_| is_kept) {
        if !finding.code.starts_with("MM35") {
            finding.fix = "nothing: the gateway reads the old objects as before; to convert them, take out what has no form, or move it to a VirtualService of another gateway".into();
        }
    }
    findings
}

/// Says of objects that name a gateway which the input does not hold that nothing is known of it.
fn unknown_gateways(context: &Context<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let known: BTreeSet<String> = context.mesh.istio_gateways.iter().map(name_of).collect();
    for object in &context.mesh.virtual_services {
        let mut notes = Notes::on(object);
        for (index, written) in object.spec.gateways.iter().enumerate() {
            let name = gateway_name(written, object.namespace());
            if written != "mesh" && !object.spec.hosts.is_empty() && !known.contains(&name) {
                let message = format!("the input holds no Gateway {name}; its rules there stay");
                let path = FieldPath::spec().key("gateways").index(index);
                notes.tell(Code::IngressNotBound, &path, message);
            }
        }
        findings.extend(notes.into_findings());
    }
    findings
}
