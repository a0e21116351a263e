//! Browsers that only listen: a process of its own, told what to do over standard input.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::sse::now_us;

/// An event that arrived: whose, when, how many bytes.
type Arrival = (usize, f64, usize);

/// A comment that only keeps the connection open is shorter than this; an event is longer.
const SHORTEST_EVENT: usize = 64;

pub(crate) async fn run(address: &str, path: &str, cookie: &str, count: usize) -> anyhow::Result<()> {
    let (sender, mut arrivals) = mpsc::unbounded_channel::<Arrival>();
    for viewer in 0..count {
        let request = format!("GET {path} HTTP/1.1\r\nHost: panel\r\nAccept: text/event-stream\r\nCookie: {cookie}\r\n\r\n");
        tokio::spawn(watch(viewer, address.to_owned(), request, sender.clone()));
    }
    all(&mut arrivals, count).await;
    println!("ready");
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while orders.next_line().await?.is_some() {
        while arrivals.try_recv().is_ok() {}
        println!("armed");
        let (at, bytes) = all(&mut arrivals, count).await;
        println!("{at} {bytes}");
    }
    Ok(())
}

/// Waits until every viewer had an event; when the last one had it, and its size.
async fn all(arrivals: &mut mpsc::UnboundedReceiver<Arrival>, count: usize) -> (f64, usize) {
    let (mut seen, mut left) = (vec![false; count], count);
    let mut last = (0.0, 0);
    while left > 0 {
        let Some((viewer, at, bytes)) = arrivals.recv().await else { break };
        if !std::mem::replace(&mut seen[viewer], true) {
            left -= 1;
            last = (at, bytes);
        }
    }
    last
}

async fn watch(viewer: usize, address: String, request: String, sender: mpsc::UnboundedSender<Arrival>) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
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
                    sender.send((viewer, now_us(), bytes))?;
                }
                bytes = 0;
            }
            before = *byte;
        }
    }
}
