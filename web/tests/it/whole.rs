//! The whole system but for the host: panel, dispatch, a real nats-server and a real worker on a host in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shared::bus::credentials::{BusKeys, Credentials, PanelUser, new_user_key};
use shared::bus::panel::{DispatchBus, ServeBus};
use shared::bus::sealing::SealKey;
use shared::bus::signing::{Purpose, sign};
use shared::bus::topology::Replicas;
use shared::bus::worker::WorkerBus;
use shared::enrolment::{EnrolmentReply, EnrolmentRequest, Refusal};
use shared::events::{Event, EventEnvelope, Outcome, Verdict};
use shared::ids::{AccountId, Epoch, EventId, JobId, OperationId, SiteId};
use shared::jobs::{AccountLimits, AccountSpec, Generation, Job, JobEnvelope, Presence, ResourceKey, SftpAccess};
use shared::operation::ResourceState;
use shared::role::Role;
use shared::testing::NatsServer;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use web::app::enrolment::{Enrolled, enrol, enrol_reply, token_server};
use web::auth::token::{token_hash, token_new};
use web::dispatch::{DispatchConfig, run as dispatch};
use web::store::enrolment::enrolment_insert_in_tx;
use web::store::job::job_list_of_operation;
use web::store::server::{NewServer, server_fetch_by_name, server_insert_in_tx};
use web::store::user::UserRole;
use web::store::{Db, now_ms};
use web::tls::TlsFiles;
use worker::config::Identity;
use worker::enrol::{EnrolError, EnrolOptions, Enrolment};
use worker::panel::PanelError;
use worker::run::{WorkerConfig, run as work};
use worker::system::fake::FakeSystem;

use super::support::app::{Browser, TestApp};
use super::support::fleet::{person, signed_in};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A panel, its bus, and one worker on a host in memory.
pub(crate) struct Whole {
    pub(crate) app: TestApp,
    pub(crate) admin: Browser,
    pub(crate) nats: NatsServer,
    pub(crate) host: Arc<FakeSystem>,
    pub(crate) identity: Identity,
    pub(crate) state: TempDir,
    pub(crate) dispatch: Running,
    pub(crate) worker: Running,
}

/// Something that runs until it is stopped.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn stop(&mut self) {
        self.stop.cancel();
        let _ = (&mut self.task).await;
    }

    /// Ends it without warning, wherever it is.
    pub(crate) async fn kill(&mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

pub(crate) fn start_dispatch(db: &Db, nats: &NatsServer) -> Running {
    let (db, stop) = (db.clone(), CancellationToken::new());
    let config = DispatchConfig {
        bus: nats.address(),
        bus_for_workers: nats.address(),
        keys: nats.keys.clone(),
        replicas: Replicas::ONE,
        name: None,
    };
    let token = stop.clone();
    let task = tokio::spawn(async move { dispatch(db, config, token).await.unwrap() });
    Running { stop, task }
}

pub(crate) fn start_worker(identity: &Identity, host: &Arc<FakeSystem>, state: &TempDir) -> Running {
    let stop = CancellationToken::new();
    let version = env!("CARGO_PKG_VERSION").parse().unwrap();
    let config = WorkerConfig {
        drift_period: Duration::from_secs(3600),
        ..WorkerConfig::new(identity.clone(), state.path(), host.clone(), version)
    };
    let token = stop.clone();
    let task = tokio::spawn(async move { work(config, token).await.unwrap() });
    Running { stop, task }
}

/// Adds a server, if there is none of the name, and lets a worker join as it like `gantry-worker enroll`, short of HTTP.
pub(crate) async fn join(app: &TestApp, nats: &NatsServer, name: &str) -> Identity {
    let token = token_new();
    let known = server_fetch_by_name(app.db(), &name.parse().unwrap()).await.unwrap();
    let mut tx = app.db().write().await.unwrap();
    let new = NewServer {
        name: name.parse().unwrap(),
        hostname: format!("{name}.example.org"),
        roles: vec![Role::Web],
        address: "192.0.2.1".to_owned(),
        max_accounts: None,
    };
    let server = match known {
        Some(known) => known.id,
        None => server_insert_in_tx(&mut tx, &new).await.unwrap(),
    };
    enrolment_insert_in_tx(&mut tx, server, &token_hash(token.expose()), i64::MAX).await.unwrap();
    tx.commit().await.unwrap();

    let (seed, public_key) = new_user_key().unwrap();
    let seal = SealKey::generate();
    let request = EnrolmentRequest { token: token.expose().clone(), public_key, seal_key: seal.public_key() };
    let Enrolled::Waiting(id) = enrol(&app.state.app, &request).await.unwrap() else { panic!("answered before dispatch could") };
    let reply = until("dispatch answers the enrolment", async || enrol_reply(&app.state.app, &id).await.unwrap()).await;
    let reply: EnrolmentReply = serde_json::from_str(&reply).unwrap();
    Identity {
        server: reply.server,
        epoch: reply.epoch,
        credentials: Credentials { jwt: reply.jwt, seed },
        seal_seed: seal.seed().unwrap(),
        panel_key: reply.panel_key,
        stream: reply.stream,
        bus: nats.address(),
    }
}

/// Looks again and again until there is something to see.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Whole {
    pub(crate) async fn start() -> Self {
        let nats = NatsServer::start();
        let app = TestApp::start().await;
        let dispatch = start_dispatch(app.db(), &nats);
        let credentials = nats.keys.panel_credentials(PanelUser::Serve, now_ms() / 1000).unwrap();
        app.workers.connected(ServeBus::connect(&nats.address(), &credentials).await.unwrap());
        let identity = join(&app, &nats, "web1").await;
        let (host, state) = (Arc::new(FakeSystem::new()), TempDir::new().unwrap());
        let worker = start_worker(&identity, &host, &state);
        person(&app, "root", UserRole::Admin).await;
        let admin = signed_in(&app, "root").await;
        let whole = Self { app, admin, nats, host, identity, state, dispatch, worker };
        whole.until_online().await;
        whole
    }

    pub(crate) async fn until_online(&self) {
        until("the server is online", async || {
            let server = server_fetch_by_name(self.app.db(), &self.identity.server).await.unwrap()?;
            (server.online && !server.php_versions.is_empty() && server.peer == "127.0.0.1").then_some(())
        })
        .await;
    }

    pub(crate) async fn account(&mut self, user: &str) -> String {
        let owner = person(&self.app, &format!("{user}owner"), UserRole::Client).await;
        let answer = self.admin.post("/accounts", &[("owner", &owner.to_string()), ("user", user)]).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        answer.location().trim_start_matches("/accounts/").to_owned()
    }

    pub(crate) async fn site(&mut self, account: &str, domain: &str) -> SiteId {
        let answer = self.admin.post("/sites", &[("account", account), ("domain", domain), ("php", "8.2")]).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        answer.location().trim_start_matches("/sites/").parse().unwrap()
    }

    pub(crate) async fn state_of(&self, site: SiteId) -> Option<ResourceState> {
        let row =
            sqlx::query("SELECT state FROM sites WHERE id = $1").bind(site.to_string()).fetch_optional(self.app.db().read()).await.unwrap();
        row.map(|row| sqlx::Row::get::<String, _>(&row, "state").parse().unwrap())
    }

    pub(crate) async fn until_state(&self, site: SiteId, state: ResourceState) {
        until(&format!("the site is {state}"), async || (self.state_of(site).await == Some(state)).then_some(())).await;
    }
}

/// Serves the panel over HTTPS on a port of its own: where, and the fingerprint of its certificate.
async fn serve(app: &TestApp, tls: &TempDir) -> (String, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let files = TlsFiles::within(tls.path());
    files.ensure(&["localhost".to_owned()]).unwrap();
    let config = axum_server::tls_rustls::RustlsConfig::from_pem_file(&files.certificate, &files.key).await.unwrap();
    let handle = axum_server::Handle::<std::net::SocketAddr>::new();
    let service = app.router.clone().into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::spawn(axum_server::bind_rustls(([127, 0, 0, 1], 0).into(), config).handle(handle.clone()).serve(service));
    let address = handle.listening().await.unwrap();
    (format!("https://{address}"), files.fingerprint().unwrap())
}

async fn token_for(app: &TestApp, name: &str) -> String {
    let server = server_fetch_by_name(app.db(), &name.parse().unwrap()).await.unwrap().unwrap();
    let token = token_new();
    let mut tx = app.db().write().await.unwrap();
    enrolment_insert_in_tx(&mut tx, server.id, &token_hash(token.expose()), i64::MAX).await.unwrap();
    tx.commit().await.unwrap();
    token.expose().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_an_identity_joins_by_itself_and_each_way_to_fail_says_what_to_do() {
    let mut whole = Whole::start().await;
    whole.worker.stop().await;
    let tls = TempDir::new().unwrap();
    let (panel, fingerprint) = serve(&whole.app, &tls).await;
    let token = token_for(&whole.app, "web1").await;
    let options = EnrolOptions { panel, token, fingerprint };

    let stranger = EnrolOptions { fingerprint: "AB".repeat(32), ..options.clone() };
    let error = worker::enrol::enrol(stranger, whole.state.path()).await.unwrap_err();
    assert!(matches!(error, EnrolError::Panel(PanelError::WrongPanel { .. })) && error.is_final(), "{error:?}");
    let unpinned = EnrolOptions { fingerprint: String::new(), ..options.clone() };
    let error = worker::enrol::enrol(unpinned, whole.state.path()).await.unwrap_err();
    assert!(matches!(error, EnrolError::Panel(PanelError::Untrusted { .. })) && error.is_final(), "{error:?}");
    let nobody = EnrolOptions { panel: "https://127.0.0.1:1".to_owned(), ..options.clone() };
    let error = worker::enrol::enrol(nobody, whole.state.path()).await.unwrap_err();
    assert!(matches!(error, EnrolError::Panel(PanelError::Unreachable { .. })) && !error.is_final(), "{error:?}");
    let mistyped = EnrolOptions { token: "mistyped".to_owned(), ..options.clone() };
    let error = worker::enrol::enrol(mistyped, whole.state.path()).await.unwrap_err();
    assert!(matches!(error, EnrolError::Refused(Refusal::Unknown)) && error.is_final(), "{error:?}");

    let stop = CancellationToken::new();
    let joined = worker::join::join(options.clone(), whole.state.path(), &stop).await.unwrap().unwrap();
    assert_eq!(Identity::load(whole.state.path()).unwrap().credentials.seed, joined.credentials.seed);
    whole.identity = joined;
    whole.worker = start_worker(&whole.identity, &whole.host, &whole.state);
    whole.until_online().await;
    let error = worker::enrol::enrol(options, whole.state.path()).await.unwrap_err();
    assert!(matches!(error, EnrolError::Refused(Refusal::Used)), "a token works once: {error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_gave_up_while_dispatch_was_away_joins_with_the_same_token_when_it_asks_again() {
    let mut whole = Whole::start().await;
    whole.worker.stop().await;
    whole.dispatch.stop().await;
    let tls = TempDir::new().unwrap();
    let (panel, fingerprint) = serve(&whole.app, &tls).await;
    let options = EnrolOptions { panel, token: token_for(&whole.app, "web1").await, fingerprint };
    let asked = Enrolment::new(options.clone(), whole.state.path()).unwrap().ask().await.unwrap();
    assert!(asked.is_none(), "nobody makes credentials");
    let script = async || token_server(&whole.app.state.app, &options.token).await.unwrap().map(|server| server.name.to_string());
    assert_eq!(script().await, Ok("web1".to_owned()), "the command is good for a second try");

    // It is answered when nobody asks any more.
    whole.dispatch = start_dispatch(whole.app.db(), &whole.nats);
    until("dispatch answers", async || {
        let reply: Option<String> =
            sqlx::query_scalar("SELECT reply FROM enrolments ORDER BY id DESC LIMIT 1").fetch_one(whole.app.db().read()).await.unwrap();
        reply
    })
    .await;
    assert_eq!(script().await, Ok("web1".to_owned()), "nobody has taken the answer");
    let stranger = TempDir::new().unwrap();
    let error = worker::enrol::enrol(options.clone(), stranger.path()).await.unwrap_err();
    assert!(matches!(error, EnrolError::Refused(Refusal::Used)), "other keys: {error:?}");
    whole.identity = worker::enrol::enrol(options.clone(), whole.state.path()).await.unwrap();
    whole.worker = start_worker(&whole.identity, &whole.host, &whole.state);
    until("the token is used up", async || (script().await == Err(Refusal::Used)).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_becomes_active_and_its_steps_are_kept() {
    let mut whole = Whole::start().await;
    let account = whole.account("shopuser").await;
    let site = whole.site(&account, "shop.example.org").await;
    whole.until_state(site, ResourceState::Active).await;

    let operation = sqlx::query("SELECT id FROM operations WHERE kind = 'site.create'").fetch_one(whole.app.db().read()).await.unwrap();
    let jobs = job_list_of_operation(whole.app.db(), sqlx::Row::get::<String, _>(&operation, "id").parse().unwrap()).await.unwrap().jobs;
    assert_eq!(jobs.len(), 2, "the pool and the site");
    assert!(jobs.iter().all(|job| !job.steps.is_empty() && job.finished_ms.is_some()));

    // The record: plan and diff, what the validators and the probe said, and the batch.
    let operation = format!("/operations/{}", sqlx::Row::get::<String, _>(&operation, "id"));
    let page = whole.admin.get(&operation).await.body;
    for part in
        ["Carried out by itself", "batch ", "write /etc/nginx/sites-available/shop.example.org", "PHP answered Serving", "+server {"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    let record = whole.admin.get(&format!("{operation}/record.json")).await;
    let record: serde_json::Value = serde_json::from_str(&record.body).unwrap();
    assert_eq!(record["jobs"][1]["state"], "done");
    assert!(record["jobs"][1]["record"]["plan"].as_array().unwrap().len() > 3 && record["jobs"][1]["record"]["batch"].is_string());
    let mut owner = signed_in(&whole.app, "shopuserowner").await;
    let page = owner.get(&operation).await.body;
    assert!(!page.contains("sites-available") && !page.contains("answered Serving"), "{page}");
    assert_eq!(owner.get(&format!("{operation}/record.json")).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn f14_a_bus_that_has_lost_its_store_loses_no_job() {
    let mut whole = Whole::start().await;
    let account = whole.account("wipeuser").await;
    whole.worker.stop().await;
    let site = whole.site(&account, "wiped.example.org").await;
    whole.nats.restart_empty();
    whole.worker = start_worker(&whole.identity, &whole.host, &whole.state);
    // What the bus had is gone; the queue sends again what was not sent, and the sweeper what was.
    let mut tx = whole.app.db().write().await.unwrap();
    sqlx::query("UPDATE jobs SET sent_ms = 1 WHERE state IN ('sent', 'working')").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    whole.until_state(site, ResourceState::Active).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_dispatch_takes_over_from_one_that_died() {
    let mut whole = Whole::start().await;
    let account = whole.account("leaduser").await;
    let _second = start_dispatch(whole.app.db(), &whole.nats);
    whole.dispatch.kill().await;
    let site = whole.site(&account, "led.example.org").await;
    whole.until_state(site, ResourceState::Active).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_has_lost_its_database_is_sent_everything_again() {
    let mut whole = Whole::start().await;
    let account = whole.account("lostuser").await;
    let site = whole.site(&account, "lost.example.org").await;
    whole.until_state(site, ResourceState::Active).await;
    whole.worker.stop().await;
    let before = whole.host.snapshot();
    whole.state = TempDir::new().unwrap();
    whole.worker = start_worker(&whole.identity, &whole.host, &whole.state);
    until("all that was applied is applied again", async || {
        let again = sqlx::query("SELECT COUNT(*) AS jobs FROM jobs WHERE state = 'done' AND attempt = 2")
            .fetch_one(whole.app.db().read())
            .await
            .unwrap();
        (sqlx::Row::get::<i64, _>(&again, "jobs") == 3).then_some(())
    })
    .await;
    assert_eq!(whole.host.snapshot(), before, "and the host is as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_servers_worker_cannot_end_this_servers_job() {
    let mut whole = Whole::start().await;
    let account = whole.account("victim").await;
    whole.worker.stop().await;
    let site = whole.site(&account, "victim.example.org").await;
    let liar = join(&whole.app, &whole.nats, "web2").await;
    let row = sqlx::query("SELECT id, operation_id, resource FROM jobs WHERE resource LIKE 'site:%'")
        .fetch_one(whole.app.db().read())
        .await
        .unwrap();
    let text = |column: &str| sqlx::Row::get::<String, _>(&row, column);
    let outcome = Outcome {
        job: text("id").parse().unwrap(),
        operation: text("operation_id").parse().unwrap(),
        resource: text("resource").parse().unwrap(),
        generation: shared::jobs::Generation::FIRST,
        attempt: 1,
        verdict: Verdict::Applied,
        steps: Vec::new(),
        started_ms: 0,
        finished_ms: 1,
        record: None,
    };
    let bus = WorkerBus::connect(&whole.nats.address(), &liar.server, &liar.credentials).await.unwrap();
    // Once under its own name, once claiming to be the other server.
    for server in [liar.server.clone(), whole.identity.server.clone()] {
        let envelope = EventEnvelope { v: 1, id: EventId::new(), epoch: liar.epoch, server, event: Event::Outcome(outcome.clone()) };
        let key = shared::bus::credentials::user_key(&liar.credentials.seed).unwrap();
        let signed = sign(Purpose::Event, &key, &envelope).unwrap();
        bus.publish_event(&envelope.id.to_string(), &signed).await.unwrap();
    }
    // The true worker's outcome comes after the lies on the same stream, so they have been looked at by then.
    let before = whole.state_of(site).await;
    assert_eq!(before, Some(ResourceState::Provisioning));
    whole.host.refuse_php();
    whole.worker = start_worker(&whole.identity, &whole.host, &whole.state);
    whole.until_state(site, ResourceState::Failed).await;
    // Each was refused, and admins are told by whom.
    let told = security_events(&whole.app).await;
    let lies = told.iter().filter(|(kind, server, ..)| kind == "misdirected_event" && server == "web2").map(|told| told.3).sum::<i64>();
    assert_eq!(lies, 2, "{told:?}");
    let page = whole.admin.get("/security?state=unseen").await.body;
    assert!(page.contains("Message in another") && page.contains("web2"), "{page}");
}

/// What admins were told: the kind, the server, the detail, how often.
pub(crate) async fn security_events(app: &TestApp) -> Vec<(String, String, String, i64)> {
    sqlx::query_as("SELECT kind, server_name, detail, times FROM security_events ORDER BY id").fetch_all(app.db().read()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_another_panel_and_a_second_connection_are_refused_and_admins_are_told() {
    let whole = Whole::start().await;
    let now_s = i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
    // A copy of the panel has its keys, and an epoch of its own.
    let copy = DispatchBus::connect(&whole.nats.address(), &whole.nats.keys, Replicas::ONE, now_s).await.unwrap();
    let account = AccountId::new();
    let job = JobEnvelope {
        v: 1,
        id: JobId::new(),
        operation: OperationId::new(),
        epoch: Epoch::new(),
        server: whole.identity.server.clone(),
        account,
        resource: ResourceKey::Account(account),
        generation: Generation::FIRST,
        requires: Vec::new(),
        attempt: 1,
        job: Job::Account(AccountSpec {
            user: "copied".parse().unwrap(),
            uid: 200_001.try_into().unwrap(),
            presence: Presence::Active,
            sftp: SftpAccess::default(),
            limits: AccountLimits::default(),
        }),
    };
    copy.publish_job(&job, 0).await.unwrap();
    assert!(WorkerBus::connect(&whole.nats.address(), &whole.identity.server, &whole.identity.credentials).await.is_err());
    for kind in ["foreign_job", "second_connection"] {
        let told = until(kind, async || security_events(&whole.app).await.into_iter().find(|told| told.0 == kind)).await;
        assert_eq!(told.1, "web1", "{told:?}");
    }
    assert!(!whole.host.snapshot().users.contains_key("copied"));
    let page = signed_in(&whole.app, "root").await.get("/").await.body;
    assert!(page.contains("security events</b>") || page.contains("security events since"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_site_says_why_and_retry_makes_it_active() {
    let mut whole = Whole::start().await;
    let account = whole.account("retryuser").await;
    let first = whole.site(&account, "first.example.org").await;
    whole.until_state(first, ResourceState::Active).await;
    whole.host.put_file("/etc/nginx/sites-enabled/hand.conf", "server { server_name second.example.org; }");
    let site = whole.site(&account, "second.example.org").await;
    whole.until_state(site, ResourceState::Failed).await;
    let page = whole.admin.get(&format!("/sites/{site}")).await;
    assert!(page.body.contains("already answers to one of these names"), "{}", page.body);

    whole.host.take("/etc/nginx/sites-enabled/hand.conf");
    let answer = whole.admin.post(&format!("/sites/{site}/retry"), &[]).await;
    assert_eq!(answer.status, 303);
    whole.until_state(site, ResourceState::Active).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_waits_while_somebodys_hand_has_broken_nginx_and_goes_on_by_itself() {
    let mut whole = Whole::start().await;
    let account = whole.account("waituser").await;
    whole.host.put_file("/etc/nginx/sites-enabled/hand.conf", "BROKEN");
    let site = whole.site(&account, "waits.example.org").await;
    let page = format!("/sites/{site}");
    until("the page says what the site waits for", async || {
        let page = whole.admin.get(&page).await;
        page.body.contains("Waiting: /etc/nginx/sites-enabled/hand.conf, line 1").then_some(())
    })
    .await;
    // Accounts need no nginx.
    let other = whole.account("gonebyuser").await;
    let other = format!("/accounts/{other}");
    until("the account is made", async || whole.admin.get(&other).await.body.contains("Active").then_some(())).await;
    whole.host.take("/etc/nginx/sites-enabled/hand.conf");
    whole.until_state(site, ResourceState::Active).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_and_a_stream_that_somebody_deleted_are_made_again() {
    let mut whole = Whole::start().await;
    let account = whole.account("madeagain").await;
    // What a worker could bring about by choosing the bus's own subjects for a reply.
    let credentials = whole.nats.keys.panel_credentials(shared::bus::credentials::PanelUser::Dispatch, shared::testing::now_s()).unwrap();
    let raw = shared::bus::client::Connection { bus: &whole.nats.address(), name: "vandal", credentials: &credentials };
    let vandal = shared::bus::client::connect(&raw).await.unwrap();
    for subject in ["$JS.API.CONSUMER.DELETE.CMD_0.web1", "$JS.API.STREAM.DELETE.EVT"] {
        vandal.request(subject, "".into()).await.unwrap();
    }
    let site = whole.site(&account, "again.example.org").await;
    whole.until_state(site, ResourceState::Active).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_joins_again_shuts_out_the_keys_it_had_before() {
    let mut whole = Whole::start().await;
    let old = whole.identity.clone();
    whole.worker.stop().await;
    let bus = WorkerBus::connect(&whole.nats.address(), &old.server, &old.credentials).await.unwrap();
    whole.identity = join(&whole.app, &whole.nats, "web1").await;
    until("the old connection is cut", async || (!bus.is_connected()).then_some(())).await;
    assert!(WorkerBus::connect(&whole.nats.address(), &old.server, &old.credentials).await.is_err());

    whole.worker = start_worker(&whole.identity, &whole.host, &whole.state);
    whole.until_online().await;
    let account = whole.account("rejoined").await;
    let site = whole.site(&account, "rejoined.example.org").await;
    whole.until_state(site, ResourceState::Active).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_be_sent_fails_alone_and_retry_sends_it() {
    let mut whole = Whole::start().await;
    let account = whole.account("hugeuser").await;
    whole.dispatch.stop().await;
    let huge = whole.site(&account, "huge.example.org").await;
    let other = whole.site(&account, "other.example.net").await;
    let resource = format!("site:{huge}");
    let row = sqlx::query("SELECT job FROM jobs WHERE resource = $1").bind(&resource).fetch_one(whole.app.db().read()).await.unwrap();
    let job: String = sqlx::Row::get(&row, "job");
    let mut enormous: serde_json::Value = serde_json::from_str(&job).unwrap();
    enormous["aliases"] = (0..100_000).map(|n| format!("alias{n}.huge.example.org")).collect();
    let replace = async |job: &str| {
        let mut tx = whole.app.db().write().await.unwrap();
        sqlx::query("UPDATE jobs SET job = $1 WHERE resource = $2").bind(job).bind(&resource).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    };
    replace(&enormous.to_string()).await;
    whole.dispatch = start_dispatch(whole.app.db(), &whole.nats);
    whole.until_state(huge, ResourceState::Failed).await;
    whole.until_state(other, ResourceState::Active).await;
    let page = whole.admin.get(&format!("/sites/{huge}")).await;
    assert!(page.body.contains("larger than the bus carries") && page.body.contains("Nothing was changed."), "{}", page.body);

    replace(&job).await;
    let answer = whole.admin.post(&format!("/sites/{huge}/retry"), &[]).await;
    assert_eq!(answer.status, 303);
    whole.until_state(huge, ResourceState::Active).await;
}

/// The file of a vhost.
fn vhost(domain: &str) -> std::path::PathBuf {
    format!("/etc/nginx/sites-available/{domain}.conf").into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_was_built_anew_serves_again_what_was_applied_also_where_the_newest_change_had_failed() {
    let mut whole = Whole::start().await;
    let account = whole.account("rebuilt").await;
    assert_eq!(whole.admin.post(&format!("/accounts/{account}/sftp-password"), &[]).await.status, 200);
    let site = whole.site(&account, "rebuilt.example.org").await;
    whole.until_state(site, ResourceState::Active).await;
    whole.host.put_file("/etc/nginx/sites-enabled/hand.conf", "server { server_name www.rebuilt.example.org; }");
    let change = [("php", "8.2"), ("aliases", "www.rebuilt.example.org")];
    assert_eq!(whole.admin.post(&format!("/sites/{site}/edit"), &change).await.status, 303);
    whole.until_state(site, ResourceState::Failed).await;

    // Another machine, another database, other keys: what was sealed to the first worker opens no more.
    whole.worker.stop().await;
    (whole.host, whole.state) = (Arc::new(FakeSystem::new()), TempDir::new().unwrap());
    whole.identity = join(&whole.app, &whole.nats, "web1").await;
    whole.worker = start_worker(&whole.identity, &whole.host, &whole.state);
    until("the site is served again", async || whole.host.snapshot().nodes.contains_key(&vhost("rebuilt.example.org")).then_some(())).await;
    assert_eq!(whole.state_of(site).await, Some(ResourceState::Failed), "the change is still not made");

    assert_eq!(whole.admin.post(&format!("/sites/{site}/retry"), &[]).await.status, 303);
    whole.until_state(site, ResourceState::Active).await;
}

impl Whole {
    /// The password field of a user on the host.
    fn password(&self, user: &str) -> Option<String> {
        self.host.snapshot().users.get(user).map(|record| record.password.clone()).filter(|field| field.starts_with('$'))
    }

    /// The panel has heard that the newest state of every account is on its host.
    async fn until_accounts_are_applied(&self) {
        until("every account is applied", async || {
            let open = "SELECT COUNT(*) AS open FROM accounts WHERE state <> 'active' OR applied_generation <> generation";
            let row = sqlx::query(open).fetch_one(self.app.db().read()).await.unwrap();
            (sqlx::Row::get::<i64, _>(&row, "open") == 0).then_some(())
        })
        .await;
    }

    async fn set_password(&mut self, account: &str) {
        let answer = self.admin.post(&format!("/accounts/{account}/sftp-password"), &[("password", "")]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_replaced_gets_its_accounts_with_their_passwords() {
    let mut whole = Whole::start().await;
    let account = whole.account("sealed").await;
    whole.set_password(&account).await;
    let password = until("the password is set", async || whole.password("sealed")).await;
    whole.until_accounts_are_applied().await;
    whole.worker.stop().await;
    (whole.host, whole.state) = (Arc::new(FakeSystem::new()), TempDir::new().unwrap());
    whole.identity = join(&whole.app, &whole.nats, "web1").await;
    whole.worker = start_worker(&whole.identity, &whole.host, &whole.state);
    assert_eq!(until("the new host has the password", async || whole.password("sealed")).await, password);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_on_its_way_while_the_server_joins_again_is_sealed_anew() {
    let mut whole = Whole::start().await;
    let account = whole.account("onitsway").await;
    until("the account is there", async || whole.host.snapshot().users.get("onitsway").map(drop)).await;
    whole.worker.stop().await;
    whole.set_password(&account).await;
    until("the job is on the bus", async || {
        sqlx::query("SELECT id FROM jobs WHERE state = 'sent'").fetch_optional(whole.app.db().read()).await.unwrap()
    })
    .await;
    whole.identity = join(&whole.app, &whole.nats, "web1").await;
    whole.worker = start_worker(&whole.identity, &whole.host, &whole.state);
    until("the password is set", async || whole.password("onitsway")).await;
    whole.until_accounts_are_applied().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_servers_worker_is_cut_off_and_cannot_come_back() {
    let mut whole = Whole::start().await;
    let second = join(&whole.app, &whole.nats, "web2").await;
    let bus = WorkerBus::connect(&whole.nats.address(), &second.server, &second.credentials).await.unwrap();
    let server = server_fetch_by_name(whole.app.db(), &second.server).await.unwrap().unwrap();
    let answer = whole.admin.post(&format!("/servers/{}/delete", server.id), &[("confirm", "web2")]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    until("its connection is cut", async || (!bus.is_connected()).then_some(())).await;
    assert!(WorkerBus::connect(&whole.nats.address(), &second.server, &second.credentials).await.is_err());

    let again = join(&whole.app, &whole.nats, "web2").await;
    let bus = WorkerBus::connect(&whole.nats.address(), &again.server, &again.credentials).await;
    assert!(bus.is_ok(), "a server of the same name joins with keys of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_of_the_bus_shut_out_all_old_ones_and_servers_that_join_again_go_on_with_what_they_have() {
    let mut whole = Whole::start().await;
    let account = whole.account("rotated").await;
    let site = whole.site(&account, "rotated.example.org").await;
    whole.until_state(site, ResourceState::Active).await;
    let before = whole.host.snapshot();

    // As the README says: everything stops, keys and store of the bus are put aside, everything starts.
    whole.worker.stop().await;
    whole.dispatch.stop().await;
    let old_serve = whole.nats.keys.panel_credentials(PanelUser::Serve, now_ms() / 1000).unwrap();
    whole.nats.keys = BusKeys::generate().unwrap();
    whole.nats.restart_empty();
    whole.dispatch = start_dispatch(whole.app.db(), &whole.nats);
    let old = whole.identity.clone();
    whole.identity = join(&whole.app, &whole.nats, "web1").await;
    assert!(WorkerBus::connect(&whole.nats.address(), &old.server, &old.credentials).await.is_err());
    assert!(ServeBus::connect(&whole.nats.address(), &old_serve).await.is_err());
    assert_ne!(old.panel_key, whole.identity.panel_key, "jobs that the old key signed are refused");

    whole.worker = start_worker(&whole.identity, &whole.host, &whole.state);
    whole.until_online().await;
    assert_eq!(whole.host.snapshot(), before, "what is there serves on");
    let change = [("php", "8.2"), ("aliases", "www.rotated.example.org")];
    assert_eq!(whole.admin.post(&format!("/sites/{site}/edit"), &change).await.status, 303);
    until("the change is made", async || {
        let host = whole.host.snapshot();
        host.serving.iter().any(|vhost| vhost.names.iter().any(|name| name == "www.rotated.example.org")).then_some(())
    })
    .await;
}
