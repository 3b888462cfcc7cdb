//! istiod's certificate authority, as far as a test needs it.

use super::Authority;
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use proxy::config::{Config, Environment};
use proxy::control::ca::Authority as Client;
use proxy::control::grpc::Dialer;
use proxy::proto::ca::{CertificateRequest, CertificateResponse};
use proxy::proto::discovery::Kind;
use rcgen::{CertificateSigningRequestParams, SanType};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;

#[derive(Default)]
pub struct Server {
    /// Identities that were asked for.
    pub asked: RefCell<Vec<String>>,
    /// How long certificates hold; `None`: for long.
    pub lifetime: Cell<Option<Duration>>,
    /// In the place of the identity asked for.
    pub instead: RefCell<Option<String>>,
}

impl Server {
    /// Starts on a port of its own, without TLS. The client asks it.
    pub async fn start(authority: Rc<Authority>) -> (Rc<Self>, Arc<Client>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = client(listener.local_addr().unwrap(), &authority);
        let server = Rc::<Self>::default();
        let serving = server.clone();
        spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                spawn_local(serving.clone().serve(stream, authority.clone()));
            }
        });
        (server, client)
    }

    async fn serve(self: Rc<Self>, stream: TcpStream, authority: Rc<Authority>) {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            assert!(
                request
                    .uri()
                    .path()
                    .ends_with("IstioCertificateService/CreateCertificate")
            );
            let (server, authority) = (self.clone(), authority.clone());
            spawn_local(async move {
                let mut body = request.into_body();
                let mut message = BytesMut::new();
                while let Some(Ok(chunk)) = body.data().await {
                    message.extend_from_slice(&chunk);
                }
                let request = CertificateRequest::decode(&message[5..]).unwrap();
                let answer = server.sign(&request, &authority);
                let mut frame = BytesMut::from(&[0][..]);
                frame.put_u32(u32::try_from(answer.encoded_len()).unwrap());
                frame.extend(answer.encode_to_vec());
                let mut send = respond.send_response(http::Response::new(()), false).unwrap();
                send.send_data(Bytes::from(frame), false).unwrap();
                let mut trailers = http::HeaderMap::new();
                trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
                send.send_trailers(trailers).unwrap();
            });
        }
    }

    fn sign(&self, request: &CertificateRequest, authority: &Authority) -> CertificateResponse {
        let metadata = request.metadata.as_ref().unwrap();
        let impersonated = metadata.fields["ImpersonatedIdentity"].kind.clone();
        let Some(Kind::Text(identity)) = impersonated else {
            panic!("no identity")
        };
        assert_eq!(request.validity_duration, 86_400);
        let mut csr = CertificateSigningRequestParams::from_pem(&request.csr).unwrap();
        let own = SanType::URI(identity.as_str().try_into().unwrap());
        assert_eq!(csr.params.subject_alt_names, [own]);
        if let Some(other) = &*self.instead.borrow() {
            csr.params.subject_alt_names = vec![SanType::URI(other.as_str().try_into().unwrap())];
        }
        if let Some(lifetime) = self.lifetime.get() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            csr.params.not_before = rcgen::date_time_ymd(1970, 1, 1) + now;
            csr.params.not_after = rcgen::date_time_ymd(1970, 1, 1) + now + lifetime;
        }
        self.asked.borrow_mut().push(identity);
        let leaf = csr.signed_by(&authority.issuer).unwrap().pem();
        CertificateResponse {
            cert_chain: vec![leaf, authority.root.clone()],
        }
    }
}

fn client(address: SocketAddr, authority: &Authority) -> Arc<Client> {
    let address = format!("http://{address}");
    let find = |name: &str| (name == "CA_ADDRESS").then(|| address.clone());
    let config = Config::read(&Environment(&find), &[]).unwrap();
    let dialer = Dialer::new(&config.ca, &config, None);
    Client::new(dialer, config.secret_ttl, authority.revocations.clone())
}
