//! The mesh that is moved, the plan that moves it, and the program.

use crate::api::{Api, eventually};
use crate::bed::Bed;
use crate::{client, controllers};
use mesh_migrate::input::cluster::{self, ClusterOptions};
use mesh_migrate::plan::{Plan, document, state};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The kinds whose objects are compared.
const KINDS: &[&str] = &[
    "/api/v1/namespaces",
    "/api/v1/namespaces/shop/services",
    "/apis/apps/v1/namespaces/shop/deployments",
    "/apis/apps/v1/namespaces/shop/statefulsets",
    "/apis/security.istio.io/v1/namespaces/shop/authorizationpolicies",
    "/apis/gateway.networking.k8s.io/v1/namespaces/shop/gateways",
];
const JOURNAL: &str = "/api/v1/namespaces/istio-system/configmaps";
pub const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/istio-system/leases/mesh-migrate";
pub const NAMESPACE: &str = "/api/v1/namespaces/shop";
pub const SERVICE: &str = "/api/v1/namespaces/shop/services/web";
pub const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/shop/deployments/web";
pub const POLICY: &str = "/apis/security.istio.io/v1/namespaces/shop/authorizationpolicies/web";

pub struct Mesh {
    pub api: Api,
    pub kubeconfig: PathBuf,
    pub plan: Plan,
    folder: tempfile::TempDir,
    /// The objects before the migration.
    pub start: Vec<Value>,
}

/// Kinds of Istio and Gateway API, and what a cluster does by itself.
pub fn install(bed: &Bed) {
    client::create(
        &bed.kubeconfig(),
        &[
            "testdata/crds/istio.yaml",
            "testdata/crds/gateway.networking.k8s.io_gateways.yaml",
        ],
    );
    for path in [
        "/apis/security.istio.io/v1/authorizationpolicies",
        "/apis/gateway.networking.k8s.io/v1/gateways",
    ] {
        client::wait_for(&bed.kubeconfig(), path);
    }
    client::create(&bed.kubeconfig(), &["testdata/rollout/mesh.yaml"]);
    controllers::start(bed.kubeconfig());
}

impl Mesh {
    /// The mesh as the file says, whatever a test before this one left.
    pub fn fresh(bed: &Bed) -> Self {
        let kubeconfig = bed.kubeconfig();
        let api = Api::new(&kubeconfig);
        for path in &KINDS[1..] {
            for object in api.items(path) {
                api.delete(&format!(
                    "{path}/{}",
                    object["metadata"]["name"].as_str().unwrap()
                ));
            }
        }
        for pod in api.items("/api/v1/namespaces/shop/pods") {
            let name = pod["metadata"]["name"].as_str().unwrap();
            api.delete(&format!("/api/v1/namespaces/shop/pods/{name}"));
        }
        for object in api.items(JOURNAL) {
            api.delete(&format!(
                "{JOURNAL}/{}",
                object["metadata"]["name"].as_str().unwrap()
            ));
        }
        api.delete(LEASE);
        let mut shop = api.get(NAMESPACE).unwrap();
        shop["metadata"]["labels"] = json!({});
        shop["metadata"]["managedFields"] = json!([{}]);
        api.put(&format!("{NAMESPACE}?fieldManager=x"), &shop).unwrap();
        for object in client::objects("testdata/rollout/mesh.yaml") {
            own(&api, &object);
        }
        let mut mesh = Self {
            api,
            kubeconfig,
            plan: empty(),
            folder: tempfile::tempdir().unwrap(),
            start: Vec::new(),
        };
        eventually("all is rolled out", || mesh.is_rolled_out());
        mesh.start = mesh.objects();
        let steps = serde_json::to_value(client::objects("testdata/rollout/steps.yaml").remove(0)).unwrap();
        mesh.plan.steps = serde_json::from_value(steps).unwrap();
        mesh.seal();
        mesh
    }

    /// Makes the plan one of the mesh as it is now, and writes it to its file.
    pub fn seal(&mut self) {
        let options = ClusterOptions {
            kubeconfig: Some(self.kubeconfig.clone()),
            ..ClusterOptions::default()
        };
        let input = cluster::read_blocking(&options, &mut |_| ()).unwrap();
        self.plan.state = state::of(&input.mesh, &self.plan.steps);
        std::fs::write(self.file(), serde_json::to_string_pretty(&self.plan).unwrap()).unwrap();
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("plan.json")
    }

    fn is_rolled_out(&self) -> bool {
        ["deployments", "statefulsets"].iter().all(|plural| {
            let workloads = self.api.items(&format!("/apis/apps/v1/namespaces/shop/{plural}"));
            workloads
                .iter()
                .all(|w| w["status"]["observedGeneration"] == w["metadata"]["generation"])
        })
    }

    /// All that must be the same after the way back: content, and who owns which field.
    pub fn objects(&self) -> Vec<Value> {
        let objects = KINDS.iter().flat_map(|path| self.api.items(path));
        let kept = objects.filter(|object| {
            let name = object["metadata"]["name"].as_str().unwrap();
            let other = !object["metadata"]["namespace"].is_string() && name != "shop";
            // What istiod makes for a waypoint goes when its garbage is collected.
            !other && object["metadata"]["ownerReferences"].is_null()
        });
        kept.map(|object| {
            let metadata = &object["metadata"];
            let mut owners: Vec<Value> = metadata["managedFields"].as_array().into_iter().flatten().cloned().collect();
            owners.retain(|owner| owner["subresource"].is_null());
            for owner in &mut owners {
                owner.as_object_mut().unwrap().remove("time");
            }
            owners.sort_by_key(Value::to_string);
            json!({"name": metadata["name"], "labels": metadata["labels"], "annotations": metadata["annotations"],
                "spec": object["spec"], "owners": owners})
        })
        .collect()
    }

    /// Asserts that all is as it was before the migration.
    pub fn assert_start(&self, context: &str) {
        let now = self.objects();
        for (now, start) in now.iter().zip(&self.start) {
            assert_eq!(pretty(now), pretty(start), "{context}");
        }
        assert_eq!(now.len(), self.start.len(), "{context}");
    }

    /// Asserts that all of the plan is in effect.
    pub fn assert_end(&self, context: &str) {
        let shop = self.api.get(NAMESPACE).unwrap();
        assert_eq!(
            shop["metadata"]["labels"],
            json!({"istio.io/dataplane-mode": "ambient", "kubernetes.io/metadata.name": "shop", "team": "web"}),
            "{context}"
        );
        let service = self.api.get(SERVICE).unwrap();
        assert_eq!(
            service["metadata"]["labels"],
            json!({"app": "web", "istio.io/ingress-use-waypoint": "true", "istio.io/use-waypoint": "waypoint"}),
            "{context}"
        );
        let template = &self.api.get(DEPLOYMENT).unwrap()["spec"]["template"];
        assert_eq!(
            template["metadata"]["labels"]["mesh-migrate.io/moved"], "web",
            "{context}"
        );
        assert!(self.api.get(POLICY).is_none(), "{context}");
        assert!(self.api.get(LEASE).is_none(), "{context}");
    }

    /// The program, with a kubeconfig.
    pub fn command(&self, kubeconfig: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mesh-migrate"));
        command.args(arguments);
        if arguments.first() == Some(&"apply") {
            command.arg(self.file());
        }
        command
            .env("KUBECONFIG", kubeconfig)
            .env("USER", "tester")
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(&self.kubeconfig, arguments)
    }

    pub fn run_with(&self, kubeconfig: &Path, arguments: &[&str]) -> Run {
        Run::of(&self.command(kubeconfig, arguments).output().unwrap())
    }

    pub fn spawn(&self, kubeconfig: &Path, arguments: &[&str]) -> Child {
        let mut command = self.command(kubeconfig, arguments);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// What `status` says.
    pub fn status(&self) -> Value {
        let run = self.run(&["status", "-o", "json"]);
        run.assert(0);
        serde_json::from_str(&run.stdout).unwrap()
    }

    /// Lets the time of a dead run's lease pass.
    pub fn expire_lease(&self) {
        let past = json!({"spec": {"renewTime": "2020-01-01T00:00:00.000000Z"}});
        let _ = self.api.merge(LEASE, &past);
    }
}

/// How the program ended.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    #[track_caller]
    pub fn assert(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "\n{}\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        // Errors are wrapped to the width of a terminal.
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let all = words(&format!("{}\n{}", self.stdout, self.stderr));
        assert!(
            all.contains(&words(text)),
            "`{text}` is not in:\n{}\n{}",
            self.stdout,
            self.stderr
        );
        self
    }
}

/// Creates an object under the names that its owners would have: Services and policies by apply, others by update.
fn own(api: &Api, object: &Value) {
    let name = object["metadata"]["name"].as_str().unwrap();
    match object["kind"].as_str().unwrap() {
        "Namespace" if name == "shop" => {
            let ours = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop",
                "labels": {"istio-injection": "enabled"}}});
            api.apply(NAMESPACE, "argocd", &ours).unwrap();
            let labels = json!({"metadata": {"labels": {"istio-injection": "enabled", "team": "web"}}});
            api.merge(&format!("{NAMESPACE}?fieldManager=kubectl-label"), &labels)
                .unwrap();
        }
        "Namespace" => {}
        "Service" => drop(api.apply(SERVICE, "helm", object).unwrap()),
        "Deployment" => drop(api.apply(DEPLOYMENT, "helm", object).unwrap()),
        "StatefulSet" => {
            let path = "/apis/apps/v1/namespaces/shop/statefulsets?fieldManager=kubectl-create";
            api.post(path, object).unwrap();
        }
        _ => {
            let path = format!("/apis/security.istio.io/v1/namespaces/shop/authorizationpolicies/{name}");
            api.apply(&path, "flux", object).unwrap();
            if name == "web" {
                let note = json!({"metadata": {"annotations": {"note": "by hand"}}});
                api.merge(&format!("{path}?fieldManager=kubectl-edit"), &note)
                    .unwrap();
            }
        }
    }
}

fn empty() -> Plan {
    Plan {
        api_version: document::API_VERSION.to_owned(),
        kind: document::KIND.to_owned(),
        source: "the tests".to_owned(),
        data_plane: document::DataPlane::Stock,
        gaps: Vec::new(),
        assumptions: Vec::new(),
        waves: Vec::new(),
        staying: Vec::new(),
        steps: Vec::new(),
        state: document::State::default(),
    }
}

pub fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}
