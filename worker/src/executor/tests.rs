//! The executor with everything it works with, on a host in memory.

#![cfg(feature = "testing")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use futures::FutureExt;
use ring::signature::{Ed25519KeyPair, KeyPair};
use shared::bus::authority::BusAddress;
use shared::bus::credentials::{Credentials, new_user_key};
use shared::events::{Outcome, Verdict};
use shared::failure::{Effect, FailureCode};
use shared::ids::{AccountId, Epoch, JobId, OperationId, PhpPoolId, ServerId, SiteId};
use shared::jobs::{
    AccountLimits, AccountSpec, Generation, Job, JobEnvelope, PhpPoolSpec, PhpSettings, PoolPresence, Presence, ResourceKey,
    SealedCryptHash, SftpAccess, SiteKind, SiteSpec, WorkerPackage, WorkerSpec,
};
use shared::names::{Architecture, CryptHash};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Chosen, Executor, UnderWay, Word, keep_going};
use crate::config::Identity;
use crate::engine::{Engine, UnsealError, Unsealer};
use crate::inbox::{Received, inbox_receive};
use crate::registry::prepare_host;
use crate::run::Worker;
use crate::store::Store;
use crate::system::fake::{FakeSystem, Trouble};
use crate::update::order::{Desk, Order, Phase};
use crate::update::{UPDATE_UNIT, Updates};

struct NoSeal;

impl Unsealer for NoSeal {
    fn unseal(&self, _: &SealedCryptHash) -> Result<CryptHash, UnsealError> {
        Err(UnsealError("nothing is sealed here".to_owned()))
    }
}

/// A worker that waits for nobody's tenant, without a bus.
pub(crate) struct Scene {
    directory: tempfile::TempDir,
    pub(crate) host: Arc<FakeSystem>,
    pub(crate) worker: Worker,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::TempDir::new().unwrap();
        let host = Arc::new(FakeSystem::new());
        let store = Store::open(&directory.path().join("worker.db")).await.unwrap();
        let engine = Engine::open(&store, host.clone(), Arc::new(NoSeal)).await.unwrap().with_patience(Duration::from_millis(1));
        assert_eq!(prepare_host(&engine, &mut |_| ()).await.unwrap().failure, None);
        let identity = Identity {
            server: "web1".parse().unwrap(),
            epoch: Epoch::new(),
            credentials: Credentials { jwt: String::new(), seed: new_user_key().unwrap().0 },
            seal_seed: String::new(),
            panel_key: String::new(),
            stream: "CMD_0".to_owned(),
            bus: BusAddress { url: String::new(), authority: String::new() },
        };
        let worker = Worker {
            identity,
            store,
            engine: Arc::new(engine),
            job_came: Notify::new(),
            job_ended: Notify::new(),
            event_came: Notify::new(),
            look_wanted: Notify::new(),
            // Nobody hears of progress.
            progress: mpsc::channel(1).0,
            refused: Mutex::default(),
            updates: Updates {
                version: "0.2.0".parse().unwrap(),
                release_keys: directory.path().join("release-keys"),
                desk: Desk::within(directory.path()),
            },
            sign: None,
        };
        Self { directory, host, worker }
    }

    /// Hands jobs over, as the bus does.
    pub(crate) async fn hand_over(&self, jobs: &[JobEnvelope]) {
        for job in jobs {
            assert_eq!(inbox_receive(&self.worker.store.pool, job, None).await.unwrap(), Received::Kept);
            self.worker.job_came.notify_one();
        }
    }

    /// How often an ended job was begun.
    async fn begun(&self, job: &JobEnvelope) -> u32 {
        self.outcome(job).await.record.unwrap().begun
    }

    /// Waits until jobs have been applied.
    pub(crate) async fn applied(&self, jobs: &[JobEnvelope]) {
        for job in jobs {
            let outcome = self.outcome(job).await;
            assert_eq!(outcome.verdict, Verdict::Applied, "{} {:#?}", job.resource, outcome.steps);
        }
    }

    /// Waits until a job has ended.
    pub(crate) async fn outcome(&self, job: &JobEnvelope) -> Outcome {
        loop {
            let query = sqlx::query_scalar("SELECT outcome FROM ended WHERE job = $1").bind(job.id.to_string());
            let ended: Option<String> = query.fetch_optional(&self.worker.store.pool).await.unwrap();
            match ended {
                Some(outcome) => return serde_json::from_str(&outcome).unwrap(),
                None => self.worker.event_came.notified().await,
            }
        }
    }

    /// Works while something goes on, and until all is done that it has begun.
    pub(crate) async fn work(&self, meanwhile: impl AsyncFnOnce()) {
        let shutdown = CancellationToken::new();
        let script = async {
            meanwhile().await;
            shutdown.cancel();
        };
        tokio::join!(Executor::run(&self.worker, &shutdown), script);
    }
}

/// A tenant with an account, a pool and sites.
#[derive(Clone, Copy)]
pub(crate) struct Tenant {
    number: u32,
    account: AccountId,
}

pub(crate) fn tenants<const N: usize>() -> [Tenant; N] {
    std::array::from_fn(|number| Tenant { number: u32::try_from(number).unwrap(), account: AccountId::new() })
}

fn job(account: AccountId, resource: ResourceKey, job: Job) -> JobEnvelope {
    JobEnvelope {
        v: 1,
        id: JobId::new(),
        operation: OperationId::new(),
        epoch: Epoch::new(),
        server: "web1".parse().unwrap(),
        account,
        resource,
        generation: Generation::FIRST,
        requires: Vec::new(),
        attempt: 1,
        job,
    }
}

impl Tenant {
    pub(crate) fn user(self) -> shared::names::LinuxUser {
        format!("tenant{}", self.number).parse().unwrap()
    }

    pub(crate) fn account(self) -> JobEnvelope {
        let spec = AccountSpec {
            user: self.user(),
            uid: (200_001 + self.number).try_into().unwrap(),
            presence: Presence::Active,
            sftp: SftpAccess::default(),
            limits: AccountLimits::default(),
        };
        job(self.account, ResourceKey::Account(self.account), Job::Account(spec))
    }

    pub(crate) fn pool(self) -> JobEnvelope {
        let spec = PhpPoolSpec {
            user: self.user(),
            uid: (200_001 + self.number).try_into().unwrap(),
            version: "8.2".parse().unwrap(),
            presence: PoolPresence::Present,
            settings: PhpSettings::default(),
        };
        job(self.account, ResourceKey::PhpPool(PhpPoolId::new()), Job::PhpPool(spec))
    }

    pub(crate) fn domain(self, which: u32) -> String {
        format!("site{which}.of{}.example", self.number)
    }

    pub(crate) fn site(self, which: u32) -> JobEnvelope {
        let domain = self.domain(which);
        let spec = SiteSpec {
            user: self.user(),
            uid: (200_001 + self.number).try_into().unwrap(),
            domain: domain.parse().unwrap(),
            aliases: Vec::new(),
            document_root: domain.parse().unwrap(),
            kind: SiteKind::Php { version: "8.2".parse().unwrap() },
            presence: Presence::Active,
        };
        job(self.account, ResourceKey::Site(SiteId::new()), Job::Site(spec))
    }
}

#[tokio::test]
async fn jobs_come_and_go_while_those_outside_are_committed() {
    let scene = Scene::new().await;
    let all @ [slow, quick, late] = tenants();
    scene
        .work(async || {
            let past: Vec<JobEnvelope> = all.iter().flat_map(|tenant| [tenant.account(), tenant.pool()]).collect();
            scene.hand_over(&past).await;
            scene.applied(&past).await;
            for round in 0..10 {
                scene.host.hold(&slow.domain(round));
                let (waits, passes, comes) = (slow.site(round), quick.site(round), late.site(round));
                scene.hand_over(&[waits.clone(), passes.clone()]).await;
                scene.applied(&[passes]).await;
                // Its answer, its commit and the next job at once.
                scene.host.let_go();
                scene.hand_over(std::slice::from_ref(&comes)).await;
                scene.applied(&[comes, waits]).await;
            }
        })
        .await;
    assert_eq!(scene.worker.engine.ledger().len(), 36);
    assert!(scene.directory.path().exists());
}

#[tokio::test]
async fn a_batch_that_could_do_something_has_nobody_rest() {
    let scene = Scene::new().await;
    let [first, second, outside] = tenants();
    let past: Vec<JobEnvelope> = [first, second].into_iter().flat_map(|tenant| [tenant.account(), tenant.pool()]).collect();
    scene
        .work(async || {
            scene.hand_over(&past).await;
            scene.applied(&past).await;
        })
        .await;
    let (begin, _begun) = mpsc::unbounded_channel();
    let (mut executor, mut words) = Executor::new(&scene.worker, begin, &CancellationToken::new());
    executor.under_way.insert(JobId::new(), UnderWay { account: outside.account, tries: 0 });
    // The second wants the first's name, and is deferred.
    let (one, mut two) = (first.site(0), second.site(0));
    if let Job::Site(spec) = &mut two.job {
        spec.aliases = vec![first.domain(0).parse().unwrap()];
    }
    executor.batches = 1;
    executor.carry_out(vec![one, two]).await;
    while let Ok(word) = words.try_recv() {
        let (_nobody, mut no_more) = mpsc::unbounded_channel();
        executor.hear(word, &mut no_more).await.unwrap();
    }
    assert!(executor.rest_until <= Instant::now());
    executor.batches = 1;
    let (_nobody, mut no_more) = mpsc::unbounded_channel();
    executor.hear(Word::Over { fruitless: true }, &mut no_more).await.unwrap();
    assert!(executor.rest_until > Instant::now(), "one that could do nothing has");
}

#[tokio::test]
async fn f05_a_job_that_takes_too_long_is_tried_again_and_the_others_of_its_batch_are_done() {
    let scene = Scene::new().await;
    let all @ [slow, quick] = tenants();
    scene
        .work(async || {
            let past: Vec<JobEnvelope> = all.iter().flat_map(|tenant| [tenant.account(), tenant.pool()]).collect();
            scene.hand_over(&past).await;
            scene.applied(&past).await;
            let (hangs, passes) = (slow.site(0), quick.site(0));
            scene.host.trouble_of(&slow.domain(0), 0, 1, Trouble::TimeOut);
            scene.hand_over(&[hangs.clone(), passes.clone()]).await;
            scene.applied(&[passes.clone(), hangs.clone()]).await;
            assert_eq!((scene.begun(&passes).await, scene.begun(&hangs).await), (1, 2));
        })
        .await;
}

#[tokio::test]
async fn f05_a_job_that_takes_too_long_each_time_fails_after_the_fourth() {
    let scene = Scene::new().await;
    let [tenant] = tenants();
    let account = tenant.account();
    scene.hand_over(std::slice::from_ref(&account)).await;
    let (begin, _begun) = mpsc::unbounded_channel();
    let (mut executor, mut words) = Executor::new(&scene.worker, begin, &CancellationToken::new());
    for tries in 1..=4 {
        // What puts it back goes well.
        scene.host.trouble_of("tenant0", 0, 1, Trouble::TimeOut);
        let Chosen::Batch(batch) = executor.choose_next().await.unwrap() else { panic!("try {tries} is not begun") };
        executor.batches += 1;
        executor.carry_out(batch).await;
        while let Ok(word) = words.try_recv() {
            let (_nobody, mut no_more) = mpsc::unbounded_channel();
            executor.take(word, &mut no_more).await;
        }
        // The pause is over.
        sqlx::query("UPDATE inbox SET not_before_ms = 0").execute(&scene.worker.store.pool).await.unwrap();
    }
    let Verdict::Failed { code, effect, .. } = scene.outcome(&account).await.verdict else { panic!("it has not failed") };
    assert_eq!((code, effect), (FailureCode::TimedOut, Effect::RolledBack));
}

#[tokio::test]
async fn a_worker_whose_database_takes_no_end_of_a_job_rests_and_loses_none() {
    let scene = Scene::new().await;
    let [tenant] = tenants();
    let account = tenant.account();
    scene.hand_over(std::slice::from_ref(&account)).await;
    let (begin, _begun) = mpsc::unbounded_channel();
    let (mut executor, mut words) = Executor::new(&scene.worker, begin, &CancellationToken::new());
    let database = &scene.worker.store.pool;
    sqlx::raw_sql("CREATE TRIGGER full BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        .execute(database)
        .await
        .unwrap();
    for works in [false, true] {
        let Chosen::Batch(batch) = executor.choose_next().await.unwrap() else { panic!("the job is not chosen") };
        assert_eq!(batch, std::slice::from_ref(&account));
        executor.batches += 1;
        executor.carry_out(batch).await;
        while let Ok(word) = words.try_recv() {
            let (_nobody, mut no_more) = mpsc::unbounded_channel();
            executor.take(word, &mut no_more).await;
        }
        let Chosen::Nothing(pause) = executor.choose_next().await.unwrap() else { panic!("it does not rest") };
        assert_eq!(pause <= Duration::from_secs(1), !works, "{pause:?}");
        sqlx::raw_sql("DROP TRIGGER IF EXISTS full").execute(database).await.unwrap();
        executor.rest_until = Instant::now();
    }
    scene.applied(&[account]).await;
}

#[tokio::test]
async fn an_updater_that_was_cut_off_goes_on_though_nobody_knows_of_its_job() {
    let scene = Scene::new().await;
    let updates = &scene.worker.updates;
    updates.desk.clear(Path::new("/bin/true")).unwrap();
    let mut order = Order {
        job: JobId::new(),
        attempt: 1,
        from: "0.1.0".parse().unwrap(),
        to: "0.2.0".parse().unwrap(),
        sha256: "0a".repeat(32).parse().unwrap(),
        well: Vec::new(),
        steps: Vec::new(),
        phase: Phase::Ended { verdict: Verdict::Applied },
    };
    for (phase, runs) in [(order.phase.clone(), false), (Phase::Installing, true)] {
        order.phase = phase;
        updates.desk.write(&order).unwrap();
        updates.revive(scene.worker.engine.system()).await.unwrap();
        assert_eq!(scene.host.snapshot().active.contains(UPDATE_UNIT), runs, "{:?}", order.phase);
    }
}

#[tokio::test]
async fn jobs_go_on_while_a_newer_worker_is_fetched_and_the_worker_stops_when_it_is_told() {
    let scene = Scene::new().await;
    let pinned = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
    std::fs::write(&scene.worker.updates.release_keys, BASE64.encode(pinned.public_key().as_ref())).unwrap();
    // A panel that takes the connection and says nothing.
    let panel = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let architecture = Architecture::own().unwrap();
    let package = WorkerPackage { architecture: architecture.clone(), sha256: "0a".repeat(32).parse().unwrap(), signature: None };
    let mut spec = WorkerSpec {
        version: "0.3.0".parse().unwrap(),
        packages: vec![package],
        panel: format!("https://{}", panel.local_addr().unwrap()),
        fingerprint: "0a".repeat(32),
    };
    let statement = spec.release_for(&architecture).unwrap().0.statement();
    spec.packages[0].signature = Some(BASE64.encode(pinned.sign(statement.as_bytes()).as_ref()).parse().unwrap());
    let server = ServerId::new();
    let update = job(AccountId::lane_of(server), ResourceKey::Worker(server), Job::Worker(spec));
    let [tenant] = tenants();
    scene
        .work(async || {
            scene.hand_over(&[update]).await;
            let _silent = panel.accept().await.unwrap();
            let account = tenant.account();
            scene.hand_over(std::slice::from_ref(&account)).await;
            scene.applied(&[account]).await;
        })
        .await;
    assert!(!scene.worker.updates.are_under_way());
    assert!(!Path::new(&scene.worker.updates.desk.package()).exists());
}

#[tokio::test]
async fn a_batch_lets_go_of_the_database_while_its_executor_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("worker.db")).await.unwrap();
    let (begin, begun) = mpsc::unbounded_channel();
    let (has_it, had) = oneshot::channel();
    let pool = store.pool.clone();
    let batch = async move {
        let _connection = pool.acquire().await.unwrap();
        has_it.send(()).unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let executor = async {
        begin.send(batch.boxed()).unwrap();
        had.await.unwrap();
        // Without anybody who carries the batch on, this waits until the pool gives up.
        let waits = store.pool.acquire();
        drop(begin);
        waits.await.map(drop)
    };
    let (waited, ()) = tokio::join!(executor, keep_going(begun));
    waited.unwrap();
}
