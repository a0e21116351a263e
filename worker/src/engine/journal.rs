//! The undo journal: what is in flight, durable before it happens.

use std::sync::Arc;

use sqlx::{SqliteConnection, SqlitePool};
use tokio::runtime::Handle;

use super::Engine;
use super::execute::Journal;
use super::plan::FinishStep;
use super::undo::Undo;
use crate::store::{StoreError, decode, encode};
use crate::system::Watch;

/// What was in flight for one job.
pub(crate) struct InFlight {
    /// The job's id, or the name of work that is no job.
    pub(crate) key: String,
    /// Before-images, oldest first.
    pub(crate) undos: Vec<Undo>,
    /// Finish steps, in order. Never together with before-images: the commit point exchanges one for the other.
    pub(crate) finish: Vec<FinishStep>,
}

/// The journal of a batch, for use on a blocking thread.
pub(crate) struct BatchJournal {
    pool: SqlitePool,
    runtime: Handle,
    keys: Vec<String>,
    watch: Arc<Watch>,
    next: i64,
}

impl BatchJournal {
    /// The journal of the jobs with these keys. To be called within a runtime.
    pub(crate) fn new(engine: &Engine, keys: Vec<String>) -> Self {
        Self { pool: engine.ledger.pool.clone(), runtime: Handle::current(), keys, watch: Arc::clone(&engine.watch), next: 0 }
    }
}

impl Journal for BatchJournal {
    fn record(&mut self, undos: &[(usize, &Undo)]) -> Result<(), StoreError> {
        let mut rows = Vec::with_capacity(undos.len());
        for (seq, (member, undo)) in (self.next..).zip(undos) {
            rows.push((&self.keys[*member], seq, encode(undo)?));
        }
        self.next += rows.len() as i64;
        let query = sqlx::query(
            "INSERT INTO journal (job, phase, seq, what) SELECT value ->> 0, 'undo', value ->> 1, value ->> 2 FROM json_each($1)",
        );
        let _under_way = self.watch.begin("the journal");
        self.runtime.block_on(query.bind(encode(&rows)?).execute(&self.pool))?;
        Ok(())
    }
}

/// Keeps what remains to be done for jobs, within the commit's transaction.
pub(crate) async fn finish_in_tx<'a>(
    conn: &mut SqliteConnection,
    jobs: impl Iterator<Item = (&'a str, &'a [FinishStep])>,
) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for (key, finish) in jobs {
        for (seq, step) in finish.iter().enumerate() {
            rows.push((key, seq, encode(step)?));
        }
    }
    if !rows.is_empty() {
        sqlx::query(
            "INSERT INTO journal (job, phase, seq, what) SELECT value ->> 0, 'finish', value ->> 1, value ->> 2 FROM json_each($1)",
        )
        .bind(encode(&rows)?)
        .execute(conn)
        .await?;
    }
    Ok(())
}

/// Forgets jobs, within a transaction.
pub(crate) async fn forget_in_tx<'a>(conn: &mut SqliteConnection, keys: impl Iterator<Item = &'a str>) -> Result<(), StoreError> {
    let keys = encode(&keys.collect::<Vec<_>>())?;
    sqlx::query("DELETE FROM journal WHERE job IN (SELECT value FROM json_each($1))").bind(keys).execute(conn).await?;
    Ok(())
}

/// Forgets jobs.
pub(crate) async fn forget<'a>(pool: &SqlitePool, keys: impl Iterator<Item = &'a str>) -> Result<(), StoreError> {
    let mut connection = pool.acquire().await?;
    forget_in_tx(&mut connection, keys).await
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
