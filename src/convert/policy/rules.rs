//! The rules of an AuthorizationPolicy as a waypoint has to read them, for one Service.

use super::reach::{Reach, Target};
use crate::code::Code;
use model::security::{AuthorizationPolicy, Operation};
use model::traffic::ServicePort;
use model::values::PortRef;
use model::workload::PodTemplate;
use model::{FieldPath, Object};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// What stands in the way of reading rules at a waypoint.
pub type Obstacle = (Code, FieldPath, String);

/// Whether a policy looks at tokens, and so depends on a RequestAuthentication at the same place.
pub fn uses_claims(policy: &AuthorizationPolicy) -> bool {
    policy.rules.iter().any(|rule| {
        rule.from.iter().any(|from| {
            !from.source.request_principals.is_empty() || !from.source.not_request_principals.is_empty()
        }) || rule
            .when
            .iter()
            .any(|condition| condition.key.starts_with("request.auth."))
    })
}

/// Which parts of a request a policy looks at that a route may have changed before.
#[derive(Debug, Default)]
pub struct Attributes {
    /// Paths.
    pub paths: bool,
    /// `:authority`.
    pub hosts: bool,
    /// Headers by lower-case name.
    pub headers: BTreeSet<String>,
}

impl Attributes {
    /// The attributes of a policy.
    pub fn of(policy: &AuthorizationPolicy) -> Self {
        let mut attributes = Self::default();
        for rule in &policy.rules {
            for Operation {
                paths,
                not_paths,
                hosts,
                not_hosts,
                ..
            } in rule.to.iter().map(|to| &to.operation)
            {
                attributes.paths |= !paths.is_empty() || !not_paths.is_empty();
                attributes.hosts |= !hosts.is_empty() || !not_hosts.is_empty();
            }
            for condition in &rule.when {
                let header = condition
                    .key
                    .strip_prefix("request.headers[")
                    .and_then(|rest| rest.strip_suffix(']'));
                attributes.headers.extend(header.map(str::to_lowercase));
            }
        }
        attributes
    }
}

/// The rules for one target, with ports of pods mapped to ports of the Service.
///
/// A rule that can never hold there is left out; if none is left, the answer is empty, which in an ALLOW
/// policy lets nothing in.
///
/// # Errors
/// The first attribute that a waypoint does not see as a sidecar does.
pub fn for_target(
    object: &Object<AuthorizationPolicy>,
    target: &Target<'_>,
    reach: &Reach<'_>,
) -> Result<Vec<Json>, Obstacle> {
    let ports = PortMap {
        ports: &target.service.spec.ports,
        templates: reach.templates(target),
    };
    let raw = object
        .raw
        .at(&["spec", "rules"])
        .map_or(Json::Array(Vec::new()), Json::from);
    let rules = raw.as_array().cloned().unwrap_or_default();
    let path = FieldPath::spec().key("rules");
    let mut mapped = Vec::new();
    for (index, rule) in rules.into_iter().enumerate() {
        mapped.extend(map_rule(rule, &path.index(index), &ports)?);
    }
    Ok(mapped)
}

fn map_rule(mut rule: Json, path: &FieldPath, ports: &PortMap<'_>) -> Result<Option<Json>, Obstacle> {
    if let Some(alternatives) = rule.get_mut("to").and_then(Json::as_array_mut) {
        let had_any = !alternatives.is_empty();
        let mut kept = Vec::new();
        for (index, to) in std::mem::take(alternatives).into_iter().enumerate() {
            kept.extend(map_operation(
                to,
                &path.key("to").index(index).key("operation"),
                ports,
            )?);
        }
        if had_any && kept.is_empty() {
            return Ok(None);
        }
        let anything = kept.iter().any(|to| {
            to.get("operation")
                .and_then(Json::as_object)
                .is_some_and(serde_json::Map::is_empty)
        });
        *alternatives = kept;
        // Istio refuses an empty operation; one alternative that always holds makes the whole clause hold.
        if anything && let Some(fields) = rule.as_object_mut() {
            fields.shift_remove("to");
        }
    }
    if let Some(conditions) = rule.get_mut("when").and_then(Json::as_array_mut) {
        for (index, condition) in std::mem::take(conditions).into_iter().enumerate() {
            match map_condition(condition, &path.key("when").index(index), ports)? {
                Mapped::Same(condition) => conditions.push(condition),
                Mapped::Always => {}
                Mapped::Never => return Ok(None),
            }
        }
    }
    Ok(Some(rule))
}

fn map_operation(mut to: Json, path: &FieldPath, ports: &PortMap<'_>) -> Result<Option<Json>, Obstacle> {
    let Some(operation) = to.get_mut("operation").and_then(Json::as_object_mut) else {
        return Ok(Some(to));
    };
    if let Some(wanted) = non_empty(operation.get("ports")) {
        let mapped = ports.map(&wanted, &path.key("ports"))?;
        if mapped.is_empty() {
            return Ok(None);
        }
        operation.insert("ports".into(), json!(mapped));
    }
    if let Some(unwanted) = non_empty(operation.get("notPorts")) {
        let mapped = ports.map(&unwanted, &path.key("notPorts"))?;
        if mapped.is_empty() {
            operation.shift_remove("notPorts");
        } else {
            operation.insert("notPorts".into(), json!(mapped));
        }
    }
    Ok(Some(to))
}

enum Mapped {
    Same(Json),
    Always,
    Never,
}

fn map_condition(mut condition: Json, path: &FieldPath, ports: &PortMap<'_>) -> Result<Mapped, Obstacle> {
    let key = condition
        .get("key")
        .and_then(Json::as_str)
        .unwrap_or_default()
        .to_owned();
    match key.as_str() {
        "destination.ip" => {
            let message =
                "a waypoint sees the Service's address as `destination.ip`, not the pod's".to_owned();
            Err((Code::AttributeDiffers, path.key("key"), message))
        }
        "connection.sni" => {
            let message =
                "it is not certain that a waypoint sees `connection.sni` as the server's sidecar did"
                    .to_owned();
            Err((Code::AttributeDiffers, path.key("key"), message))
        }
        "destination.port" => {
            let Some(fields) = condition.as_object_mut() else {
                return Ok(Mapped::Same(condition));
            };
            if let Some(wanted) = non_empty(fields.get("values")) {
                let mapped = ports.map(&wanted, &path.key("values"))?;
                if mapped.is_empty() {
                    return Ok(Mapped::Never);
                }
                fields.insert("values".into(), json!(mapped));
            }
            if let Some(unwanted) = non_empty(fields.get("notValues")) {
                let mapped = ports.map(&unwanted, &path.key("notValues"))?;
                if mapped.is_empty() {
                    fields.shift_remove("notValues");
                } else {
                    fields.insert("notValues".into(), json!(mapped));
                }
            }
            let is_empty =
                non_empty(fields.get("values")).is_none() && non_empty(fields.get("notValues")).is_none();
            Ok(if is_empty {
                Mapped::Always
            } else {
                Mapped::Same(condition)
            })
        }
        _ => Ok(Mapped::Same(condition)),
    }
}

fn non_empty(values: Option<&Json>) -> Option<Vec<String>> {
    let values: Vec<String> = values?
        .as_array()?
        .iter()
        .filter_map(Json::as_str)
        .map(str::to_owned)
        .collect();
    (!values.is_empty()).then_some(values)
}

/// Ports of pods to ports of a Service.
struct PortMap<'a> {
    ports: &'a [ServicePort],
    templates: Vec<&'a PodTemplate>,
}

impl PortMap<'_> {
    /// The Service's ports that lead to one of the pods' ports.
    fn map(&self, pod_ports: &[String], path: &FieldPath) -> Result<Vec<String>, Obstacle> {
        let mut wanted = BTreeSet::new();
        for text in pod_ports {
            let Ok(port) = text.parse::<u16>() else {
                return Err((
                    Code::AttributeDiffers,
                    path.clone(),
                    format!("`{text}` is no port number"),
                ));
            };
            wanted.insert(port);
        }
        let mut mapped = BTreeSet::new();
        for port in self.ports {
            let Some(number) = port.port else { continue };
            let targets = self.targets(port, number.0).ok_or_else(|| {
                let message = format!(
                    "port {number} of the Service leads to a named port of the pods, whose number is not in the input or not the same for all of them"
                );
                (Code::NamedTargetPort, path.clone(), message)
            })?;
            if wanted.contains(&targets) {
                mapped.insert(number.0);
            }
        }
        Ok(mapped.into_iter().map(|port| port.to_string()).collect())
    }

    fn targets(&self, port: &ServicePort, number: u16) -> Option<u16> {
        match &port.target_port {
            None => Some(number),
            Some(PortRef::Number(target)) => Some(*target),
            Some(PortRef::Name(name)) => {
                let numbers: BTreeSet<Option<u16>> =
                    self.templates.iter().map(|t| container_port(t, name)).collect();
                match numbers.into_iter().collect::<Vec<_>>().as_slice() {
                    [Some(only)] => Some(*only),
                    _ => None,
                }
            }
        }
    }
}

fn container_port(template: &PodTemplate, name: &str) -> Option<u16> {
    let mut ports = template
        .spec
        .containers
        .iter()
        .flat_map(|container| &container.ports);
    ports
        .find(|port| port.name.as_deref() == Some(name))
        .and_then(|port| port.container_port)
        .map(|port| port.0)
}
