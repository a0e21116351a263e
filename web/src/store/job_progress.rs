//! What a worker says of a job under way.

use shared::events::Progress;
use shared::operation::JobState;

use super::{StoreError, Tx, now_ms, to_json};

/// Keeps the newest progress of a job under way; older or late ones change nothing. True if something changed.
///
/// A blocked job says from time to time that it waits: as long as it does, it is not silent.
///
/// # Errors
/// The database fails.
pub async fn job_progress_in_tx(tx: &mut Tx, progress: &Progress) -> Result<bool, StoreError> {
    let now = now_ms();
    let state = if progress.blocked.is_some() { JobState::Blocked } else { JobState::Working };
    let done = sqlx::query(
        "UPDATE jobs SET state = $1, steps = $2, progress_sequence = $3, detail = $4, started_ms = COALESCE(started_ms, $5), \
         sent_ms = COALESCE($6, sent_ms) \
         WHERE id = $7 AND attempt = $8 AND progress_sequence < $3 AND state IN ('queued', 'sent', 'working', 'blocked')",
    )
    .bind(state.as_str())
    .bind(to_json("jobs.steps", &progress.steps)?)
    .bind(i64::from(progress.sequence))
    .bind(progress.blocked.as_deref().unwrap_or_default())
    .bind(now)
    .bind(progress.blocked.is_some().then_some(now))
    .bind(progress.job.to_string())
    .bind(i64::from(progress.attempt))
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
