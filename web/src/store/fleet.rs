//! The fleet in figures: how many servers answer, and what the fleet gets done. Cheap with a thousand servers: no row is read whole
//! that is not shown.

use shared::names::ServerName;
use sqlx::Row;

use super::server::{ServerRow, server_columns};
use super::{Db, StoreError, parse};

/// How many servers there are of each sort.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FleetHealth {
    /// All.
    pub servers: i64,
    /// They answer.
    pub online: i64,
    /// Their worker has never called.
    pub waiting: i64,
    /// They answer, and a role's daemons do not run.
    pub unhealthy: i64,
    /// Nothing new is sent to them.
    pub paused: i64,
}

/// How a heartbeat is stored in which a role is not healthy.
macro_rules! unhealthy {
    () => {
        "heartbeat LIKE '%\"healthy\":false%'"
    };
}

/// The fleet's health.
///
/// # Errors
/// The database fails.
pub async fn fleet_health(db: &Db) -> Result<FleetHealth, StoreError> {
    let row = sqlx::query(concat!(
        "SELECT COUNT(*) AS servers, CAST(COALESCE(SUM(CASE WHEN online = 1 THEN 1 ELSE 0 END), 0) AS BIGINT) AS online, \
         CAST(COALESCE(SUM(CASE WHEN online = 0 AND last_seen_ms = 0 THEN 1 ELSE 0 END), 0) AS BIGINT) AS waiting, \
         CAST(COALESCE(SUM(CASE WHEN online = 1 AND ",
        unhealthy!(),
        " THEN 1 ELSE 0 END), 0) AS BIGINT) AS unhealthy, \
         CAST(COALESCE(SUM(CASE WHEN queue_paused_ms IS NOT NULL THEN 1 ELSE 0 END), 0) AS BIGINT) AS paused FROM servers"
    ))
    .fetch_one(db.read())
    .await?;
    Ok(FleetHealth {
        servers: row.try_get("servers")?,
        online: row.try_get("online")?,
        waiting: row.try_get("waiting")?,
        unhealthy: row.try_get("unhealthy")?,
        paused: row.try_get("paused")?,
    })
}

/// A few servers, those in trouble first: offline, not healthy, paused, not joined, the others by name.
///
/// # Errors
/// The database fails.
pub async fn fleet_list_troubled(db: &Db, most: i64) -> Result<Vec<ServerRow>, StoreError> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        server_columns!(),
        " FROM servers ORDER BY CASE WHEN online = 0 AND last_seen_ms > 0 THEN 0 WHEN online = 1 AND ",
        unhealthy!(),
        " THEN 1 WHEN queue_paused_ms IS NOT NULL THEN 2 WHEN online = 0 THEN 3 ELSE 4 END, name LIMIT $1"
    ))
    .bind(most)
    .fetch_all(db.read())
    .await?;
    rows.iter().map(ServerRow::try_from).collect()
}

/// The names of all servers, in their order: to choose among.
///
/// # Errors
/// The database fails.
pub async fn fleet_names(db: &Db) -> Result<Vec<ServerName>, StoreError> {
    let rows = sqlx::query("SELECT name FROM servers ORDER BY name").fetch_all(db.read()).await?;
    rows.iter().map(|row| parse("servers.name", row.try_get("name")?)).collect()
}

/// Which version each server's worker has, and whether it is connected.
///
/// # Errors
/// The database fails.
pub async fn fleet_versions(db: &Db) -> Result<Vec<(String, bool)>, StoreError> {
    let rows = sqlx::query("SELECT version, online FROM servers").fetch_all(db.read()).await?;
    rows.iter().map(|row| Ok((row.try_get("version")?, row.try_get::<i64, _>("online")? != 0))).collect()
}

/// How many operations ended in each minute since a moment: the minute since 1970, and how many.
///
/// # Errors
/// The database fails.
pub async fn operations_by_minute(db: &Db, since_ms: i64) -> Result<Vec<(i64, i64)>, StoreError> {
    let rows = sqlx::query(
        "SELECT finished_ms / 60000 AS ended_minute, COUNT(*) AS n FROM operations WHERE finished_ms >= $1 GROUP BY finished_ms / 60000",
    )
    .bind(since_ms)
    .fetch_all(db.read())
    .await?;
    rows.iter().map(|row| Ok((row.try_get("ended_minute")?, row.try_get("n")?))).collect()
}
