//! Subsets as Services of their own: one per subset in use, with the policy of the subset in a DestinationRule.
//!
//! Such a Service selects the pods of the subset. It has a name and an address of its own, so it can be called past the
//! routes of its origin; whatever policy is attached to the origin belongs on it, too (see [`of`]).

use super::backend::is_dns_label;
use super::traffic_policy;
use crate::code::Code;
use crate::convert::assumed::is_assumed;
use crate::convert::context::Context;
use crate::convert::names::{self, FreeName, MAX_NAME, with_hash};
use crate::convert::notes::Notes;
use crate::convert::{Change, Sink, is_ours};
use model::meta::Object;
use model::traffic::{DestinationRule, Service, Subset};
use model::virtual_service::VirtualService;
use model::{FieldPath, Kind, ObjectRef};
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeSet, HashMap};

/// The label of a Service that was made of a subset; its value is the name of the Service with the subset.
pub const VERSION_OF: &str = "mesh-migrate.io/version-of";

/// Fields of a Service that one for a version has, too, beside its selector and its ports.
const COPIED_FIELDS: [&str; 7] = [
    "sessionAffinity",
    "sessionAffinityConfig",
    "publishNotReadyAddresses",
    "internalTrafficPolicy",
    "trafficDistribution",
    "ipFamilies",
    "ipFamilyPolicy",
];

/// Annotations that say who sees a Service, and which endpoints are preferred.
const COPIED_ANNOTATIONS: [&str; 2] = [
    "networking.istio.io/exportTo",
    "networking.istio.io/traffic-distribution",
];

/// A subset of a Service that some route uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The namespace of the Service, and of the new one.
    pub namespace: String,
    /// The Service with the subset.
    pub service: String,
    /// The subset.
    pub subset: String,
    /// The name of the new Service.
    pub name: String,
}

/// The Services that a conversion made of subsets, by namespace and name of their origin.
#[derive(Debug, Default)]
pub struct Versions {
    by_service: HashMap<(String, String), Vec<String>>,
}

/// The names of the Services, in the same namespace, that this conversion makes of subsets of a Service. Empty until the
/// routes were converted, which is done before all policies.
#[must_use]
pub fn of<'c>(context: &'c Context<'_>, service: &Object<Service>) -> &'c [String] {
    let key = (service.namespace().to_owned(), service.name().to_owned());
    let made = context.versions.get().and_then(|made| made.by_service.get(&key));
    made.map_or(&[], Vec::as_slice)
}

/// Whether this program made a Service of a subset. Its pods are those of another Service, and its policies are attached
/// with those of that one, so it is no target of its own.
#[must_use]
pub fn is_version(service: &Object<Service>) -> bool {
    is_ours(&service.meta.labels) && service.meta.labels.contains_key(VERSION_OF)
}

/// The Service that a subset becomes, or why it becomes none.
pub fn find(
    context: &Context<'_>,
    service: &Object<Service>,
    subset: &str,
) -> Result<Version, (Code, String)> {
    let refuse = |why: String| {
        Err((
            Code::VersionNotMade,
            format!("the subset `{subset}` stays: {why}"),
        ))
    };
    let id = &service.id;
    if is_assumed(service) {
        return refuse(format!("{id} is not in the input, so its selector is not known"));
    }
    if service.spec.is_external_name() || service.spec.is_headless() || service.spec.selector.is_empty() {
        return refuse(format!(
            "{id} has no selector or no virtual address of its own, so no other Service can select a part of its pods"
        ));
    }
    let rule = match rule_of(context, service) {
        Ok(rule) => rule,
        Err(why) => return refuse(why),
    };
    if let Some(editor) = context.automation.editor_of(rule) {
        let message = format!("{editor} changes {} while it runs", rule.id);
        return Err((Code::EditedByAutomation, message));
    }
    let Some(found) = rule.spec.subsets.iter().find(|found| found.name == subset) else {
        return refuse(format!("{} does not define it, so it has no endpoints", rule.id));
    };
    if !is_dns_label(subset) {
        return refuse("its name cannot be a part of a Service's name".to_owned());
    }
    let conflict = found
        .labels
        .iter()
        .find(|(key, value)| service.spec.selector.get(*key).is_some_and(|own| own != *value));
    if let Some((key, value)) = conflict {
        return refuse(format!(
            "its label {key}={value} contradicts the selector of {id}, so it has no endpoints"
        ));
    }
    let version = Version {
        namespace: service.namespace().to_owned(),
        service: service.name().to_owned(),
        subset: subset.to_owned(),
        name: name(context, service, subset),
    };
    let new = service_id(&version);
    if !context.is_free(&new, &rule.id.to_string()) {
        return refuse(format!("the name of {new} is taken"));
    }
    let is_there = context.mesh.service(&version.namespace, &version.name).is_some();
    if !is_there && let Some(by) = named_by(context, &version) {
        return refuse(format!(
            "{by} names the host that {new} would be, and would come alive with it"
        ));
    }
    Ok(version)
}

/// An object that is for a Service of this name, or sends requests to it, though there is none yet.
fn named_by<'a>(context: &Context<'a>, version: &Version) -> Option<&'a ObjectRef> {
    let host = context.qualify(&version.name, &version.namespace);
    // For Services that are made, patterns have no routes.
    let names_it = |object: &&Object<VirtualService>| {
        let mut hosts = object.spec.hosts.iter();
        hosts.any(|own| context.qualify(own, object.namespace()) == host)
    };
    let claimant = context.claimants(&host).find(names_it);
    let mut rules = context.destination_rules_of(&host);
    let rule = rules.find(|rule| !is_ours(&rule.meta.labels));
    let id = claimant
        .or_else(|| context.routers_to(&host).next())
        .map(|object| &object.id);
    id.or_else(|| rule.map(|rule| &rule.id))
}

/// The one DestinationRule that says which subsets a Service has, to sidecars and waypoints alike.
fn rule_of<'a>(
    context: &Context<'a>,
    service: &Object<Service>,
) -> Result<&'a Object<DestinationRule>, String> {
    let host = context.service_host(service);
    let mut rules = context.destination_rules_of(&host);
    let (first, second) = (rules.next(), rules.next());
    let Some(rule) = first else {
        return Err(format!("no DestinationRule in the input is for {}", service.id));
    };
    if let Some(second) = second {
        return Err(format!(
            "{} and {} are for the same host, and which one counts depends on the client or on their age",
            rule.id, second.id
        ));
    }
    if rule.namespace() != service.namespace() {
        return Err(format!(
            "{} lies outside the namespace of {}",
            rule.id, service.id
        ));
    }
    if rule.spec.workload_selector.is_some() {
        return Err(format!("{} is for some clients only", rule.id));
    }
    if rule.has_unknown_fields || context.is_duplicate(&rule.id) {
        return Err(format!("it is not certain what {} says", rule.id));
    }
    Ok(rule)
}

/// The Service's name and the subset's; with a hash where that is too long or the same for another subset.
fn name(context: &Context<'_>, service: &Object<Service>, subset: &str) -> String {
    let plain = format!("{}-{subset}", service.name());
    let splits = plain
        .match_indices('-')
        .map(|(at, _)| (&plain[..at], &plain[at + 1..]));
    let is_other = |(other, subset): (&str, &str)| {
        let other = context.mesh.service(service.namespace(), other);
        other.filter(|other| other.id != service.id).is_some_and(|other| {
            let host = context.service_host(other);
            let mut rules = context.destination_rules_of(&host);
            rules.any(|rule| rule.spec.subsets.iter().any(|found| found.name == subset))
        })
    };
    let ambiguous = splits.into_iter().any(is_other);
    if plain.len() <= MAX_NAME && !ambiguous {
        return plain;
    }
    with_hash(&plain, MAX_NAME, &format!("{}/{subset}", service.name()))
}

fn service_id(version: &Version) -> ObjectRef {
    names::id(&version.namespace, &Kind::Service, &version.name)
}

/// Writes the Services and DestinationRules of the versions that routes use, and remembers them.
pub fn put_all(context: &Context<'_>, used: BTreeSet<Version>, sink: &mut Sink) {
    let mut made = Versions::default();
    for version in used {
        let service = context.mesh.service(&version.namespace, &version.service);
        let Some(service) = service else { continue };
        let Ok(rule) = rule_of(context, service) else {
            continue;
        };
        let place = rule.spec.subsets.iter().position(|s| s.name == version.subset);
        let Some((index, subset)) = place.and_then(|at| Some((at, rule.spec.subsets.get(at)?))) else {
            continue;
        };
        let id = service_id(&version);
        let mut notes = Notes::on(rule);
        let message = format!(
            "{id} takes the place of the subset `{}` in routes. It has a name and an address of its own, so it can be called past the routes of {}; whoever looks at the destination in metrics sees it",
            subset.name, service.id
        );
        let path = FieldPath::spec().key("subsets").index(index);
        notes.tell(Code::VersionedService, &path, message);
        sink.conversion.findings.extend(notes.into_findings());
        sink.conversion.changes.push(Change {
            after: (&service_json(&id, service, rule, subset)).into(),
            id,
            instead_of: None,
            from: rule.id.clone(),
            before: None,
        });
        sink.conversion
            .changes
            .extend(rule_for(context, &version, rule, subset));
        made.by_service
            .entry((version.namespace, version.service))
            .or_default()
            .push(version.name);
    }
    // Set once; a second conversion with the same context would make the same.
    drop(context.versions.set(made));
}

fn service_json(
    id: &ObjectRef,
    service: &Object<Service>,
    rule: &Object<DestinationRule>,
    subset: &Subset,
) -> Json {
    let mut metadata = crate::convert::metadata(id, &rule.id);
    metadata["labels"][VERSION_OF] = json!(service.name());
    let waypoint = service.meta.labels.iter().filter(|(key, _)| {
        key.starts_with("istio.io/use-waypoint") || *key == "istio.io/ingress-use-waypoint"
    });
    for (key, value) in waypoint {
        metadata["labels"][key] = json!(value);
    }
    for key in COPIED_ANNOTATIONS {
        if let Some(value) = service.meta.annotations.get(key) {
            metadata["annotations"][key] = json!(value);
        }
    }
    let mut selector = service.spec.selector.clone();
    selector.extend(subset.labels.clone());
    let raw = |key: &str| service.raw.at(&["spec", key]).map(Json::from);
    let ports = match raw("ports") {
        Some(Json::Array(ports)) => ports.into_iter().map(port).collect(),
        _ => Vec::new(),
    };
    let mut spec = Map::new();
    spec.insert("selector".into(), json!(selector));
    spec.insert("ports".into(), Json::Array(ports));
    for key in COPIED_FIELDS {
        if let Some(value) = raw(key) {
            spec.insert(key.into(), value);
        }
    }
    json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec })
}

/// A port without what only one Service can have.
fn port(mut port: Json) -> Json {
    if let Json::Object(fields) = &mut port {
        fields.shift_remove("nodePort");
        if let Some(number) = fields.get("port").cloned() {
            fields.entry("targetPort").or_insert(number);
        }
    }
    port
}

/// What is left of the subset's policy and its host's, for the new Service.
fn rule_for(
    context: &Context<'_>,
    version: &Version,
    rule: &Object<DestinationRule>,
    subset: &Subset,
) -> Option<Change> {
    let json = |policy: &Option<model::Opaque>| policy.as_ref().map(|policy| Json::from(&policy.0));
    let policy = traffic_policy::merge(json(&rule.spec.traffic_policy), json(&subset.traffic_policy))?;
    let FreeName { id, instead_of } = context.free_name(
        &version.namespace,
        &Kind::DestinationRule,
        &version.name,
        &rule.id,
    );
    let mut spec = Map::new();
    spec.insert("host".into(), json!(version.name));
    spec.insert("trafficPolicy".into(), policy);
    if !rule.spec.export_to.is_empty() {
        spec.insert("exportTo".into(), json!(rule.spec.export_to));
    }
    let api_version = rule.raw.get("apiVersion").map_or(Json::Null, Json::from);
    let after = json!({
        "apiVersion": api_version, "kind": "DestinationRule",
        "metadata": crate::convert::metadata(&id, &rule.id), "spec": spec,
    });
    Some(Change {
        after: (&after).into(),
        id,
        instead_of,
        from: rule.id.clone(),
        before: None,
    })
}
