//! Carries plans out, and survives being cut off at any instant.
//!
//! The life of a batch here:
//! 1. the registry plans each of its jobs from the same [`facts`];
//! 2. [`batch`] does step after step, what jobs have in common once: the before-image is in the journal, durably, before each
//!    effect. A job that fails is put back in reverse, alone;
//! 3. **the commit point** is one database transaction: the ledger takes the new states, the journal forgets the
//!    before-images and takes the plans' `finish` steps;
//! 4. the finish steps are carried out, the journal forgets them, and the outcomes are kept (`settled`) until whoever reports
//!    them takes them with [`crate::ledger::Ledger::settled_take`] inside the transaction of its own that records the report.
//!
//! So a job that is given again after a cut gets the very outcome it had, with its steps; and one that was cut off before
//! the commit point finds the host as it was, because [`Engine::recover`] runs first.
//!
//! **One batch has the turn at a time; a single job is a batch of one.** No two jobs that are under way touch the same path or
//! answer to the same name: that is the registry's to see to. A job that waits for something of its tenant's waits [`outside`], without the turn,
//! and touches nothing meanwhile; it is in the journal, and in the way of whatever would touch what it touches.

pub(crate) mod batch;
pub(crate) mod bisect;
pub(crate) mod check;
pub(crate) mod difference;
pub mod error;
pub(crate) mod execute;
pub mod facts;
pub(crate) mod finish;
pub mod image;
pub(crate) mod journal;
mod lanes;
pub(crate) mod outside;
pub(crate) mod parallel;
pub mod plan;
pub(crate) mod progress;
mod run;
pub(crate) mod together;
pub(crate) mod undo;

use std::collections::HashMap;
use std::ops::Add;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use shared::jobs::{JobEnvelope, SealedCryptHash};
use shared::names::CryptHash;
use tokio::sync::{Mutex, MutexGuard};

use self::error::chain;
use self::finish::{Remainder, finish};
use self::journal::InFlight;
use self::plan::Plan;
use self::undo::{Undo, is_cut, undo_all};
use crate::ledger::Ledger;
use crate::store::{Store, StoreError};
use crate::system::{System, SystemError, Watch, Watched};

pub use run::BatchProgress;
pub(crate) use run::Running;

/// Opens what was sealed to this worker.
pub trait Unsealer: Send + Sync {
    /// Opens a sealed password hash.
    ///
    /// # Errors
    /// It was not sealed to this worker, or was damaged, or holds no hash.
    fn unseal(&self, sealed: &SealedCryptHash) -> Result<CryptHash, UnsealError>;
}

/// A sealed value could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("the sealed password could not be opened: {0}")]
pub struct UnsealError(pub String);

/// Everything a job needs: the host, the memory of what was applied, and the key to sealed values.
pub struct Engine {
    pub(crate) system: Arc<dyn System>,
    /// What is under way on it, and in the database.
    pub(crate) watch: Arc<Watch>,
    pub(crate) ledger: Ledger,
    pub(crate) unsealer: Arc<dyn Unsealer>,
    /// How many things are done at once for a batch.
    pub(crate) threads: usize,
    /// How long a batch waits for those of its jobs that wait for their tenants.
    pub(crate) patience: Duration,
    /// Held while a batch is carried out.
    pub(crate) turn: Mutex<()>,
    /// Jobs that wait outside of their batches, by their keys in the journal.
    waiting_outside: std::sync::Mutex<HashMap<String, Arc<Outsider>>>,
}

/// A job that waits outside of its batch.
pub(crate) struct Outsider {
    pub(crate) envelope: JobEnvelope,
    /// Those of its batch.
    pub(crate) plans: Arc<Vec<Plan>>,
    /// Which of them is its own.
    pub(crate) member: usize,
}

impl Outsider {
    pub(crate) fn plan(&self) -> &Plan {
        &self.plans[self.member]
    }
}

/// The right to carry out a batch.
pub(crate) struct Turn<'e>(Option<MutexGuard<'e, ()>>);

impl<'e> Turn<'e> {
    pub(crate) async fn of(engine: &'e Engine) -> Self {
        Self(Some(engine.turn.lock().await))
    }

    /// Takes it again, unless it is there.
    pub(crate) async fn take(&mut self, engine: &'e Engine) {
        if self.0.is_none() {
            self.0 = Some(engine.turn.lock().await);
        }
    }

    pub(crate) fn give_up(&mut self) {
        self.0 = None;
    }
}

/// Most of what is done side by side waits: for the disk, for a program, for a site's first answer.
const THREADS: usize = 16;
/// The first answer of a pool that sleeps takes up to a quarter of a second on a busy machine; twice that.
const PATIENCE: Duration = Duration::from_millis(500);

/// What was found in flight at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Jobs whose steps were put back.
    pub undone: usize,
    /// Jobs whose finish steps were carried out.
    pub finished: usize,
    /// Steps that could not be put back or carried out; they have been logged.
    pub errors: usize,
}

impl Add for Recovery {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { undone: self.undone + other.undone, finished: self.finished + other.finished, errors: self.errors + other.errors }
    }
}

impl Engine {
    /// An engine on a host. Call [`Self::recover`] before the first job.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn open(store: &Store, system: Arc<dyn System>, unsealer: Arc<dyn Unsealer>) -> Result<Self, StoreError> {
        let ledger = Ledger::open(store).await?;
        let (turn, waiting_outside) = (Mutex::new(()), std::sync::Mutex::default());
        let watch = Arc::new(Watch::default());
        let system = Arc::new(Watched { host: system, watch: Arc::clone(&watch) });
        Ok(Self { system, watch, ledger, unsealer, threads: THREADS, patience: PATIENCE, turn, waiting_outside })
    }

    /// The same engine, doing one thing after another, always in the same order.
    #[must_use]
    pub fn single_threaded(mut self) -> Self {
        self.threads = 1;
        self
    }

    /// The same engine, whose batches wait so long for those of their jobs that wait for their tenants.
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The jobs that wait outside of their batches.
    pub(crate) fn outsiders(&self) -> Vec<Arc<Outsider>> {
        self.waiting_outside.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// A job goes outside, unless it is there.
    pub(crate) fn let_outside(&self, key: &str, outsider: impl FnOnce() -> Outsider) {
        let mut outside = self.waiting_outside.lock().unwrap_or_else(PoisonError::into_inner);
        if !outside.contains_key(key) {
            outside.insert(key.to_owned(), Arc::new(outsider()));
        }
    }

    /// Jobs are outside no more.
    pub(crate) fn call_in<'k>(&self, keys: impl Iterator<Item = &'k str>) {
        let mut outside = self.waiting_outside.lock().unwrap_or_else(PoisonError::into_inner);
        keys.for_each(|key| drop(outside.remove(key)));
    }

    fn is_outside(&self, key: &str) -> bool {
        self.waiting_outside.lock().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }

    /// What has been applied.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The host.
    #[must_use]
    pub fn system(&self) -> &Arc<dyn System> {
        &self.system
    }

    /// What has been under way on the host, or in the database, for longer than this, and for how long.
    #[must_use]
    pub fn hangs(&self, limit: Duration) -> Option<(&'static str, Duration)> {
        self.watch.overdue(limit)
    }

    /// Undoes or finishes what was in flight when the worker last stopped.
    ///
    /// # Errors
    /// The journal cannot be read or written. What the host refuses is logged and counted, not returned.
    pub async fn recover(&self) -> Result<Recovery, StoreError> {
        let _turn = self.turn.lock().await;
        self.recover_in_turn().await
    }

    /// As [`Self::recover`], for whoever holds the turn. Also done before each batch: what a failing database or a panic has
    /// left in flight must never be put back over something newer. What waits outside goes on by itself.
    pub(crate) async fn recover_in_turn(&self) -> Result<Recovery, StoreError> {
        let mut jobs = journal::in_flight(&self.ledger.pool).await?;
        jobs.retain(|job| !self.is_outside(&job.key));
        if jobs.is_empty() {
            return Ok(Recovery::default());
        }
        let mut recovery = Recovery {
            undone: jobs.iter().filter(|job| !job.undos.is_empty()).count(),
            finished: jobs.iter().filter(|job| !job.finish.is_empty()).count(),
            errors: 0,
        };
        let keys: Vec<String> = jobs.iter().map(|job| job.key.clone()).collect();
        let (system, threads) = (self.system.clone(), self.threads);
        let errors = blocking(move || settle_all(&jobs, system.as_ref(), threads)).await?;
        for (key, error) in keys.iter().zip(&errors).flat_map(|(key, errors)| errors.iter().map(move |error| (key, error))) {
            tracing::error!(job.key = key, error = chain(error.as_ref()), "what was in flight could not be recovered whole");
        }
        recovery.errors = errors.iter().map(Vec::len).sum();
        // After a cut the next start finds all of it again.
        if !errors.iter().any(|errors| is_cut(errors)) {
            journal::forget(&self.ledger.pool, keys.iter().map(String::as_str)).await?;
        }
        Ok(recovery)
    }
}

/// Puts back what was not committed, and carries out what remained of what was. What went wrong, by job.
fn settle_all(jobs: &[InFlight], system: &dyn System, threads: usize) -> Vec<Vec<Arc<SystemError>>> {
    let undos: Vec<&[Undo]> = jobs.iter().map(|job| job.undos.as_slice()).collect();
    let mut errors = undo_all(&undos, system, threads);
    if errors.iter().any(|errors| is_cut(errors)) {
        return errors;
    }
    let mut remainders: Vec<Remainder<'_>> = jobs.iter().map(|job| Remainder::new(&job.finish, None)).collect();
    finish(&mut remainders, system);
    for (remainder, errors) in remainders.iter().zip(&mut errors) {
        errors.extend(remainder.error().cloned());
    }
    errors
}

/// Runs blocking work on its own thread.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::WorkerThread)
}
