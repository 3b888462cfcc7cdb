//! The workload of the sample mesh.

use clap::{Parser, Subcommand};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve {
        #[arg(long, default_value_t = 8080)]
        http: u16,
        #[arg(long, default_value_t = 9000)]
        tcp: u16,
    },
    Get {
        url: String,
        #[arg(short = 'H', long = "header")]
        headers: Vec<String>,
        #[arg(long, default_value = "GET")]
        method: String,
        #[arg(long, default_value_t = 1)]
        repeat: u32,
    },
    Tcp {
        target: String,
        line: String,
    },
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    match Arguments::parse().command {
        Command::Serve { http, tcp } => serve(http, tcp).await,
        Command::Get {
            url,
            headers,
            method,
            repeat,
        } => {
            for _ in 0..repeat {
                let answer = match get(&url, &headers, &method).await {
                    Ok(answer) => answer,
                    Err(error) => json!({"error": error.to_string()}),
                };
                println!("{answer}");
            }
            Ok(())
        }
        Command::Tcp { target, line } => {
            let answer = match tcp_client(&target, &line).await {
                Ok(answer) => answer,
                Err(error) => json!({"error": error.to_string()}),
            };
            println!("{answer}");
            Ok(())
        }
    }
}

async fn serve(http: u16, tcp: u16) -> Result<(), Failure> {
    let listener = TcpListener::bind(("0.0.0.0", http)).await?;
    let raw = TcpListener::bind(("0.0.0.0", tcp)).await?;
    tokio::spawn(async move {
        while let Ok((stream, peer)) = raw.accept().await {
            tokio::spawn(echo(stream, peer));
        }
    });
    let mut end = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => accepted?,
            _ = end.recv() => return Ok(()),
        };
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, peer));
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn echo(stream: TcpStream, peer: SocketAddr) -> Result<(), Failure> {
    let (read, mut write) = stream.into_split();
    write
        .write_all(
            format!(
                "{}\n",
                json!({"pod": variable("POD_NAME"), "peer": peer.to_string()})
            )
            .as_bytes(),
        )
        .await?;
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        write.write_all(format!("{line}\n").as_bytes()).await?;
    }
    Ok(())
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

async fn answer(request: Request<Incoming>, peer: SocketAddr) -> Result<Response<Full<Bytes>>, Failure> {
    let mut headers = Map::new();
    for (name, value) in request.headers() {
        headers.insert(name.to_string(), String::from_utf8_lossy(value.as_bytes()).into());
    }
    let certificate = headers
        .get("x-forwarded-client-cert")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let identity = certificate
        .rsplit(',')
        .next()
        .and_then(|last| last.split(';').find_map(|part| part.strip_prefix("URI=")));
    let host = headers
        .get("host")
        .and_then(Value::as_str)
        .map(str::to_owned)
        .or_else(|| request.uri().authority().map(ToString::to_string));
    let query = request.uri().query().unwrap_or_default();
    let option = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    };
    if let Some(delay) = option("delay").and_then(|text| text.trim_end_matches("ms").parse().ok()) {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let status = option("status").and_then(|text| text.parse().ok()).unwrap_or(200);
    let body = json!({
        "method": request.method().as_str(), "path": request.uri().path(), "query": query, "host": host,
        "protocol": format!("{:?}", request.version()), "headers": headers.clone(), "identity": identity,
        "peer": peer.to_string(), "pod": variable("POD_NAME"), "namespace": variable("POD_NAMESPACE"),
        "service_account": variable("SERVICE_ACCOUNT"), "version": variable("VERSION"),
    });
    Ok(Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_string())))?)
}

async fn connect(target: &str) -> Result<TcpStream, Failure> {
    let (host, port) = target.rsplit_once(':').ok_or("no port")?;
    let port: u16 = port.parse()?;
    if let Ok(address) = host.parse::<std::net::IpAddr>() {
        return Ok(TcpStream::connect((address, port)).await?);
    }
    let resolver = hickory_resolver::TokioResolver::builder_tokio()?.build();
    let found = resolver.lookup_ip(host).await?;
    let address = found.iter().next().ok_or("no address")?;
    Ok(TcpStream::connect((address, port)).await?)
}

async fn get(url: &str, headers: &[String], method: &str) -> Result<Value, Failure> {
    let uri: hyper::Uri = url.parse()?;
    let host = uri.host().ok_or("no host")?;
    let stream = connect(&format!("{host}:{}", uri.port_u16().unwrap_or(80))).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder().method(method).uri(path);
    if !headers
        .iter()
        .any(|header| header.to_ascii_lowercase().starts_with("host:"))
    {
        request = request.header(
            "host",
            uri.authority().map_or(host, |authority| authority.as_str()),
        );
    }
    for header in headers {
        let (name, value) = header.split_once(':').ok_or("no colon in a header")?;
        request = request.header(name, value.trim());
    }
    let response = sender
        .send_request(request.body(Full::<Bytes>::default())?)
        .await?;
    let status = response.status().as_u16();
    let mut seen = Map::new();
    for (name, value) in response.headers() {
        seen.insert(name.to_string(), String::from_utf8_lossy(value.as_bytes()).into());
    }
    let bytes = response.into_body().collect().await?.to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(json!({"status": status, "headers": seen, "body": body}))
}

async fn tcp_client(target: &str, line: &str) -> Result<Value, Failure> {
    let (read, mut write) = connect(target).await?.into_split();
    write.write_all(format!("{line}\n").as_bytes()).await?;
    let mut lines = BufReader::new(read).lines();
    let greeting = lines.next_line().await?.ok_or("closed before a greeting")?;
    let echoed = lines.next_line().await?.ok_or("closed before an answer")?;
    Ok(json!({"greeting": greeting, "echo": echoed}))
}
