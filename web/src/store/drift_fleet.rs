//! Drift of the whole fleet: which servers have something, what is done about it on each, and include files that were set aside.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use shared::events::{Heartbeat, Look, SetAside};
use shared::ids::{ServerId, UserId};
use shared::names::ServerName;
use sqlx::{AssertSqlSafe, Row};

use super::drift::{DriftCount, REPAIRS, REPAIRS_WITHIN_MS, bind_given_up, given_up, resources_of};
use super::list::{Page, Paging, contains, placeholders};
use super::{Db, StoreError, Tx, now_ms, parse};

/// What becomes of drift on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DriftPolicy {
    /// It is shown.
    #[default]
    Report,
    /// It is repaired by itself, a little of it at a time.
    Repair,
}

impl DriftPolicy {
    /// The stored spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Repair => "repair",
        }
    }
}

impl fmt::Display for DriftPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no policy.
#[derive(Debug, thiserror::Error)]
#[error("not a policy on drift")]
pub struct UnknownPolicy;

impl FromStr for DriftPolicy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Report, Self::Repair].into_iter().find(|policy| policy.as_str() == text).ok_or(UnknownPolicy)
    }
}

/// A server with what there is to say of its drift.
#[derive(Debug, Clone)]
pub struct DriftServer {
    /// The server.
    pub id: ServerId,
    /// Its name.
    pub name: ServerName,
    /// When it was last compared.
    pub look: Option<Look>,
    /// What becomes of its drift.
    pub policy: DriftPolicy,
    /// How much has drifted. Of how many resources is counted only where some have.
    pub count: DriftCount,
}

/// Servers that have joined: those first that have drifted or have files set aside.
///
/// # Errors
/// The database fails.
pub async fn drift_server_list(db: &Db, search: &str, paging: Paging) -> Result<Page<DriftServer>, StoreError> {
    let list = concat!(
        "SELECT v.id, v.name, v.heartbeat, COALESCE(p.policy, 'report') AS policy, v.drifted, \
         (SELECT CAST(COALESCE(SUM(",
        given_up!(),
        "), 0) AS BIGINT) FROM drifts d WHERE d.server_id = v.id) AS given_up, CASE WHEN v.drifted > 0 THEN ",
        resources_of!("v.id"),
        " ELSE 0 END AS resources FROM (SELECT s.id, s.name, s.heartbeat, COALESCE(d.n, 0) AS drifted, \
         CASE WHEN d.n IS NULL AND f.n IS NULL THEN 1 ELSE 0 END AS calm FROM servers s \
         LEFT JOIN (SELECT server_id, COUNT(*) AS n FROM drifts GROUP BY server_id) d ON d.server_id = s.id \
         LEFT JOIN (SELECT server_id, COUNT(*) AS n FROM set_aside GROUP BY server_id) f ON f.server_id = s.id \
         WHERE s.public_key IS NOT NULL AND ($4 = '' OR LOWER(s.name) LIKE $4 ESCAPE '\\') ORDER BY calm, s.name LIMIT $5 OFFSET $6) v \
         LEFT JOIN drift_policies p ON p.server_id = v.id ORDER BY v.calm, v.name"
    );
    let search = contains(search);
    let rows = bind_given_up!(sqlx::query(list)).bind(&search).bind(paging.limit).bind(paging.offset).fetch_all(db.read()).await?;
    let total =
        sqlx::query("SELECT COUNT(*) AS n FROM servers WHERE public_key IS NOT NULL AND ($1 = '' OR LOWER(name) LIKE $1 ESCAPE '\\')")
            .bind(&search)
            .fetch_one(db.read())
            .await?;
    let server = |row: &sqlx::any::AnyRow| {
        // A heartbeat of another release may not decode; it is replaced within ten seconds.
        let heartbeat: Option<Heartbeat> = serde_json::from_str(row.try_get("heartbeat")?).ok();
        Ok(DriftServer {
            id: parse("servers.id", row.try_get("id")?)?,
            name: parse("servers.name", row.try_get("name")?)?,
            look: heartbeat.and_then(|heartbeat| heartbeat.look),
            policy: parse("drift_policies.policy", row.try_get("policy")?)?,
            count: DriftCount::try_from(row)?,
        })
    };
    Ok(Page { rows: rows.iter().map(server).collect::<Result<_, StoreError>>()?, total: total.try_get("n")? })
}

/// On how many servers something has drifted or is set aside.
///
/// # Errors
/// The database fails.
pub async fn drift_server_count(db: &Db) -> Result<i64, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS n FROM (SELECT server_id FROM drifts UNION SELECT server_id FROM set_aside) AS troubled")
        .fetch_one(db.read())
        .await?;
    Ok(row.try_get("n")?)
}

/// Servers that are online, have drifted, and are repaired by themselves.
///
/// # Errors
/// The database fails.
pub async fn drift_servers_to_repair(db: &Db) -> Result<Vec<ServerId>, StoreError> {
    let rows = sqlx::query(
        "SELECT v.id FROM servers v JOIN drift_policies p ON p.server_id = v.id WHERE p.policy = $1 AND v.online = 1 \
         AND EXISTS (SELECT 1 FROM drifts d WHERE d.server_id = v.id) ORDER BY v.id",
    )
    .bind(DriftPolicy::Repair.as_str())
    .fetch_all(db.read())
    .await?;
    rows.iter().map(|row| parse("servers.id", row.try_get("id")?)).collect()
}

/// What becomes of drift on a server.
///
/// # Errors
/// The database fails.
pub async fn drift_policy_fetch(db: &Db, server: ServerId) -> Result<DriftPolicy, StoreError> {
    let row =
        sqlx::query("SELECT policy FROM drift_policies WHERE server_id = $1").bind(server.to_string()).fetch_optional(db.read()).await?;
    row.map_or(Ok(DriftPolicy::default()), |row| parse("drift_policies.policy", row.try_get("policy")?))
}

/// Sets what becomes of drift on a server.
///
/// # Errors
/// The database fails.
pub async fn drift_policy_set_in_tx(tx: &mut Tx, server: ServerId, policy: DriftPolicy) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO drift_policies (server_id, policy) VALUES ($1, $2) ON CONFLICT (server_id) DO UPDATE SET policy = excluded.policy",
    )
    .bind(server.to_string())
    .bind(policy.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Replaces the list of a server's include files that are set aside.
///
/// # Errors
/// The database fails.
pub async fn set_aside_replace_in_tx(tx: &mut Tx, server: ServerId, files: &[SetAside]) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM set_aside WHERE server_id = $1").bind(server.to_string()).execute(&mut **tx).await?;
    for file in files {
        sqlx::query(
            "INSERT INTO set_aside (server_id, path, said, at_ms) VALUES ($1, $2, $3, $4) ON CONFLICT (server_id, path) DO NOTHING",
        )
        .bind(server.to_string())
        .bind(&file.path)
        .bind(&file.said)
        .bind(file.at_ms)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// Include files of servers that are set aside.
///
/// # Errors
/// The database fails.
pub async fn set_aside_list(db: &Db, servers: &[ServerId]) -> Result<HashMap<ServerId, Vec<SetAside>>, StoreError> {
    let mut found: HashMap<ServerId, Vec<SetAside>> = HashMap::new();
    if servers.is_empty() {
        return Ok(found);
    }
    let servers_in = placeholders(1, servers.len());
    let mut query = sqlx::query(AssertSqlSafe(format!(
        "SELECT server_id, path, said, at_ms FROM set_aside WHERE server_id IN ({servers_in}) ORDER BY path"
    )));
    for server in servers {
        query = query.bind(server.to_string());
    }
    for row in query.fetch_all(db.read()).await? {
        let file = SetAside { path: row.try_get("path")?, said: row.try_get("said")?, at_ms: row.try_get("at_ms")? };
        found.entry(parse("set_aside.server_id", row.try_get("server_id")?)?).or_default().push(file);
    }
    Ok(found)
}
