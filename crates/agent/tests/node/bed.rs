//! A node and a pod: two network namespaces and a link between them.

use mesh_agent::netns::Netns;
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub const NODE: &str = "10.123.0.1";
pub const POD: &str = "10.123.0.2";
pub const NODE_V6: &str = "fd00:123::1";
pub const POD_V6: &str = "fd00:123::2";
/// An address that nobody has; it is routed to the node.
pub const ELSEWHERE: &str = "192.0.2.9";

const LIMIT: Duration = Duration::from_secs(3);

/// Makes the namespaces; they go when it is dropped.
pub struct Bed {
    names: [String; 2],
    pub node: Netns,
    pub pod: Netns,
}

fn run(words: &str) {
    let mut words = words.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Whether namespaces can be made. If not, says so: the test shows nothing then.
pub fn available() -> bool {
    let root = Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout == b"0\n");
    if !root {
        // Not by `println!`, which the test runner hides.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: network namespaces need the superuser"
        );
    }
    root
}

impl Bed {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |kind: &str| format!("agent-{kind}-{}-{number}", std::process::id());
        let [node, pod] = [name("node"), name("pod")];
        for name in [&node, &pod] {
            run(&format!("ip netns add {name}"));
            run(&format!("ip -n {name} link set lo up"));
        }
        run(&format!(
            "ip link add veth0 netns {node} type veth peer name eth0 netns {pod}"
        ));
        for (name, device, v4, v6) in [(&node, "veth0", NODE, NODE_V6), (&pod, "eth0", POD, POD_V6)] {
            run(&format!("ip -n {name} addr add {v4}/24 dev {device}"));
            run(&format!("ip -n {name} addr add {v6}/64 dev {device} nodad"));
            run(&format!("ip -n {name} link set {device} up"));
        }
        run(&format!("ip -n {pod} route add default via {NODE}"));
        run(&format!("ip -n {node} addr add {ELSEWHERE}/32 dev lo"));
        let open = |name: &str| Netns::open(&path(name)).unwrap();
        Self {
            node: open(&node),
            pod: open(&pod),
            names: [node, pod],
        }
    }

    /// The path of the pod's namespace.
    pub fn pod_path(&self) -> PathBuf {
        path(&self.names[1])
    }

    /// The path of the node's namespace.
    pub fn node_path(&self) -> PathBuf {
        path(&self.names[0])
    }

    /// What a program prints in the pod.
    pub fn pod_prints(&self, program: &str, arguments: &[&str]) -> String {
        prints(&self.pod, program, arguments)
    }

    /// What a program prints on the node.
    pub fn node_prints(&self, program: &str, arguments: &[&str]) -> String {
        prints(&self.node, program, arguments)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn prints(netns: &Netns, program: &str, arguments: &[&str]) -> String {
    let run = || Command::new(program).args(arguments).output().unwrap();
    String::from_utf8(netns.run(run).unwrap().stdout).unwrap()
}

fn path(name: &str) -> PathBuf {
    Path::new("/var/run/netns").join(name)
}

pub fn listen(netns: &Netns, address: &str, port: u16) -> TcpListener {
    let address = SocketAddr::new(address.parse().unwrap(), port);
    let listener = netns.run(|| TcpListener::bind(address)).unwrap().unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

/// A connection from a namespace: its mark, the address it comes from if that is not its own, where it goes.
#[derive(Clone, Copy, Default)]
pub struct Dial<'a> {
    pub mark: u32,
    pub from: Option<&'a str>,
}

impl Dial<'_> {
    pub fn to(self, netns: &Netns, address: &str, port: u16) -> std::io::Result<TcpStream> {
        let address = SocketAddr::new(address.parse().unwrap(), port);
        let connect = || {
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
            if self.mark != 0 {
                socket.set_mark(self.mark)?;
            }
            if let Some(from) = self.from {
                socket.set_ip_transparent_v4(true)?;
                socket.bind(&SocketAddr::new(from.parse().unwrap(), 0).into())?;
            }
            socket.connect_timeout(&address.into(), LIMIT)?;
            Ok(TcpStream::from(socket))
        };
        netns.run(connect).unwrap()
    }
}

/// What a listener saw of one connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    /// The client's address.
    pub from: IpAddr,
    /// Where the client wanted to go, if the connection was redirected.
    pub original: Option<SocketAddr>,
}

/// Takes one connection from `listener`, and sends a byte each way over it.
pub fn meet(listener: &TcpListener, mut client: TcpStream) -> Seen {
    let begin = Instant::now();
    let (mut server, from) = loop {
        match listener.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(
                    begin.elapsed() < LIMIT,
                    "no connection at {}",
                    listener.local_addr().unwrap()
                );
                std::thread::sleep(Duration::from_millis(2));
            }
            accepted => break accepted.unwrap(),
        }
    };
    server.set_nonblocking(false).unwrap();
    for stream in [&server, &client] {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
    }
    let mut byte = [0];
    client.write_all(b"?").unwrap();
    server.read_exact(&mut byte).unwrap();
    server.write_all(b"!").unwrap();
    client.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"!");
    let own = server.local_addr().unwrap();
    let socket = SockRef::from(&server);
    let original = if own.is_ipv4() {
        socket.original_dst_v4()
    } else {
        socket.original_dst_v6()
    };
    let original = original
        .ok()
        .and_then(|address| address.as_socket())
        .filter(|address| *address != own);
    Seen {
        from: from.ip(),
        original,
    }
}
