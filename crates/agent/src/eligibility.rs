//! Which pods are in the mesh.

use crate::pod::{DATAPLANE_MODE, Labels, Pod, SIDECAR_STATUS};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::core::{Selector, SelectorExt};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Why a pod is not to be enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It lives in the node's own network namespace, where there is nothing to redirect.
    HostNetwork,
    /// It has a sidecar.
    Sidecar,
    /// Its namespace is never in the mesh.
    ExcludedNamespace,
    /// It has ended.
    Ended,
    /// No selector wants it.
    NotSelected,
}

/// What is to become of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is to be in the mesh.
    Enrol,
    /// It is not.
    Leave(Left),
}

/// Enablement selectors that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SelectorError {
    /// The text is not a list of selectors.
    #[error("the enablement selectors are not a JSON list of {{podSelector, namespaceSelector}}: {0}")]
    Json(#[from] serde_json::Error),
    /// A selector has an operator or a value that Kubernetes does not know.
    #[error("an enablement selector: {0}")]
    Selector(String),
}

/// One pair of selectors: both must match.
#[derive(Debug, Clone)]
struct Pair {
    pod: Selector,
    namespace: Selector,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(default)]
    pod_selector: LabelSelector,
    #[serde(default)]
    namespace_selector: LabelSelector,
}

/// The rules by which pods are chosen.
#[derive(Debug, Clone)]
pub struct Eligibility {
    excluded: BTreeSet<String>,
    pairs: Vec<Pair>,
}

impl Eligibility {
    /// The selectors that Istio's chart installs: the pod's own label `istio.io/dataplane-mode=ambient`, or that label
    /// of its namespace unless the pod says `none`.
    ///
    /// # Errors
    /// Never in practice: the selectors are fixed.
    pub fn standard(excluded: impl IntoIterator<Item = String>) -> Result<Self, SelectorError> {
        let ambient = || LabelSelector {
            match_labels: Some([(DATAPLANE_MODE.to_owned(), "ambient".to_owned())].into()),
            ..LabelSelector::default()
        };
        let not_none = LabelSelector {
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: DATAPLANE_MODE.into(),
                operator: "NotIn".into(),
                values: Some(vec!["none".into()]),
            }]),
            ..LabelSelector::default()
        };
        let own = Written {
            pod_selector: ambient(),
            namespace_selector: LabelSelector::default(),
        };
        let inherited = Written {
            pod_selector: not_none,
            namespace_selector: ambient(),
        };
        Self::build(excluded, vec![own, inherited])
    }

    /// The selectors of a JSON text, in the form of the chart's value `ambient.enablementSelectors`. A pod that
    /// any pair matches is in.
    ///
    /// # Errors
    /// If the text is no list of selectors.
    pub fn parse(excluded: impl IntoIterator<Item = String>, selectors: &str) -> Result<Self, SelectorError> {
        Self::build(excluded, serde_json::from_str(selectors)?)
    }

    fn build(
        excluded: impl IntoIterator<Item = String>,
        written: Vec<Written>,
    ) -> Result<Self, SelectorError> {
        let selector = |selector: LabelSelector| {
            Selector::try_from(selector).map_err(|error| SelectorError::Selector(error.to_string()))
        };
        let pair = |written: Written| {
            Ok(Pair {
                pod: selector(written.pod_selector)?,
                namespace: selector(written.namespace_selector)?,
            })
        };
        Ok(Self {
            excluded: excluded.into_iter().collect(),
            pairs: written
                .into_iter()
                .map(pair)
                .collect::<Result<_, SelectorError>>()?,
        })
    }

    /// Decides on a pod, given the labels of its namespace.
    #[must_use]
    pub fn judge(&self, pod: &Pod, namespace: &Labels) -> Verdict {
        let left = if pod.host_network {
            Left::HostNetwork
        } else if self.excludes(&pod.name.namespace) {
            Left::ExcludedNamespace
        } else if pod.annotations.contains_key(SIDECAR_STATUS) {
            Left::Sidecar
        } else if pod.terminal {
            Left::Ended
        } else if !self.selects(&pod.labels, namespace) {
            Left::NotSelected
        } else {
            return Verdict::Enrol;
        };
        Verdict::Leave(left)
    }

    /// Whether no pod of this namespace is ever in the mesh.
    #[must_use]
    pub fn excludes(&self, namespace: &str) -> bool {
        self.excluded.contains(namespace)
    }

    fn selects(&self, pod: &Labels, namespace: &Labels) -> bool {
        self.pairs
            .iter()
            .any(|pair| pair.pod.matches(pod) && pair.namespace.matches(namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::{PodName, PodUid};

    fn pod(labels: &[(&str, &str)]) -> Pod {
        Pod {
            uid: PodUid::new("u").unwrap(),
            name: PodName {
                namespace: "shop".into(),
                name: "web".into(),
            },
            service_account: "web".into(),
            host_network: false,
            labels: map(labels),
            annotations: Labels::new(),
            addresses: Vec::new(),
            terminal: false,
        }
    }

    fn map(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    const AMBIENT: &[(&str, &str)] = &[(DATAPLANE_MODE, "ambient")];
    const NONE: &[(&str, &str)] = &[(DATAPLANE_MODE, "none")];

    #[test]
    fn the_label_of_the_pod_beats_that_of_the_namespace() {
        let rules = Eligibility::standard(["kube-system".to_owned()]).unwrap();
        let left = Verdict::Leave(Left::NotSelected);
        for (labels, namespace, verdict) in [
            (&[][..], &[][..], left),
            (&[], AMBIENT, Verdict::Enrol),
            (AMBIENT, &[], Verdict::Enrol),
            (AMBIENT, NONE, Verdict::Enrol),
            (NONE, AMBIENT, left),
            (NONE, &[], left),
            (&[(DATAPLANE_MODE, "Ambient")], &[], left),
            (&[(DATAPLANE_MODE, "")], AMBIENT, Verdict::Enrol),
            (&[], &[("istio-injection", "enabled")], left),
        ] {
            assert_eq!(
                rules.judge(&pod(labels), &map(namespace)),
                verdict,
                "{labels:?} in {namespace:?}"
            );
        }
    }

    #[test]
    fn some_pods_are_never_enrolled() {
        type Change = fn(&mut Pod);
        let rules = Eligibility::standard(["kube-system".to_owned()]).unwrap();
        let cases: [(Change, Left); 4] = [
            (|pod| pod.host_network = true, Left::HostNetwork),
            (
                |pod| pod.annotations = map(&[(SIDECAR_STATUS, "{}")]),
                Left::Sidecar,
            ),
            (
                |pod| pod.name.namespace = "kube-system".into(),
                Left::ExcludedNamespace,
            ),
            (|pod| pod.terminal = true, Left::Ended),
        ];
        for (change, left) in cases {
            let mut pod = pod(AMBIENT);
            change(&mut pod);
            assert_eq!(rules.judge(&pod, &map(AMBIENT)), Verdict::Leave(left));
        }
    }

    #[test]
    fn selectors_are_read_as_the_chart_writes_them() {
        let rules = Eligibility::parse(
            [],
            r#"[{"podSelector":{"matchLabels":{"mesh":"on"}}},
                {"podSelector":{"matchExpressions":[{"key":"job","operator":"DoesNotExist"}]},
                 "namespaceSelector":{"matchExpressions":[{"key":"team","operator":"In","values":["a","b"]}]}}]"#,
        )
        .unwrap();
        for (labels, namespace, enrolled) in [
            (&[("mesh", "on")][..], &[][..], true),
            (&[], &[("team", "b")], true),
            (&[("job", "")], &[("team", "b")], false),
            (&[], &[("team", "c")], false),
        ] {
            assert_eq!(
                rules.judge(&pod(labels), &map(namespace)) == Verdict::Enrol,
                enrolled
            );
        }
        assert!(matches!(
            Eligibility::parse([], "{}"),
            Err(SelectorError::Json(_))
        ));
        let unknown = r#"[{"podSelector":{"matchExpressions":[{"key":"a","operator":"Like"}]}}]"#;
        assert!(matches!(
            Eligibility::parse([], unknown),
            Err(SelectorError::Selector(_))
        ));
        let none = Eligibility::parse([], "[]").unwrap();
        assert_eq!(
            none.judge(&pod(AMBIENT), &map(AMBIENT)),
            Verdict::Leave(Left::NotSelected)
        );
    }
}
