//! xDS: the mesh from istiod, as deltas, kept when istiod is gone.

use super::grpc::{Dialer, GrpcError};
use crate::config::Config;
use crate::proto::discovery::{
    DELTA_RESOURCES, DeltaRequest, DeltaResponse, Node, Resource, Status, Struct, Value,
};
use crate::proto::{security, workload};
use crate::state::decode::{self, Invalid};
use crate::state::model::Workload;
use crate::state::{Change, Received, State, Store};
use crate::telemetry::Metrics;
use prost::Message;
use semantics::layer_4::{Action, Policy, Rule, Scope};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::sleep;
use tracing::{info, warn};

const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// `INVALID_ARGUMENT` of gRPC.
const INVALID_ARGUMENT: i32 = 3;

/// The client. It never gives up.
pub struct Client {
    dialer: Dialer,
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    node: Node,
    /// Policies of istiod's own namespace, which is ours as well, may be for the whole mesh.
    root_namespace: String,
    versions: HashMap<&'static str, HashMap<String, String>>,
}

impl Client {
    /// Fills `store`.
    #[must_use]
    pub fn new(config: &Config, dialer: Dialer, store: Arc<Store>, metrics: Arc<Metrics>) -> Self {
        Self {
            dialer,
            store,
            metrics,
            node: node(config),
            root_namespace: config.pod_namespace.clone(),
            versions: HashMap::new(),
        }
    }

    /// Connects, again and again.
    pub async fn run(mut self) {
        let mut wait = FIRST_WAIT;
        loop {
            let mut answered = false;
            let reason = match self.session(&mut answered).await {
                Ok(()) => "Complete".to_owned(),
                Err(error) => {
                    warn!(target: "xds", "stream ended: {error}");
                    "ConnectionError".to_owned()
                }
            };
            self.metrics.xds_terminated(&reason);
            self.metrics.xds_connected.set(0);
            // What is known stays in force; only the first of several failures says since when it is old.
            let received = self.store.received() != Received::default();
            self.store.hear(|hearing| {
                if received {
                    hearing.lost.get_or_insert_with(SystemTime::now);
                }
            });
            wait = if answered {
                FIRST_WAIT
            } else {
                (wait * 2).min(LONGEST_WAIT)
            };
            sleep(wait).await;
        }
    }

    async fn session(&mut self, answered: &mut bool) -> Result<(), GrpcError> {
        let channel = self.dialer.connect().await?;
        let (mut sending, mut receiving) = channel
            .stream::<DeltaRequest, DeltaResponse>(DELTA_RESOURCES)
            .await?;
        for type_url in [workload::TYPE_URL, security::TYPE_URL] {
            sending.send(&DeltaRequest {
                node: Some(self.node.clone()),
                type_url: type_url.to_owned(),
                initial_resource_versions: self.versions.get(type_url).cloned().unwrap_or_default(),
                ..DeltaRequest::default()
            })?;
        }
        while let Some(response) = receiving.next().await? {
            if !*answered {
                info!(target: "xds", "stream established");
                *answered = true;
                self.metrics.xds_connected.set(1);
                self.store.hear(|hearing| hearing.lost = None);
            }
            let resources = response
                .resources
                .iter()
                .filter_map(|found| found.resource.as_ref());
            let length = resources.map(|any| any.value.len()).sum();
            self.metrics.xds_message(&response.type_url, length);
            let acknowledgement = DeltaRequest {
                type_url: response.type_url.clone(),
                response_nonce: response.nonce.clone(),
                error_detail: self.apply(response),
                ..DeltaRequest::default()
            };
            sending.send(&acknowledgement)?;
        }
        Ok(())
    }

    /// Takes what is good of a push; tells what is not.
    pub fn apply(&mut self, response: DeltaResponse) -> Option<Status> {
        let type_url = match response.type_url.as_str() {
            workload::TYPE_URL => workload::TYPE_URL,
            security::TYPE_URL => security::TYPE_URL,
            other => return Some(nack(format!("unknown type {other}"))),
        };
        let versions = self.versions.entry(type_url).or_default();
        let mut changes = Vec::with_capacity(response.resources.len());
        let mut problems = BTreeMap::new();
        let mut settled = Vec::new();
        for name in response.removed_resources {
            versions.remove(&name);
            settled.push(name.clone());
            changes.push(match type_url {
                workload::TYPE_URL => Change::RemoveAddress(name),
                _ => Change::RemovePolicy(name),
            });
        }
        for resource in response.resources {
            let (name, version) = (resource.name.clone(), resource.version.clone());
            let result = match type_url {
                workload::TYPE_URL => read_address(&resource),
                _ => read_policy(&resource),
            };
            match result {
                Ok(change) => {
                    settled.push(name.clone());
                    versions.insert(name, version);
                    changes.push(change);
                }
                Err(invalid) => {
                    versions.remove(&name);
                    // What we cannot read must not leave a hole.
                    if type_url == workload::TYPE_URL {
                        let state = self.store.load();
                        changes.extend(tightened(&state, &resource).map(Change::Workload));
                    } else {
                        let known = self.store.load().policy(&name).map(|policy| policy.scope);
                        let scope = known.or_else(|| scope_of(&resource));
                        changes.push(Change::Policy(stand_in(&name, scope, &self.root_namespace)));
                    }
                    problems.insert(name, invalid.to_string());
                }
            }
        }
        self.store.replace(self.store.load().with(changes));
        self.store.note(|received| match type_url {
            workload::TYPE_URL => received.addresses = true,
            _ => received.policies = true,
        });
        let list = problems
            .iter()
            .map(|(name, problem)| format!("{name}: {problem}"));
        let answer = (!problems.is_empty()).then(|| nack(list.collect::<Vec<_>>().join("; ")));
        self.store.hear(|hearing| {
            for name in &settled {
                hearing.rejected.remove(name);
            }
            hearing.rejected.extend(problems);
        });
        answer
    }
}

fn nack(message: String) -> Status {
    warn!(target: "xds", "rejected: {message}");
    Status {
        code: INVALID_ARGUMENT,
        message,
    }
}

fn read_address(resource: &Resource) -> Result<Change, Invalid> {
    let bytes = resource
        .resource
        .as_ref()
        .map(|any| any.value.clone())
        .unwrap_or_default();
    let message = workload::Address::decode(bytes).map_err(|_| Invalid::Bytes)?;
    match message.kind.ok_or(Invalid::Empty)? {
        workload::AddressType::Workload(message) => decode::workload(message).map(Change::Workload),
        workload::AddressType::Service(message) => decode::service(message).map(Change::Service),
    }
}

fn read_policy(resource: &Resource) -> Result<Change, Invalid> {
    let bytes = resource
        .resource
        .as_ref()
        .map(|any| any.value.clone())
        .unwrap_or_default();
    let message = security::Authorization::decode(bytes).map_err(|_| Invalid::Bytes)?;
    decode::policy(&message).map(Change::Policy)
}

/// In place of a workload that cannot be read: as it was, but with the policies that its record now names, too.
fn tightened(state: &State, resource: &Resource) -> Option<Workload> {
    let bytes = resource.resource.as_ref()?.value.clone();
    let Some(workload::AddressType::Workload(message)) = workload::Address::decode(bytes).ok()?.kind else {
        return None;
    };
    let mut known = Workload::clone(state.workload(&message.uid)?);
    for name in message.authorization_policies {
        if known.policies.iter().all(|policy| **policy != *name) {
            known.policies.push(name.into());
        }
    }
    Some(known)
}

/// The scope of a policy that cannot be read as a whole.
fn scope_of(resource: &Resource) -> Option<Scope> {
    let bytes = resource.resource.as_ref()?.value.clone();
    let message = security::Authorization::decode(bytes).ok()?;
    decode::scope(message.scope).ok()
}

/// In place of a policy that cannot be read: nothing is let into the workloads that it is for. Where its scope cannot be
/// read either, those are all that it could be for.
fn stand_in(name: &str, scope: Option<Scope>, root_namespace: &str) -> Policy {
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    let widest = if namespace == root_namespace {
        Scope::Global
    } else {
        Scope::Namespace
    };
    Policy {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        scope: scope.unwrap_or(widest),
        action: Action::Deny,
        rules: vec![Rule::default()],
        dry_run: false,
    }
}

fn node(config: &Config) -> Node {
    let (pod, namespace, address) = (&config.pod_name, &config.pod_namespace, config.instance_ip);
    let mut fields = HashMap::from([
        ("NAME".to_owned(), Value::from(pod.as_str())),
        ("NAMESPACE".to_owned(), Value::from(namespace.as_str())),
        (
            "INSTANCE_IPS".to_owned(),
            Value::from(address.to_string().as_str()),
        ),
        ("NODE_NAME".to_owned(), Value::from(config.node.as_str())),
        ("CLUSTER_ID".to_owned(), Value::from(config.cluster_id.as_str())),
    ]);
    if !config.service_account.is_empty() {
        fields.insert(
            "SERVICE_ACCOUNT".to_owned(),
            config.service_account.as_str().into(),
        );
    }
    for (key, value) in &config.metadata {
        fields.insert(key.clone(), value.clone().into());
    }
    Node {
        id: format!(
            "ztunnel~{address}~{pod}.{namespace}~{namespace}.svc.{}",
            config.cluster_domain
        ),
        cluster: String::new(),
        metadata: Some(Struct { fields }),
    }
}
