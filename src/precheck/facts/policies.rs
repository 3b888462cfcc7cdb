//! Security policies: what ztunnel makes of them, and whether a twin at a waypoint says the same.

use super::SubjectFacts;
use super::index::{Index, names_gateway};
use super::located::Located;
use super::workloads::count;
use crate::finding::Location;
use model::security::{
    AuthorizationPolicy, MtlsMode, PeerAuthentication as PeerSpec, PolicyTargetReference, Rule,
    WorkloadSelector,
};
use model::{FieldPath, Kind, Object};
use rayon::prelude::*;
use rules::facts::{PeerAuthentication, Policy, RequestAuthentication, RootPolicy};
use semantics::ztunnel;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Policies with targets, by namespace and what they say.
type Twins<'a> = HashMap<(&'a str, u64), Vec<(&'a str, Vec<&'a PolicyTargetReference>)>>;

/// Subjects: AuthorizationPolicies.
pub fn authorization(index: &Index<'_>) -> Vec<SubjectFacts> {
    let policies = &index.mesh.authorization_policies;
    let twins = authorization_twins(policies);
    policies
        .par_iter()
        .map(|policy| of_authorization(index, policy, &twins))
        .collect()
}

fn authorization_twins(policies: &[Object<AuthorizationPolicy>]) -> Twins<'_> {
    let mut twins: Twins<'_> = HashMap::new();
    for policy in policies.iter().filter(|p| p.spec.is_targeted()) {
        twins
            .entry((policy.namespace(), fingerprint(&policy.spec)))
            .or_default()
            .push((
                policy.name(),
                targets(&policy.spec.target_ref, &policy.spec.target_refs),
            ));
    }
    twins
}

fn targets<'a>(
    one: &'a Option<PolicyTargetReference>,
    many: &'a [PolicyTargetReference],
) -> Vec<&'a PolicyTargetReference> {
    one.iter().chain(many).collect()
}

fn of_authorization<'a>(
    index: &Index<'a>,
    policy: &'a Object<AuthorizationPolicy>,
    twins: &Twins<'_>,
) -> SubjectFacts {
    let spec = &policy.spec;
    let selector = spec.selector.as_ref();
    let targeted = spec.is_targeted();
    let dry_run = policy
        .meta
        .annotations
        .get("istio.io/dry-run")
        .is_some_and(|v| v == "true");
    let reading = if targeted {
        ztunnel::Reading::default()
    } else {
        ztunnel::read(spec, dry_run)
    };
    let twin = if targeted || reading.effect == ztunnel::Effect::Same {
        String::new()
    } else {
        let found = twins.get(&(policy.namespace(), fingerprint(spec)));
        covering(index, policy.namespace(), selector, found)
    };
    let words = |paths: &[FieldPath]| paths.iter().map(ToString::to_string).collect();
    let first = |paths: &[FieldPath]| paths.first().map(|path| Location::of_field(policy, path));
    let facts = Policy {
        name: policy.name().to_owned(),
        namespace: policy.namespace().to_owned(),
        action: spec.action().as_str().to_owned(),
        targeted,
        scope: scope(index, policy.namespace(), selector, targeted).to_owned(),
        meshed: index.covers_mesh(policy.namespace(), selector),
        ztunnel_effect: reading.effect.as_str().to_owned(),
        l7: words(&reading.layer_7),
        dropped: words(&reading.dropped),
        widened: words(&reading.widened),
        twin,
    };
    let action = FieldPath::spec().key("action");
    SubjectFacts::new(facts, Location::of_object(policy))
        .with("l7", first(&reading.layer_7))
        .with("dropped", first(&reading.dropped))
        .with("widened", first(&reading.widened))
        .with("action", Some(Location::of_field(policy, &action)))
}

fn scope(
    index: &Index<'_>,
    namespace: &str,
    selector: Option<&WorkloadSelector>,
    targeted: bool,
) -> &'static str {
    if targeted {
        "targets"
    } else if selector.is_some_and(|s| !s.match_labels.is_empty()) {
        "workload"
    } else if namespace == index.mesh.settings.root_namespace {
        "mesh"
    } else {
        "namespace"
    }
}

/// The twins that together are attached to every Service in front of the selected pods; empty if one is left
/// out. A twin at a Gateway covers all that uses it.
fn covering<'a>(
    index: &Index<'a>,
    namespace: &'a str,
    selector: Option<&'a WorkloadSelector>,
    twins: Option<&Vec<(&str, Vec<&PolicyTargetReference>)>>,
) -> String {
    let Some(twins) = twins else { return String::new() };
    let all = || twins.iter().flat_map(|(_, targets)| targets);
    let at_gateway = all().any(|target| target.kind == "Gateway" || target.kind == "GatewayClass");
    let covered = at_gateway
        || services_of(index, namespace, selector)
            .into_iter()
            .all(|service| all().any(|target| target.kind == "Service" && target.name == service));
    if !covered {
        return String::new();
    }
    let mut names: Vec<&str> = twins.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.join(", ")
}

/// Services in front of the pods that a policy selects, as far as both are in the input.
fn services_of<'a>(
    index: &Index<'a>,
    namespace: &'a str,
    selector: Option<&'a WorkloadSelector>,
) -> Vec<&'a str> {
    let labels = selector.map(|s| &s.match_labels).filter(|l| !l.is_empty());
    let selected = labels.map(|labels| index.selected(namespace, labels));
    let services = index
        .mesh
        .services_in(namespace)
        .filter(|s| !s.spec.selector.is_empty());
    services
        .filter(|service| match &selected {
            None => true,
            Some(positions) => positions.iter().any(|&position| {
                let pods = &index.mesh.workloads[position].spec.template.metadata.labels;
                model::security::is_subset(&service.spec.selector, pods)
            }),
        })
        .map(Object::name)
        .collect()
}

/// What a policy says, but for the numbers of its ports, which differ between a pod and its Service.
fn fingerprint(policy: &AuthorizationPolicy) -> u64 {
    let mut hasher = DefaultHasher::new();
    policy.action().hash(&mut hasher);
    policy.provider.as_ref().map(|p| &p.name).hash(&mut hasher);
    for rule in &policy.rules {
        hash_rule(rule, &mut hasher);
    }
    hasher.finish()
}

fn hash_rule(rule: &Rule, hasher: &mut DefaultHasher) {
    count(rule.from.len()).hash(hasher);
    for from in &rule.from {
        let s = &from.source;
        for list in [
            &s.principals,
            &s.not_principals,
            &s.request_principals,
            &s.not_request_principals,
            &s.namespaces,
            &s.not_namespaces,
            &s.service_accounts,
            &s.not_service_accounts,
            &s.trust_domains,
            &s.not_trust_domains,
            &s.ip_blocks,
            &s.not_ip_blocks,
            &s.remote_ip_blocks,
            &s.not_remote_ip_blocks,
        ] {
            list.hash(hasher);
        }
    }
    count(rule.to.len()).hash(hasher);
    for to in &rule.to {
        let o = &to.operation;
        (o.ports.is_empty(), o.not_ports.is_empty()).hash(hasher);
        for list in [
            &o.hosts,
            &o.not_hosts,
            &o.methods,
            &o.not_methods,
            &o.paths,
            &o.not_paths,
        ] {
            list.hash(hasher);
        }
    }
    for when in &rule.when {
        when.key.hash(hasher);
        if when.key != "destination.port" {
            (&when.values, &when.not_values).hash(hasher);
        }
    }
}

/// Subjects: RequestAuthentications.
pub fn request_authentication(index: &Index<'_>) -> Vec<SubjectFacts> {
    let objects = &index.mesh.request_authentications;
    let fingerprint = |jwt_rules: &[model::Opaque]| {
        let mut hasher = DefaultHasher::new();
        for rule in jwt_rules {
            serde_json::Value::from(&rule.0).to_string().hash(&mut hasher);
        }
        hasher.finish()
    };
    let mut twins: Twins<'_> = HashMap::new();
    for object in objects.iter().filter(|o| o.spec.is_targeted()) {
        twins
            .entry((object.namespace(), fingerprint(&object.spec.jwt_rules)))
            .or_default()
            .push((
                object.name(),
                targets(&object.spec.target_ref, &object.spec.target_refs),
            ));
    }
    objects
        .iter()
        .map(|object| {
            let selector = object.spec.selector.as_ref();
            let targeted = object.spec.is_targeted();
            let found = twins.get(&(object.namespace(), fingerprint(&object.spec.jwt_rules)));
            let facts = RequestAuthentication {
                name: object.name().to_owned(),
                namespace: object.namespace().to_owned(),
                targeted,
                scope: scope(index, object.namespace(), selector, targeted).to_owned(),
                meshed: index.covers_mesh(object.namespace(), selector),
                twin: if targeted {
                    String::new()
                } else {
                    covering(index, object.namespace(), selector, found)
                },
            };
            let selector = FieldPath::spec().key("selector");
            SubjectFacts::new(facts, Location::of_object(object))
                .with("scope", Some(Location::of_field(object, &selector)))
        })
        .collect()
}

/// Subjects: PeerAuthentications.
pub fn peer_authentication(index: &Index<'_>) -> Vec<SubjectFacts> {
    let objects = &index.mesh.peer_authentications;
    let complete = index.mesh.coverage.is_complete(&Kind::PeerAuthentication);
    objects
        .iter()
        .map(|object| {
            let selector = object.spec.selector.as_ref();
            let inherited = inherited_mode(index, object.namespace());
            let ports: Vec<&String> = object
                .spec
                .port_level_mtls
                .iter()
                .filter(|(_, mtls)| mtls.mode == Some(MtlsMode::Disable))
                .map(|(port, _)| port)
                .collect();
            let facts = PeerAuthentication {
                name: object.name().to_owned(),
                namespace: object.namespace().to_owned(),
                scope: scope(index, object.namespace(), selector, false).to_owned(),
                mode: own_mode(&object.spec).map_or("", MtlsMode::as_str).to_owned(),
                disabled_ports: ports.iter().map(ToString::to_string).collect(),
                inherited_mode: inherited.unwrap_or(MtlsMode::Permissive).as_str().to_owned(),
                inherited_known: inherited.is_some() || complete,
                meshed: index.covers_mesh(object.namespace(), selector),
            };
            let mode = FieldPath::spec().key("mtls").key("mode");
            let levels = FieldPath::spec().key("portLevelMtls");
            let port = ports.first().map(|port| levels.key(port).key("mode"));
            SubjectFacts::new(facts, Location::of_object(object))
                .with("mode", Some(Location::of_field(object, &mode)))
                .with(
                    "disabledPorts",
                    port.map(|path| Location::of_field(object, &path)),
                )
        })
        .collect()
}

fn own_mode(spec: &PeerSpec) -> Option<MtlsMode> {
    spec.mtls
        .as_ref()
        .and_then(|mtls| mtls.mode)
        .filter(|mode| *mode != MtlsMode::Unset)
}

/// The mode of a namespace, by its own object without selector or the mesh's.
fn inherited_mode(index: &Index<'_>, namespace: &str) -> Option<MtlsMode> {
    let of = |namespace: &str| {
        index
            .mesh
            .peer_authentications
            .iter()
            .filter(|p| p.namespace() == namespace)
            .filter(|p| p.spec.selector.as_ref().is_none_or(|s| s.match_labels.is_empty()))
            .find_map(|p| own_mode(&p.spec))
    };
    of(namespace).or_else(|| of(&index.mesh.settings.root_namespace))
}

/// Subjects: objects for the whole mesh in the root namespace.
pub fn in_root_namespace(index: &Index<'_>) -> Vec<SubjectFacts> {
    let mesh = index.mesh;
    let root = mesh.settings.root_namespace.as_str();
    let mut found: Vec<(Located<'_>, &model::ObjectRef)> = Vec::new();
    let policies = mesh
        .authorization_policies
        .iter()
        .filter(|o| o.namespace() == root);
    found.extend(policies.map(|o| (Located::of_object(o), &o.id)));
    let authentications = mesh
        .request_authentications
        .iter()
        .filter(|o| o.namespace() == root);
    found.extend(authentications.map(|o| (Located::of_object(o), &o.id)));
    for kind in [&Kind::Telemetry, &Kind::WasmPlugin, &Kind::EnvoyFilter] {
        let others = mesh.others_of(kind).filter(|o| o.namespace() == root);
        found.extend(
            others
                .filter(|o| !is_made_by_istio(o.name()))
                .map(|o| (Located::of_object(o), &o.id)),
        );
    }
    let contents: Vec<(bool, String)> = found
        .iter()
        .map(|(object, _)| (targets_waypoint_class(object), content(object)))
        .collect();
    found
        .iter()
        .zip(&contents)
        .map(|((object, id), (_, own))| {
            let twin = found
                .iter()
                .zip(&contents)
                .find(|((_, other), (at_class, content))| {
                    *at_class && other.kind == id.kind && content == own
                });
            let facts = RootPolicy {
                kind: id.kind.to_string(),
                name: id.name.to_string(),
                namespace: root.to_owned(),
                targeted: object.at(&["spec", "targetRefs"]).is_some()
                    || object.at(&["spec", "targetRef"]).is_some(),
                gateways_only: is_for_gateways(object),
                twin: twin
                    .map(|((_, other), _)| other.name.to_string())
                    .unwrap_or_default(),
            };
            SubjectFacts::new(facts, object.place())
        })
        .collect()
}

/// EnvoyFilters that istiod's own chart brings for its statistics.
fn is_made_by_istio(name: &str) -> bool {
    name.starts_with("stats-filter-") || name.starts_with("tcp-stats-filter-")
}

fn targets_waypoint_class(object: &Located<'_>) -> bool {
    let many = object.at(&["spec", "targetRefs"]);
    let one = object.at(&["spec", "targetRef"]);
    let is_class = |target: Located<'_>| {
        target.at(&["kind"]).and_then(|k| k.text()).as_deref() == Some("GatewayClass")
            && target.at(&["name"]).and_then(|n| n.text()).as_deref() == Some("istio-waypoint")
    };
    many.iter().flat_map(Located::items).chain(one).any(is_class)
}

/// The spec but for whom it is for.
fn content(object: &Located<'_>) -> String {
    let Some(spec) = object.at(&["spec"]) else {
        return String::new();
    };
    let mut json = serde_json::Value::from(spec.node);
    if let Some(fields) = json.as_object_mut() {
        for key in ["targetRefs", "targetRef", "selector", "workloadSelector"] {
            fields.remove(key);
        }
    }
    json.to_string()
}

fn is_for_gateways(object: &Located<'_>) -> bool {
    let selector = object
        .at(&["spec", "selector", "matchLabels"])
        .or_else(|| object.at(&["spec", "workloadSelector", "labels"]));
    if selector.is_some_and(|s| names_gateway(&super::cilium::label_map(s.node))) {
        return true;
    }
    let patches = object.at(&["spec", "configPatches"]);
    let contexts: Vec<String> = patches
        .iter()
        .flat_map(Located::items)
        .map(|patch| {
            patch
                .at(&["match", "context"])
                .and_then(|c| c.text())
                .unwrap_or_default()
        })
        .collect();
    !contexts.is_empty() && contexts.iter().all(|context| context == "GATEWAY")
}
