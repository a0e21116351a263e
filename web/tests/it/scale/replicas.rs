//! Two panels, two dispatchers, one database, one bus. What one does the others show, and any of them may die.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::bus::authority::BusAddress;
use shared::bus::credentials::BusKeys;
use shared::testing::NatsServer;
use sqlx::Row as _;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use web::store::Db;
use web::tls::TlsFiles;
use worker::config::Identity;
use worker::enrol::{EnrolOptions, enrol};
use worker::run::{WorkerConfig, run as work};
use worker::system::fake::FakeSystem;

use super::database;
use super::process::{Process, run};
use crate::host::panel::Panel;

const PATIENCE: Duration = Duration::from_secs(90);

/// Everything but the bus.
pub(super) struct Replicas {
    place: Place,
    db: Db,
    panels: Vec<(Process, String)>,
    dispatchers: Vec<(Process, &'static str)>,
}

/// Where the processes find each other.
struct Place {
    url: String,
    directory: TempDir,
    bus: BusAddress,
    bus_replicas: &'static str,
}

/// The panel as people type it, whichever process they come to.
const PUBLIC_URL: &str = "https://panel.example.org:8443";

/// The first panel is reached by IPv4, the second by IPv6.
const LISTEN: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

impl Place {
    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn panel(&self, listen: &str) -> Process {
        Process::start(&[
            "serve",
            "--database",
            &self.url,
            "--listen",
            listen,
            "--public-url",
            PUBLIC_URL,
            "--tls-dir",
            &self.path("tls"),
            "--bus-url",
            &self.bus.url,
            "--bus-authority",
            &self.path("authority.crt"),
            "--bus-credentials",
            &self.path("serve.json"),
            "--worker-packages",
            &self.path("packages"),
        ])
    }

    fn dispatcher(&self, name: &str) -> Process {
        Process::start(&[
            "dispatch",
            "--database",
            &self.url,
            "--bus-url",
            &self.bus.url,
            "--bus-authority",
            &self.path("authority.crt"),
            "--bus-replicas",
            self.bus_replicas,
            "--keys",
            &self.path("bus-keys.json"),
            "--serve-credentials",
            &self.path("serve.json"),
            "--name",
            name,
        ])
    }
}

/// A worker on a host in memory.
pub(super) struct Worker {
    host: Arc<FakeSystem>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    _state: TempDir,
}

impl Replicas {
    /// Starts two panels and two dispatchers at the same instant over an empty database: one panel listens on IPv4, one on IPv6.
    pub(super) async fn start(url: String, bus: BusAddress, bus_replicas: &'static str, keys: &BusKeys) -> Self {
        let directory = TempDir::new().unwrap();
        let file = |name: &str| directory.path().join(name);
        std::fs::write(file("authority.crt"), &bus.authority).unwrap();
        std::fs::write(file("bus-keys.json"), serde_json::to_vec(keys).unwrap()).unwrap();
        for empty in ["tls", "packages"] {
            std::fs::create_dir(file(empty)).unwrap();
        }
        let place = Place { url, directory, bus, bus_replicas };
        let panels: Vec<Process> = LISTEN.iter().map(|listen| place.panel(listen)).collect();
        let dispatchers = ["one", "two"].into_iter().map(|name| (place.dispatcher(name), name)).collect();
        let db = Db::open(&place.url).await.unwrap();
        Self { place, db, panels: panels.into_iter().map(listening).collect(), dispatchers }
    }

    fn address(&self, panel: usize) -> &str {
        &self.panels[panel].1
    }

    fn kill_panel(&mut self, panel: usize) {
        self.panels[panel].0.kill();
    }

    fn restart_panel(&mut self, panel: usize) {
        self.panels[panel] = listening(self.place.panel(LISTEN[panel]));
    }

    /// Kills the dispatcher that leads, and starts it again once another one does.
    async fn kill_leader(&mut self) {
        let leader = self.leader().await;
        let at = self.dispatchers.iter().position(|(_, name)| *name == leader).unwrap();
        self.dispatchers[at].0.kill();
        let deadline = Instant::now() + PATIENCE;
        while self.leader().await == leader {
            assert!(Instant::now() < deadline, "nobody leads in its place: {}", self.dispatchers[1 - at].0.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.dispatchers[at].0 = self.place.dispatcher(self.dispatchers[at].1);
    }

    async fn leader(&self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let row = sqlx::query("SELECT holder FROM leases WHERE name = 'dispatch'").fetch_optional(self.db.read()).await.unwrap();
            if let Some(row) = row {
                return row.get("holder");
            }
            assert!(Instant::now() < deadline, "nobody leads");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The first admin, signed in at the first panel.
    pub(super) fn sign_in(&self) -> Panel {
        Panel::sign_in_with(PUBLIC_URL, Some(self.address(0).to_owned()), &run(&["admin", "first", "--database", &self.place.url]))
    }

    /// Lets a worker join by one panel, and starts it. It reaches the bus at `bus`.
    pub(super) async fn worker(&self, panel: usize, bus: BusAddress) -> Worker {
        let server = ["server", "ensure", "web1", "--hostname", "web1.example.org", "--role", "web", "--database", &self.place.url];
        let fingerprint = TlsFiles::within(Path::new(&self.place.path("tls"))).fingerprint().unwrap();
        let options = EnrolOptions { panel: format!("https://{}", self.address(panel)), token: run(&server), fingerprint };
        let (host, state, stop) = (Arc::new(FakeSystem::new()), TempDir::new().unwrap(), CancellationToken::new());
        let identity = Identity { bus, ..enrol(options, state.path()).await.unwrap() };
        let version = env!("CARGO_PKG_VERSION").parse().unwrap();
        let config = WorkerConfig::new(identity, state.path(), host.clone(), version);
        let token = stop.clone();
        let task = tokio::spawn(async move { work(config, token).await.unwrap() });
        self.until("the server is online", "SELECT COUNT(*) FROM servers WHERE online = 1 AND php_versions <> '[]'", 1).await;
        Worker { host, stop, task, _state: state }
    }

    /// Waits until a query counts so many.
    async fn until(&self, what: &str, count: &'static str, expected: i64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let counted = self.count(count).await;
            if counted == expected {
                return;
            }
            assert!(Instant::now() < deadline, "waited until {what}: {counted} of {expected}; {}", self.logs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn count(&self, count: &'static str) -> i64 {
        sqlx::query_scalar(count).fetch_one(self.db.read()).await.unwrap()
    }

    fn logs(&self) -> String {
        let dispatchers = self.dispatchers.iter().map(|(process, _)| process.log());
        self.panels.iter().map(|(process, _)| process.log()).chain(dispatchers).collect::<Vec<_>>().join("\n---\n")
    }

    /// Every site that was asked for is there once, was asked for once, and each of its jobs was carried out once.
    pub(super) async fn assert_nothing_is_lost_or_doubled(&self, worker: &Worker, domains: &[String]) {
        let expected = i64::try_from(domains.len()).unwrap();
        self.until("every site is active", "SELECT COUNT(*) FROM sites WHERE state = 'active'", expected).await;
        self.until("every request has ended", "SELECT COUNT(*) FROM operations WHERE state <> 'succeeded'", 0).await;
        assert_eq!(self.count("SELECT COUNT(*) FROM sites").await, expected);
        assert_eq!(self.count("SELECT COUNT(*) FROM operations WHERE kind = 'site.create'").await, expected);
        assert_eq!(self.count("SELECT COUNT(*) FROM jobs WHERE state <> 'done' OR attempt <> 1").await, 0);
        assert_eq!(self.count("SELECT COUNT(*) FROM jobs WHERE resource LIKE 'site:%'").await, expected);
        let host = worker.host.snapshot();
        for domain in domains {
            let vhost = Path::new("/etc/nginx/sites-available").join(format!("{domain}.conf"));
            assert!(host.nodes.contains_key(&vhost), "{domain} is not on the host");
        }
    }
}

impl Worker {
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// The panel and its address once it listens.
fn listening(mut panel: Process) -> (Process, String) {
    let address = panel.said("the panel listens address=");
    (panel, address.trim().to_owned())
}

/// A browser that only listens.
struct Listener(Child, std::sync::mpsc::Receiver<String>);

impl Listener {
    /// Opens the stream of a page, and waits for its first message.
    fn open(panel: &Panel, page: &str) -> Self {
        let mut curl = panel.curl(&format!("/live?page={page}")).arg("--no-buffer").stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        let output = BufReader::new(curl.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let listener = Self(curl, lines);
        listener.hears("hx-partial");
        listener
    }

    /// Waits for a line that holds words. Every page is read again after 30 s without any hint, so a hint must come sooner.
    fn hears(&self, words: &str) {
        self.hears_that(words, |line| line.contains(words));
    }

    fn hears_that(&self, what: &str, is_it: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Ok(line) = self.1.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if is_it(&line) {
                return;
            }
        }
        panic!("{what:?} was not heard");
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The key that a form carries, by which a repeat is known.
fn form_key(panel: &Panel) -> String {
    let page = panel.get("/sites/new").body;
    let (_, rest) = page.split_once("name=\"key\" value=\"").expect("the form has a key");
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_panels_and_two_dispatchers_work_as_one_and_any_of_them_may_die() {
    let Some(url) = database().await else { return };
    let nats = NatsServer::start();
    let mut replicas = Replicas::start(url, nats.address(), "1", &nats.keys).await;
    let first = replicas.sign_in();
    let second = first.at(replicas.address(1));
    let worker = replicas.worker(1, nats.address()).await;

    // What is done at one panel is shown at the other, as it happens.
    let listener = Listener::open(&second, "/accounts");
    let owner = first.client("owner");
    let account = first.account(&owner, "shopuser");
    listener.hears("shopuser");
    // In the cell beside its name: the page says "Active" elsewhere too.
    listener.hears_that("shopuser's badge says Active", |line| {
        let cell = line.split_once(">shopuser</a></td><td>").and_then(|(_, rest)| rest.split_once("</td>"));
        cell.is_some_and(|(badge, _)| badge.contains("Active"))
    });
    drop(listener);
    assert_eq!(second.get(&format!("/accounts/{account}")).badge(), "Active");

    // A panel dies in mid-request; whoever sends the form again elsewhere has asked once.
    let mut domains = Vec::new();
    for round in 0..3 {
        let domain = format!("panel{round}.example.org");
        let (mut asked, key) = (first.at(replicas.address(0)), form_key(&second));
        let fields = [("account", account.as_str()), ("domain", &domain), ("php", "8.2"), ("key", &key)];
        std::thread::scope(|scope| {
            let request = scope.spawn(|| asked.post("/sites", &fields).status);
            // Each round a little later, so that not all of them die at the same place.
            std::thread::sleep(Duration::from_millis(10 * round));
            replicas.kill_panel(0);
            let status = request.join().unwrap();
            assert!(status == 303 || status == 0, "{status}");
        });
        assert_eq!(second.post("/sites", &fields).status, 303, "the other panel takes it");
        domains.push(domain);
        replicas.restart_panel(0);
        asked = first.at(replicas.address(0));
        assert_eq!(asked.get("/sites").status, 200, "who signed in at one is signed in at all");
    }

    // The dispatcher that leads dies while there is much to do.
    for round in 0..2 {
        for site in 0..8 {
            let domain = format!("leader{round}-{site}.example.org");
            let panel = first.at(replicas.address(site % 2));
            panel.site(&account, &domain, "8.2");
            domains.push(domain);
        }
        replicas.kill_leader().await;
    }
    replicas.assert_nothing_is_lost_or_doubled(&worker, &domains).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_at_once_bring_an_empty_database_up_to_date_once() {
    let Some(url) = database().await else { return };
    let start = Arc::new(std::sync::Barrier::new(6));
    let processes: Vec<_> = (0..6)
        .map(|_| {
            let (start, url) = (Arc::clone(&start), url.clone());
            std::thread::spawn(move || {
                start.wait();
                run(&["migrate", "--database", &url])
            })
        })
        .collect();
    for process in processes {
        process.join().expect("each of them succeeds");
    }
    let db = Db::open(&url).await.unwrap();
    let twice: i64 =
        sqlx::query_scalar("SELECT COUNT(*) - COUNT(DISTINCT version) FROM _sqlx_migrations").fetch_one(db.read()).await.unwrap();
    assert_eq!(twice, 0);
    db.close().await;
}
