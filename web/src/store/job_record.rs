//! What is kept of jobs for the record: earlier attempts, and what workers noted beside the steps.

use shared::events::StepReport;
use shared::failure::{Effect, FailureCode};
use shared::ids::{JobId, OperationId};
use shared::operation::JobState;
use shared::record::JobRecord;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Db, StoreError, parse};

/// An earlier attempt of a job.
#[derive(Debug, Clone)]
pub struct AttemptRow {
    /// The job.
    pub job: JobId,
    /// From 1.
    pub attempt: u32,
    /// How it ended.
    pub state: JobState,
    /// Its steps. What another release kept and this one cannot read is left out.
    pub steps: Vec<StepReport>,
    /// Why it failed.
    pub failure: Option<FailureCode>,
    /// What it left behind.
    pub effect: Option<Effect>,
    /// For admins: why it failed.
    pub detail: String,
    /// What the worker noted.
    pub record: Option<JobRecord>,
    /// When the worker began.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub finished_ms: Option<i64>,
}

impl TryFrom<&AnyRow> for AttemptRow {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        let text = |column| row.try_get::<Option<String>, _>(column).map(Option::unwrap_or_default);
        Ok(Self {
            job: parse("job_attempts.job_id", row.try_get("job_id")?)?,
            attempt: u32::try_from(row.try_get::<i64, _>("attempt")?).unwrap_or(u32::MAX),
            state: parse("job_attempts.state", row.try_get("state")?)?,
            steps: serde_json::from_str(&text("steps")?).unwrap_or_default(),
            failure: text("failure")?.parse().ok(),
            effect: serde_json::from_str(&format!("\"{}\"", text("effect")?)).ok(),
            detail: text("detail")?,
            record: serde_json::from_str(&text("record")?).ok(),
            started_ms: row.try_get("started_ms")?,
            finished_ms: row.try_get("finished_ms")?,
        })
    }
}

/// The earlier attempts of an operation's jobs, the oldest first.
///
/// # Errors
/// The database fails.
pub async fn job_attempts_of_operation(db: &Db, operation: OperationId) -> Result<Vec<AttemptRow>, StoreError> {
    let rows = sqlx::query(
        "SELECT a.job_id, a.attempt, a.state, a.steps, a.failure, a.effect, a.detail, a.record, a.started_ms, a.finished_ms \
         FROM job_attempts a JOIN jobs j ON j.id = a.job_id WHERE j.operation_id = $1 ORDER BY j.position, a.attempt",
    )
    .bind(operation.to_string())
    .fetch_all(db.read())
    .await?;
    rows.iter().map(AttemptRow::try_from).collect()
}

/// What the workers noted of an operation's jobs in their newest attempt.
///
/// # Errors
/// The database fails.
pub async fn job_records_of_operation(db: &Db, operation: OperationId) -> Result<Vec<(JobId, JobRecord)>, StoreError> {
    let rows = sqlx::query("SELECT id, record FROM jobs WHERE operation_id = $1 AND record <> ''")
        .bind(operation.to_string())
        .fetch_all(db.read())
        .await?;
    let mut records = Vec::with_capacity(rows.len());
    for row in rows {
        // What another release noted may not read; the rest of the page does.
        if let Ok(record) = serde_json::from_str(row.try_get("record")?) {
            records.push((parse("jobs.id", row.try_get("id")?)?, record));
        }
    }
    Ok(records)
}
