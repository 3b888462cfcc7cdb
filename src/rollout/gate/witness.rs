//! Requests of the owner's own: commands in pods of clients, and what they must say.

use super::Seen;
use super::workload::{is_of, is_ready};
use crate::plan::document::Witness;
use crate::rollout::api::{Cluster, Fault};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// How long a command may take.
const ANSWER: Duration = Duration::from_secs(15);
/// How much of its output is looked at.
const MAX_OUTPUT: u64 = 1 << 20;
/// How much of it is shown.
const SHOWN: usize = 200;

/// Whether a witness is answered as it should be, by one ready pod of its workload.
pub(super) async fn holds(cluster: &Cluster, witness: &Witness) -> Result<Seen, Fault> {
    let Some((kind, name)) = witness.workload.split_once('/') else {
        return Ok(Seen::Not(format!("`{}` is not Kind/name", witness.workload)));
    };
    let target = super::workload(kind, &witness.namespace, name);
    let pods = cluster.list("v1", "Pod", Some(&witness.namespace), "").await?;
    let Some(pod) = pods.iter().find(|pod| {
        is_of(pod, &target) && is_ready(pod) && pod["metadata"].get("deletionTimestamp").is_none()
    }) else {
        return Ok(Seen::Not(format!("no pod of {target} is ready")));
    };
    let pod = pod["metadata"]["name"].as_str().unwrap_or_default();
    let said = tokio::time::timeout(ANSWER, output(cluster, witness, pod)).await;
    Ok(match said {
        Ok(Ok(text)) if text.contains(&witness.output) => Seen::Holds,
        Ok(Ok(text)) => {
            let shown: String = text.trim().chars().take(SHOWN).collect();
            Seen::Not(format!("{pod} says `{shown}`, without `{}`", witness.output))
        }
        Ok(Err(reason)) => Seen::Not(format!("{pod} cannot be asked: {reason}")),
        Err(_elapsed) => Seen::Not(format!("{pod} does not answer within {} s", ANSWER.as_secs())),
    })
}

/// What the command prints, on either stream.
async fn output(cluster: &Cluster, witness: &Witness, pod: &str) -> Result<String, String> {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), &witness.namespace);
    let parameters = AttachParams::default()
        .container(&witness.container)
        .stdin(false)
        .stdout(true)
        .stderr(true);
    let mut process = pods
        .exec(pod, &witness.command, &parameters)
        .await
        .map_err(|error| error.to_string())?;
    let (stdout, stderr) = (process.stdout(), process.stderr());
    let read = async |stream: Option<_>| -> Result<String, String> {
        let mut text = Vec::new();
        if let Some(stream) = stream {
            let mut stream = tokio::io::AsyncReadExt::take(stream, MAX_OUTPUT);
            stream
                .read_to_end(&mut text)
                .await
                .map_err(|error| error.to_string())?;
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    };
    let out = read(stdout.map(boxed));
    let err = read(stderr.map(boxed));
    let (out, err) = futures::future::try_join(out, err).await?;
    Ok(out + &err)
}

/// Both streams have types without a name.
fn boxed<'a>(
    stream: impl tokio::io::AsyncRead + Unpin + Send + 'a,
) -> Box<dyn tokio::io::AsyncRead + Unpin + Send + 'a> {
    Box::new(stream)
}
