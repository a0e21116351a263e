//! PHP pools: one per account and PHP version, shared by the account's sites.

use shared::ids::{AccountId, PhpPoolId};
use shared::jobs::{Generation, PhpSettings, PoolPresence};
use shared::names::PhpVersion;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Db, StoreError, Tx, parse, parse_json, to_json};

/// A pool as stored.
#[derive(Debug, Clone)]
pub struct PhpPoolRow {
    /// Its id.
    pub id: PhpPoolId,
    /// Its account.
    pub account_id: AccountId,
    /// Its PHP version.
    pub version: PhpVersion,
    /// Present or deleted; a suspended account is not written here.
    pub presence: PoolPresence,
    /// Its settings.
    pub settings: PhpSettings,
    /// Its newest desired state.
    pub generation: Generation,
    /// The newest that was applied; 0 for none.
    pub applied_generation: Generation,
    /// The newest generation that is wanted: `generation`, unless newer ones were taken back.
    pub wanted_generation: Generation,
}

impl TryFrom<&AnyRow> for PhpPoolRow {
    type Error = StoreError;

    fn try_from(row: &AnyRow) -> Result<Self, StoreError> {
        let presence: &str = row.try_get("presence")?;
        Ok(Self {
            id: parse("php_pools.id", row.try_get("id")?)?,
            account_id: parse("php_pools.account_id", row.try_get("account_id")?)?,
            version: parse("php_pools.version", row.try_get("version")?)?,
            presence: parse_json("php_pools.presence", &format!("\"{presence}\""))?,
            settings: parse_json("php_pools.settings", row.try_get("settings")?)?,
            generation: Generation(row.try_get("generation")?),
            applied_generation: Generation(row.try_get("applied_generation")?),
            wanted_generation: Generation(row.try_get("wanted_generation")?),
        })
    }
}

macro_rules! select {
    () => {
        "SELECT id, account_id, version, presence, settings, generation, applied_generation, wanted_generation FROM php_pools "
    };
}

const fn presence_word(presence: PoolPresence) -> &'static str {
    match presence {
        PoolPresence::Present => "present",
        PoolPresence::Suspended => "suspended",
        PoolPresence::Deleted => "deleted",
    }
}

/// Adds a pool in its first generation.
///
/// # Errors
/// [`StoreError::Duplicate`] on `php_pools.version`, or the database fails.
pub async fn php_pool_insert_in_tx(
    tx: &mut Tx,
    account: AccountId,
    version: PhpVersion,
    settings: &PhpSettings,
) -> Result<PhpPoolRow, StoreError> {
    let pool = PhpPoolRow {
        id: PhpPoolId::new(),
        account_id: account,
        version,
        presence: PoolPresence::Present,
        settings: settings.clone(),
        generation: Generation::FIRST,
        applied_generation: Generation(0),
        wanted_generation: Generation::FIRST,
    };
    sqlx::query("INSERT INTO php_pools (id, account_id, version, presence, settings, generation) VALUES ($1, $2, $3, 'present', $4, 1)")
        .bind(pool.id.to_string())
        .bind(account.to_string())
        .bind(version.to_string())
        .bind(to_json("php_pools.settings", settings)?)
        .execute(&mut **tx)
        .await?;
    Ok(pool)
}

/// Writes a pool's next desired state and returns the pool with it.
///
/// # Errors
/// The database fails.
pub async fn php_pool_update_in_tx(
    tx: &mut Tx,
    pool: &PhpPoolRow,
    presence: PoolPresence,
    settings: &PhpSettings,
) -> Result<PhpPoolRow, StoreError> {
    let generation = pool.generation.next();
    sqlx::query("UPDATE php_pools SET presence = $1, settings = $2, generation = $3, wanted_generation = $3 WHERE id = $4")
        .bind(presence_word(presence))
        .bind(to_json("php_pools.settings", settings)?)
        .bind(generation.0)
        .bind(pool.id.to_string())
        .execute(&mut **tx)
        .await?;
    Ok(PhpPoolRow { presence, settings: settings.clone(), generation, wanted_generation: generation, ..pool.clone() })
}

/// The pools of an account by version.
///
/// # Errors
/// The database fails.
pub async fn php_pool_list(db: &Db, account: AccountId) -> Result<Vec<PhpPoolRow>, StoreError> {
    let rows =
        sqlx::query(concat!(select!(), "WHERE account_id = $1 ORDER BY version")).bind(account.to_string()).fetch_all(db.read()).await?;
    rows.iter().map(PhpPoolRow::try_from).collect()
}

/// As [`php_pool_list`], inside a transaction.
///
/// # Errors
/// The database fails.
pub async fn php_pool_list_in_tx(tx: &mut Tx, account: AccountId) -> Result<Vec<PhpPoolRow>, StoreError> {
    let rows =
        sqlx::query(concat!(select!(), "WHERE account_id = $1 ORDER BY version")).bind(account.to_string()).fetch_all(&mut **tx).await?;
    rows.iter().map(PhpPoolRow::try_from).collect()
}
