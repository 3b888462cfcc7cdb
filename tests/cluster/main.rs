//! What everything else relies on, on the bed: a real Kubernetes, istiod and Envoy.

mod precheck;
mod sidecars;
mod waypoint;
