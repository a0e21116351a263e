//! Carries plans out, and survives being cut off at any instant.
//!
//! The life of a job here:
//! 1. the registry plans it from the [`facts`];
//! 2. [`execute`] does step after step: the before-image is in the journal, durably, before each effect. A failure puts
//!    everything back in reverse;
//! 3. **the commit point** is one database transaction: the ledger takes the new state, the journal forgets the
//!    before-images and takes the plan's `finish` steps;
//! 4. the finish steps are carried out, the journal forgets them, and the outcome is kept (`settled`) until whoever reports
//!    it takes it with [`crate::ledger::Ledger::settled_take`] inside the transaction of its own that records the report.
//!
//! So a job that is given again after a cut gets the very outcome it had, with its steps; and one that was cut off before
//! the commit point finds the host as it was, because [`Engine::recover`] runs first.
//!
//! **One job at a time.** Nothing below the registry relies on it: a plan belongs to one job, and nginx is asked about the
//! changes of a list of steps, whose they are.

pub(crate) mod check;
pub mod error;
pub(crate) mod execute;
pub mod facts;
pub mod image;
pub(crate) mod journal;
pub mod plan;
pub(crate) mod progress;
mod run;
pub(crate) mod undo;

use std::sync::Arc;

use shared::jobs::SealedCryptHash;
use shared::names::CryptHash;
use tokio::sync::Mutex;

use self::error::chain;
use self::execute::{finish_action, undo_all};
use crate::ledger::Ledger;
use crate::store::{Store, StoreError};
use crate::system::System;

pub(crate) use run::{Ended, run};

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
    /// Held while a job is carried out.
    pub(crate) turn: Mutex<()>,
}

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
        Ok(Self { system, ledger: Ledger::open(store).await?, unsealer, turn: Mutex::new(()) })
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

    /// As [`Self::recover`], for whoever holds the turn. Also done before each job: what a failing database or a panic has
    /// left in flight must never be put back over something newer.
    pub(crate) async fn recover_in_turn(&self) -> Result<Recovery, StoreError> {
        let mut recovery = Recovery::default();
        for job in journal::in_flight(&self.ledger.pool).await? {
            let system = self.system.clone();
            let (undos, finish) = (job.undos, job.finish);
            recovery.undone += usize::from(!undos.is_empty());
            recovery.finished += usize::from(!finish.is_empty());
            let errors = blocking(move || {
                let mut errors = undo_all(&undos, system.as_ref()).err().unwrap_or_default();
                errors.extend(finish.iter().filter_map(|step| finish_action(&step.action, system.as_ref()).err()));
                errors
            })
            .await?;
            for error in &errors {
                tracing::error!(job.key = job.key, error = chain(error), "what was in flight could not be recovered whole");
            }
            recovery.errors += errors.len();
            if errors.iter().any(|error| matches!(error, crate::system::SystemError::Interrupted)) {
                break;
            }
            journal::forget(&self.ledger.pool, &job.key).await?;
        }
        Ok(recovery)
    }
}

/// Runs blocking work on its own thread.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::WorkerThread)
}
