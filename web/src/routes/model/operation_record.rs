//! An operation's whole record, as JSON. For admins.

use serde_json::{Value, json};
use shared::ids::OperationId;
use shared::jobs::Job;

use crate::app::{Actor, AppError};
use crate::error::PageError;
use crate::state::AppState;
use crate::store::audit::audit_address_of_operation;
use crate::store::job::{JobList, JobRow, job_list_of_operation};
use crate::store::job_record::{AttemptRow, job_attempts_of_operation, job_records_of_operation};
use crate::store::operation::operation_placed;
use crate::store::operation_list::operation_fetch_visible;

/// Everything that is kept of an operation. **No secret is in it**: a password travels sealed, and is left out all the same.
///
/// # Errors
/// [`AppError::Forbidden`] for clients, [`AppError::NotFound`], or the database fails.
pub async fn operation_record(state: &AppState, actor: &Actor, id: OperationId) -> Result<Value, PageError> {
    actor.require_admin()?;
    let found = operation_fetch_visible(state.db(), actor.visible(), id).await?.ok_or(AppError::NotFound)?;
    let JobList { jobs, unreadable } = job_list_of_operation(state.db(), id).await?;
    let records = job_records_of_operation(state.db(), id).await?;
    let attempts = job_attempts_of_operation(state.db(), id).await?;
    let operation = &found.operation;
    let record = |job: &JobRow| records.iter().find(|(of, _)| *of == job.id).map(|(_, record)| record);
    let earlier = |job: &JobRow| attempts.iter().filter(|attempt| attempt.job == job.id).map(earlier_attempt).collect::<Vec<_>>();
    Ok(json!({
        "id": operation.id,
        "kind": operation.kind.as_str(),
        "resource": operation.resource,
        "subject": operation.subject,
        "account": operation.account_id,
        "owner": operation.owner_id,
        "server": { "id": operation.server_id, "name": found.server_name },
        "asked_by": { "id": operation.asked_by, "name": operation.asked_by_name,
            "address": audit_address_of_operation(state.db(), id, &operation.subject).await? },
        "placed": operation_placed(state.db(), id).await?,
        "state": operation.state,
        "created_ms": operation.created_ms,
        "finished_ms": operation.finished_ms,
        "jobs": jobs.iter().map(|job| json!({
            "id": job.id,
            "resource": job.resource,
            "generation": job.generation,
            "requires": job.requires,
            "job": without_password(&job.job),
            "state": job.state,
            "attempt": job.attempt,
            "steps": job.steps,
            "failure": job.failure,
            "effect": job.effect,
            "detail": job.detail,
            "record": record(job),
            "created_ms": job.created_ms,
            "sent_ms": job.sent_ms,
            "started_ms": job.started_ms,
            "finished_ms": job.finished_ms,
            "earlier_attempts": earlier(job),
        })).collect::<Vec<_>>(),
        "unreadable_jobs": unreadable.iter().map(|job| json!({ "id": job.id, "state": job.state, "error": job.error })).collect::<Vec<_>>(),
    }))
}

fn earlier_attempt(attempt: &AttemptRow) -> Value {
    json!({
        "attempt": attempt.attempt,
        "state": attempt.state,
        "steps": attempt.steps,
        "failure": attempt.failure,
        "effect": attempt.effect,
        "detail": attempt.detail,
        "record": attempt.record,
        "started_ms": attempt.started_ms,
        "finished_ms": attempt.finished_ms,
    })
}

fn without_password(job: &Job) -> Value {
    let mut value = json!(job);
    if let Some(password) = value.pointer_mut("/sftp/password").filter(|password| !password.is_null()) {
        *password = json!("sealed");
    }
    value
}
