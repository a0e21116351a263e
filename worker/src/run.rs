//! `gantry-worker run`: the whole worker.
//!
//! Three things go on side by side: the bus hands jobs into the inbox, the executor works the inbox off, the outbox hands
//! events to the bus. **The executor never waits for the bus**: a worker that is cut off finishes what it has, and a host
//! that boots without a bus serves.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use shared::bus::BusError;
use shared::bus::sealing::SealKey;
use shared::bus::worker::WorkerBus;
use shared::events::{Event, Progress, Resync};
use shared::ids::JobId;
use shared::jobs::SealedCryptHash;
use shared::names::{CryptHash, PackageVersion};
use shared::security::{SecurityKind, Tally};
use tokio::sync::{Mutex, Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::base;
use crate::config::Identity;
use crate::drift;
use crate::engine::{Engine, UnsealError, Unsealer};
use crate::executor::Executor;
use crate::heartbeat::Pulse;
use crate::idle;
use crate::inbox::ended_forget_before;
use crate::outbox::{self, outbox_insert, resync_is_told, resync_mark_told};
use crate::questions::answer_all;
use crate::receive::receive;
use crate::sendings::sendings_forget_before;
use crate::store::{Store, StoreError, now_ms};
use crate::system::{SIGN, System};
use crate::tasks::{TaskEnded, Tasks};
use crate::trash;
use crate::tries::tries_forget;
use crate::update::order::Desk;
use crate::update::{RELEASE_KEYS, Updates};
use crate::watchdog;

/// What a worker is started with.
pub struct WorkerConfig {
    /// Who it is.
    pub identity: Identity,
    /// Where it keeps its database and the files of an update.
    pub state_dir: PathBuf,
    /// The host.
    pub system: Arc<dyn System>,
    /// How often the host is compared with what was applied.
    pub drift_period: Duration,
    /// Its version: that of the package it came in.
    pub version: PackageVersion,
    /// The file of the release keys whose packages it installs in its own place.
    pub release_keys: PathBuf,
    /// Where it leaves a sign that it has reached the bus, if anybody looks for one.
    pub runtime_dir: Option<PathBuf>,
}

impl WorkerConfig {
    /// As the worker's package has it.
    #[must_use]
    pub fn new(identity: Identity, state_dir: &Path, system: Arc<dyn System>, version: PackageVersion) -> Self {
        let (state_dir, release_keys) = (state_dir.to_owned(), RELEASE_KEYS.into());
        Self { identity, state_dir, system, version, release_keys, drift_period: DRIFT_PERIOD, runtime_dir: None }
    }
}

/// What ends a worker that should not end.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Its database failed.
    #[error("the worker's database failed")]
    Store(#[from] StoreError),
    /// Its keys are damaged.
    #[error("the worker's keys are damaged; enrol it again")]
    Keys(#[from] BusError),
    /// A part of it has stopped.
    #[error("a part of the worker has stopped")]
    Task(#[from] TaskEnded),
}

/// The database's file in the state directory.
pub const DATABASE: &str = "worker.db";

/// How often the host is compared with what was applied, unless something else is asked for.
const DRIFT_PERIOD: Duration = Duration::from_mins(5);

/// What the parts of a running worker share.
pub(crate) struct Worker {
    pub(crate) identity: Identity,
    pub(crate) store: Store,
    pub(crate) engine: Arc<Engine>,
    /// A job has come.
    pub(crate) job_came: Notify,
    /// A job has ended, and may have moved something aside.
    pub(crate) job_ended: Notify,
    /// An event is in the outbox.
    pub(crate) event_came: Notify,
    /// Somebody wants the host compared with what was applied.
    pub(crate) look_wanted: Notify,
    pub(crate) progress: mpsc::Sender<Progress>,
    /// What was refused as a matter of security.
    pub(crate) refused: Mutex<Tally<SecurityKind>>,
    pub(crate) updates: Updates,
    /// Where the sign is left that it has reached the bus.
    pub(crate) sign: Option<PathBuf>,
}

/// Opens what was sealed to this worker.
struct Seal(SealKey);

impl Unsealer for Seal {
    fn unseal(&self, sealed: &SealedCryptHash) -> Result<CryptHash, UnsealError> {
        self.0.open_hash(sealed).map_err(|error| UnsealError(error.to_string()))
    }
}

/// Runs until `shutdown`. A job under way is finished first.
///
/// # Errors
/// The database or the keys cannot be used, or a part of the worker has stopped.
pub async fn run(config: WorkerConfig, shutdown: CancellationToken) -> Result<(), WorkerError> {
    let store = Store::open(&config.state_dir.join(DATABASE)).await?;
    let seal = SealKey::from_seed(&config.identity.seal_seed)?;
    let engine = Arc::new(Engine::open(&store, config.system, Arc::new(Seal(seal))).await?);
    let recovery = engine.recover().await?;
    tracing::info!(undone = recovery.undone, finished = recovery.finished, errors = recovery.errors, "recovered");
    let (progress, progress_queue) = mpsc::channel(PROGRESS_QUEUE);
    let worker = Arc::new(Worker {
        identity: config.identity,
        store,
        engine,
        job_came: Notify::new(),
        job_ended: Notify::new(),
        event_came: Notify::new(),
        look_wanted: Notify::new(),
        progress,
        refused: Mutex::default(),
        updates: Updates { version: config.version, release_keys: config.release_keys, desk: Desk::within(&config.state_dir) },
        sign: config.runtime_dir.map(|directory| directory.join(SIGN)),
    });
    if !resync_is_told(&worker.store.pool).await.map_err(StoreError::from)? {
        tell_ledger(&worker).await?;
    }
    let (connected, bus) = watch::channel(None);
    let mut tasks = Tasks::default();
    tasks.spawn("connection", hold_connection(Arc::clone(&worker), connected));
    tasks.spawn("progress", publish_progress(progress_queue, bus));
    tasks.spawn("preparation", base::keep(Arc::clone(&worker)));
    tasks.spawn("memory", forget(Arc::clone(&worker)));
    tasks.spawn("trash", empty_trash(Arc::clone(&worker)));
    tasks.spawn("idle masters", end_idle_masters(Arc::clone(&worker)));
    tasks.spawn("drift", watch_for_drift(Arc::clone(&worker), config.drift_period));
    tasks.spawn("watchdog", watchdog::keep_quiet(Arc::clone(&worker)));
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let stop = shutdown.child_token();
    let work = async {
        // A job may rely on what is prepared.
        base::prepare(&worker).await;
        Executor::run(&worker, &stop).await;
    };
    let ended = tasks.beside(work, &stop).await;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    Ok(ended?)
}

/// Tells the panel what a new ledger holds, so that it sends again what it believes to be here.
async fn tell_ledger(worker: &Worker) -> Result<(), StoreError> {
    let resync = Resync { ledger_lost: worker.engine.ledger().is_empty(), applied: worker.engine.ledger().generations() };
    let mut tx = worker.store.pool.begin_with("BEGIN IMMEDIATE").await?;
    outbox_insert(&mut tx, &worker.identity, Event::Resync(resync)).await?;
    resync_mark_told(&mut tx, now_ms()).await?;
    tx.commit().await?;
    Ok(())
}

async fn end_idle_masters(worker: Arc<Worker>) {
    idle::keep_asleep(&worker.engine).await;
}

async fn watch_for_drift(worker: Arc<Worker>, period: Duration) {
    drift::keep_watch(&worker, period).await;
}

async fn empty_trash(worker: Arc<Worker>) {
    trash::keep_empty(&worker.engine, &worker.job_ended).await;
}

/// Connects for as long as it takes; from then on the connection mends itself.
async fn hold_connection(worker: Arc<Worker>, connected: watch::Sender<Option<Arc<WorkerBus>>>) {
    let mut reported = String::new();
    let bus = loop {
        let identity = &worker.identity;
        match WorkerBus::connect(&identity.bus, &identity.server, &identity.credentials).await {
            Ok(bus) => break Arc::new(bus),
            Err(error) => {
                let text = error.to_string();
                if text != reported {
                    tracing::warn!(error = text, "waiting for the bus");
                    reported = text;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    };
    connected.send_replace(Some(Arc::clone(&bus)));
    let pulse = Pulse::new(&worker);
    // None of them ends; if one did, all should.
    tokio::select! {
        () = outbox::run(&worker.store.pool, &bus, &worker.event_came) => {}
        () = pulse.beat(&bus) => {}
        () = receive(&worker, &bus) => {}
        () = answer_all(&worker, &bus) => {}
    }
}

/// Messages between two looks of the publisher; of more, some are lost, and the next of the same job holds everything again.
const PROGRESS_QUEUE: usize = 4096;

/// Sends progress on: of each job the newest only, since it holds everything.
async fn publish_progress(mut queue: mpsc::Receiver<Progress>, bus: watch::Receiver<Option<Arc<WorkerBus>>>) {
    let mut come = Vec::new();
    while queue.recv_many(&mut come, PROGRESS_QUEUE).await > 0 {
        let mut newest: HashMap<JobId, Progress> = HashMap::new();
        for progress in come.drain(..) {
            newest.insert(progress.job, progress);
        }
        let Some(bus) = bus.borrow().clone() else { continue };
        for progress in newest.values() {
            if let Err(error) = bus.publish_progress(progress).await {
                tracing::debug!(error = %error, "progress was not sent");
            }
        }
    }
}

/// Outcomes are kept for as long as the bus keeps jobs, 14 days, and a day more.
const ENDED_MEMORY_MS: i64 = 15 * 24 * 3600 * 1000;

/// Forgets old outcomes and arrivals, whether the bus is there or not.
async fn forget(worker: Arc<Worker>) {
    loop {
        if let Err(error) = ended_forget_before(&worker.store.pool, now_ms() - ENDED_MEMORY_MS).await {
            tracing::warn!(error = %error, "old outcomes could not be forgotten");
        }
        if let Err(error) = sendings_forget_before(&worker.store.pool, now_ms() - ENDED_MEMORY_MS).await {
            tracing::warn!(error = %error, "old arrivals of jobs could not be forgotten");
        }
        if let Err(error) = tries_forget(&worker.store.pool).await {
            tracing::warn!(error = %error, "old tries could not be forgotten");
        }
        tokio::time::sleep(Duration::from_hours(1)).await;
    }
}
