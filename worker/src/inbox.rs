//! Jobs the bus has handed over, and what became of them.
//!
//! **A job is acknowledged to the bus only after it is here**: from then on this worker finishes it, whatever happens
//! to the bus or to the process.
//! **A job that has ended leaves its outcome here**, so that a repeat is answered instead of done again.

use shared::bus::sending::{Arrival, Seen};
use shared::events::Outcome;
use shared::jobs::JobEnvelope;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{Connection, Row};

use crate::sendings::sending_take;
use crate::store::now_ms;

/// What became of a delivered job.
#[derive(Debug, PartialEq)]
pub enum Received {
    /// It is kept, and waits for its turn.
    Kept,
    /// It is here already.
    Known,
    /// It has ended before; this was its outcome, to be sent again.
    Ended(Box<Outcome>),
    /// Somebody has stored it on the bus again.
    Replayed,
}

/// Keeps a delivered job. Safe to repeat. `arrival` is which sending it is, if it says so.
///
/// # Errors
/// The database fails; the job must not be acknowledged.
pub async fn inbox_receive(pool: &SqlitePool, envelope: &JobEnvelope, arrival: Option<&Arrival>) -> Result<Received, sqlx::Error> {
    let job = envelope.id.to_string();
    let attempt = i64::from(envelope.attempt);
    let mut connection = pool.acquire().await?;
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    if let Some(arrival) = arrival
        && sending_take(&mut tx, arrival, now_ms()).await? == Seen::Replayed
    {
        return Ok(Received::Replayed);
    }
    let ended =
        sqlx::query("SELECT outcome FROM ended WHERE job = ? AND attempt >= ?").bind(&job).bind(attempt).fetch_optional(&mut *tx).await?;
    if let Some(row) = ended
        && let Ok(outcome) = serde_json::from_str(row.get("outcome"))
    {
        tx.commit().await?;
        return Ok(Received::Ended(Box::new(outcome)));
    }
    let text = serde_json::to_string(envelope).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let done = sqlx::query(
        "INSERT INTO inbox (job, attempt, account, envelope) VALUES (?, ?, ?, ?) \
         ON CONFLICT (job) DO UPDATE SET attempt = excluded.attempt, envelope = excluded.envelope, not_before_ms = 0, tries = 0, waits = 0 \
         WHERE excluded.attempt > inbox.attempt",
    )
    .bind(&job)
    .bind(attempt)
    .bind(envelope.account.to_string())
    .bind(text)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(if done.rows_affected() == 0 { Received::Known } else { Received::Kept })
}

/// A job that waits for its turn.
#[derive(Debug, Clone)]
pub struct Turn {
    /// The job.
    pub envelope: JobEnvelope,
    /// How often it failed in passing before.
    pub tries: u32,
    /// How often it has let others pass, because what it builds on had not come.
    pub waits: u32,
    /// When it may start, epoch milliseconds.
    pub not_before_ms: i64,
}

/// Jobs of one account that are looked at for one batch.
const PER_ACCOUNT: i64 = 32;
/// Jobs that are looked at for one batch, of all accounts: four times what the panel has a worker hold.
const LOOK_AHEAD: i64 = 1024;

/// The waiting jobs: first every account's oldest, in the order in which they came, then every account's second, and so on.
///
/// # Errors
/// The database fails.
pub async fn inbox_waiting(pool: &SqlitePool) -> Result<Vec<Turn>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT job, envelope, tries, waits, not_before_ms FROM (SELECT job, envelope, tries, waits, not_before_ms, sequence, \
         ROW_NUMBER() OVER (PARTITION BY account ORDER BY sequence) AS place FROM inbox) \
         WHERE place <= ? ORDER BY place, sequence LIMIT ?",
    )
    .bind(PER_ACCOUNT)
    .bind(LOOK_AHEAD)
    .fetch_all(pool)
    .await?;
    let mut turns = Vec::with_capacity(rows.len());
    for row in rows {
        match serde_json::from_str(row.get("envelope")) {
            Ok(envelope) => {
                let count = |column: &str| u32::try_from(row.get::<i64, _>(column)).unwrap_or(0);
                turns.push(Turn { envelope, tries: count("tries"), waits: count("waits"), not_before_ms: row.get("not_before_ms") });
            }
            // Kept by a newer worker, before it was taken back: it must not hold up everything behind it.
            Err(error) => {
                let job: String = row.get("job");
                tracing::error!(job.id = job, error = %error, "a kept job cannot be read by this worker; it was dropped");
                sqlx::query("DELETE FROM inbox WHERE job = ?").bind(job).execute(pool).await?;
            }
        }
    }
    Ok(turns)
}

/// Puts a job off after a passing failure.
///
/// # Errors
/// The database fails.
pub async fn inbox_postpone(pool: &SqlitePool, envelope: &JobEnvelope, not_before_ms: i64) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE inbox SET not_before_ms = ?, tries = tries + 1 WHERE job = ? AND attempt = ?")
        .bind(not_before_ms)
        .bind(envelope.id.to_string())
        .bind(i64::from(envelope.attempt))
        .execute(pool)
        .await?;
    Ok(())
}

/// Lets the account's other jobs go before one that waits for what it builds on, which may be among them.
///
/// # Errors
/// The database fails.
pub async fn inbox_step_back(pool: &SqlitePool, envelope: &JobEnvelope, not_before_ms: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE inbox SET not_before_ms = ?, waits = waits + 1, sequence = (SELECT MAX(sequence) + 1 FROM inbox) \
         WHERE job = ? AND attempt = ?",
    )
    .bind(not_before_ms)
    .bind(envelope.id.to_string())
    .bind(i64::from(envelope.attempt))
    .execute(pool)
    .await?;
    Ok(())
}

/// Takes an ended job out of the inbox and keeps its outcome. Part of the transaction that commits the job.
///
/// # Errors
/// The database fails.
pub async fn inbox_end(connection: &mut SqliteConnection, outcome: &Outcome, now_ms: i64) -> Result<(), sqlx::Error> {
    let text = serde_json::to_string(outcome).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query("DELETE FROM inbox WHERE job = ? AND attempt <= ?")
        .bind(outcome.job.to_string())
        .bind(i64::from(outcome.attempt))
        .execute(&mut *connection)
        .await?;
    sqlx::query("INSERT OR REPLACE INTO ended (job, attempt, outcome, at_ms) VALUES (?, ?, ?, ?)")
        .bind(outcome.job.to_string())
        .bind(i64::from(outcome.attempt))
        .bind(text)
        .bind(now_ms)
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// Forgets outcomes older than the bus keeps jobs.
///
/// # Errors
/// The database fails.
pub async fn ended_forget_before(pool: &SqlitePool, before_ms: i64) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM ended WHERE at_ms < ?").bind(before_ms).execute(pool).await?;
    Ok(())
}

/// Jobs that have not ended, and events the bus has not taken.
///
/// # Errors
/// The database fails.
pub async fn waiting(pool: &SqlitePool) -> Result<(u32, u32), sqlx::Error> {
    let row = sqlx::query("SELECT (SELECT COUNT(*) FROM inbox) AS jobs, (SELECT COUNT(*) FROM outbox) AS events").fetch_one(pool).await?;
    let count = |column: &str| u32::try_from(row.get::<i64, _>(column)).unwrap_or(u32::MAX);
    Ok((count("jobs"), count("events")))
}

#[cfg(test)]
pub(crate) mod tests;
