//! A namespace of a test's own, and pods in it that answer and ask.

use crate::layout::{IMAGE_HUB, IMAGE_TAG};
use crate::{Bed, BedError, eventually};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long a pod may take until it is ready, on a machine that is busy with other tests.
const READY_WITHIN: Duration = Duration::from_secs(180);

/// What becomes of the pods of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settings {
    /// Pods get sidecars.
    Sidecar,
    /// Pods are left alone.
    OutsideOfMesh,
    /// Pods are enrolled in ambient mode.
    Ambient,
}

impl Settings {
    const fn labels(self) -> &'static str {
        match self {
            Self::Sidecar => "{istio-injection: enabled}",
            Self::OutsideOfMesh => "{}",
            Self::Ambient => "{istio.io/dataplane-mode: ambient}",
        }
    }
}

/// A namespace of one test; it goes when this is dropped.
#[derive(Debug)]
pub struct Namespace<'a> {
    bed: &'a Bed,
    name: String,
}

/// What a request from a pod got.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status of HTTP; none if the request failed before there was one.
    pub status: Option<u16>,
    /// What the answering workload saw, or the text of another answer; an error if there was none.
    pub body: Value,
    /// The headers of the answer, by lower-case name.
    pub headers: Value,
}

impl Answer {
    /// What the workload program printed of one request.
    ///
    /// # Panics
    /// Where it is no JSON.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let answer: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        Self {
            status: answer["status"]
                .as_u64()
                .and_then(|status| status.try_into().ok()),
            body: match answer["error"].as_str() {
                Some(error) => error.into(),
                None => answer["body"].clone(),
            },
            headers: answer["headers"].clone(),
        }
    }

    /// A field of what the workload saw: empty if it is not there.
    #[must_use]
    pub fn saw(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_default()
    }

    /// A header of the request as the workload saw it: empty if it is not there.
    #[must_use]
    pub fn saw_header(&self, name: &str) -> &str {
        self.body["headers"][name].as_str().unwrap_or_default()
    }

    /// This, if it has the status.
    ///
    /// # Errors
    /// What was got instead, in words.
    pub fn expect(self, status: u16) -> Result<Self, String> {
        if self.status == Some(status) {
            return Ok(self);
        }
        Err(format!("expected {status}, got {:?}: {}", self.status, self.body))
    }
}

impl<'a> Namespace<'a> {
    pub(crate) fn create(bed: &'a Bed, hint: &str, settings: Settings) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{hint}-{}-{number}", std::process::id());
        let labels = settings.labels();
        let manifest =
            format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {labels}}}}}");
        if let Err(error) = bed.kubectl().apply(&manifest) {
            panic!("{error}");
        }
        Self { bed, name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bed that it lies on.
    #[must_use]
    pub fn bed(&self) -> &'a Bed {
        self.bed
    }

    /// Applies manifests; objects that name no namespace lie in this one, and `$NAMESPACE` in the text is its
    /// name.
    ///
    /// # Panics
    /// Where the cluster refuses.
    pub fn apply(&self, manifests: &str) {
        if let Err(error) = self.try_apply(manifests) {
            panic!("{error}\n{manifests}");
        }
    }

    /// As [`Namespace::apply`], for what may be refused.
    ///
    /// # Errors
    /// What the API server complained about.
    pub fn try_apply(&self, manifests: &str) -> Result<String, BedError> {
        let arguments = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--namespace",
            &self.name,
            "--filename=-",
        ];
        self.bed
            .kubectl()
            .feed(&arguments, &manifests.replace("$NAMESPACE", &self.name))
    }

    /// Runs kubectl in this namespace.
    ///
    /// # Errors
    /// What it complained about.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, BedError> {
        self.bed
            .kubectl()
            .run(&[&["--namespace", &*self.name], arguments].concat())
    }

    /// An object as it is now.
    ///
    /// # Errors
    /// What the API server complained about.
    pub fn object(&self, kind: &str, name: &str) -> Result<Value, BedError> {
        self.bed
            .kubectl()
            .json(&["--namespace", &self.name, "get", kind, name])
    }

    /// The address of a Service.
    ///
    /// # Panics
    /// Where the Service does not exist or has no address of its own.
    #[must_use]
    pub fn address_of(&self, service: &str) -> IpAddr {
        let object = self
            .object("service", service)
            .unwrap_or_else(|error| panic!("{error}"));
        let address = object["spec"]["clusterIP"].as_str().unwrap_or_default();
        address
            .parse()
            .unwrap_or_else(|error| panic!("{service}: {error}: {address:?}"))
    }

    /// A Deployment of the workload program, ready to answer, with a Service and a service account of the
    /// same name; pods carry the labels `app` and `version: v1`.
    ///
    /// # Panics
    /// Where it does not get ready.
    pub fn server(&self, name: &str) {
        self.apply(&workload(name, name, "v1"));
        self.apply(&service(name));
        self.wait_ready(&format!("deployment/{name}"));
    }

    /// Two Deployments, `NAME-v1` and `NAME-v2`, behind one Service.
    ///
    /// # Panics
    /// Where they do not get ready.
    pub fn server_in_versions(&self, name: &str) {
        for version in ["v1", "v2"] {
            self.apply(&workload(&format!("{name}-{version}"), name, version));
        }
        self.apply(&service(name));
        for version in ["v1", "v2"] {
            self.wait_ready(&format!("deployment/{name}-{version}"));
        }
    }

    /// Waits for the roll-out of a Deployment, StatefulSet or DaemonSet.
    ///
    /// # Panics
    /// Where it does not get ready.
    pub fn wait_ready(&self, what: &str) {
        let timeout = format!("--timeout={}s", READY_WITHIN.as_secs());
        if let Err(error) = self.kubectl(&["rollout", "status", what, &timeout]) {
            let pods = self.kubectl(&["get", "pods,events"]).unwrap_or_default();
            panic!("{error}\n{pods}");
        }
    }

    /// A waypoint for the Services of this namespace, which are then told to use it; ready and programmed.
    ///
    /// # Panics
    /// Where it does not get ready.
    pub fn waypoint(&self, name: &str) {
        self.waypoint_for(name, "service");
    }

    /// [`Namespace::waypoint`], for what is dialled by the address of a `service`, of a `workload`, or for `all`.
    ///
    /// # Panics
    /// Where it does not get ready.
    pub fn waypoint_for(&self, name: &str, dialled: &str) {
        self.apply(&format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata:\n  name: {name}\n  \
             labels: {{istio.io/waypoint-for: {dialled}}}\nspec:\n  gatewayClassName: istio-waypoint\n  \
             listeners:\n  - {{name: mesh, port: 15008, protocol: HBONE}}\n"
        ));
        eventually(READY_WITHIN, || {
            self.kubectl(&[
                "wait",
                "--for=condition=Programmed",
                "--timeout=1s",
                &format!("gateway/{name}"),
            ])
        });
        self.wait_ready(&format!("deployment/{name}"));
        let label = format!("istio.io/use-waypoint={name}");
        if let Err(error) = self.kubectl(&["label", "--overwrite", "namespace", &self.name, &label]) {
            panic!("{error}");
        }
    }

    /// An ingress gateway `front-istio` that sends everything to this Service, through its waypoint: the one way
    /// besides a node proxy in which stock Istio passes waypoints.
    ///
    /// # Panics
    /// Where it does not get ready.
    pub fn gateway_through_waypoint(&self, service: &str) {
        self.gateway_to(self, service);
    }

    /// [`Namespace::gateway_through_waypoint`], for a Service of another namespace.
    ///
    /// # Panics
    /// Where it does not get ready.
    pub fn gateway_to(&self, servers: &Namespace<'_>, service: &str) {
        let (own, other) = (&self.name, &servers.name);
        self.apply(&format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n\
             metadata: {{name: front, annotations: {{networking.istio.io/service-type: ClusterIP}}}}\n\
             spec: {{gatewayClassName: istio, listeners: [{{name: http, port: 80, protocol: HTTP}}]}}\n\
             ---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: front}}\n\
             spec: {{parentRefs: [{{name: front}}], \
             rules: [{{backendRefs: [{{name: {service}, namespace: {other}, port: 80}}]}}]}}\n"
        ));
        servers.apply(&format!(
            "apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {{name: front}}\n\
             spec:\n  from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: {own}}}]\n  \
             to: [{{group: \"\", kind: Service}}]\n"
        ));
        let label = [
            "label",
            "--overwrite",
            "service",
            service,
            "istio.io/ingress-use-waypoint=true",
        ];
        if let Err(error) = servers.kubectl(&label) {
            panic!("{error}");
        }
        eventually(READY_WITHIN, || self.object("deployment", "front-istio"));
        self.wait_ready("deployment/front-istio");
    }

    /// One HTTP request from a pod of this Deployment, with these headers, each `name: value`.
    ///
    /// # Panics
    /// Where the pod cannot be asked at all.
    #[must_use]
    pub fn get(&self, from: &str, url: &str, headers: &[&str]) -> Answer {
        let mut arguments = vec!["get", url];
        for header in headers {
            arguments.extend(["-H", header]);
        }
        let text = self
            .exec(from, &arguments)
            .unwrap_or_else(|error| panic!("{error}"));
        Answer::parse(&text)
    }

    /// Many equal requests from a pod of this Deployment, one after the other.
    ///
    /// # Panics
    /// Where the pod cannot be asked at all.
    #[must_use]
    pub fn get_many(&self, from: &str, url: &str, count: usize) -> Vec<Answer> {
        let text = self
            .exec(from, &["get", url, "--repeat", &count.to_string()])
            .unwrap_or_else(|error| panic!("{error}"));
        text.lines().map(Answer::parse).collect()
    }

    /// Whether istiod says that the waypoints of all targets took this AuthorizationPolicy.
    ///
    /// # Errors
    /// What it says instead.
    pub fn accepted_by_waypoint(&self, policy: &str) -> Result<(), String> {
        let object = self
            .object("authorizationpolicy", policy)
            .map_err(|error| error.to_string())?;
        let conditions = object["status"]["conditions"].as_array();
        let accepted = conditions.into_iter().flatten().any(|condition| {
            condition["type"] == "WaypointAccepted"
                && condition["status"] == "True"
                && condition["reason"] == "Accepted"
        });
        if accepted {
            return Ok(());
        }
        Err(format!("not accepted: {}", object["status"]))
    }

    /// Runs the workload program in a pod of this Deployment; what it printed.
    ///
    /// # Errors
    /// What kubectl complained about.
    pub fn exec(&self, from: &str, arguments: &[&str]) -> Result<String, BedError> {
        let deployment = format!("deployment/{from}");
        let program = [
            "exec",
            &deployment,
            "--container=workload",
            "--",
            "/mesh-workload",
        ];
        let command = [&program, arguments].concat();
        // A busy kubelet may end the stream before it has passed on what was printed.
        match self.kubectl(&command)? {
            text if text.trim().is_empty() => self.kubectl(&command),
            text => Ok(text),
        }
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        if std::env::var_os("MESH_MIGRATE_BED_KEEP").is_some() {
            return;
        }
        // What remains, `bed reset` removes.
        let _ = self
            .bed
            .kubectl()
            .run(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}

fn workload(name: &str, app: &str, version: &str) -> String {
    format!(
        r"apiVersion: v1
kind: ServiceAccount
metadata: {{name: {app}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {app}, version: {version}}}}}
  template:
    metadata: {{labels: {{app: {app}, version: {version}}}}}
    spec:
      serviceAccountName: {app}
      terminationGracePeriodSeconds: 2
      containers:
      - name: workload
        image: {IMAGE_HUB}/workload:{IMAGE_TAG}
        imagePullPolicy: Never
        args: [serve]
        env:
        - {{name: POD_NAME, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}
        - {{name: POD_NAMESPACE, valueFrom: {{fieldRef: {{fieldPath: metadata.namespace}}}}}}
        - {{name: SERVICE_ACCOUNT, value: {app}}}
        - {{name: VERSION, value: {version}}}
        ports: [{{containerPort: 8080}}, {{containerPort: 9090}}, {{containerPort: 9000}}]
        resources: {{requests: {{cpu: 1m, memory: 8Mi}}}}
        readinessProbe:
          httpGet: {{path: /healthz, port: 8080}}
          periodSeconds: 1
"
    )
}

fn service(name: &str) -> String {
    format!(
        r"apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  ports:
  - {{name: http, port: 80, targetPort: 8080}}
  - {{name: grpc, port: 9090}}
  - {{name: tcp, port: 9000}}
"
    )
}
