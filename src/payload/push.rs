//! Images to a registry.

use docker_credential::{CredentialRetrievalError, DockerCredential};
use http::HeaderValue;
use oci::Packed;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use std::io::{self, Read as _};
use std::path::PathBuf;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two bytes of an answer: registries take their time to look at a layer.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// Who pushes.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user's name at the registry.
    pub username: String,
    /// The password or token.
    pub password: String,
}

/// How to reach the registry.
#[derive(Clone, Default)]
pub struct Options {
    /// Who pushes; by default whom Docker's configuration names for the registry, or nobody.
    pub credentials: Option<Credentials>,
    /// HTTP in place of HTTPS.
    pub plain_http: bool,
}

/// Why an image is not in the registry.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Docker's configuration has no usable credentials.
    #[error("the credentials for `{registry}` cannot be had: {source}")]
    Credentials {
        /// The registry.
        registry: String,
        /// What is wrong with them.
        source: CredentialRetrievalError,
    },
    /// Docker's configuration has a token that only Docker can use.
    #[error("the credentials for `{0}` are an identity token, which cannot be used to push")]
    IdentityToken(String),
    /// The name cannot be pushed to.
    #[error("`{name}` cannot be pushed to: {source}")]
    Name {
        /// The image.
        name: String,
        /// Why.
        source: oci_client::ParseError,
    },
    /// The registry cannot be reached, or refused.
    #[error("`{name}` was not pushed: {}", reason(.source))]
    Registry {
        /// The image.
        name: String,
        /// What happened.
        source: OciDistributionError,
    },
    /// The layer cannot be read, or the runtime does not start.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// An error of requests says only that they failed; why is further down.
fn reason(error: &OciDistributionError) -> String {
    use OciDistributionError::{ServerError, UnauthorizedError};
    if matches!(
        error,
        ServerError { code: 401 | 403, .. } | UnauthorizedError { .. }
    ) {
        return "the registry does not let this user push".to_owned();
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        let said = deeper.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = deeper.source();
    }
    text
}

/// Pushes images, each to the place that its name says. Blobs first, so an image that can be pulled is whole.
///
/// # Errors
/// If the registry cannot be reached or refuses. Images before the one that failed are there.
pub fn push_blocking(
    images: &[Packed],
    options: &Options,
    say: &mut dyn FnMut(&str),
) -> Result<(), PushError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        for image in images {
            say(&format!("pushing {}", image.name));
            push(image, options).await?;
        }
        Ok(())
    })
}

async fn push(image: &Packed, options: &Options) -> Result<(), PushError> {
    let reference: Reference = image.name.parse().map_err(|source| PushError::Name {
        name: image.name.clone(),
        source,
    })?;
    let auth = authentication(reference.resolve_registry(), options)?;
    let mut layer = Vec::new();
    image.layer.open()?.read_to_end(&mut layer)?;
    let send = async {
        let client = Client::try_from(ClientConfig {
            protocol: if options.plain_http {
                ClientProtocol::Http
            } else {
                ClientProtocol::Https
            },
            connect_timeout: Some(CONNECT_TIMEOUT),
            read_timeout: Some(READ_TIMEOUT),
            ..ClientConfig::default()
        })?;
        client.auth(&reference, &auth, RegistryOperation::Push).await?;
        let configuration = image.configuration.clone().into_bytes();
        let digest = oci::Digest::of(&configuration).to_string();
        client
            .push_blob(&reference, layer, &image.layer.digest().to_string())
            .await?;
        client.push_blob(&reference, configuration, &digest).await?;
        // Our own bytes: written anew, they would have another digest.
        let manifest = image.manifest.clone().into_bytes();
        let kind = HeaderValue::from_static(oci::MANIFEST);
        client.push_manifest_raw(&reference, manifest, kind).await
    };
    send.await.map(drop).map_err(|source| PushError::Registry {
        name: image.name.clone(),
        source,
    })
}

fn authentication(registry: &str, options: &Options) -> Result<RegistryAuth, PushError> {
    if let Some(Credentials { username, password }) = options.credentials.clone() {
        return Ok(RegistryAuth::Basic(username, password));
    }
    if !has_docker_configuration() {
        return Ok(RegistryAuth::Anonymous);
    }
    match docker_credential::get_credential(registry) {
        Ok(DockerCredential::UsernamePassword(username, password)) => {
            Ok(RegistryAuth::Basic(username, password))
        }
        Ok(DockerCredential::IdentityToken(_)) => Err(PushError::IdentityToken(registry.to_owned())),
        Err(CredentialRetrievalError::ConfigNotFound | CredentialRetrievalError::NoCredentialConfigured) => {
            Ok(RegistryAuth::Anonymous)
        }
        Err(source) => Err(PushError::Credentials {
            registry: registry.to_owned(),
            source,
        }),
    }
}

/// A missing file is told by `docker_credential` like one that cannot be read.
fn has_docker_configuration() -> bool {
    let folder = std::env::var_os("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")));
    folder.is_some_and(|folder| folder.join("config.json").exists())
}
