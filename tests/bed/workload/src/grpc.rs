//! One unary method of gRPC, `meshmigrate.workload.v1.Echo/Say`, spoken by hand: its request and its answer have
//! one field, `string text = 1`.

use crate::connect::{Failure, PATIENCE, connect};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http2;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use std::convert::Infallible;
use tokio::time::timeout;

const PATH: &str = "/meshmigrate.workload.v1.Echo/Say";
const CONTENT_TYPE: &str = "application/grpc";

/// Status codes of gRPC that are used here.
const OK: &str = "0";
const UNIMPLEMENTED: &str = "12";

/// Whether a request is one of gRPC.
pub fn is_call(headers: &HeaderMap) -> bool {
    let content_type = headers.get(hyper::header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(CONTENT_TYPE.as_bytes()))
}

/// The answer to a call: what was seen, as the text.
pub fn answer(path: &str, seen: &Value) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::http::Error> {
    let mut trailers = HeaderMap::new();
    let status = if path == PATH { OK } else { UNIMPLEMENTED };
    trailers.insert("grpc-status", hyper::header::HeaderValue::from_static(status));
    let frames = [Frame::data(frame(&seen.to_string())), Frame::trailers(trailers)];
    let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, Infallible>)));
    Response::builder()
        .header("content-type", CONTENT_TYPE)
        .body(body.boxed())
}

/// One call on a connection of its own; the status of gRPC, and what the server saw.
pub async fn call(target: &str, headers: &[(String, String)]) -> Result<Value, Failure> {
    let stream = TokioIo::new(connect(target).await?);
    let exchange = async {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream)
            .await
            .map_err(Failure::closed)?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method("POST")
            .uri(format!("http://{target}{PATH}"))
            .header("content-type", CONTENT_TYPE)
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(frame("hello")))
            .map_err(|error| Failure::Unusable(error.to_string()))?;
        read(sender.send_request(request).await.map_err(Failure::closed)?).await
    };
    timeout(PATIENCE, exchange).await.map_err(|_| Failure::Timeout)?
}

async fn read(response: Response<Incoming>) -> Result<Value, Failure> {
    let http_status = response.status().as_u16();
    // An answer without a message has its status among the headers.
    let mut status = grpc_status(response.headers());
    let collected = response.into_body().collect().await.map_err(Failure::closed)?;
    if let Some(trailers) = collected.trailers() {
        status = status.or(grpc_status(trailers));
    }
    let text = text_of(&collected.to_bytes()).unwrap_or_default();
    let body: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(json!({"status": http_status, "grpc_status": status, "body": body}))
}

fn grpc_status(headers: &HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// The message with this text, with gRPC's prefix: not compressed, length in four bytes.
fn frame(text: &str) -> Bytes {
    let mut message = vec![0x0a];
    let mut length = text.len();
    while length >= 0x80 {
        message.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    message.push(length as u8);
    message.extend_from_slice(text.as_bytes());
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(&message);
    frame.into()
}

/// The text of a framed message, if it is one.
fn text_of(frame: &[u8]) -> Option<String> {
    let message = frame.get(5..)?;
    let (tag, mut rest) = message.split_first()?;
    if *tag != 0x0a {
        return None;
    }
    let mut length = 0_usize;
    for shift in (0..28).step_by(7) {
        let (byte, after) = rest.split_first()?;
        length |= usize::from(byte & 0x7f) << shift;
        rest = after;
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(String::from_utf8_lossy(rest.get(..length)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_they_were() {
        for text in [
            "",
            "hello",
            &"x".repeat(127),
            &"y".repeat(128),
            &"z".repeat(70_000),
        ] {
            assert_eq!(text_of(&frame(text)).as_deref(), Some(text));
        }
        for hostile in [
            &b""[..],
            b"\0\0\0\0\x05",
            b"\0\0\0\0\x05\x0a\xff\xff",
            b"\0\0\0\0\x05\x12\x01a",
        ] {
            assert_eq!(text_of(hostile), None, "{hostile:?}");
        }
    }
}
