//! Load: streams of requests, each request with an id of its own, each counted, each failure reported when it
//! happens. Nothing is tried twice: what a caller would see is what is counted.

mod count;
mod journal;
mod stream;

use crate::connect::{Failure, PATIENCE};
use count::Counts;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use journal::Journal;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use stream::Stream;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How long requests may take that are on their way when the end comes: longer than any may take at all.
const LAST_ANSWERS: Duration = PATIENCE.saturating_add(Duration::from_secs(2));

/// Sends the streams of a file until told to end or until the time is over, waits for the last answers, and prints
/// the totals.
pub async fn run(
    file: &Path,
    control: u16,
    duration: Option<Duration>,
    journal: Option<&Path>,
) -> Result<(), Failure> {
    let unusable = |error: &dyn std::fmt::Display| Failure::Unusable(format!("{}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| unusable(&error))?;
    let streams: Vec<Stream> = serde_json::from_str(&text).map_err(|error| unusable(&error))?;
    let pod = std::env::var("POD_NAME").unwrap_or_else(|_| "load".to_owned());
    let journal = journal.map(|folder| Journal::open(folder, &pod)).transpose()?;
    let names = streams.iter().map(|stream| stream.name.clone());
    let counts = Arc::new(Counts::new(names, journal));
    let (tell, ending) = watch::channel(false);
    let listener = TcpListener::bind(("0.0.0.0", control))
        .await
        .map_err(Failure::Connect)?;
    tokio::spawn(answer_questions(listener, Arc::clone(&counts)));
    for stream in streams {
        let sender = stream.prepare()?;
        tokio::spawn(sender.send(Arc::clone(&counts), ending.clone()));
    }
    tokio::spawn(note_every_second(Arc::clone(&counts)));
    let mut end = signal(SignalKind::terminate()).map_err(Failure::Connect)?;
    let time_is_over = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = end.recv() => {}
        () = time_is_over => {}
    }
    let _ = tell.send(true);
    let late = tokio::time::Instant::now() + LAST_ANSWERS;
    while counts.open() > 0 && tokio::time::Instant::now() < late {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    crate::print(&counts.close());
    Ok(())
}

async fn note_every_second(counts: Arc<Counts>) {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        counts.note_so_far();
    }
}

/// `GET /report` gives the counts, `POST /reset` sets them back.
async fn answer_questions(listener: TcpListener, counts: Arc<Counts>) {
    while let Ok((stream, _)) = listener.accept().await {
        let counts = Arc::clone(&counts);
        let service = service_fn(move |request| {
            let counts = Arc::clone(&counts);
            async move { Ok::<_, Infallible>(answer(&request, &counts)) }
        });
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

fn answer(request: &Request<Incoming>, counts: &Counts) -> Response<Full<Bytes>> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/report") => (StatusCode::OK, counts.report().to_string()),
        (&Method::POST, "/reset") => {
            counts.reset();
            (StatusCode::OK, "{}".to_owned())
        }
        (&Method::GET, "/healthz") => (StatusCode::OK, "{}".to_owned()),
        _ => (StatusCode::NOT_FOUND, "{}".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}
