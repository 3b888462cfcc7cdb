//! Calls that Prometheus saw: the answer of its API to a query for `istio_requests_total`.

use crate::plan::Traffic;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why there are no calls.
#[derive(Debug, Error)]
pub enum TrafficError {
    /// The file.
    #[error("`{}` cannot be read: {source}", path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What is in it.
    #[error("`{}` is no answer of Prometheus: {reason}", path.display())]
    Malformed {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    data: Option<Data>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    #[serde(default)]
    metric: Metric,
}

/// Labels of Istio's standard metrics.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Metric {
    source_workload: String,
    source_workload_namespace: String,
    destination_service_name: String,
    destination_service_namespace: String,
}

/// Reads the answer of `/api/v1/query`. Samples without both ends, such as those of callers outside of the mesh, are
/// left out.
///
/// # Errors
/// A file that cannot be read, or is something else.
pub fn read(path: &Path) -> Result<Traffic, TrafficError> {
    let text = std::fs::read_to_string(path).map_err(|source| TrafficError::Io {
        path: path.to_owned(),
        source,
    })?;
    parse(&text).map_err(|reason| TrafficError::Malformed {
        path: path.to_owned(),
        reason,
    })
}

fn parse(text: &str) -> Result<Traffic, String> {
    let answer: Answer = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let data = match (answer.status.as_str(), answer.data) {
        ("success", Some(data)) => data,
        (status, _) => {
            return Err(answer
                .error
                .unwrap_or_else(|| format!("its status is `{status}`")));
        }
    };
    let mut traffic = Traffic::default();
    let known = |name: &str| !name.is_empty() && name != "unknown";
    for Sample { metric } in data.result {
        let client = (metric.source_workload_namespace, metric.source_workload);
        let server = (
            metric.destination_service_namespace,
            metric.destination_service_name,
        );
        if [&client.0, &client.1, &server.0, &server.1]
            .into_iter()
            .all(|name| known(name))
        {
            traffic.calls.entry(client).or_default().insert(server);
        }
    }
    Ok(traffic)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn calls_are_read_and_what_is_no_answer_is_refused() {
        let sample = |client: &str| {
            format!(
                r#"{{"metric": {{"source_workload": "{client}", "source_workload_namespace": "a",
                "destination_service_name": "s", "destination_service_namespace": "b"}}, "value": [0, "1"]}}"#
            )
        };
        let text = format!(
            r#"{{"status": "success", "data": {{"resultType": "vector", "result": [{}, {}, {{"metric": {{}}}}]}}}}"#,
            sample("web"),
            sample("unknown")
        );
        let calls = parse(&text).unwrap().calls;
        assert_eq!(calls.len(), 1);
        assert!(calls[&("a".into(), "web".into())].contains(&("b".into(), "s".into())));
        for (text, reason) in [
            (
                r#"{"status": "error", "error": "no such metric"}"#,
                "no such metric",
            ),
            ("[]", "invalid length"),
            ("", "EOF"),
        ] {
            assert!(parse(text).unwrap_err().contains(reason), "{text}");
        }
    }
}
