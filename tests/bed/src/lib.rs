//! The test bed as tests see it: a real cluster with a real Istio.

pub mod layout;
