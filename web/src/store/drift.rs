//! What is on a server other than it was applied.

use shared::difference::Difference;
use shared::events::DriftFinding;
use shared::ids::{AccountId, ServerId, UserId};
use shared::jobs::{Generation, ResourceKey};
use shared::names::{DomainName, LinuxUser, PhpVersion, ServerName};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::list::{Page, Paging, contains, placeholders};
use super::{Db, StoreError, Tx, now_ms, parse, parse_json, to_json};

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
    /// Whether Gantry has repaired it so often within the hour that something else must be changing it, which a person has to find.
    pub given_up: bool,
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
            given_up: row.try_get::<i64, _>("given_up")? != 0,
        })
    }
}

/// So many repairs within the time are enough.
pub(super) const REPAIRS: i64 = 3;
pub(super) const REPAIRS_WITHIN_MS: i64 = 3600 * 1000;

/// Whether the row `d` of `drifts` is given up on: `$1` is Gantry itself, `$2` since when it counts, `$3` how often is enough.
macro_rules! given_up {
    () => {
        "CASE WHEN (SELECT COUNT(*) FROM operations o WHERE o.resource = d.resource AND o.asked_by = $1 AND o.created_ms >= $2) >= $3 \
         THEN 1 ELSE 0 END"
    };
}

/// An id is what follows the kind in a key: `site:`, `php_pool:`.
macro_rules! drift_select {
    () => {
        concat!(
            "SELECT d.resource, d.server_id, v.name AS server_name, d.account_id, a.linux_user, a.owner_id, s.domain, t.version, d.generation, \
             COALESCE(s.wanted_generation, t.wanted_generation, a.wanted_generation) AS wanted, \
             COALESCE(s.applied_generation, t.applied_generation, a.applied_generation) AS applied, d.differences, d.since_ms, ",
            given_up!(),
            " AS given_up FROM drifts d JOIN servers v ON v.id = d.server_id JOIN accounts a ON a.id = d.account_id \
             LEFT JOIN sites s ON s.id = SUBSTR(d.resource, 6) LEFT JOIN php_pools t ON t.id = SUBSTR(d.resource, 10) "
        )
    };
}

/// Accounts, pools and sites of a server that were ever applied.
macro_rules! resources_of {
    ($server:literal) => {
        concat!(
            "((SELECT COUNT(*) FROM accounts a JOIN account_servers p ON p.account_id = a.id AND p.role = 'web' \
             WHERE p.server_id = ",
            $server,
            " AND a.applied_generation > 0) + (SELECT COUNT(*) FROM php_pools t JOIN account_servers p ON p.account_id = t.account_id \
             AND p.role = 'web' WHERE p.server_id = ",
            $server,
            " AND t.applied_generation > 0) + (SELECT COUNT(*) FROM sites s JOIN account_servers p ON p.account_id = s.account_id \
             AND p.role = 'web' WHERE p.server_id = ",
            $server,
            " AND s.applied_generation > 0))"
        )
    };
}
/// Binds what [`given_up`] asks for.
macro_rules! bind_given_up {
    ($query:expr) => {
        $query.bind(UserId::GANTRY.to_string()).bind(now_ms() - REPAIRS_WITHIN_MS).bind(REPAIRS)
    };
}

pub(super) use {bind_given_up, given_up, resources_of};

/// The drifted rows that can be read. One that cannot holds up no other.
fn readable(rows: &[AnyRow]) -> Vec<DriftRow> {
    let read = |row: &AnyRow| {
        let resource: String = row.try_get("resource").unwrap_or_default();
        let lost =
            |error: &StoreError| tracing::error!(resource, error = error as &dyn std::error::Error, "drift cannot be read and is left out");
        DriftRow::try_from(row).inspect_err(lost).ok()
    };
    rows.iter().filter_map(read).collect()
}

/// What has drifted of one resource, if it has.
///
/// # Errors
/// The database fails.
pub async fn drift_fetch(db: &Db, resource: ResourceKey) -> Result<Option<DriftRow>, StoreError> {
    let rows = bind_given_up!(sqlx::query(concat!(drift_select!(), "WHERE d.resource = $4")))
        .bind(resource.to_string())
        .fetch_all(db.read())
        .await?;
    Ok(readable(&rows).pop())
}

/// What has drifted of an account itself and of its PHP, the account first.
///
/// # Errors
/// The database fails.
pub async fn drift_list_of_account(db: &Db, account: AccountId) -> Result<Vec<DriftRow>, StoreError> {
    let own = concat!(drift_select!(), "WHERE d.account_id = $4 AND d.resource NOT LIKE 'site:%' ORDER BY d.resource");
    let rows = bind_given_up!(sqlx::query(own)).bind(account.to_string()).fetch_all(db.read()).await?;
    Ok(readable(&rows))
}

/// Which of an account's resources have drifted.
///
/// # Errors
/// The database fails.
pub async fn drift_keys_of_account(db: &Db, account: AccountId) -> Result<Vec<ResourceKey>, StoreError> {
    let rows = sqlx::query("SELECT resource FROM drifts WHERE account_id = $1").bind(account.to_string()).fetch_all(db.read()).await?;
    let keys = rows.iter().map(|row| row.try_get::<String, _>("resource")).collect::<Result<Vec<_>, _>>()?;
    // What this release does not know, it does not preview either.
    Ok(keys.iter().filter_map(|key| key.parse().ok()).collect())
}

/// Some of the rows of a walk.
#[derive(Debug)]
pub struct DriftPage {
    /// Those that can be read.
    pub rows: Vec<DriftRow>,
    /// The account and the resource of the last one, read or not: the walk goes on behind it. `None` at its end.
    pub last: Option<(String, String)>,
}

/// What has drifted on a server and can be repaired, because nothing newer is wanted of it: what follows a place in the order of
/// accounts and keys, at most so many. Whoever repairs in this order waits for nobody who does so too and waits for them.
///
/// # Errors
/// The database fails.
pub async fn drift_list_repairable(db: &Db, server: ServerId, after: Option<(String, String)>, most: i64) -> Result<DriftPage, StoreError> {
    let repairable = concat!(
        drift_select!(),
        "WHERE d.server_id = $4 AND (d.account_id > $5 OR d.account_id = $5 AND d.resource > $6) \
         AND COALESCE(s.wanted_generation, t.wanted_generation, a.wanted_generation) = \
         COALESCE(s.applied_generation, t.applied_generation, a.applied_generation) ORDER BY d.account_id, d.resource LIMIT $7"
    );
    let (account, resource) = after.unwrap_or_default();
    let rows = bind_given_up!(sqlx::query(repairable))
        .bind(server.to_string())
        .bind(account)
        .bind(resource)
        .bind(most)
        .fetch_all(db.read())
        .await?;
    let last = match rows.last() {
        Some(row) => Some((row.try_get("account_id")?, row.try_get("resource")?)),
        None => None,
    };
    Ok(DriftPage { rows: readable(&rows), last })
}

/// What has drifted on servers, what drifted first first; of each server at most so many.
///
/// # Errors
/// The database fails.
pub async fn drift_list_of_servers(db: &Db, servers: &[ServerId], most_of_each: i64) -> Result<Vec<DriftRow>, StoreError> {
    if servers.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        concat!(
            drift_select!(),
            "WHERE d.resource IN (SELECT resource FROM (SELECT resource, ROW_NUMBER() OVER (PARTITION BY server_id ORDER BY since_ms, resource) \
             AS place FROM drifts WHERE server_id IN ({servers})) AS ranked WHERE place <= $4) ORDER BY d.since_ms, d.resource"
        ),
        servers = placeholders(5, servers.len())
    );
    let mut query = bind_given_up!(sqlx::query(AssertSqlSafe(sql))).bind(most_of_each);
    for server in servers {
        query = query.bind(server.to_string());
    }
    Ok(readable(&query.fetch_all(db.read()).await?))
}

/// What has drifted on a server and is of a Linux user or has a domain that is searched for.
macro_rules! drift_of_server {
    ($server:literal, $search:literal) => {
        concat!(
            "FROM drifts d JOIN accounts a ON a.id = d.account_id LEFT JOIN sites s ON s.id = SUBSTR(d.resource, 6) WHERE d.server_id = ",
            $server,
            " AND (",
            $search,
            " = '' OR LOWER(a.linux_user) LIKE ",
            $search,
            " ESCAPE '\\' OR LOWER(s.domain) LIKE ",
            $search,
            " ESCAPE '\\')"
        )
    };
}

/// What has drifted on a server, what drifted first first. A row that cannot be read is left out, and counted.
///
/// # Errors
/// The database fails.
pub async fn drift_list_of_server(db: &Db, server: ServerId, search: &str, paging: Paging) -> Result<Page<DriftRow>, StoreError> {
    let list = concat!(
        drift_select!(),
        "WHERE d.resource IN (SELECT d.resource ",
        drift_of_server!("$4", "$5"),
        " ORDER BY d.since_ms, d.resource LIMIT $6 OFFSET $7) ORDER BY d.since_ms, d.resource"
    );
    let search = contains(search);
    let rows = bind_given_up!(sqlx::query(list))
        .bind(server.to_string())
        .bind(&search)
        .bind(paging.limit)
        .bind(paging.offset)
        .fetch_all(db.read())
        .await?;
    let total = sqlx::query(concat!("SELECT COUNT(*) AS n ", drift_of_server!("$1", "$2")))
        .bind(server.to_string())
        .bind(&search)
        .fetch_one(db.read())
        .await?;
    Ok(Page { rows: readable(&rows), total: total.try_get("n")? })
}

/// How many resources of a server have drifted, of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DriftCount {
    /// Drifted ones.
    pub drifted: i64,
    /// Of these, the ones given up on.
    pub given_up: i64,
    /// Accounts, pools and sites that were ever applied.
    pub resources: i64,
}

impl TryFrom<&AnyRow> for DriftCount {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self { drifted: row.try_get("drifted")?, given_up: row.try_get("given_up")?, resources: row.try_get("resources")? })
    }
}

/// How much of a server has drifted.
///
/// # Errors
/// The database fails.
pub async fn drift_count(db: &Db, server: ServerId) -> Result<DriftCount, StoreError> {
    let count = concat!(
        "SELECT COUNT(*) AS drifted, CAST(COALESCE(SUM(",
        given_up!(),
        "), 0) AS BIGINT) AS given_up, ",
        resources_of!("$4"),
        " AS resources FROM drifts d WHERE d.server_id = $4"
    );
    let row = bind_given_up!(sqlx::query(count)).bind(server.to_string()).fetch_one(db.read()).await?;
    DriftCount::try_from(&row)
}

/// When what drifted last on a server was found, epoch milliseconds by the worker's clock; 0 if nothing has.
///
/// # Errors
/// The database fails.
pub async fn drift_newest(db: &Db, server: ServerId) -> Result<i64, StoreError> {
    let row = sqlx::query("SELECT CAST(COALESCE(MAX(since_ms), 0) AS BIGINT) AS newest FROM drifts WHERE server_id = $1")
        .bind(server.to_string())
        .fetch_one(db.read())
        .await?;
    Ok(row.try_get("newest")?)
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
