//! As much of istiod as a test needs: it pushes what it is told to, and hands on what it is asked.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;
use proxy::proto::discovery::{Any, DeltaRequest, DeltaResponse, Resource};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::timeout;

pub struct Istiod {
    pub address: SocketAddr,
    asked: mpsc::UnboundedReceiver<DeltaRequest>,
    stream: Rc<RefCell<Option<h2::SendStream<Bytes>>>>,
    connection: Rc<RefCell<Option<AbortHandle>>>,
}

impl Istiod {
    /// Listens on a port of its own, without TLS.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, asked) = mpsc::unbounded_channel();
        let (stream, connection) = (
            Rc::<RefCell<_>>::default(),
            Rc::<RefCell<Option<AbortHandle>>>::default(),
        );
        let (place, slot) = (stream.clone(), connection.clone());
        spawn_local(async move {
            loop {
                let (accepted, _) = listener.accept().await.unwrap();
                let serving = spawn_local(serve(accepted, sender.clone(), place.clone()));
                *slot.borrow_mut() = Some(serving.abort_handle());
            }
        });
        Self {
            address,
            asked,
            stream,
            connection,
        }
    }

    /// The next request.
    pub async fn asked(&mut self) -> DeltaRequest {
        let asked = timeout(Duration::from_secs(10), self.asked.recv()).await;
        asked.unwrap().unwrap()
    }

    /// Pushes resources by name, and takes others away. Returns the answer.
    pub async fn push(
        &mut self,
        type_url: &str,
        resources: &[(&str, Vec<u8>)],
        gone: &[&str],
    ) -> DeltaRequest {
        let resources = resources.iter().map(|(name, bytes)| Resource {
            version: "1".into(),
            name: (*name).into(),
            resource: Some(Any {
                type_url: type_url.into(),
                value: bytes.clone().into(),
            }),
        });
        let message = DeltaResponse {
            resources: resources.collect(),
            type_url: type_url.into(),
            nonce: "n".into(),
            removed_resources: gone.iter().map(|name| (*name).into()).collect(),
            ..DeltaResponse::default()
        };
        let mut frame = BytesMut::new();
        frame.put_u8(0);
        frame.put_u32(u32::try_from(message.encoded_len()).unwrap());
        frame.extend(message.encode_to_vec());
        self.stream
            .borrow_mut()
            .as_mut()
            .unwrap()
            .send_data(frame.freeze(), false)
            .unwrap();
        let answer = self.asked().await;
        assert_eq!(
            (answer.type_url.as_str(), answer.response_nonce.as_str()),
            (type_url, "n")
        );
        answer
    }

    /// Breaks the connection.
    pub fn hang_up(&self) {
        *self.stream.borrow_mut() = None;
        self.connection.borrow_mut().take().unwrap().abort();
    }
}

async fn serve(
    accepted: TcpStream,
    asked: mpsc::UnboundedSender<DeltaRequest>,
    place: Rc<RefCell<Option<h2::SendStream<Bytes>>>>,
) {
    let mut connection = h2::server::handshake(accepted).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let stream = respond.send_response(http::Response::new(()), false).unwrap();
        *place.borrow_mut() = Some(stream);
        let (mut body, asked) = (request.into_body(), asked.clone());
        spawn_local(async move {
            let mut buffer = BytesMut::new();
            while let Some(Ok(chunk)) = body.data().await {
                let _ = body.flow_control().release_capacity(chunk.len());
                buffer.extend_from_slice(&chunk);
                while buffer.len() >= 5 {
                    let length = u32::from_be_bytes(buffer[1..5].try_into().unwrap()) as usize;
                    if buffer.len() < length + 5 {
                        break;
                    }
                    buffer.advance(5);
                    let message = DeltaRequest::decode(buffer.split_to(length)).unwrap();
                    asked.send(message).unwrap();
                }
            }
        });
    }
}
