//! `gantry forward-sites`: one local port that leads to whichever server holds the site a browser asks for.
//!
//! For trying Gantry out: `http://shop.localhost:8080` opens `shop.localhost` without any DNS. It reads the head of the
//! first request of a connection, finds the server by the Host header, and then copies bytes both ways.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::DatabaseArgs;
use crate::store::Db;
use crate::store::site_name::site_address_by_name;

#[derive(Debug, Args)]
pub(super) struct ForwardSites {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Where browsers connect.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

/// nginx's own limit for a request head is 8 KiB per line; this is four of them.
const MAX_HEAD: usize = 32 * 1024;
const HEAD_PATIENCE: Duration = Duration::from_secs(20);

impl ForwardSites {
    pub(super) async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let db = Db::open(&self.database.database).await.context("the database could not be opened")?;
        let listener = TcpListener::bind(self.listen).await.with_context(|| format!("{} is in use", self.listen))?;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                accepted = listener.accept() => {
                    if let Ok((browser, _)) = accepted {
                        let db = db.clone();
                        tokio::spawn(async move {
                            if let Err(error) = forward(&db, browser).await {
                                tracing::debug!(error = %error, "a connection was not forwarded");
                            }
                        });
                    }
                }
            }
        }
    }
}

async fn forward(db: &Db, mut browser: TcpStream) -> anyhow::Result<()> {
    let head = tokio::time::timeout(HEAD_PATIENCE, read_head(&mut browser)).await??;
    let Some(host) = host_of(&head) else {
        return answer(&mut browser, "400 Bad Request", "This request names no host.").await;
    };
    let Some(address) = site_address_by_name(db, &host).await? else {
        return answer(&mut browser, "404 Not Found", "No site of this name exists in Gantry.").await;
    };
    let target = if address.contains(':') { format!("[{address}]:80") } else { format!("{address}:80") };
    let Ok(Ok(mut server)) = tokio::time::timeout(Duration::from_secs(5), TcpStream::connect(&target)).await else {
        return answer(&mut browser, "502 Bad Gateway", "The server that holds this site does not answer.").await;
    };
    server.write_all(&head).await?;
    copy_bidirectional(&mut browser, &mut server).await?;
    Ok(())
}

/// Reads until the end of a request's head; what follows it is in the bytes too.
async fn read_head(browser: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        if head.windows(4).any(|four| four == b"\r\n\r\n") {
            return Ok(head);
        }
        anyhow::ensure!(head.len() < MAX_HEAD, "the head is too long");
        anyhow::ensure!(browser.read_buf(&mut head).await? > 0, "the browser went away");
    }
}

/// The Host header without its port.
fn host_of(head: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(head);
    let head = text.split("\r\n\r\n").next()?;
    let line = head.lines().skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("host").then(|| value.trim().to_ascii_lowercase())
    })?;
    let host = line.rsplit_once(':').map_or(line.as_str(), |(host, port)| if port.parse::<u16>().is_ok() { host } else { &line });
    Some(host.trim_end_matches('.').to_owned())
}

async fn answer(browser: &mut TcpStream, status: &str, text: &str) -> anyhow::Result<()> {
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}\n",
        text.len() + 1
    );
    browser.write_all(answer.as_bytes()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::host_of;

    #[test]
    fn the_host_is_read_without_its_port_and_case() {
        assert_eq!(host_of(b"GET / HTTP/1.1\r\nHost: Shop.localhost:8080\r\n\r\n").as_deref(), Some("shop.localhost"));
        assert_eq!(host_of(b"GET / HTTP/1.1\r\nX: y\r\nhost: a.example.\r\n\r\nHost: b").as_deref(), Some("a.example"));
        assert_eq!(host_of(b"GET / HTTP/1.0\r\n\r\n"), None);
    }
}
