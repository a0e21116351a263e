//! A fleet of 1,000 servers (`SERVERS` in the environment) on one panel: real `gantry serve` and `gantry dispatch` over SQLite, a real nats-server, and as many
//! workers in a process of their own that speak the real protocol, all on this machine.
//!
//! What is left out is what happens on hosts: jobs end at once. So jobs per second are those of panel and bus.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shared::bus::credentials::{Credentials, new_user_key};
use shared::bus::sealing::SealKey;
use shared::ids::{ServerId, SiteId};
use shared::jobs::ResourceKey;
use shared::role::Role;
use shared::testing::{NatsServer, now_s};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use web::app::account::{AccountCreate, account_create};
use web::app::signal::NoSignals;
use web::app::{Actor, App};
use web::config::Config;
use web::state::AppState;
use web::store::Db;
use web::store::panel::panel_epoch;
use web::store::server::{NewServer, server_insert_in_tx, server_list};

use crate::figure::{Aim, Figure, report};
use crate::served::Helper;
use crate::sse::now_us;
use crate::workers::Crew;
use crate::world::{admin, client, session};

/// So many unless [`SERVERS`] says otherwise. The aims are for this size.
const USUAL: usize = 1000;
const SERVERS: &str = "SERVERS";
/// Processor time is taken over so long.
const IDLE: Duration = Duration::from_secs(30);
/// Changes whose way to a browser is timed.
const CHANGES: usize = 120;
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) async fn run() -> anyhow::Result<()> {
    let size: usize = std::env::var(SERVERS).map_or(Ok(USUAL), |size| size.parse()).context(SERVERS)?;
    let nats = NatsServer::start();
    let fleet = Fleet::seed(&nats, size).await?;
    let mut panel = Panel::start(&fleet, &nats).await?;
    let began = Instant::now();
    let mut workers = Helper::start(&["workers", &fleet.path("crew.json")])?;
    fleet.until("every server is online", "SELECT COUNT(*) FROM servers WHERE online = 0").await?;
    println!("{size} servers are online {:.0} s after dispatch began", began.elapsed().as_secs_f64());
    anyhow::ensure!(workers.line().await? == "ready", "the workers are not connected");
    // What is done once, after so many have come, is over.
    tokio::time::sleep(IDLE).await;
    let cpu = panel.cpu_percent().await?;
    let jobs = fleet.jobs_per_second(&panel).await?;
    let page = panel.page_p99(&fleet.cookie).await?;
    let event = panel.event_p99(&fleet, &mut workers).await?;
    let memory = panel.resident_mib()?;
    let aim = |aim: Aim| if size == USUAL { aim } else { Aim::None };
    let figure = |name: &str, value: f64, unit: &'static str| Figure::new(&format!("fleet.{name}_{size}"), value, unit, None);
    report(
        "fleet",
        &[
            (figure("panel_cpu_percent", cpu, "percent of one processor"), aim(Aim::AtMost(20.0))),
            (figure("panel_rss_mib", memory, "MiB"), aim(Aim::AtMost(200.0))),
            (figure("jobs_per_s", jobs, "jobs/s"), aim(Aim::AtLeast(100.0))),
            (figure("servers_page_p99_ms", page, "ms"), aim(Aim::AtMost(50.0))),
            (figure("event_to_browser_p99_ms", event, "ms"), aim(Aim::AtMost(250.0))),
        ],
    )
}

/// The fleet as the database has it.
struct Fleet {
    app: App,
    actor: Actor,
    client: String,
    cookie: String,
    directory: TempDir,
}

impl Fleet {
    /// Servers that have joined.
    async fn seed(nats: &NatsServer, size: usize) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let db = Db::open(&format!("sqlite:{}", directory.path().join("panel.db").display())).await?;
        let epoch = panel_epoch(&db).await?;
        let app = AppState::new(db, Config::new("https://panel.example"), Arc::new(NoSignals))?.app;
        let actor = admin(&app).await?;
        let client = client(&app, &actor).await?.to_string();
        let mut tx = app.db.write().await?;
        let mut workers = Vec::with_capacity(size);
        for number in 0..size {
            let name: shared::names::ServerName = format!("web{number}").parse()?;
            let new = NewServer {
                name: name.clone(),
                hostname: format!("web{number}.example.com"),
                roles: vec![Role::Web],
                address: "192.0.2.1".to_owned(),
                max_accounts: None,
            };
            let id = server_insert_in_tx(&mut tx, &new).await?;
            let (seed, public_key) = new_user_key()?;
            sqlx::query("UPDATE servers SET public_key = $1, seal_key = $2 WHERE id = $3")
                .bind(&public_key)
                .bind(SealKey::generate().public_key())
                .bind(id.to_string())
                .execute(&mut *tx)
                .await?;
            workers.push((name.clone(), Credentials { jwt: nats.keys.worker_jwt(&name, &public_key, now_s())?, seed }));
        }
        sqlx::query("UPDATE users SET must_change_password = 0").execute(&mut *tx).await?;
        tx.commit().await?;
        let (cookie, _) = session(&app.db, actor.user).await?;
        let stream = shared::bus::topology::FIRST_COMMAND_STREAM.to_owned();
        let crew = Crew { bus: nats.address(), epoch, panel_key: nats.keys.job_signer()?.public_key(), stream, workers };
        let fleet = Self { app, actor, client, cookie, directory };
        std::fs::write(fleet.path("crew.json"), serde_json::to_vec(&crew)?)?;
        std::fs::write(fleet.path("bus-keys.json"), serde_json::to_vec(&nats.keys)?)?;
        std::fs::write(fleet.path("authority.crt"), &nats.address().authority)?;
        for empty in ["tls", "packages"] {
            std::fs::create_dir(fleet.path(empty))?;
        }
        Ok(fleet)
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// Waits until nothing is counted any more.
    async fn until(&self, what: &str, count: &'static str) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left: i64 = sqlx::query_scalar(count).fetch_one(self.app.db.read()).await?;
            if left == 0 {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "waited until {what}; {left} are left");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// An account and a site on every server, asked for while dispatch is held, from when it is let go until the last has ended.
    async fn jobs_per_second(&self, panel: &Panel) -> anyhow::Result<f64> {
        let servers: Vec<ServerId> = server_list(&self.app.db).await?.into_iter().map(|server| server.id).collect();
        panel.signal_dispatch(Signal::SIGSTOP)?;
        for (number, server) in servers.iter().enumerate() {
            let form = AccountCreate {
                owner: self.client.clone(),
                user: format!("user{number}"),
                server: server.to_string(),
                domain: format!("site{number}.com"),
                php: "8.2".to_owned(),
                ..AccountCreate::default()
            };
            account_create(&self.app, &self.actor, &form).await?;
        }
        let jobs: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM jobs").fetch_one(self.app.db.read()).await?;
        let began = Instant::now();
        panel.signal_dispatch(Signal::SIGCONT)?;
        self.until("every job has ended", "SELECT COUNT(*) FROM jobs WHERE state <> 'done'").await?;
        let seconds = began.elapsed().as_secs_f64();
        println!("{jobs} jobs in {seconds:.1} s");
        Ok(f64::from(u32::try_from(jobs)?) / seconds)
    }

    /// A site to be changed.
    async fn site(&self) -> anyhow::Result<SiteId> {
        let id: String = sqlx::query_scalar("SELECT id FROM sites WHERE domain = 'site500.com'").fetch_one(self.app.db.read()).await?;
        Ok(id.parse()?)
    }
}

/// The panel's two processes.
struct Panel {
    serve: Child,
    dispatch: Child,
    address: String,
}

impl Panel {
    async fn start(fleet: &Fleet, nats: &NatsServer) -> anyhow::Result<Self> {
        let (database, bus) = (format!("sqlite:{}", fleet.path("panel.db")), nats.address().url);
        let authority = fleet.path("authority.crt");
        let shared = ["--database", &database, "--bus-url", &bus, "--bus-authority", &authority];
        let credentials = fleet.path("serve.json");
        let start = |command: &str, more: &[&str]| -> anyhow::Result<Child> {
            let log = std::fs::File::create(fleet.path(&format!("{command}.log")))?;
            let program = Command::new(env!("CARGO_BIN_EXE_gantry"))
                .arg(command)
                .args(shared)
                .args(more)
                .stdin(Stdio::null())
                .stderr(log)
                .kill_on_drop(true)
                .spawn()?;
            Ok(program)
        };
        let dispatch = start("dispatch", &["--keys", &fleet.path("bus-keys.json"), "--serve-credentials", &credentials])?;
        let (tls, packages) = (fleet.path("tls"), fleet.path("packages"));
        let serve = start(
            "serve",
            &["--listen", "127.0.0.1:0", "--tls-dir", &tls, "--bus-credentials", &credentials, "--worker-packages", &packages],
        )?;
        let address = listening(&fleet.directory.path().join("serve.log")).await?;
        Ok(Self { serve, dispatch, address })
    }

    fn signal_dispatch(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.dispatch.id().context("dispatch has ended")?)?), signal)?)
    }

    fn pids(&self) -> anyhow::Result<[u32; 2]> {
        Ok([self.serve.id().context("serve has ended")?, self.dispatch.id().context("dispatch has ended")?])
    }

    /// Processor time of both while nobody asks for anything, in percent of one processor.
    async fn cpu_percent(&self) -> anyhow::Result<f64> {
        let pids = self.pids()?;
        let (before, began) = (cpu_seconds(&pids)?, Instant::now());
        tokio::time::sleep(IDLE).await;
        Ok((cpu_seconds(&pids)? - before) / began.elapsed().as_secs_f64() * 100.0)
    }

    fn resident_mib(&self) -> anyhow::Result<f64> {
        let mut kib = 0.0;
        for pid in self.pids()? {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
            kib += line.trim().trim_end_matches(" kB").parse::<f64>()?;
        }
        Ok(kib / 1024.0)
    }

    /// The slowest of a hundred requests for the list of servers, milliseconds, over HTTPS.
    async fn page_p99(&self, cookie: &str) -> anyhow::Result<f64> {
        let output = Command::new("wrk")
            .args(["-t1", "-c1", "-d10s", "--latency", "-H", &format!("Cookie: {cookie}")])
            .arg(format!("https://{}/servers", self.address))
            .output()
            .await
            .context("wrk could not be started; .ci/bench.sh installs it")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        anyhow::ensure!(!text.contains("Non-2xx"), "the list of servers failed: {text}");
        let line = text.lines().find_map(|line| line.trim().strip_prefix("99%")).with_context(|| format!("wrk said {text}"))?.trim();
        let (number, factor) = match (line.strip_suffix("us"), line.strip_suffix("ms"), line.strip_suffix('s')) {
            (Some(number), _, _) => (number, 0.001),
            (_, Some(number), _) => (number, 1.0),
            (_, _, Some(number)) => (number, 1000.0),
            _ => anyhow::bail!("wrk said {line}"),
        };
        Ok(number.parse::<f64>()? * factor)
    }

    /// From a worker's "done" until the browser has the row that says so, milliseconds: the slowest of a hundred.
    async fn event_p99(&mut self, fleet: &Fleet, workers: &mut Helper) -> anyhow::Result<f64> {
        workers.tell("tell").await?;
        let site = fleet.site().await?;
        let mut browser = Browser::open(&self.address, &fleet.cookie, "/sites?q=site500.com", &format!("#site-{site}")).await?;
        let mut took = Vec::with_capacity(CHANGES);
        for change in 0..CHANGES {
            let (action, badge) = if change % 2 == 0 { ("suspend", "Suspended") } else { ("unsuspend", "Active") };
            self.post(&fleet.cookie, &format!("/sites/{site}/{action}")).await?;
            let began = loop {
                let line = workers.line().await?;
                let (resource, at) = line.split_once(' ').context("a resource and a moment")?;
                if resource == ResourceKey::Site(site).to_string() {
                    break at.parse::<f64>()?;
                }
            };
            took.push((browser.sees(badge).await? - began) / 1000.0);
        }
        took.sort_by(f64::total_cmp);
        println!("event to browser: median {:.1} ms of {CHANGES}", took[took.len() / 2]);
        Ok(took[took.len() * 99 / 100])
    }

    async fn post(&self, cookie: &str, path: &str) -> anyhow::Result<()> {
        let output =
            curl(&self.address, cookie, path).args(["--data", "", "--output", "/dev/null", "--write-out", "%{http_code}"]).output();
        let status = String::from_utf8_lossy(&output.await?.stdout).into_owned();
        anyhow::ensure!(status == "303", "{path} answered {status}");
        Ok(())
    }
}

fn curl(address: &str, cookie: &str, path: &str) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--insecure", "--noproxy", "*", "--header", "Sec-Fetch-Site: same-origin", "--cookie", cookie])
        .arg(format!("https://{address}{path}"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    curl
}

/// Somebody who looks at a page.
struct Browser {
    _curl: Child,
    lines: Lines<BufReader<ChildStdout>>,
    target: String,
}

impl Browser {
    /// Opens a page's stream, and watches one row of it.
    async fn open(address: &str, cookie: &str, page: &str, row: &str) -> anyhow::Result<Self> {
        let page = page.replace('?', "%3F").replace('=', "%3D");
        let mut curl = curl(address, cookie, &format!("/live?page={page}")).arg("--no-buffer").stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(curl.stdout.take().context("a pipe")?).lines();
        let mut browser = Self { _curl: curl, lines, target: format!("hx-target=\"{row}\"") };
        anyhow::ensure!(browser.line().await?.contains("hx-partial"), "the page has no stream");
        Ok(browser)
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.context("the stream says nothing")?;
        line?.context("the stream ended")
    }

    /// When the row said this, microseconds since 1970.
    async fn sees(&mut self, badge: &str) -> anyhow::Result<f64> {
        loop {
            let line = self.line().await?;
            let row = line.split_once(&self.target).and_then(|(_, rest)| rest.split("</hx-partial>").next());
            if row.is_some_and(|row| row.contains(&format!("{badge}</span>"))) {
                return Ok(now_us());
            }
        }
    }
}

/// Processor time of these processes so far.
fn cpu_seconds(pids: &[u32]) -> anyhow::Result<f64> {
    /// Linux tells every program the same, whatever the kernel counts in.
    const TICKS_PER_SECOND: f64 = 100.0;
    let mut ticks = 0.0;
    for pid in pids {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The program's name is in brackets and may hold anything; utime and stime are fields 14 and 15.
        let (_, fields) = stat.rsplit_once(") ").context("a process")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        for field in [11, 12] {
            ticks += fields.get(field).context("a field")?.parse::<f64>()?;
        }
    }
    Ok(ticks / TICKS_PER_SECOND)
}

/// Where a panel listens, once it says so.
async fn listening(log: &Path) -> anyhow::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read_to_string(log)?;
        if let Some((_, rest)) = text.split_once("the panel listens address=") {
            return Ok(rest.split_whitespace().next().unwrap_or_default().to_owned());
        }
        anyhow::ensure!(Instant::now() < deadline, "the panel does not listen: {text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
