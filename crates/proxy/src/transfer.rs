//! Moves bytes between the two ends of a connection. Each pair of ends is compiled by itself: no dispatch, no lock.

use crate::sys;
use crate::telemetry::Tracked;
use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use std::future::poll_fn;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// Size of a read buffer, in bytes.
const BUFFER: usize = 64 << 10;

/// Where bytes come from.
pub trait Source {
    /// The next bytes; `None` at the end.
    fn read(&mut self) -> impl Future<Output = io::Result<Option<Bytes>>>;

    /// Bytes that were read have gone on: more may come.
    ///
    /// # Errors
    /// If the stream is over.
    fn passed_on(&mut self, bytes: usize) -> io::Result<()>;
}

/// Where bytes go.
pub trait Sink {
    /// Takes bytes, when there is room for them.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = io::Result<()>>;

    /// Passes the end on. The other direction stays open.
    fn finish(&mut self) -> impl Future<Output = io::Result<()>>;
}

/// The receiving half of a TCP connection.
pub struct TcpSource {
    half: OwnedReadHalf,
    buffer: BytesMut,
}

/// Splits a TCP connection. If the transfer does not come to its end, the peer sees a reset, not an end.
#[must_use]
pub fn tcp(stream: TcpStream) -> (TcpSource, TcpSink) {
    sys::reset_on_close(&stream);
    let (half, write) = stream.into_split();
    let buffer = BytesMut::with_capacity(BUFFER);
    (TcpSource { half, buffer }, TcpSink { half: Some(write) })
}

impl Source for TcpSource {
    async fn read(&mut self) -> io::Result<Option<Bytes>> {
        // The same memory again as soon as its bytes have gone.
        if self.buffer.capacity() - self.buffer.len() < BUFFER / 8 {
            self.buffer.reserve(BUFFER);
        }
        let read = self.half.read_buf(&mut self.buffer).await?;
        Ok((read > 0).then(|| self.buffer.split().freeze()))
    }

    fn passed_on(&mut self, _: usize) -> io::Result<()> {
        Ok(())
    }
}

/// The sending half of a TCP connection.
pub struct TcpSink {
    half: Option<OwnedWriteHalf>,
}

impl Sink for TcpSink {
    async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        let half = self.half.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        half.write_all(&bytes).await
    }

    async fn finish(&mut self) -> io::Result<()> {
        let half = self.half.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        half.shutdown().await?;
        // What was sent is still to be delivered: no reset any more, unless bytes come that nobody reads.
        sys::end_on_close(half.as_ref());
        Ok(())
    }
}

impl Drop for TcpSink {
    fn drop(&mut self) {
        // The half would pass an end on by itself, though there was none.
        if let Some(half) = self.half.take() {
            half.forget();
        }
    }
}

impl Source for RecvStream {
    async fn read(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            match self.data().await {
                // An empty frame is not an end.
                Some(Ok(bytes)) if bytes.is_empty() => {}
                Some(Ok(bytes)) => return Ok(Some(bytes)),
                Some(Err(error)) => return Err(io::Error::other(error)),
                None => return Ok(None),
            }
        }
    }

    fn passed_on(&mut self, bytes: usize) -> io::Result<()> {
        self.flow_control()
            .release_capacity(bytes)
            .map_err(io::Error::other)
    }
}

impl Sink for SendStream<Bytes> {
    async fn write(&mut self, mut bytes: Bytes) -> io::Result<()> {
        while !bytes.is_empty() {
            self.reserve_capacity(bytes.len());
            let room = match self.capacity() {
                0 => poll_fn(|cx| self.poll_capacity(cx)).await,
                room => Some(Ok(room)),
            };
            let room = room.ok_or(io::ErrorKind::BrokenPipe)?.map_err(io::Error::other)?;
            let chunk = bytes.split_to(room.min(bytes.len()));
            self.send_data(chunk, false).map_err(io::Error::other)?;
        }
        Ok(())
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.send_data(Bytes::new(), true).map_err(io::Error::other)
    }
}

/// Moves bytes in both directions until both have ended. `tracked` counts them.
///
/// # Errors
/// If either end fails: then both are to be given up.
pub async fn both_ways(
    client: (impl Source, impl Sink),
    server: (impl Source, impl Sink),
    tracked: &Tracked,
) -> io::Result<()> {
    let (from_client, to_client) = client;
    let (from_server, to_server) = server;
    tokio::try_join!(
        one_way(from_client, to_server, &tracked.up),
        one_way(from_server, to_client, &tracked.down),
    )?;
    Ok(())
}

async fn one_way(
    mut from: impl Source,
    mut to: impl Sink,
    count: &crate::telemetry::Bytes,
) -> io::Result<()> {
    while let Some(bytes) = from.read().await? {
        let length = bytes.len();
        to.write(bytes).await?;
        from.passed_on(length)?;
        count.add(length);
    }
    to.finish().await
}
