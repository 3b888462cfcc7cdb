//! From a kubeconfig, or the service account of a pod, to a client.

use super::ClusterOptions;
use super::error::{ClusterError, innermost, similar};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use std::time::Duration;

/// A client, and what it talks to.
pub(crate) struct Connection {
    pub client: Client,
    /// Name of the context, or `in-cluster`.
    pub context: String,
    /// URL of the API server.
    pub server: String,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) async fn connect(options: &ClusterOptions) -> Result<Connection, ClusterError> {
    let (mut config, context) = match kubeconfig(options) {
        Ok(kubeconfig) => from_kubeconfig(kubeconfig, options).await?,
        Err(missing @ ClusterError::NoKubeconfig { .. }) if options.context.is_none() => {
            let config = Config::incluster().map_err(|_| missing)?;
            (config, "in-cluster".to_owned())
        }
        Err(error) => return Err(error),
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // Requests are repeated by the reader, which tells lists that went stale from servers that are busy.
    config.default_retry = false;
    let server = config.cluster_url.to_string();
    let server = server.trim_end_matches('/').to_owned();
    let plugin = config
        .auth_info
        .exec
        .as_ref()
        .and_then(|exec| exec.command.clone());
    let client = Client::try_from(config).map_err(|error| match plugin {
        Some(command) => ClusterError::Credentials {
            reason: format!("the credential plugin `{command}` failed: {}", innermost(&error)),
            server: server.clone(),
        },
        None => ClusterError::of_transport(&error, &server),
    })?;
    Ok(Connection {
        client,
        context,
        server,
    })
}

fn kubeconfig(options: &ClusterOptions) -> Result<Kubeconfig, ClusterError> {
    let result = match &options.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    result.map_err(|error| match &error {
        KubeconfigError::FindPath => ClusterError::NoKubeconfig {
            reason: "the home directory is not known".to_owned(),
        },
        KubeconfigError::ReadConfig(cause, path) if cause.kind() == std::io::ErrorKind::NotFound => {
            ClusterError::NoKubeconfig {
                reason: format!("`{}` does not exist", path.display()),
            }
        }
        _ => unusable(&error),
    })
}

fn unusable(error: &KubeconfigError) -> ClusterError {
    // The rest of a syntax error draws the text, which holds credentials.
    let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
    ClusterError::BadKubeconfig { reason }
}

async fn from_kubeconfig(
    kubeconfig: Kubeconfig,
    options: &ClusterOptions,
) -> Result<(Config, String), ClusterError> {
    let contexts: Vec<String> = kubeconfig.contexts.iter().map(|c| c.name.clone()).collect();
    let chosen = options
        .context
        .clone()
        .or_else(|| kubeconfig.current_context.clone())
        .filter(|name| !name.is_empty());
    let Some(name) = chosen else {
        return Err(ClusterError::NoCurrentContext { contexts });
    };
    if !contexts.contains(&name) {
        let similar = similar(&name, &contexts);
        return Err(ClusterError::UnknownContext {
            name,
            contexts,
            similar,
        });
    }
    let choice = KubeConfigOptions {
        context: Some(name.clone()),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(kubeconfig, &choice)
        .await
        .map_err(|error| unusable(&error))?;
    Ok((config, name))
}
