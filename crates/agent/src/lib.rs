//! The node agent of the ambient data plane, and its CNI plugin.
//!
//! The agent decides which pods of its node are in the mesh, redirects their connections to the node proxy, and hands
//! their network namespaces to it. The plugin makes sure that a pod is enrolled before its first process runs. Both
//! speak the protocols of Istio's own components, so that either neighbour may be a stock one.

pub mod cni;
pub mod conflist;
pub mod eligibility;
pub mod netlink;
pub mod netns;
pub mod node;
pub mod pod;
pub mod procfs;
pub mod reconcile;
pub mod rules;
