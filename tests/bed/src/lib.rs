//! The test bed as tests see it: a real cluster with a real Istio.
//!
//! A test asks for what it needs, `Bed::shared()`, then namespaces of its own, and speaks to the cluster in
//! manifests and in requests sent from pods. `cargo xtask bed up` brings the bed up.

mod capture;
mod kubectl;
pub mod layout;
pub mod load;
mod namespace;
mod process;
pub mod taught;
mod wait;

pub use capture::Capture;
pub use kubectl::{BedError, Kubectl};
pub use namespace::{Answer, Namespace, Settings};
pub use process::Process;
pub use wait::{eventually, settled, steadily};

use layout::Layout;
use serde_json::Value;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

/// Set where a missing bed must fail the tests instead of skipping them.
pub const REQUIRED: &str = "MESH_MIGRATE_BED_REQUIRED";

/// The cluster that `cargo xtask bed up` brought up.
#[derive(Debug)]
pub struct Bed {
    kubectl: Kubectl,
    state: Value,
}

impl Bed {
    /// The bed that is up. Where none is, says so on the standard error, captured by no test runner, and gives
    /// nothing: the test then ends.
    ///
    /// # Panics
    /// Where none is up, but [`REQUIRED`] is set.
    pub fn shared() -> Option<&'static Self> {
        static BED: OnceLock<Option<Bed>> = OnceLock::new();
        let bed = BED.get_or_init(Self::find).as_ref();
        if bed.is_none() {
            let reason = "no bed is up (`cargo xtask bed up` brings one up)";
            assert!(std::env::var_os(REQUIRED).is_none(), "{reason}");
            Self::say_skipped(reason);
        }
        bed
    }

    /// [`Bed::shared`], if its Istio was installed for ambient mode; another is skipped.
    ///
    /// # Panics
    /// Where none is up, but [`REQUIRED`] is set.
    pub fn shared_ambient() -> Option<&'static Self> {
        let bed = Self::shared()?;
        if bed.is_ambient() {
            return Some(bed);
        }
        Self::say_skipped("the bed's Istio was not installed for ambient mode");
        None
    }

    /// Says on the standard error, captured by no test runner, that the test of this thread is skipped.
    pub fn say_skipped(reason: &str) {
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
    }

    fn find() -> Option<Self> {
        let layout = Layout::of_user();
        let state = serde_json::from_str(&fs::read_to_string(layout.state()).ok()?).ok()?;
        Some(Self {
            kubectl: Kubectl::new(&layout),
            state,
        })
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        Layout::of_user().kubeconfig()
    }

    /// The release of Istio, as `1.31`.
    #[must_use]
    pub fn istio(&self) -> &str {
        self.state["istio"].as_str().unwrap_or_default()
    }

    /// Whether Istio was installed for both modes, with its CNI node agent.
    #[must_use]
    pub fn is_ambient(&self) -> bool {
        self.state["profile"] == "ambient"
    }

    /// The node agent of ambient mode: `istio-cni`, Istio's, or `mesh-agent`, ours.
    #[must_use]
    pub fn agent(&self) -> &str {
        self.state["agent"].as_str().unwrap_or_default()
    }

    /// How many nodes there are.
    #[must_use]
    pub fn nodes(&self) -> u64 {
        self.state["nodes"].as_u64().unwrap_or(1)
    }

    /// Everything else that can be asked of the cluster.
    #[must_use]
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// Makes ready for a plan of the whole cluster: nothing of an earlier migration is left in the root namespace, and no
    /// namespace of another test is on its way out, whose objects would go while the plan is carried out.
    ///
    /// # Panics
    /// Where namespaces do not go.
    pub fn ready_for_a_plan(&self) {
        let ours = "--selector=app.kubernetes.io/managed-by=mesh-migrate";
        let root = "--namespace=istio-system";
        // What is not there need not go.
        let _ = self
            .kubectl
            .run(&["delete", "configmaps,envoyfilters", root, ours]);
        let _ = self
            .kubectl
            .run(&["delete", "lease", "mesh-migrate", root, "--ignore-not-found"]);
        eventually(Duration::from_secs(300), || {
            let namespaces = self.kubectl.run(&["get", "namespaces"]);
            match namespaces.map_err(|error| error.to_string())? {
                list if list.contains("Terminating") => Err(list),
                _ => Ok(()),
            }
        });
    }

    /// A new namespace whose pods get sidecars, removed when it is dropped. Its name begins with `hint`.
    ///
    /// # Panics
    /// Where the cluster refuses.
    #[must_use]
    pub fn namespace(&self, hint: &str) -> Namespace<'_> {
        self.namespace_with(hint, Settings::Sidecar)
    }

    /// A new namespace with these settings, removed when it is dropped.
    ///
    /// # Panics
    /// Where the cluster refuses.
    #[must_use]
    pub fn namespace_with(&self, hint: &str, settings: Settings) -> Namespace<'_> {
        Namespace::create(self, hint, settings)
    }
}
