//! A worker's engine on a host in memory.

use std::path::Path;
use std::sync::Arc;

use shared::events::{Outcome, Verdict};
use shared::failure::{Effect, FailureCode};
use shared::ids::{AccountId, Epoch, JobId, OperationId, PhpPoolId, SiteId};
use shared::jobs::{
    AccountLimits, AccountSpec, Generation, Job, JobEnvelope, PhpPoolSpec, PhpSettings, PoolPresence, Presence, ResourceKey,
    SealedCryptHash, SftpAccess, SiteKind, SiteSpec,
};
use shared::names::CryptHash;
use tempfile::TempDir;
use worker::engine::{Engine, Recovery, UnsealError, Unsealer};
use worker::registry::{self, Carried};
use worker::store::Store;
use worker::system::fake::FakeSystem;

pub(crate) const UID: u32 = 200_001;
pub(crate) const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4Yb0yVw8jYkT0o1Yp2rSQqJm8a5L0yS9Jx3X5cV0aB me@laptop";

/// Ids that are the same in every run.
pub(crate) fn id<T: std::str::FromStr>(number: u32) -> T
where
    T::Err: std::fmt::Debug,
{
    format!("01920000-0000-7000-8000-{number:012}").parse().unwrap()
}

/// Sealed so, a password stands for a fault of the worker's own: whoever opens it panics.
pub(crate) const PANIC: &str = "panic";

/// The sealed text is the hash itself.
struct Unsealed;

impl Unsealer for Unsealed {
    fn unseal(&self, sealed: &SealedCryptHash) -> Result<CryptHash, UnsealError> {
        assert_ne!(sealed.sealed, PANIC);
        sealed.sealed.parse().map_err(|_| UnsealError("no hash".to_owned()))
    }
}

/// An engine on a host.
pub(crate) struct Lab {
    pub(crate) host: Arc<FakeSystem>,
    pub(crate) engine: Engine,
    directory: TempDir,
    _at_the_end: LetsGo,
}

/// What a test has held goes on when the test ends: one that fails would wait for it for ever otherwise.
struct LetsGo(Arc<FakeSystem>);

impl Drop for LetsGo {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

impl Lab {
    /// On a fresh Debian host that has been prepared.
    pub(crate) async fn new() -> Self {
        let lab = Self::on(FakeSystem::new()).await;
        let prepared = registry::prepare_host(&lab.engine, &mut |_| ()).await.unwrap();
        assert_eq!(prepared.failure, None);
        lab
    }

    /// On a host as it is.
    pub(crate) async fn on(host: FakeSystem) -> Self {
        // A file system in memory where there is one: every step of every test waits for the disk otherwise.
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
        let host = Arc::new(host);
        let engine = engine(&directory, &host).await;
        Self { _at_the_end: LetsGo(host.clone()), host, engine, directory }
    }

    /// The same host with an engine that does things side by side, as on a real one.
    pub(crate) async fn threaded(self) -> Self {
        self.engine.ledger().close().await;
        let Self { host, directory, engine: _, _at_the_end } = self;
        let store = Store::open(&directory.path().join("worker.db")).await.unwrap();
        let engine = Engine::open(&store, host.clone(), Arc::new(Unsealed)).await.unwrap();
        Self { _at_the_end: LetsGo(host.clone()), host, engine, directory }
    }

    /// Carries out a job that is expected to end.
    pub(crate) async fn apply(&self, envelope: &JobEnvelope) -> Outcome {
        match self.carry_out(envelope).await {
            Carried::Ended(outcome) => outcome,
            other @ (Carried::Blocked { .. } | Carried::Deferred) => panic!("{} did not end: {other:?}", envelope.resource),
        }
    }

    pub(crate) async fn carry_out(&self, envelope: &JobEnvelope) -> Carried {
        registry::carry_out(&self.engine, envelope, &mut |_| ()).await
    }

    pub(crate) async fn carry_out_batch(&self, envelopes: &[JobEnvelope]) -> Vec<Carried> {
        registry::carry_out_batch(&self.engine, envelopes, &mut |_, _| ()).await
    }

    /// Applies jobs that are expected to work.
    pub(crate) async fn applied(&self, envelopes: &[JobEnvelope]) {
        for envelope in envelopes {
            let outcome = self.apply(envelope).await;
            assert_eq!(outcome.verdict, Verdict::Applied, "{} {:#?}", envelope.resource, outcome.steps);
        }
    }

    /// Puts a before-image into the journal, as a database that failed at the wrong moment leaves one.
    pub(crate) async fn leave_in_journal(&self, undo: &str) {
        let store = Store::open(&self.directory.path().join("worker.db")).await.unwrap();
        let query = sqlx::query("INSERT INTO journal (job, phase, seq, what) VALUES ('left', 'undo', 0, $1)").bind(undo);
        query.execute(&store.pool).await.unwrap();
        store.pool.close().await;
    }

    /// From now on the worker's database takes nothing more into a table, until [`Self::mend`].
    pub(crate) async fn fail(&self, table: &str) {
        let sql = format!("CREATE TRIGGER failing_{table} BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'made to fail'); END");
        self.run_sql(sql).await;
    }

    /// It does again.
    pub(crate) async fn mend(&self, table: &str) {
        self.run_sql(format!("DROP TRIGGER failing_{table}")).await;
    }

    /// Changes the worker's database behind its back.
    pub(crate) async fn run_sql(&self, sql: String) {
        let store = Store::open(&self.directory.path().join("worker.db")).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&store.pool).await.unwrap();
        store.pool.close().await;
    }

    /// Empties the trash, as the worker does beside its jobs.
    pub(crate) async fn empty_trash(&self) {
        worker::trash::empty(&self.engine).await.unwrap();
    }

    /// The worker starts again on the same disk.
    pub(crate) async fn restart(self) -> (Self, Recovery) {
        self.engine.ledger().close().await;
        let Self { host, directory, engine: _, _at_the_end } = self;
        let engine = engine(&directory, &host).await;
        let recovery = engine.recover().await.unwrap();
        (Self { _at_the_end: LetsGo(host.clone()), host, engine, directory }, recovery)
    }
}

/// One thing after another: the n-th change is the same in every run.
async fn engine(directory: &TempDir, host: &Arc<FakeSystem>) -> Engine {
    let store = Store::open(&directory.path().join("worker.db")).await.unwrap();
    Engine::open(&store, host.clone(), Arc::new(Unsealed)).await.unwrap().single_threaded()
}

/// The code and effect of a failure.
pub(crate) fn failure(outcome: &Outcome) -> Option<(FailureCode, Effect)> {
    match &outcome.verdict {
        Verdict::Failed { code, effect, .. } => Some((*code, *effect)),
        Verdict::Applied | Verdict::Superseded => None,
    }
}

pub(crate) fn envelope(resource: ResourceKey, generation: i64, job: Job) -> JobEnvelope {
    JobEnvelope {
        v: 1,
        id: JobId::new(),
        operation: id::<OperationId>(1),
        epoch: id::<Epoch>(2),
        server: "web1".parse().unwrap(),
        account: id::<AccountId>(10),
        resource,
        generation: Generation(generation),
        requires: Vec::new(),
        attempt: 1,
        job,
    }
}

/// The same desired state, sent once more.
pub(crate) fn again(job: &JobEnvelope) -> JobEnvelope {
    JobEnvelope { id: JobId::new(), ..job.clone() }
}

pub(crate) fn account_spec() -> AccountSpec {
    AccountSpec {
        user: "shop".parse().unwrap(),
        uid: UID.try_into().unwrap(),
        presence: Presence::Active,
        sftp: SftpAccess::default(),
        limits: AccountLimits { cpu_percent: Some(200), memory_mib: Some(1024), tasks: None },
    }
}

pub(crate) fn account(generation: i64, change: impl FnOnce(&mut AccountSpec)) -> JobEnvelope {
    let mut spec = account_spec();
    change(&mut spec);
    envelope(ResourceKey::Account(id(10)), generation, Job::Account(spec))
}

pub(crate) fn pool_key() -> ResourceKey {
    ResourceKey::PhpPool(id::<PhpPoolId>(20))
}

pub(crate) fn pool_spec() -> PhpPoolSpec {
    PhpPoolSpec {
        user: "shop".parse().unwrap(),
        uid: UID.try_into().unwrap(),
        version: "8.2".parse().unwrap(),
        presence: PoolPresence::Present,
        settings: PhpSettings::default(),
    }
}

pub(crate) fn pool(generation: i64, change: impl FnOnce(&mut PhpPoolSpec)) -> JobEnvelope {
    let mut spec = pool_spec();
    change(&mut spec);
    envelope(pool_key(), generation, Job::PhpPool(spec))
}

pub(crate) fn site_spec(domain: &str) -> SiteSpec {
    SiteSpec {
        user: "shop".parse().unwrap(),
        uid: UID.try_into().unwrap(),
        domain: domain.parse().unwrap(),
        aliases: Vec::new(),
        document_root: domain.parse().unwrap(),
        kind: SiteKind::Php { version: "8.2".parse().unwrap() },
        presence: Presence::Active,
    }
}

pub(crate) fn site_key(number: u32) -> ResourceKey {
    ResourceKey::Site(id::<SiteId>(number))
}

pub(crate) fn site(number: u32, domain: &str, generation: i64, change: impl FnOnce(&mut SiteSpec)) -> JobEnvelope {
    let mut spec = site_spec(domain);
    change(&mut spec);
    envelope(site_key(number), generation, Job::Site(spec))
}

pub(crate) fn hash() -> SealedCryptHash {
    SealedCryptHash { sender: String::new(), sealed: format!("$6$saltsalt${}", "a".repeat(86)) }
}
