//! DNS for the pods: names of the mesh are answered here, all others by the node's own servers.

pub mod answer;

use crate::pod::{Phase, Pod};
use crate::sys;
use crate::telemetry::DnsRequest;
use answer::Answer;
use std::io;
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener, UdpSocket as StdUdpSocket,
};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::spawn_local;
use tokio::time::timeout;

/// The largest datagram, in bytes.
const MAX_DATAGRAM: usize = 4096;
const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a TCP client may be silent.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Requests of one pod that are under way at once; more are left to the client's next try.
const MAX_REQUESTS: usize = 1024;

/// The servers of our own resolv.conf.
#[must_use]
pub fn upstream() -> Vec<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"));
    let addresses = servers.filter_map(|rest| rest.trim().parse::<IpAddr>().ok());
    addresses.map(|address| SocketAddr::new(address, 53)).collect()
}

/// The sockets of one pod.
#[derive(Debug)]
pub struct Sockets {
    udp: Vec<StdUdpSocket>,
    tcp: Vec<StdListener>,
}

impl Sockets {
    /// Binds the port for DNS on the pod's loopback addresses; IPv6 only where the pod has it.
    ///
    /// # Errors
    /// If the port is taken.
    pub fn bind(sockets: &sys::Sockets) -> io::Result<Self> {
        let at = |address: IpAddr| SocketAddr::new(address, crate::config::PORT_DNS);
        let v4 = at(Ipv4Addr::LOCALHOST.into());
        let mut found = Self {
            udp: vec![sockets.udp(v4)?],
            tcp: vec![sockets.listen_on(v4)?.0],
        };
        let v6 = at(Ipv6Addr::LOCALHOST.into());
        if sockets.ipv6
            && let (Ok(udp), Ok((tcp, _))) = (sockets.udp(v6), sockets.listen_on(v6))
        {
            found.udp.push(udp);
            found.tcp.push(tcp);
        }
        Ok(found)
    }

    /// Serves until the pod is gone. To be called inside a `LocalSet`.
    pub fn serve(self, pod: &Arc<Pod>) {
        for socket in self.udp {
            if let Ok(socket) = UdpSocket::from_std(socket) {
                let pod = pod.clone();
                spawn_local(async move {
                    tokio::select! {
                        () = pod.reached(Phase::Draining) => {}
                        () = datagrams(&pod, Rc::new(socket)) => {}
                    }
                });
            }
        }
        for listener in self.tcp {
            if let Ok(listener) = TcpListener::from_std(listener) {
                let pod = pod.clone();
                spawn_local(async move {
                    tokio::select! {
                        () = pod.reached(Phase::Draining) => {}
                        () = streams(&pod, &listener) => {}
                    }
                });
            }
        }
    }
}

async fn datagrams(pod: &Arc<Pod>, socket: Rc<UdpSocket>) {
    let places = Arc::new(tokio::sync::Semaphore::new(MAX_REQUESTS));
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            continue;
        };
        let request = buffer[..length].to_vec();
        let (pod, socket) = (pod.clone(), socket.clone());
        spawn_local(async move {
            if let Some(response) = respond(&pod, &request, Transport::Udp).await {
                let _ = socket.send_to(&response, client).await;
            }
            drop(place);
        });
    }
}

async fn streams(pod: &Arc<Pod>, listener: &TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        let pod = pod.clone();
        spawn_local(async move {
            let _ = stream_requests(&pod, stream).await;
        });
    }
}

async fn stream_requests(pod: &Arc<Pod>, mut stream: TcpStream) -> io::Result<()> {
    loop {
        let request = timeout(IDLE_TIMEOUT, read_message(&mut stream)).await??;
        let Some(response) = respond(pod, &request, Transport::Tcp).await else {
            return Ok(());
        };
        write_message(&mut stream, &response).await?;
    }
}

async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
}

/// The answer; `None` if the request is to be left unanswered.
async fn respond(pod: &Pod, request: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let client = pod.workload().await.ok();
    let metrics = &pod.node.metrics;
    let (name, limit) = match transport {
        Transport::Udp => ("udp", 512),
        Transport::Tcp => ("tcp", usize::MAX),
    };
    let seen = DnsRequest {
        kind: answer::kind(request),
        transport: name,
        client: client.as_deref(),
    };
    metrics.dns_request(&seen);
    if let Some(client) = &client {
        let state = pod.node.store.load();
        match answer::answer(&state, client, &pod.node.config.cluster_domain, request, limit) {
            Answer::Message(message) => return Some(message),
            Answer::Garbage => return None,
            Answer::Forward => {}
        }
    }
    let since = Instant::now();
    let response = forward(pod, request, transport).await;
    metrics.dns_upstream(&seen, since.elapsed(), response.is_some());
    response.or_else(|| answer::failure(request))
}

/// Asks the node's servers, from within the pod's network.
async fn forward(pod: &Pod, request: &[u8], transport: Transport) -> Option<Vec<u8>> {
    for server in &pod.node.upstream {
        let exchange = async {
            match transport {
                Transport::Udp => forward_datagram(pod, request, *server).await,
                Transport::Tcp => {
                    let mut stream = pod.sockets.connect(None, *server).await?;
                    write_message(&mut stream, request).await?;
                    read_message(&mut stream).await
                }
            }
        };
        if let Ok(Ok(response)) = timeout(UPSTREAM_TIMEOUT, exchange).await {
            return Some(response);
        }
    }
    None
}

async fn forward_datagram(pod: &Pod, request: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::from_std(pod.sockets.udp(SocketAddr::new(any, 0))?)?;
    socket.connect(server).await?;
    socket.send(request).await?;
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // Another id is not the answer to this request.
        if buffer[..length].get(..2) == request.get(..2) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}
