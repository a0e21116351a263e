//! What is on a server other than it was applied.

use std::fmt;
use std::str::FromStr;

use shared::difference::Difference;
use shared::events::{DriftFinding, SetAside};
use shared::ids::{AccountId, ServerId, UserId};
use shared::jobs::{Generation, ResourceKey};
use shared::names::{DomainName, LinuxUser, PhpVersion, ServerName};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Db, StoreError, Tx, parse, parse_json, to_json};

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

/// One drifted resource.
#[derive(Debug, Clone)]
pub struct DriftRow {
    /// The resource.
    pub resource: ResourceKey,
    /// Its server.
    pub server_id: ServerId,
    /// That server's name.
    pub server_name: ServerName,
    /// Its account.
    pub account_id: AccountId,
    /// The account's Linux user.
    pub linux_user: LinuxUser,
    /// The account's owner.
    pub owner_id: UserId,
    /// A site's domain.
    pub domain: Option<DomainName>,
    /// A pool's PHP version.
    pub php: Option<PhpVersion>,
    /// The applied generation it was compared with.
    pub generation: Generation,
    /// Whether nothing newer is wanted of it: then it can be repaired.
    pub settled: bool,
    /// How it differs.
    pub differences: Vec<Difference>,
    /// Since when, by the server's clock.
    pub since_ms: i64,
}

impl TryFrom<&AnyRow> for DriftRow {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        let (domain, php): (Option<String>, Option<String>) = (row.try_get("domain")?, row.try_get("version")?);
        Ok(Self {
            resource: parse("drifts.resource", row.try_get("resource")?)?,
            server_id: parse("drifts.server_id", row.try_get("server_id")?)?,
            server_name: parse("servers.name", row.try_get("server_name")?)?,
            account_id: parse("drifts.account_id", row.try_get("account_id")?)?,
            linux_user: parse("accounts.linux_user", row.try_get("linux_user")?)?,
            owner_id: parse("accounts.owner_id", row.try_get("owner_id")?)?,
            domain: domain.map(|domain| parse("sites.domain", &domain)).transpose()?,
            php: php.map(|php| parse("php_pools.version", &php)).transpose()?,
            generation: Generation(row.try_get("generation")?),
            settled: row.try_get::<i64, _>("wanted")? == row.try_get::<i64, _>("applied")?,
            differences: parse_json("drifts.differences", row.try_get("differences")?)?,
            since_ms: row.try_get("since_ms")?,
        })
    }
}

/// Of what drift is listed.
#[derive(Debug, Clone, Copy, Default)]
pub struct DriftFilter {
    /// Of this server only.
    pub server: Option<ServerId>,
    /// Of this account and what it holds only.
    pub account: Option<AccountId>,
    /// Of this resource only.
    pub resource: Option<ResourceKey>,
}

/// Drifted resources, those that drifted first first; at most so many.
///
/// # Errors
/// The database fails.
pub async fn drift_list(db: &Db, filter: DriftFilter, most: i64) -> Result<Vec<DriftRow>, StoreError> {
    // An id is what follows the kind in a key: `site:`, `php_pool:`.
    let rows = sqlx::query(
        "SELECT d.resource, d.server_id, v.name AS server_name, d.account_id, a.linux_user, a.owner_id, s.domain, t.version, d.generation, \
         COALESCE(s.wanted_generation, t.wanted_generation, a.wanted_generation) AS wanted, \
         COALESCE(s.applied_generation, t.applied_generation, a.applied_generation) AS applied, d.differences, d.since_ms \
         FROM drifts d JOIN servers v ON v.id = d.server_id JOIN accounts a ON a.id = d.account_id \
         LEFT JOIN sites s ON s.id = SUBSTR(d.resource, 6) LEFT JOIN php_pools t ON t.id = SUBSTR(d.resource, 10) \
         WHERE ($1 = '' OR d.server_id = $1) AND ($2 = '' OR d.account_id = $2) AND ($3 = '' OR d.resource = $3) \
         ORDER BY d.since_ms, d.resource LIMIT $4",
    )
    .bind(filter.server.map(|id| id.to_string()).unwrap_or_default())
    .bind(filter.account.map(|id| id.to_string()).unwrap_or_default())
    .bind(filter.resource.map(|key| key.to_string()).unwrap_or_default())
    .bind(most)
    .fetch_all(db.read())
    .await?;
    rows.iter().map(DriftRow::try_from).collect()
}

/// How many resources of a server have drifted, of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DriftCount {
    /// Drifted ones.
    pub drifted: i64,
    /// Accounts, pools and sites that were ever applied.
    pub resources: i64,
}

/// How much of a server has drifted.
///
/// # Errors
/// The database fails.
pub async fn drift_count(db: &Db, server: ServerId) -> Result<DriftCount, StoreError> {
    let row = sqlx::query(
        "SELECT (SELECT COUNT(*) FROM drifts WHERE server_id = $1) AS drifted, \
         (SELECT COUNT(*) FROM accounts a JOIN account_servers p ON p.account_id = a.id AND p.role = 'web' \
          WHERE p.server_id = $1 AND a.applied_generation > 0) AS accounts, \
         (SELECT COUNT(*) FROM php_pools t JOIN account_servers p ON p.account_id = t.account_id AND p.role = 'web' \
          WHERE p.server_id = $1 AND t.applied_generation > 0) AS pools, \
         (SELECT COUNT(*) FROM sites s JOIN account_servers p ON p.account_id = s.account_id AND p.role = 'web' \
          WHERE p.server_id = $1 AND s.applied_generation > 0) AS sites",
    )
    .bind(server.to_string())
    .fetch_one(db.read())
    .await?;
    let number = |column: &str| row.try_get::<i64, _>(column);
    Ok(DriftCount { drifted: number("drifted")?, resources: number("accounts")? + number("pools")? + number("sites")? })
}

/// Keeps what a worker found of a resource; forgets it if it is as applied. The account, if the resource is one of the server's.
/// What was found of a state that has been replaced since is no news.
///
/// # Errors
/// The database fails.
pub async fn drift_apply_in_tx(tx: &mut Tx, server: ServerId, finding: &DriftFinding) -> Result<Option<AccountId>, StoreError> {
    let (sql, id) = match finding.resource {
        ResourceKey::Account(id) => (
            "SELECT a.id AS account_id, a.applied_generation FROM accounts a \
             JOIN account_servers p ON p.account_id = a.id AND p.role = 'web' WHERE a.id = $1 AND p.server_id = $2",
            id.to_string(),
        ),
        ResourceKey::PhpPool(id) => (
            "SELECT t.account_id, t.applied_generation FROM php_pools t \
             JOIN account_servers p ON p.account_id = t.account_id AND p.role = 'web' WHERE t.id = $1 AND p.server_id = $2",
            id.to_string(),
        ),
        ResourceKey::Site(id) => (
            "SELECT s.account_id, s.applied_generation FROM sites s \
             JOIN account_servers p ON p.account_id = s.account_id AND p.role = 'web' WHERE s.id = $1 AND p.server_id = $2",
            id.to_string(),
        ),
        // The worker is not compared with what was applied of it.
        ResourceKey::Worker(_) => return Ok(None),
    };
    let Some(row) = sqlx::query(sql).bind(id).bind(server.to_string()).fetch_optional(&mut **tx).await? else { return Ok(None) };
    let account: AccountId = parse("account_id", row.try_get("account_id")?)?;
    if finding.differences.is_empty() {
        sqlx::query("DELETE FROM drifts WHERE resource = $1").bind(finding.resource.to_string()).execute(&mut **tx).await?;
    } else if finding.generation.0 >= row.try_get::<i64, _>("applied_generation")? {
        sqlx::query(
            "INSERT INTO drifts (resource, server_id, account_id, generation, differences, since_ms) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (resource) DO UPDATE SET server_id = excluded.server_id, generation = excluded.generation, \
             differences = excluded.differences, since_ms = excluded.since_ms",
        )
        .bind(finding.resource.to_string())
        .bind(server.to_string())
        .bind(account.to_string())
        .bind(finding.generation.0)
        .bind(to_json("drifts.differences", &finding.differences)?)
        .bind(finding.since_ms)
        .execute(&mut **tx)
        .await?;
    }
    Ok(Some(account))
}

/// A state was applied: what was found of an older one is mended.
///
/// # Errors
/// The database fails.
pub(super) async fn drift_clear_in_tx(tx: &mut Tx, resource: ResourceKey, generation: Generation) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM drifts WHERE resource = $1 AND generation < $2")
        .bind(resource.to_string())
        .bind(generation.0)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Forgets all that was found of a server.
///
/// # Errors
/// The database fails.
pub async fn drift_forget_in_tx(tx: &mut Tx, server: ServerId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM drifts WHERE server_id = $1").bind(server.to_string()).execute(&mut **tx).await?;
    Ok(())
}

/// What becomes of drift on a server.
///
/// # Errors
/// The database fails.
pub async fn drift_policy(db: &Db, server: ServerId) -> Result<DriftPolicy, StoreError> {
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

/// How often a resource was repaired by itself since a moment.
///
/// # Errors
/// The database fails.
pub async fn drift_repairs_since(db: &Db, resource: ResourceKey, by: UserId, since_ms: i64) -> Result<i64, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS n FROM operations WHERE resource = $1 AND asked_by = $2 AND created_ms >= $3")
        .bind(resource.to_string())
        .bind(by.to_string())
        .bind(since_ms)
        .fetch_one(db.read())
        .await?;
    Ok(row.try_get("n")?)
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

/// A server's include files that are set aside.
///
/// # Errors
/// The database fails.
pub async fn set_aside_list(db: &Db, server: ServerId) -> Result<Vec<SetAside>, StoreError> {
    let rows = sqlx::query("SELECT path, said, at_ms FROM set_aside WHERE server_id = $1 ORDER BY path")
        .bind(server.to_string())
        .fetch_all(db.read())
        .await?;
    rows.iter().map(|row| Ok(SetAside { path: row.try_get("path")?, said: row.try_get("said")?, at_ms: row.try_get("at_ms")? })).collect()
}
