//! Where the bed keeps its files and which addresses it takes.

use std::path::{Path, PathBuf};

/// Every process of the bed carries this variable, so that all of them are found again, even after `up` was
/// killed between starting one and noting it down.
pub const MARK: &str = "MESH_MIGRATE_BED";

/// The bridge between the nodes and the control plane, in the namespace of the machine.
pub const BRIDGE: &str = "mm-bed";

/// The machine's own address on the bridge: the control plane listens there.
pub const CONTROL_PLANE: &str = "10.97.0.1";

/// Length of the network on the bridge.
pub const PREFIX_LENGTH: u8 = 24;

/// The port of the API server.
pub const API_PORT: u16 = 6443;

/// All pods' addresses; each node has a /24 of them.
pub const POD_NETWORK: &str = "10.98.0.0/16";

/// All Services' addresses.
pub const SERVICE_NETWORK: &str = "10.96.0.0/16";

/// The address of the cluster's DNS.
pub const DNS: &str = "10.96.0.10";

/// How the images of the bed are called: `NAME:bed` below this.
pub const IMAGE_HUB: &str = "mesh-migrate.test";

/// The tag of every image of the bed.
pub const IMAGE_TAG: &str = "bed";

/// The folders of the bed, below one that is outside of the source tree.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The folder that `MESH_MIGRATE_BED_CACHE` names, or one in the user's cache folder.
    #[must_use]
    pub fn of_user() -> Self {
        let variable = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let root = variable("MESH_MIGRATE_BED_CACHE").unwrap_or_else(|| {
            variable("XDG_CACHE_HOME")
                .or_else(|| Some(variable("HOME")?.join(".cache")))
                .unwrap_or_else(std::env::temp_dir)
                .join("mesh-migrate")
        });
        Self { root }
    }

    /// The folder of everything.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Programs that were built or unpacked; they outlive the cluster.
    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// One program.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin().join(name)
    }

    /// Archives of images; they outlive the cluster.
    #[must_use]
    pub fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// Everything of the running cluster; removed by `down`.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.root.join("bed")
    }

    /// What every program of the running cluster printed.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.run().join("logs")
    }

    /// Keys and certificates of the running cluster.
    #[must_use]
    pub fn pki(&self) -> PathBuf {
        self.run().join("pki")
    }

    /// The administrator's kubeconfig of the running cluster.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.run().join("kubeconfig")
    }

    /// What is written once the cluster is complete, and says what it is.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.run().join("state.json")
    }

    /// The folder of one node.
    #[must_use]
    pub fn node(&self, node: Node) -> PathBuf {
        self.run().join(node.name())
    }
}

/// A node, by its number: 1 to [`Node::MOST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node(u8);

impl Node {
    /// The greatest number of nodes.
    pub const MOST: u8 = 3;

    /// The first `count` nodes.
    pub fn first(count: u8) -> impl Iterator<Item = Self> {
        (1..=count.min(Self::MOST)).map(Self)
    }

    /// Its name in Kubernetes.
    #[must_use]
    pub fn name(self) -> String {
        format!("node-{}", self.0)
    }

    /// Its network namespace, by the name that `ip netns` knows.
    #[must_use]
    pub fn network_namespace(self) -> String {
        format!("{BRIDGE}-{}", self.name())
    }

    /// Its end of the wire to the bridge, in the machine's namespace.
    #[must_use]
    pub fn wire(self) -> String {
        format!("{BRIDGE}-{}", self.0)
    }

    /// Its address on the bridge.
    #[must_use]
    pub fn address(self) -> String {
        format!("10.97.0.{}", 10 + self.0)
    }

    /// The addresses of its pods.
    #[must_use]
    pub fn pod_network(self) -> String {
        format!("10.98.{}.0/24", self.0)
    }
}
