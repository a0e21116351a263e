//! What each resource was last made to look like, and which newer state failed.
//!
//! **An applied state is what the host serves; a parked one failed and waits for Retry or a newer one.** A deleted resource
//! keeps its row, so that a late job of an older generation cannot bring it back.

mod rows;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use shared::events::Outcome;
use shared::ids::JobId;
use shared::jobs::{Generation, Job, ResourceKey};
use sqlx::{SqliteConnection, SqlitePool};

use crate::engine::journal;
use crate::engine::plan::FinishStep;
use crate::store::{Store, StoreError, decode, encode, now_ms};

pub use rows::{Row, RowState, Rows, names_of, user_of};

/// The ledger. All of it is in memory too: planning asks it about every name on the host.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) pool: SqlitePool,
    rows: RwLock<Arc<Rows>>,
}

/// What the ledger learns when a job ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    /// Which resource.
    pub(crate) resource: ResourceKey,
    /// Which state.
    pub(crate) generation: Generation,
    /// The state itself.
    pub(crate) spec: &'a Job,
}

/// A job at the commit point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Committed<'a> {
    /// Its key in the journal.
    pub(crate) key: &'a str,
    /// What remains to be done.
    pub(crate) finish: &'a [FinishStep],
    /// What the ledger learns.
    pub(crate) change: Option<Change<'a>>,
}

/// Changes as the rows of a JSON array: resource, generation, state.
fn listed(changes: &[Change<'_>]) -> Result<String, StoreError> {
    let mut rows = Vec::with_capacity(changes.len());
    for change in changes {
        rows.push((change.resource.to_string(), change.generation.0, encode(change.spec)?));
    }
    encode(&rows)
}

impl Ledger {
    pub(crate) async fn open(store: &Store) -> Result<Self, StoreError> {
        type Stored = (String, i64, String, String, Option<i64>, Option<String>);
        let stored: Vec<Stored> = sqlx::query_as("SELECT resource, generation, state, spec, applied_generation, applied_spec FROM ledger")
            .fetch_all(&store.pool)
            .await?;
        let mut rows = Rows::default();
        for (resource, generation, state, spec, applied_generation, applied_spec) in stored {
            let newest: Arc<Job> = Arc::new(decode("ledger", &spec)?);
            let applied = match (applied_generation, applied_spec) {
                (Some(generation), Some(applied)) if applied == spec => Some((Generation(generation), Arc::clone(&newest))),
                (Some(generation), Some(applied)) => Some((Generation(generation), Arc::new(decode("ledger", &applied)?))),
                (_, _) => None,
            };
            let state = if state == RowState::Applied.as_str() { RowState::Applied } else { RowState::Parked };
            let key = decode("ledger", &encode(&resource)?)?;
            rows.put(key, Row { generation: Generation(generation), state, spec: newest, applied });
        }
        Ok(Self { pool: store.pool.clone(), rows: RwLock::new(Arc::new(rows)) })
    }

    /// The rows as they are now. Let go of them before a job ends: as long as somebody holds them, a change copies them all.
    #[must_use]
    pub fn rows(&self) -> Arc<Rows> {
        Arc::clone(&self.rows.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The applied generation of each resource, for resync.
    #[must_use]
    pub fn generations(&self) -> Vec<(ResourceKey, Generation)> {
        self.rows().applied().map(|(key, generation, _)| (key, generation)).collect()
    }

    /// Closes the database it shares with its store.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// How many resources it holds, for the heartbeat.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::try_from(self.rows().len()).unwrap_or(u32::MAX)
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows().is_empty()
    }

    /// The commit point of a batch, one transaction: new states are the applied ones, before-images give way to finish steps.
    /// Those of the `undone` jobs are forgotten with them.
    pub(crate) async fn commit(&self, jobs: &[Committed<'_>], undone: &[&str]) -> Result<(), StoreError> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        journal::forget_in_tx(&mut tx, undone.iter().copied().chain(jobs.iter().map(|job| job.key))).await?;
        journal::finish_in_tx(&mut tx, jobs.iter().map(|job| (job.key, job.finish))).await?;
        let changes: Vec<Change<'_>> = jobs.iter().filter_map(|job| job.change).collect();
        if !changes.is_empty() {
            // An upsert that reads from a table wants a WHERE, or ON would be read as that of a join.
            sqlx::query(
                "INSERT INTO ledger (resource, generation, state, spec, applied_generation, applied_spec, updated_ms) \
                 SELECT value ->> 0, value ->> 1, 'applied', value ->> 2, value ->> 1, value ->> 2, $2 FROM json_each($1) WHERE true \
                 ON CONFLICT (resource) DO UPDATE SET generation = excluded.generation, state = 'applied', spec = excluded.spec, \
                 applied_generation = excluded.generation, applied_spec = excluded.spec, updated_ms = excluded.updated_ms",
            )
            .bind(listed(&changes)?)
            .bind(now_ms())
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        self.remember(&changes, |change, _| {
            let spec = Arc::new(change.spec.clone());
            let applied = Some((change.generation, Arc::clone(&spec)));
            Row { generation: change.generation, state: RowState::Applied, spec, applied }
        });
        Ok(())
    }

    /// States that failed are parked, and what was applied stays.
    pub(crate) async fn park(&self, changes: &[Change<'_>]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO ledger (resource, generation, state, spec, updated_ms) \
             SELECT value ->> 0, value ->> 1, 'parked', value ->> 2, $2 FROM json_each($1) WHERE true ON CONFLICT (resource) DO UPDATE \
             SET generation = excluded.generation, state = 'parked', spec = excluded.spec, updated_ms = excluded.updated_ms",
        )
        .bind(listed(changes)?)
        .bind(now_ms())
        .execute(&self.pool)
        .await?;
        self.remember(changes, |change, before| Row {
            generation: change.generation,
            state: RowState::Parked,
            spec: Arc::new(change.spec.clone()),
            applied: before.and_then(|row| row.applied.clone()),
        });
        Ok(())
    }

    fn remember(&self, changes: &[Change<'_>], row: impl Fn(&Change<'_>, Option<&Row>) -> Row) {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let rows = Arc::make_mut(&mut rows);
        for change in changes {
            let row = row(change, rows.get(change.resource));
            rows.put(change.resource, row);
        }
    }

    /// Keeps outcomes until they are taken.
    pub(crate) async fn settle(&self, outcomes: &[&Outcome]) -> Result<(), StoreError> {
        if outcomes.is_empty() {
            return Ok(());
        }
        let mut stored = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            stored.push((outcome.job.to_string(), outcome.attempt, encode(outcome)?));
        }
        sqlx::query(
            "INSERT INTO settled (job, attempt, outcome) SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1) WHERE true \
             ON CONFLICT (job) DO UPDATE SET attempt = excluded.attempt, outcome = excluded.outcome",
        )
        .bind(encode(&stored)?)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The outcomes of those of the jobs that have ended, in the attempt given, and were not yet taken.
    pub(crate) async fn settled(&self, jobs: impl Iterator<Item = (JobId, u32)>) -> Result<HashMap<JobId, Outcome>, StoreError> {
        let jobs: Vec<(String, u32)> = jobs.map(|(job, attempt)| (job.to_string(), attempt)).collect();
        let stored: Vec<String> = sqlx::query_scalar(
            "SELECT settled.outcome FROM json_each($1) AS asked JOIN settled ON settled.job = asked.value ->> 0 \
             WHERE settled.attempt = asked.value ->> 1",
        )
        .bind(encode(&jobs)?)
        .fetch_all(&self.pool)
        .await?;
        stored
            .iter()
            .map(|text| {
                let outcome: Outcome = decode("settled", text)?;
                Ok((outcome.job, outcome))
            })
            .collect()
    }

    /// Lets an outcome go, in the transaction that puts it into the outbox.
    ///
    /// # Errors
    /// The database fails.
    pub async fn settled_take(conn: &mut SqliteConnection, job: JobId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM settled WHERE job = $1").bind(job.to_string()).execute(conn).await?;
        Ok(())
    }
}
