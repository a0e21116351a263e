//! Rollouts: updates of several servers' workers, one rollout at a time.

use std::collections::BTreeSet;

use shared::events::Heartbeat;
use shared::ids::{OperationId, ServerId, UserId};
use shared::jobs::WorkerSpec;
use shared::names::{PackageVersion, ServerName};
use shared::operation::OperationState;
use shared::role::Role;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::ids::RolloutId;
use super::rollout_state::RolloutState;
use super::server::ailing;
use super::{Db, StoreError, Tx, now_ms, parse, parse_json, to_json};

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
    /// The operation that was begun for it.
    pub begun: Option<Begun>,
    /// Since when it does not answer, if so.
    pub offline_since_ms: Option<i64>,
    /// Since when an admin has nothing new sent to it, if so.
    pub paused_since_ms: Option<i64>,
    /// Its roles whose daemons do not run, by its newest heartbeat.
    ailing: Vec<Role>,
    /// When it was last heard of.
    last_seen_ms: i64,
}

/// The operation that was begun for a server.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Its id.
    pub id: OperationId,
    /// Where it stands.
    pub state: OperationState,
    /// When it was begun.
    began_ms: i64,
    /// When it ended, if it has.
    ended_ms: Option<i64>,
    /// The server's roles whose daemons did not run even then; `None` if that was not kept.
    ailing: Option<Vec<Role>>,
}

/// How a server of a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutStep {
    /// Not begun.
    Waiting,
    /// Not begun, and passed over: it is offline or paused. Once it is neither, its turn may come.
    LeftOut,
    /// Begun.
    UnderWay,
    /// It has the version, however it came by it.
    Done,
    /// It has the version, and a role that worked when it was begun does not work any more.
    Ailing,
    /// It does not have it.
    Failed,
}

impl Rollout {
    /// How one of its servers stands.
    #[must_use]
    pub fn step(&self, server: &RolloutServer) -> RolloutStep {
        let step = server.step();
        match self.state {
            RolloutState::Running | RolloutState::Stopped => step,
            // It is over: what has become of its servers since then is no part of it.
            RolloutState::Cancelled | RolloutState::Done if server.has_succeeded() => RolloutStep::Done,
            RolloutState::Cancelled | RolloutState::Done if step == RolloutStep::Ailing => RolloutStep::Done,
            RolloutState::Cancelled if step == RolloutStep::LeftOut => RolloutStep::Waiting,
            RolloutState::Done if step == RolloutStep::Waiting => RolloutStep::LeftOut,
            RolloutState::Cancelled | RolloutState::Done => step,
        }
    }

    /// The server that was begun and has been away the longest since then, if one has for so long, and since when it is away: it holds
    /// up the others.
    #[must_use]
    pub fn lost(&self, now_ms: i64, away_ms: i64) -> Option<(&RolloutServer, i64)> {
        let away = self.servers.iter().filter_map(|server| {
            // It may have gone before it was begun: an update is not late while nobody has wanted it yet.
            let (begun, since) = (server.begun.as_ref()?, server.offline_since_ms?);
            let late = self.step(server) == RolloutStep::UnderWay && now_ms - since.max(begun.began_ms) >= away_ms;
            late.then_some((server, since))
        });
        away.min_by_key(|(_, since)| *since)
    }

    /// How many servers may be under way: one until one is well with the version that the next ones get.
    #[must_use]
    pub fn room(&self) -> usize {
        let is_proof = |server: &RolloutServer| self.step(server) == RolloutStep::Done && server.spec.version == self.version;
        if self.servers.iter().any(is_proof) { usize::try_from(self.at_once).unwrap_or(1) } else { 1 }
    }

    /// The first server that has the version, but not its health any more.
    #[must_use]
    pub fn ailing(&self) -> Option<&RolloutServer> {
        self.servers.iter().find(|server| self.step(server) == RolloutStep::Ailing)
    }

    /// Whether a server that was passed over has been away for less than so long, as after a failure of the bus.
    #[must_use]
    pub fn may_return(&self, now_ms: i64, away_ms: i64) -> bool {
        let left_out = self.servers.iter().filter(|server| self.step(server) == RolloutStep::LeftOut && server.paused_since_ms.is_none());
        left_out.filter_map(|server| server.offline_since_ms).any(|since| now_ms - since < away_ms)
    }
}

/// A worker is away for seconds while it updates itself. One that is not back after so long is waited for no longer.
pub const AWAY_MS: i64 = 10 * 60 * 1000;
/// A worker that has updated itself says so with its first heartbeat. Six more that say otherwise are believed.
const SAYS_SO_MS: i64 = 60 * 1000;

impl RolloutServer {
    /// Its roles that worked when its update was begun and do not work by its newest heartbeat.
    #[must_use]
    pub fn lost_roles(&self) -> Vec<Role> {
        let Some(before) = self.begun.as_ref().and_then(|begun| begun.ailing.as_ref()) else { return Vec::new() };
        self.ailing.iter().copied().filter(|role| !before.contains(role)).collect()
    }

    fn has_succeeded(&self) -> bool {
        self.begun.as_ref().is_some_and(|begun| begun.state == OperationState::Succeeded)
    }

    fn step(&self) -> RolloutStep {
        let has_it = self.reported.parse::<PackageVersion>().is_ok_and(|reported| reported >= self.spec.version);
        let Some(begun) = &self.begun else {
            return match (has_it, self.offline_since_ms.or(self.paused_since_ms)) {
                (true, _) => RolloutStep::Done,
                (false, Some(_)) => RolloutStep::LeftOut,
                (false, None) => RolloutStep::Waiting,
            };
        };
        match begun.state {
            OperationState::Waiting | OperationState::Working => RolloutStep::UnderWay,
            OperationState::Succeeded | OperationState::Failed | OperationState::Superseded | OperationState::Cancelled if has_it => {
                if self.lost_roles().is_empty() { RolloutStep::Done } else { RolloutStep::Ailing }
            }
            // Its first heartbeat is still to come, unless it has been taken back by hand since.
            OperationState::Succeeded if begun.ended_ms.is_none_or(|ended| self.last_seen_ms - ended < SAYS_SO_MS) => RolloutStep::UnderWay,
            OperationState::Succeeded | OperationState::Failed | OperationState::Superseded | OperationState::Cancelled => {
                RolloutStep::Failed
            }
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
        "SELECT r.server_id, r.spec, r.operation_id, r.ailing, v.name, v.version, v.roles, v.heartbeat, v.online, v.changed_ms, \
         v.queue_paused_ms, v.last_seen_ms, o.state, o.created_ms, o.finished_ms FROM rollout_servers r \
         JOIN servers v ON v.id = r.server_id LEFT JOIN operations o ON o.id = r.operation_id WHERE r.rollout_id = $1 ORDER BY r.position"
    };
}

impl TryFrom<&AnyRow> for RolloutServer {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        let roles: Vec<Role> = parse_json("servers.roles", row.try_get("roles")?)?;
        // A heartbeat of another release may not decode; it is replaced within ten seconds.
        let heartbeat = serde_json::from_str::<Heartbeat>(row.try_get("heartbeat")?).ok();
        Ok(Self {
            server: parse("rollout_servers.server_id", row.try_get("server_id")?)?,
            name: parse("servers.name", row.try_get("name")?)?,
            reported: row.try_get("version")?,
            spec: parse_json("rollout_servers.spec", row.try_get("spec")?)?,
            begun: begun(row)?,
            offline_since_ms: if row.try_get::<i32, _>("online")? == 0 { Some(row.try_get("changed_ms")?) } else { None },
            paused_since_ms: row.try_get("queue_paused_ms")?,
            ailing: heartbeat.map_or_else(Vec::new, |heartbeat| ailing(&roles, &heartbeat)),
            last_seen_ms: row.try_get("last_seen_ms")?,
        })
    }
}

fn begun(row: &AnyRow) -> Result<Option<Begun>, StoreError> {
    let id: Option<String> = row.try_get("operation_id")?;
    let state: Option<String> = row.try_get("state")?;
    let Some((id, state)) = id.zip(state) else { return Ok(None) };
    let ailing: Option<String> = row.try_get("ailing")?;
    Ok(Some(Begun {
        id: parse("rollout_servers.operation_id", &id)?,
        state: parse("operations.state", &state)?,
        began_ms: row.try_get("created_ms")?,
        ended_ms: row.try_get("finished_ms")?,
        ailing: ailing.map(|roles| parse_json("rollout_servers.ailing", &roles)).transpose()?,
    }))
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

/// Keeps the operation that was begun for a server, and how well the server is now.
///
/// # Errors
/// The database fails.
pub async fn rollout_begin_in_tx(tx: &mut Tx, id: &RolloutId, server: &RolloutServer, operation: OperationId) -> Result<(), StoreError> {
    sqlx::query("UPDATE rollout_servers SET operation_id = $1, ailing = $2 WHERE rollout_id = $3 AND server_id = $4")
        .bind(operation.to_string())
        .bind(to_json("rollout_servers.ailing", &server.ailing)?)
        .bind(id.as_str())
        .bind(server.server.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Lets servers that failed begin again.
///
/// # Errors
/// The database fails.
pub async fn rollout_retry_in_tx(tx: &mut Tx, rollout: &Rollout) -> Result<(), StoreError> {
    for server in rollout.servers.iter().filter(|server| rollout.step(server) == RolloutStep::Failed) {
        sqlx::query("UPDATE rollout_servers SET operation_id = NULL WHERE rollout_id = $1 AND server_id = $2")
            .bind(rollout.id.as_str())
            .bind(server.server.to_string())
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

/// Has the servers that are to come, or failed, get these jobs, which are all of one version. Those that were begun keep theirs.
///
/// # Errors
/// The database fails.
pub async fn rollout_renew_in_tx(tx: &mut Tx, rollout: &Rollout, specs: &[(ServerId, WorkerSpec)]) -> Result<(), StoreError> {
    let is_to_come = |server: &&RolloutServer| match rollout.step(server) {
        RolloutStep::Waiting | RolloutStep::LeftOut | RolloutStep::Failed => true,
        RolloutStep::UnderWay | RolloutStep::Done | RolloutStep::Ailing => false,
    };
    let to_come: BTreeSet<ServerId> = rollout.servers.iter().filter(is_to_come).map(|server| server.server).collect();
    let mut version = &rollout.version;
    for (server, spec) in specs.iter().filter(|(server, _)| to_come.contains(server)) {
        version = &spec.version;
        sqlx::query("UPDATE rollout_servers SET spec = $1 WHERE rollout_id = $2 AND server_id = $3")
            .bind(to_json("rollout_servers.spec", spec)?)
            .bind(rollout.id.as_str())
            .bind(server.to_string())
            .execute(&mut **tx)
            .await?;
    }
    sqlx::query("UPDATE rollouts SET version = $1 WHERE id = $2")
        .bind(version.as_str())
        .bind(rollout.id.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
