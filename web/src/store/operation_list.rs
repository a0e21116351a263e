//! Lists of operations, and trying failed ones again.

use std::collections::BTreeSet;

use shared::ids::{AccountId, OperationId, UserId};
use shared::jobs::{ResourceKey, ResourceKind};
use shared::names::ServerName;
use shared::operation::{JobEvent, JobState, OperationState};
use sqlx::{AssertSqlSafe, Row};

use super::job::{JobRow, job_advance_in_tx, job_failed_of_resource_in_tx, job_list_of_operation_in_tx, job_retry_in_tx};
use super::list::{Direction, Page, Paging, Visible, contains};
use super::operation::{OperationRow, operation_settle_in_tx};
use super::resource::{resource_is_newest_in_tx, resource_retried_in_tx};
use super::{Db, StoreError, Tx, parse};

/// How operations are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OperationSort {
    /// By when they were asked.
    #[default]
    Created,
    /// By state.
    State,
    /// By what they are about.
    Subject,
    /// By kind.
    Kind,
    /// By server.
    Server,
    /// By who asked.
    AskedBy,
}

/// Which operations.
#[derive(Debug, Clone, Default)]
pub struct OperationFilter {
    /// In the subject, the name of who asked, or the id; empty for all.
    pub search: String,
    /// In this state only.
    pub state: Option<OperationState>,
    /// About resources of this kind only.
    pub kind: Option<ResourceKind>,
    /// On the server of this name only.
    pub server: Option<ServerName>,
    /// Of this account only.
    pub account: Option<AccountId>,
    /// Of this owner's accounts only.
    pub owner: Option<UserId>,
    /// Sorted by.
    pub sort: OperationSort,
    /// Which way.
    pub direction: Direction,
}

/// An operation in a list.
#[derive(Debug, Clone)]
pub struct OperationListRow {
    /// The operation.
    pub operation: OperationRow,
    /// Its server's name; `None` if the server is gone.
    pub server_name: Option<ServerName>,
    /// Whether that server's worker is connected.
    pub server_online: bool,
    /// When that began or ended.
    pub server_changed_ms: i64,
    /// Since when nothing new is sent to that server, if an admin has paused its queue.
    pub server_paused_ms: Option<i64>,
    /// How many of its jobs the bus or the worker has, while it is open.
    pub jobs_in_flight: i64,
}

macro_rules! operation_select {
    () => {
        "SELECT o.id, o.kind, o.resource, o.subject, o.account_id, o.owner_id, o.server_id, o.asked_by, o.asked_by_name, o.state, \
         o.created_ms, o.finished_ms, v.name AS server_name, COALESCE(v.online, 0) AS server_online, \
         COALESCE(v.changed_ms, 0) AS server_changed_ms, v.queue_paused_ms AS server_paused_ms, \
         CASE WHEN o.state IN ('waiting', 'working') THEN (SELECT COUNT(*) FROM jobs j WHERE j.operation_id = o.id \
         AND j.state IN ('sent', 'working', 'blocked')) ELSE 0 END AS jobs_in_flight "
    };
}

macro_rules! operation_from {
    () => {
        "FROM operations o LEFT JOIN servers v ON v.id = o.server_id "
    };
}

macro_rules! operation_where {
    () => {
        "WHERE ($1 = '' OR o.owner_id = $1) AND ($2 = '' OR o.state = $2) AND ($3 = '' OR o.resource LIKE $3 || ':%') AND ($4 = '' OR v.name = $4) \
         AND ($5 = '' OR o.account_id = $5) AND ($7 = '' OR o.owner_id = $7) \
         AND ($6 = '' OR LOWER(o.subject) LIKE $6 ESCAPE '\\' OR LOWER(o.asked_by_name) LIKE $6 ESCAPE '\\' OR LOWER(o.id) LIKE $6 ESCAPE '\\')"
    };
}

fn list_row(row: &sqlx::any::AnyRow) -> Result<OperationListRow, StoreError> {
    let name: Option<String> = row.try_get("server_name")?;
    Ok(OperationListRow {
        operation: OperationRow::try_from(row)?,
        server_name: name.map(|name| parse("servers.name", &name)).transpose()?,
        server_online: row.try_get::<i64, _>("server_online")? != 0,
        server_changed_ms: row.try_get("server_changed_ms")?,
        server_paused_ms: row.try_get("server_paused_ms")?,
        jobs_in_flight: row.try_get("jobs_in_flight")?,
    })
}

/// Operations that may be seen.
///
/// # Errors
/// The database fails.
pub async fn operation_list(
    db: &Db,
    visible: Visible,
    filter: &OperationFilter,
    paging: Paging,
) -> Result<Page<OperationListRow>, StoreError> {
    let rows = operation_rows(db, visible, filter, paging).await?;
    let visible = visible.owner();
    let state = filter.state.map_or("", OperationState::as_str);
    let kind = filter.kind.map_or("", ResourceKind::as_str);
    let server = filter.server.as_ref().map_or("", ServerName::as_str);
    let account = filter.account.map(|id| id.to_string()).unwrap_or_default();
    let search = contains(&filter.search);
    let owner = filter.owner.map(|id| id.to_string()).unwrap_or_default();
    let total = sqlx::query(concat!("SELECT COUNT(*) AS n ", operation_from!(), operation_where!()))
        .bind(&visible)
        .bind(state)
        .bind(kind)
        .bind(server)
        .bind(&account)
        .bind(&search)
        .bind(&owner)
        .fetch_one(db.read())
        .await?;
    Ok(Page { rows, total: total.try_get("n")? })
}

/// Operations that may be seen, for where nobody asks how many there are.
///
/// # Errors
/// The database fails.
pub async fn operation_rows(
    db: &Db,
    visible: Visible,
    filter: &OperationFilter,
    paging: Paging,
) -> Result<Vec<OperationListRow>, StoreError> {
    let visible = visible.owner();
    let state = filter.state.map_or("", OperationState::as_str);
    let kind = filter.kind.map_or("", ResourceKind::as_str);
    let server = filter.server.as_ref().map_or("", ServerName::as_str);
    let account = filter.account.map(|id| id.to_string()).unwrap_or_default();
    let search = contains(&filter.search);
    let owner = filter.owner.map(|id| id.to_string()).unwrap_or_default();
    let order = match filter.sort {
        // Ids sort by time, and there is an index.
        OperationSort::Created => "o.id",
        OperationSort::State => "o.state",
        OperationSort::Subject => "o.subject",
        OperationSort::Kind => "o.kind",
        OperationSort::Server => "v.name",
        OperationSort::AskedBy => "LOWER(o.asked_by_name)",
    };
    let sql = format!(
        concat!(operation_select!(), operation_from!(), operation_where!(), " ORDER BY {order} {direction}, o.id DESC LIMIT $8 OFFSET $9"),
        order = order,
        direction = filter.direction.sql()
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(&visible)
        .bind(state)
        .bind(kind)
        .bind(server)
        .bind(&account)
        .bind(&search)
        .bind(&owner)
        .bind(paging.limit)
        .bind(paging.offset)
        .fetch_all(db.read())
        .await?;
    rows.iter().map(list_row).collect()
}

/// The newest operations about one resource, if they may be seen.
///
/// # Errors
/// The database fails.
pub async fn operation_list_of_resource(
    db: &Db,
    visible: Visible,
    resource: ResourceKey,
    limit: i64,
) -> Result<Vec<OperationListRow>, StoreError> {
    let rows = sqlx::query(concat!(
        operation_select!(),
        operation_from!(),
        "WHERE o.resource = $1 AND ($2 = '' OR o.owner_id = $2) ORDER BY o.id DESC LIMIT $3"
    ))
    .bind(resource.to_string())
    .bind(visible.owner())
    .bind(limit)
    .fetch_all(db.read())
    .await?;
    rows.iter().map(list_row).collect()
}

/// The newest operations that have changed a resource, whatever else they were about, if they may be seen.
///
/// # Errors
/// The database fails.
pub async fn operation_list_touching(
    db: &Db,
    visible: Visible,
    resource: ResourceKey,
    limit: i64,
) -> Result<Vec<OperationListRow>, StoreError> {
    let rows = sqlx::query(concat!(
        operation_select!(),
        operation_from!(),
        "WHERE o.id IN (SELECT id FROM operations WHERE resource = $1 UNION SELECT operation_id FROM jobs WHERE resource = $1) \
         AND ($2 = '' OR o.owner_id = $2) ORDER BY o.id DESC LIMIT $3"
    ))
    .bind(resource.to_string())
    .bind(visible.owner())
    .bind(limit)
    .fetch_all(db.read())
    .await?;
    rows.iter().map(list_row).collect()
}

/// One operation with its server, if it may be seen.
///
/// # Errors
/// The database fails.
pub async fn operation_fetch_visible(db: &Db, visible: Visible, id: OperationId) -> Result<Option<OperationListRow>, StoreError> {
    let row = sqlx::query(concat!(operation_select!(), operation_from!(), "WHERE o.id = $1 AND ($2 = '' OR o.owner_id = $2)"))
        .bind(id.to_string())
        .bind(visible.owner())
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(list_row).transpose()
}

/// What a retry did.
#[derive(Debug, Clone, Default)]
pub struct Retried {
    /// The requests of which it concerns jobs.
    pub operations: BTreeSet<OperationId>,
    /// Jobs that are on the queue again, in the order in which they build on each other.
    pub queued: Vec<JobRow>,
    /// Jobs that a newer state has made pointless.
    pub superseded: usize,
}

/// Queues the failed jobs of an operation again, and with them what they build on and has failed too, whichever operation it was
/// asked for by: without it they could only fail again. A job whose resource has a newer desired state is superseded instead.
///
/// # Errors
/// The database fails.
pub async fn operation_retry_in_tx(tx: &mut Tx, id: OperationId) -> Result<Retried, StoreError> {
    let mut retried = Retried::default();
    retried.operations.insert(id);
    // What a job builds on may be of the same operation.
    let mut seen = BTreeSet::new();
    let mut failed = job_list_of_operation_in_tx(tx, id).await?;
    failed.retain(|job| job.state == JobState::Failed);
    while let Some(job) = failed.pop() {
        if !seen.insert(job.id) {
            continue;
        }
        retried.operations.insert(job.operation_id);
        if resource_is_newest_in_tx(tx, job.resource, job.generation).await? {
            job_retry_in_tx(tx, &job).await?;
            resource_retried_in_tx(tx, job.resource, job.generation, &job.job).await?;
            for requirement in &job.requires {
                failed.extend(job_failed_of_resource_in_tx(tx, requirement.resource).await?);
            }
            retried.queued.push(job);
        } else {
            job_advance_in_tx(tx, &job, JobEvent::Superseded).await?;
            retried.superseded += 1;
        }
    }
    // The last came first, and what it builds on after it.
    retried.queued.reverse();
    for operation in &retried.operations {
        operation_settle_in_tx(tx, *operation).await?;
    }
    Ok(retried)
}

/// How many operations failed and want a decision, of those that may be seen. Every page shows it.
///
/// # Errors
/// The database fails.
pub async fn operation_count_failed(db: &Db, visible: Visible) -> Result<i64, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS n FROM operations WHERE state = 'failed' AND ($1 = '' OR owner_id = $1)")
        .bind(visible.owner())
        .fetch_one(db.read())
        .await?;
    Ok(row.try_get("n")?)
}

/// How many operations of each state may be seen.
///
/// # Errors
/// The database fails.
pub async fn operation_counts(db: &Db, visible: Visible) -> Result<Vec<(OperationState, i64)>, StoreError> {
    let rows = sqlx::query("SELECT state, COUNT(*) AS n FROM operations WHERE ($1 = '' OR owner_id = $1) GROUP BY state")
        .bind(visible.owner())
        .fetch_all(db.read())
        .await?;
    rows.iter().map(|row| Ok((parse("operations.state", row.try_get("state")?)?, row.try_get("n")?))).collect()
}
