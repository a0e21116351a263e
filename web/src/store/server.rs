//! Servers: what an admin entered, what the newest heartbeat said, and how a worker joins.

use shared::events::Heartbeat;
use shared::ids::ServerId;
use shared::names::{PhpVersion, ServerName};
use shared::role::Role;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::ended_server::ended_server_forget_in_tx;
use super::server_settings::ServerPlaces;
use super::{Db, StoreError, Tx, now_ms, parse, parse_json, to_json};

/// A server as stored.
#[derive(Debug, Clone)]
pub struct ServerRow {
    /// Its id.
    pub id: ServerId,
    /// Its name on the bus, and on pages unless it has a label.
    pub name: ServerName,
    /// Its FQDN.
    pub hostname: String,
    /// What it is for.
    pub roles: Vec<Role>,
    /// The stream that carries its jobs.
    pub stream: String,
    /// Placement stops at this number of accounts; `None` is no limit.
    pub max_accounts: Option<i64>,
    /// Takes new accounts.
    pub active: bool,
    /// Where its sites answer, an address people can use; empty: at its FQDN.
    pub address: String,
    /// What else an admin told.
    pub places: ServerPlaces,
    /// Where its worker's connection comes from; empty until it has connected.
    pub peer: String,
    /// The worker's public nkey (`U...`), once it has joined.
    pub public_key: Option<String>,
    /// The worker's public x25519 key (`X...`), once it has joined.
    pub seal_key: Option<String>,
    /// The worker's version.
    pub version: String,
    /// PHP versions the host reports.
    pub php_versions: Vec<PhpVersion>,
    /// The newest heartbeat.
    pub heartbeat: Option<Heartbeat>,
    /// Whether the worker is connected.
    pub online: bool,
    /// When it was last heard of.
    pub last_seen_ms: i64,
    /// Since when it is online or offline.
    pub changed_ms: i64,
    /// When it was added.
    pub created_ms: i64,
    /// Since when an admin has nothing new sent to it, if so.
    pub queue_paused_ms: Option<i64>,
    /// Since when an admin has shut its worker out, if none has joined since.
    pub shut_out_ms: Option<i64>,
}

impl ServerRow {
    /// Where its host finds the panel, which people find at `public_url`.
    #[must_use]
    pub fn panel_url<'a>(&'a self, public_url: &'a str) -> &'a str {
        if self.places.panel_url.is_empty() { public_url } else { &self.places.panel_url }
    }

    /// Where its sites and SFTP answer.
    #[must_use]
    pub fn site_address(&self) -> &str {
        if self.address.is_empty() { &self.hostname } else { &self.address }
    }

    /// The roles it has and whose daemons do not run, by its newest heartbeat. The role `web` is one of them too where the host
    /// says nothing of it: there is no nginx. Of the others nothing is said until their packages are installed.
    #[must_use]
    pub fn ailing(&self) -> Vec<Role> {
        self.heartbeat.as_ref().map_or_else(Vec::new, |heartbeat| ailing(&self.roles, heartbeat))
    }
}

/// As [`ServerRow::ailing`], of these roles.
pub(super) fn ailing(roles: &[Role], heartbeat: &Heartbeat) -> Vec<Role> {
    let ails = |role: &Role| match heartbeat.roles.iter().find(|health| health.role == *role) {
        Some(health) => !health.healthy,
        None => *role == Role::Web,
    };
    roles.iter().copied().filter(ails).collect()
}

macro_rules! server_columns {
    () => {
        "id, name, label, hostname, roles, stream, max_accounts, active, address, mail_hostname, bus_url, panel_url, phpmyadmin_path, \
         roundcube_path, panel_tls, mail_tls, peer, public_key, seal_key, version, php_versions, heartbeat, online, \
         last_seen_ms, changed_ms, created_ms, queue_paused_ms, shut_out_ms"
    };
}
pub(crate) use server_columns;

impl TryFrom<&AnyRow> for ServerRow {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        let heartbeat: String = row.try_get("heartbeat")?;
        Ok(Self {
            id: parse("servers.id", row.try_get("id")?)?,
            name: parse("servers.name", row.try_get("name")?)?,
            hostname: row.try_get("hostname")?,
            roles: parse_json("servers.roles", row.try_get("roles")?)?,
            stream: row.try_get("stream")?,
            max_accounts: row.try_get("max_accounts")?,
            active: row.try_get::<i32, _>("active")? != 0,
            address: row.try_get("address")?,
            places: ServerPlaces::try_from(row)?,
            peer: row.try_get("peer")?,
            public_key: row.try_get("public_key")?,
            seal_key: row.try_get("seal_key")?,
            version: row.try_get("version")?,
            php_versions: parse_json("servers.php_versions", row.try_get("php_versions")?)?,
            // A heartbeat of another release may not decode; it is replaced within ten seconds.
            heartbeat: serde_json::from_str(&heartbeat).ok(),
            online: row.try_get::<i32, _>("online")? != 0,
            last_seen_ms: row.try_get("last_seen_ms")?,
            changed_ms: row.try_get("changed_ms")?,
            created_ms: row.try_get("created_ms")?,
            queue_paused_ms: row.try_get("queue_paused_ms")?,
            shut_out_ms: row.try_get("shut_out_ms")?,
        })
    }
}

/// A server to be added.
#[derive(Debug, Clone)]
pub struct NewServer {
    /// Its name.
    pub name: ServerName,
    /// Its FQDN.
    pub hostname: String,
    /// What it is for.
    pub roles: Vec<Role>,
    /// Where its sites answer; empty: at its FQDN.
    pub address: String,
    /// Placement stops here.
    pub max_accounts: Option<i64>,
}

/// Adds a server.
///
/// # Errors
/// [`StoreError::Duplicate`] on `servers.name`, or the database fails.
pub async fn server_insert_in_tx(tx: &mut Tx, new: &NewServer) -> Result<ServerId, StoreError> {
    let id = ServerId::new();
    ended_server_forget_in_tx(tx, &new.name).await?;
    sqlx::query(
        "INSERT INTO servers (id, name, hostname, roles, stream, max_accounts, address, created_ms, changed_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
    )
    .bind(id.to_string())
    .bind(new.name.as_str())
    .bind(&new.hostname)
    .bind(to_json("servers.roles", &new.roles)?)
    .bind(shared::bus::topology::FIRST_COMMAND_STREAM)
    .bind(new.max_accounts)
    .bind(&new.address)
    .bind(now_ms())
    .execute(&mut **tx)
    .await?;
    Ok(id)
}

/// Keeps where a worker's connection comes from, by the worker's key.
///
/// # Errors
/// The database fails.
pub async fn server_set_peer(db: &Db, id: ServerId, peer: &str) -> Result<(), StoreError> {
    let mut tx = db.write().await?;
    sqlx::query("UPDATE servers SET peer = $1 WHERE id = $2").bind(peer).bind(id.to_string()).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

/// All servers by name.
///
/// # Errors
/// The database fails.
pub async fn server_list(db: &Db) -> Result<Vec<ServerRow>, StoreError> {
    let rows = sqlx::query(concat!("SELECT ", server_columns!(), " FROM servers ORDER BY name")).fetch_all(db.read()).await?;
    rows.iter().map(ServerRow::try_from).collect()
}

/// Who a server is on the bus.
#[derive(Debug, Clone)]
pub struct ServerKey {
    /// Its id.
    pub id: ServerId,
    /// Its name.
    pub name: ServerName,
    /// Its worker's key.
    pub public_key: String,
}

/// The servers that have joined, and no more of them than their keys.
///
/// # Errors
/// The database fails.
pub async fn server_key_list(db: &Db) -> Result<Vec<ServerKey>, StoreError> {
    let rows = sqlx::query("SELECT id, name, public_key FROM servers WHERE public_key IS NOT NULL").fetch_all(db.read()).await?;
    let key = |row: &AnyRow| {
        Ok(ServerKey {
            id: parse("servers.id", row.try_get("id")?)?,
            name: parse("servers.name", row.try_get("name")?)?,
            public_key: row.try_get("public_key")?,
        })
    };
    rows.iter().map(key).collect()
}

/// One server.
///
/// # Errors
/// The database fails.
pub async fn server_fetch(db: &Db, id: ServerId) -> Result<Option<ServerRow>, StoreError> {
    let row = sqlx::query(concat!("SELECT ", server_columns!(), " FROM servers WHERE id = $1"))
        .bind(id.to_string())
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(ServerRow::try_from).transpose()
}

/// A server's name, inside a transaction; empty if it is gone.
///
/// # Errors
/// The database fails.
pub async fn server_name_in_tx(tx: &mut Tx, id: ServerId) -> Result<String, StoreError> {
    let row = sqlx::query("SELECT name FROM servers WHERE id = $1").bind(id.to_string()).fetch_optional(&mut **tx).await?;
    Ok(row.map(|row| row.try_get("name")).transpose()?.unwrap_or_default())
}

/// One server by its name.
///
/// # Errors
/// The database fails.
pub async fn server_fetch_by_name(db: &Db, name: &ServerName) -> Result<Option<ServerRow>, StoreError> {
    let row = sqlx::query(concat!("SELECT ", server_columns!(), " FROM servers WHERE name = $1"))
        .bind(name.as_str())
        .fetch_optional(db.read())
        .await?;
    row.as_ref().map(ServerRow::try_from).transpose()
}

/// Of whom a heartbeat came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeardOf {
    /// A server that was online before.
    Online,
    /// A server that was offline before.
    Back,
    /// Nobody: the server was deleted. Nothing was kept.
    Nobody,
}

/// Keeps a heartbeat that came at a moment.
///
/// # Errors
/// The database fails.
pub async fn server_heartbeat_in_tx(tx: &mut Tx, id: ServerId, heartbeat: &Heartbeat, now: i64) -> Result<HeardOf, StoreError> {
    let back = sqlx::query("UPDATE servers SET online = 1, changed_ms = $1 WHERE id = $2 AND online = 0 AND public_key IS NOT NULL")
        .bind(now)
        .bind(id.to_string())
        .execute(&mut **tx)
        .await?;
    let kept = sqlx::query("UPDATE servers SET version = $1, php_versions = $2, heartbeat = $3, last_seen_ms = $4 WHERE id = $5")
        .bind(&heartbeat.version)
        .bind(to_json("servers.php_versions", &heartbeat.php_versions)?)
        .bind(to_json("servers.heartbeat", heartbeat)?)
        .bind(now)
        .bind(id.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(match (kept.rows_affected(), back.rows_affected()) {
        (0, _) => HeardOf::Nobody,
        (_, 0) => HeardOf::Online,
        (_, _) => HeardOf::Back,
    })
}

/// Marks a server offline at a moment by the database's clock. True if it was online.
///
/// # Errors
/// The database fails.
pub async fn server_mark_offline(db: &Db, id: ServerId, now: i64) -> Result<bool, StoreError> {
    let mut tx = db.write().await?;
    let done = sqlx::query("UPDATE servers SET online = 0, changed_ms = $1 WHERE id = $2 AND online = 1")
        .bind(now)
        .bind(id.to_string())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(done.rows_affected() == 1)
}

/// Online servers of which nothing was heard for so long, or last in the future: the clock was set back since then.
///
/// # Errors
/// The database fails.
pub async fn server_list_silent(db: &Db, now_ms: i64, silence_ms: i64) -> Result<Vec<ServerId>, StoreError> {
    let rows = sqlx::query("SELECT id FROM servers WHERE online = 1 AND (last_seen_ms < $1 OR last_seen_ms > $2)")
        .bind(now_ms - silence_ms)
        .bind(now_ms + silence_ms)
        .fetch_all(db.read())
        .await?;
    rows.iter().map(|row| parse("servers.id", row.try_get("id")?)).collect()
}
