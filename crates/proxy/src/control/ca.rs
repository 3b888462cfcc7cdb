//! Certificates from istiod's authority, one for each identity with a pod on this node.

use super::grpc::{Channel, Dialer, GrpcError};
use crate::identity::Identity;
use crate::proto::ca::{CREATE_CERTIFICATE, CertificateRequest, CertificateResponse};
use crate::proto::discovery::{Struct, Value};
use crate::tls::revocation::Revocations;
use crate::tls::{CertificateProblem, Credential};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, SanType};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{Semaphore, watch};
use tokio::time::sleep;
use tracing::{debug, warn};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(150);
/// As long as there is no certificate at all, a pod is cut off: then we ask more often.
const LONGEST_WAIT_FOR_FIRST: Duration = Duration::from_secs(15);
const CONCURRENT_CALLS: usize = 8;

/// A certificate that did not come.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The call failed.
    #[error(transparent)]
    Call(#[from] GrpcError),
    /// The request could not be made.
    #[error("the certificate request cannot be made: {0}")]
    Request(#[from] rcgen::Error),
    /// The answer cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateProblem),
}

/// The latest certificate of an identity; `None` until the first has come.
pub type Credentials = watch::Receiver<Option<Arc<Credential>>>;

/// Asks for certificates and renews them, as long as somebody holds on to them.
#[derive(Debug)]
pub struct Authority {
    dialer: Dialer,
    channel: tokio::sync::Mutex<Option<Channel>>,
    lifetime: Duration,
    revocations: Arc<Revocations>,
    calls: Semaphore,
    known: Mutex<HashMap<Identity, watch::Sender<Option<Arc<Credential>>>>>,
}

impl Authority {
    /// With the validity to ask for, and the lists of revoked certificates to hold against peers.
    #[must_use]
    pub fn new(dialer: Dialer, lifetime: Duration, revocations: Arc<Revocations>) -> Arc<Self> {
        Arc::new(Self {
            dialer,
            channel: tokio::sync::Mutex::default(),
            lifetime,
            revocations,
            calls: Semaphore::new(CONCURRENT_CALLS),
            known: Mutex::default(),
        })
    }

    /// The certificates of an identity, now and later.
    pub fn subscribe(self: &Arc<Self>, identity: &Identity) -> Credentials {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = known.get(identity) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(None);
        known.insert(identity.clone(), sender.clone());
        let (authority, identity) = (self.clone(), identity.clone());
        tokio::spawn(async move { authority.keep(&identity, sender).await });
        receiver
    }

    async fn keep(&self, identity: &Identity, sender: watch::Sender<Option<Arc<Credential>>>) {
        let mut wait = FIRST_WAIT;
        loop {
            let pause = match self.ask(identity).await {
                Ok(credential) => {
                    debug!(target: "ca", %identity, "certificate received");
                    wait = FIRST_WAIT;
                    let renewal = credential.renewal();
                    sender.send_replace(Some(Arc::new(credential)));
                    renewal.duration_since(SystemTime::now()).unwrap_or(FIRST_WAIT)
                }
                Err(error) => {
                    warn!(target: "ca", %identity, "no certificate: {error}");
                    let pause = wait.mul_f64(0.8 + 0.4 * fastrand::f64());
                    let longest = if sender.borrow().is_some() {
                        LONGEST_WAIT
                    } else {
                        LONGEST_WAIT_FOR_FIRST
                    };
                    wait = (wait * 2).min(longest);
                    pause
                }
            };
            tokio::select! {
                () = sleep(pause.max(FIRST_WAIT)) => {}
                () = sender.closed() => {
                    let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                    // Somebody may have come in between.
                    if sender.is_closed() {
                        known.remove(identity);
                        return;
                    }
                }
            }
        }
    }

    async fn ask(&self, identity: &Identity) -> Result<Credential, CaError> {
        let _turn = self.calls.acquire().await;
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let request = CertificateRequest {
            csr: signing_request(identity, &key)?,
            validity_duration: i64::try_from(self.lifetime.as_secs()).unwrap_or(i64::MAX),
            metadata: Some(Struct {
                fields: HashMap::from([("ImpersonatedIdentity".to_owned(), Value::from(identity.uri()))]),
            }),
        };
        let response: CertificateResponse = self.call(&request).await?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Credential::new(
            identity.clone(),
            &response.cert_chain,
            key,
            &self.revocations,
        )?)
    }

    async fn call(&self, request: &CertificateRequest) -> Result<CertificateResponse, GrpcError> {
        let existing = self.channel.lock().await.clone();
        if let Some(channel) = existing {
            match channel.unary(CREATE_CERTIFICATE, request, CALL_TIMEOUT).await {
                // An old connection that istiod has given up says nothing of istiod.
                Err(GrpcError::Http2(_) | GrpcError::Timeout) => *self.channel.lock().await = None,
                result => return result,
            }
        }
        let channel = self.dialer.connect().await?;
        *self.channel.lock().await = Some(channel.clone());
        channel.unary(CREATE_CERTIFICATE, request, CALL_TIMEOUT).await
    }
}

fn signing_request(identity: &Identity, key: &KeyPair) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(identity.uri().try_into()?)];
    params.serialize_request(key)?.pem()
}
