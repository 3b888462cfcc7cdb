//! Two pods on loopback, each with a proxy and certificates of a test authority.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod authority;
pub mod istiod;
pub mod raw;

use proxy::config::{Config, Environment};
use proxy::hbone::pool::Pool;
use proxy::identity::Identity;
use proxy::pod::{Node, Phase, Pod};
use proxy::proto::{security, workload as wire};
use proxy::serve::{self, Listeners};
use proxy::state::{Change, Store, decode};
use proxy::sys::Sockets;
use proxy::tls::Credential;
use proxy::tls::revocation::Revocations;
use proxy::zds::WorkloadInfo;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod,
    KeyPair, RevokedCertParams, SanType,
};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: String,
    serial: Cell<u64>,
    /// The lists that its certificates hold against their peers.
    pub revocations: Arc<Revocations>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = format!("authority {}", fastrand::u64(..));
        params.distinguished_name.push(DnType::CommonName, name);
        let root = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self {
            issuer,
            root,
            serial: Cell::new(1),
            revocations: Arc::default(),
        }
    }

    pub fn issue(&self, account: &str) -> Credential {
        self.issue_in("cluster.local", account)
    }

    pub fn issue_in(&self, trust_domain: &str, account: &str) -> Credential {
        let identity = Identity::new(trust_domain, "shop", account).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(identity.uri().try_into().unwrap())];
        self.serial.set(self.serial.get() + 1);
        params.serial_number = Some(self.serial.get().into());
        let leaf = params.signed_by(&key, &self.issuer).unwrap().pem();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Credential::new(identity, &[leaf, self.root.clone()], key, &self.revocations).unwrap()
    }
}

impl Authority {
    /// The serial number of the certificate issued last.
    pub fn last_serial(&self) -> u64 {
        self.serial.get()
    }

    /// A list of revoked certificates by their serial numbers, as PEM.
    pub fn revoke(&self, serials: &[u64]) -> String {
        let revoked = |&serial: &u64| RevokedCertParams {
            serial_number: serial.into(),
            revocation_time: rcgen::date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2020, 1, 1),
            next_update: rcgen::date_time_ymd(2100, 1, 1),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// A running pod.
pub struct Running {
    pub pod: Arc<Pod>,
    pub phase: watch::Sender<Phase>,
    pub pool: Rc<Pool>,
    pub ended: mpsc::Receiver<()>,
    _credential: watch::Sender<Option<Arc<Credential>>>,
}

pub fn record(name: &str, address: IpAddr) -> wire::Workload {
    let IpAddr::V4(v4) = address else {
        panic!("IPv4 only")
    };
    wire::Workload {
        uid: format!("Kubernetes//Pod/shop/{name}"),
        name: name.into(),
        namespace: "shop".into(),
        service_account: name.into(),
        addresses: vec![v4.octets().to_vec().into()],
        tunnel_protocol: 1,
        workload_type: 2,
        ..wire::Workload::default()
    }
}

/// A DENY of everything from an identity.
pub fn deny(principal: &str) -> security::Authorization {
    let pattern = security::StringMatch {
        match_type: Some(security::MatchType::Exact(principal.into())),
    };
    let alternative = security::Match {
        principals: vec![pattern],
        ..security::Match::default()
    };
    let clause = security::Clause {
        matches: vec![alternative],
    };
    security::Authorization {
        name: "deny".into(),
        namespace: "shop".into(),
        scope: 1,
        action: 1,
        rules: vec![security::Rule {
            clauses: vec![clause],
        }],
        dry_run: false,
    }
}

/// A node that has heard everything from istiod.
pub fn node(workloads: Vec<wire::Workload>) -> Arc<Node> {
    configured_node(&[], workloads)
}

/// A node that knows these workloads, though it has not heard that they are all.
pub fn bare_node(workloads: Vec<wire::Workload>) -> Arc<Node> {
    configured(&[], workloads)
}

/// A node with settings that has heard everything from istiod.
pub fn configured_node(settings: &[(&str, &str)], workloads: Vec<wire::Workload>) -> Arc<Node> {
    let node = configured(settings, workloads);
    node.store
        .note(|received| (received.addresses, received.policies) = (true, true));
    node
}

fn configured(settings: &[(&str, &str)], workloads: Vec<wire::Workload>) -> Arc<Node> {
    let find = |name: &str| {
        let mut settings = settings.iter();
        settings
            .find(|(key, _)| *key == name)
            .map(|(_, value)| (*value).to_owned())
    };
    let config = Config::read(&Environment(&find), &[]).unwrap();
    let node = Node {
        config,
        store: Arc::<Store>::default(),
        metrics: Arc::default(),
        revocations: Arc::default(),
        resolver: None,
        upstream: Vec::new(),
    };
    let changes = workloads
        .into_iter()
        .map(|message| Change::Workload(decode::workload(message).unwrap()));
    node.store.replace(node.store.load().with(changes.collect()));
    Arc::new(node)
}

pub fn apply(node: &Node, policy: &security::Authorization) {
    let change = Change::Policy(decode::policy(policy).unwrap());
    node.store.replace(node.store.load().with(vec![change]));
}

/// Starts the proxy of a pod at an address of its own.
pub fn start(node: &Arc<Node>, name: &str, address: IpAddr, credential: Credential) -> Running {
    start_with(node, name, address, Some(credential))
}

/// The same, with or without a certificate.
pub fn start_with(node: &Arc<Node>, name: &str, address: IpAddr, credential: Option<Credential>) -> Running {
    let (phase, phases) = watch::channel(Phase::Running);
    let (sender, credential) = watch::channel(credential.map(Arc::new));
    let sockets = Sockets {
        netns: None,
        mark: None,
        transparent: false,
        ipv6: false,
    };
    let listen = |port| sockets.listen_on(SocketAddr::new(address, port)).unwrap().0;
    let listeners = Listeners {
        outbound: listen(15001),
        plain: listen(15006),
        hbone: listen(15008),
    };
    let pod = Arc::new(Pod {
        node: node.clone(),
        info: WorkloadInfo {
            name: name.into(),
            namespace: "shop".into(),
            service_account: name.into(),
        },
        sockets,
        credential,
        phase: phases,
        only_port: None,
    });
    let (busy, ended) = mpsc::channel(1);
    serve::pod(&pod, listeners, &busy).unwrap();
    Running {
        pod,
        phase,
        pool: Rc::default(),
        ended,
        _credential: sender,
    }
}

/// A connection of the pod's application to `to`, as if redirected to its proxy.
pub async fn dial(client: &Running, to: SocketAddr) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (redirected, source) = listener.accept().await.unwrap();
    let (pod, pool) = (client.pod.clone(), client.pool.clone());
    tokio::task::spawn_local(proxy::outbound::to(pod, pool, redirected, source, to));
    stream
}
