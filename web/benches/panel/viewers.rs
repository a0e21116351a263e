//! Browsers that only listen: a process of its own, told what to do over standard input.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::sse::now_us;

/// An event that arrived: whose, when, how many bytes.
type Arrival = (usize, f64, usize);

/// So many open their stream at a time: a listening socket's queue has a thousand places, and who finds none tries again a second
/// later, then after two, after four.
const AT_ONCE: usize = 256;
/// Of so many that listen, one hears something within so long.
const SILENCE: Duration = Duration::from_secs(30);
/// A comment that only keeps the connection open is shorter than this; an event is longer.
const SHORTEST_EVENT: usize = 64;

pub(crate) async fn run(address: &str, path: &str, cookie: &str, count: usize) -> anyhow::Result<()> {
    let (sender, mut arrivals) = mpsc::unbounded_channel::<anyhow::Result<Arrival>>();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    for viewer in 0..count {
        let request = format!("GET {path} HTTP/1.1\r\nHost: panel\r\nAccept: text/event-stream\r\nCookie: {cookie}\r\n\r\n");
        let (address, sender, places) = (address.to_owned(), sender.clone(), Arc::clone(&places));
        tokio::spawn(async move {
            if let Err(error) = watch(viewer, &address, &request, &sender, &places).await {
                let _ = sender.send(Err(error.context(format!("viewer {viewer} of {count}"))));
            }
        });
    }
    all(&mut arrivals, count).await?;
    println!("ready");
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while orders.next_line().await?.is_some() {
        while arrivals.try_recv().is_ok() {}
        println!("armed");
        let (at, bytes) = all(&mut arrivals, count).await?;
        println!("{at} {bytes}");
    }
    Ok(())
}

/// Waits until every viewer had an event; when the last one had it, and its size.
async fn all(arrivals: &mut mpsc::UnboundedReceiver<anyhow::Result<Arrival>>, count: usize) -> anyhow::Result<(f64, usize)> {
    let (mut seen, mut left) = (vec![false; count], count);
    let mut last = (0.0, 0);
    while left > 0 {
        let arrival = timeout(SILENCE, arrivals.recv()).await.with_context(|| format!("{left} of {count} viewers hear nothing"))?;
        let (viewer, at, bytes) = arrival.context("no viewer is left")??;
        if !std::mem::replace(&mut seen[viewer], true) {
            left -= 1;
            last = (at, bytes);
        }
    }
    Ok(last)
}

async fn watch(
    viewer: usize,
    address: &str,
    request: &str,
    sender: &mpsc::UnboundedSender<anyhow::Result<Arrival>>,
    places: &Semaphore,
) -> anyhow::Result<()> {
    // Until the first event is there.
    let mut place = Some(places.acquire().await?);
    let mut stream = TcpStream::connect(address).await.context("connecting")?;
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = vec![0; 4096];
    // Bytes of the event so far, its frame included; an empty line ends it. The head of the response ends otherwise.
    let (mut bytes, mut before) = (0, 0);
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            anyhow::bail!("the stream ended");
        }
        for byte in &buffer[..length] {
            bytes += 1;
            if *byte == b'\n' && before == b'\n' {
                if bytes > SHORTEST_EVENT {
                    sender.send(Ok((viewer, now_us(), bytes)))?;
                    drop(place.take());
                }
                bytes = 0;
            }
            before = *byte;
        }
    }
}
