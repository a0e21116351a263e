//! The undo journal: what is in flight, durable before it happens.

use sqlx::{SqliteConnection, SqlitePool};
use tokio::runtime::Handle;

use super::execute::Journal;
use super::plan::FinishStep;
use super::undo::Undo;
use crate::store::{StoreError, decode, encode};

/// What was in flight for one job.
pub(crate) struct InFlight {
    /// The job's id, or the name of work that is no job.
    pub(crate) key: String,
    /// Before-images, oldest first.
    pub(crate) undos: Vec<Undo>,
    /// Finish steps, in order. Never together with before-images: the commit point exchanges one for the other.
    pub(crate) finish: Vec<FinishStep>,
}

/// The journal of one job, for use on a blocking thread.
pub(crate) struct JobJournal {
    pool: SqlitePool,
    runtime: Handle,
    key: String,
    next: i64,
}

impl JobJournal {
    /// The journal of the job with this key.
    pub(crate) fn new(pool: SqlitePool, runtime: Handle, key: String) -> Self {
        Self { pool, runtime, key, next: 0 }
    }
}

impl Journal for JobJournal {
    fn record(&mut self, undo: &Undo) -> Result<(), StoreError> {
        let what = encode(undo)?;
        let query = sqlx::query("INSERT INTO journal (job, phase, seq, what) VALUES ($1, 'undo', $2, $3)");
        self.runtime.block_on(query.bind(&self.key).bind(self.next).bind(what).execute(&self.pool))?;
        self.next += 1;
        Ok(())
    }
}

/// Exchanges the before-images of a job for its finish steps, within the commit's transaction.
pub(crate) async fn commit_in_tx(conn: &mut SqliteConnection, key: &str, finish: &[FinishStep]) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM journal WHERE job = $1").bind(key).execute(&mut *conn).await?;
    for (seq, step) in (0_i64..).zip(finish) {
        sqlx::query("INSERT INTO journal (job, phase, seq, what) VALUES ($1, 'finish', $2, $3)")
            .bind(key)
            .bind(seq)
            .bind(encode(step)?)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Forgets a job.
pub(crate) async fn forget(pool: &SqlitePool, key: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM journal WHERE job = $1").bind(key).execute(pool).await?;
    Ok(())
}

/// Everything in flight, by job.
pub(crate) async fn in_flight(pool: &SqlitePool) -> Result<Vec<InFlight>, StoreError> {
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT job, phase, what FROM journal ORDER BY job, phase, seq").fetch_all(pool).await?;
    let mut jobs: Vec<InFlight> = Vec::new();
    for (key, phase, what) in rows {
        if jobs.last().is_none_or(|job| job.key != key) {
            jobs.push(InFlight { key: key.clone(), undos: Vec::new(), finish: Vec::new() });
        }
        let Some(job) = jobs.last_mut() else { continue };
        match phase.as_str() {
            "undo" => job.undos.push(decode("journal", &what)?),
            _ => job.finish.push(decode("journal", &what)?),
        }
    }
    Ok(jobs)
}
