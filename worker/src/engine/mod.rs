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
//! **One batch at a time; a single job is a batch of one.** No two jobs of a batch touch the same path or answer to the same
//! name: that is the registry's to see to.

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
pub(crate) mod parallel;
pub mod plan;
pub(crate) mod progress;
mod run;
pub(crate) mod together;
pub(crate) mod undo;

use std::sync::Arc;

use shared::jobs::SealedCryptHash;
use shared::names::CryptHash;
use tokio::sync::Mutex;

use self::error::chain;
use self::finish::{Remainder, finish};
use self::journal::InFlight;
use self::undo::{Undo, is_cut, undo_all};
use crate::ledger::Ledger;
use crate::store::{Store, StoreError};
use crate::system::{System, SystemError};

pub(crate) use run::run;

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
    pub(crate) ledger: Ledger,
    pub(crate) unsealer: Arc<dyn Unsealer>,
    /// How many things are done at once for a batch.
    pub(crate) threads: usize,
    /// Held while a batch is carried out.
    pub(crate) turn: Mutex<()>,
}

/// Most of what is done side by side waits: for the disk, for a program, for a site's first answer.
const THREADS: usize = 16;

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

impl Engine {
    /// An engine on a host. Call [`Self::recover`] before the first job.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub async fn open(store: &Store, system: Arc<dyn System>, unsealer: Arc<dyn Unsealer>) -> Result<Self, StoreError> {
        Ok(Self { system, ledger: Ledger::open(store).await?, unsealer, threads: THREADS, turn: Mutex::new(()) })
    }

    /// The same engine, doing one thing after another, always in the same order.
    #[must_use]
    pub fn single_threaded(mut self) -> Self {
        self.threads = 1;
        self
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

    /// Undoes or finishes what was in flight when the worker last stopped.
    ///
    /// # Errors
    /// The journal cannot be read or written. What the host refuses is logged and counted, not returned.
    pub async fn recover(&self) -> Result<Recovery, StoreError> {
        let _turn = self.turn.lock().await;
        self.recover_in_turn().await
    }

    /// As [`Self::recover`], for whoever holds the turn. Also done before each batch: what a failing database or a panic has
    /// left in flight must never be put back over something newer.
    pub(crate) async fn recover_in_turn(&self) -> Result<Recovery, StoreError> {
        let jobs = journal::in_flight(&self.ledger.pool).await?;
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
