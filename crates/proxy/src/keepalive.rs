//! PINGs of HTTP/2: a connection whose peer does not answer is given up.

use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Sends a PING each `interval` and returns when one is not answered within `limit`, or the connection is closed.
pub async fn watch(ping_pong: Option<h2::PingPong>, interval: Duration, limit: Duration) {
    let Some(mut ping_pong) = ping_pong else {
        return std::future::pending().await;
    };
    loop {
        sleep(interval).await;
        let answer = timeout(limit, ping_pong.ping(h2::Ping::opaque())).await;
        if !matches!(answer, Ok(Ok(_))) {
            return;
        }
    }
}
