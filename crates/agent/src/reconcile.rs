//! What is to be done with the pods of the node when the agent starts: what is wanted against what is found.

use crate::eligibility::{Left, Verdict};
use crate::pod::Pod;

/// What is to be done with one pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Put the rules in place, whatever is there, and hand the pod to the proxy.
    Enrol,
    /// Its network namespace was not found: the proxy, which may have it from before, is to keep it, and the agent looks again
    /// until it is found.
    KeepAndLookAgain,
    /// Its network namespace was not found, and no agent enrolled it before: look again until it is found.
    LookAgain,
    /// It was enrolled and is no longer to be: take the rules away.
    Release,
    /// Nothing.
    Nothing,
}

/// Decides on one pod. `found` is whether its network namespace was found.
#[must_use]
pub fn step(pod: &Pod, verdict: Verdict, found: bool) -> Step {
    match (verdict, found, pod.is_annotated()) {
        (Verdict::Enrol, true, _) => Step::Enrol,
        (Verdict::Enrol, false, true) => Step::KeepAndLookAgain,
        (Verdict::Enrol, false, false) => Step::LookAgain,
        (Verdict::Leave(Left::Ended | Left::HostNetwork), _, _) | (Verdict::Leave(_), _, false) => {
            Step::Nothing
        }
        (Verdict::Leave(_), _, true) => Step::Release,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::{Labels, PodName, PodUid, REDIRECTION};

    fn pod(annotation: Option<&str>) -> Pod {
        Pod {
            uid: PodUid::new("u").unwrap(),
            name: PodName {
                namespace: "shop".into(),
                name: "web".into(),
            },
            service_account: "web".into(),
            host_network: false,
            labels: Labels::new(),
            annotations: annotation
                .map(|value| (REDIRECTION.to_owned(), value.to_owned()))
                .into_iter()
                .collect(),
            addresses: Vec::new(),
            terminal: false,
        }
    }

    #[test]
    fn every_combination_has_one_step() {
        let not_selected = Verdict::Leave(Left::NotSelected);
        let ended = Verdict::Leave(Left::Ended);
        for (annotation, verdict, found, expected) in [
            (None, Verdict::Enrol, true, Step::Enrol),
            (None, Verdict::Enrol, false, Step::LookAgain),
            (Some("enabled"), Verdict::Enrol, true, Step::Enrol),
            (Some("pending"), Verdict::Enrol, true, Step::Enrol),
            (Some("pending"), Verdict::Enrol, false, Step::KeepAndLookAgain),
            (None, not_selected, true, Step::Nothing),
            (Some("enabled"), not_selected, true, Step::Release),
            (Some("enabled"), not_selected, false, Step::Release),
            (Some("enabled"), ended, false, Step::Nothing),
        ] {
            assert_eq!(
                step(&pod(annotation), verdict, found),
                expected,
                "{annotation:?} {verdict:?} {found}"
            );
        }
    }

    /// istio/istio#60882: after a reboot the agent ran before the pods' processes, did not find their network namespaces, and
    /// never looked again; the annotation said `enabled`, and connections went past the proxy.
    #[test]
    fn issue_60882_an_annotated_pod_is_looked_for_again_and_its_rules_are_not_taken_on_trust() {
        let annotated = pod(Some("enabled"));
        assert_eq!(step(&annotated, Verdict::Enrol, false), Step::KeepAndLookAgain);
        assert_eq!(step(&annotated, Verdict::Enrol, true), Step::Enrol);
    }
}
