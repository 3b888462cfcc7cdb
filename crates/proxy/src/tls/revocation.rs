//! Lists of revoked certificates: a file that is followed, and connections that end when their peer is on it.

use super::verify_chain;
use arc_swap::ArcSwap;
use rustls::{CertificateError, Error};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};
use webpki::{CertRevocationList, KeyUsage, OwnedCertRevocationList};

/// How often the file is looked at. The kubelet itself takes up to a minute to write it.
const INTERVAL: Duration = Duration::from_secs(2);

/// A list that cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("not PEM: {0}")]
    Pem(#[from] rustls_pki_types::pem::Error),
    #[error("no list in it")]
    None,
    #[error("not a list of revoked certificates: {0}")]
    List(#[from] webpki::Error),
}

/// The lists in force. None at all, until there is a file.
#[derive(Debug, Default)]
pub struct Revocations {
    lists: ArcSwap<Vec<CertRevocationList<'static>>>,
    changes: watch::Sender<u64>,
    problem: watch::Sender<Option<String>>,
}

/// Which state of the file was read last.
type Seen = Option<(SystemTime, u64, u64)>;

impl Revocations {
    /// Reads a file now, and again whenever it changes. No file means that nothing is revoked; a file that cannot be read
    /// leaves the lists as they were.
    pub fn follow(self: &Arc<Self>, path: PathBuf) {
        let this = self.clone();
        let mut seen = None;
        this.look(&path, &mut seen);
        tokio::spawn(async move {
            loop {
                sleep(INTERVAL).await;
                this.look(&path, &mut seen);
            }
        });
    }

    fn look(&self, path: &Path, seen: &mut Seen) {
        // Through links: the kubelet replaces where they lead.
        let status = fs::metadata(path).ok();
        let found = status.and_then(|status| Some((status.modified().ok()?, status.ino(), status.len())));
        if found.is_none() && seen.is_none() || found == *seen && self.problem.borrow().is_none() {
            return;
        }
        *seen = found;
        let read = match found {
            Some(_) => read(path),
            None => Ok(Vec::new()),
        };
        match read {
            Ok(lists) => {
                info!(target: "crl", "{} lists of revoked certificates", lists.len());
                self.replace(lists);
            }
            Err(error) => {
                let problem = format!("{}: {error}", path.display());
                warn!(target: "crl", "the lists stay as they were: {problem}");
                self.problem.send_replace(Some(problem));
            }
        }
    }

    fn replace(&self, lists: Vec<CertRevocationList<'static>>) {
        self.problem.send_replace(None);
        self.lists.store(Arc::new(lists));
        self.changes.send_modify(|number| *number += 1);
    }

    /// Why the file could not be read the last time.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.problem.borrow().clone()
    }

    pub(super) fn lists(&self) -> Arc<Vec<CertRevocationList<'static>>> {
        self.lists.load_full()
    }
}

fn read(path: &Path) -> Result<Vec<CertRevocationList<'static>>, Unusable> {
    let bytes = fs::read(path)?;
    // An empty file revokes nothing. One with something else in it than lists may be half of one.
    let is_empty = bytes.iter().all(u8::is_ascii_whitespace);
    let is_text = is_empty || bytes.starts_with(b"-----BEGIN");
    let lists = if is_text {
        CertificateRevocationListDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>()?
    } else {
        vec![CertificateRevocationListDer::from(bytes)]
    };
    if lists.is_empty() && !is_empty {
        return Err(Unusable::None);
    }
    let read = |list: &CertificateRevocationListDer<'_>| Ok(OwnedCertRevocationList::from_der(list)?.into());
    lists.iter().map(read).collect()
}

/// The peer of a connection, as it proved itself.
#[derive(Debug)]
pub struct Peer {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) roots: Arc<[TrustAnchor<'static>]>,
    pub(super) revocations: Arc<Revocations>,
    pub(super) usage: Usage,
    /// When it did: a certificate that has expired since is no reason to end a connection.
    pub(super) at: UnixTime,
}

/// Which end the peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// The client.
    Client,
    /// The server.
    Server,
}

impl Usage {
    pub(super) fn key_usage(self) -> KeyUsage {
        match self {
            Self::Client => KeyUsage::client_auth(),
            Self::Server => KeyUsage::server_auth(),
        }
    }
}

impl Peer {
    fn is_revoked(&self) -> bool {
        let Some((leaf, intermediates)) = self.chain.split_first() else {
            return false;
        };
        let lists = self.revocations.lists();
        if lists.is_empty() {
            return false;
        }
        let usage = self.usage.key_usage();
        let verdict = verify_chain(leaf, intermediates, &self.roots, &lists, self.at, usage);
        verdict.is_err_and(|error| is_revocation(&error))
    }

    /// Completes when the peer's certificate, or one above it, is found to be revoked.
    pub async fn revoked(&self) {
        let mut changes = self.revocations.changes.subscribe();
        while !self.is_revoked() {
            // The sender lives as long as we do.
            let _ = changes.changed().await;
        }
    }
}

/// Whether a certificate was refused because it is revoked.
#[must_use]
pub fn is_revocation(error: &Error) -> bool {
    *error == Error::InvalidCertificate(CertificateError::Revoked)
}

/// The same, for what a handshake says.
#[must_use]
pub fn is_revocation_io(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    inner.is_some_and(is_revocation)
}
