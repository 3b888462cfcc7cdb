//! The objects that a request's fate depends on, as the proof reads them.

use model::security::{
    Action, AuthorizationPolicy, Condition, MtlsMode, PeerAuthentication, PolicyTargetReference,
    RequestAuthentication, Rule, WorkloadSelector, is_subset,
};
use model::settings::MeshSettings;
use model::{Node, Object};
use semantics::authorization::{Access, Part, TrustDomains, completed, on_tcp, parts, rule_holds};
use semantics::{layer_4, sent};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Labels.
pub type Labels = BTreeMap<String, String>;
/// Namespace and name.
pub type Name = (String, String);
/// The label by which pods with a sidecar can be selected; the injector sets it.
pub const TLS_MODE: &str = "security.istio.io/tlsMode";

/// To whom an object speaks.
#[derive(Debug, Clone, PartialEq)]
pub enum Binding {
    /// To waypoints.
    Targets(Vec<PolicyTargetReference>),
    /// To pods with these labels; `None` if it has no selector at all.
    Pods(Option<Labels>),
}

impl Binding {
    fn new(
        one: Option<&PolicyTargetReference>,
        many: &[PolicyTargetReference],
        selector: Option<&WorkloadSelector>,
    ) -> Self {
        let targets: Vec<_> = one.into_iter().chain(many).cloned().collect();
        if targets.is_empty() {
            Self::Pods(selector.map(|selector| selector.match_labels.clone()))
        } else {
            Self::Targets(targets)
        }
    }

    /// Whether an Envoy with these labels reads the object.
    pub fn is_for_sidecar(&self, labels: &Labels) -> bool {
        match self {
            Self::Targets(_) => false,
            Self::Pods(wanted) => wanted.as_ref().is_none_or(|wanted| is_subset(wanted, labels)),
        }
    }

    /// Whether istiod gives the object to a node proxy for a pod with these labels. An empty selector is for none.
    pub fn is_for_ztunnel(&self, labels: &Labels) -> bool {
        match self {
            Self::Targets(_) => false,
            Self::Pods(wanted) => wanted
                .as_ref()
                .is_none_or(|wanted| !wanted.is_empty() && is_subset(wanted, labels)),
        }
    }
}

/// What a policy says, apart from to whom.
#[derive(Debug)]
pub struct Rules {
    /// The same while the policy says the same.
    pub number: usize,
    /// What it does.
    pub action: Action,
    /// As Envoy reads it for HTTP.
    pub http: AuthorizationPolicy,
    /// The same, by halves.
    pub parts: Vec<Part>,
    /// As Envoy reads it where there is no HTTP.
    pub tcp_parts: Vec<Part>,
    /// As ztunnel reads it.
    pub layer_4: Option<layer_4::Policy>,
    said: Said,
}

/// Action and rules as they are written, and whether they hold fields that are not known.
type Said = (Action, Vec<Rule>, bool);

impl Rules {
    fn new(
        number: usize,
        id: &Name,
        spec: &AuthorizationPolicy,
        said: Said,
        settings: &MeshSettings,
    ) -> Self {
        let domains = TrustDomains {
            own: &settings.trust_domain,
            aliases: &settings.trust_domain_aliases,
        };
        let mut spec = spec.clone();
        name_the_unknown(&mut spec, id, said.2);
        let http = completed(&spec, &id.0, &domains);
        let tcp = on_tcp(&http);
        // Targets are no part of what it says.
        spec.target_ref = None;
        spec.target_refs = Vec::new();
        Self {
            number,
            action: spec.action(),
            parts: http.rules.iter().flat_map(parts).collect(),
            tcp_parts: tcp.rules.iter().flat_map(parts).collect(),
            layer_4: sent::sent(&id.0, &id.1, &spec),
            http,
            said,
        }
    }
}

/// Makes an attribute of its own of everything whose meaning is not known, so that a policy which has it says
/// something else than one which does not.
fn name_the_unknown(spec: &mut AuthorizationPolicy, (namespace, name): &Name, unknown: bool) {
    const OPAQUE: &str = "experimental.envoy.filters.";
    for rule in &mut spec.rules {
        for condition in &mut rule.when {
            let alone = Rule {
                when: vec![condition.clone()],
                ..Rule::default()
            };
            if rule_holds(&alone, &Access::default()).is_err() {
                condition.key.insert_str(0, OPAQUE);
            }
        }
        if unknown {
            rule.when.push(Condition {
                key: format!("{OPAQUE}unknown-fields-of-{namespace}-{name}"),
                values: vec!["held".to_owned()],
                not_values: Vec::new(),
            });
        }
    }
}

/// An AuthorizationPolicy.
#[derive(Debug, Clone)]
pub struct Policy {
    /// What it is called.
    pub id: Name,
    /// To whom it speaks.
    pub binding: Binding,
    /// What it says.
    pub rules: Arc<Rules>,
    /// Whether it is on trial, and so has no effect.
    pub dry_run: bool,
}

/// Gives numbers to what policies say.
#[derive(Debug)]
pub struct Numbers<'a> {
    settings: &'a MeshSettings,
    next: usize,
    known: HashMap<Name, Arc<Rules>>,
}

impl<'a> Numbers<'a> {
    /// Knows nothing yet.
    pub fn new(settings: &'a MeshSettings) -> Self {
        Self {
            settings,
            next: 0,
            known: HashMap::new(),
        }
    }

    /// The policy as the proof reads it. If it says what it said before, it keeps its number.
    pub fn policy(&mut self, object: &Object<AuthorizationPolicy>) -> Policy {
        let spec = &object.spec;
        let id = (object.namespace().to_owned(), object.name().to_owned());
        let said = (spec.action(), spec.rules.clone(), object.has_unknown_fields);
        let known = self.known.get(&id).filter(|known| known.said == said).cloned();
        let rules = known.unwrap_or_else(|| {
            self.next += 1;
            Arc::new(Rules::new(self.next, &id, spec, said, self.settings))
        });
        self.known.insert(id.clone(), Arc::clone(&rules));
        Policy {
            rules,
            binding: Binding::new(
                spec.target_ref.as_ref(),
                &spec.target_refs,
                spec.selector.as_ref(),
            ),
            dry_run: object
                .meta
                .annotations
                .get("istio.io/dry-run")
                .is_some_and(|value| value == "true"),
            id,
        }
    }
}

/// A RequestAuthentication: whose tokens it verifies.
#[derive(Debug, Clone, PartialEq)]
pub struct Authentication {
    /// What it is called.
    pub id: Name,
    /// To whom it speaks.
    pub binding: Binding,
    /// Issuers, each with whether their tokens are passed on.
    pub issuers: BTreeMap<String, bool>,
}

impl From<&Object<RequestAuthentication>> for Authentication {
    fn from(object: &Object<RequestAuthentication>) -> Self {
        let spec = &object.spec;
        let issuer = |rule: &Node| {
            let forwards = rule
                .get("forwardOriginalToken")
                .is_some_and(|flag| flag.scalar_text().is_some_and(|text| text == "true"));
            Some((rule.get("issuer")?.as_str()?.to_owned(), forwards))
        };
        Self {
            id: (object.namespace().to_owned(), object.name().to_owned()),
            binding: Binding::new(
                spec.target_ref.as_ref(),
                &spec.target_refs,
                spec.selector.as_ref(),
            ),
            issuers: spec.jwt_rules.iter().filter_map(|rule| issuer(&rule.0)).collect(),
        }
    }
}

/// A PeerAuthentication.
#[derive(Debug, Clone, PartialEq)]
pub struct Peers {
    /// What it is called.
    pub id: Name,
    /// When it was created: the oldest counts.
    pub created: Option<String>,
    /// Labels of the pods; none if it is for all.
    pub selector: Labels,
    /// The mode, unless inherited.
    pub mode: Option<MtlsMode>,
    /// Modes by pod port.
    pub ports: BTreeMap<u16, MtlsMode>,
}

impl From<&Object<PeerAuthentication>> for Peers {
    fn from(object: &Object<PeerAuthentication>) -> Self {
        let spec = &object.spec;
        let set = |mtls: &model::security::MutualTls| mtls.mode.filter(|mode| *mode != MtlsMode::Unset);
        Self {
            id: (object.namespace().to_owned(), object.name().to_owned()),
            created: object.meta.creation_timestamp.clone(),
            selector: spec
                .selector
                .as_ref()
                .map(|s| s.match_labels.clone())
                .unwrap_or_default(),
            mode: spec.mtls.as_ref().and_then(set),
            ports: spec
                .port_level_mtls
                .iter()
                .filter_map(|(port, mtls)| Some((port.parse().ok()?, set(mtls)?)))
                .collect(),
        }
    }
}

/// A waypoint's Gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waypoint {
    /// Whether its pods run.
    pub ready: bool,
    /// Whether it takes requests for Services.
    pub for_services: bool,
    /// Whether Services of other namespaces may use it.
    pub for_all_namespaces: bool,
}

impl Waypoint {
    /// The waypoint that a Gateway is; `None` for gateways of other classes.
    pub fn of(class: &str, labels: &Labels, spec: Option<&Node>, ready: bool) -> Option<Self> {
        let listeners = spec
            .and_then(|spec| spec.get("listeners"))
            .map_or(&[][..], Node::items);
        let is_open = |listener: &Node| {
            listener
                .at(&["allowedRoutes", "namespaces", "from"])
                .and_then(Node::as_str)
                .is_some_and(|from| from != "Same")
        };
        let kind = labels
            .get("istio.io/waypoint-for")
            .map_or("service", String::as_str);
        (class == "istio-waypoint").then(|| Self {
            ready,
            for_services: matches!(kind, "service" | "all"),
            for_all_namespaces: listeners.iter().any(is_open),
        })
    }
}

/// An EnvoyFilter that leads sidecars to the waypoint of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Teaching {
    /// Its namespace: whose sidecars it teaches.
    pub namespace: String,
    /// The Service.
    pub service: Name,
    /// The ports whose cluster is really replaced.
    pub ports: BTreeSet<u16>,
    /// The ports whose cluster is taken away, with nothing in its place.
    pub lost: BTreeSet<u16>,
    /// Whether it is for some pods only.
    pub partial: bool,
}

impl Teaching {
    /// What an EnvoyFilter teaches; `None` if it does not say so.
    pub fn of(namespace: &str, annotations: &Labels, spec: &Json, domain: &str) -> Option<Self> {
        let (owner, name) = annotations.get(super::super::document::TAUGHT)?.split_once('/')?;
        let host = format!("{name}.{owner}.svc.{domain}");
        let patches = spec.get("configPatches").and_then(Json::as_array);
        let text =
            |patch: &Json, pointer: &str| patch.pointer(pointer).and_then(Json::as_str).map(str::to_owned);
        let (mut removed, mut added) = (BTreeSet::new(), BTreeSet::new());
        for patch in patches.into_iter().flatten() {
            if text(patch, "/applyTo").as_deref() != Some("CLUSTER") {
                continue;
            }
            match text(patch, "/patch/operation").as_deref() {
                Some("REMOVE") if text(patch, "/match/cluster/service").as_deref() == Some(&host) => {
                    let port = patch.pointer("/match/cluster/portNumber").and_then(Json::as_u64);
                    removed.extend(port.and_then(|port| u16::try_from(port).ok()));
                }
                Some("ADD") => {
                    let cluster = text(patch, "/patch/value/name").unwrap_or_default();
                    let port = cluster
                        .strip_prefix("outbound|")
                        .and_then(|rest| rest.strip_suffix(&format!("||{host}")));
                    added.extend(port.and_then(|port| port.parse::<u16>().ok()));
                }
                _ => {}
            }
        }
        Some(Self {
            namespace: namespace.to_owned(),
            service: (owner.to_owned(), name.to_owned()),
            ports: removed.intersection(&added).copied().collect(),
            lost: removed.difference(&added).copied().collect(),
            partial: spec.get("workloadSelector").is_some(),
        })
    }
}
