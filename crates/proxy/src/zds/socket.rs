//! The packets of ZDS on a Unix socket, from both sides.

use super::{DecodeError, EXCHANGE_TIMEOUT, MAX_PACKET, Request, Response, decode_hello, encode_hello};
use crate::sys;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

/// How many connections may wait for `accept`.
const BACKLOG: i32 = 16;

/// What ends a ZDS connection.
#[derive(Debug, thiserror::Error)]
pub enum ZdsError {
    /// The socket failed.
    #[error("the ZDS socket: {0}")]
    Io(#[from] io::Error),
    /// The other side sent something that is no message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The other side closed the connection.
    #[error("the other side closed the ZDS connection")]
    Closed,
    /// A packet longer than [`MAX_PACKET`].
    #[error("a ZDS packet of more than {MAX_PACKET} bytes")]
    TooLong,
    /// An `add` without exactly one file descriptor, or another packet with any.
    #[error("a ZDS packet with {found} file descriptors in place of {expected}")]
    Descriptors {
        /// How many came.
        found: usize,
        /// How many belong there.
        expected: usize,
    },
    /// No answer in time.
    #[error("no ZDS packet within {} s", EXCHANGE_TIMEOUT.as_secs())]
    Timeout,
    /// The agent broke the order of requests.
    #[error("a ZDS request out of order: {0}")]
    Order(&'static str),
}

impl From<Errno> for ZdsError {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

/// A `SOCK_SEQPACKET` connection: whole packets, each with its file descriptors.
#[derive(Debug)]
struct Packets {
    fd: AsyncFd<OwnedFd>,
}

impl Packets {
    fn new(fd: OwnedFd) -> Result<Self, ZdsError> {
        Ok(Self { fd: sys::watch(fd)? })
    }

    async fn send(&self, packet: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<(), ZdsError> {
        if packet.len() > MAX_PACKET {
            return Err(ZdsError::TooLong);
        }
        self.fd
            .async_io(Interest::WRITABLE, |fd| Ok(send_packet(fd, packet, descriptor)?))
            .await?;
        Ok(())
    }

    async fn receive(&self) -> Result<(Vec<u8>, Vec<OwnedFd>), ZdsError> {
        let received = self
            .fd
            .async_io(Interest::READABLE, |fd| Ok(receive_packet(fd)?))
            .await?;
        if received.truncated {
            return Err(ZdsError::TooLong);
        }
        if received.packet.is_empty() {
            return Err(ZdsError::Closed);
        }
        Ok((received.packet, received.descriptors))
    }

    async fn receive_in_time(&self, limit: Duration) -> Result<(Vec<u8>, Vec<OwnedFd>), ZdsError> {
        timeout(limit, self.receive())
            .await
            .map_err(|_| ZdsError::Timeout)?
    }
}

fn send_packet(fd: &OwnedFd, packet: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.map(|fd| [fd]);
    if let Some(descriptors) = &descriptors {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    rustix::net::sendmsg(fd, &[IoSlice::new(packet)], &mut control, SendFlags::NOSIGNAL)
}

struct Received {
    packet: Vec<u8>,
    descriptors: Vec<OwnedFd>,
    truncated: bool,
}

fn receive_packet(fd: &OwnedFd) -> Result<Received, Errno> {
    let mut packet = vec![0; MAX_PACKET];
    // Room for more than one descriptor, so that a second one is seen and refused.
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = rustix::net::recvmsg(
        fd,
        &mut [IoSliceMut::new(&mut packet)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    packet.truncate(message.bytes);
    let descriptors = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    let truncated = message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    Ok(Received {
        packet,
        descriptors,
        truncated,
    })
}

fn socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

/// The agent's listening socket.
#[derive(Debug)]
pub struct AgentListener {
    fd: AsyncFd<OwnedFd>,
}

impl AgentListener {
    /// Listens on `path`; a socket that an earlier agent left there is removed.
    ///
    /// # Errors
    /// If the path is not to be bound, as when something else than a socket lies there.
    pub fn bind(path: &Path) -> Result<Self, ZdsError> {
        if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            fs::remove_file(path)?;
        }
        let fd = socket()?;
        rustix::net::bind(&fd, &SocketAddrUnix::new(path)?)?;
        rustix::net::listen(&fd, BACKLOG)?;
        Ok(Self { fd: sys::watch(fd)? })
    }

    /// Waits for the next proxy and for its hello.
    ///
    /// # Errors
    /// If the socket fails, or this proxy does not greet in time; the listener can be used on after that.
    pub async fn accept(&self) -> Result<AgentConnection, ZdsError> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = self
            .fd
            .async_io(Interest::READABLE, |fd| Ok(rustix::net::accept_with(fd, flags)?))
            .await?;
        let packets = Packets::new(fd)?;
        let (packet, descriptors) = packets.receive_in_time(EXCHANGE_TIMEOUT).await?;
        expect_descriptors(&descriptors, 0)?;
        decode_hello(&packet)?;
        Ok(AgentConnection { packets })
    }
}

/// The agent's side of a connection, after the hello.
#[derive(Debug)]
pub struct AgentConnection {
    packets: Packets,
}

impl AgentConnection {
    /// Sends a request and waits for its answer. `netns` belongs to an `Add`, and only to it.
    ///
    /// # Errors
    /// If the connection is of no further use. A refusal by the proxy is no error, but a [`Response`] with one.
    pub async fn call(&self, request: &Request, netns: Option<BorrowedFd<'_>>) -> Result<Response, ZdsError> {
        let expected = usize::from(matches!(request, Request::Add { .. }));
        let found = usize::from(netns.is_some());
        if found != expected {
            return Err(ZdsError::Descriptors { found, expected });
        }
        self.packets.send(&request.encode(), netns).await?;
        let (packet, descriptors) = self.packets.receive_in_time(EXCHANGE_TIMEOUT).await?;
        expect_descriptors(&descriptors, 0)?;
        Ok(Response::decode(&packet)?)
    }

    /// Waits until the proxy is gone. It never speaks unasked: a packet now is an error, too.
    pub async fn closed(&self) -> ZdsError {
        match self.packets.receive().await {
            Ok(_) => ZdsError::Order("the proxy spoke unasked"),
            Err(error) => error,
        }
    }
}

/// The proxy's side of a connection, after the hello.
#[derive(Debug)]
pub struct ProxyConnection {
    packets: Packets,
}

impl ProxyConnection {
    /// Connects to the agent at `path` and greets it.
    ///
    /// # Errors
    /// If nobody listens there.
    pub async fn connect(path: &Path) -> Result<Self, ZdsError> {
        let fd = socket()?;
        // A Unix socket connects at once, or says EAGAIN if the backlog is full; then the caller tries again.
        rustix::net::connect(&fd, &SocketAddrUnix::new(path)?)?;
        let packets = Packets::new(fd)?;
        packets.send(&encode_hello(), None).await?;
        Ok(Self { packets })
    }

    /// Waits for the next request, and the network namespace if it is an `Add`.
    ///
    /// # Errors
    /// If the connection is of no further use.
    pub async fn receive(&self) -> Result<(Request, Option<OwnedFd>), ZdsError> {
        let (packet, mut descriptors) = self.packets.receive().await?;
        let request = Request::decode(&packet)?;
        expect_descriptors(&descriptors, usize::from(matches!(request, Request::Add { .. })))?;
        Ok((request, descriptors.pop()))
    }

    /// Answers the request received last.
    ///
    /// # Errors
    /// If the connection is of no further use.
    pub async fn answer(&self, response: &Response) -> Result<(), ZdsError> {
        let mut response = response.clone();
        // The text may quote anything; the packet has room for this much.
        if response.error.len() > MAX_PACKET - 16 {
            let end = response.error.floor_char_boundary(MAX_PACKET - 16);
            response.error.truncate(end);
        }
        timeout(EXCHANGE_TIMEOUT, self.packets.send(&response.encode(), None))
            .await
            .map_err(|_| ZdsError::Timeout)?
    }
}

fn expect_descriptors(descriptors: &[OwnedFd], expected: usize) -> Result<(), ZdsError> {
    let found = descriptors.len();
    if found == expected {
        Ok(())
    } else {
        Err(ZdsError::Descriptors { found, expected })
    }
}

impl AsFd for AgentListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.get_ref().as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zds::WorkloadInfo;
    use std::fs::File;

    fn add() -> Request {
        Request::Add {
            uid: "0a1b".into(),
            info: WorkloadInfo {
                name: "web-1".into(),
                namespace: "shop".into(),
                service_account: "web".into(),
            },
        }
    }

    async fn pair(dir: &Path) -> (AgentConnection, ProxyConnection) {
        let path = dir.join("ztunnel.sock");
        let listener = AgentListener::bind(&path).unwrap();
        let proxy = ProxyConnection::connect(&path).await.unwrap();
        (listener.accept().await.unwrap(), proxy)
    }

    #[tokio::test]
    async fn a_namespace_travels_with_an_add_and_only_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let (agent, proxy) = pair(dir.path()).await;
        let netns = File::open("/proc/self/ns/net").unwrap();
        let serve = async {
            let (request, fd) = proxy.receive().await.unwrap();
            assert_eq!(request, add());
            let (here, there) = (
                rustix::fs::fstat(&netns).unwrap(),
                rustix::fs::fstat(fd.unwrap()).unwrap(),
            );
            assert_eq!((here.st_dev, here.st_ino), (there.st_dev, there.st_ino));
            proxy.answer(&Response::default()).await.unwrap();
            let (request, fd) = proxy.receive().await.unwrap();
            assert_eq!((request, fd.is_none()), (Request::SnapshotSent, true));
            let error = "é".repeat(MAX_PACKET);
            proxy.answer(&Response { error }).await.unwrap();
        };
        let ask = async {
            let answer = agent.call(&add(), Some(netns.as_fd())).await.unwrap();
            assert_eq!(answer, Response::default());
            let answer = agent.call(&Request::SnapshotSent, None).await.unwrap();
            assert!(answer.error.len() > 900 && answer.error.starts_with('é'));
            let refused = agent.call(&add(), None).await;
            assert!(matches!(
                refused,
                Err(ZdsError::Descriptors {
                    found: 0,
                    expected: 1
                })
            ));
        };
        tokio::join!(serve, ask);
        drop(proxy);
        assert!(matches!(agent.closed().await, ZdsError::Closed));
    }

    #[tokio::test]
    async fn broken_packets_end_the_connection() {
        let netns = File::open("/proc/self/ns/net").unwrap();
        for (packet, descriptor, reason) in [
            (add().encode(), None, "0 file descriptors in place of 1"),
            (
                Request::SnapshotSent.encode(),
                Some(netns.as_fd()),
                "1 file descriptors in place of 0",
            ),
            (vec![0xff; 8], None, "not a ZDS message"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let (agent, proxy) = pair(dir.path()).await;
            agent.packets.send(&packet, descriptor).await.unwrap();
            let error = proxy.receive().await.unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let dir = tempfile::tempdir().unwrap();
        let (agent, proxy) = pair(dir.path()).await;
        rustix::net::send(
            agent.packets.fd.get_ref(),
            &[0; MAX_PACKET + 1],
            SendFlags::NOSIGNAL,
        )
        .unwrap();
        assert!(matches!(proxy.receive().await, Err(ZdsError::TooLong)));
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_but_no_other_file() {
        let dir = tempfile::tempdir().unwrap();
        drop(pair(dir.path()).await);
        drop(pair(dir.path()).await);
        let path = dir.path().join("data");
        fs::write(&path, "kept").unwrap();
        assert!(AgentListener::bind(&path).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"kept");
    }
}
