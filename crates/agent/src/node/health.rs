//! What the agent says about itself: readiness and metrics.

use super::hub::Hub;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The state of the agent, for probes and for dashboards.
#[derive(Default)]
pub struct Health {
    /// Whether the pods of the node are known and were gone through.
    pub synced: AtomicBool,
    /// Whether the plugin's entry and program are in place.
    pub installed: AtomicBool,
    /// How often they were put in place.
    pub installs: AtomicU64,
    /// Requests of the plugin that ended well.
    pub plugin_success: AtomicU64,
    /// Requests of the plugin that failed.
    pub plugin_failure: AtomicU64,
    /// Pods that were named by the API server.
    pub pod_events: AtomicU64,
}

impl Health {
    /// Whether pods can be made on this node, as far as the agent is concerned. The text says what is missing.
    ///
    /// # Errors
    /// What is missing.
    pub fn ready(&self) -> Result<(), String> {
        let parts = [
            (&self.synced, "the pods of the node are not known yet"),
            (&self.installed, "the plugin is not installed"),
        ];
        let missing: Vec<_> = parts
            .iter()
            .filter(|(done, _)| !done.load(Ordering::Relaxed))
            .map(|(_, text)| *text)
            .collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(missing.join("; "))
        }
    }

    /// The metrics in the text format of Prometheus, under the names of Istio's agent.
    #[must_use]
    pub fn metrics(&self, hub: &Arc<Hub>) -> String {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let connected = *hub.connected().borrow();
        let installed = u64::from(self.installed.load(Ordering::Relaxed));
        let mut text = String::new();
        for (name, kind, samples) in [
            (
                "nodeagent_reconcile_events_total",
                "counter",
                vec![("", load(&self.pod_events))],
            ),
            (
                "istio_cni_plugin_requests_total",
                "counter",
                vec![
                    ("{result=\"SUCCESS\"}", load(&self.plugin_success)),
                    ("{result=\"FAILURE\"}", load(&self.plugin_failure)),
                ],
            ),
            (
                "ztunnel_connected",
                "gauge",
                vec![("", u64::try_from(connected).unwrap_or(u64::MAX))],
            ),
            (
                "istio_cni_installs_total",
                "counter",
                vec![("{result=\"SUCCESS\"}", load(&self.installs))],
            ),
            ("istio_cni_install_ready", "gauge", vec![("", installed)]),
        ] {
            // Writing to a string does not fail.
            let _ = writeln!(text, "# TYPE {name} {kind}");
            for (labels, value) in samples {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_says_what_is_missing() {
        let health = Health::default();
        assert_eq!(health.ready().unwrap_err().matches(';').count(), 1);
        health.synced.store(true, Ordering::Relaxed);
        assert_eq!(health.ready().unwrap_err(), "the plugin is not installed");
        health.installed.store(true, Ordering::Relaxed);
        assert_eq!(health.ready(), Ok(()));
        let metrics = health.metrics(&Arc::default());
        assert!(
            metrics.contains("\nistio_cni_install_ready 1\n") && metrics.contains("\nztunnel_connected 0\n")
        );
    }
}
