//! Jobs: how they are queued, move and end.

use shared::events::StepReport;
use shared::failure::{Effect, FailureCode};
use shared::ids::{AccountId, JobId, OperationId, ServerId};
use shared::jobs::{Generation, Job, Requirement, ResourceKey};
use shared::operation::{JobEvent, JobState};
use shared::record::JobRecord;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::desired_state::desired_state_in_tx;
use super::{Db, StoreError, Tx, now_ms, parse, parse_json, to_json};

/// A job to be queued.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The resource.
    pub resource: ResourceKey,
    /// Its new generation.
    pub generation: Generation,
    /// What must be there first.
    pub requires: Vec<Requirement>,
    /// The desired state.
    pub job: Job,
}

/// A job as stored.
#[derive(Debug, Clone)]
pub struct JobRow {
    /// The job.
    pub id: JobId,
    /// Its request.
    pub operation_id: OperationId,
    /// The server it is for.
    pub server_id: ServerId,
    /// The account it belongs to.
    pub account_id: AccountId,
    /// The resource.
    pub resource: ResourceKey,
    /// The resource's generation.
    pub generation: Generation,
    /// What must be there first.
    pub requires: Vec<Requirement>,
    /// The desired state.
    pub job: Job,
    /// Where it stands.
    pub state: JobState,
    /// From 1; Retry counts up.
    pub attempt: u32,
    /// Whether it was let go, so that its server may carry it out.
    pub released: bool,
    /// The newest steps known.
    pub steps: Vec<StepReport>,
    /// Why it failed, if it did.
    pub failure: Option<FailureCode>,
    /// What it left behind, if it failed.
    pub effect: Option<Effect>,
    /// For admins: why it failed, or what it waits for while it is blocked.
    pub detail: String,
    /// When it was asked for.
    pub created_ms: i64,
    /// When the bus had it.
    pub sent_ms: Option<i64>,
    /// When the worker began.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub finished_ms: Option<i64>,
}

/// The columns of [`JobRow`], as one literal so that every statement stays a constant.
macro_rules! job_columns {
    () => {
        "id, operation_id, server_id, account_id, resource, generation, requires, job, state, attempt, released, steps, failure, effect, detail, \
         created_ms, sent_ms, started_ms, finished_ms"
    };
}
pub(crate) use job_columns;

impl TryFrom<&AnyRow> for JobRow {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        let failure: Option<String> = row.try_get("failure")?;
        let effect: Option<String> = row.try_get("effect")?;
        Ok(Self {
            id: parse("jobs.id", row.try_get("id")?)?,
            operation_id: parse("jobs.operation_id", row.try_get("operation_id")?)?,
            server_id: parse("jobs.server_id", row.try_get("server_id")?)?,
            account_id: parse("jobs.account_id", row.try_get("account_id")?)?,
            resource: parse("jobs.resource", row.try_get("resource")?)?,
            generation: Generation(row.try_get("generation")?),
            requires: parse_json("jobs.requires", row.try_get("requires")?)?,
            job: parse_json("jobs.job", row.try_get("job")?)?,
            state: parse("jobs.state", row.try_get("state")?)?,
            attempt: u32::try_from(row.try_get::<i64, _>("attempt")?).unwrap_or(u32::MAX),
            released: row.try_get::<i64, _>("released")? != 0,
            steps: parse_json("jobs.steps", row.try_get("steps")?)?,
            failure: failure.map(|code| parse("jobs.failure", &code)).transpose()?,
            effect: effect.map(|effect| parse_json("jobs.effect", &format!("\"{effect}\""))).transpose()?,
            detail: row.try_get("detail")?,
            created_ms: row.try_get("created_ms")?,
            sent_ms: row.try_get("sent_ms")?,
            started_ms: row.try_get("started_ms")?,
            finished_ms: row.try_get("finished_ms")?,
        })
    }
}

/// Queues a job at a place within its operation. Queued jobs of the same resource that hold an older state are
/// coalesced away: they become `superseded`. **It goes out after what waits of its account**, even what was moved back. Returns the
/// operations that lost a job by that.
///
/// # Errors
/// The database fails.
pub async fn job_insert_in_tx(
    tx: &mut Tx,
    operation: OperationId,
    server: ServerId,
    account: AccountId,
    position: usize,
    new: &NewJob,
) -> Result<(JobId, Vec<OperationId>), StoreError> {
    let now = now_ms();
    let coalesced = sqlx::query(
        "UPDATE jobs SET state = 'superseded', finished_ms = COALESCE(finished_ms, $1) \
         WHERE resource = $2 AND generation < $3 AND server_id = $4 AND state IN ('queued', 'failed') RETURNING operation_id",
    )
    .bind(now)
    .bind(new.resource.to_string())
    .bind(new.generation.0)
    .bind(server.to_string())
    .fetch_all(&mut **tx)
    .await?;
    let id = JobId::new();
    let desired = desired_state_in_tx(tx, new.resource).await?;
    sqlx::query(
        "INSERT INTO jobs (id, operation_id, position, server_id, account_id, resource, generation, requires, job, state, created_ms, desired, \
         priority) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'queued', $10, $11, \
         COALESCE((SELECT MIN(priority) FROM jobs WHERE state = 'queued' AND server_id = $4 AND account_id = $5 AND priority < 0), 0))",
    )
    .bind(id.to_string())
    .bind(operation.to_string())
    .bind(i64::try_from(position).unwrap_or(i64::MAX))
    .bind(server.to_string())
    .bind(account.to_string())
    .bind(new.resource.to_string())
    .bind(new.generation.0)
    .bind(to_json("jobs.requires", &new.requires)?)
    .bind(to_json("jobs.job", &new.job)?)
    .bind(now)
    .bind(desired)
    .execute(&mut **tx)
    .await?;
    let operations = coalesced.iter().map(|row| parse("jobs.operation_id", row.try_get("operation_id")?)).collect::<Result<_, _>>()?;
    Ok((id, operations))
}

/// A row of the queue that does not read as a job of this release. It holds up no other, and its operation's page shows it.
#[derive(Debug, Clone)]
pub struct UnreadableJob {
    /// The job, as stored.
    pub id: String,
    /// Where it stands, as stored.
    pub state: String,
    /// Which column does not parse, and why.
    pub error: String,
}

/// The jobs of an operation.
#[derive(Debug, Clone, Default)]
pub struct JobList {
    /// In order.
    pub jobs: Vec<JobRow>,
    /// Those that cannot be read.
    pub unreadable: Vec<UnreadableJob>,
}

impl JobList {
    fn of(rows: &[AnyRow]) -> Result<Self, StoreError> {
        let mut list = Self::default();
        for row in rows {
            match JobRow::try_from(row) {
                Ok(job) => list.jobs.push(job),
                Err(StoreError::Corrupt { column, source }) => list.unreadable.push(UnreadableJob {
                    id: row.try_get("id")?,
                    state: row.try_get("state")?,
                    error: format!("{column}: {source}"),
                }),
                Err(error) => return Err(error),
            }
        }
        Ok(list)
    }
}

/// The jobs of an operation, in order.
///
/// # Errors
/// The database fails.
pub async fn job_list_of_operation(db: &Db, operation: OperationId) -> Result<JobList, StoreError> {
    let rows = sqlx::query(concat!("SELECT ", job_columns!(), " FROM jobs WHERE operation_id = $1 ORDER BY position"))
        .bind(operation.to_string())
        .fetch_all(db.read())
        .await?;
    JobList::of(&rows)
}

/// The jobs of an operation that can be read, in order, inside a transaction.
///
/// # Errors
/// The database fails.
pub async fn job_list_of_operation_in_tx(tx: &mut Tx, operation: OperationId) -> Result<Vec<JobRow>, StoreError> {
    let rows = sqlx::query(concat!("SELECT ", job_columns!(), " FROM jobs WHERE operation_id = $1 ORDER BY position"))
        .bind(operation.to_string())
        .fetch_all(&mut **tx)
        .await?;
    Ok(JobList::of(&rows)?.jobs)
}

/// One job, inside a transaction.
///
/// # Errors
/// The database fails.
pub async fn job_fetch_in_tx(tx: &mut Tx, id: JobId) -> Result<Option<JobRow>, StoreError> {
    let row =
        sqlx::query(concat!("SELECT ", job_columns!(), " FROM jobs WHERE id = $1")).bind(id.to_string()).fetch_optional(&mut **tx).await?;
    row.as_ref().map(JobRow::try_from).transpose()
}

/// The newest failed job of a resource.
///
/// # Errors
/// The database fails.
pub async fn job_failed_of_resource_in_tx(tx: &mut Tx, resource: ResourceKey) -> Result<Option<JobRow>, StoreError> {
    let newest =
        concat!("SELECT ", job_columns!(), " FROM jobs WHERE resource = $1 AND state = 'failed' ORDER BY generation DESC, id DESC LIMIT 1");
    let row = sqlx::query(newest).bind(resource.to_string()).fetch_optional(&mut **tx).await?;
    row.as_ref().map(JobRow::try_from).transpose()
}

/// Moves a job by an event, if the move is legal; an illegal one changes nothing and gives `None`.
///
/// # Errors
/// The database fails.
pub async fn job_advance_in_tx(tx: &mut Tx, job: &JobRow, event: JobEvent) -> Result<Option<JobState>, StoreError> {
    let Ok(next) = job.state.advance(event) else { return Ok(None) };
    let now = now_ms();
    let (sent, finished) = (matches!(event, JobEvent::Published).then_some(now), next.has_ended().then_some(now));
    // Only from the state that was read: another transaction may have been quicker.
    let done = sqlx::query(
        "UPDATE jobs SET state = $1, sent_ms = COALESCE($2, sent_ms), finished_ms = $3 WHERE id = $4 AND state = $5 AND attempt = $6",
    )
    .bind(next.as_str())
    .bind(sent)
    .bind(finished)
    .bind(job.id.to_string())
    .bind(job.state.as_str())
    .bind(i64::from(job.attempt))
    .execute(&mut **tx)
    .await?;
    Ok((done.rows_affected() == 1).then_some(next))
}

/// Queues a failed job again as a new attempt; the old one's steps and failure are kept beside it.
///
/// # Errors
/// The database fails.
pub async fn job_retry_in_tx(tx: &mut Tx, job: &JobRow) -> Result<bool, StoreError> {
    let Ok(next) = job.state.advance(JobEvent::Retried) else { return Ok(false) };
    sqlx::query(
        "INSERT INTO job_attempts (job_id, attempt, state, steps, failure, effect, detail, record, started_ms, finished_ms) \
         SELECT id, attempt, state, steps, failure, effect, detail, record, started_ms, finished_ms FROM jobs WHERE id = $1 \
         ON CONFLICT (job_id, attempt) DO NOTHING",
    )
    .bind(job.id.to_string())
    .execute(&mut **tx)
    .await?;
    sqlx::query(
        "UPDATE jobs SET state = $1, attempt = attempt + 1, steps = '[]', progress_sequence = 0, failure = NULL, effect = NULL, \
         detail = '', record = '', sent_ms = NULL, started_ms = NULL, finished_ms = NULL WHERE id = $2",
    )
    .bind(next.as_str())
    .bind(job.id.to_string())
    .execute(&mut **tx)
    .await?;
    Ok(true)
}

/// What an outcome writes into a job.
#[derive(Debug)]
pub struct Ending<'a> {
    /// The state it ends in.
    pub state: JobState,
    /// All steps.
    pub steps: &'a [StepReport],
    /// Why it failed, if it did.
    pub failure: Option<FailureCode>,
    /// What it left behind, if it failed.
    pub effect: Option<Effect>,
    /// For admins.
    pub detail: &'a str,
    /// What the worker kept beside the steps.
    pub record: Option<&'a JobRecord>,
    /// How long the worker took, milliseconds; both clocks may differ, so only the difference is used.
    pub took_ms: i64,
}

/// Ends a job, unless it has ended or was tried again since it was read. True if it ended now.
///
/// # Errors
/// The database fails.
pub async fn job_end_in_tx(tx: &mut Tx, job: &JobRow, ending: &Ending<'_>) -> Result<bool, StoreError> {
    let now = now_ms();
    let done = sqlx::query(
        "UPDATE jobs SET state = $1, steps = $2, failure = $3, effect = $4, detail = $5, started_ms = $6, \
         finished_ms = $7, record = $11 WHERE id = $8 AND attempt = $9 AND state = $10",
    )
    .bind(ending.state.as_str())
    .bind(to_json("jobs.steps", &ending.steps)?)
    .bind(ending.failure.map(FailureCode::as_str))
    .bind(ending.effect.map(Effect::as_str))
    .bind(ending.detail)
    .bind(now - ending.took_ms.max(0))
    .bind(now)
    .bind(job.id.to_string())
    .bind(i64::from(job.attempt))
    .bind(job.state.as_str())
    .bind(ending.record.map(|record| to_json("jobs.record", record)).transpose()?.unwrap_or_default())
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
