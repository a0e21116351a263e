//! Servers in outline: what a list of them is searched, narrowed and sorted by. Only those that are shown are read whole, with
//! their heartbeats.

use std::collections::HashMap;

use shared::ids::ServerId;
use shared::names::ServerName;
use shared::role::Role;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::list::placeholders;
use super::server::{ServerRow, server_columns};
use super::{Db, StoreError, parse, parse_json};

/// A server without what its host says.
#[derive(Debug, Clone)]
pub struct ServerOutline {
    /// Its id.
    pub id: ServerId,
    /// Its name.
    pub name: ServerName,
    /// What people call it; empty: by its name.
    pub label: String,
    /// Its FQDN.
    pub hostname: String,
    /// What it is for.
    pub roles: Vec<Role>,
    /// The worker's version; empty before it has called.
    pub version: String,
    /// Takes new accounts.
    pub active: bool,
    /// Whether the worker is connected.
    pub online: bool,
    /// Whether it was ever heard of.
    pub heard: bool,
    /// Whether its worker was shut out, and none has joined since.
    pub shut_out: bool,
    /// Whether nothing new is sent to it.
    pub paused: bool,
}

impl ServerOutline {
    /// Whether its name, its label or its hostname holds a text, which is in small letters.
    #[must_use]
    pub fn is_called(&self, needle: &str) -> bool {
        [self.name.as_str(), &self.label, &self.hostname].iter().any(|text| text.to_lowercase().contains(needle))
    }
}

/// All servers by name.
///
/// # Errors
/// The database fails.
pub async fn server_outlines(db: &Db) -> Result<Vec<ServerOutline>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, name, label, hostname, roles, version, active, online, last_seen_ms, shut_out_ms, queue_paused_ms \
         FROM servers ORDER BY name",
    )
    .fetch_all(db.read())
    .await?;
    let outline = |row: &AnyRow| {
        Ok(ServerOutline {
            id: parse("servers.id", row.try_get("id")?)?,
            name: parse("servers.name", row.try_get("name")?)?,
            label: row.try_get("label")?,
            hostname: row.try_get("hostname")?,
            roles: parse_json("servers.roles", row.try_get("roles")?)?,
            version: row.try_get("version")?,
            active: row.try_get::<i32, _>("active")? != 0,
            online: row.try_get::<i32, _>("online")? != 0,
            heard: row.try_get::<i64, _>("last_seen_ms")? > 0,
            shut_out: row.try_get::<Option<i64>, _>("shut_out_ms")?.is_some(),
            paused: row.try_get::<Option<i64>, _>("queue_paused_ms")?.is_some(),
        })
    };
    rows.iter().map(outline).collect()
}

/// How many accounts each server has; those that have none are not among them.
///
/// # Errors
/// The database fails.
pub async fn accounts_of_servers(db: &Db) -> Result<HashMap<ServerId, i64>, StoreError> {
    let rows = sqlx::query("SELECT server_id, COUNT(DISTINCT account_id) AS accounts FROM account_servers GROUP BY server_id")
        .fetch_all(db.read())
        .await?;
    rows.iter().map(|row| Ok((parse("account_servers.server_id", row.try_get("server_id")?)?, row.try_get("accounts")?))).collect()
}

/// These servers, in the order in which they are given. Those that are gone are left out.
///
/// # Errors
/// The database fails.
pub async fn server_list_of(db: &Db, ids: &[ServerId]) -> Result<Vec<ServerRow>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let these = placeholders(1, ids.len());
    let mut query = sqlx::query(AssertSqlSafe(format!(concat!("SELECT ", server_columns!(), " FROM servers WHERE id IN ({})"), these)));
    for id in ids {
        query = query.bind(id.to_string());
    }
    let rows = query.fetch_all(db.read()).await?;
    let mut rows: Vec<ServerRow> = rows.iter().map(ServerRow::try_from).collect::<Result<_, _>>()?;
    rows.sort_by_key(|server| ids.iter().position(|id| *id == server.id));
    Ok(rows)
}
