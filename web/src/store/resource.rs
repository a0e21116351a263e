//! What outcomes of jobs do to resources. Called by dispatch, in the transaction that ends the job.
//!
//! **Only the newest generation that is wanted moves a badge**; an older one only raises what is known to be applied.
//! **A row goes when its deletion was applied**, and its names and claims with it.

use shared::ids::{AccountId, PhpPoolId, SiteId};
use shared::jobs::{Generation, Job, Presence, ResourceKey};
use shared::operation::{EverApplied, ResourceEvent, ResourceState};
use sqlx::Row;

use super::desired_state::desired_state_forget_in_tx;
use super::drift::drift_clear_in_tx;
use super::site_name::domain_claims_release_in_tx;
use super::{StoreError, Tx, parse};

/// A job of this generation was applied.
///
/// # Errors
/// The database fails.
pub async fn resource_applied_in_tx(tx: &mut Tx, key: ResourceKey, generation: Generation, job: &Job) -> Result<(), StoreError> {
    raise_applied(tx, key, generation).await?;
    desired_state_forget_in_tx(tx, key, generation.0).await?;
    drift_clear_in_tx(tx, key, generation).await?;
    if !is_newest(tx, key, generation).await? {
        return Ok(());
    }
    if job.is_deletion() {
        return resource_delete_in_tx(tx, key).await;
    }
    let event = match job {
        Job::Account(spec) => applied_event(spec.presence),
        Job::Site(spec) => applied_event(spec.presence),
        // A pool has no badge, and a worker reports its version by itself.
        Job::PhpPool(_) | Job::Worker(_) => return Ok(()),
    };
    advance(tx, key, event).await
}

/// A job of this generation failed.
///
/// # Errors
/// The database fails.
pub async fn resource_failed_in_tx(tx: &mut Tx, key: ResourceKey, generation: Generation) -> Result<(), StoreError> {
    if is_newest(tx, key, generation).await? { advance(tx, key, ResourceEvent::ChangeFailed).await } else { Ok(()) }
}

/// A failed job of this generation is tried again.
///
/// # Errors
/// The database fails.
pub async fn resource_retried_in_tx(tx: &mut Tx, key: ResourceKey, generation: Generation, job: &Job) -> Result<(), StoreError> {
    if !is_newest(tx, key, generation).await? {
        return Ok(());
    }
    let event = if job.is_deletion() { ResourceEvent::DeletionRequested } else { ResourceEvent::ChangeRequested };
    advance(tx, key, event).await
}

/// Whether this is the newest state that is wanted of a resource that still exists.
///
/// # Errors
/// The database fails.
pub async fn resource_is_newest_in_tx(tx: &mut Tx, key: ResourceKey, generation: Generation) -> Result<bool, StoreError> {
    is_newest(tx, key, generation).await
}

const fn applied_event(presence: Presence) -> ResourceEvent {
    match presence {
        Presence::Active => ResourceEvent::AppliedActive,
        Presence::Suspended => ResourceEvent::AppliedSuspended,
        Presence::Deleted => ResourceEvent::AppliedDeleted,
    }
}

async fn raise_applied(tx: &mut Tx, key: ResourceKey, generation: Generation) -> Result<(), StoreError> {
    let (sql, id) = match key {
        ResourceKey::Account(id) => {
            ("UPDATE accounts SET applied_generation = $1 WHERE id = $2 AND applied_generation < $1", id.to_string())
        }
        ResourceKey::PhpPool(id) => {
            ("UPDATE php_pools SET applied_generation = $1 WHERE id = $2 AND applied_generation < $1", id.to_string())
        }
        ResourceKey::Site(id) => ("UPDATE sites SET applied_generation = $1 WHERE id = $2 AND applied_generation < $1", id.to_string()),
        ResourceKey::Worker(_) => return Ok(()),
    };
    sqlx::query(sql).bind(generation.0).bind(id).execute(&mut **tx).await?;
    Ok(())
}

async fn is_newest(tx: &mut Tx, key: ResourceKey, generation: Generation) -> Result<bool, StoreError> {
    // An update that changes nothing locks the row, so that a request that is just writing the next generation is
    // either seen here or sees this.
    let (sql, id) = match key {
        ResourceKey::Account(id) => {
            ("UPDATE accounts SET generation = generation WHERE id = $1 AND wanted_generation = $2", id.to_string())
        }
        ResourceKey::PhpPool(id) => {
            ("UPDATE php_pools SET generation = generation WHERE id = $1 AND wanted_generation = $2", id.to_string())
        }
        ResourceKey::Site(id) => ("UPDATE sites SET generation = generation WHERE id = $1 AND wanted_generation = $2", id.to_string()),
        ResourceKey::Worker(id) => {
            ("UPDATE servers SET worker_generation = worker_generation WHERE id = $1 AND worker_generation = $2", id.to_string())
        }
    };
    Ok(sqlx::query(sql).bind(id).bind(generation.0).execute(&mut **tx).await?.rows_affected() == 1)
}

async fn advance(tx: &mut Tx, key: ResourceKey, event: ResourceEvent) -> Result<(), StoreError> {
    let (select, update, id) = match key {
        ResourceKey::Account(id) => {
            ("SELECT state, applied_generation FROM accounts WHERE id = $1", "UPDATE accounts SET state = $1 WHERE id = $2", id.to_string())
        }
        ResourceKey::Site(id) => {
            ("SELECT state, applied_generation FROM sites WHERE id = $1", "UPDATE sites SET state = $1 WHERE id = $2", id.to_string())
        }
        ResourceKey::PhpPool(_) | ResourceKey::Worker(_) => return Ok(()),
    };
    let Some(row) = sqlx::query(select).bind(&id).fetch_optional(&mut **tx).await? else { return Ok(()) };
    let state: ResourceState = parse("state", row.try_get("state")?)?;
    let ever = if row.try_get::<i64, _>("applied_generation")? > 0 { EverApplied::Yes } else { EverApplied::No };
    let Ok(next) = state.advance(event, ever) else { return Ok(()) };
    sqlx::query(update).bind(next.as_str()).bind(id).execute(&mut **tx).await?;
    Ok(())
}

/// Removes a resource's row, and its names and claims with it.
///
/// # Errors
/// The database fails.
pub async fn resource_delete_in_tx(tx: &mut Tx, key: ResourceKey) -> Result<(), StoreError> {
    match key {
        ResourceKey::Account(id) => delete_account(tx, id).await,
        ResourceKey::PhpPool(id) => delete_pool(tx, id).await,
        ResourceKey::Site(id) => delete_site(tx, id).await,
        // It goes with its server.
        ResourceKey::Worker(_) => Ok(()),
    }
}

async fn delete_account(tx: &mut Tx, id: AccountId) -> Result<(), StoreError> {
    // Servers, keys, pools, sites, names and claims go by their foreign keys.
    sqlx::query("DELETE FROM accounts WHERE id = $1").bind(id.to_string()).execute(&mut **tx).await?;
    Ok(())
}

async fn delete_pool(tx: &mut Tx, id: PhpPoolId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM php_pools WHERE id = $1").bind(id.to_string()).execute(&mut **tx).await?;
    Ok(())
}

async fn delete_site(tx: &mut Tx, id: SiteId) -> Result<(), StoreError> {
    let row = sqlx::query("DELETE FROM sites WHERE id = $1 RETURNING account_id").bind(id.to_string()).fetch_optional(&mut **tx).await?;
    match row {
        Some(row) => domain_claims_release_in_tx(tx, parse("sites.account_id", row.try_get("account_id")?)?).await,
        None => Ok(()),
    }
}
