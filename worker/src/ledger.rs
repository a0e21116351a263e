//! What each resource was last made to look like, and which newer state failed.
//!
//! **An applied state is what the host serves; a parked one failed and waits for Retry or a newer one.** A deleted resource
//! keeps its row, so that a late job of an older generation cannot bring it back.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use shared::events::Outcome;
use shared::ids::JobId;
use shared::jobs::{Generation, Job, ResourceKey};
use sqlx::{SqliteConnection, SqlitePool};

use crate::engine::journal;
use crate::engine::plan::FinishStep;
use crate::store::{Store, StoreError, decode, encode, now_ms};

/// The ledger. All of it is in memory too: planning asks it about every name on the host.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) pool: SqlitePool,
    rows: RwLock<Rows>,
}

/// The rows of the ledger.
#[derive(Debug, Clone, Default)]
pub struct Rows(BTreeMap<ResourceKey, Row>);

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The newest state this worker has worked on.
    pub generation: Generation,
    /// How that ended.
    pub state: RowState,
    /// That state.
    pub spec: Job,
    /// What the host serves.
    pub applied: Option<(Generation, Job)>,
}

/// How work on the newest state ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowState {
    /// The host is so.
    Applied,
    /// It failed; what was applied before still serves.
    Parked,
}

impl RowState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Parked => "parked",
        }
    }
}

/// What the ledger learns when a job ends.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Which resource.
    pub resource: ResourceKey,
    /// Which state.
    pub generation: Generation,
    /// The state itself.
    pub spec: &'a Job,
}

impl Rows {
    /// One resource.
    #[must_use]
    pub fn get(&self, resource: ResourceKey) -> Option<&Row> {
        self.0.get(&resource)
    }

    /// Everything the host serves, deleted resources included.
    pub fn applied(&self) -> impl Iterator<Item = (ResourceKey, Generation, &Job)> {
        self.0.iter().filter_map(|(key, row)| row.applied.as_ref().map(|(generation, job)| (*key, *generation, job)))
    }
}

impl Ledger {
    pub(crate) async fn open(store: &Store) -> Result<Self, StoreError> {
        type Stored = (String, i64, String, String, Option<i64>, Option<String>);
        let stored: Vec<Stored> = sqlx::query_as("SELECT resource, generation, state, spec, applied_generation, applied_spec FROM ledger")
            .fetch_all(&store.pool)
            .await?;
        let mut rows = BTreeMap::new();
        for (resource, generation, state, spec, applied_generation, applied_spec) in stored {
            let applied = match (applied_generation, applied_spec) {
                (Some(generation), Some(spec)) => Some((Generation(generation), decode("ledger", &spec)?)),
                (_, _) => None,
            };
            let state = if state == RowState::Applied.as_str() { RowState::Applied } else { RowState::Parked };
            let key = decode("ledger", &encode(&resource)?)?;
            rows.insert(key, Row { generation: Generation(generation), state, spec: decode("ledger", &spec)?, applied });
        }
        Ok(Self { pool: store.pool.clone(), rows: RwLock::new(Rows(rows)) })
    }

    /// The rows as they are. Not to be held across an await.
    pub fn rows(&self) -> RwLockReadGuard<'_, Rows> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner)
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
        u32::try_from(self.rows().0.len()).unwrap_or(u32::MAX)
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows().0.is_empty()
    }

    /// The commit point: the new state is the applied one, before-images give way to finish steps.
    pub(crate) async fn commit(&self, key: &str, finish: &[FinishStep], change: Option<Change<'_>>) -> Result<(), StoreError> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        journal::commit_in_tx(&mut tx, key, finish).await?;
        let Some(change) = change else { return Ok(tx.commit().await?) };
        let spec = encode(change.spec)?;
        sqlx::query(
            "INSERT INTO ledger (resource, generation, state, spec, applied_generation, applied_spec, updated_ms) \
             VALUES ($1, $2, 'applied', $3, $2, $3, $4) ON CONFLICT (resource) DO UPDATE SET generation = $2, state = 'applied', \
             spec = $3, applied_generation = $2, applied_spec = $3, updated_ms = $4",
        )
        .bind(change.resource.to_string())
        .bind(change.generation.0)
        .bind(spec)
        .bind(now_ms())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        let applied = Some((change.generation, change.spec.clone()));
        self.remember(change, RowState::Applied, applied);
        Ok(())
    }

    /// A state failed: it is parked, and what was applied stays.
    pub(crate) async fn park(&self, change: Change<'_>) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO ledger (resource, generation, state, spec, updated_ms) VALUES ($1, $2, 'parked', $3, $4) \
             ON CONFLICT (resource) DO UPDATE SET generation = $2, state = 'parked', spec = $3, updated_ms = $4",
        )
        .bind(change.resource.to_string())
        .bind(change.generation.0)
        .bind(encode(change.spec)?)
        .bind(now_ms())
        .execute(&self.pool)
        .await?;
        let applied = self.rows().get(change.resource).and_then(|row| row.applied.clone());
        self.remember(change, RowState::Parked, applied);
        Ok(())
    }

    fn remember(&self, change: Change<'_>, state: RowState, applied: Option<(Generation, Job)>) {
        let row = Row { generation: change.generation, state, spec: change.spec.clone(), applied };
        self.rows.write().unwrap_or_else(PoisonError::into_inner).0.insert(change.resource, row);
    }

    /// Keeps an outcome until it is taken.
    pub(crate) async fn settle(&self, outcome: &Outcome) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO settled (job, attempt, outcome) VALUES ($1, $2, $3) \
             ON CONFLICT (job) DO UPDATE SET attempt = $2, outcome = $3",
        )
        .bind(outcome.job.to_string())
        .bind(i64::from(outcome.attempt))
        .bind(encode(outcome)?)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The outcome of a job that has ended and was not yet taken.
    pub(crate) async fn settled(&self, job: JobId, attempt: u32) -> Result<Option<Outcome>, StoreError> {
        let stored: Option<String> = sqlx::query_scalar("SELECT outcome FROM settled WHERE job = $1 AND attempt = $2")
            .bind(job.to_string())
            .bind(i64::from(attempt))
            .fetch_optional(&self.pool)
            .await?;
        stored.map(|text| decode("settled", &text)).transpose()
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
