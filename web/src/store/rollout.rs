//! Rollouts: updates of several servers' workers, one rollout at a time.

use std::fmt;
use std::str::FromStr;

use shared::ids::{OperationId, ServerId, UserId};
use shared::jobs::WorkerSpec;
use shared::names::{PackageVersion, ServerName};
use shared::operation::OperationState;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::ids::RolloutId;
use super::{Db, StoreError, Tx, now_ms, parse, parse_json, to_json};

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutState {
    /// It goes on by itself.
    Running,
    /// A server failed, or went away for long: no other is begun until a person says so.
    Stopped,
    /// A person ended it.
    Cancelled,
    /// Every server is updated.
    Done,
}

impl RolloutState {
    const ALL: [Self; 4] = [Self::Running, Self::Stopped, Self::Cancelled, Self::Done];

    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
        }
    }

    /// Whether it may go on.
    #[must_use]
    pub const fn is_unfinished(self) -> bool {
        match self {
            Self::Running | Self::Stopped => true,
            Self::Cancelled | Self::Done => false,
        }
    }
}

impl fmt::Display for RolloutState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The stored text is no state of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a state of a rollout")]
pub struct UnknownRolloutState;

impl FromStr for RolloutState {
    type Err = UnknownRolloutState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(UnknownRolloutState)
    }
}

/// A rollout to be started.
#[derive(Debug, Clone, Copy)]
pub struct NewRollout<'a> {
    /// The version.
    pub version: &'a PackageVersion,
    /// How many servers at a time, once the first is well.
    pub at_once: i64,
    /// Who asks.
    pub asked_by: UserId,
    /// Their name.
    pub asked_by_name: &'a str,
    /// The servers in their order, each with its job.
    pub servers: &'a [(ServerId, WorkerSpec)],
}

/// A rollout as stored.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// Its id.
    pub id: RolloutId,
    /// The version.
    pub version: PackageVersion,
    /// How many servers at a time.
    pub at_once: i64,
    /// Where it stands.
    pub state: RolloutState,
    /// Who asked.
    pub asked_by: UserId,
    /// Their name.
    pub asked_by_name: String,
    /// When.
    pub created_ms: i64,
    /// Its servers in their order. One that was deleted is not there any more.
    pub servers: Vec<RolloutServer>,
}

/// A server of a rollout.
#[derive(Debug, Clone)]
pub struct RolloutServer {
    /// The server.
    pub server: ServerId,
    /// Its name.
    pub name: ServerName,
    /// What it reports.
    pub reported: String,
    /// The job it gets.
    pub spec: WorkerSpec,
    /// The operation that was begun for it, and where that stands.
    pub operation: Option<(OperationId, OperationState)>,
    /// Since when it does not answer, if so.
    pub offline_since_ms: Option<i64>,
}

/// How a server of a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutStep {
    /// Not begun.
    Waiting,
    /// Begun.
    UnderWay,
    /// It has the version, however it came by it.
    Done,
    /// It does not have it.
    Failed,
}

impl Rollout {
    /// The server that was begun and has been away the longest, if one has for so long: it holds up the others.
    #[must_use]
    pub fn lost(&self, now_ms: i64, away_ms: i64) -> Option<(&RolloutServer, i64)> {
        let begun = self.servers.iter().filter(|server| server.step() == RolloutStep::UnderWay);
        let away = begun.filter_map(|server| server.offline_since_ms.map(|since| (server, since)));
        away.filter(|(_, since)| now_ms - since >= away_ms).min_by_key(|(_, since)| *since)
    }
}

/// A worker is away for seconds while it updates itself. One that is not back after so long is waited for no longer.
pub const AWAY_MS: i64 = 10 * 60 * 1000;

impl RolloutServer {
    /// How it stands.
    #[must_use]
    pub fn step(&self) -> RolloutStep {
        let has_it = self.reported.parse::<PackageVersion>().is_ok_and(|reported| reported >= self.spec.version);
        match self.operation {
            Some((_, OperationState::Waiting | OperationState::Working)) => RolloutStep::UnderWay,
            Some((_, OperationState::Succeeded)) => RolloutStep::Done,
            None | Some((_, OperationState::Failed | OperationState::Superseded | OperationState::Cancelled)) if has_it => {
                RolloutStep::Done
            }
            None => RolloutStep::Waiting,
            Some((_, OperationState::Failed | OperationState::Superseded | OperationState::Cancelled)) => RolloutStep::Failed,
        }
    }
}

macro_rules! rollout_columns {
    () => {
        "SELECT id, version, at_once, state, asked_by, asked_by_name, created_ms FROM rollouts "
    };
}

macro_rules! rollout_server_columns {
    () => {
        "SELECT r.server_id, r.spec, r.operation_id, v.name, v.version, v.online, v.changed_ms, o.state FROM rollout_servers r \
         JOIN servers v ON v.id = r.server_id LEFT JOIN operations o ON o.id = r.operation_id WHERE r.rollout_id = $1 ORDER BY r.position"
    };
}

impl TryFrom<&AnyRow> for RolloutServer {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        let operation: Option<String> = row.try_get("operation_id")?;
        let state: Option<String> = row.try_get("state")?;
        let operation = operation
            .zip(state)
            .map(|(id, state)| Ok::<_, StoreError>((parse("rollout_servers.operation_id", &id)?, parse("operations.state", &state)?)));
        Ok(Self {
            server: parse("rollout_servers.server_id", row.try_get("server_id")?)?,
            name: parse("servers.name", row.try_get("name")?)?,
            reported: row.try_get("version")?,
            spec: parse_json("rollout_servers.spec", row.try_get("spec")?)?,
            operation: operation.transpose()?,
            offline_since_ms: if row.try_get::<i32, _>("online")? == 0 { Some(row.try_get("changed_ms")?) } else { None },
        })
    }
}

fn rollout(row: &AnyRow, servers: &[AnyRow]) -> Result<Rollout, StoreError> {
    Ok(Rollout {
        id: parse("rollouts.id", row.try_get("id")?)?,
        version: parse("rollouts.version", row.try_get("version")?)?,
        at_once: row.try_get("at_once")?,
        state: parse("rollouts.state", row.try_get("state")?)?,
        asked_by: parse("rollouts.asked_by", row.try_get("asked_by")?)?,
        asked_by_name: row.try_get("asked_by_name")?,
        created_ms: row.try_get("created_ms")?,
        servers: servers.iter().map(RolloutServer::try_from).collect::<Result<_, _>>()?,
    })
}

/// Starts a rollout.
///
/// # Errors
/// [`StoreError::Duplicate`] on `rollouts.unfinished` while another is not over, or the database fails.
pub async fn rollout_insert_in_tx(tx: &mut Tx, new: &NewRollout<'_>) -> Result<(), StoreError> {
    let id = RolloutId::new();
    sqlx::query(
        "INSERT INTO rollouts (id, version, at_once, state, unfinished, asked_by, asked_by_name, created_ms) \
         VALUES ($1, $2, $3, $4, 1, $5, $6, $7)",
    )
    .bind(id.as_str())
    .bind(new.version.as_str())
    .bind(new.at_once)
    .bind(RolloutState::Running.as_str())
    .bind(new.asked_by.to_string())
    .bind(new.asked_by_name)
    .bind(now_ms())
    .execute(&mut **tx)
    .await?;
    for (position, (server, spec)) in (0_i64..).zip(new.servers) {
        sqlx::query("INSERT INTO rollout_servers (rollout_id, server_id, position, spec) VALUES ($1, $2, $3, $4)")
            .bind(id.as_str())
            .bind(server.to_string())
            .bind(position)
            .bind(to_json("rollout_servers.spec", spec)?)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// The newest rollout.
///
/// # Errors
/// The database fails.
pub async fn rollout_newest(db: &Db) -> Result<Option<Rollout>, StoreError> {
    let row = sqlx::query(concat!(rollout_columns!(), "ORDER BY id DESC LIMIT 1")).fetch_optional(db.read()).await?;
    let Some(row) = row else { return Ok(None) };
    let id: String = row.try_get("id")?;
    let servers = sqlx::query(rollout_server_columns!()).bind(id).fetch_all(db.read()).await?;
    rollout(&row, &servers).map(Some)
}

/// Whether a rollout goes on by itself.
///
/// # Errors
/// The database fails.
pub async fn rollout_is_running(db: &Db) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS n FROM rollouts WHERE unfinished = 1 AND state = $1")
        .bind(RolloutState::Running.as_str())
        .fetch_one(db.read())
        .await?;
    Ok(row.try_get::<i64, _>("n")? > 0)
}

/// The rollout that is not over, locked until the transaction ends.
///
/// # Errors
/// The database fails.
pub async fn rollout_lock_unfinished_in_tx(tx: &mut Tx) -> Result<Option<Rollout>, StoreError> {
    sqlx::query("UPDATE rollouts SET state = state WHERE unfinished = 1").execute(&mut **tx).await?;
    let row = sqlx::query(concat!(rollout_columns!(), "WHERE unfinished = 1")).fetch_optional(&mut **tx).await?;
    let Some(row) = row else { return Ok(None) };
    let id: String = row.try_get("id")?;
    let servers = sqlx::query(rollout_server_columns!()).bind(id).fetch_all(&mut **tx).await?;
    rollout(&row, &servers).map(Some)
}

/// Moves a rollout.
///
/// # Errors
/// The database fails.
pub async fn rollout_set_state_in_tx(tx: &mut Tx, id: &RolloutId, state: RolloutState) -> Result<(), StoreError> {
    sqlx::query("UPDATE rollouts SET state = $1, unfinished = $2 WHERE id = $3")
        .bind(state.as_str())
        .bind(state.is_unfinished().then_some(1_i32))
        .bind(id.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Keeps the operation that was begun for a server.
///
/// # Errors
/// The database fails.
pub async fn rollout_begin_in_tx(tx: &mut Tx, id: &RolloutId, server: ServerId, operation: OperationId) -> Result<(), StoreError> {
    sqlx::query("UPDATE rollout_servers SET operation_id = $1 WHERE rollout_id = $2 AND server_id = $3")
        .bind(operation.to_string())
        .bind(id.as_str())
        .bind(server.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Lets servers that failed begin again.
///
/// # Errors
/// The database fails.
pub async fn rollout_retry_in_tx(tx: &mut Tx, rollout: &Rollout) -> Result<(), StoreError> {
    for server in rollout.servers.iter().filter(|server| server.step() == RolloutStep::Failed) {
        sqlx::query("UPDATE rollout_servers SET operation_id = NULL WHERE rollout_id = $1 AND server_id = $2")
            .bind(rollout.id.as_str())
            .bind(server.server.to_string())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}
