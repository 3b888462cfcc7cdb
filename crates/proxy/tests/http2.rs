//! Clients that abuse HTTP/2: what they do is bounded, and others go on.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod mesh;

use mesh::raw::{
    ACK, CONTINUATION, END_HEADERS, ENHANCE_YOUR_CALM, HEADERS, Heard, PING, PREFACE, RST_STREAM, Raw,
    SETTINGS, WINDOW_UPDATE, closed, connect_block, field, frame, resident,
};
use mesh::{Authority, Running, dial, node, record, start};
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, timeout};

/// One test at a time: they measure the memory of the process.
static TURN: Mutex<()> = Mutex::const_new(());

struct Bed {
    client: Running,
    _server: Running,
    application: SocketAddr,
    /// Connections that the application has seen.
    seen: Rc<Cell<usize>>,
}

/// Loopback addresses 127.`number`.0.1 for the client and 127.`number`.0.2 for the server, whose application sends
/// zeros without end once a byte has come.
async fn bed(number: u8) -> Bed {
    let authority = Authority::new();
    let at = |host: u8| IpAddr::from([127, number, 0, host]);
    let node = node(vec![record("client", at(1)), record("server", at(2))]);
    let listener = TcpListener::bind((at(2), 0)).await.unwrap();
    let application = listener.local_addr().unwrap();
    let seen = Rc::new(Cell::new(0));
    let count = seen.clone();
    spawn_local(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.set(count.get() + 1);
            spawn_local(async move {
                let mut first = [0; 1];
                if stream.read_exact(&mut first).await.is_ok() {
                    while stream.write_all(&[0; 64 << 10]).await.is_ok() {}
                }
            });
        }
    });
    Bed {
        client: start(&node, "client", at(1), authority.issue("client")),
        _server: start(&node, "server", at(2), authority.issue("server")),
        application,
        seen,
    }
}

/// A well-behaved client of the same server, through its own proxy.
struct Neighbour(TcpStream);

impl Neighbour {
    async fn new(bed: &Bed) -> Self {
        let mut stream = dial(&bed.client, bed.application).await;
        stream.write_all(b"x").await.unwrap();
        let mut neighbour = Self(stream);
        neighbour.is_well().await;
        neighbour
    }

    async fn is_well(&mut self) {
        let mut buffer = vec![1; 1 << 20];
        let read = timeout(Duration::from_secs(10), self.0.read_exact(&mut buffer)).await;
        read.expect("other connections go on").unwrap();
    }
}

async fn in_local(test: impl Future<Output = ()>) {
    let _turn = TURN.lock().await;
    LocalSet::new().run_until(test).await;
}

fn connect(bed: &Bed, stream: u32) -> Vec<u8> {
    frame(
        HEADERS,
        END_HEADERS,
        stream,
        &connect_block(&bed.application.to_string()),
    )
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

/// Sends `bytes` again and again until the server has closed the connection, but no more than `limit` bytes in all.
/// Returns how many it took.
async fn flood(raw: Raw, bytes: &[u8], limit: usize) -> (usize, Heard) {
    let (mut write, listening) = raw.listen();
    let mut sent = 0;
    while sent < limit && write.write_all(bytes).await.is_ok() {
        sent += bytes.len();
    }
    if sent >= limit {
        let _ = timeout(Duration::from_secs(5), write.shutdown()).await;
    }
    (sent, closed(listening).await)
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    in_local(async {
        let bed = bed(31).await;
        let mut neighbour = Neighbour::new(&bed).await;
        let (before, memory) = (bed.seen.get(), resident());
        let raw = Raw::greeted(&bed.client, bed.application).await;
        let pairs = (0..20_000).flat_map(|n| [connect(&bed, 2 * n + 1), reset(2 * n + 1)]);
        let (sent, heard) = flood(raw, &pairs.collect::<Vec<_>>().concat(), 1).await;
        assert_eq!(
            heard.goaway,
            Some(ENHANCE_YOUR_CALM),
            "after {sent} bytes: {heard:?}"
        );
        let (streams, grown) = (bed.seen.get() - before, resident().saturating_sub(memory));
        assert!(streams <= 200, "{streams} connections to the application");
        assert!(grown < 16 << 10, "{grown} KiB more");
        neighbour.is_well().await;
    })
    .await;
}

#[tokio::test]
async fn resets_at_a_measured_pace_end_the_connection_too() {
    in_local(async {
        let bed = bed(32).await;
        let mut neighbour = Neighbour::new(&bed).await;
        // Each request is under way, waiting for policies, when it is taken back: h2 itself does not count these.
        let store = &bed.client.pod.node.store;
        store.note(|received| received.policies = false);
        let raw = Raw::greeted(&bed.client, bed.application).await;
        let (mut write, listening) = raw.listen();
        let mut requests = 0;
        while requests < 2_000 && !listening.is_finished() {
            let stream = 2 * requests + 1;
            let _ = write.write_all(&connect(&bed, stream)).await;
            sleep(Duration::from_millis(1)).await;
            let _ = write.write_all(&reset(stream)).await;
            requests += 1;
        }
        let heard = closed(listening).await;
        assert_eq!(heard.goaway, Some(ENHANCE_YOUR_CALM), "{heard:?}");
        assert!((500..1_000).contains(&requests), "{requests} requests");
        store.note(|received| received.policies = true);
        neighbour.is_well().await;
    })
    .await;
}

#[tokio::test]
async fn continuations_without_end_end_the_connection() {
    in_local(async {
        let bed = bed(33).await;
        let mut neighbour = Neighbour::new(&bed).await;
        let many = field("x", &[b'a'; 100]).repeat(150);
        let one = field("x", b"");
        for payload in [many.as_slice(), &one, &[]] {
            let memory = resident();
            let mut raw = Raw::greeted(&bed.client, bed.application).await;
            let head = frame(HEADERS, 0, 1, &connect_block("127.33.0.2:80"));
            raw.write.write_all(&head).await.unwrap();
            let (sent, heard) = flood(raw, &frame(CONTINUATION, 0, 1, payload), 64 << 20).await;
            assert!(sent < 16 << 20, "{sent} bytes taken, {heard:?}");
            let grown = resident().saturating_sub(memory);
            assert!(grown < 16 << 10, "{grown} KiB more");
        }
        neighbour.is_well().await;
    })
    .await;
}

#[tokio::test]
async fn header_lists_beyond_the_limit_are_refused() {
    in_local(async {
        let bed = bed(34).await;
        let mut neighbour = Neighbour::new(&bed).await;
        // 60 KiB pass, 80 KiB do not, and 500 KiB are an attack.
        for (kib, opened, ended) in [(60_usize, true, false), (80, false, false), (500, false, true)] {
            let before = bed.seen.get();
            let raw = Raw::greeted(&bed.client, bed.application).await;
            let (mut write, listening) = raw.listen();
            let mut block = connect_block(&bed.application.to_string());
            block.extend(field("x", &vec![b'a'; 990]).repeat(kib));
            let _ = write.write_all(&frame(HEADERS, END_HEADERS, 1, &block)).await;
            if ended {
                let heard = closed(listening).await;
                assert_eq!(heard.answered, 0, "{kib} KiB: {heard:?}");
            } else {
                sleep(Duration::from_millis(300)).await;
                drop(write.shutdown().await);
                let heard = closed(listening).await;
                assert_eq!(heard.answered, 1, "{kib} KiB: {heard:?}");
            }
            assert_eq!(bed.seen.get() > before, opened, "{kib} KiB");
        }
        neighbour.is_well().await;
    })
    .await;
}

#[tokio::test]
async fn floods_of_small_frames_take_no_memory() {
    in_local(async {
        let bed = bed(35).await;
        let mut neighbour = Neighbour::new(&bed).await;
        let window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
        for (name, bytes) in [
            ("PING", frame(PING, 0, 0, &[7; 8])),
            ("PING with ACK", frame(PING, ACK, 0, &[7; 8])),
            ("SETTINGS", frame(SETTINGS, 0, 0, &[])),
            ("SETTINGS of a window", window),
        ] {
            let memory = resident();
            let batch = bytes.repeat(1000);
            // Who reads the answers, and who does not.
            let raw = Raw::greeted(&bed.client, bed.application).await;
            let (sent, _) = flood(raw, &batch, 4 << 20).await;
            let mut deaf = Raw::greeted(&bed.client, bed.application).await;
            let mut unread = 0;
            while unread < 64 << 20
                && let Ok(Ok(())) = timeout(Duration::from_millis(300), deaf.write.write_all(&batch)).await
            {
                unread += batch.len();
            }
            let grown = resident().saturating_sub(memory);
            assert!(
                grown < 24 << 10,
                "{name}: {grown} KiB more after {sent} and {unread} bytes"
            );
            neighbour.is_well().await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_not_http2_is_hung_up_on() {
    in_local(async {
        let bed = bed(36).await;
        let too_long = [&[0xff, 0xff, 0xff, 0, 0][..], &[0; 4]].concat();
        for (name, bytes) in [
            ("HTTP/1.1", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()),
            ("zeros", vec![0; 64]),
            (
                "a frame of 16 MiB",
                [PREFACE, &frame(SETTINGS, 0, 0, &[]), &too_long].concat(),
            ),
            (
                "DATA on stream 0",
                [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(0, 0, 0, b"x")].concat(),
            ),
            (
                "an even stream",
                [PREFACE, &frame(SETTINGS, 0, 0, &[]), &connect(&bed, 2)].concat(),
            ),
            (
                "WINDOW_UPDATE of 0",
                [
                    PREFACE,
                    &frame(SETTINGS, 0, 0, &[]),
                    &frame(WINDOW_UPDATE, 0, 0, &[0; 4]),
                ]
                .concat(),
            ),
            (
                "bad HPACK",
                [
                    PREFACE,
                    &frame(SETTINGS, 0, 0, &[]),
                    &frame(HEADERS, END_HEADERS, 1, &[0xff; 9]),
                ]
                .concat(),
            ),
        ] {
            let mut raw = Raw::open(&bed.client, bed.application).await;
            raw.write.write_all(&bytes).await.unwrap();
            let (write, listening) = raw.listen();
            let heard = timeout(Duration::from_secs(5), listening).await;
            let heard = heard
                .unwrap_or_else(|_| panic!("{name}: the connection stays open"))
                .unwrap();
            assert!(!matches!(heard.goaway, Some(0)), "{name}: {heard:?}");
            assert_eq!(heard.answered, 0, "{name}");
            drop(write);
        }
        assert_eq!(bed.seen.get(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_little_memory() {
    in_local(async {
        let bed = bed(37).await;
        let mut neighbour = Neighbour::new(&bed).await;
        let mut raw = Raw::greeted(&bed.client, bed.application).await;
        // Windows as large as they can be: nothing but our own limit holds the answers back.
        let mut bytes = frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
        bytes.extend(frame(WINDOW_UPDATE, 0, 0, &0x7f00_0000_u32.to_be_bytes()));
        for n in 0..200 {
            bytes.extend(connect(&bed, 2 * n + 1));
            bytes.extend(frame(0, 0, 2 * n + 1, b"x"));
        }
        let memory = resident();
        raw.write.write_all(&bytes).await.unwrap();
        sleep(Duration::from_secs(2)).await;
        let grown = resident().saturating_sub(memory);
        println!("{grown} KiB for {} streams that are not read", bed.seen.get());
        assert!(bed.seen.get() >= 200);
        assert!(grown < 48 << 10, "{grown} KiB more");
        neighbour.is_well().await;
        drop(raw);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_hung_up_on() {
    in_local(async {
        let bed = bed(38).await;
        let to = (bed.application.ip(), 15008);
        // The clock runs by itself while all wait.
        let hung_up = async |mut stream: TcpStream| {
            let since = Instant::now();
            let mut buffer = [0; 64];
            while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
            since.elapsed()
        };
        let silent = TcpStream::connect(to).await.unwrap();
        let waited = hung_up(silent).await;
        assert!(
            waited >= Duration::from_secs(10) && waited < Duration::from_secs(12),
            "{waited:?}"
        );
        let mut half = TcpStream::connect(to).await.unwrap();
        half.write_all(&[22, 3, 1, 2, 0, 1, 0]).await.unwrap();
        let waited = hung_up(half).await;
        assert!(
            waited < Duration::from_secs(12),
            "half a TLS handshake: {waited:?}"
        );
        for (name, bytes) in [
            ("no preface", &b""[..]),
            ("half a preface", b"PRI * HT"),
            ("no PING", PREFACE),
        ] {
            let mut stream = Raw::tls(&bed.client, bed.application).await;
            stream.write_all(bytes).await.unwrap();
            let since = Instant::now();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            let waited = since.elapsed();
            assert!(waited < Duration::from_secs(35), "{name}: {waited:?}");
        }
    })
    .await;
}

/// Servers that the client's proxy has been sent to. They have the right certificate, so one application could do this to
/// the proxy of others.
#[tokio::test]
async fn a_server_that_abuses_http2_costs_the_client_one_connection() {
    in_local(async {
        let authority = Authority::new();
        let at = |host: u8| IpAddr::from([127, 39, 0, host]);
        let node = node(vec![record("client", at(1)), record("server", at(2))]);
        let client = start(&node, "client", at(1), authority.issue("client"));
        let acceptor = tokio_rustls::TlsAcceptor::from(authority.issue("server").server());
        let listener = TcpListener::bind((at(2), 15008)).await.unwrap();
        let many = field("x", &[b'a'; 100]).repeat(150);
        let ok = field(":status", b"200");
        let informed = frame(HEADERS, END_HEADERS, 1, &field(":status", b"103"));
        for (name, first, flood) in [
            (
                "CONTINUATION",
                frame(HEADERS, 0, 1, &ok),
                frame(CONTINUATION, 0, 1, &many),
            ),
            (
                "empty CONTINUATION",
                frame(HEADERS, 0, 1, &ok),
                frame(CONTINUATION, 0, 1, &[]),
            ),
            ("status 103", vec![], informed.repeat(100)),
            ("PUSH_PROMISE", vec![], frame(5, END_HEADERS, 1, &[0, 0, 0, 2])),
            ("garbage", vec![], vec![0xff; 1000]),
        ] {
            let memory = resident();
            let mut stream = dial(&client, SocketAddr::new(at(2), 80)).await;
            let (accepted, _) = listener.accept().await.unwrap();
            let mut server = acceptor.accept(accepted).await.unwrap();
            server.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
            // The preface and the frames up to the request.
            let mut request = [0; 1024];
            while timeout(Duration::from_millis(200), server.read(&mut request))
                .await
                .is_ok()
            {}
            server.write_all(&first).await.unwrap();
            let since = std::time::Instant::now();
            let mut sent = 0;
            while sent < 64 << 20 && since.elapsed() < Duration::from_secs(5) {
                let written = timeout(Duration::from_millis(500), server.write_all(&flood)).await;
                if !matches!(written, Ok(Ok(()))) {
                    break;
                }
                sent += flood.len();
            }
            drop(server);
            let mut buffer = Vec::new();
            let read = timeout(Duration::from_secs(5), stream.read_to_end(&mut buffer)).await;
            assert!(read.is_ok_and(|read| read.is_err()), "{name}: reset");
            let grown = resident().saturating_sub(memory);
            println!("{name}: {sent} bytes sent, {grown} KiB more");
            assert!(grown < 24 << 10, "{name}: {grown} KiB more after {sent} bytes");
        }
    })
    .await;
}
