//! `gantry-worker run`: the whole worker.
//!
//! Three things go on side by side: the bus hands jobs into the inbox, the executor works the inbox off, the outbox hands
//! events to the bus. **The executor never waits for the bus**: a worker that is cut off finishes what it has, and a host
//! that boots without a bus serves.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use shared::bus::BusError;
use shared::bus::sealing::SealKey;
use shared::bus::worker::WorkerBus;
use shared::events::{Event, Outcome, Progress, Resync, Verdict};
use shared::failure::RetryPolicy;
use shared::jobs::{JobEnvelope, SealedCryptHash};
use shared::names::CryptHash;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Identity;
use crate::engine::{Engine, UnsealError, Unsealer};
use crate::heartbeat::Pulse;
use crate::inbox::{Turn, ended_forget_before, inbox_end, inbox_next, inbox_next_due_ms, inbox_postpone, inbox_step_back};
use crate::ledger::Ledger;
use crate::outbox::{self, outbox_insert, resync_is_told, resync_mark_told};
use crate::receive::receive;
use crate::registry::{Readiness, carry_out, prepare_host, readiness};
use crate::store::{Store, StoreError, now_ms};
use crate::system::System;

/// What a worker is started with.
pub struct WorkerConfig {
    /// Who it is.
    pub identity: Identity,
    /// Its database.
    pub database: PathBuf,
    /// The host.
    pub system: Arc<dyn System>,
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
}

/// What the parts of a running worker share.
pub(crate) struct Worker {
    pub(crate) identity: Identity,
    pub(crate) store: Store,
    engine: Arc<Engine>,
    /// A job has come.
    pub(crate) job_came: Notify,
    /// An event is in the outbox.
    pub(crate) event_came: Notify,
    progress: mpsc::Sender<Progress>,
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
/// The database or the keys cannot be used.
pub async fn run(config: WorkerConfig, shutdown: CancellationToken) -> Result<(), WorkerError> {
    let store = Store::open(&config.database).await?;
    let seal = SealKey::from_seed(&config.identity.seal_seed)?;
    let engine = Arc::new(Engine::open(&store, config.system, Arc::new(Seal(seal))).await?);
    let recovery = engine.recover().await?;
    tracing::info!(undone = recovery.undone, finished = recovery.finished, errors = recovery.errors, "recovered");
    let (progress, progress_queue) = mpsc::channel(256);
    let worker =
        Arc::new(Worker { identity: config.identity, store, engine, job_came: Notify::new(), event_came: Notify::new(), progress });
    if !resync_is_told(&worker.store.pool).await.map_err(StoreError::from)? {
        tell_ledger(&worker).await?;
    }
    let (connected, bus) = watch::channel(None);
    // They end with this function: nothing takes jobs for a worker that has stopped.
    let mut tasks = JoinSet::new();
    tasks.spawn(hold_connection(Arc::clone(&worker), connected));
    tasks.spawn(publish_progress(progress_queue, bus));
    tasks.spawn(prepare(Arc::clone(&worker)));
    tasks.spawn(forget(Arc::clone(&worker)));
    tasks.spawn(keep_watchdog_quiet());
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    execute(&worker, &shutdown).await;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    Ok(())
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

/// Makes the host fit for its roles; tries again until it is.
async fn prepare(worker: Arc<Worker>) {
    loop {
        match prepare_host(&worker.engine, &mut |_| {}).await {
            Ok(prepared) if prepared.failure.is_none() => {
                tracing::info!(steps = prepared.steps.len(), "the host is prepared");
                return;
            }
            Ok(prepared) => tracing::error!(failure = ?prepared.failure, "the host could not be prepared; trying again in a minute"),
            Err(error) => tracing::error!(error = %error, "the host could not be prepared; trying again in a minute"),
        }
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
}

/// systemd kills a worker that does not say that it lives; half the time it allows is left to spare.
async fn keep_watchdog_quiet() {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    loop {
        tokio::time::sleep(period / 3).await;
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
    }
}

/// Works the inbox off, one job at a time.
async fn execute(worker: &Worker, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        match work_next(worker).await {
            Ok(true) => {}
            Ok(false) => {
                let due = due_in(worker).await;
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = worker.job_came.notified() => {}
                    () = tokio::time::sleep(due) => {}
                }
            }
            Err(error) => {
                tracing::error!(error = %error, "the inbox could not be worked; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// How long until a postponed job may start again.
async fn due_in(worker: &Worker) -> Duration {
    let due = inbox_next_due_ms(&worker.store.pool).await.ok().flatten();
    let millis = due.map_or(60_000, |due| (due - now_ms()).clamp(10, 60_000));
    Duration::from_millis(u64::try_from(millis).unwrap_or(60_000))
}

/// A job whose requirement has not come yet is looked at again after this pause, this often, before it fails: for longer
/// than the panel takes to send again what the bus has lost, which is two minutes and a quarter.
const REQUIREMENT_PAUSE_MS: i64 = 1_000;
const REQUIREMENT_TRIES: u32 = 180;
/// A passing failure is tried again this often, after 2, 4 and 8 seconds.
const PASSING_TRIES: u32 = 3;

/// Carries out the next job. False if there is none.
async fn work_next(worker: &Worker) -> Result<bool, StoreError> {
    let Some(Turn { envelope, tries }) = inbox_next(&worker.store.pool, now_ms()).await? else { return Ok(false) };
    if matches!(readiness(&worker.engine, &envelope), Readiness::Waiting(_)) && tries < REQUIREMENT_TRIES {
        inbox_step_back(&worker.store.pool, &envelope, now_ms() + REQUIREMENT_PAUSE_MS).await?;
        return Ok(true);
    }
    let outcome = carry_out_visibly(worker, &envelope).await;
    if is_passing(&outcome) && tries < PASSING_TRIES {
        let pause_ms = 2_000_i64 << tries;
        tracing::warn!(job.id = %envelope.id, pause_ms, "a job failed in passing; trying again");
        let mut tx = worker.store.pool.begin_with("BEGIN IMMEDIATE").await?;
        Ledger::settled_take(&mut tx, envelope.id).await?;
        tx.commit().await?;
        inbox_postpone(&worker.store.pool, &envelope, now_ms() + pause_ms).await?;
        return Ok(true);
    }
    end(worker, outcome).await?;
    Ok(true)
}

fn is_passing(outcome: &Outcome) -> bool {
    match &outcome.verdict {
        Verdict::Failed { code, .. } => code.retry_policy() == RetryPolicy::Again,
        Verdict::Applied | Verdict::Superseded => false,
    }
}

/// Carries a job out and sends each change of its steps; what the bus cannot take in time is dropped.
async fn carry_out_visibly(worker: &Worker, envelope: &JobEnvelope) -> Outcome {
    let mut sequence = 0;
    let mut report = |steps| {
        sequence += 1;
        let _ = worker.progress.try_send(Progress {
            server: envelope.server.clone(),
            job: envelope.id,
            operation: envelope.operation,
            attempt: envelope.attempt,
            sequence,
            steps,
        });
    };
    let started = std::time::Instant::now();
    let outcome = carry_out(&worker.engine, envelope, &mut report).await;
    tracing::info!(
        operation.id = %envelope.operation, job.id = %envelope.id, job.kind = %envelope.job.kind(), job.attempt = envelope.attempt,
        resource.generation = %envelope.generation, verdict = verdict_name(&outcome.verdict),
        duration_ms = started.elapsed().as_millis(), "a job has ended"
    );
    outcome
}

const fn verdict_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Applied => "applied",
        Verdict::Superseded => "superseded",
        Verdict::Failed { .. } => "failed",
    }
}

/// Takes a job out of the inbox and puts its outcome into the outbox, in one transaction.
async fn end(worker: &Worker, outcome: Outcome) -> Result<(), StoreError> {
    let mut tx = worker.store.pool.begin_with("BEGIN IMMEDIATE").await?;
    Ledger::settled_take(&mut tx, outcome.job).await?;
    inbox_end(&mut tx, &outcome, now_ms()).await?;
    outbox_insert(&mut tx, &worker.identity, Event::Outcome(outcome)).await?;
    tx.commit().await?;
    worker.event_came.notify_one();
    Ok(())
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
    let pulse = Pulse::new(worker.identity.server.clone(), Arc::clone(&worker.engine), worker.store.clone());
    tokio::join!(outbox::run(&worker.store.pool, &bus, &worker.event_came), pulse.beat(&bus), receive(&worker, &bus));
}

async fn publish_progress(mut queue: mpsc::Receiver<Progress>, bus: watch::Receiver<Option<Arc<WorkerBus>>>) {
    while let Some(progress) = queue.recv().await {
        let bus = bus.borrow().clone();
        if let Some(bus) = bus
            && let Err(error) = bus.publish_progress(&progress).await
        {
            tracing::debug!(error = %error, "progress was not sent");
        }
    }
}

/// Outcomes are kept for as long as the bus keeps jobs, 14 days, and a day more.
const ENDED_MEMORY_MS: i64 = 15 * 24 * 3600 * 1000;

/// Forgets old outcomes, whether the bus is there or not.
async fn forget(worker: Arc<Worker>) {
    loop {
        if let Err(error) = ended_forget_before(&worker.store.pool, now_ms() - ENDED_MEMORY_MS).await {
            tracing::warn!(error = %error, "old outcomes could not be forgotten");
        }
        tokio::time::sleep(Duration::from_hours(1)).await;
    }
}
