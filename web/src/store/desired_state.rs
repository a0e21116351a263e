//! What a resource's row says it should be, kept with each of its jobs, and the way back to it.
//!
//! A job holds what a host should do; a row also holds what follows from nothing else, such as how an owner wants a site while
//! its account is suspended. So a row goes back to what it said, not to what its job said.

use serde::{Deserialize, Serialize};
use shared::ids::{AccountId, JobId, OperationId, PhpPoolId, SiteId};
use shared::jobs::{Generation, Job, PoolPresence, Presence, ResourceKey};
use shared::operation::{JobState, ResourceState};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::operation::{OperationKind, operation_settle_in_tx};
use super::resource::resource_delete_in_tx;
use super::{StoreError, Tx, parse, parse_json, to_json};

/// The columns of a row that people decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum DesiredState {
    /// An account's.
    Account {
        /// As stored, like the others.
        presence: String,
        /// Of the SFTP password.
        password_hash: Option<String>,
        /// Per cent.
        cpu_percent: Option<i64>,
        /// MiB.
        memory_mib: Option<i64>,
        /// Processes and threads.
        tasks: Option<i64>,
        /// Its SFTP keys: id, key, and when it was added.
        keys: Vec<(String, String, i64)>,
    },
    /// A PHP pool's.
    PhpPool {
        /// As stored, like the others.
        presence: String,
        /// JSON.
        settings: String,
    },
    /// A site's.
    Site {
        /// As stored, like the others.
        presence: String,
        /// Below the account's folder.
        document_root: String,
        /// None for files only.
        php_version: Option<String>,
        /// The names besides the domain, in order.
        aliases: Vec<String>,
    },
}

/// What the rows of a resource say now, as JSON; empty if there is none.
///
/// # Errors
/// The database fails.
pub async fn desired_state_in_tx(tx: &mut Tx, key: ResourceKey) -> Result<String, StoreError> {
    let desired = match key {
        ResourceKey::Account(id) => account(tx, id).await?,
        ResourceKey::PhpPool(id) => pool(tx, id).await?,
        ResourceKey::Site(id) => site(tx, id).await?,
        // What is wanted of a worker is in its job alone.
        ResourceKey::Worker(_) => None,
    };
    desired.map_or_else(|| Ok(String::new()), |desired| to_json("jobs.desired", &desired))
}

async fn account(tx: &mut Tx, id: AccountId) -> Result<Option<DesiredState>, StoreError> {
    let row = sqlx::query("SELECT presence, sftp_password_hash, cpu_percent, memory_mib, tasks FROM accounts WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let keys = sqlx::query("SELECT id, public_key, created_ms FROM account_keys WHERE account_id = $1 ORDER BY id")
        .bind(id.to_string())
        .fetch_all(&mut **tx)
        .await?;
    let keys = keys.iter().map(|key| Ok((key.try_get("id")?, key.try_get("public_key")?, key.try_get("created_ms")?)));
    Ok(Some(DesiredState::Account {
        presence: row.try_get("presence")?,
        password_hash: row.try_get("sftp_password_hash")?,
        cpu_percent: row.try_get("cpu_percent")?,
        memory_mib: row.try_get("memory_mib")?,
        tasks: row.try_get("tasks")?,
        keys: keys.collect::<Result<_, StoreError>>()?,
    }))
}

async fn pool(tx: &mut Tx, id: PhpPoolId) -> Result<Option<DesiredState>, StoreError> {
    let row = sqlx::query("SELECT presence, settings FROM php_pools WHERE id = $1").bind(id.to_string()).fetch_optional(&mut **tx).await?;
    row.map(|row| Ok(DesiredState::PhpPool { presence: row.try_get("presence")?, settings: row.try_get("settings")? })).transpose()
}

async fn site(tx: &mut Tx, id: SiteId) -> Result<Option<DesiredState>, StoreError> {
    let row = sqlx::query("SELECT presence, document_root, php_version FROM sites WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(&mut **tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let aliases = sqlx::query("SELECT name FROM site_names WHERE site_id = $1 AND position > 0 ORDER BY position")
        .bind(id.to_string())
        .fetch_all(&mut **tx)
        .await?;
    Ok(Some(DesiredState::Site {
        presence: row.try_get("presence")?,
        document_root: row.try_get("document_root")?,
        php_version: row.try_get("php_version")?,
        aliases: aliases.iter().map(|alias| alias.try_get("name")).collect::<Result<_, _>>()?,
    }))
}

/// Where a resource can go back to.
#[derive(Debug)]
pub enum WayBack {
    /// To what was last applied.
    Applied(Box<DesiredState>, Generation, ResourceState),
    /// To an earlier change that had failed before the newer one took its place: it has failed again.
    Failed(Box<DesiredState>, Earlier),
    /// It was never on a host: there is nothing to keep.
    Gone,
    /// There is nothing to go back on: only the job said what was wanted.
    Nothing,
    /// Nowhere: the server has an earlier change of it, which has not ended.
    UnderWay(Earlier),
    /// Nowhere: an earlier change, in whose place the newer one is, would be lost with it.
    Overtaken(Earlier),
    /// Nobody knows: what was applied was asked of another release.
    Unknown,
}

/// An earlier change of the same resource.
#[derive(Debug)]
pub struct Earlier {
    /// Its job.
    pub job: JobId,
    /// The job's generation.
    pub generation: Generation,
    /// Its request.
    pub operation: OperationId,
    /// What was asked.
    pub kind: OperationKind,
    /// Its name at the time.
    pub subject: String,
}

/// Where a resource can go back to when its newest state, of this generation, is taken back, which never left the panel.
///
/// # Errors
/// The database fails.
pub async fn way_back_in_tx(tx: &mut Tx, key: ResourceKey, generation: Generation) -> Result<WayBack, StoreError> {
    if let ResourceKey::Worker(_) = key {
        return Ok(WayBack::Nothing);
    }
    let applied = applied_generation(tx, key).await?;
    // What was applied may be on its way once more, because its host has lost it.
    let row = sqlx::query(
        "SELECT j.id, j.generation, j.operation_id, j.state, j.failure, j.desired, o.kind, o.subject FROM jobs j \
         JOIN operations o ON o.id = j.operation_id WHERE j.resource = $1 AND j.generation >= $2 AND j.generation < $3 \
         AND j.state NOT IN ('done', 'cancelled') ORDER BY j.generation DESC LIMIT 1",
    )
    .bind(key.to_string())
    .bind(applied)
    .bind(generation.0)
    .fetch_optional(&mut **tx)
    .await?;
    if let Some(row) = row {
        return way_back_to(&row);
    }
    if applied == 0 {
        return Ok(WayBack::Gone);
    }
    let row = sqlx::query("SELECT desired, job FROM jobs WHERE resource = $1 AND generation = $2 AND state = 'done' AND desired <> ''")
        .bind(key.to_string())
        .bind(applied)
        .fetch_optional(&mut **tx)
        .await?;
    let Some(row) = row else { return Ok(WayBack::Unknown) };
    let desired: DesiredState = parse_json("jobs.desired", row.try_get("desired")?)?;
    let job: Job = parse_json("jobs.job", row.try_get("job")?)?;
    Ok(WayBack::Applied(Box::new(desired), Generation(applied), state_of(&job)))
}

/// The way back to a change that was not applied.
fn way_back_to(row: &AnyRow) -> Result<WayBack, StoreError> {
    let earlier = Earlier {
        job: parse("jobs.id", row.try_get("id")?)?,
        generation: Generation(row.try_get("generation")?),
        operation: parse("jobs.operation_id", row.try_get("operation_id")?)?,
        kind: parse("operations.kind", row.try_get("kind")?)?,
        subject: row.try_get("subject")?,
    };
    let (failure, desired): (Option<String>, String) = (row.try_get("failure")?, row.try_get("desired")?);
    Ok(match parse("jobs.state", row.try_get("state")?)? {
        JobState::Failed | JobState::Superseded if failure.is_some() && desired.is_empty() => WayBack::Unknown,
        JobState::Failed | JobState::Superseded if failure.is_some() => {
            WayBack::Failed(Box::new(parse_json("jobs.desired", &desired)?), earlier)
        }
        JobState::Queued | JobState::Sent | JobState::Working | JobState::Blocked => WayBack::UnderWay(earlier),
        JobState::Failed | JobState::Superseded | JobState::Done | JobState::Cancelled => WayBack::Overtaken(earlier),
    })
}

/// The state of a resource whose newest applied job this is.
const fn state_of(job: &Job) -> ResourceState {
    match job {
        Job::Account(spec) => shown(spec.presence),
        Job::Site(spec) => shown(spec.presence),
        Job::PhpPool(spec) => match spec.presence {
            PoolPresence::Present => ResourceState::Active,
            PoolPresence::Suspended => ResourceState::Suspended,
            PoolPresence::Deleted => ResourceState::Deleted,
        },
        Job::Worker(_) => ResourceState::Active,
    }
}

const fn shown(presence: Presence) -> ResourceState {
    match presence {
        Presence::Active => ResourceState::Active,
        Presence::Suspended => ResourceState::Suspended,
        Presence::Deleted => ResourceState::Deleted,
    }
}

async fn applied_generation(tx: &mut Tx, key: ResourceKey) -> Result<i64, StoreError> {
    let (sql, id) = match key {
        ResourceKey::Account(id) => ("SELECT applied_generation FROM accounts WHERE id = $1", id.to_string()),
        ResourceKey::PhpPool(id) => ("SELECT applied_generation FROM php_pools WHERE id = $1", id.to_string()),
        ResourceKey::Site(id) => ("SELECT applied_generation FROM sites WHERE id = $1", id.to_string()),
        ResourceKey::Worker(_) => return Ok(0),
    };
    let row = sqlx::query(sql).bind(id).fetch_optional(&mut **tx).await?;
    Ok(row.map(|row| row.try_get("applied_generation")).transpose()?.unwrap_or(0))
}

/// Takes a row back. The generation stays: numbers are never used twice. A site's names are the caller's to put back. Ways that
/// lead nowhere change nothing.
///
/// # Errors
/// The database fails.
pub async fn resource_go_back_in_tx(tx: &mut Tx, key: ResourceKey, way: &WayBack) -> Result<(), StoreError> {
    match way {
        WayBack::Gone => resource_delete_in_tx(tx, key).await,
        WayBack::Nothing | WayBack::Unknown | WayBack::UnderWay(_) | WayBack::Overtaken(_) => Ok(()),
        WayBack::Applied(desired, generation, state) => {
            write(tx, key, desired).await?;
            stand(tx, key, *generation, *state).await
        }
        WayBack::Failed(desired, earlier) => {
            write(tx, key, desired).await?;
            stand(tx, key, earlier.generation, ResourceState::Failed).await?;
            fail_again(tx, key, earlier).await
        }
    }
}

async fn stand(tx: &mut Tx, key: ResourceKey, wanted: Generation, state: ResourceState) -> Result<(), StoreError> {
    let query = match key {
        ResourceKey::Account(id) => sqlx::query("UPDATE accounts SET wanted_generation = $1, state = $2 WHERE id = $3")
            .bind(wanted.0)
            .bind(state.as_str())
            .bind(id.to_string()),
        ResourceKey::Site(id) => sqlx::query("UPDATE sites SET wanted_generation = $1, state = $2 WHERE id = $3")
            .bind(wanted.0)
            .bind(state.as_str())
            .bind(id.to_string()),
        // They have no badge.
        ResourceKey::PhpPool(id) => {
            sqlx::query("UPDATE php_pools SET wanted_generation = $1 WHERE id = $2").bind(wanted.0).bind(id.to_string())
        }
        ResourceKey::Worker(_) => return Ok(()),
    };
    query.execute(&mut **tx).await?;
    Ok(())
}

/// The change that had failed waits for a decision again, on the page of what it is about.
async fn fail_again(tx: &mut Tx, key: ResourceKey, earlier: &Earlier) -> Result<(), StoreError> {
    sqlx::query("UPDATE jobs SET state = 'failed' WHERE id = $1 AND state = 'superseded'")
        .bind(earlier.job.to_string())
        .execute(&mut **tx)
        .await?;
    operation_settle_in_tx(tx, earlier.operation).await?;
    let (sql, id) = match key {
        ResourceKey::Account(id) => ("UPDATE accounts SET last_operation_id = $1 WHERE id = $2", id.to_string()),
        ResourceKey::Site(id) => ("UPDATE sites SET last_operation_id = $1 WHERE id = $2", id.to_string()),
        ResourceKey::PhpPool(_) | ResourceKey::Worker(_) => return Ok(()),
    };
    sqlx::query(sql).bind(earlier.operation.to_string()).bind(id).execute(&mut **tx).await?;
    Ok(())
}

async fn write(tx: &mut Tx, key: ResourceKey, desired: &DesiredState) -> Result<(), StoreError> {
    match (key, desired) {
        (ResourceKey::Account(id), DesiredState::Account { presence, password_hash, cpu_percent, memory_mib, tasks, keys }) => {
            sqlx::query(
                "UPDATE accounts SET presence = $1, sftp_password_hash = $2, cpu_percent = $3, memory_mib = $4, tasks = $5 WHERE id = $6",
            )
            .bind(presence)
            .bind(password_hash.as_deref())
            .bind(*cpu_percent)
            .bind(*memory_mib)
            .bind(*tasks)
            .bind(id.to_string())
            .execute(&mut **tx)
            .await?;
            sqlx::query("DELETE FROM account_keys WHERE account_id = $1").bind(id.to_string()).execute(&mut **tx).await?;
            for (key, text, created_ms) in keys {
                sqlx::query("INSERT INTO account_keys (id, account_id, public_key, created_ms) VALUES ($1, $2, $3, $4)")
                    .bind(key)
                    .bind(id.to_string())
                    .bind(text)
                    .bind(*created_ms)
                    .execute(&mut **tx)
                    .await?;
            }
        }
        (ResourceKey::PhpPool(id), DesiredState::PhpPool { presence, settings }) => {
            sqlx::query("UPDATE php_pools SET presence = $1, settings = $2 WHERE id = $3")
                .bind(presence)
                .bind(settings)
                .bind(id.to_string())
                .execute(&mut **tx)
                .await?;
        }
        (ResourceKey::Site(id), DesiredState::Site { presence, document_root, php_version, aliases: _ }) => {
            sqlx::query("UPDATE sites SET presence = $1, document_root = $2, php_version = $3 WHERE id = $4")
                .bind(presence)
                .bind(document_root)
                .bind(php_version.as_deref())
                .bind(id.to_string())
                .execute(&mut **tx)
                .await?;
        }
        (_, DesiredState::Account { .. } | DesiredState::PhpPool { .. } | DesiredState::Site { .. }) => {
            return Err(StoreError::Corrupt { column: "jobs.desired", source: "of another kind of resource".into() });
        }
    }
    Ok(())
}

/// Forgets states older than one that was applied: nothing goes back to them, and they may hold a password's hash.
///
/// # Errors
/// The database fails.
pub async fn desired_state_forget_in_tx(tx: &mut Tx, key: ResourceKey, applied: i64) -> Result<(), StoreError> {
    sqlx::query("UPDATE jobs SET desired = '' WHERE resource = $1 AND generation < $2 AND desired <> ''")
        .bind(key.to_string())
        .bind(applied)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
