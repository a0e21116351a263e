//! Open pages: the memory one more takes, and how long a change takes to reach a thousand.
//!
//! Panel, floor and viewers are a process each, so that a server's memory is the server's alone. The floor is a
//! broadcast channel behind the same kind of route, sending the same number of bytes. The panel's way is longer by a reading of
//! the list and its rendering, once for all viewers.

use std::convert::Infallible;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use axum::Router;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::get;
use futures::StreamExt as _;
use shared::bus::panel::Hint;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

use crate::figure::{Aim, Figure, median, report};
use crate::served::{Helper, Served, serve};
use crate::world::{World, panel};

/// An even number: the last leaves the site as the first has found it, so that the next series begins with a change.
const ROUNDS: usize = 8;
/// The panel groups what happens within 40 ms, twice on the way; a round begins when that is over.
const REST: Duration = Duration::from_millis(400);

/// What was measured of one server.
struct Measured {
    /// Memory of one more viewer, bytes.
    per_viewer: f64,
    /// Milliseconds from an event to its arrival at the last of the viewers.
    reach: f64,
    /// Bytes of the event.
    bytes: usize,
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let world = World::seed().await?;
    let mut figures = Vec::new();
    for (viewers, memory, reach, times) in
        [(1000, "sse.bytes_per_viewer", "sse.reach_1000", 10.0), (10_000, "sse.bytes_per_viewer_10000", "sse.reach_10000", 2.0)]
    {
        let panel = Served::start(&["panel", &world.database]).await?;
        let event = |round: usize| ["suspended", "active"][round % 2].to_owned();
        let panel = measure(panel, "/live?page=%2Fsites", &world.admin_cookie, viewers, event).await?;
        let floor = Served::start(&["sse-floor"]).await?;
        let floor = measure(floor, "/", "", viewers, |_| panel.bytes.to_string()).await?;
        println!("{viewers} viewers: an event has {} bytes, of the floor {}", panel.bytes, floor.bytes);
        figures.push((Figure::new(memory, panel.per_viewer, "bytes", Some(floor.per_viewer)), Aim::AtMost(25.0 * 1024.0)));
        figures.push((Figure::new(reach, panel.reach, "ms", Some(floor.reach)), Aim::RatioAtMost(times)));
        report("sse", &figures)?;
    }
    Ok(())
}

async fn measure(mut server: Served, path: &str, cookie: &str, count: u32, event: impl Fn(usize) -> String) -> anyhow::Result<Measured> {
    let address = server.address.to_string();
    // One viewer first, so that what is there once is not counted a thousand times.
    let warm = Viewers::start(&address, path, cookie, 1).await?;
    let before = server.resident().await?;
    let mut viewers = Viewers::start(&address, path, cookie, count).await?;
    let per_viewer = (server.resident().await? - before) / f64::from(count);
    let (mut reach, mut bytes) = (Vec::new(), 0);
    for round in 0..ROUNDS {
        viewers.arm().await?;
        let began = server.event(&event(round)).await?;
        let (last, size) = viewers.last().await?;
        reach.push((last - began) / 1000.0);
        bytes = size;
    }
    drop((warm, viewers));
    Ok(Measured { per_viewer, reach: median(reach), bytes })
}

/// The process of the panel. An event is a site's new state, as dispatch hints at it.
pub(crate) async fn panel_process(database: &str) -> anyhow::Result<()> {
    let (router, db, hub) = panel(database).await?;
    serve(router, |state: String| {
        let (db, hub) = (db.clone(), hub.clone());
        async move {
            let mut tx = db.write().await?;
            sqlx::query("UPDATE sites SET state = $1 WHERE domain = 'site0007.com'").bind(state).execute(&mut *tx).await?;
            tx.commit().await?;
            let began = now_us();
            hub.hint(Hint { account: Some(shared::ids::AccountId::new()), ..Hint::default() });
            Ok(began)
        }
    })
    .await
}

/// The process of the floor. An event is a number of bytes.
pub(crate) async fn floor_process() -> anyhow::Result<()> {
    let (sender, _) = broadcast::channel::<String>(16);
    serve(bare(sender.clone()), |bytes: String| {
        let sender = sender.clone();
        async move {
            let text = "x".repeat(bytes.parse()?);
            let began = now_us();
            sender.send(text).context("nobody listens")?;
            Ok(began)
        }
    })
    .await
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

/// The process of the viewers.
struct Viewers(Helper);

impl Viewers {
    /// Opens the streams; returns when each has had its first event and the server has come to rest.
    async fn start(address: &str, path: &str, cookie: &str, count: u32) -> anyhow::Result<Self> {
        let mut viewers = Self(Helper::start(&["viewers", address, path, cookie, &count.to_string()])?);
        anyhow::ensure!(viewers.0.line().await? == "ready", "the viewers did not get their first event");
        tokio::time::sleep(REST).await;
        Ok(viewers)
    }

    /// From now on an event counts.
    async fn arm(&mut self) -> anyhow::Result<()> {
        tokio::time::sleep(REST).await;
        self.0.tell("arm").await?;
        anyhow::ensure!(self.0.line().await? == "armed", "the viewers are not ready");
        Ok(())
    }

    /// When the last viewer had its event, microseconds since 1970, and how many bytes that event had.
    async fn last(&mut self) -> anyhow::Result<(f64, usize)> {
        let line = self.0.line().await?;
        let (at, bytes) = line.split_once(' ').context("a moment and a size")?;
        Ok((at.parse()?, bytes.parse()?))
    }
}

/// Microseconds since 1970, comparable between the processes of one machine.
pub(crate) fn now_us() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e6
}
