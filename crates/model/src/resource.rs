//! One object of a manifest or of the API server: from a tree to a typed [`Resource`].

use crate::decode::{Decode, Decoder, Problem, UnknownField};
use crate::kind::Kind;
use crate::meta::{Object, ObjectMeta, ObjectRef, decode_or_default};
use crate::node::{Node, Value};
use crate::security::{AuthorizationPolicy, PeerAuthentication, RequestAuthentication};
use crate::source::{FieldPath, Mark, Origin};
use crate::traffic::{DestinationRule, Gateway, HttpRouteResource, IstioGateway, Service, ServiceEntry};
use crate::virtual_service::VirtualService;
use crate::workload::{Controller, CronJob, PodSpec, PodTemplate, TemplateMetadata};
use std::sync::Arc;

/// What runs pods: a controller with its template, or a bare pod.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Workload {
    /// Labels, annotations and containers of the pods.
    pub template: PodTemplate,
}

impl Workload {
    /// The path to the pods' template in an object of this kind; the object itself for a pod.
    #[must_use]
    pub fn template_path(kind: &Kind) -> FieldPath {
        match kind {
            Kind::Pod => FieldPath::root(),
            Kind::CronJob => FieldPath::spec().key("jobTemplate").key("spec").key("template"),
            _ => FieldPath::spec().key("template"),
        }
    }
}

/// An object with the type that belongs to its kind.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the variants are the kinds")]
pub enum Resource {
    VirtualService(Object<VirtualService>),
    DestinationRule(Object<DestinationRule>),
    ServiceEntry(Object<ServiceEntry>),
    IstioGateway(Object<IstioGateway>),
    Gateway(Object<Gateway>),
    Route(Object<HttpRouteResource>),
    AuthorizationPolicy(Object<AuthorizationPolicy>),
    RequestAuthentication(Object<RequestAuthentication>),
    PeerAuthentication(Object<PeerAuthentication>),
    Service(Object<Service>),
    Workload(Object<Workload>),
    /// Known or not, a kind of which only the tree is kept.
    Untyped(Object<()>),
}

/// An object that was read, with what is wrong or unknown in it.
#[derive(Debug)]
pub struct Reading {
    /// What the object is called; `None` where even that could not be read.
    pub id: Option<ObjectRef>,
    /// The typed object; `None` if a value in it could not be read.
    pub resource: Option<Resource>,
    /// Values that could not be read.
    pub problems: Vec<Problem>,
    /// Fields that the kind does not have.
    pub unknown: Vec<UnknownField>,
}

/// Whether a tree looks like a Kubernetes object at all.
#[must_use]
pub fn is_object(node: &Node) -> bool {
    matches!(node.value, Value::Map(_)) && node.get("kind").is_some() && node.get("apiVersion").is_some()
}

/// Whether a tree is a list of objects (`v1 List`, or a typed list as `kubectl get -o yaml` prints it).
#[must_use]
pub fn is_list(node: &Node) -> bool {
    node.get("kind")
        .and_then(Node::as_str)
        .is_some_and(|kind| kind.ends_with("List"))
        && node
            .get("items")
            .is_some_and(|items| matches!(items.value, Value::Seq(_)))
}

/// Reads an object. Whatever the tree holds, this gives a reading and never panics.
#[must_use]
pub fn read(node: Node, origin: &Origin) -> Reading {
    let mut decoder = Decoder::default();
    let header = read_header(&node, &mut decoder);
    let Some((id, meta)) = header else {
        return Reading {
            id: None,
            resource: None,
            problems: decoder.problems,
            unknown: decoder.unknown,
        };
    };
    let object = Object {
        id: id.clone(),
        meta,
        origin: origin.clone(),
        raw: Arc::new(node),
        has_unknown_fields: false,
        spec: (),
    };
    let resource = typed(object, &mut decoder).filter(|_| decoder.problems.is_empty());
    Reading {
        id: Some(id),
        resource,
        problems: decoder.problems,
        unknown: decoder.unknown,
    }
}

fn read_header(node: &Node, decoder: &mut Decoder) -> Option<(ObjectRef, ObjectMeta)> {
    let text = |key: &str, decoder: &mut Decoder| match node.get(key) {
        Some(value) => decoder.field::<String>(key, value),
        None => decoder.problem(
            node,
            format!("`{key}` is missing"),
            "every Kubernetes object needs `apiVersion`, `kind` and `metadata.name`",
        ),
    };
    let api_version = text("apiVersion", decoder)?;
    let kind = text("kind", decoder)?;
    let mut meta: ObjectMeta = decode_or_default(node, "metadata", decoder)?;
    // A name of the wrong type has been told already.
    if meta.name.is_empty()
        && decoder
            .problems
            .iter()
            .any(|p| p.path == FieldPath::root().key("metadata").key("name"))
    {
        return None;
    }
    // istioctl takes an IstioOperator without a name, and calls it so in the cluster.
    if meta.name.is_empty() && kind == "IstioOperator" {
        "installed-state".clone_into(&mut meta.name);
    }
    if meta.name.is_empty() {
        let has_generated = node.at(&["metadata", "generateName"]).is_some();
        let place = node.get("metadata").unwrap_or(node);
        let advice = if has_generated {
            "give the object a fixed name: one with `generateName` cannot be referred to"
        } else {
            "add `metadata.name`"
        };
        return decoder.problem(place, format!("this {kind} has no name"), advice);
    }
    let group = match api_version.split_once('/') {
        Some(("extensions", _)) if kind == "Deployment" || kind == "DaemonSet" => "apps",
        Some((group, _)) => group,
        None => "",
    };
    let kind = Kind::new(group, &kind);
    let namespace = kind.is_namespaced().then(|| {
        Arc::from(
            meta.namespace
                .as_deref()
                .filter(|n| !n.is_empty())
                .unwrap_or("default"),
        )
    });
    Some((
        ObjectRef {
            namespace,
            kind,
            name: Arc::from(meta.name.as_str()),
        },
        meta,
    ))
}

fn typed(object: Object<()>, decoder: &mut Decoder) -> Option<Resource> {
    Some(match object.id.kind {
        Kind::VirtualService => Resource::VirtualService(with_spec(object, decoder)?),
        Kind::DestinationRule => Resource::DestinationRule(with_spec(object, decoder)?),
        Kind::ServiceEntry => Resource::ServiceEntry(with_spec(object, decoder)?),
        Kind::IstioGateway => Resource::IstioGateway(with_spec(object, decoder)?),
        Kind::Gateway => Resource::Gateway(with_spec(object, decoder)?),
        Kind::HttpRoute | Kind::GrpcRoute | Kind::TcpRoute | Kind::TlsRoute => {
            Resource::Route(with_spec(object, decoder)?)
        }
        Kind::AuthorizationPolicy => Resource::AuthorizationPolicy(with_spec(object, decoder)?),
        Kind::RequestAuthentication => Resource::RequestAuthentication(with_spec(object, decoder)?),
        Kind::PeerAuthentication => Resource::PeerAuthentication(with_spec(object, decoder)?),
        Kind::Service => Resource::Service(with_spec(object, decoder)?),
        Kind::Deployment
        | Kind::StatefulSet
        | Kind::DaemonSet
        | Kind::ReplicaSet
        | Kind::Job
        | Kind::Rollout
        | Kind::CronJob
        | Kind::Pod => Resource::Workload(workload(object, decoder)?),
        _ => Resource::Untyped(object),
    })
}

fn with_spec<T: Decode + Default>(object: Object<()>, decoder: &mut Decoder) -> Option<Object<T>> {
    let raw = Arc::clone(&object.raw);
    let spec = decode_or_default::<T>(&raw, "spec", decoder)?;
    let mut object = object.map(|()| spec);
    object.has_unknown_fields = !decoder.unknown.is_empty();
    Some(object)
}

fn workload(object: Object<()>, decoder: &mut Decoder) -> Option<Object<Workload>> {
    let raw = Arc::clone(&object.raw);
    let template = match object.id.kind {
        Kind::Pod => PodTemplate {
            metadata: TemplateMetadata {
                labels: object.meta.labels.clone(),
                annotations: object.meta.annotations.clone(),
            },
            spec: decode_or_default::<PodSpec>(&raw, "spec", decoder)?,
        },
        Kind::CronJob => {
            decode_or_default::<CronJob>(&raw, "spec", decoder)?
                .job_template
                .spec
                .template
        }
        _ => decode_or_default::<Controller>(&raw, "spec", decoder)?.template,
    };
    Some(object.map(|()| Workload { template }))
}

impl Problem {
    /// A problem with the whole document.
    #[must_use]
    pub fn of_document(mark: Mark, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            path: FieldPath::root(),
            mark,
            message: message.into(),
            advice: advice.into(),
        }
    }
}
