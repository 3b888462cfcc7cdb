//! The facts that rules may speak of, by subject. What they mean is written here; how they are found in a
//! mesh is the program's part.

mod istio;
mod platform;
mod policies;
mod workloads;

pub use istio::{
    Component, GatewayApi, GatewayApiCrd, HboneSetting, Istiod, MeshConfig, ProxyGroup, WaypointReference,
};
pub use platform::{Aws, Calico, CalicoFeature, Cilium, CiliumPolicy, CniDirectory, IstioCni, Node};
pub use policies::{PeerAuthentication, Policy, RequestAuthentication, RootPolicy, TargetRef};
pub use workloads::{MeshFacts, Namespace, Workload};

use crate::schema::Schema;

macro_rules! subjects {
    ($( $name:ident ),* $(,)?) => {
        /// What a rule is about: its condition is asked once for each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each is described at its facts")]
        pub enum Subject { $( $name ),* }

        impl Subject {
            /// All subjects.
            pub const ALL: &'static [Subject] = &[$( Self::$name ),*];

            /// The facts of this subject.
            #[must_use]
            pub fn schema(self) -> &'static Schema {
                match self { $( Self::$name => $name::SCHEMA ),* }
            }
        }
    };
}

subjects! {
    MeshFacts,
    IstioCni, Node, CniDirectory, Cilium, CiliumPolicy, Calico, CalicoFeature, Aws,
    Istiod, MeshConfig, Component, HboneSetting, ProxyGroup, GatewayApi, GatewayApiCrd, WaypointReference,
    Namespace, Workload,
    Policy, RequestAuthentication, PeerAuthentication, RootPolicy, TargetRef,
}

impl Subject {
    /// The word in `applies-to`, which is also the name of the variable.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.schema().name
    }

    /// The subject of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|subject| subject.name() == name)
    }
}
