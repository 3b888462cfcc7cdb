//! ZDS from both sides. The first byte chooses: messages by themselves, packets of an agent's to a proxy, or packets of a
//! proxy's to an agent, each through a real socket.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxy::zds::{AgentListener, MAX_PACKET, ProxyConnection, Request, Response, WorkloadInfo, decode_hello};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType,
};
use std::fs::File;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::LazyLock;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_all().build().unwrap());
static NULL: LazyLock<File> = LazyLock::new(|| File::open("/dev/null").unwrap());

fuzz_target!(|input: &[u8]| {
    let Some((&mode, rest)) = input.split_first() else {
        return;
    };
    match mode % 8 {
        1 => from_agent(&packets(rest)),
        2 => from_proxy(&packets(rest)),
        _ => messages(rest),
    }
});

/// What is read is written again as it was, and fits into a packet if it came in one.
fn messages(packet: &[u8]) {
    let _ = decode_hello(packet);
    if let Ok(request) = Request::decode(packet) {
        assert_eq!(Request::decode(&request.encode()).unwrap(), request);
    }
    if let Ok(response) = Response::decode(packet) {
        assert_eq!(Response::decode(&response.encode()).unwrap(), response);
    }
}

/// Each packet is a length in bytes, a number of descriptors, and that many bytes; 255 stands for one too long.
fn packets(mut rest: &[u8]) -> Vec<(Vec<u8>, usize)> {
    let mut found = Vec::new();
    while let Some((&[length, descriptors], tail)) = rest.split_first_chunk::<2>()
        && found.len() < 8
    {
        let (packet, tail) = tail.split_at(usize::from(length).min(tail.len()));
        let mut packet = packet.to_vec();
        if length == u8::MAX {
            packet.resize(MAX_PACKET + 1, 0);
        }
        found.push((packet, usize::from(descriptors % 6)));
        rest = tail;
    }
    found
}

fn socket() -> OwnedFd {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
}

fn send(fd: &OwnedFd, (packet, descriptors): &(Vec<u8>, usize)) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(6))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let attached = vec![NULL.as_fd(); *descriptors];
    if !attached.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&attached));
    }
    let _ = rustix::net::sendmsg(fd, &[IoSlice::new(packet)], &mut control, SendFlags::NOSIGNAL);
}

fn from_agent(packets: &[(Vec<u8>, usize)]) {
    let path = FOLDER.path().join("agent");
    let _ = std::fs::remove_file(&path);
    let listener = socket();
    rustix::net::bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&listener, 1).unwrap();
    RUNTIME.block_on(async {
        let proxy = ProxyConnection::connect(&path).await.unwrap();
        let agent = rustix::net::accept(&listener).unwrap();
        packets.iter().for_each(|packet| send(&agent, packet));
        drop(agent);
        while let Ok((request, netns)) = proxy.receive().await {
            assert_eq!(matches!(request, Request::Add { .. }), netns.is_some());
        }
    });
}

fn from_proxy(packets: &[(Vec<u8>, usize)]) {
    let path = FOLDER.path().join("proxy");
    let add = Request::Add {
        uid: "0a".into(),
        info: WorkloadInfo {
            name: "web-1".into(),
            namespace: "shop".into(),
            service_account: "web".into(),
        },
    };
    RUNTIME.block_on(async {
        let listener = AgentListener::bind(&path).unwrap();
        let proxy = socket();
        rustix::net::connect(&proxy, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        packets.iter().for_each(|packet| send(&proxy, packet));
        // The agent can read what was sent, and then the end: it never waits for more.
        rustix::net::shutdown(&proxy, rustix::net::Shutdown::Write).unwrap();
        let Ok(agent) = listener.accept().await else {
            return;
        };
        while agent.call(&add, Some(NULL.as_fd())).await.is_ok() {}
    });
}
