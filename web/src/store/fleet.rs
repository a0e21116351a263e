//! The fleet in figures: how many servers answer, and what the fleet gets done. Cheap with a thousand servers: no row is read whole
//! that is not shown.

use std::collections::{BTreeSet, HashSet};

use shared::ids::ServerId;
use shared::names::{PhpVersion, ServerName};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::list::contains;
use super::server::{ServerRow, server_columns};
use super::{Db, StoreError, parse, parse_json};

/// How many servers there are of each sort.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FleetHealth {
    /// All.
    pub servers: i64,
    /// They answer.
    pub online: i64,
    /// Their worker has never called.
    pub waiting: i64,
    /// They answer, and the daemons of a role that they have do not run.
    pub unhealthy: i64,
    /// Nothing new is sent to them.
    pub paused: i64,
}

/// One role of a server, and how a heartbeat is stored in which it is not healthy. A summary cannot look like that: quotes in
/// it are stored as `\"`.
macro_rules! ill {
    ($role:literal) => {
        concat!("(roles LIKE '%\"", $role, "\"%' AND heartbeat LIKE '%\"role\":\"", $role, "\",\"healthy\":false%')")
    };
}

/// The same as [`ServerRow::ailing`], of a server that is online.
macro_rules! unhealthy {
    () => {
        concat!(
            "(online = 1 AND (",
            ill!("web"),
            " OR ",
            ill!("db"),
            " OR ",
            ill!("dns"),
            " OR ",
            ill!("mail"),
            " OR ",
            ill!("backup"),
            " OR (roles LIKE '%\"web\"%' AND heartbeat <> '' AND heartbeat NOT LIKE '%\"role\":\"web\"%')))"
        )
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
         CAST(COALESCE(SUM(CASE WHEN ",
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
        " FROM servers ORDER BY CASE WHEN online = 0 AND last_seen_ms > 0 THEN 0 WHEN ",
        unhealthy!(),
        " THEN 1 WHEN queue_paused_ms IS NOT NULL THEN 2 WHEN online = 0 THEN 3 ELSE 4 END, name LIMIT $1"
    ))
    .bind(most)
    .fetch_all(db.read())
    .await?;
    rows.iter().map(ServerRow::try_from).collect()
}

/// The servers that answer and of which a role's daemons do not run.
///
/// # Errors
/// The database fails.
pub async fn fleet_unhealthy(db: &Db) -> Result<HashSet<ServerId>, StoreError> {
    let rows = sqlx::query(concat!("SELECT id FROM servers WHERE ", unhealthy!())).fetch_all(db.read()).await?;
    rows.iter().map(|row| parse("servers.id", row.try_get("id")?)).collect()
}

/// Each version of PHP that some server has.
///
/// # Errors
/// The database fails.
pub async fn fleet_php_versions(db: &Db) -> Result<BTreeSet<PhpVersion>, StoreError> {
    let rows = sqlx::query("SELECT DISTINCT php_versions FROM servers").fetch_all(db.read()).await?;
    let mut all = BTreeSet::new();
    for row in &rows {
        all.extend(parse_json::<Vec<PhpVersion>>("servers.php_versions", row.try_get("php_versions")?)?);
    }
    Ok(all)
}

/// The names of all servers in their order, each with its label or nothing: to choose among.
///
/// # Errors
/// The database fails.
pub async fn fleet_names(db: &Db) -> Result<Vec<(ServerName, String)>, StoreError> {
    let rows = sqlx::query("SELECT name, label FROM servers ORDER BY name").fetch_all(db.read()).await?;
    rows.iter().map(|row| Ok((parse("servers.name", row.try_get("name")?)?, row.try_get("label")?))).collect()
}

/// A server that was searched for.
#[derive(Debug, Clone)]
pub struct CalledServer {
    /// Its id.
    pub id: ServerId,
    /// Its name.
    pub name: ServerName,
    /// What people call it; empty: by its name.
    pub label: String,
    /// Its FQDN.
    pub hostname: String,
}

/// A few servers whose name, label or hostname holds a text, by name.
///
/// # Errors
/// The database fails.
pub async fn fleet_list_called(db: &Db, text: &str, most: i64) -> Result<Vec<CalledServer>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, name, label, hostname FROM servers WHERE $1 = '' OR LOWER(name) LIKE $1 ESCAPE '\\' \
         OR LOWER(label) LIKE $1 ESCAPE '\\' OR LOWER(hostname) LIKE $1 ESCAPE '\\' ORDER BY name LIMIT $2",
    )
    .bind(contains(text))
    .bind(most)
    .fetch_all(db.read())
    .await?;
    let called = |row: &AnyRow| {
        Ok(CalledServer {
            id: parse("servers.id", row.try_get("id")?)?,
            name: parse("servers.name", row.try_get("name")?)?,
            label: row.try_get("label")?,
            hostname: row.try_get("hostname")?,
        })
    };
    rows.iter().map(called).collect()
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
