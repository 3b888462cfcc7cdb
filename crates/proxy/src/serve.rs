//! The listeners of a pod, on each worker.

use crate::hbone::pool::Pool;
use crate::pod::{Phase, Pod};
use crate::telemetry::{Reporter, Socket};
use crate::{inbound, outbound, sys};
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};

/// Held by whatever serves; when all are dropped, all has ended.
pub type Busy = mpsc::Sender<()>;

/// The listening sockets of a pod.
#[derive(Debug)]
pub struct Listeners {
    /// For outbound connections.
    pub outbound: StdListener,
    /// For plain inbound ones.
    pub plain: StdListener,
    /// For HBONE.
    pub hbone: StdListener,
}

impl Listeners {
    /// The same sockets once more, for another worker.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self {
            outbound: self.outbound.try_clone()?,
            plain: self.plain.try_clone()?,
            hbone: self.hbone.try_clone()?,
        })
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A thread of the data path. What starts on it stays on it.
#[derive(Debug, Clone)]
pub struct Worker {
    jobs: mpsc::UnboundedSender<Job>,
}

impl Worker {
    /// Starts a thread.
    ///
    /// # Errors
    /// If there is none to be had.
    pub fn start(number: usize) -> io::Result<Self> {
        let (jobs, mut received) = mpsc::unbounded_channel::<Job>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let run = move || {
            let local = LocalSet::new();
            local.block_on(&runtime, async move {
                while let Some(job) = received.recv().await {
                    job();
                }
            });
        };
        thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(run)?;
        Ok(Self { jobs })
    }

    /// Does something on the thread, inside its runtime.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) {
        // The thread lives as long as its sender.
        let _ = self.jobs.send(Box::new(job));
    }
}

/// Serves a pod on this worker. To be called inside a `LocalSet`.
///
/// # Errors
/// If the sockets cannot be waited for.
pub fn pod(pod: &Arc<Pod>, listeners: Listeners, busy: &Busy) -> io::Result<()> {
    let pool = Rc::new(Pool::default());
    let outbound = TcpListener::from_std(listeners.outbound)?;
    let plain = TcpListener::from_std(listeners.plain)?;
    let hbone = TcpListener::from_std(listeners.hbone)?;
    spawn_local(accept(
        outbound,
        Reporter::Source,
        pod.clone(),
        busy.clone(),
        move |pod, stream, source| outbound::serve(pod, pool.clone(), stream, source),
    ));
    spawn_local(accept(
        plain,
        Reporter::Destination,
        pod.clone(),
        busy.clone(),
        inbound::passthrough::serve,
    ));
    spawn_local(accept(
        hbone,
        Reporter::Destination,
        pod.clone(),
        busy.clone(),
        inbound::hbone::serve,
    ));
    Ok(())
}

/// Serves a pod whose own connections are not ours: HBONE into it, and nothing else. To be called inside a `LocalSet`.
///
/// # Errors
/// If the socket cannot be waited for.
pub fn hbone_only(pod: &Arc<Pod>, listener: StdListener, busy: &Busy) -> io::Result<()> {
    spawn_local(accept(
        TcpListener::from_std(listener)?,
        Reporter::Destination,
        pod.clone(),
        busy.clone(),
        inbound::hbone::serve,
    ));
    Ok(())
}

async fn accept<F>(
    listener: TcpListener,
    reporter: Reporter,
    pod: Arc<Pod>,
    busy: Busy,
    serve: impl Fn(Arc<Pod>, TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + 'static,
{
    let start = |stream: TcpStream, source: SocketAddr| {
        let serving = serve(pod.clone(), stream, sys::canonical(source));
        let socket = Socket::open(&pod.node.metrics, reporter);
        let (pod, busy) = (pod.clone(), busy.clone());
        spawn_local(async move {
            tokio::select! {
                () = serving => {}
                () = pod.reached(Phase::Stopped) => {}
            }
            drop((busy, socket));
        });
    };
    let mut draining = std::pin::pin!(pod.reached(Phase::Draining));
    loop {
        tokio::select! {
            biased;
            () = &mut draining => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, source)) => start(stream, source),
                // Out of descriptors, or the client was gone already. A pause keeps the first from spinning.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            },
        }
    }
    // Connections that the kernel has made already are ours to serve.
    while let Some(Ok((stream, source))) = std::future::poll_fn(|cx| match listener.poll_accept(cx) {
        std::task::Poll::Ready(accepted) => std::task::Poll::Ready(Some(accepted)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
    {
        start(stream, source);
    }
}
