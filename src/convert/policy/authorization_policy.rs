//! AuthorizationPolicy: from the pods that a selector selects to the Services that a waypoint serves.

use super::attach;
use super::reach::{Coverage, Reach, Target};
use super::rules::{self, Attributes};
use crate::code::Code;
use crate::convert::context::Context;
use crate::convert::notes::Notes;
use crate::convert::virtual_service::effective::Effective;
use crate::convert::{Change, Disposition, Sink};
use model::security::{Action, AuthorizationPolicy, RequestAuthentication, WorkloadSelector};
use model::virtual_service::VirtualService;
use model::{FieldPath, Object};
use semantics::ztunnel::needs_waypoint;
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap};

type Policy = Object<AuthorizationPolicy>;
type PolicyNotes<'a> = Notes<'a, AuthorizationPolicy>;

/// Converts all AuthorizationPolicies of a mesh, namespace by namespace.
pub fn convert_all(context: &Context<'_>, sink: &mut Sink) {
    use rayon::prelude::*;
    let mut by_namespace: BTreeMap<&str, Vec<&Policy>> = BTreeMap::new();
    for policy in &context.mesh.authorization_policies {
        by_namespace.entry(policy.namespace()).or_default().push(policy);
    }
    let authentications = Authentications::of(context);
    let namespaces: Vec<_> = by_namespace.into_iter().collect();
    let converted: Vec<_> = namespaces
        .par_iter()
        .map(|(namespace, policies)| {
            let scope = Namespace::new(context, namespace, policies, &authentications);
            policies
                .par_iter()
                .map(|policy| scope.convert(policy))
                .collect::<Vec<_>>()
        })
        .collect();
    for ((_, policies), answers) in namespaces.iter().zip(converted) {
        for (policy, (disposition, changes, findings)) in policies.iter().zip(answers) {
            sink.put(policy, disposition, changes, findings);
        }
    }
}

/// The policies of one namespace, which count together.
struct Namespace<'a> {
    context: &'a Context<'a>,
    name: &'a str,
    reach: Reach<'a>,
    /// For each target: whether a waypoint has to be in its path.
    needs_waypoint: Vec<bool>,
    /// RequestAuthentications that may count here.
    authentications: Vec<&'a Object<RequestAuthentication>>,
}

/// RequestAuthentications without targets, by namespace.
struct Authentications<'a> {
    by_namespace: HashMap<&'a str, Vec<&'a Object<RequestAuthentication>>>,
}

impl<'a> Authentications<'a> {
    fn of(context: &Context<'a>) -> Self {
        let mut by_namespace: HashMap<&str, Vec<_>> = HashMap::new();
        for object in context
            .mesh
            .request_authentications
            .iter()
            .filter(|object| !object.spec.is_targeted())
        {
            by_namespace.entry(object.namespace()).or_default().push(object);
        }
        Self { by_namespace }
    }

    fn counting_in(&self, namespace: &str, root: &str) -> Vec<&'a Object<RequestAuthentication>> {
        let scopes = if namespace == root {
            vec![root]
        } else {
            vec![namespace, root]
        };
        scopes
            .iter()
            .filter_map(|scope| self.by_namespace.get(scope))
            .flatten()
            .copied()
            .collect()
    }
}

impl<'a> Namespace<'a> {
    fn new(context: &'a Context<'a>, name: &'a str, policies: &[&Policy], all: &Authentications<'a>) -> Self {
        let reach = Reach::of_namespace(context, name);
        let authentications = all.counting_in(name, &context.mesh.settings.root_namespace);
        let layer_7: Vec<&WorkloadSelector> = policies
            .iter()
            .filter(|policy| needs_waypoint(&policy.spec))
            .filter_map(|policy| policy.spec.selector.as_ref())
            .chain(
                authentications
                    .iter()
                    .filter_map(|object| object.spec.selector.as_ref()),
            )
            .collect();
        let needs_waypoint = reach
            .targets
            .iter()
            .map(|target| {
                !target.virtual_services.is_empty()
                    || !target.route_rules.is_empty()
                    || layer_7
                        .iter()
                        .any(|selector| reach.coverage(selector, name, target) != Coverage::None)
            })
            .collect();
        Self {
            context,
            name,
            reach,
            needs_waypoint,
            authentications,
        }
    }

    fn convert(&self, object: &Policy) -> (Disposition, Vec<Change>, Vec<crate::finding::Finding>) {
        let mut notes = Notes::on(object);
        if object.spec.is_targeted() {
            return (Disposition::NothingToDo, Vec::new(), Vec::new());
        }
        let layer_7 = needs_waypoint(&object.spec);
        let Some(selector) = object
            .spec
            .selector
            .as_ref()
            .filter(|s| !s.match_labels.is_empty())
        else {
            return self.without_selector(layer_7, notes);
        };
        check_object(self.context, object, &mut notes);
        let targets = self.targets(selector, layer_7);
        if !layer_7 && targets.is_empty() && !notes.is_kept() {
            return (Disposition::NothingToDo, Vec::new(), notes.into_findings());
        }
        let changes = self.changes(object, selector, &targets, &mut notes);
        self.note_other_paths(object, selector, targets.is_empty(), &mut notes);
        let converted = !changes.is_empty() && !notes.is_kept();
        if converted && !layer_7 {
            notes.tell(
                Code::IdentityBehindWaypoint,
                &FieldPath::root(),
                "behind a waypoint ztunnel sees the waypoint's identity instead of the client's, so the rules are judged at the waypoint too; where this policy allows, the waypoint itself must be allowed at ztunnel before it is put in the path",
            );
        }
        let disposition = if converted {
            Disposition::Converted
        } else {
            Disposition::Kept
        };
        (
            disposition,
            if converted { changes } else { Vec::new() },
            notes.into_findings(),
        )
    }

    /// Policies for a whole namespace or mesh are not inherited by waypoints.
    fn without_selector(
        &self,
        layer_7: bool,
        mut notes: PolicyNotes<'_>,
    ) -> (Disposition, Vec<Change>, Vec<crate::finding::Finding>) {
        let is_root = self.name == self.context.mesh.settings.root_namespace;
        if is_root {
            notes.keep(Code::MeshWidePolicy, &FieldPath::root(), "the policy is for the whole mesh, but waypoints do not know it; attaching it to their class is not yet done");
        } else if layer_7 || self.needs_waypoint.contains(&true) {
            notes.keep(Code::NamespaceWidePolicy, &FieldPath::root(), "the policy is for the whole namespace, but its waypoint does not know it; attaching it to the waypoint is not yet done");
        } else {
            return (Disposition::NothingToDo, Vec::new(), Vec::new());
        }
        (Disposition::Kept, Vec::new(), notes.into_findings())
    }

    /// The targets whose requests may reach a selected pod; for layer 4 only those behind a waypoint.
    fn targets(&self, selector: &WorkloadSelector, layer_7: bool) -> Vec<(&Target<'a>, Coverage)> {
        let targets = self.reach.targets.iter().zip(&self.needs_waypoint);
        targets
            .filter(|(_, needs_waypoint)| layer_7 || **needs_waypoint)
            .map(|(target, _)| (target, self.reach.coverage(selector, self.name, target)))
            .filter(|(_, coverage)| *coverage != Coverage::None)
            .collect()
    }

    fn changes(
        &self,
        object: &Policy,
        selector: &WorkloadSelector,
        targets: &[(&Target<'a>, Coverage)],
        notes: &mut PolicyNotes<'_>,
    ) -> Vec<Change> {
        let mut groups: Vec<(Vec<Json>, Vec<&str>)> = Vec::new();
        for (target, coverage) in targets {
            if target.service.spec.is_headless() {
                notes.keep(
                    Code::HeadlessTarget,
                    &selector_path(),
                    format!(
                        "{} is headless: its clients dial pods, past every waypoint for Services",
                        target.service.id
                    ),
                );
                continue;
            }
            if !self.accepts(object, target, *coverage, notes) {
                continue;
            }
            match rules::for_target(object, target, &self.reach) {
                Err((code, path, message)) => notes.keep(code, &path, message),
                // A DENY, AUDIT or CUSTOM policy without rules is refused, and would do nothing.
                Ok(rules) if rules.is_empty() && object.spec.action() != Action::Allow => {}
                Ok(rules) => match groups.iter_mut().find(|(known, _)| *known == rules) {
                    Some((_, services)) => services.push(target.service.name()),
                    None => groups.push((rules, vec![target.service.name()])),
                },
            }
        }
        if notes.is_kept() {
            return Vec::new();
        }
        if groups.is_empty() && !targets.is_empty() {
            notes.keep(Code::PortNotServed, &FieldPath::spec().key("rules"), format!("no Service leads to the ports that the rules name, so a waypoint has nothing to judge; pods selected by {} can only be reached past it", labels(selector)));
        }
        let groups = groups
            .into_iter()
            .map(|(rules, services)| (with_rules(object, rules), services))
            .collect();
        // A policy on trial stays on trial.
        attach::copies(self.context, object, &["istio.io/dry-run"], groups)
    }

    /// Whether a policy means at the target what it means at the pods, or something stricter.
    fn accepts(
        &self,
        object: &Policy,
        target: &Target<'_>,
        coverage: Coverage,
        notes: &mut PolicyNotes<'_>,
    ) -> bool {
        let service = &target.service.id;
        if coverage == Coverage::Part {
            if object.spec.action() == Action::Allow {
                let message = format!(
                    "through {service} some pods are reached that the policy does not select: attached to it, the policy would also open or close those"
                );
                notes.keep(Code::PartialAllow, &selector_path(), message);
                return false;
            }
            let message = format!(
                "through {service} some pods are reached that the policy does not select; at the waypoint it holds for them too, which is stricter"
            );
            notes.tell(Code::PartialDeny, &selector_path(), message);
        }
        let attributes = Attributes::of(&object.spec);
        for router in &target.virtual_services {
            check_route(self.context, router, &attributes, object, service, notes);
        }
        let changes_path = |key: &str| target.route_rules.iter().any(|rule| mentions(rule, key));
        if attributes.paths && changes_path("urlRewrite") {
            notes.keep(Code::PathRewritten, &FieldPath::spec().key("rules"), format!("a route of {service} rewrites requests; the policy saw them afterwards, the waypoint sees them before"));
        }
        if !attributes.headers.is_empty() && changes_path("requestHeaderModifier") {
            notes.keep(Code::HeaderEdited, &FieldPath::spec().key("rules"), format!("a route of {service} edits headers; the policy saw them afterwards, the waypoint sees them before"));
        }
        if rules::uses_claims(&object.spec) {
            self.check_claims(target, notes);
        }
        !notes.is_kept()
    }

    /// Rules on tokens need the RequestAuthentication at the same place.
    fn check_claims(&self, target: &Target<'_>, notes: &mut PolicyNotes<'_>) {
        for authentication in &self.authentications {
            let selector = authentication
                .spec
                .selector
                .as_ref()
                .filter(|s| !s.match_labels.is_empty());
            let here = authentication.namespace() == self.name;
            let coverage = selector.map_or(Coverage::All, |selector| {
                self.reach.coverage(selector, self.name, target)
            });
            let converts = here && selector.is_some() && !authentication.has_unknown_fields;
            if (converts && coverage == Coverage::Part) || (!converts && coverage != Coverage::None) {
                let message = format!(
                    "the rules look at tokens that {} verifies, which cannot be attached to {} as it is",
                    authentication.id, target.service.id
                );
                notes.keep(
                    Code::ClaimsWithoutAuthentication,
                    &FieldPath::spec().key("rules"),
                    message,
                );
            }
        }
    }

    /// Ways to the selected pods on which no waypoint of this namespace's Services is.
    fn note_other_paths(
        &self,
        object: &Policy,
        selector: &WorkloadSelector,
        no_target: bool,
        notes: &mut PolicyNotes<'_>,
    ) {
        let unreached = self.reach.unreached(selector);
        if let Some(first) = unreached.first() {
            let message = format!(
                "{} is selected and behind no Service ({} in all): a waypoint for Services is not in the path to it",
                first.id,
                unreached.len()
            );
            notes.keep(Code::NoServiceForPods, &selector_path(), message);
        } else if no_target && needs_waypoint(&object.spec) {
            let message = format!(
                "no Service in the input leads to pods with {}; give the Services and workloads of `{}` too",
                labels(selector),
                self.name
            );
            notes.keep(Code::NoServiceKnown, &selector_path(), message);
        }
        for router in &self.reach.foreign {
            if self.reach.leads_to(router, selector, self.name) {
                let message = format!(
                    "{} routes requests for a Service of another namespace to these pods; the waypoint of that Service does not know this policy",
                    router.id
                );
                notes.keep(Code::ForeignRoute, &selector_path(), message);
            }
        }
    }
}

fn check_object(context: &Context<'_>, object: &Policy, notes: &mut PolicyNotes<'_>) {
    crate::convert::check_certainty(context, object, notes);
    if object.namespace() == context.mesh.settings.root_namespace {
        notes.keep(Code::MeshWidePolicy, &selector_path(), "in the root namespace the selector counts for the whole mesh, but a policy can only be attached to Services of its own namespace");
    }
    if object.spec.action() == Action::Custom {
        let provider = object.spec.provider.as_ref().map_or("", |p| p.name.as_str());
        let settings = &context.mesh.settings;
        if settings.found && !settings.extension_providers.iter().any(|known| known == provider) {
            let message = format!("the mesh configuration has no extension provider `{provider}`");
            notes.keep(Code::UnknownProvider, &FieldPath::spec().key("provider"), message);
        } else {
            let message = format!(
                "the provider `{provider}` is now asked by the waypoint and must be reachable from there; one on localhost is not"
            );
            notes.tell(
                Code::ProviderAtWaypoint,
                &FieldPath::spec().key("provider"),
                message,
            );
        }
    }
}

/// What a route changes before the server's policy sees a request, a waypoint's policy sees unchanged.
fn check_route(
    context: &Context<'_>,
    router: &Object<VirtualService>,
    attributes: &Attributes,
    object: &Policy,
    service: &model::ObjectRef,
    notes: &mut PolicyNotes<'_>,
) {
    let rules = FieldPath::spec().key("rules");
    for rule in Effective::of(context, router).http {
        let rule = &*rule.rule;
        let rewrites_path = rule
            .rewrite
            .as_ref()
            .is_some_and(|r| r.uri.is_some() || r.uri_regex_rewrite.is_some());
        let rewrites_host = rule.rewrite.as_ref().is_some_and(|r| r.authority.is_some());
        let edits = rule
            .headers
            .iter()
            .chain(rule.route.iter().filter_map(|r| r.headers.as_ref()));
        let mut edited = edits.filter_map(|h| h.request.as_ref()).flat_map(|request| {
            request
                .set
                .keys()
                .chain(request.add.keys())
                .chain(&request.remove)
                .map(|name| name.to_lowercase())
        });
        if attributes.paths && rewrites_path {
            notes.keep(Code::PathRewritten, &rules, format!("{} rewrites paths on the way to or from {service}; the policy saw the new path, a waypoint judges the old one", router.id));
        }
        if attributes.hosts && rewrites_host {
            notes.keep(Code::HostRewritten, &rules, format!("{} rewrites the authority on the way to or from {service}; the policy saw the new one, a waypoint judges the old one", router.id));
        }
        let matters = |name: &String| {
            attributes.headers.contains(name)
                || (attributes.hosts && (name == "host" || name == ":authority"))
        };
        if let Some(name) = edited.find(matters) {
            notes.keep(Code::HeaderEdited, &rules, format!("{} edits the header `{name}` on the way to or from {service}; the policy saw the new value, a waypoint judges the client's", router.id));
        }
        if rule.cors_policy.is_some() && object.spec.action() != Action::Audit {
            notes.tell(Code::PreflightJudged, &rules, format!("{} answers CORS preflights before the policy; a waypoint judges them first, so a preflight without a token may be refused", router.id));
        }
    }
}

fn mentions(node: &model::Node, key: &str) -> bool {
    node.entries()
        .iter()
        .any(|entry| &*entry.key == key || mentions(&entry.node, key))
        || node.items().iter().any(|item| mentions(item, key))
}

/// The fields of a policy with the rules for some of its targets; without any, an ALLOW lets nothing in.
fn with_rules(object: &Policy, rules: Vec<Json>) -> serde_json::Map<String, Json> {
    let mut fields = attach::unscoped_spec(object);
    if rules.is_empty() {
        fields.shift_remove("rules");
    } else {
        fields.insert("rules".into(), Json::Array(rules));
    }
    fields
}

fn selector_path() -> FieldPath {
    FieldPath::spec().key("selector")
}

fn labels(selector: &WorkloadSelector) -> String {
    let pairs: Vec<String> = selector
        .match_labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    format!("`{}`", pairs.join(","))
}
