//! A proxy in front of the API server that answers, drops or freezes requests of its choice.

use crate::api::Api;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

/// A request, as the proxy sees it.
pub struct Seen {
    pub method: String,
    pub path: String,
}

impl Seen {
    /// Whether it changes anything but the lease, which is renewed at any time.
    pub fn is_write(&self) -> bool {
        self.method != "GET" && !self.path.contains("/leases")
    }
}

/// What the proxy does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// The server's answer is handed on.
    Pass,
    /// The server never sees the request, which gets this status, and these headers.
    Answer(u16, String),
    /// The connection ends without the server having seen the request.
    Drop,
    /// The server's answer is lost.
    LoseAnswer,
    /// The server never sees the request, and there is no answer, ever; the test is told.
    Freeze,
    /// The server's answer is held back, for ever; the test is told.
    FreezeAfter,
}

type Judge = Box<dyn FnMut(&Seen) -> Deed + Send>;

/// A running proxy.
pub struct Proxy {
    judge: Arc<Mutex<Judge>>,
    pub frozen: std::sync::mpsc::Receiver<()>,
    pub kubeconfig: PathBuf,
    _folder: tempfile::TempDir,
}

impl Proxy {
    pub fn start(upstream: &Path, judge: impl FnMut(&Seen) -> Deed + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        // Without a token: the proxy adds the one of its own client.
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: proxy\nclusters:\n- name: c\n  cluster: {{server: \
             'http://127.0.0.1:{port}'}}\nusers:\n- name: u\n  user: {{}}\ncontexts:\n- name: proxy\n  context: \
             {{cluster: c, user: u}}\n"
        );
        std::fs::write(&kubeconfig, text).unwrap();
        let judge: Arc<Mutex<Judge>> = Arc::new(Mutex::new(Box::new(judge)));
        let (freezes, frozen) = channel();
        let (upstream, shared) = (upstream.to_owned(), Arc::clone(&judge));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (upstream, judge, freezes) = (upstream.clone(), Arc::clone(&shared), freezes.clone());
                std::thread::spawn(move || {
                    // The other side may be killed at any time.
                    let _ = serve(stream, &Api::new(&upstream), &judge, &freezes);
                });
            }
        });
        Self {
            judge,
            frozen,
            kubeconfig,
            _folder: folder,
        }
    }

    pub fn judge(&self, judge: impl FnMut(&Seen) -> Deed + Send + 'static) {
        *self.judge.lock().unwrap() = Box::new(judge);
    }
}

fn serve(stream: TcpStream, api: &Api, judge: &Mutex<Judge>, freezes: &Sender<()>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace();
        let [method, path] = [words.next(), words.next()].map(|word| word.unwrap_or_default().to_owned());
        let (mut length, mut content_type) = (0, "application/json".to_owned());
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim().split_once(':') else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or(0),
                "content-type" => value.trim().clone_into(&mut content_type),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let seen = Seen { method, path };
        let deed = judge.lock().unwrap()(&seen);
        let pass = |body| api.raw(&seen.method, &seen.path, &content_type, body);
        let (status, extra, answer) = match deed {
            Deed::Drop => return Ok(()),
            Deed::LoseAnswer => {
                pass(body);
                return Ok(());
            }
            Deed::Freeze | Deed::FreezeAfter => {
                if deed == Deed::FreezeAfter {
                    pass(body);
                }
                let _ = freezes.send(());
                // Until the other side ends.
                let _ = reader.read(&mut [0; 1]);
                return Ok(());
            }
            Deed::Answer(status, headers) => (status, headers, b"no".to_vec()),
            Deed::Pass => {
                let (status, answer) = pass(body);
                (status, String::new(), answer)
            }
        };
        let length = answer.len();
        write!(
            writer,
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{extra}content-length: {length}\r\n\r\n"
        )?;
        writer.write_all(&answer)?;
    }
}
