//! System calls, and all that is unsafe.

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::process;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long a TCP connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that may wait for `accept`.
const BACKLOG: i32 = 1024;

/// Registers a descriptor with the runtime's reactor.
///
/// # Errors
/// If it is none that can be waited for.
#[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor")]
pub fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` names the same open file as long as it lives, and nobody replaces it inside the `AsyncFd`:
    // no field that holds one is handed out mutably.
    let watched = unsafe { AsyncFd::register(fd) };
    watched.map_err(io::Error::from)
}

/// A pod's network namespace.
#[derive(Debug)]
pub struct Netns {
    there: OwnedFd,
    home: OwnedFd,
    id: (u64, u64),
}

impl Netns {
    /// Takes the descriptor of a network namespace. The thread's present one is where sockets come home to.
    ///
    /// # Errors
    /// If `/proc` is not there.
    pub fn new(there: OwnedFd) -> io::Result<Self> {
        let home = std::fs::File::open("/proc/thread-self/ns/net")?.into();
        let status = rustix::fs::fstat(&there)?;
        Ok(Self {
            there,
            home,
            id: (status.st_dev, status.st_ino),
        })
    }

    /// Device and inode: which namespace it is.
    #[must_use]
    pub fn id(&self) -> (u64, u64) {
        self.id
    }

    /// Does something while this thread is inside the namespace. It must not wait, and must not start threads.
    fn run<T>(&self, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let kind = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(self.there.as_fd(), kind)?;
        let result = act();
        if rustix::thread::move_into_link_name_space(self.home.as_fd(), kind).is_err() {
            // A thread astray in a pod's network would speak for everybody from there.
            process::abort();
        }
        result
    }
}

/// How the sockets of a pod are made.
#[derive(Debug, Clone)]
pub struct Sockets {
    /// The pod's network namespace; `None`: our own.
    pub netns: Option<Arc<Netns>>,
    /// Mark of each socket; `None` where we may not set it.
    pub mark: Option<u32>,
    /// Whether to bind to addresses of clients.
    pub transparent: bool,
    /// Whether to listen on IPv6, too.
    pub ipv6: bool,
}

impl Sockets {
    fn make(&self, domain: Domain, kind: Type) -> io::Result<Socket> {
        let make = || Socket::new(domain, kind.nonblocking(), None::<Protocol>);
        let socket = match &self.netns {
            Some(netns) => netns.run(make)?,
            None => make()?,
        };
        if let Some(mark) = self.mark {
            socket.set_mark(mark)?;
        }
        Ok(socket)
    }

    /// Listens on a TCP port of all addresses. Says whether addresses of clients may be used.
    ///
    /// # Errors
    /// If the port is taken by another program.
    pub fn listen(&self, port: u16) -> io::Result<(std::net::TcpListener, bool)> {
        let any6 = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
        let any4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
        if self.ipv6
            && let Ok(found) = self.listen_on(any6)
        {
            return Ok(found);
        }
        self.listen_on(any4)
    }

    /// Listens on a TCP address. Says whether addresses of clients may be used.
    ///
    /// # Errors
    /// If the address is taken by another program.
    pub fn listen_on(&self, address: SocketAddr) -> io::Result<(std::net::TcpListener, bool)> {
        let socket = self.make(Domain::for_address(address), Type::STREAM)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_reuse_address(true)?;
        // During an upgrade the old and the new process listen on the same port.
        socket.set_reuse_port(true)?;
        let mut transparent = socket.set_ip_transparent_v4(true).is_ok();
        if address.is_ipv6() {
            transparent &= socket.set_ip_transparent_v6(true).is_ok();
        }
        self.bind(&socket, address)?;
        socket.listen(BACKLOG)?;
        Ok((socket.into(), transparent))
    }

    /// A UDP socket bound to an address.
    ///
    /// # Errors
    /// If the address is taken.
    pub fn udp(&self, address: SocketAddr) -> io::Result<std::net::UdpSocket> {
        let socket = self.make(Domain::for_address(address), Type::DGRAM)?;
        if address.port() != 0 {
            socket.set_reuse_port(true)?;
        }
        self.bind(&socket, address)?;
        Ok(socket.into())
    }

    fn bind(&self, socket: &Socket, address: SocketAddr) -> io::Result<()> {
        // A socket belongs to its namespace for life: nothing but its making needs to be inside.
        socket.bind(&SockAddr::from(address))
    }

    /// Connects, from the address `source` if it can be had.
    ///
    /// # Errors
    /// If the connection is refused, or not made within ten seconds.
    pub async fn connect(&self, source: Option<IpAddr>, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = self.make(Domain::for_address(to), Type::STREAM)?;
        if let Some(source) = source.filter(|source| self.transparent && source.is_ipv4() == to.is_ipv4()) {
            if source.is_ipv4() {
                socket.set_ip_transparent_v4(true)?;
                socket.set_freebind_v4(true)?;
            } else {
                socket.set_ip_transparent_v6(true)?;
                socket.set_freebind_v6(true)?;
            }
            self.bind(&socket, SocketAddr::new(source, 0))?;
        }
        let socket = TcpSocket::from_std_stream(socket.into());
        let stream = timeout(CONNECT_TIMEOUT, socket.connect(to))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        tune(&stream)?;
        Ok(stream)
    }
}

/// Sets what all TCP connections of the data path have.
///
/// # Errors
/// If the peer is gone already.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    const KEEPALIVE: Duration = Duration::from_secs(180);
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE)
        .with_retries(9);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Makes the connection end with a reset, so that the peer does not take an error for an end.
pub fn reset_on_close(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Makes the connection end in the ordinary way again.
pub fn end_on_close(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(None);
}

/// Where a redirected connection was going. Without a redirection, where it came in.
///
/// # Errors
/// If the peer is gone already.
pub fn original_destination(stream: &TcpStream) -> io::Result<SocketAddr> {
    let socket = SockRef::from(stream);
    let found = socket.original_dst_v4().or_else(|_| socket.original_dst_v6());
    match found.ok().and_then(|address| address.as_socket()) {
        Some(address) => Ok(canonical(address)),
        None => stream.local_addr().map(canonical),
    }
}

/// An IPv4 address in IPv6 clothes becomes an IPv4 address.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether this process may mark sockets.
#[must_use]
pub fn may_mark(mark: u32) -> bool {
    Socket::new(Domain::IPV4, Type::STREAM, None).is_ok_and(|socket| socket.set_mark(mark).is_ok())
}
