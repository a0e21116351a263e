//! A server's queue as admins see and steer it: what waits and why, in which order, and whether anything goes out.

use shared::ids::{AccountId, OperationId, ServerId};
use shared::jobs::{Generation, Requirement, ResourceKey};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::job::JobRow;
use super::list::{Page, Paging};
use super::operation::OperationKind;
use super::{Db, StoreError, Tx, now_ms, parse, parse_json};

/// How soon a request goes out, beside others of its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// After the others.
    Low,
    /// In the order in which they were asked for.
    Normal,
    /// Before the others.
    High,
}

/// Priorities are ten apart: what a host has lost is sent again in an order of its own within them (0 to 2).
const STEP: i64 = 10;

impl Priority {
    const fn of(stored: i64) -> Self {
        if stored <= -STEP / 2 {
            Self::Low
        } else if stored < STEP / 2 {
            Self::Normal
        } else {
            Self::High
        }
    }
}

/// A request of which a server's queue holds jobs that have not ended.
#[derive(Debug, Clone)]
pub struct QueueRow {
    /// The request.
    pub operation: OperationId,
    /// What was asked.
    pub kind: OperationKind,
    /// Its name at the time.
    pub subject: String,
    /// Of which account.
    pub account_id: AccountId,
    /// Who asked.
    pub asked_by_name: String,
    /// When.
    pub created_ms: i64,
    /// Jobs that are not on the bus.
    pub queued: i64,
    /// Jobs by whether they left the panel.
    pub parts: Parts,
    /// Jobs that the worker has begun.
    pub working: i64,
    /// Jobs that wait for a hand edit to be mended.
    pub blocked: i64,
    /// When the first was sent.
    pub sent_ms: Option<i64>,
    /// How soon it goes out.
    pub priority: Priority,
}

/// How many jobs of a request are how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// They never left the panel.
    pub unsent: i64,
    /// They have not ended, those that never left the panel included.
    pub open: i64,
    /// They have ended on the server.
    pub ended: i64,
}

impl Parts {
    /// Whether the request can be taken back: all of it waits, and none of it ever left the panel.
    #[must_use]
    pub const fn can_cancel(self) -> bool {
        self.unsent > 0 && self.unsent == self.open && self.ended == 0
    }
}

impl TryFrom<&AnyRow> for Parts {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self { unsent: row.try_get("unsent")?, open: row.try_get("open_jobs")?, ended: row.try_get("ended")? })
    }
}

/// A job that never left the panel.
macro_rules! unsent {
    () => {
        "state = 'queued' AND released = 0"
    };
}

/// How many jobs of a request that are in a state, as one literal so that every statement stays a constant.
macro_rules! count_of {
    ($condition:expr, $name:literal) => {
        concat!("CAST(COALESCE(SUM(CASE WHEN ", $condition, " THEN 1 ELSE 0 END), 0) AS BIGINT) AS ", $name)
    };
}

impl TryFrom<&AnyRow> for QueueRow {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            operation: parse("operations.id", row.try_get("id")?)?,
            kind: parse("operations.kind", row.try_get("kind")?)?,
            subject: row.try_get("subject")?,
            account_id: parse("operations.account_id", row.try_get("account_id")?)?,
            asked_by_name: row.try_get("asked_by_name")?,
            created_ms: row.try_get("created_ms")?,
            queued: row.try_get("queued")?,
            parts: Parts::try_from(row)?,
            working: row.try_get("working")?,
            blocked: row.try_get("blocked")?,
            sent_ms: row.try_get("sent_ms")?,
            priority: Priority::of(row.try_get("priority")?),
        })
    }
}

/// What a server's queue holds, in the order in which it goes out; what the server has comes first.
///
/// # Errors
/// The database fails.
pub async fn queue_list(db: &Db, server: ServerId, paging: Paging) -> Result<Page<QueueRow>, StoreError> {
    let total = sqlx::query(
        "SELECT COUNT(DISTINCT operation_id) AS n FROM jobs WHERE server_id = $1 AND state IN ('queued', 'sent', 'working', 'blocked')",
    )
    .bind(server.to_string())
    .fetch_one(db.read())
    .await?;
    let rows = sqlx::query(concat!(
        "SELECT o.id, o.kind, o.subject, o.account_id, o.asked_by_name, o.created_ms, q.queued, q.unsent, q.working, q.blocked, \
         q.open_jobs, q.sent_ms, q.priority, \
         (SELECT COUNT(*) FROM jobs e WHERE e.operation_id = o.id AND e.state IN ('done', 'failed')) AS ended \
         FROM (SELECT operation_id, COUNT(*) AS open_jobs, ",
        count_of!("state = 'queued'", "queued"),
        ", ",
        count_of!(unsent!(), "unsent"),
        ", ",
        count_of!("state = 'working'", "working"),
        ", ",
        count_of!("state = 'blocked'", "blocked"),
        ", ",
        "MIN(sent_ms) AS sent_ms, CAST(MAX(priority) AS BIGINT) AS priority, MIN(id) AS first_job \
         FROM jobs WHERE server_id = $1 AND state IN ('queued', 'sent', 'working', 'blocked') GROUP BY operation_id) q \
         JOIN operations o ON o.id = q.operation_id \
         ORDER BY CASE WHEN q.queued = q.open_jobs THEN 1 ELSE 0 END, q.priority DESC, q.first_job LIMIT $2 OFFSET $3",
    ))
    .bind(server.to_string())
    .bind(paging.limit)
    .bind(paging.offset)
    .fetch_all(db.read())
    .await?;
    Ok(Page { rows: rows.iter().map(QueueRow::try_from).collect::<Result<_, _>>()?, total: total.try_get("n")? })
}

/// How deep a server's queue is.
#[derive(Debug, Clone, Copy)]
pub struct QueueDepth {
    /// The server.
    pub server: ServerId,
    /// Jobs that wait to be sent.
    pub queued: i64,
    /// Jobs the server has.
    pub begun: i64,
    /// When the oldest of them all was asked for.
    pub oldest_ms: i64,
}

/// The queues that hold anything, the oldest first.
///
/// # Errors
/// The database fails.
pub async fn queue_depths(db: &Db) -> Result<Vec<QueueDepth>, StoreError> {
    let rows = sqlx::query(
        "SELECT server_id, CAST(COALESCE(SUM(CASE WHEN state = 'queued' THEN 1 ELSE 0 END), 0) AS BIGINT) AS queued, \
         CAST(COALESCE(SUM(CASE WHEN state = 'queued' THEN 0 ELSE 1 END), 0) AS BIGINT) AS begun, MIN(created_ms) AS oldest_ms \
         FROM jobs WHERE state IN ('queued', 'sent', 'working', 'blocked') GROUP BY server_id ORDER BY oldest_ms",
    )
    .fetch_all(db.read())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(QueueDepth {
                server: parse("jobs.server_id", row.try_get("server_id")?)?,
                queued: row.try_get("queued")?,
                begun: row.try_get("begun")?,
                oldest_ms: row.try_get("oldest_ms")?,
            })
        })
        .collect()
}

/// From now on nothing new is sent to a server, or what waits is sent again. False if it was so already.
///
/// # Errors
/// The database fails.
pub async fn queue_pause_in_tx(tx: &mut Tx, server: ServerId, paused: bool) -> Result<bool, StoreError> {
    let query = if paused {
        sqlx::query("UPDATE servers SET queue_paused_ms = $1 WHERE id = $2 AND queue_paused_ms IS NULL").bind(now_ms())
    } else {
        sqlx::query("UPDATE servers SET queue_paused_ms = NULL WHERE id = $1 AND queue_paused_ms IS NOT NULL")
    };
    let done = query.bind(server.to_string()).execute(&mut **tx).await?;
    Ok(done.rows_affected() == 1)
}

/// Which way a request moves in its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// It goes out sooner.
    Sooner,
    /// It goes out later.
    Later,
}

/// Moves what waits of a request. **Its account's order is kept**: what was asked for before it goes at least as soon, what was
/// asked for after it at most as soon. How many jobs moved.
///
/// # Errors
/// The database fails.
pub async fn queue_shift_in_tx(tx: &mut Tx, operation: OperationId, shift: Shift) -> Result<u64, StoreError> {
    let row = sqlx::query(
        "SELECT MIN(id) AS first_job, MAX(id) AS last_job, CAST(MAX(priority) AS BIGINT) AS priority, MIN(account_id) AS account_id \
         FROM jobs WHERE operation_id = $1 AND state = 'queued'",
    )
    .bind(operation.to_string())
    .fetch_one(&mut **tx)
    .await?;
    let (first, last): (Option<String>, Option<String>) = (row.try_get("first_job")?, row.try_get("last_job")?);
    let (Some(first), Some(last)) = (first, last) else { return Ok(0) };
    let (priority, account): (i64, String) = (row.try_get("priority")?, row.try_get("account_id")?);
    let (from, sql, bound, until) = match shift {
        Shift::Sooner => (
            Priority::of(priority),
            "UPDATE jobs SET priority = priority + $4 WHERE account_id = $1 AND state = 'queued' AND id <= $2 AND priority < $3",
            last,
            if Priority::of(priority) == Priority::Low { -STEP / 2 } else { STEP / 2 },
        ),
        Shift::Later => (
            Priority::of(priority),
            "UPDATE jobs SET priority = priority - $4 WHERE account_id = $1 AND state = 'queued' AND id >= $2 AND priority >= $3",
            first,
            if Priority::of(priority) == Priority::High { STEP / 2 } else { -STEP / 2 },
        ),
    };
    if (shift, from) == (Shift::Sooner, Priority::High) || (shift, from) == (Shift::Later, Priority::Low) {
        return Ok(0);
    }
    let mut moved = 0;
    // Twice: what is two levels away has to move as far.
    for _ in 0..2 {
        moved += sqlx::query(sql).bind(&account).bind(&bound).bind(until).bind(STEP).execute(&mut **tx).await?.rows_affected();
    }
    Ok(moved)
}

/// A job that never left the panel. What the job itself says is not among it, so that one that cannot be read can be taken back
/// too.
#[derive(Debug, Clone, Copy)]
pub struct UnsentJob {
    /// Its resource.
    pub resource: ResourceKey,
    /// The resource's generation.
    pub generation: Generation,
}

macro_rules! parts_of_operation {
    () => {
        concat!(
            "SELECT ",
            count_of!(unsent!(), "unsent"),
            ", ",
            count_of!("state IN ('queued', 'sent', 'working', 'blocked')", "open_jobs"),
            ", ",
            count_of!("state IN ('done', 'failed')", "ended"),
            " FROM jobs WHERE operation_id = $1"
        )
    };
}

/// How many jobs of a request are how far.
///
/// # Errors
/// The database fails.
pub async fn operation_parts(db: &Db, operation: OperationId) -> Result<Parts, StoreError> {
    let row = sqlx::query(parts_of_operation!()).bind(operation.to_string()).fetch_one(db.read()).await?;
    Parts::try_from(&row)
}

/// How many jobs of a request are how far, inside a transaction.
///
/// # Errors
/// The database fails.
pub async fn operation_parts_in_tx(tx: &mut Tx, operation: OperationId) -> Result<Parts, StoreError> {
    let row = sqlx::query(parts_of_operation!()).bind(operation.to_string()).fetch_one(&mut **tx).await?;
    Parts::try_from(&row)
}

/// Takes the jobs of a request back that never left the panel. In their order within the request.
///
/// # Errors
/// The database fails.
pub async fn jobs_cancel_in_tx(tx: &mut Tx, operation: OperationId) -> Result<Vec<UnsentJob>, StoreError> {
    let cancelled = sqlx::query(concat!(
        "UPDATE jobs SET state = 'cancelled', finished_ms = $1 WHERE operation_id = $2 AND ",
        unsent!(),
        " RETURNING resource, generation, position"
    ))
    .bind(now_ms())
    .bind(operation.to_string())
    .fetch_all(&mut **tx)
    .await?;
    let job = |row: &AnyRow| {
        let job =
            UnsentJob { resource: parse("jobs.resource", row.try_get("resource")?)?, generation: Generation(row.try_get("generation")?) };
        Ok((row.try_get::<i64, _>("position")?, job))
    };
    let mut jobs = cancelled.iter().map(job).collect::<Result<Vec<_>, StoreError>>()?;
    jobs.sort_unstable_by_key(|(position, _)| *position);
    Ok(jobs.into_iter().map(|(_, job)| job).collect())
}

/// Lets jobs go, before they are published: **what was let go cannot be taken back, and what was taken back is not let go.** Those
/// that are to be published.
///
/// # Errors
/// The database fails.
pub async fn jobs_release(db: &Db, jobs: Vec<JobRow>) -> Result<Vec<JobRow>, StoreError> {
    let mut released = Vec::with_capacity(jobs.len());
    let mut tx = None;
    for job in jobs {
        if !job.released {
            let tx: &mut Tx = if let Some(tx) = &mut tx { tx } else { tx.insert(db.write().await?) };
            let done = sqlx::query(concat!("UPDATE jobs SET released = 1 WHERE id = $1 AND ", unsent!()))
                .bind(job.id.to_string())
                .execute(&mut **tx)
                .await?;
            if done.rows_affected() == 0 {
                continue;
            }
        }
        released.push(job);
    }
    if let Some(tx) = tx {
        tx.commit().await?;
    }
    Ok(released)
}

/// What jobs of other requests of an account, which have not ended, build on. With the request's name.
///
/// # Errors
/// The database fails.
pub async fn requirements_of_others_in_tx(
    tx: &mut Tx,
    account: AccountId,
    operation: OperationId,
) -> Result<Vec<(String, Requirement)>, StoreError> {
    let rows = sqlx::query(
        "SELECT j.requires, o.subject FROM jobs j JOIN operations o ON o.id = j.operation_id \
         WHERE j.account_id = $1 AND j.operation_id <> $2 AND j.state IN ('queued', 'sent', 'working', 'blocked')",
    )
    .bind(account.to_string())
    .bind(operation.to_string())
    .fetch_all(&mut **tx)
    .await?;
    let mut all = Vec::new();
    for row in &rows {
        let subject: String = row.try_get("subject")?;
        let requires: Vec<Requirement> = parse_json("jobs.requires", row.try_get("requires")?)?;
        all.extend(requires.into_iter().map(|requirement| (subject.clone(), requirement)));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::Priority;

    #[test]
    fn what_a_host_has_lost_keeps_its_own_order_within_a_priority() {
        for (stored, expected) in
            [(-8, Priority::Low), (-10, Priority::Low), (0, Priority::Normal), (2, Priority::Normal), (10, Priority::High)]
        {
            assert_eq!(Priority::of(stored), expected, "{stored}");
        }
    }
}
