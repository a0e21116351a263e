//! Open pages: the memory one more takes, and how long a change takes to reach a thousand.
//!
//! The viewers are a process of their own (`viewers`), so that the server's memory is the server's alone. The floor is a
//! broadcast channel behind the same kind of route, sending the same number of bytes. The panel's way is longer by a reading of
//! the list and its rendering, once for all viewers.

use std::convert::Infallible;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use axum::Router;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures::StreamExt as _;
use shared::bus::panel::Hint;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

use crate::figure::{Aim, Figure, median, report};
use crate::world::{World, serve};

const VIEWERS: usize = 1000;
const ROUNDS: usize = 7;
/// The panel groups what happens within 40 ms, twice on the way; a round begins when that is over.
const REST: Duration = Duration::from_millis(400);

pub(crate) async fn run() -> anyhow::Result<()> {
    let world = World::seed().await?;
    let panel = serve(world.router.clone()).await?.to_string();

    // One viewer first, so that what is there once is not counted a thousand times.
    let warm = Viewers::start(&panel, "/live?page=%2Fsites", &world.admin_cookie, 1).await?;
    let before = resident_bytes()?;
    let mut viewers = Viewers::start(&panel, "/live?page=%2Fsites", &world.admin_cookie, VIEWERS).await?;
    let grown = (resident_bytes()? - before) / 1000.0;
    let (mut reach, mut bytes) = (Vec::new(), 0);
    for round in 0..ROUNDS {
        viewers.arm().await?;
        let state = if round % 2 == 0 { "suspended" } else { "active" };
        let mut tx = world.db.write().await?;
        sqlx::query("UPDATE sites SET state = $1 WHERE domain = 'site0007.com'").bind(state).execute(&mut *tx).await?;
        tx.commit().await?;
        let account = Some(shared::ids::AccountId::new());
        let began = now_us();
        world.hub.hint(Hint { account, ..Hint::default() });
        let (last, size) = viewers.last().await?;
        reach.push((last - began) / 1000.0);
        bytes = size;
    }
    drop((warm, viewers));

    let (sender, _) = broadcast::channel::<String>(16);
    let floor = serve(bare(sender.clone())).await?.to_string();
    let warm = Viewers::start(&floor, "/", "", 1).await?;
    let before = resident_bytes()?;
    let mut viewers = Viewers::start(&floor, "/", "", VIEWERS).await?;
    let floor_grown = (resident_bytes()? - before) / 1000.0;
    let mut floor_reach = Vec::new();
    for _ in 0..ROUNDS {
        viewers.arm().await?;
        let began = now_us();
        sender.send("x".repeat(bytes)).context("nobody listens")?;
        floor_reach.push((viewers.last().await?.0 - began) / 1000.0);
    }
    drop(warm);
    println!("an event has {bytes} bytes");
    report(
        "sse",
        &[
            (Figure::new("sse.bytes_per_viewer", grown, "bytes", Some(floor_grown)), Aim::AtMost(65_536.0)),
            (Figure::new("sse.reach_1000", median(reach), "ms", Some(median(floor_reach))), Aim::RatioAtMost(10.0)),
        ],
    )
}

/// A stream of whatever is broadcast. The first event says that it is open.
fn bare(sender: broadcast::Sender<String>) -> Router {
    let stream = move || {
        let events = BroadcastStream::new(sender.subscribe()).filter_map(|text| async { text.ok() });
        let hello = futures::stream::iter(["hello ".repeat(20)]);
        let events = hello.chain(events).map(|text| Ok::<_, Infallible>(Event::default().data(text)));
        async { Sse::new(events).keep_alive(KeepAlive::new()) }
    };
    Router::new().route("/", get(stream))
}

/// The process of the viewers. It ends when dropped.
struct Viewers {
    _child: Child,
    tell: ChildStdin,
    hear: Lines<BufReader<ChildStdout>>,
}

impl Viewers {
    /// Opens the streams; returns when each has had its first event and the server has come to rest.
    async fn start(address: &str, path: &str, cookie: &str, count: usize) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["viewers", address, path, cookie, &count.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let tell = child.stdin.take().context("a pipe")?;
        let hear = BufReader::new(child.stdout.take().context("a pipe")?).lines();
        let mut viewers = Self { _child: child, tell, hear };
        anyhow::ensure!(viewers.line().await? == "ready", "the viewers did not get their first event");
        tokio::time::sleep(REST).await;
        Ok(viewers)
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let line = tokio::time::timeout(Duration::from_secs(60), self.hear.next_line()).await.context("the viewers say nothing")?;
        line?.context("the viewers are gone")
    }

    /// From now on an event counts.
    async fn arm(&mut self) -> anyhow::Result<()> {
        tokio::time::sleep(REST).await;
        self.tell.write_all(b"arm\n").await?;
        anyhow::ensure!(self.line().await? == "armed", "the viewers are not ready");
        Ok(())
    }

    /// When the last viewer had its event, microseconds since 1970, and how many bytes that event had.
    async fn last(&mut self) -> anyhow::Result<(f64, usize)> {
        let line = self.line().await?;
        let (at, bytes) = line.split_once(' ').context("a moment and a size")?;
        Ok((at.parse()?, bytes.parse()?))
    }
}

/// Microseconds since 1970, comparable between the processes of one machine.
pub(crate) fn now_us() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e6
}

/// Memory of this process that lies in RAM.
fn resident_bytes() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(kib.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
}
