//! Asking the agent: one HTTP request on its Unix socket.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long the agent has to answer. It waits up to 5 s for the proxy itself.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read, in bytes.
const LONGEST: u64 = 64 * 1024;

/// The agent's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status of HTTP.
    pub status: u16,
    /// The text, without white space around it.
    pub text: String,
}

/// Posts `body` to `path` on the agent's socket.
///
/// # Errors
/// If nobody listens, or no whole answer comes in time.
pub fn post(socket: &Path, path: &str, body: &str) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    // HTTP/1.0, so that the answer ends where the connection does.
    let head = format!("POST {path} HTTP/1.0\r\nHost: unix\r\nContent-Type: application/json\r\n");
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    read(&String::from_utf8_lossy(&answer)).ok_or_else(|| io::Error::other("the agent's answer is no HTTP"))
}

fn read(answer: &str) -> Option<Answer> {
    let (head, text) = answer.split_once("\r\n\r\n")?;
    let mut words = head.lines().next()?.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    Some(Answer {
        status: words.next()?.parse().ok()?,
        text: text.trim().to_owned(),
    })
}
