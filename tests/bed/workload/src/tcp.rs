//! Lines over TCP: a greeting that says who answers, then an echo of every line.

use crate::connect::{Failure, PATIENCE, connect};
use crate::serve::Identity;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Serves one connection to its end.
pub async fn serve(stream: TcpStream, peer: SocketAddr, identity: &Identity) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut greeting = identity.as_json();
    greeting.insert("peer".to_owned(), peer.to_string().into());
    write
        .write_all(format!("{}\n", Value::Object(greeting)).as_bytes())
        .await?;
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        write.write_all(format!("{line}\n").as_bytes()).await?;
    }
    Ok(())
}

/// Sends one line on a connection of its own and reads its echo.
pub async fn ask(target: &str, line: &str) -> Result<Value, Failure> {
    let (read, mut write) = connect(target).await?.into_split();
    let exchange = async {
        write
            .write_all(format!("{line}\n").as_bytes())
            .await
            .map_err(Failure::closed)?;
        let mut lines = BufReader::new(read).lines();
        let mut next = async || {
            let line = lines.next_line().await.map_err(Failure::closed)?;
            line.ok_or_else(|| Failure::Closed("the end came before an answer".to_owned()))
        };
        let greeting = next().await?;
        let echo = next().await?;
        let body: Value = serde_json::from_str(&greeting).unwrap_or(Value::String(greeting));
        Ok(json!({"body": body, "echo": echo}))
    };
    timeout(PATIENCE, exchange).await.map_err(|_| Failure::Timeout)?
}
