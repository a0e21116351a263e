//! The line to chromedriver: one plain HTTP/1.1 exchange per connection on loopback. thirtyfour's own client would bring a
//! TLS stack along for it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{Method, Request, Response};
use thirtyfour::common::command::FormatRequestData;
use thirtyfour::error::{WebDriverError, WebDriverResult};
use thirtyfour::session::http::{Body, HttpClient};
use thirtyfour::{RequestData, SessionId};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// The client.
pub(crate) struct Wire;

/// What the trait's asynchronous functions return.
type Answer<'f, T> = Pin<Box<dyn Future<Output = T> + Send + 'f>>;

impl HttpClient for Wire {
    fn send<'s, 'r, 'f>(&'s self, request: Request<Body<'r>>) -> Answer<'f, WebDriverResult<Response<Bytes>>>
    where
        's: 'f,
        'r: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            let failed = |error: io::Error| WebDriverError::RequestFailed(format!("chromedriver did not answer: {error}"));
            let (status, body) = exchange(&request).await.map_err(failed)?;
            let answer = Response::builder().status(status).body(Bytes::from(body));
            answer.map_err(|error| WebDriverError::RequestFailed(format!("chromedriver answered {status}: {error}")))
        })
    }

    fn new<'s, 'f>(&'s self) -> Answer<'f, Arc<dyn HttpClient>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async { Arc::new(Self) as Arc<dyn HttpClient> })
    }
}

async fn exchange(request: &Request<Body<'_>>) -> io::Result<(u16, Vec<u8>)> {
    let uri = request.uri();
    let at = uri.authority().map(ToString::to_string).unwrap_or_default();
    let body = match request.body() {
        Body::Empty => String::new(),
        Body::Json(json) => json.to_string(),
    };
    let head = format!(
        "{} {} HTTP/1.1\r\nHost: {at}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        request.method(),
        uri.path(),
        body.len()
    );
    let mut stream = BufReader::new(TcpStream::connect(&at).await?);
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let mut length = 0;
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.trim().parse().unwrap_or(0),
            Some(_) => {}
            None => break,
        }
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    Ok((status, answer))
}

/// A command of the browser's own protocol, for what WebDriver has no word for.
#[derive(Debug)]
pub(crate) struct Cdp(pub(crate) &'static str, pub(crate) serde_json::Value);

impl FormatRequestData for Cdp {
    fn format_request(&self, session: &SessionId) -> RequestData {
        let body = serde_json::json!({ "cmd": self.0, "params": self.1 });
        RequestData::new(Method::POST, format!("/session/{session}/goog/cdp/execute")).add_body(body)
    }
}
