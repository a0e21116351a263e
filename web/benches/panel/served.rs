//! A server in a process of its own: the panel or a floor. Each has a memory and a scheduler to itself, and both are asked in
//! the same way over standard input.

use std::future::Future;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A process of this program that is told what to do line by line. It ends when dropped.
pub(crate) struct Helper {
    _child: Child,
    tell: ChildStdin,
    hear: Lines<BufReader<ChildStdout>>,
}

impl Helper {
    pub(crate) fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let tell = child.stdin.take().context("a pipe")?;
        let hear = BufReader::new(child.stdout.take().context("a pipe")?).lines();
        Ok(Self { _child: child, tell, hear })
    }

    pub(crate) async fn tell(&mut self, order: &str) -> anyhow::Result<()> {
        Ok(self.tell.write_all(format!("{order}\n").as_bytes()).await?)
    }

    pub(crate) async fn line(&mut self) -> anyhow::Result<String> {
        let line = tokio::time::timeout(Duration::from_secs(180), self.hear.next_line()).await.context("the other process says nothing")?;
        line?.context("the other process is gone")
    }
}

/// A server.
pub(crate) struct Served {
    helper: Helper,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Served {
    pub(crate) async fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut helper = Helper::start(arguments)?;
        let address = helper.line().await?.parse().context("an address")?;
        Ok(Self { helper, address })
    }

    /// Its memory that lies in RAM, bytes.
    pub(crate) async fn resident(&mut self) -> anyhow::Result<f64> {
        self.helper.tell("memory").await?;
        Ok(self.helper.line().await?.parse()?)
    }

    /// Brings an event about; returns when that began, microseconds since 1970.
    pub(crate) async fn event(&mut self, what: &str) -> anyhow::Result<f64> {
        self.helper.tell(&format!("event {what}")).await?;
        Ok(self.helper.line().await?.parse()?)
    }
}

/// The other side of [`Served`]: serves on a free port of the loopback interface until standard input ends. `event` brings an
/// event about and tells when it began.
pub(crate) async fn serve<F: Future<Output = anyhow::Result<f64>>>(router: Router, event: impl Fn(String) -> F) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await });
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(order) = orders.next_line().await? {
        match order.split_once(' ') {
            Some(("event", what)) => println!("{}", event(what.to_owned()).await?),
            _ => println!("{}", resident_bytes()?),
        }
    }
    Ok(())
}

/// For a server that has no events.
pub(crate) async fn no_event(_: String) -> anyhow::Result<f64> {
    anyhow::bail!("this server has no events")
}

/// Memory of this process that lies in RAM.
fn resident_bytes() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(kib.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
}
