//! HTTP/2 by hand, over real TLS: what no well-behaved client sends.

use super::Running;
use proxy::identity::Identity;
use proxy::tls;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_HEADERS: u8 = 4;
pub const ACK: u8 = 1;

/// An error of HTTP/2.
pub const ENHANCE_YOUR_CALM: u32 = 11;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header field that enters no table. Names and values of less than 127 bytes, or the value of 127 and more.
pub fn field(name: &str, value: &[u8]) -> Vec<u8> {
    let mut field = vec![0, u8::try_from(name.len()).unwrap()];
    field.extend(name.bytes());
    field.extend(length(value.len()));
    field.extend(value);
    field
}

fn length(length: usize) -> Vec<u8> {
    let Some(mut rest) = length.checked_sub(127) else {
        return vec![u8::try_from(length).unwrap()];
    };
    let mut bytes = vec![127];
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

/// The header block of a CONNECT.
pub fn connect_block(authority: &str) -> Vec<u8> {
    let mut block = field(":method", b"CONNECT");
    block.extend(field(":authority", authority.as_bytes()));
    block
}

/// What the server has sent, once it has closed the connection.
#[derive(Debug, Default, Clone)]
pub struct Heard {
    /// Error of the last GOAWAY.
    pub goaway: Option<u32>,
    /// Streams with an answer.
    pub answered: usize,
    /// Streams reset.
    pub resets: usize,
    /// PINGs answered.
    pub pongs: usize,
}

/// A connection of the client's to the server's port for HBONE, after TLS.
pub struct Raw {
    pub write: WriteHalf<TlsStream<TcpStream>>,
    pub read: ReadHalf<TlsStream<TcpStream>>,
}

impl Raw {
    pub async fn tls(client: &Running, to: SocketAddr) -> TlsStream<TcpStream> {
        let server = Identity::new("cluster.local", "shop", "server").unwrap();
        let credential = client.pod.credential().await.unwrap();
        let config = Arc::new(credential.client(vec![server]).unwrap());
        let stream = TcpStream::connect((to.ip(), 15008)).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(config);
        connector.connect(tls::no_name(), stream).await.unwrap()
    }

    pub async fn open(client: &Running, to: SocketAddr) -> Self {
        let (read, write) = tokio::io::split(Self::tls(client, to).await);
        Self { write, read }
    }

    /// With preface and settings sent.
    pub async fn greeted(client: &Running, to: SocketAddr) -> Self {
        let mut raw = Self::open(client, to).await;
        raw.write.write_all(PREFACE).await.unwrap();
        raw.write.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        raw
    }

    /// Reads on until the server closes. The writing half stays with the caller.
    pub fn listen(self) -> (WriteHalf<TlsStream<TcpStream>>, JoinHandle<Heard>) {
        let Self { write, mut read } = self;
        let listening = spawn_local(async move {
            let mut heard = Heard::default();
            let mut head = [0; 9];
            while read.read_exact(&mut head).await.is_ok() {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                let mut payload = vec![0; length as usize];
                if read.read_exact(&mut payload).await.is_err() {
                    break;
                }
                match (head[3], head[4] & ACK) {
                    (GOAWAY, _) => heard.goaway = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap())),
                    (HEADERS, _) => heard.answered += 1,
                    (RST_STREAM, _) => heard.resets += 1,
                    (PING, ACK) => heard.pongs += 1,
                    _ => {}
                }
            }
            heard
        });
        (write, listening)
    }
}

/// What was heard, if the server closes within ten seconds.
pub async fn closed(listening: JoinHandle<Heard>) -> Heard {
    let heard = timeout(Duration::from_secs(10), listening).await;
    assert!(heard.is_ok(), "the connection stays open");
    heard.unwrap().unwrap()
}

/// Memory of this process, in KiB.
pub fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}
