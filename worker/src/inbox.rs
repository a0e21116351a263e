//! Jobs the bus has handed over, and what became of them.
//!
//! **A job is acknowledged to the bus only after it is here**: from then on this worker finishes it, whatever happens
//! to the bus or to the process.
//! **A job that has ended leaves its outcome here**, so that a repeat is answered instead of done again.

use shared::events::Outcome;
use shared::jobs::JobEnvelope;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{Connection, Row};

/// What became of a delivered job.
#[derive(Debug, PartialEq)]
pub enum Received {
    /// It is kept, and waits for its turn.
    Kept,
    /// It is here already.
    Known,
    /// It has ended before; this was its outcome, to be sent again.
    Ended(Box<Outcome>),
}

/// Keeps a delivered job. Safe to repeat.
///
/// # Errors
/// The database fails; the job must not be acknowledged.
pub async fn inbox_receive(pool: &SqlitePool, envelope: &JobEnvelope) -> Result<Received, sqlx::Error> {
    let job = envelope.id.to_string();
    let attempt = i64::from(envelope.attempt);
    let mut connection = pool.acquire().await?;
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let ended =
        sqlx::query("SELECT outcome FROM ended WHERE job = ? AND attempt >= ?").bind(&job).bind(attempt).fetch_optional(&mut *tx).await?;
    if let Some(row) = ended
        && let Ok(outcome) = serde_json::from_str(row.get("outcome"))
    {
        return Ok(Received::Ended(Box::new(outcome)));
    }
    let text = serde_json::to_string(envelope).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let done = sqlx::query(
        "INSERT INTO inbox (job, attempt, account, envelope) VALUES (?, ?, ?, ?) \
         ON CONFLICT (job) DO UPDATE SET attempt = excluded.attempt, envelope = excluded.envelope, not_before_ms = 0, tries = 0 \
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

/// A job whose turn it is.
#[derive(Debug)]
pub struct Turn {
    /// The job.
    pub envelope: JobEnvelope,
    /// How often it failed in passing before.
    pub tries: u32,
}

/// The next job: of each account its oldest one only, and of those the one that has waited longest. Accounts whose
/// oldest job waits after a passing failure are passed over.
///
/// # Errors
/// The database fails.
pub async fn inbox_next(pool: &SqlitePool, now_ms: i64) -> Result<Option<Turn>, sqlx::Error> {
    loop {
        let row = sqlx::query(
            "SELECT job, envelope, tries FROM inbox \
             WHERE sequence IN (SELECT MIN(sequence) FROM inbox GROUP BY account) AND not_before_ms <= ? ORDER BY sequence LIMIT 1",
        )
        .bind(now_ms)
        .fetch_optional(pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        match serde_json::from_str(row.get("envelope")) {
            Ok(envelope) => return Ok(Some(Turn { envelope, tries: u32::try_from(row.get::<i64, _>("tries")).unwrap_or(0) })),
            // Kept by a newer worker, before it was taken back: it must not hold up everything behind it.
            Err(error) => {
                let job: String = row.get("job");
                tracing::error!(job.id = job, error = %error, "a kept job cannot be read by this worker; it was dropped");
                sqlx::query("DELETE FROM inbox WHERE job = ?").bind(job).execute(pool).await?;
            }
        }
    }
}

/// When the earliest of the accounts' oldest jobs may start again, if any waits.
///
/// # Errors
/// The database fails.
pub async fn inbox_next_due_ms(pool: &SqlitePool) -> Result<Option<i64>, sqlx::Error> {
    let row =
        sqlx::query("SELECT MIN(not_before_ms) AS due FROM inbox WHERE sequence IN (SELECT MIN(sequence) FROM inbox GROUP BY account)")
            .fetch_one(pool)
            .await?;
    Ok(row.get("due"))
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
        "UPDATE inbox SET not_before_ms = ?, tries = tries + 1, sequence = (SELECT MAX(sequence) + 1 FROM inbox) \
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
mod tests {
    use shared::ids::{AccountId, Epoch, JobId, OperationId};
    use shared::jobs::{AccountLimits, AccountSpec, Generation, Job, JobEnvelope, Presence, ResourceKey, SftpAccess};
    use sqlx::sqlite::SqlitePool;

    use super::{Received, inbox_next, inbox_next_due_ms, inbox_receive, inbox_step_back};
    use crate::store::Store;

    async fn store() -> (tempfile::TempDir, SqlitePool) {
        let directory = tempfile::TempDir::new().unwrap();
        let store = Store::open(&directory.path().join("worker.db")).await.unwrap();
        (directory, store.pool)
    }

    async fn keep(pool: &SqlitePool, account: AccountId) -> JobEnvelope {
        let spec = AccountSpec {
            user: "shop".parse().unwrap(),
            uid: 200_001.try_into().unwrap(),
            presence: Presence::Active,
            sftp: SftpAccess::default(),
            limits: AccountLimits::default(),
        };
        let envelope = JobEnvelope {
            v: 1,
            id: JobId::new(),
            operation: OperationId::new(),
            epoch: Epoch::new(),
            server: "web1".parse().unwrap(),
            account,
            resource: ResourceKey::Account(account),
            generation: Generation::FIRST,
            requires: Vec::new(),
            attempt: 1,
            job: Job::Account(spec),
        };
        assert_eq!(inbox_receive(pool, &envelope).await.unwrap(), Received::Kept);
        envelope
    }

    async fn next(pool: &SqlitePool, now_ms: i64) -> Option<JobId> {
        inbox_next(pool, now_ms).await.unwrap().map(|turn| turn.envelope.id)
    }

    #[tokio::test]
    async fn a_job_that_waits_lets_the_one_it_waits_for_go_first() {
        let (_keep, pool) = store().await;
        let account = AccountId::new();
        let (waits, needed) = (keep(&pool, account).await, keep(&pool, account).await);
        assert_eq!(next(&pool, 0).await, Some(waits.id));
        inbox_step_back(&pool, &waits, 1_000).await.unwrap();
        assert_eq!(next(&pool, 0).await, Some(needed.id));
        // One that comes now goes behind both.
        keep(&pool, account).await;
        inbox_step_back(&pool, &needed, 2_000).await.unwrap();
        assert_eq!(next(&pool, 500).await, None);
        assert_eq!(next(&pool, 1_000).await, Some(waits.id));
    }

    #[tokio::test]
    async fn a_job_behind_a_postponed_one_does_not_keep_the_worker_busy() {
        let (_keep, pool) = store().await;
        let account = AccountId::new();
        let first = keep(&pool, account).await;
        keep(&pool, account).await;
        super::inbox_postpone(&pool, &first, 5_000).await.unwrap();
        assert_eq!(next(&pool, 0).await, None);
        assert_eq!(inbox_next_due_ms(&pool).await.unwrap(), Some(5_000));
    }

    #[tokio::test]
    async fn a_job_that_cannot_be_read_holds_up_nothing() {
        let (_keep, pool) = store().await;
        let unreadable = keep(&pool, AccountId::new()).await;
        sqlx::query("UPDATE inbox SET envelope = '{}' WHERE job = ?").bind(unreadable.id.to_string()).execute(&pool).await.unwrap();
        let good = keep(&pool, AccountId::new()).await;
        assert_eq!(next(&pool, 0).await, Some(good.id));
    }
}
