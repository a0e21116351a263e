//! A server's worker as a resource: asking for a newer package of it.

use shared::ids::{AccountId, OperationId, ServerId, UserId};
use shared::jobs::{Generation, Job, ResourceKey, WorkerSpec};
use shared::names::ServerName;
use sqlx::Row;

use super::job::{JobRow, NewJob, job_insert_in_tx};
use super::operation::{NewOperation, OperationKind, operation_insert_in_tx, operation_settle_in_tx};
use super::{StoreError, Tx, to_json};

/// A package for one server.
#[derive(Debug, Clone)]
pub struct WorkerUpdate<'a> {
    /// The server.
    pub server: ServerId,
    /// Its name.
    pub name: &'a ServerName,
    /// The package.
    pub spec: &'a WorkerSpec,
    /// Who asks.
    pub asked_by: UserId,
    /// Their name.
    pub asked_by_name: &'a str,
}

/// Records the operation and its job. `None` if the server is gone, or an update of it is under way.
///
/// # Errors
/// The database fails.
pub async fn worker_update_in_tx(tx: &mut Tx, update: &WorkerUpdate<'_>) -> Result<Option<OperationId>, StoreError> {
    let resource = ResourceKey::Worker(update.server);
    // Locks the server, so that of two requests one sees the other.
    let row = sqlx::query("UPDATE servers SET worker_generation = worker_generation WHERE id = $1 RETURNING worker_generation")
        .bind(update.server.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let open = sqlx::query("SELECT COUNT(*) AS n FROM jobs WHERE resource = $1 AND state IN ('queued', 'sent', 'working', 'blocked')")
        .bind(resource.to_string())
        .fetch_one(&mut **tx)
        .await?;
    if open.try_get::<i64, _>("n")? > 0 {
        return Ok(None);
    }
    let generation = Generation(row.try_get("worker_generation")?).next();
    sqlx::query("UPDATE servers SET worker_generation = $1 WHERE id = $2")
        .bind(generation.0)
        .bind(update.server.to_string())
        .execute(&mut **tx)
        .await?;
    let lane = AccountId::lane_of(update.server);
    let operation = OperationId::new();
    let new = NewOperation {
        id: operation,
        kind: OperationKind::WorkerUpdate,
        resource,
        subject: subject(update.name, update.spec),
        account: lane,
        owner: update.asked_by,
        server: update.server,
        asked_by: update.asked_by,
        asked_by_name: update.asked_by_name.to_owned(),
        idempotency_key: None,
    };
    operation_insert_in_tx(tx, &new).await?;
    let job = NewJob { resource, generation, requires: Vec::new(), job: Job::Worker(update.spec.clone()) };
    let (_, coalesced) = job_insert_in_tx(tx, operation, update.server, lane, 0, &job).await?;
    for lost in coalesced {
        operation_settle_in_tx(tx, lost).await?;
    }
    operation_settle_in_tx(tx, operation).await?;
    Ok(Some(operation))
}

/// Has an update that is tried again install another package.
///
/// # Errors
/// The database fails.
pub async fn worker_update_renew_in_tx(tx: &mut Tx, job: &mut JobRow, name: &ServerName, spec: &WorkerSpec) -> Result<(), StoreError> {
    job.job = Job::Worker(spec.clone());
    sqlx::query("UPDATE jobs SET job = $1 WHERE id = $2")
        .bind(to_json("jobs.job", &job.job)?)
        .bind(job.id.to_string())
        .execute(&mut **tx)
        .await?;
    sqlx::query("UPDATE operations SET subject = $1 WHERE id = $2")
        .bind(subject(name, spec))
        .bind(job.operation_id.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

fn subject(name: &ServerName, spec: &WorkerSpec) -> String {
    format!("{name} to {}", spec.version)
}
