//! The hosts of a VirtualService: what a route can be attached to, and what stands against it, host by host.

use super::claims::{Index, Standing, takes_everything};
use super::parent::Parent;
use super::versions::is_version;
use super::visibility::Visibility;
use crate::code::Code;
use crate::convert::assumed::is_assumed;
use crate::convert::context::{Context, Host};
use crate::convert::waypoint::Bound;
use model::meta::Object;
use model::traffic::{HttpRouteResource, Service, ServiceEntry};
use model::virtual_service::VirtualService;
use model::{FieldPath, Kind};

/// Something to say about one host: it does not stand in the way of the others.
#[derive(Debug)]
pub struct Remark {
    /// What it is.
    pub code: Code,
    /// The host.
    pub place: FieldPath,
    /// The sentence.
    pub message: String,
    /// In which case it is true.
    pub when: When,
}

/// What has to become of an object for a remark on it to be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It is true in any case.
    Always,
    /// Routes are written.
    Converted,
    /// The object stays alone.
    Kept,
}

/// What was found for the hosts of one object.
#[derive(Default)]
pub struct Hosts<'a> {
    /// What routes are attached to.
    pub parents: Vec<Parent<'a>>,
    /// Why hosts have no route, and what there is to know about those that have.
    pub remarks: Vec<Remark>,
}

/// Looks at every host of an object.
pub fn find<'a>(context: &'a Context<'a>, index: Index, object: &'a Object<VirtualService>) -> Hosts<'a> {
    let mut search = Search {
        context,
        index,
        object,
        found: Hosts::default(),
    };
    // Whom nobody sees, nothing is to be said of its hosts.
    let hidden = Visibility::of(object, &context.mesh.settings) == Visibility::Nobody;
    for (number, host) in object.spec.hosts.iter().enumerate().filter(|_| !hidden) {
        let place = FieldPath::spec().key("hosts").index(number);
        match context.host(host, object.namespace()) {
            Host::Service(service) => search.service(service, host, &place),
            Host::ServiceEntry(entry) => search.entry(entry, host, &place),
            Host::Wildcard => search.pattern(host, &place),
            Host::HalfQualified(meant) => {
                let message = format!(
                    "`{host}` has a dot and is taken literally: it names no Service, so these rules never had an effect; `{}` is probably meant",
                    context.service_host(meant)
                );
                search.remark(Code::DeadHost, &place, message);
            }
            Host::Unknown => search.unknown(host, &place),
        }
    }
    search.found
}

struct Search<'a> {
    context: &'a Context<'a>,
    index: Index,
    object: &'a Object<VirtualService>,
    found: Hosts<'a>,
}

impl<'a> Search<'a> {
    fn remark(&mut self, code: Code, place: &FieldPath, message: impl Into<String>) {
        self.remark_when(When::Always, code, place, message);
    }

    fn remark_when(&mut self, when: When, code: Code, place: &FieldPath, message: impl Into<String>) {
        self.found.remarks.push(Remark {
            code,
            place: place.clone(),
            message: message.into(),
            when,
        });
    }

    /// How many remarks say why a host has no route.
    fn obstacles(&self) -> usize {
        let remarks = self.found.remarks.iter();
        remarks.filter(|remark| remark.code != Code::ComesAlive).count()
    }

    fn add(&mut self, parent: Parent<'a>) {
        if self.found.parents.iter().all(|known| known.id() != parent.id()) {
            self.found.parents.push(parent);
        }
    }

    fn unknown(&mut self, host: &str, place: &FieldPath) {
        let coverage = &self.context.mesh.coverage;
        let message = if coverage.is_complete(&Kind::Service) && coverage.is_complete(&Kind::ServiceEntry) {
            format!(
                "`{host}` is no Service and no host of a ServiceEntry: only a gateway could use it, at a waypoint it has no address"
            )
        } else {
            format!("`{host}` is no Service in the input, so its ports are not known")
        };
        self.remark(Code::UnknownHost, place, message);
    }

    fn service(&mut self, service: &'a Object<Service>, host: &str, place: &FieldPath) {
        let before = self.obstacles();
        if service.namespace() != self.object.namespace() {
            let message = format!(
                "the Service is in `{}`, the rules are in `{}`: a waypoint reads rules of the Service's namespace only, rules that clients make for themselves have no form in ambient mode",
                service.namespace(),
                self.object.namespace()
            );
            self.remark(Code::ForeignNamespace, place, message);
        }
        if service.spec.is_headless() || service.spec.is_external_name() {
            let message = format!(
                "{} has no virtual address, so a waypoint cannot be in its path",
                service.id
            );
            self.remark(Code::NoVirtualAddress, place, message);
        }
        let by_port = self.object.spec.http.iter().flat_map(|rule| &rule.matches);
        let has_layer_4 = !self.object.spec.tcp.is_empty() || !self.object.spec.tls.is_empty();
        if is_assumed(service) && (has_layer_4 || by_port.into_iter().any(|m| m.port.is_some())) {
            let message = format!(
                "rules depend on the port that is dialled, and the ports of {} are not known",
                service.id
            );
            self.remark(Code::PortsUnknown, place, message);
        }
        let name = self.context.service_host(service);
        if !self.standing(&name, host, place) {
            self.beside(&name, host, place);
        }
        let routes = self.context.routes_of(service);
        self.routes(routes, place);
        if self.obstacles() > before {
            return;
        }
        if is_assumed(service) {
            let message = format!(
                "{} is not in the input and is taken to exist, with a virtual address",
                service.id
            );
            self.remark_when(When::Converted, Code::AssumedService, place, message);
        }
        if self.context.bound(service) == Bound::Nowhere {
            let message = format!(
                "{} or its namespace says that no waypoint is used: without one, ambient clients do not meet these rules, in either form",
                service.id
            );
            self.remark(Code::NoWaypointInPath, place, message);
        }
        self.add(Parent::Service(service));
    }

    /// A route for a ServiceEntry is for all of its hosts.
    fn entry(&mut self, entry: &'a Object<ServiceEntry>, host: &str, place: &FieldPath) {
        let before = self.obstacles();
        if !self.context.options.has_entries_as_parents() {
            let message = format!(
                "`{host}` is a host of {}; routes can be attached to a ServiceEntry since Istio 1.30, and this is for {}",
                entry.id, self.context.options.istio
            );
            self.remark(Code::ServiceEntryHost, place, message);
        }
        if entry.namespace() != self.object.namespace() {
            let message = format!(
                "{} is in another namespace than the rules: a waypoint reads rules of the entry's namespace only",
                entry.id
            );
            self.remark(Code::ForeignNamespace, place, message);
        }
        let named = |wanted: &String| {
            let mut hosts = self.object.spec.hosts.iter();
            hosts.any(|host| self.context.qualify(host, self.object.namespace()) == wanted.to_lowercase())
        };
        if let Some(other) = entry.spec.hosts.iter().find(|wanted| !named(wanted)) {
            let message = format!(
                "`{host}` is a host of {}, and so is `{other}`, which the rules are not for; a route for the entry would be for both",
                entry.id
            );
            self.remark(Code::ServiceEntryHost, place, message);
        }
        let resolution = entry.spec.resolution.as_deref().unwrap_or("NONE");
        if resolution == "NONE" && entry.spec.addresses.is_empty() {
            let message = format!(
                "{} has neither addresses nor a resolution from which Istio gives it one, so a waypoint cannot be in its path",
                entry.id
            );
            self.remark(Code::NoVirtualAddress, place, message);
        }
        let name = self.context.qualify(host, self.object.namespace());
        if !self.standing(&name, host, place) {
            self.beside(&name, host, place);
        }
        let routes = self.context.routes_of_entry(entry);
        self.routes(routes, place);
        if self.obstacles() > before {
            return;
        }
        let is_known = self.found.parents.iter().any(|known| known.id() == &entry.id);
        if !is_known && !matches!(self.context.bound(entry), Bound::To { .. }) {
            let message = format!(
                "the rules for {} hold where a waypoint is in its path: label the entry or its namespace with istio.io/use-waypoint before the clients move, else the rules are lost",
                entry.id
            );
            self.remark(Code::EgressWaypointNeeded, place, message);
        }
        self.add(Parent::Entry(entry));
    }

    /// A pattern stands for the Services of today that no closer host names.
    fn pattern(&mut self, host: &str, place: &FieldPath) {
        let pattern = self.context.qualify(host, self.object.namespace());
        let Some(suffix) = pattern.strip_prefix('*') else {
            self.remark(
                Code::UnknownHost,
                place,
                format!("`{host}` is no host that Istio knows"),
            );
            return;
        };
        if self.standing(&pattern, host, place) {
            return;
        }
        let mesh = self.context.mesh;
        let own = self.object.namespace();
        let services = format!(".svc.{}", mesh.settings.cluster_domain);
        let (here, elsewhere): (Vec<&'a Object<Service>>, _) = match Fitting::of(suffix, &services) {
            Fitting::All => {
                // The Services are ordered by namespace.
                let ends = [mesh.services.first(), mesh.services.last()];
                let elsewhere = ends
                    .into_iter()
                    .flatten()
                    .find(|service| service.namespace() != own);
                (mesh.services_in(own).collect(), elsewhere)
            }
            Fitting::In(namespace, name) => {
                let mut fitting = mesh
                    .services_in(namespace)
                    .filter(|service| service.name().ends_with(name));
                if namespace == own {
                    (fitting.collect(), None)
                } else {
                    (Vec::new(), fitting.next())
                }
            }
            Fitting::None => (Vec::new(), None),
        };
        if let Some(elsewhere) = elsewhere {
            let message = format!(
                "the pattern is for {} too, which lies in another namespace: a waypoint reads rules of the Service's namespace only",
                elsewhere.id
            );
            self.remark(Code::ForeignNamespace, place, message);
        }
        let fitting_entries = mesh
            .service_entries
            .iter()
            .filter(|entry| entry.spec.hosts.iter().any(|host| host.ends_with(suffix)));
        for entry in fitting_entries.take(1) {
            let message = format!(
                "the pattern is for {} too; name its hosts to have routes for them",
                entry.id
            );
            self.remark(Code::ServiceEntryHost, place, message);
        }
        let (mut attached, mut left_out) = (0_usize, None);
        let before = self.obstacles();
        for service in here.into_iter().filter(|service| !is_version(service)) {
            let name = self.context.service_host(service);
            let layer_4 = !self.object.spec.tcp.is_empty() || !self.object.spec.tls.is_empty();
            match self.context.claims.standing(mesh, &name, self.index, false) {
                Standing::Dead(by) if !layer_4 => {
                    left_out.get_or_insert((service, by));
                    continue;
                }
                _ => {}
            }
            let before = self.found.parents.len();
            self.service(service, &name, place);
            attached += self.found.parents.len() - before;
        }
        match (attached, left_out) {
            // What was said of the single Services says why.
            (0, _) if self.obstacles() > before => return,
            (0, Some((service, by))) => {
                let message = format!(
                    "other objects name all Services that fit `{host}` more closely, as {} names {}: at sidecars these rules have no effect",
                    mesh.virtual_services[by].id, service.id
                );
                self.remark(Code::ObjectWithoutEffect, place, message);
                return;
            }
            (0, None) => {
                let message = format!(
                    "`{host}` is a pattern, and a route can be attached to no Service in the input that fits it"
                );
                self.remark(Code::UnknownHost, place, message);
                return;
            }
            _ => {}
        }
        let mut message = format!(
            "`{host}` is a pattern; the routes are for the {attached} Service(s) of `{}` that fit it today, later ones need routes of their own",
            self.object.namespace()
        );
        if let Some((service, by)) = left_out {
            message.push_str(&format!(
                ". {} is left out, since {} names it more closely",
                service.id, mesh.virtual_services[by].id
            ));
        }
        self.remark_when(When::Converted, Code::WildcardHost, place, message);
    }

    /// Whether another object takes the host from this one, or may.
    fn standing(&mut self, name: &str, host: &str, place: &FieldPath) -> bool {
        let mesh = self.context.mesh;
        let spec = &self.object.spec;
        let layers = [
            (false, !spec.http.is_empty()),
            (true, !spec.tcp.is_empty() || !spec.tls.is_empty()),
        ];
        let mut taken = false;
        for (layer_4, present) in layers {
            if !present || taken {
                continue;
            }
            match self.context.claims.standing(mesh, name, self.index, layer_4) {
                Standing::Counts => {}
                Standing::Dead(by) => {
                    taken = true;
                    let message = format!(
                        "sidecars take {} for `{host}`, so these rules have no effect there; no route is made of them",
                        mesh.virtual_services[by].id
                    );
                    self.remark(Code::ObjectWithoutEffect, place, message);
                }
                Standing::Unknown(other, why) => {
                    taken = true;
                    let message = format!(
                        "{} has rules for `{host}` too; a sidecar takes one of the two, a waypoint both: {why}",
                        mesh.virtual_services[other].id
                    );
                    self.remark(Code::HostClaimedTwice, place, message);
                }
            }
        }
        taken
    }

    /// Routes of the Gateway API that somebody else attached, for rules of the same layer.
    fn routes(&mut self, routes: impl Iterator<Item = &'a Object<HttpRouteResource>>, place: &FieldPath) {
        let spec = &self.object.spec;
        let (http, layer_4) = (
            !spec.http.is_empty(),
            !spec.tcp.is_empty() || !spec.tls.is_empty(),
        );
        for route in routes {
            let meets = match route.id.kind {
                Kind::TcpRoute | Kind::TlsRoute => layer_4,
                _ => http,
            };
            if meets && !crate::convert::is_ours(&route.meta.labels) {
                let message = format!(
                    "{} is attached to the same Service; a sidecar takes one of the two, a waypoint both",
                    route.id
                );
                self.remark(Code::RouteExists, place, message);
            }
        }
    }

    /// Objects without effect at sidecars whose rules a waypoint tries behind those of this one.
    fn beside(&mut self, name: &str, host: &str, place: &FieldPath) {
        if self.object.spec.http.is_empty() {
            return;
        }
        let mesh = self.context.mesh;
        let claims = &self.context.claims;
        for index in claims.beside(mesh, name, self.object.namespace(), self.index) {
            let other = &mesh.virtual_services[index].id;
            match claims.standing(mesh, name, index, false) {
                Standing::Counts => {}
                Standing::Unknown(..) => {
                    let message = format!(
                        "{other} has rules for `{host}` too, and counts where this object has none; a waypoint tries both"
                    );
                    self.remark(Code::HostClaimedTwice, place, message);
                }
                Standing::Dead(_) if takes_everything(self.object) => {
                    let message = format!(
                        "sidecars do not take {other} for `{host}`, but a waypoint tries its rules, too, and before those of this object if it is older: delete it, or let it name other hosts, before a waypoint is in the path"
                    );
                    self.remark_when(When::Kept, Code::ComesAlive, place, message);
                }
                Standing::Dead(_) => {
                    let message = format!(
                        "sidecars do not take {other} for `{host}`, but a waypoint tries its rules for every request that no rule of this object matches: delete it, or let it name other hosts, before a waypoint is in the path"
                    );
                    self.remark(Code::ComesAlive, place, message);
                }
            }
        }
    }
}

/// The Services that a pattern can be for.
enum Fitting<'p> {
    /// All of the mesh.
    All,
    /// Those of this namespace whose name ends so.
    In(&'p str, &'p str),
    /// None.
    None,
}

impl<'p> Fitting<'p> {
    /// What follows the asterisk, and the domain of Services, as `.svc.cluster.local`.
    fn of(suffix: &'p str, services: &str) -> Self {
        if services.ends_with(suffix) {
            return Self::All;
        }
        match suffix
            .strip_suffix(services)
            .and_then(|rest| rest.split_once('.'))
        {
            Some((name, namespace)) if !namespace.contains('.') => Self::In(namespace, name),
            _ => Self::None,
        }
    }
}
