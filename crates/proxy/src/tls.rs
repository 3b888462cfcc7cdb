//! TLS between proxies: version 1.3, AES-GCM, certificates with SPIFFE identities on both sides.

pub mod revocation;

use crate::identity::Identity;
use revocation::{Peer, Revocations, Usage};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, DistinguishedName, Error,
    ServerConfig, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, TrustAnchor, UnixTime};
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, RevocationCheckDepth, RevocationOptionsBuilder,
    UnknownStatusPolicy,
};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateProblem {
    /// Not PEM, or not certificates.
    #[error("not PEM certificates: {0}")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// Not a certificate, or not with this key.
    #[error("the certificate cannot be used: {0}")]
    Tls(#[from] Error),
    /// A root that is none.
    #[error("the root cannot be used: {0}")]
    Root(#[from] webpki::Error),
    /// The dates cannot be read.
    #[error("the certificate's dates cannot be read")]
    Dates,
    /// The answer of the authority has no root after the leaf.
    #[error("a certificate chain without a root")]
    NoRoot,
    /// The certificate is for somebody else.
    #[error("the certificate is not for {0}")]
    Identity(Identity),
}

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut provider = aws_lc_rs::default_provider();
    let wanted = [
        CipherSuite::TLS13_AES_256_GCM_SHA384,
        CipherSuite::TLS13_AES_128_GCM_SHA256,
    ];
    provider
        .cipher_suites
        .retain(|suite| wanted.contains(&suite.suite()));
    Arc::new(provider)
});

/// What a workload proves its identity with, and what it checks others by.
#[derive(Debug)]
pub struct Credential {
    /// Who it is.
    pub identity: Identity,
    /// From when it holds.
    pub not_before: SystemTime,
    /// Until when it holds.
    pub not_after: SystemTime,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: Arc<[TrustAnchor<'static>]>,
    revocations: Arc<Revocations>,
    server: Arc<ServerConfig>,
}

impl Credential {
    /// Puts together an authority's answer: leaf, intermediates, and all roots in the last element, each PEM.
    ///
    /// # Errors
    /// If the parts do not fit together, or the leaf is not for `identity`.
    pub fn new(
        identity: Identity,
        pem: &[String],
        key: PrivateKeyDer<'static>,
        revocations: &Arc<Revocations>,
    ) -> Result<Self, CertificateProblem> {
        let [chain @ .., roots] = pem else {
            return Err(CertificateProblem::NoRoot);
        };
        let chain = chain
            .iter()
            .map(|pem| certificates(pem))
            .collect::<Result<Vec<_>, _>>()?
            .concat();
        let leaf = chain.first().ok_or(CertificateProblem::NoRoot)?;
        if !identities(leaf)?.any(|found| found == identity) {
            return Err(CertificateProblem::Identity(identity));
        }
        let (not_before, not_after) = validity(leaf)?;
        let roots = anchors(&certificates(roots)?)?;
        let trust = Trust {
            roots: roots.clone(),
            revocations: revocations.clone(),
        };
        let server = server_config(&identity, trust, chain.clone(), key.clone_key())?;
        Ok(Self {
            identity,
            not_before,
            not_after,
            chain,
            key,
            roots,
            revocations: revocations.clone(),
            server,
        })
    }

    /// When to ask for the next one: at half its life.
    #[must_use]
    pub fn renewal(&self) -> SystemTime {
        let life = self.not_after.duration_since(self.not_before).unwrap_or_default();
        self.not_before + life / 2
    }

    /// Whether it holds now.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let now = SystemTime::now();
        self.not_before <= now + Duration::from_secs(60) && now < self.not_after
    }

    /// For the server of HBONE: clients must prove an identity of our own trust domain.
    #[must_use]
    pub fn server(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }

    /// For the client of HBONE: the server must be one of `expected`.
    ///
    /// # Errors
    /// If rustls does not take our certificate.
    pub fn client(&self, expected: Vec<Identity>) -> Result<ClientConfig, CertificateProblem> {
        let verifier = Arc::new(ServerIs {
            expected,
            trust: Trust {
                roots: self.roots.clone(),
                revocations: self.revocations.clone(),
            },
        });
        let mut config = ClientConfig::builder_with_provider(PROVIDER.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = rustls::client::Resumption::disabled();
        config.enable_sni = false;
        Ok(config)
    }
}

impl Credential {
    /// The peer of a connection that was made with this credential, to watch whether it is revoked later.
    #[must_use]
    pub fn peer(&self, certificates: Option<&[CertificateDer<'_>]>, usage: Usage) -> Peer {
        let chain = certificates.unwrap_or_default().iter();
        Peer {
            chain: chain
                .map(|certificate| certificate.clone().into_owned())
                .collect(),
            roots: self.roots.clone(),
            revocations: self.revocations.clone(),
            usage,
            at: UnixTime::now(),
        }
    }
}

/// The name that a client gives to rustls, which is neither sent nor checked.
#[must_use]
pub fn no_name() -> ServerName<'static> {
    ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into())
}

/// The identity that the peer of a connection has proved.
#[must_use]
pub fn peer_identity(certificates: Option<&[CertificateDer<'_>]>) -> Option<Identity> {
    identities(certificates?.first()?).ok()?.next()
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, CertificateProblem> {
    Ok(CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>()?)
}

fn anchors(roots: &[CertificateDer<'_>]) -> Result<Arc<[TrustAnchor<'static>]>, CertificateProblem> {
    if roots.is_empty() {
        return Err(CertificateProblem::NoRoot);
    }
    let anchors = roots
        .iter()
        .map(|root| Ok(webpki::anchor_from_trusted_cert(root)?.to_owned()));
    anchors.collect()
}

fn validity(leaf: &CertificateDer<'_>) -> Result<(SystemTime, SystemTime), CertificateProblem> {
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| CertificateProblem::Dates)?;
    let at = |time: x509_parser::time::ASN1Time| {
        let seconds = u64::try_from(time.timestamp()).map_err(|_| CertificateProblem::Dates)?;
        Ok::<_, CertificateProblem>(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    };
    Ok((
        at(certificate.validity().not_before)?,
        at(certificate.validity().not_after)?,
    ))
}

/// The identities among the URI names of a certificate; other URIs are passed over.
fn identities<'a>(
    certificate: &'a CertificateDer<'_>,
) -> Result<impl Iterator<Item = Identity> + use<'a>, webpki::Error> {
    let certificate = EndEntityCert::try_from(certificate)?;
    let found: Vec<_> = certificate
        .valid_uri_names()
        .filter_map(Identity::parse)
        .collect();
    Ok(found.into_iter())
}

fn server_config(
    identity: &Identity,
    trust: Trust,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, Error> {
    let verifier = Arc::new(ClientOf {
        trust_domain: identity.trust_domain().to_owned(),
        trust,
    });
    let mut config = ServerConfig::builder_with_provider(PROVIDER.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(Arc::new(config))
}

fn verify_chain(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    roots: &[TrustAnchor<'_>],
    lists: &[CertRevocationList<'_>],
    now: UnixTime,
    usage: KeyUsage,
) -> Result<(), Error> {
    let refuse = |error: webpki::Error| {
        Error::InvalidCertificate(match error {
            webpki::Error::UnknownIssuer => CertificateError::UnknownIssuer,
            webpki::Error::CertRevoked => CertificateError::Revoked,
            webpki::Error::CertExpired { .. } => CertificateError::Expired,
            webpki::Error::CertNotValidYet { .. } => CertificateError::NotValidYet,
            other => CertificateError::Other(rustls::OtherError(Arc::new(other))),
        })
    };
    let leaf = EndEntityCert::try_from(leaf).map_err(refuse)?;
    let algorithms = PROVIDER.signature_verification_algorithms.all;
    let lists: Vec<_> = lists.iter().collect();
    // Without a list for its issuer, a certificate is taken to be good; without any list, all are.
    let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
        options
            .with_depth(RevocationCheckDepth::Chain)
            .with_status_policy(UnknownStatusPolicy::Allow)
            .build()
    });
    leaf.verify_for_usage(algorithms, roots, intermediates, now, usage, revocation, None)
        .map(|_| ())
        .map_err(refuse)
}

fn wrong_identity() -> Error {
    Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
}

/// Whom certificates are believed from, and which ones no more.
#[derive(Debug)]
struct Trust {
    roots: Arc<[TrustAnchor<'static>]>,
    revocations: Arc<Revocations>,
}

impl Trust {
    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: Usage,
    ) -> Result<(), Error> {
        let lists = self.revocations.lists();
        verify_chain(leaf, intermediates, &self.roots, &lists, now, usage.key_usage())
    }
}

/// The server must have one of these identities.
#[derive(Debug)]
struct ServerIs {
    expected: Vec<Identity>,
    trust: Trust,
}

impl ServerCertVerifier for ServerIs {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.trust.verify(leaf, intermediates, now, Usage::Server)?;
        let mut found = identities(leaf).map_err(|_| wrong_identity())?;
        if found.any(|identity| self.expected.contains(&identity)) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(wrong_identity())
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(
            rustls::PeerIncompatible::Tls13RequiredForQuic,
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &PROVIDER.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}

/// The client must have an identity of this trust domain.
#[derive(Debug)]
struct ClientOf {
    trust_domain: String,
    trust: Trust,
}

impl ClientCertVerifier for ClientOf {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.trust.verify(leaf, intermediates, now, Usage::Client)?;
        let mut found = identities(leaf).map_err(|_| wrong_identity())?;
        // The first one is whom policies will see, so it is the one that counts.
        match found.next() {
            Some(identity) if identity.trust_domain() == self.trust_domain => {
                Ok(ClientCertVerified::assertion())
            }
            _ => Err(wrong_identity()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(
            rustls::PeerIncompatible::Tls13RequiredForQuic,
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &PROVIDER.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}

/// For connections to istiod: an ordinary server certificate, by its DNS name.
///
/// # Errors
/// If there is no root in the text.
pub fn control_plane(roots: &str) -> Result<ClientConfig, CertificateProblem> {
    let mut store = rustls::RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(certificates(roots)?);
    if added == 0 {
        return Err(CertificateProblem::NoRoot);
    }
    let mut config = ClientConfig::builder_with_provider(PROVIDER.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
