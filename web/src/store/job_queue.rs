//! The queue. It lives here, not on the bus: here it can be inspected, coalesced, retried and cancelled.

use std::collections::HashSet;

use shared::ids::{AccountId, ServerId};
use shared::jobs::{ResourceKey, ResourceKind};
use shared::operation::{JobEvent, JobState};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::job::{JobRow, job_columns};
use super::{Db, StoreError, Tx, parse};

/// What a server's queue holds: the next queued jobs in order, and how many of each account the server has already.
#[derive(Debug, Default)]
pub struct Queue {
    /// Queued jobs: the higher priority first, then the older.
    pub queued: Vec<JobRow>,
    /// Jobs on the bus or at work, by account.
    pub in_flight: Vec<(AccountId, u32)>,
}

/// Jobs of one account that a server holds at a time.
pub const PER_ACCOUNT: u32 = 16;
/// Jobs that a server holds at a time. Enough for a batch to come, few enough to reprioritise the rest.
pub const PER_SERVER: u32 = 256;

/// Jobs that a server holds beyond [`PER_SERVER`], of accounts of which it has none: others that fill it make nobody wait.
pub const RESERVE: u32 = 64;

/// Whether a server that has so many jobs, and so many of an account, takes one more of that account.
#[must_use]
pub const fn has_room(of_all: u32, of_account: u32) -> bool {
    let most = if of_account == 0 { PER_SERVER + RESERVE } else { PER_SERVER };
    of_account < PER_ACCOUNT && of_all < most
}

/// How many queued jobs of one account are looked at for one window: twice its share.
const LOOKED_AT_PER_ACCOUNT: i64 = 32;
/// How many queued jobs of all accounts are, every account's first ones before anybody's second. Four windows' worth.
const LOOK_AHEAD: i64 = 1024;

/// Servers that have queued jobs.
///
/// # Errors
/// The database fails.
pub async fn job_servers_with_queue(db: &Db) -> Result<Vec<ServerId>, StoreError> {
    let rows = sqlx::query("SELECT DISTINCT server_id FROM jobs WHERE state = 'queued'").fetch_all(db.read()).await?;
    rows.iter().map(|row| parse("jobs.server_id", row.try_get("server_id")?)).collect()
}

/// A server's queue. A row that no longer reads as a job is left out: it must not hold up the others.
///
/// # Errors
/// The database fails.
pub async fn job_queue(db: &Db, server: ServerId) -> Result<Queue, StoreError> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        job_columns!(),
        " FROM jobs WHERE id IN (SELECT id FROM (SELECT id, priority, \
         ROW_NUMBER() OVER (PARTITION BY account_id ORDER BY priority DESC, id) AS place \
         FROM jobs WHERE server_id = $1 AND state = 'queued') AS ranked \
         WHERE place <= $2 ORDER BY place, priority DESC, id LIMIT $3) ORDER BY priority DESC, id"
    ))
    .bind(server.to_string())
    .bind(LOOKED_AT_PER_ACCOUNT)
    .bind(LOOK_AHEAD)
    .fetch_all(db.read())
    .await?;
    let queued = rows.iter().filter_map(readable).collect();
    Ok(Queue { queued, in_flight: job_in_flight(db, server).await? })
}

/// How many jobs a server has of each account.
///
/// # Errors
/// The database fails.
pub async fn job_in_flight(db: &Db, server: ServerId) -> Result<Vec<(AccountId, u32)>, StoreError> {
    let counts = sqlx::query(
        "SELECT account_id, COUNT(*) AS jobs FROM jobs WHERE server_id = $1 AND state IN ('sent', 'working', 'blocked') GROUP BY account_id",
    )
    .bind(server.to_string())
    .fetch_all(db.read())
    .await?;
    counts
        .iter()
        .map(|row| {
            let count: i64 = row.try_get("jobs")?;
            Ok((parse("jobs.account_id", row.try_get("account_id")?)?, u32::try_from(count).unwrap_or(u32::MAX)))
        })
        .collect()
}

fn readable(row: &AnyRow) -> Option<JobRow> {
    match JobRow::try_from(row) {
        Ok(job) => Some(job),
        Err(error) => {
            let id: String = row.try_get("id").unwrap_or_default();
            tracing::error!(job.id = id, error = &error as &dyn std::error::Error, "a job cannot be read and is left out");
            None
        }
    }
}

/// Jobs that were sent so long ago to a server that is online and of which nothing was heard since: one that is offline has its jobs
/// waiting on the bus, and gets them when it returns. One that was sent in the future counts too: the clock
/// was set back since then.
///
/// # Errors
/// The database fails.
pub async fn job_list_silent(db: &Db, now_ms: i64, silence_ms: i64) -> Result<Vec<JobRow>, StoreError> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        job_columns!(),
        " FROM jobs WHERE state IN ('sent', 'working', 'blocked') AND (sent_ms < $1 OR sent_ms > $2) \
         AND server_id IN (SELECT id FROM servers WHERE online = 1) ORDER BY id LIMIT 1000"
    ))
    .bind(now_ms - silence_ms)
    .bind(now_ms + silence_ms)
    .fetch_all(db.read())
    .await?;
    Ok(rows.iter().filter_map(readable).collect())
}

/// For each resource on a server: the newest job that was applied, which is what the host should serve. Compared with the
/// worker's ledger. A newer state that failed does not count, unless it was the deletion; one on its way will come.
///
/// # Errors
/// The database fails.
pub async fn job_list_applied(tx: &mut Tx, server: ServerId) -> Result<Vec<JobRow>, StoreError> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        job_columns!(),
        " FROM jobs WHERE server_id = $1 AND state IN ('done', 'failed') AND NOT EXISTS (SELECT 1 FROM jobs AS newer \
         WHERE newer.resource = jobs.resource AND newer.generation > jobs.generation AND newer.state IN ('done', 'sent', 'working', 'blocked')) \
         ORDER BY id"
    ))
    .bind(server.to_string())
    .fetch_all(&mut **tx)
    .await?;
    // The worker itself is in no ledger: its heartbeat says which version it is.
    let jobs = rows.iter().filter_map(readable).filter(|job| job.resource.kind() != ResourceKind::Worker).collect::<Vec<_>>();
    // Of each resource the one that was applied, if any, and those that failed after it.
    let unwanted: HashSet<ResourceKey> = jobs.iter().filter(|job| job.job.is_deletion()).map(|job| job.resource).collect();
    Ok(jobs.into_iter().filter(|job| job.state == JobState::Done && !unwanted.contains(&job.resource)).collect())
}

/// Queues an applied job again because the host has lost what it applied. What others need goes first: their share of the
/// window must not be full of jobs that wait for it.
///
/// # Errors
/// The database fails.
pub async fn job_resend_in_tx(tx: &mut Tx, job: &JobRow) -> Result<(), StoreError> {
    if job.state.advance(JobEvent::Resent).is_err() {
        return Ok(());
    }
    let priority: i64 = match job.resource.kind() {
        ResourceKind::Account => 2,
        ResourceKind::PhpPool => 1,
        // A worker is never sent again: it reports its version.
        ResourceKind::Site | ResourceKind::Worker => 0,
    };
    sqlx::query(
        "UPDATE jobs SET state = 'queued', attempt = attempt + 1, progress_sequence = 0, finished_ms = NULL, priority = $1 WHERE id = $2",
    )
    .bind(priority)
    .bind(job.id.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Since when jobs wait on the queue of a server that has joined and holds none, though nobody has paused it: nothing is being
/// sent.
///
/// # Errors
/// The database fails.
pub async fn job_queue_stuck_since(db: &Db) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query(
        "SELECT MIN(j.created_ms) AS since FROM jobs j JOIN servers v ON v.id = j.server_id WHERE j.state = 'queued' \
         AND v.public_key IS NOT NULL AND v.queue_paused_ms IS NULL AND NOT EXISTS (SELECT 1 FROM jobs f WHERE f.state IN ('sent', 'working', 'blocked') AND f.server_id = j.server_id)",
    )
    .fetch_one(db.read())
    .await?;
    Ok(row.try_get("since")?)
}
